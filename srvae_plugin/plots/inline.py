"""Figures in notebooks, which pyplot alone would show there."""

from __future__ import annotations

import sys
from typing import Any, TypeVar

from matplotlib.figure import Figure

from srvae_plugin.progress import in_notebook

__all__ = ["shown_inline"]

_Drawn = TypeVar("_Drawn", bound=Figure | None)


def shown_inline(figure: _Drawn) -> _Drawn:
    """The same figure; the first one in a notebook has all figures shown as pictures there.

    A format that the notebook chose (`%config InlineBackend.figure_formats`) stays.
    """
    if in_notebook():
        shell: Any = sys.modules["IPython"].get_ipython()
        known = shell.display_formatter.formatters.values()
        if not any(Figure in each.type_printers for each in known):
            from IPython.core.pylabtools import select_figure_formats

            select_figure_formats(shell, {"png"})
    return figure
