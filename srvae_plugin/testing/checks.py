"""What a check is, and how its outcome becomes one line that a plug-in's author can act on.

A check is a function that returns None if all is well or a note if something is worth knowing, and
raises :class:`CheckError` if the contract is broken. Whatever else it raises, the plug-in's own
code raised.
"""

from __future__ import annotations

import contextlib
import random
import re
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np

from srvae_plugin.config.gin_files import one_line

Check = Callable[..., "str | None"]
_Plugin = TypeVar("_Plugin")
_UNUSUAL = 2027


class CheckError(AssertionError):
    """A plug-in breaks its contract; one line: what it gave, what was expected, the way out."""


class Outcome(NamedTuple):
    """One check of one plug-in.

    status: "skipped" if it could not be made.
    subject: the plug-in, and what it was checked with.
    message: why it failed or was skipped, or a note of one that did not fail.
    error: what the check raised.
    """

    status: Literal["ok", "FAILED", "skipped"]
    subject: str
    check: str
    message: str = ""
    error: BaseException | None = None

    def __str__(self) -> str:
        line = f"{self.status:<7} {self.subject}: {self.check}"
        return f"{line}: {self.message}" if self.message else line


def outcome(subject: str, check: Check, *arguments: Any) -> Outcome:
    """Make one check; it is called by the name of its function."""
    name = check.__name__.replace("_", " ")
    try:
        note = check(*arguments)
    except Exception as error:  # a plug-in's own code may raise anything
        return Outcome("FAILED", subject, name, reason(error), error)
    return Outcome("ok", subject, name, f"note: {note}" if note else "")


def in_stages(
    subject: str, stages: Sequence[Sequence[Check]], *arguments: Any
) -> Iterator[Outcome]:
    """Make all checks of a stage; the next stage only if none failed.

    A model without an encoder fails one check, then, and not all of them.
    """
    for position, stage in enumerate(stages):
        failed = False
        for check in stage:
            each = outcome(subject, check, *arguments)
            failed |= each.status == "FAILED"
            yield each
        waiting = sum(map(len, stages[position + 1 :]))
        if failed and waiting:
            why = "they need those that failed"
            yield Outcome("skipped", subject, f"{waiting} more checks", why)
            return


def require(outcomes: Iterable[Outcome]) -> None:
    """Raise CheckError with one line for each check that failed; chained to the first error."""
    failed = [each for each in outcomes if each.status == "FAILED"]
    if failed:
        raise CheckError("\n".join(map(str, failed))) from failed[0].error


def called(make: Callable[[], _Plugin], name: str = "") -> _Plugin:
    """What a plug-in returns; CheckError if it lacks abstract methods or values of arguments.

    `name` is the one that gin binds its arguments by, if there is one.
    """
    try:
        return make()
    except TypeError as error:
        text = one_line(error)
        if abstract := re.search(r"abstract class (\w+) .*abstract methods? (.*)", text):
            lacking = ", ".join(f"{method}()" for method in re.findall(r"\w+", abstract[2]))
            raise CheckError(
                f"{abstract[1]} lacks {lacking}: expected every abstract method of its base class "
                "to be defined, under that name"
            ) from error
        missing = re.search(r"missing \d+ required .*?arguments?: (.*)", text)
        if missing and not _place(error):  # else its own code calls something else wrongly
            arguments = re.findall(r"'(\w+)'", missing[1].partition("No values supplied")[0])
            bind = f", or --bind '{name}.{arguments[0]} = ...'" if name else ""
            raise CheckError(
                f"the argument {', '.join(arguments)} has no value: expected a default{bind}"
            ) from error
        raise


@contextlib.contextmanager
def no_global_randomness(what: str) -> Iterator[None]:
    """CheckError if the block draws from the global generator of numpy or Python, or seeds it.

    Both are as before in the end.
    """
    before = np.random.get_state(), random.getstate()
    np.random.seed(_UNUSUAL)
    random.seed(_UNUSUAL)
    try:
        yield
        numpys = np.random.randint(2**31) != np.random.RandomState(_UNUSUAL).randint(2**31)
        pythons = random.random() != random.Random(_UNUSUAL).random()
    finally:
        np.random.set_state(before[0])
        random.setstate(before[1])
    if numpys or pythons:
        raise CheckError(
            f"{what} draws from the global random state of {'numpy' if numpys else 'Python'}: "
            "expected random_state only; hand it on to what draws (scikit-learn too)"
        )


def shape_text(shape: Sequence[int]) -> str:
    """Text such as 1x64x64."""
    return "x".join(map(str, shape))


def kind_of(value: object) -> str:
    """What somebody got instead of what was expected: its type and, if short, the value."""
    text = repr(value)
    return f"{type(value).__name__} {text}" if len(text) <= 40 else f"a {type(value).__name__}"


def reason(error: BaseException) -> str:
    """One line: a CheckError's own; of any other error its type, message and place."""
    text = " ".join(one_line(error).split())
    if isinstance(error, CheckError):
        return text
    return f"{type(error).__name__}: {text}{_place(error)}"


def _place(error: BaseException) -> str:
    """Where the plug-in's code was when it raised, or called what raised."""
    frames = [
        (frame, number)
        for frame, number in traceback.walk_tb(error.__traceback__)
        if _package(frame) not in ("srvae_plugin", "gin", "torch", "importlib", "_frozen_importlib")
        and not frame.f_code.co_filename.startswith("<")
    ]
    if not frames:
        return ""
    # The first of them is what was called from here; others below it may be a library's.
    frame, number = [each for each in frames if _package(each[0]) == _package(frames[0][0])][-1]
    file = "/".join(Path(frame.f_code.co_filename).parts[-2:])
    return f" ({file}, line {number}, in {frame.f_code.co_name})"


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]
