"""Files of data sets, damaged or made to harm: the right images, or one line that names the file.

Formats with checksums are read right or refused. Plain JPEGs, NORB's plain matrices and HDF5 have
none for each byte: of those only what is cut short is sure to be found.
"""

import gzip
import io
import os
import struct
import tarfile
import tracemalloc
import zipfile
import zlib

import h5py
import numpy as np
import official_files as files
import pytest
from numpy.random import RandomState
from PIL import Image
from scipy.io import savemat

from srvae_plugin import load_dataset
from srvae_plugin.data.dsprites_original import read_original
from srvae_plugin.data.storage.npy_header import read_npy

SIZES = {
    "shapes3d": files.SHAPES3D,
    "cars3d": (4, 24, 1),
    "smallnorb": files.SMALLNORB,
    "mpi3d_toy": files.MPI3D,
}


@pytest.fixture(scope="module", autouse=True)
def _imported():
    """All that a data set needs, before memory is counted."""
    load_dataset("dummy_data")
    import scipy.io  # noqa: F401


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SRVAE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def images_of(name, path):
    options = {"factor_sizes": SIZES[name]} if name in SIZES else {}
    data = load_dataset(name, path=str(path), **options)
    return data.observations_at(np.arange(data.num_observations))


def _cars(folder):
    files.write_cars3d(folder / "cars", 1)
    archive = folder / "nips2015-analogy-data.tar.gz"
    files.tar_of(archive, folder / "cars", "data/cars", "w:gz")
    return archive


def _faces(folder):
    files.write_celeba(folder / "faces", 2)
    files.zip_of(folder / "img_align_celeba.zip", folder / "faces", "img")
    return folder / "img_align_celeba.zip"


def _mpi3d(compressed):
    def write(folder):
        files.write_mpi3d(folder / "mpi3d_toy.npz", compressed=compressed)
        return folder / "mpi3d_toy.npz"

    return write


def _whole_folder(write):
    def written(folder):
        write(folder)
        return folder

    return written


WITH_CHECKSUMS = {
    "shapes3d npz": ("shapes3d", _whole_folder(files.write_shapes3d_npz), 6),
    "mpi3d": ("mpi3d_toy", _mpi3d(False), 9),
    "mpi3d compressed": ("mpi3d_toy", _mpi3d(True), 9),
    "cars3d": ("cars3d", _whole_folder(lambda folder: files.write_cars3d(folder, 1)), 9),
    "cars3d tar": ("cars3d", _cars, 9),
    "smallnorb gz": (
        "smallnorb",
        _whole_folder(lambda folder: files.write_smallnorb(folder, True)),
        12,
    ),
    "celeba zip": ("celeba", _faces, 9),
    "chairs": ("chairs", _whole_folder(files.write_chairs), 24),
}
WITHOUT = {
    "shapes3d h5": ("shapes3d", _whole_folder(files.write_shapes3d_h5), 6),
    "smallnorb": ("smallnorb", _whole_folder(files.write_smallnorb), 12),
    "celeba": ("celeba", _whole_folder(lambda folder: files.write_celeba(folder, 2)), 18),
}


def damaged(content, trial, random):
    changed = bytearray(content)
    if trial % 3 == 0:
        del changed[random.randint(len(changed)) :]
    for _ in range((0, 1, 30)[trial % 3]):
        ends = random.randint(2048, size=2)
        place = (random.randint(len(content)), ends[0], -1 - ends[1])[random.randint(3)]
        changed[place % len(content)] ^= 1 << random.randint(8)
    return bytes(changed)


@pytest.mark.parametrize("kind", [*WITH_CHECKSUMS, *WITHOUT])
@pytest.mark.filterwarnings("ignore::scipy.io.matlab.MatReadWarning")
def test_damage_gives_the_right_images_or_one_line(kind, tmp_path, cache):
    name, write, count = (WITH_CHECKSUMS | WITHOUT)[kind]
    (tmp_path / "data").mkdir()
    path = write(tmp_path / "data")
    whole = images_of(name, path)
    hit = [path] if path.is_file() else sorted(path.rglob("*.*"))
    hit = [file for file in hit if file.suffix != ".txt" and "names" not in file.name]
    random, refused = RandomState(1), 0
    for trial in range(count):
        file = hit[random.randint(len(hit))]
        content = file.read_bytes()
        file.write_bytes(damaged(content, trial, random))
        try:
            found = images_of(name, path)
        except (ValueError, FileNotFoundError) as error:
            text, *rest = str(error).splitlines()
            assert all("In call to configurable" in line for line in rest)
            assert str(tmp_path) in text
            assert not list(cache.glob("*.npy")) or trial == 0
            refused += 1
        else:
            if kind in WITH_CHECKSUMS:
                np.testing.assert_array_equal(found, whole[: len(found)])
            assert found.dtype == np.float32
        file.write_bytes(content)
        for left in cache.glob("*"):
            left.unlink()
    assert refused > count // 3


# ------------------------------------------------- what claims to be larger than it is, or grows


def refused(load, message, most=40e6):
    """The one line with which something is refused, having taken little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=message) as caught:
            load()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < most
    return str(caught.value).splitlines()[0]


def zeros_packed(size):
    """Deflated zeros, a thousandth of their size."""
    pack, block = zlib.compressobj(), bytes(1 << 20)
    return b"".join([*(pack.compress(block) for _ in range(size >> 20)), pack.flush()])


def test_matlab_file_that_grows_is_refused(tmp_path):
    files.write_cars3d(tmp_path, 1)
    (file,) = tmp_path.glob("*.mat")
    bomb = zeros_packed(100 << 20)
    file.write_bytes(file.read_bytes()[:128] + struct.pack("<II", 15, len(bomb)) + bomb)
    refused(lambda: images_of("cars3d", tmp_path), "more than 67,108,864 bytes")


def test_matlab_array_of_another_shape_is_not_read(tmp_path):
    files.write_cars3d(tmp_path, 1)
    (file,) = tmp_path.glob("*.mat")
    savemat(file, {"im": np.zeros((4000, 1000), np.uint8)}, do_compression=True)
    refused(lambda: images_of("cars3d", tmp_path), r"found uint8 of \(4000, 1000\)")


def tar_with(file, mode, *members):
    with tarfile.open(file, mode) as archive:
        for member, content in members:
            archive.addfile(member, content and io.BytesIO(content))


def member_of(name, **values):
    member = tarfile.TarInfo(name)
    for key, value in values.items():
        setattr(member, key, value)
    return member


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_links_in_a_tar_are_refused(tmp_path, kind):
    (tmp_path / "secret").write_text("x")
    archive = tmp_path / "nips2015-analogy-data.tar.gz"
    link = member_of("data/cars/a.mat", type=kind, linkname="../../../../secret")
    tar_with(archive, "w:gz", (link, None))
    assert "a.mat" in refused(lambda: images_of("cars3d", archive), "it is a link or no file")
    tar = tmp_path / "rendered_chairs.tar"
    tar_with(tar, "w", (member_of("renders/a.png", type=kind, linkname="/dev/zero"), None))
    with pytest.raises(FileNotFoundError, match="expected pictures"):
        images_of("chairs", tar)


def test_member_of_a_tar_that_grows_is_refused(tmp_path):
    archive = tmp_path / "nips2015-analogy-data.tar.gz"
    with gzip.open(archive, "wb", 1) as file:
        file.write(member_of("data/cars/a.mat", size=1 << 40).tobuf())
        for _ in range(400):
            file.write(bytes(1 << 20))
    assert "a.mat" in refused(lambda: images_of("cars3d", archive), "1,099,511,627,776 bytes")
    with gzip.open(archive, "wb", 1) as file:
        file.write(member_of("other", size=1 << 40).tobuf())
        for _ in range(400):
            file.write(bytes(1 << 20))
    refused(lambda: images_of("cars3d", archive), "out of all proportion")


def test_extended_header_of_a_tar_that_grows_is_refused(tmp_path):
    tar = tmp_path / "rendered_chairs.tar"
    header = member_of("x", type=tarfile.XHDTYPE, size=1 << 40).tobuf(tarfile.GNU_FORMAT)
    tar.write_bytes(header + bytes(2048))
    refused(lambda: images_of("chairs", tar), "a part of 1,099,511,627,776 bytes")


def test_names_in_archives_are_no_paths(tmp_path):
    """A picture may be called what it likes: nothing is written outside the cache."""
    files.write_celeba(tmp_path / "faces", 1)
    (face,) = (tmp_path / "faces").iterdir()
    archive = tmp_path / "deep" / "er" / "img_align_celeba.zip"
    archive.parent.mkdir(parents=True)
    with zipfile.ZipFile(archive, "w") as file:
        file.write(face, "img/../../../../evil.jpg")
        file.write(face, "img/face.jpg")
        absolute = zipfile.ZipInfo(f"{tmp_path}/evil.jpg")
        file.writestr(absolute, face.read_bytes())
    assert len(images_of("celeba", archive)) == 2
    assert not list(tmp_path.rglob("evil*"))


def test_member_of_a_zip_that_grows_is_refused(tmp_path):
    archive = tmp_path / "img_align_celeba.zip"
    with (
        zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file,
        file.open("a.jpg", "w") as stream,
    ):
        for _ in range(80):
            stream.write(bytes(1 << 20))
    refused(lambda: images_of("celeba", archive), "83,886,080 bytes, at most")


@pytest.mark.parametrize("rows", [2**31 - 1, -4, 0])
def test_norb_labels_that_grow_are_refused(tmp_path, rows):
    files.write_smallnorb(tmp_path, True)
    for file in tmp_path.glob("*cat*"):
        header = struct.pack("<5i", 0x1E3D4C54, 1, rows, 1, 1)
        file.write_bytes(gzip.compress(header + bytes(100 << 20), 1))
    refused(lambda: images_of("smallnorb", tmp_path), f"expected at most 48 images, found {rows}")


def test_header_of_an_npy_that_grows_is_refused(tmp_path):
    header = np.lib.format.magic(2, 0) + struct.pack("<I", 60 << 20) + b" " * (60 << 20)
    with zipfile.ZipFile(tmp_path / "mpi3d_toy.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("images.npy", header)
    load = lambda: images_of("mpi3d_toy", tmp_path / "mpi3d_toy.npz")  # noqa: E731
    refused(load, "its header says that it has 62,914,560 bytes itself")
    (tmp_path / "a.npy").write_bytes(header[:200])
    refused(lambda: read_npy(tmp_path / "a.npy"), "bytes itself")


@pytest.mark.parametrize("shape", [(10**13,), (10**9, 10**9), (4,)])
def test_npy_that_is_not_what_its_header_says(tmp_path, shape):
    with open(tmp_path / "a.npy", "wb") as file:
        header = {"descr": "<f8", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        file.write(bytes(800))
    refused(lambda: read_npy(tmp_path / "a.npy"), "its header says")


# ------------------------------------------------- HDF5


def _external_link(file):
    file["images"] = h5py.ExternalLink("other.h5", "images")


def _soft_link(file):
    file["images"] = h5py.SoftLink("/labels")


def _external_values(file):
    shape = (48, 64, 64, 3)
    values = [("/etc/hostname", 0, int(np.prod(shape)))]
    file.create_dataset("images", shape, np.uint8, external=values)


def _virtual(file):
    layout = h5py.VirtualLayout((48, 64, 64, 3), np.uint8)
    layout[:] = h5py.VirtualSource("other.h5", "images", (48, 64, 64, 3))
    file.create_virtual_dataset("images", layout)


def _not_written(file):
    file.create_dataset("images", (48, 64, 64, 3), np.uint8, chunks=(48, 8, 8, 3))


def _half_written(file):
    images = file.create_dataset("images", (48, 64, 64, 3), np.uint8, chunks=(1, 64, 64, 3))
    images[:24] = 1


def _large_blocks(file):
    shape, most = (48, 64, 64, 3), (None, 64, 64, 3)
    file.create_dataset("images", shape, np.uint8, chunks=(30_000, 64, 64, 3), maxshape=most)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (_external_link, "images is a link"),
        (_soft_link, "images is a link"),
        (_external_values, "lies in other files"),
        (_virtual, "lies in other files"),
        (_not_written, "64 blocks are declared, 0 are there"),
        (_half_written, "48 blocks are declared, 24 are there"),
        (_large_blocks, "its blocks have 368,640,000 bytes"),
    ],
)
def test_hdf5_whose_values_are_not_in_it_is_refused(tmp_path, write, message):
    with h5py.File(tmp_path / "3dshapes.h5", "w") as file:
        file.create_dataset("labels", data=np.zeros((48, 6)))
        write(file)
    refused(lambda: images_of("shapes3d", tmp_path), message)


@pytest.mark.parametrize("write", [_external_link, _external_values, _virtual, _not_written])
def test_dsprites_in_hdf5_whose_values_are_not_in_it(tmp_path, write):
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file.create_dataset("latents/classes", data=np.zeros((48, 6), int))
        write(file)
        file.move("images", "imgs")
    refused(lambda: read_original(tmp_path / "d.h5"), "is a link|other files|0 are there")


def test_hdf5_labels_that_grow_are_not_read(tmp_path):
    with h5py.File(tmp_path / "3dshapes.h5", "w") as file:
        file.create_dataset("images", data=files.blocks(48))
        many = {"chunks": (1 << 20, 1), "compression": "gzip", "compression_opts": 1}
        labels = file.create_dataset("labels", (100 << 20, 1), np.uint8, **many)
        for start in range(0, 100 << 20, 1 << 20):
            labels[start : start + (1 << 20)] = 0
    refused(lambda: images_of("shapes3d", tmp_path), "labels: expected 48 rows of 6 numbers")


# ------------------------------------------------- pictures


def large_png(side):
    """A black picture of so many pixels a side, in few bytes."""

    def part(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((side // 8 + 1) * side), 1)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", rows) + part(b"IEND", b"")


@pytest.mark.parametrize("side", [9_600, 40_000])
def test_picture_of_too_many_pixels_is_refused(tmp_path, side):
    png = large_png(9_600)
    if side > 9_600:  # whatever is in it: the header is enough
        png = png[:8] + large_png(16)[8:16] + struct.pack(">II", side, side) + png[24:]
        head = png[12:29]
        png = png[:29] + struct.pack(">I", zlib.crc32(head)) + png[33:]
    folder = tmp_path / "chair" / "renders"
    folder.mkdir(parents=True)
    (folder / "a.png").write_bytes(png)
    said = refused(lambda: images_of("chairs", tmp_path), "pixels")
    assert "a.png" in said
    data = load_dataset("image_folder", path=str(folder))
    said = refused(lambda: data.observations_at(np.arange(1)), "pixels")
    assert "a.png" in said


def test_large_photograph_is_decoded_at_a_fraction(tmp_path):
    """A hundred million pixels of a JPEG, in a sixteenth of the memory."""
    Image.new("L", (12_000, 8_000), 128).save(tmp_path / "a.jpg")
    data = load_dataset("image_folder", path=str(tmp_path))
    image = data.observations_at(np.arange(1))
    np.testing.assert_allclose(image, 128 / 255, atol=1e-6)


def test_other_formats_in_disguise_are_not_tried(tmp_path):
    """Pillow hands an EPS to Ghostscript, whatever the file's name."""
    ran = tmp_path / "ran"
    eps = f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n({ran}) (w) file closefile\n"
    (tmp_path / "a.png").write_text(eps)
    data = load_dataset("image_folder", path=str(tmp_path))
    refused(lambda: data.observations_at(np.arange(1)), r"a\.png: cannot be read as an image")
    assert not ran.exists()


def test_pipe_among_pictures_is_refused(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    data = load_dataset("image_folder", path=str(tmp_path))
    refused(lambda: data.observations_at(np.arange(1)), "it is not a regular file")
    os.mkfifo(tmp_path / "a.jpg")
    refused(lambda: images_of("celeba", tmp_path), "it is not a regular file")
