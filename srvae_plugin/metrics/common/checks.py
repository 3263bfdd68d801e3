"""Checks that every metric makes on its arguments before any number is computed.

Whatever is wrong is said here, with the argument's name and the way out, and not by scikit-learn
or numpy three calls deeper.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "LEFT_OUT",
    "check_codes",
    "check_continuous",
    "check_count",
    "check_factors",
    "check_latents",
    "standardize",
    "varying_factors",
    "warn_collapsed",
]

logger = logging.getLogger(__name__)

_TOO_LARGE = 1e19
"""Squares of larger codes overflow single precision; on far larger ones liblinear never ends."""


_MOST_FACTORS = 50
"""More factors than this are expected to have at least as many points."""


LEFT_OUT = -(2**31)
"""Every value of a factor that has been left out with a word already, see `factor_kinds`."""


def check_count(name: str, value: int, minimum: int = 1) -> None:
    """Raise ValueError unless the setting `name` is an integer of at least `minimum`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < minimum:
        raise ValueError(f"{name} must be an integer of at least {minimum}, got {value!r}.")


def check_codes(
    codes: Any, num_points: int | None = None, name: str = "the representation function's result"
) -> NDArray[Any]:
    """The codes as a C-ordered (points, latent) array of their own dtype; integers as float64.

    The dtype is kept because the original computes in it: variances and histograms of float32
    codes are not those of the same codes in float64. In small integers differences overflow, and
    sums over many points are wrong in half precision, whose codes become float32.

    Raises:
        ValueError: not an array of real numbers, not two-dimensional, no latent, not
            `num_points` rows, or any code that is NaN, infinite or beyond 1e19 (the latents are
            named).
    """
    try:
        array = np.ascontiguousarray(codes)
    except (TypeError, RuntimeError, ValueError) as error:
        raise ValueError(
            f"{name} must be a numeric numpy array of shape (points, latent), got "
            f"{type(codes).__name__} ({error}). Detach tensors and move them to the CPU first."
        ) from error
    if array.dtype.kind not in "fiu":
        raise ValueError(
            f"{name} must hold real numbers (float32 for models), got dtype {array.dtype}. "
            "Convert it, or return one array instead of a tuple of them."
        )
    kept = np.promote_types(array.dtype, np.float32) if array.dtype.kind == "f" else np.float64
    # ascontiguousarray makes a scalar one-dimensional, hence np.shape of what was given.
    shape = np.shape(codes)
    expected_rows = "points" if num_points is None else str(num_points)
    wrong_rows = num_points is not None and shape[:1] != (num_points,)
    if len(shape) != 2 or wrong_rows or shape[1] == 0:
        raise ValueError(
            f"{name} must have shape ({expected_rows}, latent), got {shape}. "
            "Return one row per observation and flatten everything after the first axis."
        )
    array = array.astype(kept, copy=False)
    _refuse_what_diverged(array, name)
    return array


def _refuse_what_diverged(codes: NDArray[Any], name: str) -> None:
    limit = _TOO_LARGE
    if codes.dtype.kind == "f":
        limit = min(limit, float(np.finfo(codes.dtype).max))
    bad = ~(np.abs(codes) <= limit)  # a NaN is not either
    if not bad.any():
        return
    per_latent = bad.sum(axis=0)
    latents = np.flatnonzero(per_latent)
    counts = ", ".join(f"latent {k}: {per_latent[k]}" for k in latents[:10])
    more = f" and {latents.size - 10} more latents" if latents.size > 10 else ""
    what = f"codes beyond {_TOO_LARGE:.0e}" if np.isfinite(codes).all() else "NaN or inf"
    raise ValueError(
        f"{name} must be finite, and their squares in single precision too, got {what} among "
        f"{codes.shape[0]} points in {counts}{more}. "
        "The model has diverged or divides by zero: go back to its last good checkpoint, or drop "
        "these latents; they are not replaced by a number, since any number would be a score."
    )


def check_factors(
    factors: Any, num_points: int, discrete: bool = True, name: str = "factors"
) -> NDArray[Any]:
    """The ground-truth factors as a (points, factor) array; small integers overflow: int64.

    Raises:
        ValueError: not two-dimensional, not `num_points` rows, not finite, or, if `discrete`, not
            whole numbers (the index of each factor's value).
    """
    array = np.asarray(factors)
    if array.ndim != 2 or array.shape[0] != num_points or array.shape[1] == 0:
        raise ValueError(
            f"{name} must have shape ({num_points}, factor), one row per code, got {array.shape}. "
            "Transpose it if it comes from disentanglement_lib's (factor, points)."
        )
    if array.shape[1] > max(array.shape[0], _MOST_FACTORS):
        raise ValueError(
            f"{name} must have shape (points, factor), got {array.shape}, more factors than "
            "points. Transpose codes and factors if they come from disentanglement_lib."
        )
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{name} must be real numbers, got dtype {array.dtype}.")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got NaN or inf.")
    if discrete and array.dtype.kind == "f" and (array != np.round(array)).any():
        raise ValueError(
            f"{name} must be whole numbers, the index of each factor's value, got fractions. "
            "Bin continuous factors first: dataset.factor_bins = 10, say (dci_regression, dci_es, "
            "irs, and SAP with continuous_factors=True take them as they are)."
        )
    return array.astype(np.int64, copy=False) if np.can_cast(array.dtype, np.int64) else array


def check_continuous(name: str, given: Any, num_factors: int) -> NDArray[np.bool_]:
    """(factor,) which factors are continuous, of a setting that says so.

    Raises:
        ValueError: neither True, False nor a boolean for each factor.
    """
    mask = np.asarray(given)
    if mask.dtype != bool or mask.shape not in ((), (num_factors,)):
        raise ValueError(
            f"{name} must be True for all factors, False for none, or {num_factors} booleans, one "
            f"for each factor, got {given!r}."
        )
    return np.broadcast_to(mask, (num_factors,))


def check_latents(metric: str, num_latents: int) -> None:
    """Raise ValueError when there is no second latent to compare the best one with."""
    if num_latents < 2:
        raise ValueError(
            f"codes must have at least 2 latents for {metric}, got {num_latents}: the score "
            "compares latents with each other and is undefined for a single one."
        )


def varying_factors(metric: str, factors: NDArray[Any], at_least: int = 1) -> NDArray[np.intp]:
    """Columns of `factors` that take more than one value; the others are logged as left out.

    The original's score does not exist with a constant factor: MIG divides by its entropy, 0, and
    scikit-learn's classifiers refuse a single class.

    Raises:
        ValueError: fewer than `at_least` factors vary.
    """
    varying = np.flatnonzero(factors.min(axis=0) != factors.max(axis=0))
    left_out = np.flatnonzero(factors[0] == LEFT_OUT)
    if varying.size < at_least:
        said = f", {left_out.size} of them left out" if left_out.size else ""
        raise ValueError(
            f"factors must have at least {at_least} that vary for {metric}, got {varying.size} of "
            f"{factors.shape[1]}{said}. Draw more points, or use a data set with more varying "
            "factors."
        )
    constant = set(range(factors.shape[1])) - set(varying.tolist())
    constant -= set(left_out.tolist())
    if constant:
        logger.warning(
            "%s: factors %s have a single value among the points drawn; the score is over the "
            "other %d.",
            metric,
            sorted(constant),
            varying.size,
        )
    return varying


def warn_collapsed(metric: str, what: str) -> None:
    """Log that the score is 0 because the representation has collapsed, not by a failure."""
    logger.warning("%s: the representation has collapsed (%s): the score is 0.", metric, what)


def standardize(
    train: NDArray[Any], test: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both (points, column) arrays less the mean and over the deviation of `train`'s columns.

    Constant columns are only centred.
    """
    train, test = train.astype(np.float64), test.astype(np.float64)
    mean = train.mean(axis=0)
    # The deviation of equal numbers can be 1e-17 instead of 0.
    scale = np.where(np.ptp(train, axis=0) > 0, train.std(axis=0), 1.0)
    return (train - mean) / scale, (test - mean) / scale
