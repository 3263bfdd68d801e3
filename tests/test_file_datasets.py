"""Data sets of files, in their official formats at a smaller scale, against the original's code."""

import builtins
import logging
import os
import pickle
import tarfile
import zipfile
from pathlib import Path
from typing import NamedTuple

import dlib_data
import h5py
import numpy as np
import official_files as files
import pytest
from numpy.random import RandomState
from PIL import Image
from scipy.io import savemat

from srvae_plugin import load_dataset
from srvae_plugin.data import mpi3d, shapes3d, smallnorb
from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.data.storage import array_cache, image_files
from srvae_plugin.testing import check_dataset


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SRVAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DISENTANGLEMENT_LIB_DATA", str(tmp_path / "data"))


def cache_files(tmp_path):
    return sorted(path.name for path in (tmp_path / "cache").glob("*"))


class Case(NamedTuple):
    """A data set written below the data folder; `write` returns its images as the file has them."""

    name: str
    sizes: tuple[int, ...]
    factor_names: tuple[str, ...]
    place: str
    write: object
    shown: tuple[int, ...] | None = None
    """Which of the factors are the ground truth."""


SHAPES3D_NAMES = (
    "floor color", "wall color", "object color", "object size", "object type", "azimuth",
)  # fmt: skip
MPI3D_NAMES = (
    "object color", "object shape", "object size", "camera height", "background color",
    "horizontal axis", "vertical axis",
)  # fmt: skip
NORB_NAMES = ("category", "elevation", "azimuth", "lighting")


def _mpi3d(dataset, compressed):
    def write(folder):
        return files.write_mpi3d(folder / f"{dataset}.npz", compressed=compressed)

    return Case(dataset, files.MPI3D, MPI3D_NAMES, dataset, write)


CASES = {
    "shapes3d h5": Case(
        "shapes3d", files.SHAPES3D, SHAPES3D_NAMES, "3dshapes", files.write_shapes3d_h5
    ),
    "shapes3d npz": Case(
        "shapes3d", files.SHAPES3D, SHAPES3D_NAMES, "3dshapes", files.write_shapes3d_npz
    ),
    "mpi3d_toy": _mpi3d("mpi3d_toy", compressed=True),
    "mpi3d_realistic": _mpi3d("mpi3d_realistic", compressed=False),
    "mpi3d_real": _mpi3d("mpi3d_real", compressed=False),
    "cars3d": Case(
        "cars3d", files.CARS3D, ("elevation", "azimuth", "object type"), "cars", files.write_cars3d
    ),
    "smallnorb": Case(
        "smallnorb", files.SMALLNORB, NORB_NAMES, "small_norb", files.write_smallnorb, (0, 2, 3, 4)
    ),
}
EVERY = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@pytest.fixture
def written(case, tmp_path):
    """Folder of the files, and what was written."""
    folder = tmp_path / "data" / case.place
    return folder, case.write(folder)


def load(case, **options):
    return load_dataset(case.name, factor_sizes=case.sizes, **options)


def in_order(case, written):
    """The images as uint8 (observation, height, width, channel), of the size they are read at."""
    images = written[1]
    if case.name == "cars3d":  # (car, azimuth, elevation, 128, 128, 3)
        images = np.moveaxis(images, (2, 1, 0), (0, 1, 2)).reshape(-1, 128, 128, 3)
        return np.stack([resized(image) for image in images])
    if case.name == "smallnorb":
        return np.stack([resized(image.astype(np.int32)) for image in images])[..., None]
    return images


def resized(image):
    picture = Image.fromarray(image).resize((64, 64), Image.Resampling.LANCZOS)
    return np.clip(np.asarray(picture), 0, 255).astype(np.uint8)


def said(caught):
    """The error's one line; gin adds where it was called."""
    text, *rest = str(caught.value).splitlines()
    assert all("In call to configurable" in line for line in rest)
    return text


# ---------------------------------------------------------------- what is read


@EVERY
def test_all_observations_are_read_in_the_order_of_the_factors(case, written):
    data = load(case)
    assert isinstance(data, GroundTruthData)
    expected = in_order(case, written)
    assert data.num_observations == len(expected) == np.prod(case.sizes)
    observations = data.observations_at(np.arange(len(expected)))
    np.testing.assert_array_equal(observations, (expected / 255).astype(np.float32))
    assert observations.dtype == np.float32
    assert (observations.min(), observations.max()) == (0, 1)
    assert tuple(data.factor_names) == case.factor_names
    shown = case.shown or range(len(case.sizes))
    assert data.factors_num_values == [case.sizes[i] for i in shown]
    assert data.observation_shape == list(expected.shape[1:])


@EVERY
def test_a_known_observation(case, written):
    """The last value of one factor and the first of all others, for each factor."""
    data, expected = load(case), in_order(case, written)
    hidden = case.name == "smallnorb"
    for column, size in enumerate(data.factors_num_values):
        factors = np.zeros((1, data.num_factors), dtype=np.int64)
        factors[0, column] = size - 1
        place = (case.shown or range(len(case.sizes)))[column]
        index = (size - 1) * int(np.prod(case.sizes[place + 1 :]))
        if hidden:
            index += RandomState(4).randint(4) * 6
        image = data.sample_observations_from_factors(factors, RandomState(4))[0]
        np.testing.assert_array_equal(image, (expected[index] / 255).astype(np.float32))


@EVERY
def test_the_second_time_it_is_mapped_from_the_cache(case, written, tmp_path, monkeypatch):
    first = load(case).observations_at(np.arange(10))
    made = cache_files(tmp_path)
    if case.name in ("mpi3d_realistic", "mpi3d_real"):
        assert made == []  # not compressed: mapped where it lies
    else:
        assert len(made) == 1
        assert made[0].startswith(f"{case.name}-v1-")
        stored = np.load(tmp_path / "cache" / made[0], mmap_mode="r")
        assert stored.nbytes == 64 * 64 * stored.shape[-1] * np.prod(case.sizes)
    monkeypatch.setattr(array_cache, "_write", lambda *_: pytest.fail("made again"))
    np.testing.assert_array_equal(load(case).observations_at(np.arange(10)), first)
    assert cache_files(tmp_path) == made


@EVERY
def test_a_changed_file_is_read_again(case, written, tmp_path):
    load(case)
    made = cache_files(tmp_path)
    for file in written[0].iterdir():
        os.utime(file, (1, 1))
    load(case)
    assert len(cache_files(tmp_path)) == 2 * len(made)


@EVERY
def test_it_passes_the_checks_of_plug_ins(case, written):
    check_dataset(lambda: load(case))


@EVERY
def test_pickled_data_set_is_small_and_works(case, written):
    data = load(case)
    pickled = pickle.dumps(data)
    assert len(pickled) < 5000
    everything = np.arange(data.num_observations)
    again = pickle.loads(pickled)
    np.testing.assert_array_equal(
        again.observations_at(everything), data.observations_at(everything)
    )
    assert again.source == data.source
    assert Path(data.source).exists()


@EVERY
def test_the_path_may_be_given(case, written, tmp_path, monkeypatch):
    monkeypatch.setenv("DISENTANGLEMENT_LIB_DATA", str(tmp_path / "elsewhere"))
    expected = load(case, path=str(written[0])).observations_at(np.arange(5))
    folders = [written[0], written[0].parent]
    if case.name not in ("cars3d", "smallnorb"):
        folders += list(written[0].iterdir())  # the file itself
    for path in folders:
        again = load(case, path=str(path))
        np.testing.assert_array_equal(again.observations_at(np.arange(5)), expected)


# ---------------------------------------------------------------- the original's own loaders


def their_shapes3d(module, folder, patch):
    patch.setattr(module, "SHAPES3D_PATH", str(folder / files.NPZ_OF_SHAPES3D))
    return dlib_data.with_sizes(module, module.Shapes3D(), files.SHAPES3D)


def their_mpi3d(module, folder, patch):
    return dlib_data.with_sizes(module, module.MPI3D(mode=folder.name), files.MPI3D)


def their_cars3d(module, folder, patch):
    patch.setattr(module, "CARS3D_PATH", str(folder))
    data = module.Cars3D()  # makes room for 183 cars and has two of them
    with_sizes = module.util.SplitDiscreteStateSpace(list(files.CARS3D), [0, 1, 2])
    data.state_space.sample_latent_factors = with_sizes.sample_latent_factors
    return data


def their_smallnorb(module, folder, patch):
    # It makes integers of arrays of one element, which numpy allows no more.
    patch.setattr(module, "int", lambda a: builtins.int(np.reshape(a, ())), raising=False)
    data = module.SmallNORB.__new__(module.SmallNORB)
    template = str(folder / "smallnorb-{}-{}.mat")
    data.images, features = module._load_small_norb_chunks(template, module.SMALLNORB_CHUNKS)
    data.index = module.util.StateSpaceAtomIndex(list(files.SMALLNORB), features)
    return dlib_data.with_sizes(module, data, files.SMALLNORB, [0, 2, 3, 4])


THEIRS = {
    "shapes3d npz": ("shapes3d", their_shapes3d),
    "mpi3d_toy": ("mpi3d", their_mpi3d),
    "mpi3d_realistic": ("mpi3d", their_mpi3d),
    "mpi3d_real": ("mpi3d", their_mpi3d),
    "cars3d": ("cars3d", their_cars3d),
    "smallnorb": ("norb", their_smallnorb),
}


@dlib_data.needs_dlib
@pytest.mark.parametrize("name", THEIRS)
def test_samples_are_those_of_the_originals_loader(name, tmp_path, monkeypatch):
    case = CASES[name]
    folder = tmp_path / "data" / case.place
    case.write(folder)
    ours, (module_name, make) = load(case), THEIRS[name]
    with dlib_data.original(module_name) as module:
        theirs = make(module, folder, monkeypatch)
        first, second = RandomState(11), RandomState(11)
        factors, observations = ours.sample(200, first)
        expected_factors, expected = theirs.sample(200, second)
    np.testing.assert_array_equal(factors, expected_factors)
    expected = expected.astype(np.float32)
    if case.name == "smallnorb":
        assert expected.min() < 0  # what the filter overshoots is clipped
        assert expected.max() > 1
        expected = expected.clip(0, 1)
    np.testing.assert_array_equal(observations, expected)
    assert ours.num_factors == theirs.num_factors
    assert ours.observation_shape == theirs.observation_shape
    assert first.randint(2**31) == second.randint(2**31)


# ---------------------------------------------------------------- other containers, official sizes


def test_cars_are_read_from_the_archive(tmp_path):
    files.write_cars3d(tmp_path / "cars")
    archive = tmp_path / "nips2015-analogy-data.tar.gz"
    files.tar_of(archive, tmp_path / "cars", "data/cars", "w:gz")
    unpacked = load_dataset("cars3d", factor_sizes=files.CARS3D, path=str(tmp_path / "cars"))
    packed = load_dataset("cars3d", factor_sizes=files.CARS3D, path=str(archive))
    everything = np.arange(unpacked.num_observations)
    np.testing.assert_array_equal(
        packed.observations_at(everything), unpacked.observations_at(everything)
    )


def test_smallnorb_is_read_compressed(tmp_path):
    loaded = []
    for compressed in (False, True):
        folder = tmp_path / str(compressed)
        files.write_smallnorb(folder, compressed)
        data = load_dataset("smallnorb", factor_sizes=files.SMALLNORB, path=str(folder))
        loaded.append(data.observations_at(np.arange(data.num_observations)))
    np.testing.assert_array_equal(*loaded)


def test_long_files_are_read_in_parts(tmp_path, monkeypatch):
    """Several pieces, the last one shorter."""
    for module, size in ((shapes3d, 15), (mpi3d, 20), (smallnorb, 10)):
        monkeypatch.setattr(module, "_CHUNK", size)
    for case in (CASES["shapes3d h5"], CASES["mpi3d_toy"], CASES["smallnorb"]):
        expected = in_order(case, (None, case.write(tmp_path / "data" / case.place)))
        observations = load(case).observations_at(np.arange(len(expected)))
        np.testing.assert_array_equal(observations, (expected / 255).astype(np.float32))


@pytest.mark.parametrize(("num", "colors"), [(460_800, 4), (1_036_800, 6)])
def test_the_number_of_images_tells_which_mpi3d_it_is(num, colors):
    shape, info = (num, 64, 64, 3), zipfile.ZipInfo("images.npy")
    member = mpi3d.NpyMember(Path("x"), "images", shape, np.dtype(np.uint8), None, info)
    for dataset in ("mpi3d_toy", "mpi3d_realistic", "mpi3d_real"):
        assert mpi3d._sizes(dataset, member, None) == (colors, colors, 2, 3, 3, 40, 40)


# ---------------------------------------------------------------- what is refused


@EVERY
def test_without_other_sizes_the_official_ones_are_expected(case, written):
    """An excerpt is not taken for the whole."""
    with pytest.raises(ValueError, match="expected") as caught:
        load_dataset(case.name)
    said(caught)


@EVERY
def test_factors_out_of_range_are_refused(case, written):
    data = load(case)
    for column, size in enumerate(data.factors_num_values):
        factors = np.zeros((1, data.num_factors), dtype=np.int64)
        factors[0, column] = size
        with pytest.raises(ValueError, match=f"got {size} in row 0 for factor {column} "):
            data.sample_observations_from_factors(factors, RandomState(0))


@EVERY
@pytest.mark.parametrize("sizes", [(1,), (0,) * 7, ()])
def test_sizes_that_cannot_be_are_refused(case, written, sizes):
    sizes = sizes[: len(case.sizes)]
    with pytest.raises(ValueError, match=r"dataset\.factor_sizes = \("):
        load_dataset(case.name, factor_sizes=sizes)
    with pytest.raises(ValueError, match=r"dataset\.factor_sizes = \[.*expected tuple"):
        load_dataset(case.name, factor_sizes=list(case.sizes))


MISSING = {
    "shapes3d": "3dshapes/3dshapes.h5",
    "cars3d": "cars",
    "smallnorb": "small_norb",
    "mpi3d_toy": "mpi3d_toy/mpi3d_toy.npz",
    "mpi3d_realistic": "mpi3d_realistic/mpi3d_realistic.npz",
    "mpi3d_real": "mpi3d_real/mpi3d_real.npz",
    "celeba": "celeba/img_align_celeba.zip",
    "chairs": "chairs/rendered_chairs.tar",
}


@pytest.mark.parametrize("name", MISSING)
def test_a_missing_data_set_is_said(name, tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError) as caught:
        load_dataset(name)
    parts = [name, MISSING[name], "http", "bind dataset.path", "dsprites_full", str(tmp_path)]
    assert [part for part in parts if part not in said(caught)] == []
    with pytest.raises(FileNotFoundError, match=rf"no such file or folder: {tmp_path}/nowhere"):
        load_dataset(name, path=str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match=rf"{tmp_path}|expected"):
        load_dataset(name, path=str(tmp_path))
    monkeypatch.delenv("DISENTANGLEMENT_LIB_DATA")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"DISENTANGLEMENT_LIB_DATA is not set"):
        load_dataset(name)


def assert_refused(load, file, message=None):
    """One line that names the file and where to get it again, and nothing left in the cache."""
    with pytest.raises(ValueError, match=message) as caught:
        load()
    text = said(caught)
    assert str(file) in text
    assert "again from http" in text
    assert not list(Path(os.environ["SRVAE_CACHE"]).glob("*"))


def data_files(folder):
    found = [file for file in sorted(folder.iterdir()) if file.suffix != ".txt"]
    assert found
    return found


@EVERY
@pytest.mark.parametrize("kept", [0.0, 0.02, 0.5, 0.97])
def test_truncated_files_are_refused(case, written, kept):
    for file in data_files(written[0]):
        whole = file.read_bytes()
        files.truncate(file, kept)
        assert_refused(lambda: load(case), file)
        file.write_bytes(whole)


@EVERY
def test_something_else_is_refused(case, written):
    for file in data_files(written[0]):
        whole = file.read_bytes()
        file.write_text("<html>404 not found</html>" * 20)
        assert_refused(lambda: load(case), file)
        file.write_bytes(whole)


def _unsorted(images, labels):
    order = RandomState(0).permutation(len(images))
    return images[order], labels[order]


def _one_label_twice(images, labels):
    labels = labels.copy()
    labels[labels[:, 3] == labels[-1, 3], 3] = labels[0, 3]
    return images, labels


CHANGES = {
    "few": (lambda images, labels: (images[:20], labels[:20]), "expected"),
    "floats": (lambda images, labels: (images.astype(np.float32), labels), "found float32"),
    "grey": (lambda images, labels: (images[..., :1], labels), "expected uint8 of shape"),
    "few labels": (lambda images, labels: (images, labels[:, :5]), "labels: expected 48 rows"),
    "unsorted": (_unsorted, "not in the order of the factors"),
    "twice": (_one_label_twice, "'object size' does not take 3 values"),
}


@pytest.mark.parametrize("write", [files.write_shapes3d_h5, files.write_shapes3d_npz])
@pytest.mark.parametrize("change", CHANGES)
def test_another_shapes3d_is_refused(tmp_path, write, change):
    function, message = CHANGES[change]
    write(tmp_path, function)
    (file,) = tmp_path.glob("*.*")
    case = CASES["shapes3d h5"]
    assert_refused(lambda: load(case, path=str(file)), file, message)


def test_shapes3d_without_labels_is_refused(tmp_path):
    with h5py.File(tmp_path / "3dshapes.h5", "w") as file:
        file.create_dataset("images", data=files.blocks(48))
    case = CASES["shapes3d h5"]
    load_it = lambda: load(case, path=str(tmp_path))  # noqa: E731
    assert_refused(load_it, tmp_path, r"expected the data set 'labels', found \['images'\]")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"imgs": files.blocks(48)}, r"expected the array 'images', found \['imgs"),
        ({"images": files.blocks(47)}, r"expected uint8 of shape \(48, 64, 64, 3\)"),
        ({"images": files.noise(48, 64, 64)}, r"found uint8 of shape \(48, 64, 64\)"),
        ({"images": np.zeros((48, 64, 64, 3), np.float32)}, "found float32"),
        ({"images": np.array([{}], dtype=object)}, "plain numbers"),
        ({"images": np.asfortranarray(files.blocks(48))}, "Fortran order"),
    ],
)
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_another_mpi3d_is_refused(tmp_path, arrays, message, save):
    save(tmp_path / "mine.npz", **arrays)
    case = CASES["mpi3d_toy"]
    load_it = lambda: load(case, path=str(tmp_path / "mine.npz"))  # noqa: E731
    assert_refused(load_it, tmp_path / "mine.npz", message)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ({"other": np.zeros(3)}, "expected the array 'im'"),
        ({"im": np.zeros((128, 128, 3, 4, 24), np.uint8)}, r"expected uint8 of shape \(128, 128"),
        ({"im": np.zeros((128, 128, 3, 24, 4))}, "found float64"),
    ],
)
def test_other_cars_are_refused(tmp_path, contents, message):
    files.write_cars3d(tmp_path)
    savemat(tmp_path / "car_002_mesh.mat", contents)
    load_it = lambda: load(CASES["cars3d"], path=str(tmp_path))  # noqa: E731
    assert_refused(load_it, tmp_path / "car_002_mesh.mat", message)


def test_another_number_of_cars_is_refused(tmp_path):
    files.write_cars3d(tmp_path, 3)
    load_it = lambda: load(CASES["cars3d"], path=str(tmp_path))  # noqa: E731
    assert_refused(load_it, tmp_path, r"expected 2 cars \*\.mat, found 3")


def _norb(kind, change):
    return lambda name, array: change(array) if name == kind else array


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_norb("dat", lambda a: a[:-1]), r"expected uint8 of shape \(24, 2, 96, 96\)"),
        (_norb("dat", lambda a: a[..., :90].copy()), "expected uint8"),
        (_norb("cat", lambda a: a + 1), "category: expected 0 to 1, found 1 to 2"),
        (_norb("cat", lambda a: a.astype(np.uint8)), "expected int32"),
        (_norb("cat", lambda a: a * 0), "expected each combination of factors"),
        (_norb("info", lambda a: a[:, :3].copy()), r"expected int32 of shape \(24, 4\)"),
        (_norb("info", lambda a: a + 1), "even azimuths"),
        (_norb("info", lambda a: a - 2), "instance: expected 0 to 3, found -1 to 1"),
    ],
)
def test_other_norb_files_are_refused(tmp_path, change, message):
    files.write_smallnorb(tmp_path, change=change)
    load_it = lambda: load(CASES["smallnorb"], path=str(tmp_path))  # noqa: E731
    assert_refused(load_it, tmp_path, message)


def test_a_missing_norb_file_is_named(tmp_path):
    files.write_smallnorb(tmp_path)
    name = "smallnorb-5x01235x9x18x6x2x96x96-testing-info.mat"
    (tmp_path / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"expected {name} or {name}\.gz"):
        load(CASES["smallnorb"], path=str(tmp_path))


def test_norb_files_that_are_too_long_are_refused(tmp_path):
    files.write_smallnorb(tmp_path)
    for file in sorted(tmp_path.iterdir()):
        whole = file.read_bytes()
        file.write_bytes(whole + b"\0")
        load_it = lambda: load(CASES["smallnorb"], path=str(tmp_path))  # noqa: E731
        assert_refused(load_it, file, "longer than its header says")
        file.write_bytes(whole)


# ---------------------------------------------------------------- images without factors


def test_celeba_is_cropped_and_made_smaller(tmp_path, caplog):
    faces = files.write_celeba(tmp_path / "data" / "celeba" / "img_align_celeba")
    data = load_dataset("celeba")
    assert "expected 202599 faces, found 5" in caplog.text
    assert data.observation_shape == [64, 64, 3]
    expected = []
    for face in faces:
        with Image.open(face) as picture:
            middle = np.asarray(picture)[35:183, 15:163]
        small = Image.fromarray(middle).resize((64, 64), Image.Resampling.BILINEAR)
        expected.append(np.asarray(small) / np.float32(255))
    np.testing.assert_array_equal(data._images.at(np.arange(5)), np.stack(expected))


def test_chairs_are_kept_whole_on_white(tmp_path, caplog):
    chairs = files.write_chairs(tmp_path / "data" / "chairs" / "rendered_chairs")
    data = load_dataset("chairs")
    assert "expected 86366 renderings, found 4" in caplog.text
    assert data.observation_shape == [64, 64, 3]
    images = data._images.at(np.arange(4))
    for image, chair in zip(images, chairs, strict=True):
        with Image.open(chair) as picture:
            pixels = np.asarray(picture.convert("RGBA"), dtype=np.float64) / 255
        on_white = pixels[..., :3] * pixels[..., 3:] + 1 - pixels[..., 3:]
        assert image.mean() == pytest.approx(on_white.mean(), abs=0.01)
        # The middles of the first and the last of its 10x10 squares.
        np.testing.assert_allclose(image[3, 3], on_white[3, 3], atol=0.01)
        np.testing.assert_allclose(image[60, 60], on_white[57, 57], atol=0.01)


WRITERS = {
    "celeba": (files.write_celeba, "img_align_celeba"),
    "chairs": (files.write_chairs, "rendered_chairs"),
}


@pytest.mark.parametrize("name", WRITERS)
def test_archive_and_folder_have_the_same_images(name, tmp_path, monkeypatch):
    write, inner = WRITERS[name]
    write(tmp_path / inner)
    (tmp_path / inner / "._000001.jpg").write_text("what a Mac leaves")
    monkeypatch.setattr(image_files, "_CHUNK", 3)  # several pieces
    if name == "celeba":
        archive = tmp_path / "img_align_celeba.zip"
        files.zip_of(archive, tmp_path / inner, inner)
    else:
        archive = tmp_path / "rendered_chairs.tar"
        files.tar_of(archive, tmp_path / inner, inner, "w")
    loaded = [load_dataset(name, path=str(path)) for path in (tmp_path / inner, archive)]
    images = [data._images.at(np.arange(data.num_observations)) for data in loaded]
    np.testing.assert_array_equal(*images)
    assert load_dataset(name, path=str(tmp_path)).source in (str(archive), str(tmp_path / inner))


@pytest.mark.parametrize("name", WRITERS)
def test_images_without_factors_are_drawn(name, tmp_path):
    write, inner = WRITERS[name]
    write(tmp_path / inner)
    data = pickle.loads(pickle.dumps(load_dataset(name, path=str(tmp_path / inner))))
    assert isinstance(data, GroundTruthData)
    assert (data.num_factors, data.factors_num_values, data.factor_names) == (0, [], [])
    factors, observations = data.sample(50, RandomState(0))
    assert factors.shape == (50, 0)
    assert observations.shape == (50, 64, 64, 3)
    assert observations.dtype == np.float32
    chosen = RandomState(0).randint(data.num_observations, size=50)
    np.testing.assert_array_equal(observations, data._images.at(chosen))
    assert len(np.unique(chosen)) == data.num_observations
    with pytest.raises(ValueError, match=rf"{name} has no factors: expected \(num, 0\)"):
        data.sample_observations_from_factors(np.zeros((2, 1), int), RandomState(0))


@pytest.mark.parametrize("name", WRITERS)
def test_a_damaged_picture_is_named(name, tmp_path):
    write, inner = WRITERS[name]
    pictures = write(tmp_path / inner)
    load_it = lambda: load_dataset(name, path=str(tmp_path / inner))  # noqa: E731
    whole = pictures[1].read_bytes()
    for contents in (b"", whole[: len(whole) // 2], b"hello" * 50):
        pictures[1].write_bytes(contents)
        assert_refused(load_it, pictures[1])
    Image.new("RGB", (50, 60)).save(pictures[1])
    assert_refused(load_it, pictures[1], "found 50x60")


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.9])
def test_a_truncated_archive_is_refused(name, tmp_path, kept):
    write, inner = WRITERS[name]
    write(tmp_path / inner)
    archive = tmp_path / "archive"
    if name == "celeba":
        files.zip_of(archive, tmp_path / inner, inner)
    else:
        files.tar_of(archive, tmp_path / inner, inner, "w")
        with tarfile.open(archive) as tar:  # the rest is blank
            os.truncate(archive, tar.getmembers()[-1].offset_data + 100)
    files.truncate(archive, kept)
    assert_refused(lambda: load_dataset(name, path=str(archive)), archive)


@pytest.mark.parametrize("name", WRITERS)
def test_an_empty_folder_is_said(name, tmp_path, caplog):
    with caplog.at_level(logging.WARNING), pytest.raises(FileNotFoundError, match="pictures"):
        load_dataset(name, path=str(tmp_path))
