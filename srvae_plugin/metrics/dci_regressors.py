"""The DCI protocol of its authors, with regressors: Eastwood and Williams, "A Framework for the
Quantitative Evaluation of Disentangled Representations" (ICLR 2018), section 2, and the settings of
their Teapots experiment, which later work repeats.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed, parallel_config
from numpy.typing import NDArray

from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.data.sampling.seeds import Seed, draw_seeds, random_state_of
from srvae_plugin.metrics.codes import CodesAndFactors, RepresentationFunction, check_sample
from srvae_plugin.metrics.common.arrays import split
from srvae_plugin.metrics.common.checks import (
    check_count,
    check_latents,
    standardize,
    varying_factors,
    warn_collapsed,
)
from srvae_plugin.metrics.common.drawing import Scores, Source
from srvae_plugin.metrics.common.factor_kinds import only_numbers, without_words
from srvae_plugin.metrics.common.info import Headline, MetricInfo, documented, metric
from srvae_plugin.metrics.dci import disentanglement, save_matrix

__all__ = [
    "IMPORTANCE_FILE",
    "Regression",
    "Regressor",
    "compute_dci_regression",
    "dci_regression",
    "regression",
    "regression_scores",
]

IMPORTANCE_FILE = "dci_regression_importance_matrix.npy"


class Regressor(NamedTuple):
    """Which regressor predicts a factor from all latents, and its settings."""

    name: str = "random_forest"
    """`random_forest`, or `lasso`: linear, importance is the size of the coefficient."""
    alpha: float = 0.02
    """Weight of the lasso's penalty."""
    num_trees: int = 10
    """Trees of the forest."""
    max_depths: int | Sequence[int] | None = 12
    """Depth of the trees: one for every factor, or one for each of them; None: no limit."""


class Regression(NamedTuple):
    """How much each latent matters for predicting each factor, and how well that works."""

    matrix: NDArray[np.float64]
    """(latent, factor) importance, >= 0: what a Hinton diagram shows."""
    train_nrmse: NDArray[np.float64]
    """(factor,) root mean squared error over that of guessing the mean; NaN if constant."""
    test_nrmse: NDArray[np.float64]
    """The same on the other points."""


def regression(
    train: CodesAndFactors,
    test: CodesAndFactors,
    seeds: NDArray[np.integer[Any]],
    regressor: Regressor | None = None,
    n_jobs: int | None = None,
) -> Regression:
    """Importance and errors of one regression for each factor; 0 and NaN for constant factors.

    Codes and factors, whole or fractional, are standardised with the means and deviations of the
    training points; an integer factor is predicted as the number it is.

    Args:
        train: codes (points, latent) and factors (points, factor) to fit on.
        test: codes and factors to test on.
        seeds: (factor,) seed of each factor's forest.
        regressor: the regressor; None: the random forest with its defaults.
        n_jobs: processes to fit factors in, as in joblib; the result does not depend on it.

    Raises:
        ValueError: fewer than two latents or varying factors, or a wrong setting, shape or value.
    """
    train = check_sample(train, "train", discrete=False)
    test = check_sample(test, "test", discrete=False)
    num_factors = train.factors.shape[1]
    depths = _check_settings(regressor or Regressor(), num_factors)
    if np.shape(seeds) != (num_factors,):
        raise ValueError(f"seeds must have shape ({num_factors},), got {np.shape(seeds)}.")
    check_latents("DCI", train.codes.shape[1])
    varying = varying_factors("DCI", train.factors, at_least=2)
    codes, factors = standardize(train.codes, test.codes), standardize(train.factors, test.factors)
    train, test = (CodesAndFactors(*part) for part in zip(codes, factors, strict=True))
    with parallel_config(backend="loky", inner_max_num_threads=1):
        fits = Parallel(n_jobs=1 if n_jobs is None else n_jobs)(
            delayed(_fit)(train, test, int(k), regressor or Regressor(), depths[k], int(seeds[k]))
            for k in varying
        )
    result = Regression(
        np.zeros((train.codes.shape[1], num_factors)),
        np.full(num_factors, np.nan),
        np.full(num_factors, np.nan),
    )
    for k, (column, train_error, test_error) in zip(varying, fits, strict=True):
        result.matrix[:, k] = column
        result.train_nrmse[k] = train_error
        result.test_nrmse[k] = test_error
    return result


def regression_scores(result: Regression, names: NDArray[Any] | None = None) -> Scores:
    """Section 2's three criteria, from `regression`'s matrix R and errors.

    Args:
        result: the matrix and the errors.
        names: (factor,) what the factors are called in the keys. None: 0, 1, ...

    Returns:
        `disentanglement`: sum over latents of rho_i (1 - entropy of R[i] / its sum, base n_v), with
        rho_i = sum of R[i] / sum of R. `completeness`: mean over factors of 1 - entropy of R[:, j]
        / its sum, base n_z, each factor alike. Both in [0, 1].
        `nrmse_train`, `nrmse_test`: mean over factors of the error relative to guessing the mean,
        the paper's informativeness, at least 0, lower is better. `nrmse_test_factor_0` and so on:
        the same for each varying factor. `informativeness_train`, `informativeness_test`: 1 less
        these, so that higher is better as under the same keys of `compute_dci`; at most 1,
        negative if worse than guessing. `num_factors_scored`.

    Constant factors are left out. A factor that no latent is of use for has completeness 0 (0 / 0
    in the authors' code); with a matrix of zeros, from a collapsed representation or too strong a
    penalty, disentanglement and completeness are 0, with a logged warning.
    """
    varying = np.flatnonzero(~np.isnan(result.train_nrmse))
    matrix = result.matrix[:, varying]
    if not matrix.any():
        warn_collapsed("DCI", "no latent is of use for any factor")
    train, test = (
        float(result.train_nrmse[varying].mean()),
        float(result.test_nrmse[varying].mean()),
    )
    scores: Scores = {
        "disentanglement": disentanglement(matrix),
        "completeness": float(
            np.mean([disentanglement(column[np.newaxis]) for column in matrix.T])
        ),
        "informativeness_train": 1.0 - train,
        "informativeness_test": 1.0 - test,
        "nrmse_train": train,
        "nrmse_test": test,
        "num_factors_scored": int(varying.size),
    }
    for k in varying:
        called = k if names is None else names[k]
        scores[f"nrmse_test_factor_{called}"] = float(result.test_nrmse[k])
    return scores


@documented
def dci_regression(
    codes: Any,
    factors: Any,
    *,
    seed: Seed = 0,
    random_state: Seed | None = None,
    test: Any = 1 / 3,
    regressor: Regressor | None = None,
    n_jobs: int | None = None,
) -> Scores:
    """DCI of codes as its authors measure it, by regression (ICLR 2018, section 2).

        R[j, k] = importance of latent j for a regressor of factor k: a random forest or the lasso
        D = sum over latents j of rho_j (1 - H(R[j, :])), rho_j = sum of R[j, :] / sum of R
        C = mean over factors k of 1 - H(R[:, k])
        H = entropy of a row or column divided by its sum, in units of its maximum
        NRMSE = mean over factors of the test error relative to that of predicting the mean

    Rewards: the same as `dci`, for numeric factors.

    Punishes: the same as `dci`; the lasso also punishes factors that are encoded non-linearly.

    Use it: for continuous factors, and to compare with the Teapots experiment and work that repeats
    it. Scores are not comparable with those of `dci`.

    Published settings: the paper fits on 160,000 of 200,000 images of teapots and chooses the
    depths of the trees on 20,000 others, for each factor and model. SR-VAE's experiment uses depths
    of 12, 10, 3, 3, 3 for azimuth, elevation, red, green, blue, and alpha = 0.02 for the lasso.

    Args:
        factors: (points, factor) array, data frame or tensor of numbers, whole or fractional;
            columns of words are left out, with a logged warning.
        regressor: the regressor; None: the random forest with its defaults.

    Returns:
        `disentanglement` and `completeness` in [0, 1]; `nrmse_train` and `nrmse_test`, 0 or more,
        lower is better, and `nrmse_test_factor_K` for each factor that varies;
        `informativeness_train` and `informativeness_test`, 1 - NRMSE, at most 1 and negative if
        worse than predicting the mean; `num_factors_scored`.

    Special cases: Constant factors are left out. A factor for which no latent is useful has a
    completeness of 0 (0 / 0 in the authors' code). If all importances are 0, because the codes have
    collapsed or the penalty is too strong, disentanglement and completeness are 0, with a logged
    warning.

    Examples:
        >>> import numpy as np
        >>> factors = np.argwhere(np.ones((3, 4)))
        >>> codes, lasso = factors + 0.0, Regressor("lasso")
        >>> both = (codes, factors)
        >>> scores = dci_regression(codes, factors, test=both, regressor=lasso)  # perfect codes
        >>> round(scores["disentanglement"], 6), round(scores["nrmse_test"], 6)
        (1.0, 0.02)
        >>> scores = dci_regression(0 * codes, factors, regressor=lasso)  # collapsed codes
        >>> scores["disentanglement"]
        0.0
    """
    stream = random_state_of(seed, random_state)
    parts = split(codes, factors, test, stream)
    train, test = without_words("DCI by regression", parts.names, parts.unordered, parts[:2])
    seeds = draw_seeds(stream, len(parts.names))
    return regression_scores(regression(train, test, seeds, regressor, n_jobs), parts.names)


@metric(
    MetricInfo(
        "DCI (regressors)",
        "Eastwood and Williams, A Framework for the Quantitative Evaluation (ICLR 2018), section 2",
        (
            Headline("disentanglement", "DCI disentanglement (regressors)", "dci_disentanglement"),
            Headline("completeness", "DCI completeness (regressors)", "dci_completeness"),
            Headline(
                "nrmse_test",
                "DCI test error (regressors, NRMSE)",
                "DCI informativeness: test NRMSE (avg, lower better)",
                higher_is_better=False,
                range=(0, inf),
            ),
        ),
        place=80,
    )
)
def compute_dci_regression(
    ground_truth_data: GroundTruthData,
    representation_function: RepresentationFunction,
    random_state: Seed,
    artifact_dir: str | None = None,
    num_train: int = 10_000,
    num_test: int = 5_000,
    batch_size: int = 16,
    regressor: str = "random_forest",
    alpha: float = 0.02,
    num_trees: int = 10,
    max_depths: int | Sequence[int] | None = 12,
    n_jobs: int | None = None,
) -> Scores:
    """DCI of a representation as its authors measure it, by regression (ICLR 2018, section 2).

    For continuous or integer factors; classes that are known to have no order are left out, with a
    logged warning. The paper fits on 160,000 of 200,000 images of teapots, and
    chooses the depths of the trees for each factor and model on 20,000 others; SR-VAE's experiment
    has depths 12, 10, 3, 3, 3 for azimuth, elevation, red, green, blue, and a lasso's alpha of .02.

    Args:
        random_state: source of all randomness: the points, then the seeds of the forests.
        artifact_dir: folder to save the (latent, factor) importance matrix in, as
            `dci_regression_importance_matrix.npy`; made if needed.
        num_train: points to fit on.
        regressor: `random_forest` or `lasso`.
        alpha: weight of the lasso's penalty.
        num_trees: trees of the forest.
        max_depths: depth of the trees, one for every factor or a list of one for each; None: no
            limit.

    Returns:
        Scores as in `regression_scores`.
    """
    source = Source.of(ground_truth_data, representation_function, random_state, batch_size)
    chosen = Regressor(regressor, alpha, num_trees, max_depths)
    _check_settings(chosen, ground_truth_data.num_factors)
    drawn = source.draw(num_train=num_train, num_test=num_test)
    train, test = only_numbers("DCI by regression", ground_truth_data, drawn)
    seeds = draw_seeds(source.random_state, train.factors.shape[1])
    result = regression(train, test, seeds, chosen, n_jobs)
    if artifact_dir is not None:
        save_matrix(result.matrix, artifact_dir, IMPORTANCE_FILE)
    return regression_scores(result) | drawn.points


def _fit(
    train: CodesAndFactors,
    test: CodesAndFactors,
    factor: int,
    regressor: Regressor,
    depth: int | None,
    seed: int,
) -> tuple[NDArray[np.float64], float, float]:
    """Importance (latent,), training and test error of one regression."""
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.linear_model import Lasso

    if regressor.name == "lasso":
        model = Lasso(alpha=regressor.alpha).fit(train.codes, train.factors[:, factor])
        importance = np.abs(model.coef_)
    else:
        model = RandomForestRegressor(
            n_estimators=regressor.num_trees, max_depth=depth, random_state=seed
        )
        importance = model.fit(train.codes, train.factors[:, factor]).feature_importances_
    errors = []
    for codes, factors in (train, test):
        target = factors[:, factor]
        # Without variance to compare with: 1, the training points' after standardisation.
        spread = float(target.std()) if np.ptp(target) > 0 else 1.0
        errors.append(float(np.sqrt(np.mean((model.predict(codes) - target) ** 2))) / spread)
    return importance, errors[0], errors[1]


def _check_settings(regressor: Regressor, num_factors: int) -> Sequence[int | None]:
    """Depth for each factor, once all settings are found to be in range."""
    if regressor.name not in ("lasso", "random_forest"):
        raise ValueError(f"regressor must be 'lasso' or 'random_forest', got {regressor.name!r}.")
    if not regressor.alpha > 0:
        raise ValueError(f"alpha must be above 0, got {regressor.alpha!r}.")
    check_count("num_trees", regressor.num_trees)
    given = regressor.max_depths
    depths = [*given] if isinstance(given, Sequence) else [given] * num_factors
    if len(depths) != num_factors:
        raise ValueError(
            f"max_depths must be a number or one for each of {num_factors} factors, got {given!r}."
        )
    for depth in depths:
        if depth is not None:
            check_count("max_depths", depth)
    return depths
