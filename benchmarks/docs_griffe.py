"""How mkdocstrings reads our docstrings: "Example:" has doctests, arguments may share a line."""

from __future__ import annotations

import re
from typing import Any

import griffe

EXAMPLE = re.compile(r"^( *)Example:$", re.MULTILINE)
SHARED = re.compile(r"^( +)(\w+(?:, \w+)+): (.*(?:\n\1 +\S.*)*)", re.MULTILINE)


class OurDocstrings(griffe.Extension):
    """Rewrites docstrings before they are parsed."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Give each argument a line of its own."""
        if obj.docstring is None:
            return
        text = EXAMPLE.sub(r"\1Examples:", obj.docstring.value)
        head, args, body = text.partition("Args:\n")
        if args:
            section, blank, rest = body.partition("\n\n")
            body = SHARED.sub(_apart, section) + blank + rest
        obj.docstring.value = head + args + body


def _apart(match: re.Match[str]) -> str:
    indent, names, meaning = match.groups()
    return "\n".join(f"{indent}{name}: {meaning}" for name in names.split(", "))
