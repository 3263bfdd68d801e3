"""Log lines that several metrics have to say of one table or representation, said once."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

__all__ = ["each_note_once"]

_NAME = "srvae_plugin"


@contextlib.contextmanager
def each_note_once() -> Iterator[None]:
    """Drop log lines of ours that were logged in this context already.

    A record's attribute `once`, if it has one, stands for its text: lines that differ in numbers
    can so be one note.
    """
    said: set[str] = set()

    def is_new(record: logging.LogRecord) -> bool:
        note = getattr(record, "once", record.getMessage())
        if record.levelno != logging.WARNING:
            return True
        before = note in said
        said.add(note)
        return not before

    # A logger's filter does not see what loggers below it log.
    names = [name for name in logging.root.manager.loggerDict if f"{name}.".startswith(f"{_NAME}.")]
    loggers = [logging.getLogger(name) for name in {_NAME, *names}]
    for logger in loggers:
        logger.addFilter(is_new)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(is_new)
