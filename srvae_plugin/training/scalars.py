"""Learning curves as numbers: a CSV, and TensorBoard where asked for."""

from __future__ import annotations

import csv
import hashlib
import io
import logging
import os
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from srvae_plugin.files import scalar_rows, write_bytes, writing
from srvae_plugin.training.callbacks import Callback, Start

__all__ = ["ScalarLog", "TensorBoard", "flatten", "require_seen", "require_tensorboard"]

logger = logging.getLogger("srvae_plugin")


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
        seen: `seen()` when the checkpoint of step `start` was written.

    Raises:
        ValueError: the table is damaged.
    """

    def __init__(self, path: Path, start: int, every: int = 1, seen: str | None = None):
        self._every, self._path = every, path
        self._names, content = _cut(path, start, every, seen)
        self._digest = hashlib.sha256(content)
        self._file = path.open("ab")

    def __enter__(self) -> ScalarLog:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Append the values of one step; the first row's names are the header."""
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        if self._names is None:
            self._names = list(values)
            rows.writerow(["step", *self._names])
        rows.writerow([step, *(repr(values[name]) for name in self._names)])
        content = text.getvalue().encode("utf-8")
        with writing(self._path):
            self._file.write(content)
            self._file.flush()
        if step % self._every == 0:
            self._digest.update(content)

    def seen(self) -> str:
        """Digest of the rows that lie `every` steps apart, which are on the disk from then on."""
        with writing(self._path):
            os.fsync(self._file.fileno())
        return self._digest.hexdigest()


def _cut(path: Path, start: int, every: int, seen: str | None) -> tuple[list[str] | None, bytes]:
    """Drop the rows that are not kept; return the names in the header, and all that is left."""
    kept, content = require_seen(path, start, every, seen)
    if start and seen is not None and not path.is_file():
        logger.warning("%s is missing: the learning curve begins at step %d", path, start)
    write_bytes(path, content)
    return (kept[0][1:] if kept else None), content


def require_seen(
    path: Path, start: int, every: int, seen: str | None
) -> tuple[list[list[str]], bytes]:
    """The rows that a training that goes on keeps, and their text; arguments as of `ScalarLog`.

    Raises:
        ValueError: the table is damaged.
    """
    kept = _kept(path, start, every) if start and path.is_file() else []
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(kept)
    content = text.getvalue().encode("utf-8")
    is_other = seen is not None and hashlib.sha256(content).hexdigest() != seen
    if start and is_other and path.is_file():
        raise _damage(path, start, "its rows are not those that the checkpoint saw")
    return kept, content


def _kept(path: Path, start: int, every: int) -> list[list[str]]:
    """The header, if there is one, and the rows before `start` that lie `every` steps apart."""
    try:
        header, *rows = scalar_rows(path) or [[]]
        chosen = [row for row in rows if int(row[0]) < start and int(row[0]) % every == 0]
    except (ValueError, IndexError, csv.Error) as error:
        raise _damage(path, start, str(error)) from None
    return [header, *chosen] if header else []


def _damage(path: Path, start: int, reason: str) -> ValueError:
    return ValueError(
        f"{path} is damaged or was changed: {reason}. Restore it from a copy, or delete it to go "
        f"on with a curve that begins at step {start}"
    )


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
