"""Learning curves as numbers: a CSV, and TensorBoard where asked for."""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, NamedTuple

from torch import Tensor

from srvae_plugin.files import scalar_rows, write_bytes, writing
from srvae_plugin.training.callbacks import Callback, Start

__all__ = ["Rows", "ScalarLog", "TensorBoard", "flatten", "require_tensorboard"]

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


class Rows(NamedTuple):
    """Which rows of an earlier training are kept."""

    start: int
    """The step that training begins with."""
    every: int = 1
    """Steps between rows."""
    is_end: bool = False
    """Whether no step follows."""
    seen: str | None = None
    """`ScalarLog.seen()` when the checkpoint of step `start` was written."""


class ScalarLog:
    """Appends one row at a time to the table of scalars.

    Of an earlier training it keeps the rows before step `start` that lie `every` steps apart: a
    finished one has logged its last step besides, which is not the last any more. If no step
    follows the table is left as it is.

    Args:
        path: the table.
        rows: see `Rows`.
        begin: called when the table is checked, before it changes.

    Raises:
        ValueError: the table is damaged; `begin` was not called then.
        OSError: it cannot be written.
    """

    def __init__(self, path: Path, rows: Rows, begin: Callable[[], None] = lambda: None):
        self._every, self._path = rows.every, path
        self._names, content = _kept(path, rows)
        self._digest = hashlib.sha256(content)
        begin()
        self._file: IO[bytes] | None = None
        if not rows.is_end:
            write_bytes(path, content)
            with writing(path):
                self._file = path.open("ab", buffering=0)

    def __enter__(self) -> ScalarLog:
        return self

    def __exit__(self, *error: object) -> None:
        if self._file is not None:
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
        assert self._file is not None
        with writing(self._path):
            # Unbuffered: what a full disk did not take would be tried once more when it is closed.
            if self._file.write(content) < len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if step % self._every == 0:
            self._digest.update(content)

    def seen(self) -> str:
        """Digest of the rows that lie `every` steps apart, which are on the disk from then on."""
        if self._file is not None:
            with writing(self._path):
                os.fsync(self._file.fileno())
        return self._digest.hexdigest()


def _kept(path: Path, rows: Rows) -> tuple[list[str] | None, bytes]:
    """The names in the header, and all that is kept, as it is written."""
    start = rows.start
    kept = _chosen(path, start, rows.every) if start and path.is_file() else []
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(kept)
    content = text.getvalue().encode("utf-8")
    if start and rows.seen is not None and hashlib.sha256(content).hexdigest() != rows.seen:
        if path.is_file():
            raise _damage(path, start, "its rows are not those that the checkpoint saw")
        logger.warning("%s is missing: the learning curve begins at step %d", path, start)
    return (kept[0][1:] if kept else None), content


def _chosen(path: Path, start: int, every: int) -> list[list[str]]:
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

    def on_scores(self, step: int, values: Mapping[str, float]) -> None:
        """Write scores on the way."""
        self.on_log(step, values)

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
