"""Learning curves as numbers: a CSV, and TensorBoard where asked for."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from srvae_plugin.files import replacing, scalar_rows
from srvae_plugin.training.files import TrainingFiles


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
    """Appends a row a time to the table of scalars, keeping only what lies before step `start`.

    `tensorboard` writes event files too; ValueError if the extra is not installed.
    """

    def __init__(self, files: TrainingFiles, start: int, tensorboard: bool = False):
        self._names = _cut(files.scalars, start)
        self._file = files.scalars.open("a", newline="", encoding="utf-8")
        self._writer = _summary_writer(files.tensorboard, start) if tensorboard else None

    def __enter__(self) -> ScalarLog:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()
        if self._writer is not None:
            self._writer.close()

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Append the values of one step; the first row's names are the header."""
        rows = csv.writer(self._file, lineterminator="\n")
        if self._names is None:
            self._names = list(values)
            rows.writerow(["step", *self._names])
        rows.writerow([step, *(repr(values[name]) for name in self._names)])
        self._file.flush()
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)


def _cut(path: Path, start: int) -> list[str] | None:
    """Drop the rows from step `start` on; return the names in the header, None if there is none."""
    kept: list[list[str]] = []
    if start and path.is_file():
        rows = scalar_rows(path)
        kept = rows[:1] + [row for row in rows[1:] if int(row[0]) < start]
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(kept)
    return kept[0][1:] if kept else None


def require_tensorboard() -> None:
    """Raise ValueError unless TensorBoard is installed."""
    _summary_writer_class()


def _summary_writer(folder: Path, start: int) -> Any:
    return _summary_writer_class()(str(folder), purge_step=start)


def _summary_writer_class() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ValueError(
            "model.tensorboard = True needs TensorBoard: pip install 'srvae_plugin[tensorboard]'"
        ) from None
    return SummaryWriter
