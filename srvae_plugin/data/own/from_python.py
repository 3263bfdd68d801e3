"""What a Python program has in hand, as a data set to train on: arrays, tensors, torch Datasets.

torch is not imported: its tensors, Datasets and DataLoaders are known by what they offer.
"""

from __future__ import annotations

import hashlib
import os
from functools import cached_property
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.data.image_table import ImageTable
from srvae_plugin.data.images_only import ImagesOnly
from srvae_plugin.data.own.factor_columns import Bins, FactorColumns, Kinds
from srvae_plugin.data.own.given_factors import array_of, given_factors
from srvae_plugin.data.own.image_scale import Layout, extent, warn_of_dark_images
from srvae_plugin.data.storage.byte_table import ByteTable
from srvae_plugin.data.storage.locate import as_typed

__all__ = [
    "ArrayData",
    "ArrayImages",
    "DatasetImages",
    "GivenTable",
    "as_data",
    "loader_batch_size",
]

_CHANNELS = (1, 3)
_LOOKED_AT = 16
"""Items of a Dataset that tell how its values are to be read."""
_PIL_MODES = ("1", "L", "RGB")
"""Of PIL images; others do not hold intensities."""
_IMAGE_KEYS = ("image", "images", "x", "x_targ")  # the last is disent's, in a tuple
_EXPECTED = (
    "expected uint8 (0 to 255), bool, or floating point in [0, 1], of shape (images, height, "
    "width), (images, height, width, channels) or (images, channels, height, width) with one "
    "channel or three; or floating point vectors (vectors, features)"
)


def as_data(
    data: Any,
    layout: Layout | None = None,
    *,
    factor_kinds: Kinds = None,
    factor_bins: Bins = None,
) -> GroundTruthData:
    """Return a data set to draw batches from, as `train` and `score` do with what they are given.

    Every batch is drawn uniformly with replacement by a seeded generator whose state is part of a
    checkpoint. That holds for a DataLoader too: its Dataset is read, by index and in this process,
    and its order, workers and pinned memory play no part.

    Args:
        data: one of

            * a data set of ours or disentanglement_lib's, or one that draws like them, returned as
              it is;
            * an array or a tensor: uint8, 255 being white; bool; or floating point in [0, 1]. Axes
              are (N, H, W), (N, H, W, C) or (N, C, H, W), C being 1 or 3. It is not copied, but
              for bfloat16, which becomes float32;
            * an array or a tensor (N, features) of floating point vectors, any finite numbers:
              observations of one pixel with so many channels;
            * a pair (images, factors) of such an array and a table (N, factor) or (N,), an array,
              a tensor or a data frame, whose names are kept: a data set to train and to score on;
            * a torch Dataset with a length, whose items are such an image or a tuple, list or
              dictionary ("image", "images", "x" or disent's "x_targ") with it. A resumed run
              goes on with random transforms that use torch's, numpy's or Python's generator;
            * a torch DataLoader of one, without a sampler or collate_fn of its own.
        layout: "NHW", "NHWC" or "NCHW", where the shape leaves a doubt.
        factor_kinds: "class" or "continuous" for factors of a pair, by name or index, in a list, or
            one word for all; by default words and whole numbers are classes.
        factor_bins: bins that make classes of continuous factors: a number for all, or by name.

    Raises:
        ValueError: it is something else, its axes can be read in two ways, or its values are on
            another scale.

    Examples:
        >>> import numpy as np
        >>> as_data(np.zeros((100, 3, 64, 64), np.uint8)).observation_shape
        [64, 64, 3]
    """
    if layout is not None and layout not in get_args(Layout):
        raise ValueError(f"layout = {layout!r}: expected one of {', '.join(get_args(Layout))}")
    if isinstance(data, tuple) and len(data) == 2:
        return _with_factors(*data, layout, factor_kinds, factor_bins)
    if factor_kinds is not None or factor_bins is not None:
        raise ValueError("factor_kinds and factor_bins go with a pair (images, factors)")
    if hasattr(data, "sample_observations") and hasattr(data, "observation_shape"):
        _require_observations(data)
        return data
    if hasattr(data, "batch_sampler") and hasattr(data, "dataset"):
        return as_data(_dataset_of(data), layout)
    if hasattr(data, "__array__"):
        images = ArrayImages(array_of(data), layout)
        if not images.are_vectors:
            _warn_of_dark("data", images.extent[1])
        return ArrayData(images, "array")
    if hasattr(data, "__getitem__") and not isinstance(data, str | bytes | dict | list | tuple):
        return ImagesOnly(DatasetImages(data, layout), type(data).__name__)
    said = f"data: got {type(data).__name__}; expected a data set, an array, a tensor, a pair "
    said += "(images, factors), a torch Dataset with a length or a DataLoader of one"
    if isinstance(data, str | os.PathLike):
        said = f"data: got the text {str(data)!r}; load_dataset makes data of a name or of files"
        said += as_typed(data)
    raise ValueError(said)


def loader_batch_size(data: Any) -> int | None:
    """Batch size of a DataLoader; None of anything else."""
    if hasattr(data, "batch_sampler") and hasattr(data, "dataset"):
        return getattr(data, "batch_size", None)
    return None


def _dataset_of(loader: Any) -> Any:
    """The Dataset of a DataLoader that does nothing else than to draw from it."""
    sampler = type(getattr(loader, "sampler", None))
    collate = getattr(loader, "collate_fn", None)
    why = None
    if not sampler.__module__.startswith("torch.utils.data"):
        why = f"a sampler of its own ({sampler.__name__})"
    elif sampler.__name__ not in ("SequentialSampler", "RandomSampler", "_InfiniteConstantSampler"):
        why = f"a {sampler.__name__}, which draws otherwise than uniformly"
    elif not str(getattr(collate, "__module__", "")).startswith("torch.utils.data"):
        why = f"a collate_fn of its own ({getattr(collate, '__name__', collate)})"
    if why:
        raise ValueError(
            f"data: the DataLoader has {why}, which would not be used: batches are drawn "
            "uniformly, so that a run can be resumed; pass loader.dataset if that is meant"
        )
    return loader.dataset


def _require_observations(data: GroundTruthData) -> None:
    """Refuse a data set whose observations are not what models and metrics take."""
    drawn = np.asarray(data.sample_observations(_LOOKED_AT, np.random.RandomState(0)))
    shape, name = (_LOOKED_AT, *data.observation_shape), type(data).__name__
    if drawn.shape != shape:
        raise ValueError(f"data: {name} draws observations of shape {drawn.shape}, not {shape}")
    low, high = extent(drawn)
    is_image = len(shape) == 4 and shape[1:3] != (1, 1)
    if drawn.dtype.kind != "f" or (is_image and not (low >= 0 and high <= 1)):
        raise ValueError(
            f"data: {name} draws {drawn.dtype} from {low:g} to {high:g}; expected images as "
            "floating point in [0, 1]: divide by 255, say"
        )


def _with_factors(
    images: Any, factors: Any, layout: Layout | None, kinds: Kinds, bins: Bins
) -> ImageTable:
    source: Any = as_data(images, layout)
    return GivenTable(source, given_factors(factors, len(images), kinds=kinds, bins=bins))


class ArrayImages:
    """Images of an array, see :class:`srvae_plugin.data.storage.mapped_images.StoredImages`.

    Args:
        array: see `as_data`.
        layout: of its axes.

    Raises:
        ValueError: see `as_data`.
    """

    def __init__(self, array: NDArray[Any], layout: Layout | None = None) -> None:
        self._array = _channels_last(array, layout)
        self.are_vectors = array.ndim == 2
        self._extent = _require_scale(array)

    def __len__(self) -> int:
        return len(self._array)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Height, width and channels."""
        return self._array.shape[1:]

    def at(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """Images of these indices, float32 in [0, 1]; vectors as they are.

        Raises:
            ValueError: one is not.
        """
        images = self._array[indices]
        if images.dtype == np.uint8:
            return np.divide(images, 255, dtype=np.float32)
        images = images.astype(np.float32)
        if self.are_vectors:
            if not np.isfinite(images).all():
                raise ValueError(f"data: got vectors that are not finite; {_EXPECTED}")
            return images
        if not ((images >= 0) & (images <= 1)).all():  # NaN is neither
            raise ValueError(f"data: got values that are not in [0, 1]; {_EXPECTED}")
        return images

    @property
    def extent(self) -> tuple[float, float]:
        """Smallest and largest value, as `at` gives them."""
        low, high = self._extent
        return (low / 255, high / 255) if self._array.dtype == np.uint8 else (low, high)

    def byte_table(self) -> ByteTable | None:
        """All images, if they are bytes."""
        return ByteTable(self._array) if self._array.dtype == np.uint8 else None

    def digest(self) -> str:
        """SHA-256 of the whole array, its type and shape."""
        found = hashlib.sha256(f"{self._array.dtype.str}{self._array.shape}".encode())
        for start in range(0, len(self._array), 4096):
            found.update(np.ascontiguousarray(self._array[start : start + 4096]).tobytes())
        return found.hexdigest()


class ArrayData(ImagesOnly):
    """Images of an array, without factors."""

    _images: ArrayImages

    @property
    def extent(self) -> tuple[float, float]:
        """Smallest and largest value of the observations."""
        return self._images.extent

    @cached_property
    def content_digest(self) -> str:
        """Tells this array from every other."""
        return self._images.digest()


class GivenTable(ImageTable):
    """Images of any data set with factors that are given beside them."""

    def __init__(self, images: Any, columns: FactorColumns) -> None:
        super().__init__(
            columns.factors, images.observations_at, images.observation_shape, columns.names,
            factor_kinds=columns.kinds,
        )  # fmt: skip
        self._given = images

    @cached_property
    def content_digest(self) -> str:
        """Tells these images and factors from every other; empty if the images have none."""
        of_images = getattr(self._given, "content_digest", "")
        if not of_images:
            return ""
        factors = np.ascontiguousarray(self.factors)
        described = f"{of_images}|{factors.dtype.str}{factors.shape}|"
        described += f"{self.factor_names}|{self.factor_kinds}|"
        return hashlib.sha256(described.encode() + factors.tobytes()).hexdigest()


class DatasetImages:
    """Images of a torch Dataset, asked for one by one.

    Args:
        dataset: it has a length, and its items are images or hold one, see `as_data`.
        layout: of a batch of them.

    Raises:
        ValueError: it has no length, or its first item is no image.
    """

    def __init__(self, dataset: Any, layout: Layout | None = None) -> None:
        self._dataset, self._layout = dataset, layout
        try:
            self._length = len(dataset)
        except (TypeError, NotImplementedError):
            self._length = -1
        if self._length < 1:
            raise ValueError(
                f"data: {type(dataset).__name__} has no length or no items; expected a Dataset "
                "with __len__ and __getitem__: a stream of items cannot be drawn from at random, "
                "nor continued where a run stopped"
            )
        self._shape = self._one(0).shape
        some = [self._raw(i) for i in range(0, self._length, -(-self._length // _LOOKED_AT))]
        if len({(each.dtype, each.shape) for each in some}) == 1:  # `at` refuses others
            looked_at = np.stack(some)
            high = _require_scale(looked_at)[1] / (255 if looked_at.dtype == np.uint8 else 1)
            _warn_of_dark(f"data, {len(some)} items looked at", high)

    def __len__(self) -> int:
        return self._length

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Height, width and channels."""
        return self._shape

    def at(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """Images of these indices, float32 in [0, 1].

        Raises:
            ValueError: one is not, or has another shape than the first of the Dataset.
        """
        images = np.empty((len(indices), *self._shape), np.float32)
        for place, index in enumerate(indices.tolist()):
            image = self._one(index)
            if image.shape != self._shape:
                raise ValueError(
                    f"data: item {index} has shape {image.shape}; expected {self._shape} (height, "
                    "width, channels) as item 0"
                )
            images[place] = image
        return images

    def _in_dictionary(self, item: dict[Any, Any], index: int) -> Any:
        found = next((item[key] for key in _IMAGE_KEYS if key in item), None)
        images = found if isinstance(found, tuple | list) else (found,)
        if found is None or len(images) != 1:
            has = "none" if found is None else f"{len(images)} images"
            raise ValueError(
                f"data: item {index} of {type(self._dataset).__name__} is a dictionary with "
                f"{', '.join(map(str, item))}; expected one image, as "
                f"{', '.join(map(repr, _IMAGE_KEYS))}: it has {has}"
            )
        return images[0]

    def _raw(self, index: int) -> NDArray[Any]:
        item = self._dataset[index]
        if isinstance(item, dict):
            item = self._in_dictionary(item, index)
        elif isinstance(item, tuple | list) and item:
            item = item[0]
        if not hasattr(item, "__array__") and not hasattr(item, "__array_interface__"):
            raise ValueError(
                f"data: item {index} of {type(self._dataset).__name__} is {type(item).__name__}; "
                "expected an image as array or tensor, or a tuple or dictionary with one: add "
                "torchvision's ToTensor() to its transforms, say"
            )
        mode = getattr(item, "mode", None)
        if isinstance(mode, str) and mode not in _PIL_MODES:
            raise ValueError(
                f"data: item {index} is an image of mode {mode!r}; expected '1', 'L' or 'RGB': add "
                ".convert('RGB')"
            )
        return array_of(item)

    def _one(self, index: int) -> NDArray[np.float32]:
        raw = self._raw(index)
        try:
            return ArrayImages(raw[None], self._layout).at(np.zeros(1, np.int64))[0]
        except ValueError as error:
            raise ValueError(f"item {index}: {error}") from None


def _channels_last(array: NDArray[Any], layout: Layout | None) -> NDArray[Any]:
    """A view (image, height, width, channel); refuses what can be read in two ways."""
    shape = array.shape
    is_vectors = len(shape) == 2 and array.dtype.kind == "f"
    if not (is_vectors or len(shape) in (3, 4)) or 0 in shape:
        raise ValueError(f"data: got {array.dtype} of shape {shape}; {_EXPECTED}")
    if layout is not None and len(layout) != len(shape):
        raise ValueError(f"layout = {layout!r}: got {len(shape)} axes, shape {shape}")
    if is_vectors:
        return array[:, None, None]
    if len(shape) == 3:
        # (N, H, W); an image of three columns, or of three rows, is more likely one in colour.
        if layout is None and (shape[1] in _CHANNELS) != (shape[2] in _CHANNELS):
            raise ValueError(
                f"data: shape {shape} can be read in two ways; pass as_data(images, layout='NHW') "
                "if it is (images, height, width), or add an axis"
            )
        return array[..., None]
    first, last = shape[1] in _CHANNELS, shape[3] in _CHANNELS
    if layout is None and first == last:
        what = "can be read in two ways" if first else "has no axis of one channel or three"
        raise ValueError(
            f"data: shape {shape} {what}; pass as_data(images, layout='NHWC'), or 'NCHW'"
        )
    channels_first = first if layout is None else layout == "NCHW"
    return np.moveaxis(array, 1, 3) if channels_first else array


def _warn_of_dark(where: str, high: float) -> None:
    remedy = f"multiply them by {1 / high:g} if that is white" if high > 0 else ""
    warn_of_dark_images(where, high, 1.0, remedy=remedy)


def _require_scale(array: NDArray[Any]) -> tuple[float, float]:
    """Refuse values that are not what they are taken for; return the least and the greatest."""
    if array.dtype != np.uint8 and array.dtype.kind not in "bf":
        raise ValueError(f"data: got {array.dtype}; {_EXPECTED}")
    low, high = extent(array)
    if array.dtype == np.uint8 and len(array) > 1 and high == 1:
        raise ValueError(
            "data: got uint8 images of nothing but 0 and 1, which would be almost black, 255 being "
            "white; pass images.astype(bool) or images * 255"
        )
    if array.ndim == 2 and np.isfinite([low, high]).all():
        return low, high
    if array.dtype.kind == "f" and not (low >= 0 and high <= 1):
        raise ValueError(
            f"data: got {array.dtype} with values {low:g} to {high:g}; expected finite values in "
            "[0, 1]: divide by 255, or undo the normalisation (mean and std) of your transforms"
        )
    return low, high
