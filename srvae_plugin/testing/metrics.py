"""Checks of a metric: disentanglement_lib's signature, plain numbers, one seed one score.

Each check takes the metric, called `(ground_truth_data, representation_function, random_state)`.
They run on a grid of 3 x 4 x 5 observations and representations that are known to be good or bad.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from srvae_plugin.config.plugins import METRIC_ARGUMENTS
from srvae_plugin.metrics.common.info import MetricInfo
from srvae_plugin.testing.checks import (
    Check,
    CheckError,
    Outcome,
    in_stages,
    kind_of,
    no_global_randomness,
    reason,
    require,
)
from srvae_plugin.testing.representations import (
    LookUp,
    Numbered,
    noise,
    noisy,
    perfect,
)

Metric = Callable[..., dict[str, Any]]
SIZES = (3, 4, 5)
_FEW = {"num_train": 200, "num_test": 100, "num_eval": 100, "num_variance_estimate": 500}
_TOLERANCE = 1e-6


def its_arguments_are_those_of_disentanglement_lib(metric: Metric) -> None:
    """The data set, the representation function and `random_state` come first."""
    names = list(inspect.signature(metric).parameters)
    expected = list(METRIC_ARGUMENTS[:3])
    if names[:3] != expected:
        raise CheckError(
            f"it takes ({', '.join(names)}): expected ({', '.join(expected)}, artifact_dir=None, "
            "...)"
        )


def scores_are_plain_finite_numbers(metric: Metric) -> None:
    """A dict of str to Python float or int, which JSON can hold."""
    for codes in (perfect(SIZES), noisy(SIZES), noise(SIZES)):
        scores = _score(metric, codes)
        if not isinstance(scores, dict) or not scores:
            raise CheckError(f"it returns {kind_of(scores)}: expected a dict of str to float")
        for key, value in scores.items():
            if not isinstance(key, str):
                raise CheckError(f"the key {key!r} of its scores is not a str: expected one")
            if type(value) not in (float, int):
                raise CheckError(
                    f"the score {key!r} is {kind_of(value)}: expected a Python float; float(...)"
                )
        if problem := _not_finite(scores, "codes that vary"):
            raise CheckError(problem)


def its_info_tells_of_its_scores(metric: Metric) -> None:
    """An attribute `info`, if there is one, is a MetricInfo; its headlines are scores in range."""
    info = getattr(getattr(metric, "func", metric), "info", None)
    if info is None:
        return
    if not isinstance(info, MetricInfo):
        raise CheckError(
            f"its attribute info is {kind_of(info)}: expected srvae_plugin.metrics.MetricInfo"
        )
    for codes in (perfect(SIZES), noise(SIZES)):
        scores = _score(metric, codes)
        for headline in info.headlines:
            if headline.key not in scores:
                raise CheckError(
                    f"the headline {headline.key!r} of its info is not a score: expected one of "
                    f"{', '.join(scores)}"
                )
            low, high = headline.range
            if not low - _TOLERANCE <= scores[headline.key] <= high + _TOLERANCE:
                raise CheckError(
                    f"the score {headline.key!r} is {scores[headline.key]}: expected {low} to "
                    f"{high}, which its info says"
                )


def it_uses_the_codes(metric: Metric) -> None:
    """The factors themselves do not score what noise scores."""
    if _score(metric, perfect(SIZES)) == (scores := _score(metric, noise(SIZES))):
        raise CheckError(
            f"the factors themselves and noise have the same scores, {scores}: expected others"
        )


def the_seed_decides_the_scores(metric: Metric) -> None:
    """All randomness comes from `random_state`."""
    codes = noisy(SIZES)
    with no_global_randomness("it"):
        first = _score(metric, codes)
    _require_same("the same random_state gives", _score(metric, codes), first)


def cached_codes_have_the_same_scores(metric: Metric) -> None:
    """A representation that is looked up by index scores what a plain function scores."""
    data = Numbered(SIZES)
    function = LookUp(noisy(SIZES), data)
    plain = metric(data, lambda observations: function(observations), RandomState(0))
    _require_same("codes offered by index have", metric(data, function, RandomState(0)), plain)


def codes_that_are_not_finite_are_refused(metric: Metric) -> None:
    """With a ValueError, and not turned into a score."""
    for bad in (np.nan, np.inf):
        codes = noisy(SIZES)
        codes[:, 1] = bad
        try:
            scores = _score(metric, codes)
        except ValueError:
            continue
        except Exception as error:
            raise CheckError(
                f"codes that are {bad} in latent 1 raise {reason(error)}: expected a ValueError "
                "that says so; srvae_plugin.metrics.common.checks.check_codes raises it"
            ) from error
        raise CheckError(
            f"codes that are {bad} in latent 1 have the scores {scores}: expected a ValueError; "
            "srvae_plugin.metrics.common.checks.check_codes raises it"
        )


def collapsed_codes_are_no_accident(metric: Metric) -> str | None:
    """The same code for every observation: no crash; a score that is not finite is a note."""
    codes = np.full((len(noise(SIZES)), 4), 0.1, np.float32)
    return _not_finite(_score(metric, codes), "codes that are all the same")


def a_constant_factor_is_no_accident(metric: Metric) -> str | None:
    """A factor of one value: no crash but a ValueError; that, and a score not finite, is a note."""
    sizes = (1, *SIZES)
    try:
        scores = _score(metric, perfect(sizes), sizes)
    except ValueError as error:
        return f"it refuses a factor of one value: {reason(error)}"
    return _not_finite(scores, "a data set with a factor of one value")


def the_order_of_latents_does_not_matter(metric: Metric) -> None:
    """Permuted latents have the same scores, to 1e-6."""
    codes = noisy(SIZES)
    scores, plain = _score(metric, codes[:, ::-1]), _score(metric, codes)
    _require_same("latents in reverse order have", scores, plain, _TOLERANCE)


def the_scale_of_latents_does_not_matter(metric: Metric) -> None:
    """Latents times 1, 2, 4, ... have the same scores, to 1e-6."""
    codes = noisy(SIZES)
    scaled = codes * 2.0 ** np.arange(codes.shape[1], dtype=np.float32)
    plain = _score(metric, codes)
    _require_same("rescaled latents have", _score(metric, scaled), plain, _TOLERANCE)


FIRST = (its_arguments_are_those_of_disentanglement_lib, scores_are_plain_finite_numbers)
REST = (
    its_info_tells_of_its_scores,
    it_uses_the_codes,
    the_seed_decides_the_scores,
    cached_codes_have_the_same_scores,
    codes_that_are_not_finite_are_refused,
    collapsed_codes_are_no_accident,
    a_constant_factor_is_no_accident,
)
INVARIANCES = {
    "order": the_order_of_latents_does_not_matter,
    "scale": the_scale_of_latents_does_not_matter,
}
"""What a metric may promise; where it does not, a difference is a note."""
CHECKS = (*FIRST, *REST)


def metric_outcomes(
    metric: Metric, promises: Collection[str] = (), name: str = "metric"
) -> Iterator[Outcome]:
    """Make every check of a metric."""
    if unknown := set(promises) - set(INVARIANCES):
        raise ValueError(
            f"promises: got {', '.join(sorted(unknown))}; expected some of {', '.join(INVARIANCES)}"
        )
    invariances = [
        check if promise in promises else _noted(check) for promise, check in INVARIANCES.items()
    ]
    yield from in_stages(name, (FIRST, (*REST, *invariances)), metric)


def check_metric(metric: Metric, promises: Collection[str] = (), **settings: Any) -> None:
    """Raise CheckError, one line per failure, unless a metric keeps its contract.

    Args:
        metric: the function.
        promises: "order", "scale" or both: what of the latents must not matter to the scores.
        settings: its further arguments. Numbers of points that disentanglement_lib has names for
            (`num_train`, `num_test`, `num_eval`, `num_variance_estimate`) are small by default.
    """
    require(metric_outcomes(with_few_points(metric, settings), promises))


def with_few_points(
    metric: Metric, settings: Mapping[str, Any], bound: Collection[str] = ()
) -> Metric:
    """The metric at these settings, and with few points where they do not say how many.

    `bound` are names of settings that something else gives a value.
    """
    parameters = inspect.signature(metric).parameters
    few: dict[str, Any] = {
        setting: num
        for setting, num in _FEW.items()
        if setting in parameters
        and setting not in bound
        and not isinstance(parameters[setting].default, list | tuple)
    }
    return functools.partial(metric, **(few | dict(settings)))


def _score(metric: Metric, codes: NDArray[Any], sizes: Sequence[int] = SIZES) -> dict[str, Any]:
    data = Numbered(sizes)
    return metric(data, LookUp(codes, data), RandomState(0))


def _noted(check: Check) -> Check:
    """The check with a note in place of a failure."""

    @functools.wraps(check)
    def noting(metric: Metric) -> str | None:
        try:
            return check(metric)
        except CheckError as difference:
            return str(difference)

    return noting


def _not_finite(scores: dict[str, Any], what: str) -> str | None:
    """What to say of the first score that is not finite, if there is one."""
    for key, value in scores.items():
        if not np.isfinite(value):
            return f"the score {key!r} of {what} is {value}: expected a finite number"
    return None


def _require_same(
    what: str, found: dict[str, Any], expected: dict[str, Any], tolerance: float = 0.0
) -> None:
    if set(found) != set(expected):
        raise CheckError(f"{what} the keys {sorted(found)}: expected {sorted(expected)}")
    for key, value in expected.items():
        if not abs(found[key] - value) <= tolerance:
            raise CheckError(f"{what} the score {key!r} {found[key]!r}: expected {value!r}")
