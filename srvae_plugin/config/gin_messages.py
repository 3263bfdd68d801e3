"""One line out of gin's several: where, what, and what to type instead."""

from __future__ import annotations

import collections.abc
import re
import shlex
import tokenize
import typing
from pathlib import Path
from typing import Any

from gin import config as gin_state

from srvae_plugin.config import plugins
from srvae_plugin.config.gin_sources import read_text

__all__ = ["names", "of_binding", "of_file", "one_line", "parameters", "signature_hints"]


_BINDING = re.compile(r"\s*(?P<key>[\w./]+)\s*=\s*(?P<value>.*?)\s*", re.DOTALL)
_WORDS = {"true": "True", "false": "False", "none": "None", "null": "None"}
_YES_OR_NO = {"yes": "True", "on": "True", "no": "False", "off": "False"}


def one_line(error: BaseException) -> str:
    """Message of an error on one line, without the call path that gin appends to it."""
    return " ".join(str(error).partition("\n  In call to configurable")[0].split())


def of_file(error: BaseException, path: Path) -> str:
    """What is wrong in a gin file, with the number of the line."""
    text, source = str(error), str(path)
    line = getattr(error, "lineno", None)
    if place := re.search(r'In file "(.*?)", line (\d+)', text):
        source, line = place[1], int(place[2])
    elif line is None and (number := re.search(r"line (\d+)", text)):
        line = int(number[1])
    if line is None:
        return f"{source}: {_what(error)}"
    lines = read_text(Path(source)).splitlines() if Path(source).is_file() else []
    typed = lines[line - 1].partition(" #")[0].strip() if 0 < line <= len(lines) else ""
    if isinstance(error, SyntaxError) and (better := _better(typed)):
        return f"{source}, line {line}: {typed}: {better[0]}: {better[1]}"
    return f"{source}, line {line}: {_what(error)}"


def of_binding(error: BaseException, binding: str) -> str:
    """What is wrong with a binding of the command line and, if it can be told, what to type."""
    if isinstance(error, SyntaxError | tokenize.TokenError) and (better := _better(binding)):
        inside = ", inside the shell's" if "quotes" in better[0] else ""
        return f"binding {binding!r}: {better[0]}{inside}: --bind {shlex.quote(better[1])}"
    return f"binding {binding!r}: {_what(error)}"


def _what(error: BaseException) -> str:
    text = str(error)
    if isinstance(error, tokenize.TokenError):
        return f"a bracket or string is not closed ({error.args[0]})"
    if isinstance(error, SyntaxError):
        # What gin adds to it is the address of an object of Python's parser.
        return re.sub(r"\s*malformed node or string.*", "", error.msg.splitlines()[0], flags=re.S)
    if unknown := re.search(r"No configurable matching (?:reference )?'@?([\w./]+)", text):
        return _unknown(unknown[1].rpartition("/")[2])
    if several := re.search(r"Ambiguous selector '([\w./]+)', matches \[(.*?)\]", text):
        return f"{several[1]!r} is ambiguous: write one of {several[2]} in full"
    if wrong := re.search(r"Configurable '(.*)' doesn't have a parameter named '(.*)'", text):
        known = parameters(wrong[1])
        return (
            f"{wrong[1]!r} has no parameter {wrong[2]!r}{plugins.nearest(wrong[2], known)}"
            f" (it has {', '.join(known) or 'none'})"
        )
    if isinstance(error, ModuleNotFoundError):
        return (
            f"{text.splitlines()[0]}: expected {error.name}.py or a folder {error.name} beside the "
            "gin file, in the working directory, or a package that is installed"
        )
    if isinstance(error, ImportError):
        return f"cannot be imported: {text.splitlines()[0]}"
    return text.splitlines()[0] if text else type(error).__name__


_ABSTRACT_REASONING = {"abstract_reasoning", "pgm", "TwoStageModel", "OptimizedWildRelNet"}
_ABSTRACT_REASONING |= {"BaselineCNNEmbedder", "HubEmbedding"}


def _unknown(name: str) -> str:
    """What to say of a name that gin does not know."""
    broken = [str(b) for b in plugins.load().broken if b.name == name.rpartition(".")[2]]
    last = name.rpartition(".")[2]
    if broken:
        return f"unknown name {name!r}; {'; '.join(broken)}"
    if last in _ABSTRACT_REASONING:
        return (
            f"{last!r} is of disentanglement_lib's abstract reasoning, which is not done here: "
            "train the representations (--study abstract_reasoning_study_v1) and give its "
            "dlib_reason what srvae-export --to disentanglement_lib writes of them"
        )
    if name == "study":
        return "it describes a study: srvae-study --gin runs it"
    if last in names():
        if last != name:
            return f"unknown name {name!r}: write {last!r}, without {name.rpartition('.')[0]!r}"
        return f"{name!r} cannot be bound here"
    return f"unknown name {name!r}{plugins.nearest(last, names())}"


def names() -> list[str]:
    """Names of all that can be bound, without their modules."""
    return [selector.rpartition(".")[2] for selector, _ in gin_state._REGISTRY.items()]


def parameters(name: str) -> list[str]:
    """Parameters that gin may bind on a configurable."""
    entry = gin_state._REGISTRY.get_match(name)
    hidden = {"self", "return", *(entry.denylist or ())}
    hints = [n for n in signature_hints(entry.wrapped) if n not in hidden]
    return [n for n in hints if entry.allowlist is None or n in entry.allowlist]


def signature_hints(target: Any) -> dict[str, Any]:
    """Annotations of a function's, or a class's, parameters."""
    target = target.__init__ if isinstance(target, type) else target  # type: ignore[misc]
    return typing.get_type_hints(target)


def _better(binding: str) -> tuple[str, str] | None:
    """What a value lacks, and the binding as it should be; None if there is no telling.

    The shell eats one pair of quotes, so that what arrives is most often a bare word.
    """
    parts = _BINDING.fullmatch(binding)
    if parts is None or not parts["value"]:
        return None
    key, value = parts["key"], parts["value"]
    hint = _hint(key)
    fixed, lacks = _fixed(value, hint)
    try:
        gin_state.parse_value(fixed)
    except Exception:  # gin may raise anything: then there is nothing better to say
        return None
    return lacks, f"{key} = {fixed}"


def _hint(key: str) -> Any:
    """Annotation of the parameter that a binding sets; None if it is not known."""
    name, _, parameter = key.rpartition("/")[2].rpartition(".")
    try:
        return signature_hints(gin_state._REGISTRY.get_match(name).wrapped).get(parameter)
    except Exception:  # an unknown or ambiguous name, annotations that do not resolve
        return None


def _fixed(value: str, hint: Any) -> tuple[str, str]:
    """A value as gin takes it, and what it lacked."""
    if value.lower() in _WORDS:
        return _WORDS[value.lower()], f"it is spelt {_WORDS[value.lower()]}"
    if hint is bool and value.lower() in _YES_OR_NO:
        return _YES_OR_NO[value.lower()], "expected True or False"
    if value[0] in "[({" or (value[-1] in "])}" and "(" not in value):
        return _BARE_OUTSIDE.sub(_quoted_word, value), "strings take quotes"
    if (name := value.removesuffix("()")) in names() and not _is_text(hint):
        is_model = name in plugins.names("models")
        reference = f"@{name}()" if is_model or value.endswith("()") else f"@{name}"
        return reference, f"a reference begins with @{' and ends with ()' if is_model else ''}"
    if hint is not None and typing.get_origin(hint) is collections.abc.Sequence:
        items = ", ".join(_quoted(item.strip()) for item in value.split(","))
        return f"[{items}]", "expected a list of strings in quotes"
    return _quoted(value), "a string takes quotes"


def _is_text(hint: Any) -> bool:
    return hint is str or str in typing.get_args(hint)


_BARE_OUTSIDE = re.compile(r"\"[^\"]*\"|'[^']*'|[@%]?[A-Za-z_/~][\w./~-]*(?:\(\))?")


def _quoted_word(match: re.Match[str]) -> str:
    word = match[0]
    if word[0] in "\"'@%" or word in ("True", "False", "None"):
        return word
    return _WORDS.get(word.lower(), _quoted(word))


def _quoted(text: str) -> str:
    text = text.strip("\"'")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
