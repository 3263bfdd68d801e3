"""What a short gin name means where several libraries of a process registered it.

Ours and disentanglement_lib's functions have the same short names, such as `mig` or `prune_dims`,
and gin refuses a name that two have. Here it does not: among ours, a short name means ours
(`ours_first`); anywhere else it means the other library's, which thus finds its own files, bindings
and results as if we were not there. Full names always mean what they say.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from gin import config as gin_state
from gin.selector_map import SelectorMap

__all__ = ["Names", "alias", "forget_aliases", "ours_first"]

_OURS = "srvae_plugin."


class Names(SelectorMap):
    """gin's map of names, in which ours and those of one other library may be the same."""

    aliases: SelectorMap
    """Full names that stand for one of ours, where nothing else has them."""
    are_ours_first: bool

    def matching_selectors(self, partial_selector: str) -> list[str]:
        """Full names that a name may mean; ours or the others', if both have it."""
        found: list[str] = super().matching_selectors(partial_selector)
        if not found:
            meant = self.aliases.get_all_matches(partial_selector)
            return [name for name in dict.fromkeys(meant) if name in self]
        ours = [name for name in found if name.startswith(_OURS)]
        others = [name for name in found if not name.startswith(_OURS)]
        if not (ours and others):
            return found
        return ours if self.are_ours_first else others

    def minimal_selector(self, complete_selector: str) -> str:
        """The shortest name that means that one now."""
        if complete_selector not in self:
            raise KeyError(f"No value with selector '{complete_selector}'.")
        parts = complete_selector.split(".")
        names = (".".join(parts[-count:]) for count in range(1, len(parts)))
        fit = (name for name in names if self.matching_selectors(name) == [complete_selector])
        return next(fit, complete_selector)


def _installed() -> Names:
    names = gin_state._REGISTRY
    if not isinstance(names, Names):
        # In place: gin's modules and its parsers hold this very object.
        names.__class__ = Names
        names.aliases, names.are_ours_first = SelectorMap(), False
    return names


_names = _installed()


@contextlib.contextmanager
def ours_first() -> Iterator[None]:
    """Let short names mean ours; gin files of ours and of users then mean the same everywhere.

    Results get the same keys, whether another library was imported or not.
    """
    before = _names.are_ours_first
    _names.are_ours_first = True
    try:
        yield
    finally:
        _names.are_ours_first = before


def alias(full_name: str, ours: str) -> None:
    """Let a full name, or an end of it, mean one of ours, unless another library registers it.

    Args:
        full_name: such as "disentanglement_lib.evaluation.metrics.mig.mig".
        ours: such as "mig".
    """
    _names.aliases[full_name] = f"{_OURS}{ours}"


def forget_aliases(*roots: str) -> None:
    """Undo `alias` for the full names that begin with one of these packages."""
    begin = tuple(f"{root}." for root in roots)
    kept = {name: ours for name, ours in _names.aliases.items() if not name.startswith(begin)}
    _names.aliases.clear()
    for name, ours in kept.items():
        _names.aliases[name] = ours
