"""Which combinations of factors are left out to ask how a model generalises: four splits.

Schott et al., "Visual Representation Learning Does Not Generalize Strongly Within the Same Domain",
ICLR 2022, train on some 30 % of a grid and test on the rest, in four ways:

* ``"random"``: combinations drawn at random are left out.
* ``"composition"``: every value is trained on, but never two of those that are set apart at once.
* ``"interpolation"``: values between the ends of a factor's range are set apart, and left out.
* ``"extrapolation"``: the last values of a factor's range are set apart, and left out.

The combinations of the paper itself lie in its files of labels, which can be read in their place
(`rows_left_out`): which values it sets apart is written there alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.storage.npz_arrays import array_names, read_array

__all__ = ["SPLITS", "rows_left_out", "split_of"]

SPLITS = ("random", "composition", "interpolation", "extrapolation")
_SHARE = 0.7
"""Left out of a grid, as in the paper."""
_KEPT = 2
"""Values of a factor that always stay."""


def split_of(
    rule: Mapping[str, Any], columns: Sequence[int], sizes: Sequence[int], seed: int
) -> NDArray[np.bool_]:
    """Which combinations a split leaves out: the share of all that is next to the one asked for.

    One value after another is set apart, each time of the factor of which the largest share is
    left, down to two.

    Args:
        rule: `split`, one of `SPLITS`, and `share`, 0.7 if it is not there.
        columns: the factors whose values may be set apart.
        sizes: of all factors.
        seed: of the random split.

    Raises:
        ValueError: an unknown split, a share that is not between 0 and 1, or factors that do not
            have enough values.

    Example:
        >>> split_of({"split": "extrapolation", "share": 0.5}, [0, 1], [4, 4], 0).astype(int)
        array([[0, 0, 0, 1],
               [0, 0, 0, 1],
               [0, 0, 0, 1],
               [1, 1, 1, 1]])
    """
    kind, share = rule["split"], rule.get("share", _SHARE)
    if kind not in SPLITS:
        raise ValueError(
            f"dataset.constraints: split = {kind!r}: expected one of {', '.join(SPLITS)}"
        )
    if not isinstance(share, int | float) or not 0 < share < 1:
        raise ValueError(f"dataset.constraints: share = {share!r}: expected one between 0 and 1")
    if kind == "random":
        total = int(np.prod(sizes))
        out = np.zeros(total, dtype=bool)
        chosen = np.random.RandomState(seed).permutation(total)[: round(share * total)]
        out[chosen] = True
        return out.reshape(sizes)
    numbers = _numbers_apart(kind, share, [sizes[column] for column in columns])
    apart = [np.zeros(size, dtype=bool) for size in sizes]
    for column, number in zip(columns, numbers, strict=True):
        apart[column][_set_apart(kind, sizes[column], number)] = True
    count = reduce(np.add.outer, [each.astype(np.int8) for each in apart])
    return count >= (2 if kind == "composition" else 1)


def _set_apart(kind: str, size: int, number: int) -> NDArray[np.int64]:
    """Places of the values that are set apart: the last ones, or evenly spread between the ends."""
    if kind != "interpolation":
        return np.arange(size - number, size)
    # The middles of as many parts of equal length: no two fall on one place.
    return 1 + ((2 * np.arange(number) + 1) * (size - 2) // (2 * max(number, 1)))


def _numbers_apart(kind: str, share: float, sizes: Sequence[int]) -> list[int]:
    """How many values of each factor are set apart."""
    numbers = [0] * len(sizes)
    best, found = share, numbers.copy()
    while True:
        open_ = [k for k, size in enumerate(sizes) if size - numbers[k] > _KEPT]
        if not open_:
            break
        chosen = max(open_, key=lambda k: (sizes[k] - numbers[k] - 1) / sizes[k])
        numbers[chosen] += 1
        reached = _share_left_out(kind, numbers, sizes)
        if abs(reached - share) < best:
            best, found = abs(reached - share), numbers.copy()
        if reached > share:
            break
    if not any(found):
        raise ValueError(
            f"dataset.constraints: split = {kind!r}: expected a factor of three values or more"
            + (", and a second one" if kind == "composition" else "")
        )
    return found


def _share_left_out(kind: str, numbers: Sequence[int], sizes: Sequence[int]) -> float:
    parts = np.array(numbers) / np.array(sizes)
    none = np.prod(1 - parts)
    one = none * np.sum(parts / (1 - parts))
    return float(1 - none - (one if kind == "composition" else 0))


def rows_left_out(path: str, sizes: Sequence[int]) -> NDArray[np.bool_]:
    """The combinations that a file of test labels lists, (row, factor), as the paper's have them.

    Args:
        path: an npz file with one array of whole numbers, the place of each factor's value.
        sizes: of the factors.

    Raises:
        ValueError: the file cannot be read, or has something else.
    """
    where = f"dataset.constraints = {path!r}"
    try:
        names = array_names(Path(path).expanduser())
        rows = np.asarray(read_array(Path(path).expanduser(), names[0]))
    except (OSError, ValueError, IndexError) as error:
        raise ValueError(f"{where}: cannot be read: {' '.join(str(error).split())}") from None
    whole = rows.ndim == 2 and rows.shape[1] == len(sizes) and np.array_equal(rows, rows // 1)
    if not whole or (rows < 0).any() or (rows >= np.array(sizes)).any():
        raise ValueError(
            f"{where}: expected rows of {len(sizes)} factors, of whole numbers below "
            f"{list(sizes)}; got an array of shape {rows.shape}"
        )
    out = np.zeros(sizes, dtype=bool)
    out[tuple(rows.astype(np.int64).T)] = True
    return out
