"""Strong generalisation: how well a factor is predicted where another factor takes values that it
never had in training. Locatello et al., "Weakly-Supervised Disentanglement Without Compromises"
(arXiv 2002.02886).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.ground_truth import GroundTruthData, names_of
from srvae_plugin.data.own.table_rows import FEWEST_POINTS, TableRows
from srvae_plugin.data.sampling.seeds import Seed, draw_seeds, random_state_of
from srvae_plugin.metrics.codes import (
    CodeDraws,
    CodesAndFactors,
    RepresentationFunction,
    points_used,
)
from srvae_plugin.metrics.common.arrays import Rows
from srvae_plugin.metrics.common.checks import check_count, varying_factors
from srvae_plugin.metrics.common.drawing import Scores
from srvae_plugin.metrics.common.factor_kinds import masked, not_classes, without_factors
from srvae_plugin.metrics.common.info import MetricInfo, documented, metric
from srvae_plugin.metrics.downstream_task import check_sizes, fitting, sizes_that_fit
from srvae_plugin.metrics.learners.predictors import PredictorFn, Task, accuracies, predict

__all__ = [
    "Experiments",
    "Pair",
    "Plan",
    "Streams",
    "compute_strong_downstream_task",
    "intervene",
    "strong_downstream_task",
    "strong_downstream_task_of",
]

logger = logging.getLogger(__name__)

_ENCODE_BATCH = 64

Pair = tuple[CodesAndFactors, CodesAndFactors]
"""A training and a test sample."""


class Experiments(NamedTuple):
    """The samples of one size: as they were drawn, and with one factor set."""

    plain: Pair
    shifted: list[tuple[int, Pair]]
    """Factor to predict, and a pair in which another one has a single value in training and all
    others in the test."""


def strong_downstream_task_of(
    experiments: dict[int, Experiments],
    seeds: NDArray[np.integer[Any]],
    predictor_fn: PredictorFn | None = None,
    n_jobs: int | None = None,
) -> Scores:
    """Accuracy of predicting factors from codes with and without a shift of another factor.

    Args:
        experiments: samples for each number of training points.
        seeds: (factor,) seed of each factor's classifiers.
        predictor_fn: makes a classifier. None: gin's `predictor.predictor_fn`, or boosted trees.
        n_jobs: processes to fit classifiers in, as in joblib; scores do not depend on it.

    Returns:
        For each size N, in [0, 1]: `N:mean_train_accuracy` and `N:mean_test_accuracy` without a
        shift, `N:mean_strong_train_accuracy` and `N:mean_strong_test_accuracy` with one;
        `N:strong_generalization_gap`, 1 less the ratio of the two test accuracies (0, with a
        logged warning, where the original divides by 0); `N:num_factors_scored`.

    Raises:
        ValueError: no factor varies in a training sample, or a wrong shape or value.

    Collapsed codes score what guessing the most frequent value scores, and have no gap.
    """
    samples = [experiment.plain for experiment in experiments.values()]
    plain = accuracies("strong downstream task", samples, seeds, predictor_fn, n_jobs)
    scores: Scores = {}
    for (size, experiment), result in zip(experiments.items(), plain, strict=True):
        on_train, on_test = _shifted_accuracies(experiment, seeds, predictor_fn, n_jobs)
        values: Scores = {
            "mean_train_accuracy": float(np.mean(result.train[result.scored])),
            "mean_test_accuracy": float(np.mean(result.test[result.scored])),
            "mean_strong_train_accuracy": on_train,
            "mean_strong_test_accuracy": on_test,
            "num_factors_scored": result.scored.size,
        }
        values["strong_generalization_gap"] = _gap(on_test, values["mean_test_accuracy"])
        scores |= {f"{size}:{key}": value for key, value in values.items()}
    return scores


def intervene(
    factors_train: NDArray[Any],
    factors_test: NDArray[Any],
    target: int,
    factors_num_values: Sequence[int],
    random_state: np.random.RandomState,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Copies in which another factor than `target` has one value, and in the test all others.

    Raises:
        ValueError: no other factor has more than one value.
    """
    others = [k for k, size in enumerate(factors_num_values) if k != target and size > 1]
    if not others:
        raise ValueError(
            f"factors must have at least 2 that vary for the strong downstream task, got only "
            f"factor {target}: there is no other one to shift."
        )
    factors_train, factors_test = factors_train.copy(), factors_test.copy()
    shifted = random_state.choice(others)
    values = list(range(factors_num_values[shifted]))
    known = random_state.choice(values)
    values.remove(known)
    factors_train[:, shifted] = known
    factors_test[:, shifted] = random_state.choice(values, size=len(factors_test))
    return factors_train, factors_test


@documented
def strong_downstream_task(
    codes: Any,
    factors: Any,
    *,
    seed: Seed = 0,
    random_state: Seed | None = None,
    num_train: Sequence[int] | int = (10_000,),
    num_test: int = 5_000,
    n_experiment: int = 10,
    predictor_fn: PredictorFn | None = None,
    n_jobs: int | None = None,
) -> Scores:
    """Strong generalisation of codes (arXiv 2002.02886), from points drawn among them.

        gap = 1 - accuracy under a shift / accuracy without one

    Under a shift, a factor is predicted where another factor takes values that it never had in
    training.

    Rewards: codes in which what predicts one factor does not change with the others.

    Punishes: rotated and merged codes, whose classifiers use latents that change with the shifted
    factor, and factors that are lost in noise.

    Use it: to ask whether disentanglement helps when training and test data differ.

    Published settings: none; disentanglement_lib has the metric without a configuration. The
    defaults are the sizes of the downstream task's largest sample, and 10 shifts, as its code falls
    back to.

    Args:
        num_train: numbers of points to fit on, drawn anew for each.
        n_experiment: shifts for each factor to predict.

    Returns:
        For each number N of training points: `N:mean_train_accuracy` and `N:mean_test_accuracy`
        without a shift, `N:mean_strong_train_accuracy` and `N:mean_strong_test_accuracy` with one,
        in [0, 1], higher is better; `N:strong_generalization_gap`, at most 1, lower is better
        (negative if the shift helps; 0, with a logged warning, where disentanglement_lib divides by
        0); `N:num_factors_scored`. Further keys as in `compute_strong_downstream_task` for a table
        with these rows.

    Special cases: Constant factors are neither predicted nor shifted, with a logged warning;
    disentanglement_lib fails on them. Collapsed codes score as if the most frequent value were
    always predicted, and have no gap. Shifts and values with too few rows are left out; see
    `compute_strong_downstream_task`.

    Examples:
        >>> import numpy as np
        >>> from sklearn.tree import DecisionTreeClassifier
        >>> factors = np.argwhere(np.ones((3, 4)))
        >>> codes, settings = factors + 0.0, {"predictor_fn": DecisionTreeClassifier}
        >>> settings |= {"num_train": 50, "num_test": 50}
        >>> codes = np.repeat(codes, 20, axis=0)
        >>> factors = np.repeat(factors, 20, axis=0)
        >>> strong_downstream_task(codes, factors, **settings)["50:mean_strong_test_accuracy"]
        1.0
        >>> scores = strong_downstream_task(0 * codes, factors, **settings)  # collapsed codes
        >>> scores["50:mean_strong_test_accuracy"] < 0.5
        True
    """
    rows = Rows.of(codes, factors)
    settings: dict[str, Any]
    settings = {"num_train": num_train, "num_test": num_test, "n_experiment": n_experiment}
    settings |= {"predictor_fn": predictor_fn, "n_jobs": n_jobs}
    stream = random_state_of(seed, random_state)
    return compute_strong_downstream_task(rows.data, rows.function, stream, **settings)


@metric(
    MetricInfo(
        "Strong generalisation",
        "Locatello et al., Weakly-Supervised Disentanglement Without Compromises (2020), "
        "arXiv 2002.02886",
    )
)
def compute_strong_downstream_task(
    ground_truth_data: GroundTruthData,
    representation_function: RepresentationFunction,
    random_state: Seed,
    artifact_dir: str | None = None,
    num_train: Sequence[int] | int = (10_000,),
    num_test: int = 5_000,
    n_experiment: int = 10,
    predictor_fn: PredictorFn | None = None,
    n_jobs: int | None = -1,
) -> Scores:
    """Strong generalisation of a representation (arXiv 2002.02886).

    The original has no defaults for the sizes; these are those of the downstream task's largest
    sample, and the number of experiments that its own code falls back to.

    Args:
        random_state: source of all randomness. Points are drawn in the original's order; the
            seeds of the classifiers, which the original leaves to chance, after them. The
            original draws the shifts from numpy's global state; here they come from a stream of
            their own, seeded by what `random_state` is at the start.
        num_train: numbers of points to fit on, drawn anew for each.
        n_experiment: shifts for each factor to predict.

    Returns:
        Scores as in `strong_downstream_task_of`.

    Raises:
        ValueError: a setting out of range, fewer than two factors that vary, or codes that are
            NaN, inf or of a wrong shape.

    Factors with one value are neither predicted nor shifted, with a logged warning; the original
    fails on them.

    For a table that is not a full grid, distinct rows are drawn: training rows from those with the
    shifted factor's value, test rows from those with any other value. Only shifts under which the
    factor to predict still varies in training are used. There can be fewer rows than asked for. The
    results then include the numbers used: `N:num_train` and so on, and under `N:num_strong_train`
    and `N:num_strong_test` the smallest of any experiment, each with `..._asked`. Numbers of points
    without enough rows are left out; so are training values with fewer than ten distinct rows (or a
    tenth of the rows, in a table of fewer than 100), and continuous factors. What is left out is
    logged.
    """
    sizes = check_sizes(num_train)
    check_count("num_test", num_test)
    check_count("n_experiment", n_experiment)
    stream = random_state_of(random_state)
    shifts = _side_stream(stream)
    draws = CodeDraws(ground_truth_data, representation_function)
    streams = Streams(stream, shifts)
    out = not_classes("strong downstream task", ground_truth_data)
    if draws.rows is not None and draws.draws_rows:
        names = names_of(ground_truth_data)
        shiftable = _shiftable(draws.rows, out, names)
        sizes = sizes_that_fit(draws.rows, sizes, num_test)
        drawn = [
            _draw_rows(draws, streams, (size, num_test), n_experiment, shiftable) for size in sizes
        ]
    else:
        drawn = [
            _draw(draws, ground_truth_data, streams, (size, num_test), n_experiment, out)
            for size in sizes
        ]
    seeds = draw_seeds(stream, ground_truth_data.num_factors)
    factors = [part for plan in drawn for _, pair in plan for part in pair]
    codes = iter(np.split(draws.codes(), np.cumsum([len(part) for part in factors])[:-1]))
    experiments = {}
    for size, plan in zip(sizes, drawn, strict=True):
        pairs = [
            (target, (CodesAndFactors(next(codes), train), CodesAndFactors(next(codes), test)))
            for target, (train, test) in plan
        ]
        pairs = [(target, _pair(without_factors(pair, out))) for target, pair in pairs]
        experiments[size] = Experiments(pairs[0][1], pairs[1:])
    scores = strong_downstream_task_of(experiments, seeds, predictor_fn, n_jobs)
    if draws.draws_rows:
        for size, experiment in experiments.items():
            scores |= _points(size, num_test, experiment)
    return scores


class Streams(NamedTuple):
    """Where random numbers come from."""

    points: np.random.RandomState
    shifts: np.random.RandomState
    """Which factor is shifted, and from which value."""


Plan = list[tuple[int, tuple[NDArray[Any], NDArray[Any]]]]
"""Factors of the plain pair, under target -1, then of each shifted one under its target."""


def _shiftable(
    rows: TableRows, out: NDArray[np.bool_], names: Sequence[str]
) -> dict[int, NDArray[np.intp]]:
    """Factors that can be shifted, each with the values that enough rows have to train on."""
    found = {}
    for k in np.flatnonzero(~out).tolist():
        found[k] = np.flatnonzero(rows.holders(k).counts)
        if len(found[k]) < rows.sizes[k] > 1:
            logger.warning(
                "strong downstream task: %s: %d of its %d values are not trained on alone because "
                "fewer than %d different rows have them",
                names[k], rows.sizes[k] - len(found[k]), rows.sizes[k], rows.fewest_rows,
            )  # fmt: skip
    return found


def _pair(parts: Sequence[CodesAndFactors]) -> Pair:
    train, test = parts
    return train, test


def _draw_rows(
    draws: CodeDraws,
    streams: Streams,
    sizes: tuple[int, int],
    n_experiment: int,
    shiftable: dict[int, NDArray[np.intp]],
) -> Plan:
    size, num_test = sizes
    rows = draws.rows
    assert rows is not None
    split = rows.split(fitting(rows, size, num_test), streams.points)
    assert split is not None
    train, test = (draws.observe_rows(part, _ENCODE_BATCH) for part in split)
    plan = [(-1, (train, test))]
    from_rows = rows.drawn.rows
    to_rows = from_rows if rows.tests is None else rows.tests.rows
    out = ~np.isin(np.arange(train.shape[1]), list(shiftable))
    for target in varying_factors("strong downstream task", masked(train, out), 2).tolist():
        possible = _possible_shifts(rows.classes, (from_rows, to_rows), target, shiftable)
        if not possible:
            logger.warning(
                "strong downstream task: factor %d is left out under a shift: it has a single "
                "value wherever another factor has one", target,
            )  # fmt: skip
        for _ in range(n_experiment if possible else 0):
            shifted = streams.shifts.choice(list(possible))
            known = streams.shifts.choice(possible[shifted])
            pair = []
            for part, count, has in ((from_rows, size, True), (to_rows, num_test, False)):
                there = part[(rows.classes[part, shifted] == known) == has]
                chosen = streams.points.permutation(there)[:count]
                pair.append(draws.observe_rows(chosen, _ENCODE_BATCH))
            plan.append((target, (pair[0], pair[1])))
    if len(plan) == 1:
        raise ValueError(
            "strong downstream task: no factor varies among the rows that share another one's "
            "value: leave the metric out, or bin factors (dataset.factor_bins = 10, say)"
        )
    return plan


def _possible_shifts(
    classes: NDArray[np.int64],
    rows: tuple[NDArray[np.int64], NDArray[np.int64]],
    target: int,
    shiftable: dict[int, NDArray[np.intp]],
) -> dict[int, list[int]]:
    """Factors to shift, each with the values it can have in training.

    Among the rows that have one the target varies, and enough others are there to test on.
    """
    possible = {}
    from_rows, to_rows = rows
    for factor, enough in shiftable.items():
        if factor == target:
            continue
        pairs = np.unique(classes[from_rows][:, [factor, target]], axis=0)
        values, counts = np.unique(pairs[:, 0], return_counts=True)
        others = len(to_rows) - np.bincount(classes[to_rows, factor], minlength=values.max() + 1)
        tested = others[values] >= FEWEST_POINTS
        usable = [int(v) for v in values[(counts > 1) & tested] if v in enough]
        if usable:
            possible[factor] = usable
    return possible


def _points(size: int, num_test: int, experiment: Experiments) -> dict[str, int]:
    train, test = experiment.plain
    pairs = [pair for _, pair in experiment.shifted]
    used = points_used("num_train", len(train.codes), size)
    used |= points_used("num_test", len(test.codes), num_test)
    used |= points_used("num_strong_train", min(len(pair[0].codes) for pair in pairs), size)
    used |= points_used("num_strong_test", min(len(pair[1].codes) for pair in pairs), num_test)
    return {f"{size}:{key}": value for key, value in used.items()}


def _draw(
    draws: CodeDraws,
    data: GroundTruthData,
    streams: Streams,
    sizes: tuple[int, int],
    n_experiment: int,
    out: NDArray[np.bool_],
) -> Plan:
    random_state = streams.points
    # A factor that is left out is neither a target nor shifted, as if it had a single value.
    num_values = np.where(out, 1, data.factors_num_values).tolist()
    train, test = (draws.sample_factors(size, random_state) for size in sizes)
    plan = [(-1, (train, test))]
    draws.observe(train, random_state)
    draws.observe(test, random_state)
    for target in varying_factors("strong downstream task", masked(train, out), 2).tolist():
        for _ in range(n_experiment):
            pair = intervene(train, test, target, num_values, streams.shifts)
            for factors in pair:
                draws.observe(factors, random_state)
            plan.append((target, pair))
    return plan


def _side_stream(random_state: np.random.RandomState) -> np.random.RandomState:
    """A stream that depends on `random_state` and does not advance it."""
    copy = np.random.RandomState()
    copy.set_state(random_state.get_state())
    return np.random.RandomState(copy.randint(2**31 - 1))


def _shifted_accuracies(
    experiment: Experiments,
    seeds: NDArray[np.integer[Any]],
    predictor_fn: PredictorFn | None,
    n_jobs: int | None,
) -> tuple[float, float]:
    tasks = [
        Task(train.codes, train.factors[:, k], int(seeds[k]), (train.codes, test.codes))
        for k, (train, test) in experiment.shifted
    ]
    predicted = predict(tasks, predictor_fn, n_jobs)
    hits = [
        [np.mean(labels == part.factors[:, k]) for labels, part in zip(both, pair, strict=True)]
        for both, (k, pair) in zip(predicted, experiment.shifted, strict=True)
    ]
    on_train, on_test = np.array(hits).T
    return float(np.mean(on_train)), float(np.mean(on_test))


def _gap(shifted: float, plain: float) -> float:
    if plain == 0:
        logger.warning(
            "strong downstream task: nothing is predicted even without a shift: the gap is 0."
        )
        return 0.0
    return 1.0 - shifted / plain
