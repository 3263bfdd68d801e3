"""Scores of one representation: metric by metric, as tables and in a notebook."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

from srvae_plugin.config import plugins

if TYPE_CHECKING:
    import pandas

__all__ = ["NOT_SCORES", "HeadlineScore", "Scores", "flat_scores", "without_times"]

NOT_SCORES = ("uuid", "elapsed_time")
"""What stands among the results of a metric in a run directory and is no score."""


class HeadlineScore(NamedTuple):
    """The number by which a metric is known."""

    metric: str
    """The metric's name, as `sv.score` takes it."""
    title: str
    """What publications call the number."""
    value: float
    higher_is_better: bool
    range: tuple[float, float]
    """Smallest and largest value that it can have."""


class Scores(dict[str, dict[str, Any]]):
    """Results by metric and key; the keys are disentanglement_lib's where it has the metric.

    Example:
        >>> scores = Scores(mig={"discrete_mig": 0.25, "num_factors_scored": 5})
        >>> scores["mig"]["discrete_mig"]
        0.25
        >>> scores
        metric  score  value  range   better
        mig     MIG    .2500  0 to 1  higher
        >>> scores.headline()[0].higher_is_better
        True
    """

    def headline(self) -> list[HeadlineScore]:
        """The numbers by which each metric is known, with their direction and range.

        A metric that does not say which they are, a plug-in's, has none.
        """
        return list(self._headlines())

    def to_frame(self) -> pandas.DataFrame:
        """All numbers, one per row: columns `metric`, `key` and `value`."""
        import pandas

        rows = [
            (metric, key, value)
            for metric, result in self.items()
            for key, value in result.items()
            if isinstance(value, int | float)
        ]
        return pandas.DataFrame(rows, columns=["metric", "key", "value"])

    def to_latex(self) -> str:
        """The headline scores as a LaTeX table; it needs the package booktabs."""
        lines = [
            f"{_latex(score.title)} {_ARROWS[score.higher_is_better]} & {score.value:.3f} \\\\"
            for score in self._headlines()
        ]
        return "\n".join(
            [r"\begin{tabular}{lr}", r"\toprule", r"Score & Value \\", r"\midrule", *lines,
             r"\bottomrule", r"\end{tabular}"]
        )  # fmt: skip

    @staticmethod
    def _info_of(metric: str) -> Any:
        """What a metric says of its scores; None of a name in scores that is no metric's own."""
        with contextlib.suppress(ValueError):
            return getattr(plugins.find("metrics", metric), "info", None)
        return None

    def _headlines(self) -> Iterator[HeadlineScore]:
        for metric, result in self.items():
            info = self._info_of(metric)
            for line in info.headlines if info else ():
                if line.key in result:
                    yield HeadlineScore(
                        metric, line.title, float(result[line.key]), line.higher_is_better,
                        line.range,
                    )  # fmt: skip

    def _table(self) -> list[tuple[str, ...]]:
        """The headline scores as text, the heads of the columns first."""
        rows = [
            (s.metric, s.title, _number(s.value), f"{s.range[0]:g} to {s.range[1]:g}",
             "higher" if s.higher_is_better else "lower")
            for s in self._headlines()
        ]  # fmt: skip
        return [("metric", "score", "value", "range", "better"), *rows]

    def __repr__(self) -> str:
        table = self._table()
        if len(table) == 1:
            return dict.__repr__(self)
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in table)
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head, *rows = self._table()
        if not rows:
            return f"<pre>{escape(dict.__repr__(self))}</pre>"
        cells = "".join(f"<th>{name}</th>" for name in head)
        lines = (
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
        )
        return f"<table><tr>{cells}</tr>{''.join(lines)}</table>"


def flat_scores(by_kind: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, float]:
    """Numbers of scores[representation][metric][key] by name: `mig.discrete_mig`.

    With several representations the name begins with theirs: `sampled/mig.discrete_mig`.
    """
    return {
        (f"{kind}/" if len(by_kind) > 1 else "") + f"{metric}.{key}": value
        for kind, metrics in by_kind.items()
        for metric, scores in metrics.items()
        for key, value in scores.items()
        if isinstance(value, int | float) and key not in NOT_SCORES
    }


def without_times(results: Mapping[str, Mapping[str, Any]]) -> Scores:
    """The scores among the results of a run directory: what is equal if it is scored again."""
    return Scores({
        metric: {key: value for key, value in result.items() if key not in NOT_SCORES}
        for metric, result in results.items()
    })  # fmt: skip


_ARROWS = {True: r"$\uparrow$", False: r"$\downarrow$"}


def _number(value: float) -> str:
    return f"{value:.4f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.4g}"


def _latex(text: str) -> str:
    for character in "&%$#_{}":
        text = text.replace(character, "\\" + character)
    return text
