"""Configurations as text: what a finished step recorded, read without gin."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from srvae_plugin.data.storage import manifest
from srvae_plugin.files import parse_json

__all__ = [
    "NOT_OF_THE_MODEL",
    "dataset_bindings",
    "gin_dict",
    "gin_function",
    "record_in",
    "text_in",
    "value_in",
    "with_record",
]


_DATA_LINE = "# data set: "
"""Begins the line of a configuration that holds the record of its data set."""
NOT_OF_THE_MODEL = frozenset({
    "model.random_seed", "model.device", "model.checkpoint_every", "model.log_every",
    "model.tensorboard", "model.compile", "model.eval_steps", "model.model_seed",
    "model.keep_every", "model.keep_checkpoint", "model.name", "model.model_num",
})  # fmt: skip
"""Bindings that may differ between runs of one model: the last two say how a run is named, others
its seed, where it was computed, how often it was looked at and what was kept."""


def gin_dict(config: str) -> dict[str, str]:
    """Bindings of an operative gin configuration as strings, as disentanglement_lib has them."""
    lines = _logical_lines(config)
    pairs = (line.split(" = ", 1) for line in lines if " = " in line and not line.startswith("#"))
    return {key.strip(): value.strip() for key, value in pairs}


def gin_function(reference: str) -> str:
    """Function of a gin reference, without scope and module.

    Example:
        >>> gin_function("@scope/srvae_plugin.vae()")
        'vae'
    """
    return reference.removesuffix("()").rpartition("/")[2].rpartition(".")[2].removeprefix("@")


def dataset_bindings(path: Path) -> dict[str, Any]:
    """What a step's gin file binds under `dataset`, by option; macros are resolved.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged; nothing in it is evaluated but numbers, texts and lists of them.
    """
    bound = gin_dict(manifest.checked_text(path))
    keys = [key for key in bound if key.startswith("dataset.")]
    try:
        return {key.partition(".")[2]: value_in(bound, key) for key in keys}
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        raise ValueError(
            f"{path} is damaged or was not written by gin: what it binds under dataset is not a "
            "Python value"
        ) from None


def value_in(bound: Mapping[str, str], key: str) -> Any:
    """A Python value among the bindings of `gin_dict`, of a macro its value; None if unbound."""
    return ast.literal_eval(text_in(bound, key) or "None")


def text_in(bound: Mapping[str, str], key: str) -> str:
    """The same as it is written; empty if unbound."""
    value = bound.get(key, "")
    return bound.get(value.removeprefix("%"), value)


def with_record(config: str, record: Mapping[str, Any]) -> str:
    """A configuration's text with the record of its data set on a line of its own."""
    return f"{config.rstrip()}\n\n{_DATA_LINE}{json.dumps(record, sort_keys=True)}\n"


def record_in(text: str) -> dict[str, Any] | None:
    """The record in a text that `with_record` made; None in one of an older version."""
    lines = [line for line in text.splitlines() if line.startswith(_DATA_LINE)]
    try:
        found = parse_json(lines[-1].removeprefix(_DATA_LINE)) if lines else None
    except ValueError:
        return None
    return (
        found if isinstance(found, dict) and found.keys() >= {"name", "paths", "digest"} else None
    )


def _logical_lines(config: str) -> list[str]:
    """Lines with gin's continuations (a value on indented lines, or after a backslash) joined."""
    lines: list[str] = []
    for line in config.splitlines():
        if lines and line.startswith(" ") and line.strip():
            lines[-1] = f"{lines[-1].rstrip().removesuffix(chr(92)).rstrip()} {line.strip()}"
        else:
            lines.append(line)
    return lines
