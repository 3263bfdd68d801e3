"""Unfairness of classifiers: Locatello et al., "On the Fairness of Disentangled Representations"
(arXiv 1905.13662), section 4. Low is good.

A classifier predicts one factor, the target; another one, the sensitive factor, is set to each of
its values. The more the distribution of predictions moves, the less fair the representation is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.ground_truth import GroundTruthData, names_of
from srvae_plugin.data.own.table_rows import TableRows
from srvae_plugin.data.sampling.seeds import Seed, draw_seeds, random_state_of
from srvae_plugin.metrics.codes import (
    CodeDraws,
    CodesAndFactors,
    RepresentationFunction,
    points_used,
)
from srvae_plugin.metrics.common.arrays import Rows, with_names
from srvae_plugin.metrics.common.checks import LEFT_OUT, check_count, check_factors, varying_factors
from srvae_plugin.metrics.common.drawing import Scores, Source
from srvae_plugin.metrics.common.factor_kinds import masked, only_classes
from srvae_plugin.metrics.common.info import Headline, MetricInfo, documented, metric
from srvae_plugin.metrics.learners.predictors import PredictorFn, Task, predict

__all__ = [
    "Interventions",
    "compute_fairness",
    "fairness",
    "fairness_of",
    "fairness_scores",
    "inter_group_fairness",
]

logger = logging.getLogger(__name__)

_AGGREGATES: dict[str, Callable[..., Any]] = {"mean": np.mean, "max": np.max}


class Interventions(NamedTuple):
    """Codes of points of which one factor has been set."""

    target: int
    """Factor that is to be predicted."""
    sensitive: int
    """Factor that was set."""
    codes: NDArray[Any]
    """(value of the sensitive factor, points, latent)."""


def inter_group_fairness(counts: NDArray[np.integer[Any]]) -> tuple[float, float]:
    """Mean and largest total variation distance of groups from all of them, both in [0, 1].

    Args:
        counts: (predicted value, group) number of predictions.

    In single precision, as in the original.
    """
    overall = np.sum(counts, axis=1, dtype=np.float32)
    overall /= overall.sum()
    per_group = counts.sum(axis=0)
    distributions = counts.astype(np.float32)
    distributions /= per_group
    distances = np.sum(np.abs(distributions - overall[:, np.newaxis]), axis=0) / 2.0
    return float(np.sum(distances * per_group / per_group.sum())), float(distances.max())


def fairness_scores(matrix: NDArray[np.float64], prefix: str, names: NDArray[np.intp]) -> Scores:
    """Every entry, mean and maximum of an unfairness matrix (target, sensitive factor).

    Args:
        matrix: square; its diagonal is not looked at.
        prefix: what the keys start with.
        names: (factor,) what the factors are called in the keys.

    Returns:
        `PREFIX:predI:sensJ`, `PREFIX:predI:AGG_sens`, `PREFIX:sensJ:AGG_pred`, and over those
        `PREFIX:AGG_sens:AGG_pred` and `PREFIX:AGG_pred:AGG_sens`, with mean and max for AGG. What
        stands last in a key is aggregated first.
    """
    scores: Scores = {}
    size = len(matrix)
    off_diagonal = ~np.eye(size, dtype=bool)
    by_axis = {"pred": matrix, "sens": matrix.T}
    for i, j in np.argwhere(off_diagonal):
        scores[f"{prefix}:pred{names[i]}:sens{names[j]}"] = float(matrix[i, j])
    for kept, other in (("pred", "sens"), ("sens", "pred")):
        rows = by_axis[kept][off_diagonal].reshape(size, size - 1)
        for inner, aggregate in _AGGREGATES.items():
            of_rows = [float(aggregate(row)) for row in rows]
            for name, value in zip(names, of_rows, strict=True):
                scores[f"{prefix}:{kept}{name}:{inner}_{other}"] = value
            for outer, over_rows in _AGGREGATES.items():
                key = f"{prefix}:{outer}_{kept}:{inner}_{other}"
                scores[key] = float(over_rows(of_rows))
    return scores


def fairness_of(
    train: CodesAndFactors,
    interventions: list[Interventions],
    factors_num_values: list[int],
    seeds: NDArray[np.integer[Any]],
    predictor_fn: PredictorFn | None = None,
    n_jobs: int | None = None,
) -> Scores:
    """Unfairness of classifiers of each factor under interventions on each other factor.

    Args:
        train: codes (points, latent) and factors (points, factor) to fit the classifiers on.
        interventions: codes to predict the target of.
        factors_num_values: number of values of each factor.
        seeds: (factor,) seed of each factor's classifier.
        predictor_fn: makes a classifier. None: gin's `predictor.predictor_fn`, or boosted trees.
        n_jobs: processes to fit classifiers in, as in joblib; scores do not depend on it.

    Returns:
        `fairness_scores` under the prefixes `mean_fairness` and `max_fairness`, the mean and the
        largest distance over the sensitive factor's values; `mean_fairness:mean_pred:mean_sens`
        is the paper's. All in [0, 1], 0 is fair. `num_factors_scored`.

    Raises:
        ValueError: fewer than two factors that vary, or a wrong shape or value.

    Constant factors are left out, with a logged warning; the original fails on them. Collapsed
    codes, of which all predictions are the same, are perfectly fair.
    """
    varying = varying_factors("fairness", train.factors, at_least=2)
    tasks = []
    for i in varying:
        asked = tuple(np.concatenate(part.codes) for part in interventions if part.target == i)
        tasks.append(Task(train.codes, train.factors[:, i], int(seeds[i]), asked))
    predicted = predict(tasks, predictor_fn, n_jobs)
    position = {int(k): n for n, k in enumerate(varying)}
    matrices = np.zeros((2, varying.size, varying.size))
    for i in varying:
        parts = [part for part in interventions if part.target == i]
        for part, labels in zip(parts, predicted[position[int(i)]], strict=True):
            groups = labels.astype(np.int64).reshape(len(part.codes), -1)
            counts = [np.bincount(group, minlength=factors_num_values[i]) for group in groups]
            place = position[part.target], position[part.sensitive]
            matrices[(slice(None), *place)] = inter_group_fairness(np.stack(counts, axis=1))
    scores: Scores = {"num_factors_scored": varying.size}
    for prefix, matrix in zip(("mean_fairness", "max_fairness"), matrices, strict=True):
        scores |= fairness_scores(matrix, prefix, varying)
    return scores


@documented
def fairness(
    codes: Any,
    factors: Any,
    *,
    seed: Seed = 0,
    random_state: Seed | None = None,
    num_train: int = 10_000,
    num_test_points_per_class: int = 100,
    predictor_fn: PredictorFn | None = None,
    n_jobs: int | None = None,
) -> Scores:
    """Unfairness of classifiers on codes (arXiv 1905.13662, section 4), at points drawn from them.

        unfairness of target t under sensitive factor s = mean over the values of s of
            total variation distance of the predictions of t given that value from all of them

    The score is the mean over pairs of factors.

    Rewards: codes from which a factor is predicted in the same way whatever the value of another
    factor.

    Punishes: predictions that change with the sensitive factor, as happens when a classifier
    confuses the two. Noisy, rotated and merged codes are not punished as long as the mistakes do
    not depend on the sensitive factor. With few points per value even perfect codes score above 0.

    Use it: where a decision must not depend on a known factor. It says nothing about accuracy:
    useless codes are perfectly fair.

    Published settings: the defaults are those of the study in arXiv 1905.13662.

    Args:
        num_train: points to fit the classifiers on, fewer if there are not as many.
        num_test_points_per_class: points whose sensitive factor is set to each of its values.

    Returns:
        In [0, 1], lower is better: `mean_fairness:predI:sensJ` for each target I and sensitive
        factor J, and its means and maxima over one or both, such as
        `mean_fairness:mean_pred:mean_sens`, the published score; the same with `max_fairness`, the
        largest distance over the values instead of the mean; `num_factors_scored`. I and J are the
        names of the factors' columns, if they have any.

    Special cases: Constant factors are left out, with a logged warning; disentanglement_lib fails
    on them. Collapsed codes, for which all predictions are the same, score 0. See
    `compute_fairness` for tables that are not a full grid of factors.

    Examples:
        >>> import numpy as np
        >>> from sklearn.tree import DecisionTreeClassifier
        >>> factors, tree = np.argwhere(np.ones((4, 5))), DecisionTreeClassifier
        >>> key = "mean_fairness:mean_pred:mean_sens"
        >>> codes = factors + 0.0
        >>> fairness(codes, factors, predictor_fn=tree)[key] < 0.1  # perfect codes
        True
        >>> fairness(0 * codes, factors, predictor_fn=tree)[key]  # collapsed: one answer for all
        0.0
    """
    rows = Rows.of(codes, factors)
    settings: dict[str, Any]
    settings = {"num_train": num_train, "predictor_fn": predictor_fn, "n_jobs": n_jobs}
    settings |= {"num_test_points_per_class": num_test_points_per_class}
    stream = random_state_of(seed, random_state)
    scores = compute_fairness(rows.data, rows.function, stream, **settings)
    return with_names(scores, rows.names)


@metric(
    MetricInfo(
        "Unfairness",
        "Locatello et al., On the Fairness of Disentangled Representations (2019), "
        "arXiv 1905.13662, section 4",
        (
            Headline(
                "mean_fairness:mean_pred:mean_sens", "Unfairness (mean)", higher_is_better=False
            ),
        ),
        place=160,
    )
)
def compute_fairness(
    ground_truth_data: GroundTruthData,
    representation_function: RepresentationFunction,
    random_state: Seed,
    artifact_dir: str | None = None,
    num_train: int = 10_000,
    num_test_points_per_class: int = 100,
    batch_size: int = 16,
    predictor_fn: PredictorFn | None = None,
    n_jobs: int | None = -1,
) -> Scores:
    """Unfairness of classifiers on a representation (arXiv 1905.13662, section 4).

    The defaults are those of the published study.

    Args:
        num_test_points_per_class: points whose sensitive factor is set to each of its values.
        batch_size: training points drawn at a time.

    Returns:
        Scores as in `fairness_of`.

    For a table that is not a full grid, factors cannot be set. The points of a value are then
    random rows that have it, drawn with replacement, and their predictions are compared with those
    of all values, each counting the same, which is the paper's definition. If two factors are
    correlated, the score is not 0 even for perfect predictions. Values with fewer than ten distinct
    rows (or a tenth of the rows, in a table of fewer than 100) are left out, and so are factors
    with fewer than two values left, which is logged.
    """
    check_count("num_test_points_per_class", num_test_points_per_class)
    source = Source.of(ground_truth_data, representation_function, random_state, batch_size)
    drawn, stream = source.draw(num_train=num_train), source.random_state
    (train,) = only_classes("fairness", ground_truth_data, drawn)
    draws = CodeDraws(ground_truth_data, representation_function)
    if draws.rows is not None:
        factors = _classes(train.factors, ground_truth_data)
        if draws.draws_rows:
            out = _without_values_to_compare(draws.rows, factors, names_of(ground_truth_data))
            factors = masked(factors, out)
        train = CodesAndFactors(train.codes, factors)
    varying = varying_factors("fairness", train.factors, at_least=2).tolist()
    sizes = list(ground_truth_data.factors_num_values)
    places = [(i, j) for i in varying for j in varying if i != j]
    values: dict[int, Sequence[int] | NDArray[np.intp]]
    values = {sensitive: range(sizes[sensitive]) for sensitive in varying}
    if draws.rows is not None and draws.draws_rows:
        values = {k: np.flatnonzero(draws.rows.holders(k).counts) for k in varying}
    for _, sensitive in places:
        _observe_values(draws, sensitive, values[sensitive], num_test_points_per_class, stream)
    seeds = draw_seeds(stream, ground_truth_data.num_factors)
    numbers = [len(values[sensitive]) for _, sensitive in places]
    ends = np.cumsum(numbers) * num_test_points_per_class
    interventions = [
        Interventions(*place, part.reshape(-1, num_test_points_per_class, part.shape[1]))
        for place, part in zip(places, np.split(draws.codes(), ends[:-1]), strict=True)
    ]
    scores = fairness_of(train, interventions, sizes, seeds, predictor_fn, n_jobs) | drawn.points
    if draws.draws_rows:
        asked = num_test_points_per_class
        scores |= points_used("num_test_points_per_class", asked, asked)
    return scores


def _classes(factors: NDArray[Any], table: Any) -> NDArray[np.int64]:
    """The factors of a table's rows, numbered as its classes are, whatever their type."""
    factors = check_factors(factors, len(factors))
    columns = zip(table.factors.T, factors.T, strict=True)
    classes = [np.searchsorted(np.unique(every), some) for every, some in columns]
    return masked(np.stack(classes, axis=1), (factors == LEFT_OUT).all(axis=0))


def _without_values_to_compare(
    rows: TableRows, classes: NDArray[np.int64], names: Sequence[str]
) -> NDArray[np.bool_]:
    """(factor,) which factors lack two values that enough rows have; what is left out is said."""
    out = np.zeros(len(rows.sizes), dtype=bool)
    for k in np.flatnonzero(classes.min(axis=0) != classes.max(axis=0)).tolist():
        size = rows.sizes[k]
        left = np.count_nonzero(rows.holders(k).counts)
        out[k] = left < 2
        if out[k]:
            logger.warning(
                "fairness: left out: %r, which has fewer than 2 values that %d different rows "
                "have, so that predictions cannot be compared: bind dataset.factor_bins = 10, say",
                names[k], rows.fewest_rows,
            )  # fmt: skip
        elif left < size:
            logger.warning(
                "fairness: %s: %d of its %d values are left out because fewer than %d different "
                "rows have them", names[k], size - left, size, rows.fewest_rows,
            )  # fmt: skip
    return out


def _observe_values(
    draws: CodeDraws,
    factor: int,
    values: Sequence[int] | NDArray[np.intp],
    num: int,
    random_state: np.random.RandomState,
) -> None:
    """Draw `num` points for each value of a factor."""
    if draws.rows is not None and draws.draws_rows:
        wanted = np.repeat(np.asarray(values), num)
        rows = draws.rows.holders(factor).with_values(wanted, random_state)
        draws.observe_rows(rows, num)
        return
    factors = draws.sample_factors(num, random_state)
    for value in values:
        factors[:, factor] = value
        draws.observe(factors, random_state)
