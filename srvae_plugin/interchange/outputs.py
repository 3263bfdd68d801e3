"""What a model that was trained elsewhere returns: codes first, or something else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["refuse_reconstruction", "widths_of"]


def widths_of(outputs: Any) -> list[int]:
    """Numbers of columns of the two-dimensional outputs, in their order, however nested."""
    return [output.shape[1] for output in _flat(outputs) if len(output.shape) == 2]


def _flat(outputs: Any) -> Iterator[Any]:
    if isinstance(outputs, tuple | list):
        for output in outputs:
            yield from _flat(output)
    elif hasattr(outputs, "shape"):
        yield outputs


def refuse_reconstruction(widths: Sequence[int], image_size: int) -> None:
    """Refuse a first output that is a flat image, beside others that are not.

    Args:
        widths: columns of every output, the first one's first.
        image_size: numbers in an image.

    Raises:
        ValueError: the first output has as many columns, and another one has not.
    """
    if widths and widths[0] == image_size and set(widths) != {image_size}:
        raise ValueError(
            f"its first output has {image_size} columns, as many as an image has numbers, and "
            f"others have {', '.join(str(w) for w in widths[1:])}: that is a reconstruction and no "
            "code; score its encoder, or a function that takes the codes out of what it returns"
        )
