"""TensorFlow Datasets without TensorFlow: their own builders prepare small official files.

To prepare, TFDS has TensorFlow encode arrays as PNG and open files; here Pillow and Python do.
Everything else, what is written and how it is read, is TFDS's own.
"""

import io
import json
import pickle
import sys
import types
from pathlib import Path

import h5py
import numpy as np
import official_files as files
import pytest
from PIL import Image

from srvae_plugin import load_dataset
from srvae_plugin.data import dsprites_renderer
from srvae_plugin.data.ground_truth import GroundTruthData

tfds = pytest.importorskip("tensorflow_datasets")

from tensorflow_datasets.core.download import extractor  # noqa: E402
from tensorflow_datasets.core.features import image_feature  # noqa: E402
from tensorflow_datasets.datasets.smallnorb import smallnorb_dataset_builder  # noqa: E402

RNG = np.random.RandomState
DSPRITES = (1, 3, 2, 3, 2, 4)


def encode_by_pillow(encoder, array):
    return encoder._encode_pil_image(
        Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)
    )


class LocalFile(io.BytesIO):
    """What TFDS reads by tf.io.gfile.GFile; as that, it can be read on after it was closed."""

    def __init__(self, path, mode):
        super().__init__(Path(path).read_bytes())

    def close(self):
        pass


def prepare(monkeypatch, name, data_dir, sources):
    """Have TFDS prepare a data set from official files: one path, or paths by what they are."""
    manager = tfds.download.DownloadManager
    monkeypatch.setattr(manager, "download", lambda self, urls: sources)
    monkeypatch.setattr(manager, "download_and_extract", lambda self, urls: sources)
    monkeypatch.setattr(image_feature._ImageEncoder, "_encode_image", encode_by_pillow)
    gfile = types.SimpleNamespace(GFile=LocalFile)
    for module in (extractor, smallnorb_dataset_builder):
        monkeypatch.setattr(
            module, "tf", types.SimpleNamespace(io=types.SimpleNamespace(gfile=gfile))
        )
    tfds.builder(name, data_dir=data_dir).download_and_prepare(file_format="array_record")


def write_dsprites(folder, images=None):
    classes = np.array(list(np.ndindex(*DSPRITES)))
    images = dsprites_renderer.render_images(classes[:, 1:]) if images is None else images
    with h5py.File(folder / "dsprites.hdf5", "w") as file:
        file["imgs"] = images
        file["latents/classes"] = classes
        file["latents/values"] = classes / 7
    return folder / "dsprites.hdf5", images


def norb_sources(folder):
    return {
        f"{kind}_{part}": str(folder / f"smallnorb-{split}-{part}.mat")
        for split in files.SPLITS
        for kind in ("training", "testing")
        if split.endswith(kind)
        for part in ("dat", "cat", "info")
    }


def celeba_sources(folder, splits=(0, 0, 0, 1, 1, 2)):
    """The archive, and the lists beside it, of a few faces."""
    faces = files.write_celeba(folder / "faces", num=len(splits))
    files.zip_of(folder / "img_align_celeba.zip", folder / "faces", "img_align_celeba")
    names = [face.name for face in faces]
    attributes = " ".join(sorted(tfds.builder("celeb_a").info.features["attributes"]))
    landmarks = " ".join(tfds.builder("celeb_a").info.features["landmarks"])
    signs = " ".join(["1"] * len(attributes.split()))
    spots = " ".join(["9"] * len(landmarks.split()))
    count = str(len(names))
    lists = {
        "list_eval_partition": [f"{n} {s}" for n, s in zip(names, splits, strict=True)],
        "list_attr_celeba": [count, attributes, *(f"{n} {signs}" for n in names)],
        "landmarks_celeba": [count, landmarks, *(f"{n} {spots}" for n in names)],
        "identity_celeba": [f"{n} 7" for n in names],
    }
    sources = {"img_align_celeba": str(folder / "img_align_celeba.zip")}
    for name, lines in lists.items():
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
        sources[name] = str(folder / f"{name}.txt")
    return sources


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Folder of the official files, and TFDS's folder with all four data sets."""
    official, data_dir = tmp_path_factory.mktemp("official"), tmp_path_factory.mktemp("tfds")
    with pytest.MonkeyPatch.context() as monkeypatch:
        prepare(monkeypatch, "dsprites", data_dir, str(write_dsprites(official)[0]))
        files.write_shapes3d_h5(official)
        prepare(monkeypatch, "shapes3d", data_dir, str(official / "3dshapes.h5"))
        files.write_smallnorb(official / "norb")
        prepare(monkeypatch, "smallnorb", data_dir, norb_sources(official / "norb"))
        prepare(monkeypatch, "celeb_a", data_dir, celeba_sources(official))
    return official, data_dir


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SRVAE_CACHE", str(tmp_path / "cache"))


GRIDS = {
    "shapes3d": (files.SHAPES3D, "3dshapes.h5"),
    "smallnorb": (files.SMALLNORB, "norb"),
}


@pytest.mark.parametrize("name", GRIDS)
def test_observations_are_those_of_the_official_file(prepared, name):
    """By our own loader of it, factor by factor."""
    official, data_dir = prepared
    sizes, file = GRIDS[name]
    ours = load_dataset(name, path=str(official / file), factor_sizes=sizes)
    theirs = load_dataset(f"tfds_{name}", data_dir=str(data_dir), factor_sizes=sizes)
    assert isinstance(theirs, GroundTruthData)
    assert theirs.factor_names == ours.factor_names
    assert theirs.factors_num_values == ours.factors_num_values
    assert theirs.observation_shape == ours.observation_shape
    everything = np.arange(ours.num_observations)
    np.testing.assert_array_equal(theirs.factors_at(everything), ours.factors_at(everything))
    np.testing.assert_array_equal(
        theirs.observations_at(everything), ours.observations_at(everything)
    )
    np.testing.assert_array_equal(theirs.sample(5, RNG(3))[1], ours.sample(5, RNG(3))[1])


def test_records_were_shuffled(prepared):
    """Or else putting them into order would not be tested."""
    _, data_dir = prepared
    records = tfds.builder("shapes3d", data_dir=data_dir).as_data_source("train")
    labels = [records[i]["label_orientation"] for i in range(len(records))]
    assert labels != list(np.arange(len(labels)) % files.SHAPES3D[-1])


@pytest.mark.parametrize(
    ("name", "factors"), [("dsprites_full", [1, 2, 3, 4, 5]), ("dsprites_noshape", [2, 3, 4, 5])]
)
def test_dsprites_are_the_embedded_ones(prepared, name, factors):
    data = load_dataset(f"tfds_{name}", data_dir=str(prepared[1]), factor_sizes=DSPRITES)
    assert data.factors_num_values == [DSPRITES[i] for i in factors]
    assert data.observation_shape == [64, 64, 1]
    every = np.array(list(np.ndindex(*DSPRITES)))
    expected = dsprites_renderer.render_images(every[:, 1:])
    found = data.observations_at(np.arange(len(every)))
    np.testing.assert_array_equal(found[..., 0], expected)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(data.factors_at(np.arange(len(every))), every[:, factors])
    received = pickle.loads(pickle.dumps(data))
    assert len(pickle.dumps(data)) < 5000
    np.testing.assert_array_equal(received.observations_at(np.arange(9)), found[:9])


def test_faces_are_those_of_the_archive_cut_alike(prepared):
    official, data_dir = prepared
    ours = load_dataset("celeba", path=str(official / "img_align_celeba.zip"))
    theirs = load_dataset("tfds_celeba", data_dir=str(data_dir))
    assert theirs.num_factors == 0
    assert theirs.observation_shape == [64, 64, 3]
    assert theirs.num_observations == 6
    images = [sorted(data._images.at(np.arange(6)).tolist(), key=str) for data in (ours, theirs)]
    # TFDS's order is another; it keeps the JPEGs as they are.
    np.testing.assert_allclose(images[0], images[1], atol=1e-6)


def test_tensorflow_is_never_imported(prepared):
    load_dataset("tfds_shapes3d", data_dir=str(prepared[1]), factor_sizes=files.SHAPES3D)
    assert "tensorflow" not in sys.modules


def test_the_cache_is_made_once(prepared, tmp_path, monkeypatch):
    options = {"data_dir": str(prepared[1]), "factor_sizes": files.SHAPES3D}
    first = load_dataset("tfds_shapes3d", **options).observations_at(np.arange(9))
    monkeypatch.setattr("srvae_plugin.data.tfds_source._order", None)
    again = load_dataset("tfds_shapes3d", **options).observations_at(np.arange(9))
    np.testing.assert_array_equal(first, again)
    assert len(list((tmp_path / "cache").glob("tfds-shapes3d-*.npy"))) == 1


def test_a_data_set_that_is_not_there_is_said(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        load_dataset("tfds_shapes3d", data_dir=str(tmp_path))
    text = str(caught.value).splitlines()[0]
    assert f"{tmp_path}/shapes3d" in text
    assert "tfds build shapes3d --file_format=array_record" in text
    assert "bind dataset.data_dir" in text


def test_without_the_extra_the_way_to_it_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(ValueError, match=r"pip install 'srvae_plugin\[tfds\]'"):
        load_dataset("tfds_shapes3d")


def test_another_size_than_expected_is_said(prepared):
    with pytest.raises(
        ValueError, match=r"expected 480000 images, found 48; .*tfds build shapes3d"
    ):
        load_dataset("tfds_shapes3d", data_dir=str(prepared[1]))
    wrong = (2, 2, 1, 2, 3, 2)  # as many images, other factors
    with pytest.raises(ValueError, match=r"label_scale: expected 0 to 1, found 2"):
        load_dataset("tfds_shapes3d", data_dir=str(prepared[1]), factor_sizes=wrong)


def copied(prepared, tmp_path, name):
    source = next((prepared[1] / name).iterdir())
    target = tmp_path / "copy" / name / source.name
    target.mkdir(parents=True)
    for file in source.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    return target


def test_a_combination_that_is_missing_is_said(tmp_path, monkeypatch):
    def one_twice(images, labels):
        labels[5] = labels[6]
        return images, labels

    files.write_shapes3d_h5(tmp_path, one_twice)
    prepare(monkeypatch, "shapes3d", tmp_path / "tfds", str(tmp_path / "3dshapes.h5"))
    with pytest.raises(
        ValueError, match=r"no image has label_floor_hue, .* = \[0, 0, 0, 1, 0, 1\]"
    ):
        load_dataset("tfds_shapes3d", data_dir=str(tmp_path / "tfds"), factor_sizes=files.SHAPES3D)


def test_a_format_that_only_tensorflow_reads_is_said(prepared, tmp_path):
    folder = copied(prepared, tmp_path, "shapes3d")
    info = json.loads((folder / "dataset_info.json").read_text())
    info["fileFormat"] = "tfrecord"
    info["splits"][0]["filepathTemplate"] = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
    (folder / "dataset_info.json").write_text(json.dumps(info))
    for file in folder.glob("*array_record*"):
        file.rename(folder / file.name.replace("array_record", "tfrecord"))
    with pytest.raises(ValueError, match=r"format tfrecord.*tfds convert_format --dataset_dir="):
        load_dataset("tfds_shapes3d", data_dir=str(tmp_path / "copy"), factor_sizes=files.SHAPES3D)


def test_a_truncated_copy_is_said(prepared, tmp_path):
    folder = copied(prepared, tmp_path, "shapes3d")
    (records,) = folder.glob("*array_record*")
    files.truncate(records, 0.5)
    with pytest.raises(
        ValueError, match=r"not a complete TFDS shapes3d file: .*tfds build"
    ) as caught:
        load_dataset("tfds_shapes3d", data_dir=str(tmp_path / "copy"), factor_sizes=files.SHAPES3D)
    assert str(folder) in str(caught.value)
    assert not list((tmp_path / "cache").glob("*.npy"))


def test_other_images_than_black_and_white_are_refused_for_dsprites(tmp_path, monkeypatch):
    images = np.full((np.prod(DSPRITES), 64, 64), 255, np.uint8)
    file, _ = write_dsprites(tmp_path, images)
    prepare(monkeypatch, "dsprites", tmp_path / "tfds", str(file))
    with pytest.raises(ValueError, match="expected the values 0 and 1, found 255"):
        load_dataset("tfds_dsprites_full", data_dir=str(tmp_path / "tfds"), factor_sizes=DSPRITES)
