"""A scikit-learn transformer around a representation function."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gin
import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from srvae_plugin.files import copy_tree
from srvae_plugin.interchange.exporters import (
    Exported,
    Trained,
    load_folder,
    load_trained,
)
from srvae_plugin.runs.directory import StepDirectory

__all__ = ["RepresentationTransformer", "export_sklearn"]


class RepresentationTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Images to codes, as a step of a `sklearn.pipeline.Pipeline`.

    It learns nothing: `fit` loads the representation and checks the shape of the images.

    X holds images (image, height, width, channel), or each of them flattened to a row. Pickled or
    saved by joblib, it keeps the path of the representation and not its weights.

    Args:
        representation: a run directory, a folder that `srvae-export --to sklearn` made, or any
            function from images (batch, height, width, channel) to codes (batch, latent).
        kind: which representation of a run directory.
        observation_shape: (height, width, channel), for a function only; by default a row is one
            pixel of many channels, (1, 1, features).
        batch_size: images encoded at once.

    Raises:
        ValueError: in `fit` or `transform` for a folder that holds no representation, for images of
            another shape, and for values outside [0, 1], which a trained model has never seen (a
            function is given whatever it is given).
    """

    def __init__(
        self,
        representation: str | Path | Callable[[NDArray[np.float32]], Any] | None = None,
        kind: str = "mean",
        observation_shape: tuple[int, int, int] | None = None,
        batch_size: int = 256,
    ):
        self.representation = representation
        self.kind = kind
        self.observation_shape = observation_shape
        self.batch_size = batch_size

    function_: Callable[[NDArray[np.float32]], Any]
    observation_shape_: tuple[int, ...]

    def fit(self, X: Any, y: Any = None) -> RepresentationTransformer:
        """Load the representation; y is ignored."""
        self.function_, shape = self._load()
        given = tuple(X.shape[1:]) if getattr(X, "ndim", 2) == 4 else None
        rows = self._validated(X, shape, reset=True)
        self.observation_shape_ = shape or given or (1, 1, rows.shape[1])
        if rows.shape[1] != math.prod(self.observation_shape_):
            raise ValueError(
                f"X has {rows.shape[1]} features: expected {math.prod(self.observation_shape_)}, "
                f"images of {self.observation_shape_}"
            )
        self._n_features_out = self._encode(rows[:1]).shape[1]
        return self

    def transform(self, X: Any) -> NDArray[Any]:
        """Codes (image, latent)."""
        check_is_fitted(self)
        rows = self._validated(X, self.observation_shape_, reset=False)
        starts = range(0, len(rows), self.batch_size)
        return np.concatenate([self._encode(rows[i : i + self.batch_size]) for i in starts])

    def _load(self) -> tuple[Callable[[NDArray[np.float32]], Any], tuple[int, ...] | None]:
        if callable(self.representation):
            return self.representation, self.observation_shape
        if self.representation is None:
            raise ValueError("representation = None: expected a run directory or a function")
        folder = Path(self.representation)
        exported = StepDirectory(folder, "postprocess").is_complete()
        trained = load_folder(folder) if exported else load_trained(folder, self.kind)
        return trained.function, trained.observation_shape

    def _validated(self, X: Any, shape: tuple[int, ...] | None, reset: bool) -> NDArray[np.float32]:
        """X as float32 rows, one an image."""
        if getattr(X, "ndim", 2) == 4:
            if shape is not None and X.shape[1:] != tuple(shape):
                raise ValueError(f"X holds images of {X.shape[1:]}: expected {tuple(shape)}")
            X = X.reshape(len(X), -1)
        rows = validate_data(self, X, reset=reset, dtype=np.float32)
        if not callable(self.representation) and (rows.min() < 0 or rows.max() > 1):
            raise ValueError(
                f"X has values from {rows.min():g} to {rows.max():g}: expected [0, 1]; divide "
                "bytes by 255"
            )
        return rows

    def _encode(self, X: NDArray[np.float32]) -> NDArray[Any]:
        codes = np.asarray(self.function_(X.reshape(len(X), *self.observation_shape_)))
        if codes.ndim != 2 or len(codes) != len(X):
            raise ValueError(
                f"representation returned {codes.shape} for {len(X)} images: expected "
                f"({len(X)}, latent)"
            )
        return codes

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if not callable(self.representation):
            state.pop("function_", None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if hasattr(self, "observation_shape_") and not hasattr(self, "function_"):
            self.function_, _ = self._load()

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


@gin.register("export_sklearn", module="srvae_adapters", allowlist=[])
def export_sklearn(trained: Trained, folder: Path) -> Exported:
    """Copy the representation, for `RepresentationTransformer(folder)`.

    The folder holds weights and gin files, nothing pickled, and needs this package to be loaded.
    """
    copy_tree(trained.folder, folder)
    transformer = RepresentationTransformer(folder).fit(trained.check_images)
    difference = trained.largest_difference(transformer.transform)
    return Exported(folder, {"max_difference": difference})
