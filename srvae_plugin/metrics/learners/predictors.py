"""Classifiers of the downstream tasks, under the original's gin names `predictor`,
`logistic_regression_cv` and `gradient_boosting_classifier`.

A predictor function takes no arguments and returns a fresh classifier with scikit-learn's `fit` and
`predict`; one of a user's own is bound by `predictor.predictor_fn = @my_predictor`. Whatever
randomness the classifier has and leaves open (`random_state=None`) is seeded here.

scikit-learn and numba are imported when something is fitted: who only asks what metrics there are
need not wait for them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import gin
import numpy as np
from joblib import Parallel, delayed, parallel_config
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from srvae_plugin.metrics.codes import CodesAndFactors, check_sample
from srvae_plugin.metrics.common.checks import varying_factors

if TYPE_CHECKING:
    from srvae_plugin.metrics.learners.logistic_regression import Path

__all__ = [
    "Accuracies",
    "PredictorFn",
    "Task",
    "accuracies",
    "gradient_boosting_classifier",
    "logistic_regression_cv",
    "predict",
    "predictor",
]


_LONG = 30_000
"""Points times classes from which a logistic regression's time is that of its compiled loss."""

PredictorFn = Callable[[], Any]
"""() to a classifier that has not been fitted."""


@gin.register("gradient_boosting_classifier", module="srvae_plugin")
def gradient_boosting_classifier() -> Any:
    """Boosted trees: the original's GradientBoostingClassifier(), by a faster learner."""
    from srvae_plugin.metrics.learners.boosted_trees.backends import BoostedTreesClassifier

    return BoostedTreesClassifier()


@gin.register("logistic_regression_cv", module="srvae_plugin")
def logistic_regression_cv() -> Any:
    """Logistic regression; ten strengths of regularisation, chosen by 5-fold accuracy."""
    from srvae_plugin.metrics.learners.logistic_regression import SoftmaxRegressionCV

    return SoftmaxRegressionCV()


@gin.register("predictor", module="srvae_plugin")
def predictor(predictor_fn: PredictorFn | None = None) -> PredictorFn:
    """`predictor_fn`, by default boosted trees; the original has no default."""
    if predictor_fn is None:
        return gin.get_configurable(gradient_boosting_classifier)
    return predictor_fn


class Task(NamedTuple):
    """A classifier to fit, and codes to use it on."""

    codes: NDArray[Any]
    """(points, latent) to fit on."""
    labels: NDArray[Any]
    """(points,) at least two different ones."""
    seed: int
    """Of the classifier."""
    asked: tuple[NDArray[Any], ...]
    """Arrays of codes (any number, latent) to predict labels for."""


def predict(
    tasks: Sequence[Task], predictor_fn: PredictorFn | None = None, n_jobs: int | None = None
) -> list[list[NDArray[Any]]]:
    """For each task, the predicted labels of each array of codes in `asked`.

    Args:
        tasks: what to fit and predict.
        predictor_fn: function that makes a classifier. None: gin's `predictor.predictor_fn`, or
            boosted trees.
        n_jobs: threads or processes to share the tasks, as in joblib; the result does not depend
            on it.
    """
    from srvae_plugin.metrics.learners.boosted_trees.backends import (
        BoostedTreesClassifier,
        parallel_settings,
    )
    from srvae_plugin.metrics.learners.logistic_regression import SoftmaxRegressionCV

    given = {} if predictor_fn is None else {"predictor_fn": predictor_fn}
    make = gin.get_configurable(predictor)(**given)
    models = [_seeded(make(), task.seed) for task in tasks]
    compiled = all(isinstance(m, BoostedTreesClassifier | SoftmaxRegressionCV) for m in models)
    costs = [len(task.labels) * len(np.unique(task.labels)) for task in tasks]
    # The longest first, so that no processor waits for one at the end.
    order = sorted(range(len(tasks)), key=lambda i: -costs[i])
    jobs = [_Job(models[i], tasks[i], _is_short(models[i], costs[i])) for i in order]
    with (
        parallel_config(**parallel_settings(compiled)),
        # Other classifiers get one thread, as in the processes that share them.
        threadpool_limits(None if compiled else 1, "blas"),
        Parallel(n_jobs=1 if n_jobs is None else n_jobs) as share,
    ):
        with threadpool_limits(1, "blas"):
            _find_paths(jobs, share)
        # Without that limit: of this many points, the last bit of a sum depends on it.
        done = _in_groups(share, _fit_and_predict, jobs, [job.is_short for job in jobs])
    by_task = dict(zip(order, done, strict=True))
    return [by_task[i] for i in range(len(tasks))]


class Accuracies(NamedTuple):
    """How well each factor is predicted, (factor,) each; NaN for a constant factor."""

    train: NDArray[np.float64]
    test: NDArray[np.float64]

    @property
    def scored(self) -> NDArray[np.intp]:
        """Indices of the factors that were predicted."""
        return np.flatnonzero(~np.isnan(self.train))


def accuracies(
    metric: str,
    samples: Sequence[tuple[CodesAndFactors, CodesAndFactors]],
    seeds: NDArray[np.integer[Any]],
    predictor_fn: PredictorFn | None = None,
    n_jobs: int | None = None,
) -> list[Accuracies]:
    """Accuracies of predicting each factor, for each pair of a training and a test sample.

    The classifier of a factor has the same seed, `seeds` (factor,), in every sample. Factors that
    are constant among the training points are left out, with a logged warning.

    Raises:
        ValueError: no factor varies, or a wrong shape or value.
    """
    checked = [
        (check_sample(train, "train"), check_sample(test, "test")) for train, test in samples
    ]
    varying = [varying_factors(metric, train.factors) for train, _ in checked]
    tasks = [
        Task(train.codes, train.factors[:, k], int(seeds[k]), (train.codes, test.codes))
        for (train, test), factors in zip(checked, varying, strict=True)
        for k in factors
    ]
    predicted = iter(predict(tasks, predictor_fn, n_jobs))
    results = []
    for (train, test), factors in zip(checked, varying, strict=True):
        result = Accuracies(*np.full((2, train.factors.shape[1]), np.nan))
        for k in factors:
            on_train, on_test = next(predicted)
            result.train[k] = np.mean(on_train == train.factors[:, k])
            result.test[k] = np.mean(on_test == test.factors[:, k])
        results.append(result)
    return results


@dataclass
class _Job:
    model: Any
    task: Task
    is_short: bool
    paths: list[Path | None] = field(default_factory=list)
    """What logistic regression knows already."""


def _is_short(model: Any, cost: int) -> bool:
    """Whether the fit is mostly Python, whose lock keeps other threads waiting."""
    from srvae_plugin.metrics.learners.logistic_regression import SoftmaxRegressionCV

    return isinstance(model, SoftmaxRegressionCV) and cost < _LONG


def _find_paths(jobs: Sequence[_Job], share: Parallel) -> None:
    """Give logistic regressions their paths: folds are shared, not only whole fits."""
    from srvae_plugin.metrics.learners.logistic_regression import NUM_FOLDS, SoftmaxRegressionCV

    regressions = [job for job in jobs if isinstance(job.model, SoftmaxRegressionCV)]
    parts = [(job, fold) for job in regressions for fold in range(NUM_FOLDS)]
    found = _in_groups(share, _path, parts, [job.is_short for job, _ in parts])
    for (job, _), path in zip(parts, found, strict=True):
        job.paths.append(path)


def _path(part: tuple[_Job, int]) -> Path | None:
    job, fold = part
    return job.model.path(job.task.codes, job.task.labels, fold)


def _in_groups(
    share: Parallel, function: Callable[[Any], Any], parts: Sequence[Any], short: Sequence[bool]
) -> list[Any]:
    """function(part) of all parts, those that are short one after the other in one thread."""
    together = [i for i, is_short in enumerate(short) if is_short]
    groups = [together] if together else []
    groups += [[i] for i, is_short in enumerate(short) if not is_short]
    done = share(delayed(_each)(function, [parts[i] for i in group]) for group in groups)
    results: dict[int, Any] = {}
    for group, values in zip(groups, done, strict=True):
        results.update(zip(group, values, strict=True))
    return [results[i] for i in range(len(parts))]


def _each(function: Callable[[Any], Any], parts: Sequence[Any]) -> list[Any]:
    return [function(part) for part in parts]


def _seeded(model: Any, seed: int) -> Any:
    """The classifier with every random state that it leaves open set, in pipelines too."""
    if hasattr(model, "get_params"):
        found = model.get_params(deep=True)
        names = [n for n in found if n.split("__")[-1] == "random_state" and found[n] is None]
        model.set_params(**dict.fromkeys(names, seed))
    return model


def _fit_and_predict(job: _Job) -> list[NDArray[Any]]:
    from sklearn.exceptions import ConvergenceWarning

    model, task = job.model, job.task
    with warnings.catch_warnings():
        # How many steps a model takes is the original's choice, and where they end is part of its
        # score; scikit-learn announces that logistic regression's defaults will be renamed.
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", FutureWarning)
        if job.paths:
            model.fit(task.codes, task.labels, job.paths)
        else:
            model.fit(task.codes, task.labels)
    return [np.asarray(model.predict(codes)) for codes in task.asked]
