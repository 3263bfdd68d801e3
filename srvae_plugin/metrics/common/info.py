"""What a metric says about itself, beside its numbers: its name, its scores, its documentation.

`@metric(MetricInfo(...))` attaches the facts to a `compute_` function as its attribute `info`, from
where the report reads them. A plug-in's metric may carry one too, made in the same way.

Metrics of one signature share most of their arguments. What these mean is written once, in
`ARGUMENTS`, and put into each function's docstring, so that `help()` shows all of them.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

__all__ = ["ARGUMENTS", "Headline", "MetricInfo", "documented", "metric"]

_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Headline:
    """A score that is shown first."""

    key: str
    """Its key in the metric's result."""
    title: str
    """What it is called in a table."""
    published: str = ""
    """Its name in `report/comparison/published_baselines.csv`, if it is there."""
    higher_is_better: bool = True
    range: tuple[float, float] = (0.0, 1.0)
    """Smallest and largest value that it can have."""


@dataclass(frozen=True)
class MetricInfo:
    """The facts of a metric."""

    title: str
    """Its name in publications."""
    reference: str
    """Where it is defined."""
    headlines: tuple[Headline, ...] = ()
    """The scores to show first, in this order; none: those that look like test scores."""
    place: int = 1000
    """Where its columns stand in a report: ascending, equal ones by name."""
    needs_factors: bool = True
    """Whether it looks at the data's factors; metrics that do not score data without them."""


ARGUMENTS = {
    "ground_truth_data": "data set to sample from.",
    "representation_function": "observations (batch, H, W, C) to codes (batch, latent).",
    "random_state": "source of all randomness, used in disentanglement_lib's order. Seeds of trees "
    "and classifiers, which it does not set, are drawn after the points.",
    "artifact_dir": "not used.",
    "num_train": "number of points to compute the score from, or to fit on.",
    "num_test": "number of points to test on.",
    "batch_size": "number of points drawn at a time.",
    "num_bins": "number of bins per latent. None: gin's `discretizer.num_bins`, or 20.",
    "discretizer_fn": "function that bins (latent, points) codes. None: gin's "
    "`discretizer.discretizer_fn`, or the histogram.",
    "predictor_fn": "creates a classifier. None: gin's `predictor.predictor_fn`, or boosted trees.",
    "n_jobs": "number of threads or processes, as in joblib: -1 is one per core. Scores do not "
    "depend on it.",
    # Of given points.
    "observations": "(points, H, W, C).",
    "labels": "(factor, points) values of the factors, in disentanglement_lib's layout.",
    "train_percentage": "share of the points, the first ones, to fit on, in [0, 1] despite the "
    "name; the others are for testing.",
    "random_seed": "seed of the trees, which disentanglement_lib does not set.",
    # Of arrays.
    "codes": "(points, latent) array, data frame or tensor.",
    "factors": "(points, factor) array, data frame or tensor of classes: whole numbers or words. "
    "Column names appear in the keys of per-factor scores.",
    "seed": "determines all randomness: a whole number, a numpy Generator or a RandomState; "
    "scikit-learn's name, `random_state`, is accepted too. A Generator gives one number, so "
    "two calls with it differ. No effect where nothing is random.",
    "test": "points to test on: a pair of codes and factors, or the share of the points to hold "
    "out, drawn at random.",
}
"""Meanings of arguments that several metrics share, by name."""

_RAISES = "ValueError: a setting out of range, or codes that are NaN, inf or of a wrong shape."
_SECTION = re.compile(r"^(Args|Returns|Raises):\n((?:[ \t]+.*\n|\n(?=[ \t]))*)", re.MULTILINE)
_ARGUMENT = re.compile(r"^(\w+): (.*(?:\n[ \t]+.*)*)", re.MULTILINE)


def metric(info: MetricInfo) -> Callable[[_F], _F]:
    """Decorator that gives a metric's function its `info`, and its docstring the shared parts.

    Args:
        info: the facts.

    Returns:
        The decorator. It also sets the attribute `needs_factors` to False where the info says so.
    """

    def decorate(function: _F) -> _F:
        function.info = info  # type: ignore[attr-defined]
        if not info.needs_factors:
            function.needs_factors = False  # type: ignore[attr-defined]
        core = function.__name__.removeprefix("compute_").removesuffix("_sklearn")
        return _completed(function, f"Scores as in `{core}`.")

    return decorate


def documented(function: _F) -> _F:
    """The function itself, its docstring completed from `ARGUMENTS` in its signature's order.

    What the docstring says of an argument wins. Without a section "Raises:" it gets the usual one.
    """
    return _completed(function)


def _completed(function: _F, returns: str = "") -> _F:
    if function.__doc__ is None:  # python -OO
        return function
    text = inspect.cleandoc(function.__doc__) + "\n"
    sections = {name: textwrap.dedent(body).strip() for name, body in _SECTION.findall(text)}
    head, *rest = re.split(r"\n(?=(?:Args|Returns|Raises):\n)", text)
    tail = [_SECTION.sub("", part).strip() for part in rest]
    own = dict(_ARGUMENT.findall(sections.get("Args", "")))
    described = {
        name: " ".join((own.get(name) or ARGUMENTS[name]).split())
        for name in inspect.signature(function).parameters
        if name in own or name in ARGUMENTS
    }
    sections["Args"] = "\n".join(_wrapped(f"{k}: {what}") for k, what in described.items())
    sections.setdefault("Returns", returns)
    sections.setdefault("Raises", _RAISES)
    parts = [head.strip()]
    for name in ("Args", "Returns", "Raises"):
        if sections.get(name):
            parts.append(f"{name}:\n{textwrap.indent(sections[name], '    ')}")
    function.__doc__ = "\n\n".join([*parts, *filter(None, tail)])
    return function


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 92, subsequent_indent="    ", break_long_words=False)
