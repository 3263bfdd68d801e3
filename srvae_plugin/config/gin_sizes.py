"""What a configuration becomes once its references are evaluated: a few lines may have no end."""

from __future__ import annotations

from gin import config as gin_state

__all__ = ["require_bounded"]

_MOST = 100_000
"""Values; the largest configurations of ours have hundreds."""


def require_bounded() -> None:
    """Raise ValueError if what gin holds refers to itself, or grows beyond all use.

    Ten lists, each of ten times the one before, are ten billion values.
    """
    known: dict[tuple[str, str], int] = {}
    for scope, selector in list(gin_state._CONFIG):
        _size(scope, selector, known, frozenset())


def _size(
    scope: str,
    selector: str,
    known: dict[tuple[str, str], int],
    above: frozenset[tuple[str, str]],
) -> int:
    """Number of values that evaluating a reference makes; those in `above` wait for it."""
    key = (scope, selector)
    name = f"{scope}/{selector}" if scope else selector
    if key in above:
        raise ValueError(f"{name} refers to itself")
    if key not in known:
        parts = scope.split("/") if scope else []
        scopes = ["/".join(parts[:count]) for count in range(len(parts) + 1)]
        values = tuple(tuple(gin_state._CONFIG.get((s, selector), {}).values()) for s in scopes)
        total = 1
        for leaf in gin_state._iterate_flattened_values(values):
            total += 1
            if isinstance(leaf, gin_state.ConfigurableReference) and leaf.evaluate:
                inner, of = leaf.config_key
                total += _size(inner, of, known, above | {key})
        if total > _MOST:
            raise ValueError(f"{name} stands for more than {_MOST:,} values")
        known[key] = total
    return known[key]
