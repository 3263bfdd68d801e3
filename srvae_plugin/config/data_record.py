"""What a result says of the data set it was made on, and whether two say the same.

A record is written as JSON beside results, and on one line of the texts that identify a run, its
checkpoint and its scores. The content counts, not the place: where both records have a digest of
it, paths are not compared.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import gin

from srvae_plugin.config import plugins
from srvae_plugin.config.text import gin_dict, record_in
from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.data.storage.digest import digest_of
from srvae_plugin.data.storage.locate import expanded

__all__ = ["Difference", "Record", "differences", "other_content", "place", "record_of"]


Record = dict[str, Any]
"""`name`; `options` that differ from the defaults, and `paths` as typed and absolute, by gin name;
`digest` of the content, empty if there is none; `factor_names`."""


def record_of(data: GroundTruthData) -> Record:
    """Record of a data set: of one that gin made, with all that was bound to it."""
    made = plugins.made_with(data)
    name, options = made or (str(getattr(data, "name", type(data).__name__)), {})
    paths: dict[str, Any] = {}
    others: dict[str, str] = {}
    if made:
        factory = plugins.find("datasets", name)
        defaults = inspect.signature(factory).parameters
        bound = gin_dict(gin.config_str())
        own = {
            key.removeprefix(f"{name}."): value
            for key, value in bound.items()
            if key.startswith(f"{name}.")
        }
        texts = own | {key: repr(value) for key, value in options.items()}
        for key, text in texts.items():
            if key in plugins.path_options(factory):
                typed = str(options.get(key, text.strip("'\"")))
                if typed != "None":
                    paths[key] = {"typed": typed, "absolute": str(expanded(typed))}
            elif key not in defaults or text != repr(defaults[key].default):
                others[key] = text
    source = getattr(data, "source", None)
    if not paths and isinstance(source, str) and source and Path(source).exists():
        paths["found"] = {"typed": "", "absolute": str(Path(source).absolute())}
    return {
        "name": name,
        "options": others,
        "paths": paths,
        "digest": digest_of(data),
        "factor_names": [str(factor) for factor in getattr(data, "factor_names", [])],
    }


def place(record: Mapping[str, Any]) -> str:
    """Name of a recorded data set, and its files."""
    files = [path["absolute"] for path in record["paths"].values()]
    return f"{record['name']} ({', '.join(files)})" if files else str(record["name"])


def other_content(saved: str, now: str) -> str:
    """What to say if two texts are of data with different content; empty if they are not.

    Also if one of them has no digest: see `differences`.
    """
    before, after = record_in(saved), record_in(now)
    if not (before and after and before["digest"] and after["digest"]):
        return ""
    if before["digest"] == after["digest"]:
        return ""
    was = place(before)
    return (
        f"the data has changed: the content of {place(after)} is not that of "
        f"{'before' if was == place(after) else was} (sha256 {after['digest'][:12]} now, "
        f"{before['digest'][:12]} before)"
    )


class Difference(NamedTuple):
    """A binding that differs between two configurations."""

    name: str
    """Or a whole statement, such as an import, whose value is empty."""
    before: str | None
    """None: it was not there."""
    now: str | None

    @property
    def lines(self) -> list[str]:
        """The lines of both."""
        values = (value for value in (self.before, self.now) if value is not None)
        return [f"{self.name} = {value}" if value else self.name for value in values]

    def __str__(self) -> str:
        if self.before is None:
            return f"{self.lines[0]} (new)"
        return f"{self.lines[-1]} ({'is missing' if self.now is None else f'was {self.before}'})"


def differences(saved: str, now: str) -> list[Difference]:
    """Where two configurations differ, comments aside.

    Paths of data do not count if both texts say that the data has the same content.
    """
    before, after = record_in(saved), record_in(now)
    one, two = _bindings(saved), _bindings(now)
    if before and after and before["digest"] and before["digest"] == after["digest"]:
        places = _place_names({**one, **two}, before, after)
        one, two = ({k: v for k, v in b.items() if k not in places} for b in (one, two))
    found = (Difference(name, one.get(name), two.get(name)) for name in sorted(one.keys() | two))
    return [each for each in found if each.before != each.now]


def _bindings(text: str) -> dict[str, str]:
    plain = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    bound = gin_dict(plain)
    rest = [line for line in plain.splitlines() if line.strip() and " = " not in line]
    # Imports, includes and values that gin breaks after the name; these are among the bindings.
    statements = ("import ", "from ", "include ")
    return bound | {line: "" for line in rest if line.lstrip().startswith(statements)}


def _place_names(bound: Mapping[str, str], *records: Mapping[str, Any]) -> set[str]:
    """Names of the bindings that say where the data is, macros that these refer to included."""
    name = records[-1]["name"]
    options = {"path", "data_dir", *(key for record in records for key in record["paths"])}
    with contextlib.suppress(ValueError):  # a table of codes
        options |= set(plugins.path_options(plugins.find("datasets", name)))
    keys = {f"{prefix}.{option}" for prefix in ("dataset", name) for option in options}
    macros = {bound[key][1:] for key in keys & bound.keys() if bound[key].startswith("%")}
    return keys | macros
