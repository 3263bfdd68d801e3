"""`srvae-evaluate --list`: what there is, plug-ins of others included, from what it says of itself.

What a thing is and where it comes from is read from its docstring, its arguments from its
signature, and of a metric the scores from its `info` (see `srvae_plugin.metrics.MetricInfo`).
"""

from __future__ import annotations

import inspect
import math
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Any

__all__ = ["KINDS", "listing"]

KINDS = ("metrics", "models", "datasets", "networks")
_SOURCE = re.compile(r"^Source: (.*?)(?=\n\n|\. [A-Z]|\Z)", re.DOTALL | re.MULTILINE)
_CITED = re.compile(r"\(([^()]*\b(?:19|20)\d\d\b[^()]*)\)|(arXiv[ :]\d{4}\.\d{4,5})")
_MARKUP = re.compile(r":\w+:`~?(?:[\w.]*\.)?(\w+)`")
_WIDTH = 100


def listing(kind: str) -> str:
    """All metrics, models, data sets or networks, or all of these.

    Args:
        kind: one of `KINDS`, or "all".

    Returns:
        For each its name, what it is and its arguments with their defaults; of a metric the scores
        to look at, with range and direction; where it is defined, if it says so.
    """
    kinds = KINDS if kind == "all" else (kind,)
    return "\n\n".join("\n".join([_TITLES[each], *_block(each)]) for each in kinds)


_TITLES = {
    "metrics": "metrics (run.metrics = [...])",
    "models": "models (model.model = @NAME())",
    "datasets": "data sets (dataset.name = \"NAME\")",
    "networks": "networks (encoder.encoder_fn = @NAME, decoder.decoder_fn = @NAME)",
}  # fmt: skip


def _block(kind: str) -> Iterator[str]:
    found = _networks() if kind == "networks" else _plugins(kind)
    width = max(map(len, found), default=0)
    for name, thing in sorted(found.items()):
        yield f"  {name.ljust(width)}  {_what(thing)}"
        for label, text in _facts(kind, thing):
            yield from textwrap.wrap(
                f"{label}: {text}", _WIDTH,
                initial_indent="      ", subsequent_indent=" " * 12, break_long_words=False,
            )  # fmt: skip


def _plugins(kind: str) -> Mapping[str, Callable[..., Any]]:
    from srvae_plugin.config import plugins

    return {name: _original(thing) for name, thing in plugins.load().found[kind].items()}  # type: ignore[index]


def _original(thing: Callable[..., Any]) -> Callable[..., Any]:
    """What gin has wrapped: a function in another, a class in a class of the same name below it."""
    if isinstance(thing, type):
        below = thing.__mro__[1]
        return below if below.__qualname__ == thing.__qualname__ else thing
    return inspect.unwrap(thing)


def _networks() -> Mapping[str, Callable[..., Any]]:
    from srvae_plugin.models import networks

    functions = {name: getattr(networks, name) for name in networks.__all__}
    return {
        name: _original(function)
        for name, function in functions.items()
        if inspect.isfunction(function)
        and re.search(r"_(en|de)coder", name)
        and not name.startswith("make_")
    }


def _what(thing: Callable[..., Any]) -> str:
    """The first sentence of its docstring."""
    paragraph = " ".join((inspect.getdoc(thing) or "").partition("\n\n")[0].split())
    sentence = re.split(r"(?<=[a-z\d)`])\.(?: |$)", paragraph)[0] or "(it has no docstring)"
    plain = _MARKUP.sub(r"\1", sentence).replace("``", "`").removesuffix(".")
    return plain.removeprefix("Returns ")


def _facts(kind: str, thing: Callable[..., Any]) -> Iterator[tuple[str, str]]:
    info = getattr(thing, "info", None)
    for score in getattr(info, "headlines", ()):
        low, high = score.range
        better = "higher" if score.higher_is_better else "lower"
        yield "score", f"{score.key} ({score.title}), {_range(low, high)}, {better} is better"
    if reference := getattr(info, "reference", "") or _reference(kind, thing):
        yield "reference", reference.replace("arXiv ", "arXiv:")
    from srvae_plugin.config.plugins import METRIC_ARGUMENTS

    given = METRIC_ARGUMENTS if kind == "metrics" else ("observation_shape", "num_latent")
    shown = [
        name if parameter.default is parameter.empty else f"{name}={_default(parameter.default)}"
        for name, parameter in inspect.signature(thing).parameters.items()
        if name not in given and parameter.kind not in (parameter.VAR_KEYWORD,)
    ]
    if shown:
        yield "arguments", ", ".join(shown)


def _range(low: float, high: float) -> str:
    if math.isinf(low) and math.isinf(high):
        return "any number"
    if math.isinf(high):
        return f"{low:g} or more"
    return f"{high:g} or less" if math.isinf(low) else f"{low:g} to {high:g}"


def _default(value: Any) -> str:
    return getattr(value, "__name__", None) or repr(value)


def _reference(kind: str, thing: Callable[..., Any]) -> str:
    """The source that its docstring names, or what that cites, or its module's docstring."""
    texts = [inspect.getdoc(thing) or ""]
    if kind != "networks":  # whose modules hold many
        texts.append(inspect.getdoc(inspect.getmodule(thing)) or "")
    for pattern in (_SOURCE, _CITED):
        for text in texts:
            if found := pattern.search(text):
                return " ".join(next(filter(None, found.groups())).split()).removesuffix(".")
    return ""
