"""DeepMind's own files, in their format at a smaller scale: read, sorted, refused when damaged."""

import os
import warnings
import zipfile

import h5py
import numpy as np
import pytest

from srvae_plugin.data import dsprites_renderer
from srvae_plugin.data.dsprites_original import FILE_NAME, read_original

SMALL = (1, 3, 2, 4, 3, 3)


def small_original():
    classes = np.array(list(np.ndindex(*SMALL)), dtype=np.int64)
    return dsprites_renderer.render_images(classes[:, 1:]), classes


def write_npz(file, images, classes):
    """DeepMind's layout, pickled metadata included."""
    metadata = np.array({"latents_sizes": np.array(SMALL)}, dtype=object)
    np.savez_compressed(file, metadata=metadata, imgs=images, latents_classes=classes)


def write_hdf5(file, images, classes):
    with h5py.File(file, "w") as archive:
        archive.create_dataset("imgs", data=images, chunks=(8, 64, 64), compression="gzip")
        archive.create_dataset("latents/classes", data=classes)


WRITERS = pytest.mark.parametrize(
    ("write", "name"), [(write_npz, FILE_NAME), (write_hdf5, "dsprites.hdf5")]
)


@WRITERS
def test_original_is_read(tmp_path, write, name):
    images, classes = small_original()
    write(tmp_path / name, images, classes)
    packed = read_original(tmp_path / name, SMALL)
    np.testing.assert_array_equal(packed, np.packbits(images.reshape(len(images), -1), axis=1))


@WRITERS
def test_original_in_another_order_is_sorted(tmp_path, write, name):
    images, classes = small_original()
    order = np.random.RandomState(0).permutation(len(images))
    write(tmp_path / name, images[order], classes[order])
    packed = read_original(tmp_path / name, SMALL)
    np.testing.assert_array_equal(packed, np.packbits(images.reshape(len(images), -1), axis=1))


def test_original_longer_than_one_chunk_is_read(tmp_path):
    sizes = (1, 1, 1, 5, 32, 32)
    classes = np.array(list(np.ndindex(*sizes)), dtype=np.int64)
    images = np.random.RandomState(0).randint(2, size=(len(classes), 64, 64)).astype(np.uint8)
    write_npz(tmp_path / FILE_NAME, images, classes)
    packed = read_original(tmp_path / FILE_NAME, sizes)
    np.testing.assert_array_equal(packed, np.packbits(images.reshape(len(images), -1), axis=1))


def test_header_written_by_python_2_is_read(tmp_path):
    images, classes = small_original()
    write_npz(tmp_path / "new.npz", images, classes)
    with (
        zipfile.ZipFile(tmp_path / "new.npz") as new,
        zipfile.ZipFile(tmp_path / "old.npz", "w") as old,
    ):
        for name in new.namelist():
            contents = new.read(name).replace(b"(216, ", b"(216L,", 1)
            old.writestr(name, contents)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read_original(tmp_path / "old.npz", SMALL)) == 216


def rewritten(images, classes, change):
    images, classes = images.copy(), classes.copy()
    match change:
        case "too few":
            return images[:100], classes
        case "few classes":
            return images, classes[:100]
        case "gray":
            images[7, 3, 3] = 255
        case "floats":
            return images.astype(np.float32), classes
        case "pickles":
            return images.astype(object), classes
        case "fortran":
            return np.asfortranarray(images), classes
        case "twice":
            classes[1] = classes[0]
        case "unknown class":
            classes[5, 2] = 9
    return images, classes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("too few", r"imgs: expected shape \(216, 64, 64\), found \(100, 64, 64\)"),
        ("few classes", r"latents_classes: expected shape \(216, 6\)"),
        ("gray", "imgs: expected the values 0 and 1, found 255"),
        ("floats", "imgs: expected unsigned integers, found float32"),
        ("pickles", "imgs: expected plain numbers .*, found object"),
        ("fortran", "imgs: expected C order"),
        ("twice", "every combination of factors exactly once"),
        ("unknown class", "invalid entry"),
    ],
)
def test_other_contents_are_refused(tmp_path, change, message):
    file = tmp_path / FILE_NAME
    write_npz(file, *rewritten(*small_original(), change))
    assert_refused(file, message)


def assert_refused(file, message):
    with pytest.raises(ValueError, match=message) as caught:
        read_original(file, SMALL)
    text = str(caught.value)
    assert str(file) in text
    assert "https://github.com/google-deepmind/dsprites-dataset" in text
    assert "leave dataset.path unbound" in text
    assert "\n" not in text


@WRITERS
@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.95])
def test_truncated_files_are_refused(tmp_path, write, name, kept):
    file = tmp_path / name
    write(file, *small_original())
    os.truncate(file, int(kept * file.stat().st_size))
    assert_refused(file, "not a complete dSprites file")


def test_flipped_bytes_are_noticed(tmp_path):
    file = tmp_path / FILE_NAME
    images, classes = small_original()
    write_npz(file, images, classes)
    with zipfile.ZipFile(file) as archive:
        middle = archive.getinfo("imgs.npy").header_offset + 3000
    contents = bytearray(file.read_bytes())
    contents[middle : middle + 4] = bytes(255 - b for b in contents[middle : middle + 4])
    file.write_bytes(contents)
    assert_refused(file, "not a complete dSprites file")


def test_changed_pixel_fails_the_checksum(tmp_path):
    file = tmp_path / FILE_NAME
    images, classes = small_original()
    np.savez(file, imgs=images, latents_classes=classes)
    contents = bytearray(file.read_bytes())
    with zipfile.ZipFile(file) as archive:
        offset = archive.getinfo("imgs.npy").header_offset
    contents[offset + 10_000] ^= 1
    file.write_bytes(contents)
    assert_refused(file, "CRC-32")


def test_missing_members_are_refused(tmp_path):
    images, _ = small_original()
    np.savez(tmp_path / "some.npz", imgs=images)
    assert_refused(tmp_path / "some.npz", r"expected the array .latents_classes., found \[")
    with h5py.File(tmp_path / "some.hdf5", "w") as archive:
        archive.create_dataset("imgs", data=images)
    assert_refused(tmp_path / "some.hdf5", r"expected the data set .latents/classes., found")


def test_something_else_is_refused(tmp_path):
    (tmp_path / "page.npz").write_text("<html>404</html>")
    assert_refused(tmp_path / "page.npz", "not a zip file")


def test_missing_file_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no such file.*leave dataset\.path unbound"):
        read_original(tmp_path / FILE_NAME)
