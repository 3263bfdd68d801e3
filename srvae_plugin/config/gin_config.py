"""gin files and bindings that are parsed once and put into gin for each step of a command."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from gin import config as gin_state

from srvae_plugin.config import gin_files
from srvae_plugin.config.gin_files import Choice, Texts, as_list

__all__ = ["Config", "Uses"]


class Config:
    """A configuration that was parsed once.

    Args:
        files, bindings: see :func:`srvae_plugin.config.gin_files.configured`, whose errors this
            raises. What gin holds already is part of the configuration.
    """

    def __init__(self, files: Texts = (), bindings: Texts = ()):
        self.files, self.bindings = as_list(files), as_list(bindings)
        with gin_files.configured(self.files, self.bindings):
            self._state = gin_files.State.now()

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Let gin hold what was parsed, and nothing that was bound or used since; restore it."""
        with gin_files.restored():
            self._state.put()
            gin_state._OPERATIVE_CONFIG.clear()
            yield

    @contextlib.contextmanager
    def choosing(self, parameter: str, choice: Choice) -> Iterator[None]:
        """The same for a step whose `parameter` is bound to a function of its own.

        Files are parsed again only if the choice comes with files or bindings: these are weaker
        than those of the configuration.
        """
        if not choice.is_plain:
            with gin_files.configured(
                [*choice.files, *self.files],
                [*choice.bindings, *self.bindings, f"{parameter} = @{choice.function}"],
            ):
                yield
            return
        with self.active():
            gin_files.bind_reference(parameter, choice.function)
            yield


class Uses:
    """The values that gin handed out while something was made, to be recorded by later steps."""

    def __init__(self) -> None:
        self._entries: dict[Any, dict[str, Any]] = {}

    @contextlib.contextmanager
    def noted(self) -> Iterator[None]:
        """Note what gin hands out meanwhile."""
        before = dict(gin_state._OPERATIVE_CONFIG)
        gin_state._OPERATIVE_CONFIG.clear()
        try:
            yield
        finally:
            self._entries = {k: dict(v) for k, v in gin_state._OPERATIVE_CONFIG.items()}
            gin_state._OPERATIVE_CONFIG.clear()
            gin_state._OPERATIVE_CONFIG.update(before)
            self.repeat()

    def repeat(self) -> None:
        """Let gin's operative configuration have what was noted, too."""
        for key, values in self._entries.items():
            gin_state._OPERATIVE_CONFIG.setdefault(key, {}).update(values)
