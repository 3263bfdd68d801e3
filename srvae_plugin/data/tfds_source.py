"""Data sets that TensorFlow Datasets (TFDS) has prepared, read without TensorFlow.

Needs the extra ``srvae_plugin[tfds]``. TFDS itself needs TensorFlow to prepare a data set, once, in
the format array_record::

    tfds build shapes3d --file_format=array_record

or to convert a copy in its default format, tfrecord::

    tfds convert_format --dataset_dir=~/tensorflow_datasets/shapes3d --out_file_format=array_record

TFDS shuffles what it writes. On first use the images are put into the order of their factors,
written uncompressed to the cache folder and memory-mapped from then on, as those of the original
files are; a few minutes for the large ones. Peak memory while that happens: a row number for each
image (6 MB for dSprites) and 1,024 images; afterwards none but the pages in use.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from srvae_plugin.data import (
    celeba,
    dsprites_renderer,
    shapes3d,
    smallnorb,
)
from srvae_plugin.data.dsprites import DSprites
from srvae_plugin.data.ground_truth import FactorGrid
from srvae_plugin.data.image_grid import ImageGrid, checked_sizes
from srvae_plugin.data.images_only import ImagesOnly
from srvae_plugin.data.storage.array_cache import streamed_array
from srvae_plugin.data.storage.locate import (
    Origin,
    PathLike,
    expanded,
    source_key,
)
from srvae_plugin.data.storage.mapped_images import MappedImages

__all__ = [
    "Convert",
    "tfds_celeba",
    "tfds_dsprites_full",
    "tfds_dsprites_noshape",
    "tfds_shapes3d",
    "tfds_smallnorb",
]


Convert = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]

_CACHE_NAME = "tfds-{name}-v1-{key}.npy"
_CHUNK = 1024


def tfds_dsprites_full(
    data_dir: PathLike | None = None, factor_sizes: tuple[int, ...] | None = None
) -> FactorGrid:
    """Returns TFDS's dsprites with the factors of :func:`srvae_plugin.data.dsprites.dsprites_full`.

    Args:
        data_dir: TFDS's folder; by default ``$TFDS_DATA_DIR`` or ``~/tensorflow_datasets``.
        factor_sizes: sizes of color, shape, scale, orientation, position x and position y in a copy
            that is an excerpt.

    Raises:
        FileNotFoundError: if the data set is not there.
        ValueError: if TFDS is not installed, or the data set is damaged or in another format.
        OSError: if the cache cannot be written.
    """
    return _TfdsDSprites([1, 2, 3, 4, 5], data_dir, factor_sizes)


def tfds_dsprites_noshape(
    data_dir: PathLike | None = None, factor_sizes: tuple[int, ...] | None = None
) -> FactorGrid:
    """Returns TFDS's dsprites, shape being random.

    Arguments and exceptions are those of :func:`tfds_dsprites_full`.
    """
    return _TfdsDSprites([2, 3, 4, 5], data_dir, factor_sizes)


def tfds_shapes3d(
    data_dir: PathLike | None = None, factor_sizes: tuple[int, ...] | None = None
) -> FactorGrid:
    """Returns TFDS's shapes3d with the factors of :func:`srvae_plugin.data.shapes3d.shapes3d`.

    Arguments and exceptions are those of :func:`tfds_dsprites_full`.
    """
    sizes = checked_sizes(factor_sizes, shapes3d.FACTOR_SIZES, "shapes3d")
    prepared = _prepared("shapes3d", "train", data_dir)
    names = ("floor_hue", "wall_hue", "object_hue", "scale", "shape", "orientation")
    labels = [f"label_{name}" for name in names]
    images = _arranged(prepared, labels, sizes, shapes3d.IMAGE_SHAPE, lambda images: images)
    return ImageGrid(images, sizes, shapes3d.FACTOR_NAMES, source=str(prepared.folder))


def tfds_smallnorb(
    data_dir: PathLike | None = None, factor_sizes: tuple[int, ...] | None = None
) -> FactorGrid:
    """Returns TFDS's smallnorb with the factors of :func:`srvae_plugin.data.smallnorb.smallnorb`.

    Training and test images together, the first of each pair, at 64x64. Arguments and exceptions
    are those of :func:`tfds_dsprites_full`; `factor_sizes` counts categories, toys, elevations,
    azimuths and lightings.
    """
    sizes = checked_sizes(factor_sizes, smallnorb.FACTOR_SIZES, "smallnorb")
    prepared = _prepared("smallnorb", "train+test", data_dir)
    labels = ["label_category", "instance", "label_elevation", "label_azimuth", "label_lighting"]
    images = _arranged(
        prepared,
        labels,
        sizes,
        smallnorb.IMAGE_SHAPE,
        lambda pairs: smallnorb.smaller(pairs[..., 0])[..., None],
    )
    factors = [0, 2, 3, 4]  # which toy of its category is seen is random
    return ImageGrid(images, sizes, smallnorb.FACTOR_NAMES, factors, str(prepared.folder))


def tfds_celeba(data_dir: PathLike | None = None) -> ImagesOnly:
    """Returns TFDS's celeb_a, all three splits, cut and resized as ours is; without factors.

    Args:
        data_dir: TFDS's folder; by default ``$TFDS_DATA_DIR`` or ``~/tensorflow_datasets``.

    Raises:
        FileNotFoundError, ValueError, OSError: as in :func:`tfds_dsprites_full`.
    """
    prepared = _prepared("celeb_a", "train+validation+test", data_dir)
    images = _arranged(prepared, None, (len(prepared.records),), celeba.IMAGE_SHAPE, _faces)
    return ImagesOnly(MappedImages(images), "tfds_celeba", str(prepared.folder))


class _TfdsDSprites(DSprites):
    """dSprites whose bit-packed images come from TFDS."""

    def __init__(
        self,
        factors: Sequence[int],
        data_dir: PathLike | None,
        factor_sizes: tuple[int, ...] | None,
    ) -> None:
        sizes = checked_sizes(factor_sizes, dsprites_renderer.FACTOR_SIZES, "dsprites")
        shape = (dsprites_renderer.IMAGE_SIZE, dsprites_renderer.IMAGE_SIZE, 1)
        FactorGrid.__init__(self, sizes, dsprites_renderer.FACTOR_NAMES, shape, factors)
        self._data_dir = data_dir
        self._open()

    def _open(self) -> None:
        prepared = _prepared("dsprites", "train", self._data_dir)
        self.source = str(prepared.folder)
        names = ("shape", "scale", "orientation", "x_position", "y_position")
        labels = [f"label_{name}" for name in names]
        # TFDS leaves out the color, which has one value.
        sizes = tuple(self.factor_sizes[1:])
        shape = (dsprites_renderer.PACKED_BYTES,)
        self._packed = _arranged(prepared, labels, sizes, shape, _packed)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()


class _Prepared(NamedTuple):
    """A data set that TFDS has prepared."""

    origin: Origin
    folder: Path
    records: Any
    """A sequence of dictionaries with decoded images."""
    labels: Any
    """The same without decoding the images."""


def _prepared(name: str, split: str, data_dir: PathLike | None) -> _Prepared:
    try:
        import array_record  # noqa: F401
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise ValueError(
            f"TFDS's {name} needs packages that are not installed ({error}): "
            "pip install 'srvae_plugin[tfds]'"
        ) from None
    build = f"tfds build {name} --file_format=array_record (which needs TensorFlow)"
    root = None if data_dir is None else expanded(data_dir)
    builder = tfds.builder(name, data_dir=root)
    folder = Path(builder.data_dir)
    if not builder.info.splits:
        raise FileNotFoundError(
            f"TFDS's {name} is missing: {folder} does not have it; make it by {build}, or bind "
            "dataset.data_dir to TFDS's folder"
        )
    origin = Origin(f"TFDS {name}", (name,), build)
    try:
        with origin.reading(folder):
            images = ("image", "image2") if name == "smallnorb" else ("image",)
            skipped = {image: tfds.decode.SkipDecoding() for image in images}
            labels = builder.as_data_source(split, decoders=skipped)
            return _Prepared(origin, folder, builder.as_data_source(split), labels)
    except ValueError as error:
        if not isinstance(error.__cause__, NotImplementedError):
            raise
        raise ValueError(
            f"{folder}: in the format {builder.info.file_format.value}, which only TensorFlow "
            f"reads; run tfds convert_format --dataset_dir={folder.parent} "
            "--out_file_format=array_record (which needs TensorFlow)"
        ) from None


def _arranged(
    prepared: _Prepared,
    labels: Sequence[str] | None,
    sizes: tuple[int, ...],
    shape: tuple[int, ...],
    convert: Convert,
) -> NDArray[np.uint8]:
    """All images in the order of these labels, or as they come, converted to `shape`."""
    folder, num = prepared.folder, math.prod(sizes)

    def chunks() -> Iterator[NDArray[np.uint8]]:
        with prepared.origin.reading(folder):
            order = np.arange(num) if labels is None else _order(prepared.labels, labels, sizes)
            for start in range(0, num, _CHUNK):
                records = prepared.records.__getitems__(order[start : start + _CHUNK].tolist())
                yield convert(np.stack([record["image"] for record in records]))

    with prepared.origin.reading(folder):
        if len(prepared.records) != num:
            raise ValueError(f"expected {num} images, found {len(prepared.records)}")
    files = sorted(path.name for path in folder.iterdir() if path.is_file())
    name = _CACHE_NAME.format(name=folder.parent.name, key=source_key(folder, files))
    return streamed_array(name, (num, *shape), chunks)


def _order(records: Any, labels: Sequence[str], sizes: tuple[int, ...]) -> NDArray[np.int64]:
    """Row number of each combination of labels, the last varying fastest."""
    order = np.full(math.prod(sizes), -1)
    for start in range(0, len(records), _CHUNK):
        rows = range(start, min(start + _CHUNK, len(records)))
        found = records.__getitems__(list(rows))
        columns = tuple(np.array([record[label] for record in found]) for label in labels)
        for label, column, size in zip(labels, columns, sizes, strict=True):
            if column.max() >= size:
                raise ValueError(f"{label}: expected 0 to {size - 1}, found {column.max()}")
        order[np.ravel_multi_index(columns, sizes)] = rows
    if (order < 0).any():
        missing = [int(label) for label in np.unravel_index(int(np.argmin(order)), sizes)]
        raise ValueError(f"no image has {', '.join(labels)} = {missing}")
    return order


def _packed(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if images.max() > 1:
        raise ValueError(f"image: expected the values 0 and 1, found {images.max()}")
    return np.packbits(images.reshape(len(images), -1), axis=1)


def _faces(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.stack([np.asarray(celeba.cropped_face(Image.fromarray(image))) for image in images])
