"""Numbers as people write them."""

from __future__ import annotations

import math

__all__ = ["counted", "number"]


def counted(count: int, what: str) -> str:
    """As in: 1 run, 2 runs."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def number(value: float, digits: int = 3) -> str:
    """A number for people: `digits` decimals below 10, and one less for each further digit."""
    if not math.isfinite(value):
        return "infinite" if math.isinf(value) else "–"
    above = len(str(int(abs(value)))) - 1
    return f"{value:,.{max(digits - above, 0)}f}".replace("-", "\N{MINUS SIGN}")
