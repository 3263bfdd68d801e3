"""Learning curves as numbers: a CSV, and TensorBoard where asked for."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from srvae_plugin.files import replacing, scalar_rows
from srvae_plugin.training.callbacks import Callback, Start

__all__ = ["ScalarLog", "TensorBoard", "flatten", "require_tensorboard"]


def flatten(logs: Mapping[str, Tensor]) -> dict[str, float]:
    """Python floats of the logs; a vector `kl` becomes `kl_0`, `kl_1`, ..."""
    flat: dict[str, float] = {}
    for name, value in logs.items():
        if value.ndim == 0:
            flat[name] = value.item()
        else:
            flat.update({f"{name}_{i}": v for i, v in enumerate(value.tolist())})
    return flat


class ScalarLog:
    """Appends a row a time to the table of scalars.

    Of an earlier training it keeps the rows before step `start` that lie `every` steps apart: a
    finished one has logged its last step besides, which is not the last any more.

    Args:
        path: the table.
        start: the step that training begins with.
        every: steps between rows.
    """

    def __init__(self, path: Path, start: int, every: int = 1):
        self._names = _cut(path, start, every)
        self._file = path.open("a", newline="", encoding="utf-8")

    def __enter__(self) -> ScalarLog:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Append the values of one step; the first row's names are the header."""
        rows = csv.writer(self._file, lineterminator="\n")
        if self._names is None:
            self._names = list(values)
            rows.writerow(["step", *self._names])
        rows.writerow([step, *(repr(values[name]) for name in self._names)])
        self._file.flush()


def _cut(path: Path, start: int, every: int) -> list[str] | None:
    """Drop the rows that are not kept; return the names in the header, None if there is none."""
    kept: list[list[str]] = []
    if start and path.is_file():
        header, *rows = scalar_rows(path)
        kept = [header, *(r for r in rows if int(r[0]) < start and int(r[0]) % every == 0)]
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(kept)
    return kept[0][1:] if kept else None


class TensorBoard(Callback):
    """Writes the rows of scalars.csv as event files too."""

    def on_start(self, start: Start) -> None:
        """Open the files; ValueError if the extra is not installed."""
        writer = _summary_writer_class()
        self._writer = writer(str(start.files.tensorboard), purge_step=start.step)

    def on_log(self, step: int, values: Mapping[str, float]) -> None:
        """Write a row."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def on_end(self, step: int, error: BaseException | None) -> None:
        """Close the files."""
        if hasattr(self, "_writer"):
            self._writer.close()


def require_tensorboard() -> None:
    """Raise ValueError unless TensorBoard is installed."""
    _summary_writer_class()


def _summary_writer_class() -> type:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ValueError(
            "model.tensorboard = True needs TensorBoard: pip install 'srvae_plugin[tensorboard]'"
        ) from None
    return SummaryWriter
