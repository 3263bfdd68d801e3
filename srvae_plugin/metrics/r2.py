"""R^2 of each factor predicted from all latents: von Kuegelgen et al., "Self-Supervised Learning
with Data Augmentations Provably Isolates Content from Style" (arXiv 2106.04619), section 5, as
papers on causal representations report it: by linear regression, and by kernel ridge regression.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.data.sampling.seeds import Seed, random_state_of
from srvae_plugin.metrics.codes import CodesAndFactors, RepresentationFunction
from srvae_plugin.metrics.common.arrays import split, with_names
from srvae_plugin.metrics.common.checks import (
    check_codes,
    check_count,
    check_factors,
    standardize,
    varying_factors,
    warn_collapsed,
)
from srvae_plugin.metrics.common.drawing import Scores, Source
from srvae_plugin.metrics.common.factor_kinds import (
    only_numbers,
    without_factors,
    without_words,
)
from srvae_plugin.metrics.common.info import Headline, MetricInfo, documented, metric

__all__ = ["ALPHAS", "GAMMAS", "compute_r2", "r2", "r2_scores"]

ALPHAS = (1.0, 0.1, 0.01, 0.001)
"""Penalties that the authors' code tries."""
GAMMAS = tuple(float(gamma) for gamma in np.logspace(-2, 2, 4))
"""Widths of the Gaussian kernel, exp(-gamma |x - y|^2), that it tries."""
_FOLDS = 3
_Variances = NDArray[np.float64] | None


@documented
def r2(
    codes: Any,
    factors: Any,
    *,
    seed: Seed = 0,
    random_state: Seed | None = None,
    test: Any = 1 / 3,
    num_kernel: int = 1_000,
    alphas: Sequence[float] = ALPHAS,
    gammas: Sequence[float] = GAMMAS,
) -> Scores:
    """R^2 of codes (points, latent) for factors (points, factor), on held-out points.

        R^2_k = 1 - sum of (v_k - its prediction)^2 / sum of (v_k - its mean)^2

    The sums are over test points; the predictions are those of linear regression and of kernel
    ridge regression on all latents.

    Rewards: factors that can be predicted from all latents together.

    Punishes: factors that are lost or noisy; `r2_linear` also those that are encoded non-linearly
    or merged. Rotated and duplicated codes lose nothing.

    Use it: to ask whether the factors are encoded up to a linear or a smooth map, as in papers on
    causal representations; use MCC for alignment.

    Published settings: the grid of penalties and kernel widths is that of arXiv 2106.04619; the
    number of points is that of the other metrics here.

    Args:
        factors: (points, factor) array, data frame or tensor of numbers, whole or not; columns of
            words are left out, with a logged warning.
        num_kernel: points to fit the kernel ridge on, the first of those to fit on.
        alphas: penalties of the kernel ridge to choose from.
        gammas: widths of its Gaussian kernel to choose from.

    Returns:
        `r2_linear` and `r2_kernel_ridge`, means over factors; `r2_linear_factor_K` and
        `r2_kernel_ridge_factor_K` for each factor that varies; `num_factors_scored`. At most 1; 0
        is as good as predicting the mean, and negative values are worse.

    Raises:
        ValueError: no factor that varies, or a wrong setting, shape or value.

    Special cases: Constant factors are left out, with a logged warning. Collapsed codes score 0,
    with a logged warning. `r2_scores` takes points that are already split.

    Examples:
        >>> import numpy as np
        >>> factors = np.argwhere(np.ones((4, 5, 6)))
        >>> scores = r2(factors @ [[1.0, 2.0, 0.0], [0.0, 1.0, 3.0], [1.0, 0.0, 1.0]], factors)
        >>> round(scores["r2_linear"], 6), scores["r2_kernel_ridge"] > 0.99  # perfect, but mixed
        (1.0, True)
        >>> r2(np.zeros((120, 3)), factors)["r2_linear"]  # collapsed codes
        0.0
    """
    parts = split(codes, factors, test, random_state_of(seed, random_state))
    train, test = without_words("R2", parts.names, parts.unordered, parts[:2])
    return with_names(r2_scores(train, test, num_kernel, alphas, gammas), parts.names)


def r2_scores(
    train: CodesAndFactors,
    test: CodesAndFactors,
    num_kernel: int = 1_000,
    alphas: Sequence[float] = ALPHAS,
    gammas: Sequence[float] = GAMMAS,
    variances: NDArray[np.float64] | None = None,
) -> Scores:
    """R^2 of linear and kernel ridge regression fitted on `train`, on the points of `test`.

    Codes and factors are standardised with the means and deviations of the points fitted on. The
    kernel is Gaussian; of each factor, the penalty and the width are those with the best mean R^2
    over three folds of the points fitted on, in their order, as scikit-learn's GridSearchCV has it.

    Args:
        train: codes (points, latent) and factors (points, factor) to fit on.
        test: codes and factors to test on.
        num_kernel: points to fit the kernel ridge on, the first of `train`: its cost grows with
            their cube.
        alphas: penalties to choose from.
        gammas: widths to choose from.
        variances: (factor,) what squared errors are shares of. None: the variance of the test
            points.

    Returns:
        `r2_linear` and `r2_kernel_ridge`, means over factors; `r2_linear_factor_K` and
        `r2_kernel_ridge_factor_K` of each factor that varies; `num_factors_scored`. At most 1; 0 is
        guessing the mean, and below 0 is worse than that.

    Raises:
        ValueError: no factor that varies, one that does not vary among the test points, or a wrong
            setting, shape or value.

    Constant factors are left out, with a logged warning. Collapsed codes score 0, with a logged
    warning.
    """
    _check_settings(num_kernel, alphas, gammas)
    parts = []
    for name, (codes, factors) in (("train", train), ("test", test)):
        codes = check_codes(codes, name=f"codes_{name}")
        factors = check_factors(factors, len(codes), False, f"factors_{name}")
        parts.append(CodesAndFactors(codes, factors))
    train, test = parts
    check_count("num_train", len(train.codes), _FOLDS)
    varying = varying_factors("R2", train.factors)
    train, test = (CodesAndFactors(codes, factors[:, varying]) for codes, factors in (train, test))
    if variances is not None:
        variances = variances[varying]
    elif not np.ptp(test.factors, axis=0).all():
        raise ValueError(
            "factors must vary among the test points, whose variance R2 is a share of: draw more "
            "of them (num_test)."
        )
    found = {"r2_linear": np.zeros(varying.size), "r2_kernel_ridge": np.zeros(varying.size)}
    if np.ptp(train.codes, axis=0).any():
        found = {
            "r2_linear": _linear(train, test, variances),
            "r2_kernel_ridge": _kernel_ridge(train, test, num_kernel, (alphas, gammas), variances),
        }
    else:
        warn_collapsed("R2", "every latent is constant")
    scores: Scores = {name: float(values.mean()) for name, values in found.items()}
    for name, values in found.items():
        scores |= {
            f"{name}_factor_{k}": float(value) for k, value in zip(varying, values, strict=True)
        }
    return scores | {"num_factors_scored": int(varying.size)}


@metric(
    MetricInfo(
        "R2",
        "von Kuegelgen et al., Self-Supervised Learning with Data Augmentations (2021), "
        "arXiv 2106.04619, section 5",
        (
            Headline("r2_linear", "R2 (linear)", range=(-inf, 1)),
            Headline("r2_kernel_ridge", "R2 (kernel ridge)", range=(-inf, 1)),
        ),
        place=126,
    )
)
def compute_r2(
    ground_truth_data: GroundTruthData,
    representation_function: RepresentationFunction,
    random_state: Seed,
    artifact_dir: str | None = None,
    num_train: int = 10_000,
    num_test: int = 5_000,
    batch_size: int = 16,
    num_kernel: int = 1_000,
    alphas: Sequence[float] = ALPHAS,
    gammas: Sequence[float] = GAMMAS,
    left_out: bool = False,
    of_grid: bool = False,
) -> Scores:
    """R^2 of a representation, linear and by kernel ridge (arXiv 2106.04619, section 5).

    For continuous or integer factors; classes that are known to have no order are left out, with a
    logged warning.

    Args:
        num_train: points to fit on.
        num_kernel: points to fit the kernel ridge on, the first of those to fit on.
        alphas: penalties of the kernel ridge to choose from.
        gammas: widths of its Gaussian kernel to choose from.
        left_out: fit on what the model was trained on, and test on the combinations of factors
            that `dataset.constraints` left out, but for factors that are constant among these.
        of_grid: with `left_out`, squared errors as shares of a factor's variance in the whole grid,
            in place of that of the test points (Schott et al., ICLR 2022); so no factor is left
            out.

    Returns:
        Scores as in `r2_scores`.
    """
    _check_settings(num_kernel, alphas, gammas)
    check_count("num_train", num_train, _FOLDS)
    if left_out:
        parts = _parts(ground_truth_data)
        stream = random_state_of(random_state)
        drawn = [
            Source.of(part, representation_function, stream, batch_size).draw(num_train=num)[0]
            for part, num in zip(parts, (num_train, num_test), strict=True)
        ]
        variances = None
        if of_grid:
            sizes = np.array(ground_truth_data.factors_num_values, dtype=np.float64)
            variances = (sizes**2 - 1) / 12
        else:
            drawn = without_factors(drawn, np.ptp(drawn[1].factors, axis=0) == 0)
        train, test = only_numbers("R2", ground_truth_data, drawn)
        return r2_scores(train, test, num_kernel, alphas, gammas, variances)
    if of_grid:
        raise ValueError("r2.of_grid = True: bind r2.left_out = True too, which it belongs to")
    source = Source.of(ground_truth_data, representation_function, random_state, batch_size)
    drawn = source.draw(num_train=num_train, num_test=num_test)
    train, test = only_numbers("R2", ground_truth_data, drawn)
    return r2_scores(train, test, num_kernel, alphas, gammas) | drawn.points


def _parts(data: Any) -> tuple[Any, Any]:
    """What was trained on, and what was left out.

    Raises:
        ValueError: nothing was left out.
    """
    parts: Any = getattr(data, "parts", (None, None))
    trained, left_out = parts
    if left_out is None:
        raise ValueError(
            "r2.left_out = True: the model was trained on every combination of the factors; leave "
            'some out with dataset.constraints = {"shape": ["==", 1.0], "scale": [">=", 0.5]}, say'
        )
    return trained, left_out


def _check_settings(num_kernel: int, alphas: Sequence[float], gammas: Sequence[float]) -> None:
    check_count("num_kernel", num_kernel, _FOLDS)
    for name, values in (("alphas", alphas), ("gammas", gammas)):
        if not len(values) or not all(value > 0 for value in values):
            raise ValueError(f"{name} must be above 0, one or more, got {values!r}.")


def _linear(
    train: CodesAndFactors, test: CodesAndFactors, variances: _Variances
) -> NDArray[np.float64]:
    codes, factors = standardize(train.codes, test.codes), standardize(train.factors, test.factors)
    from sklearn.linear_model import LinearRegression

    model = LinearRegression().fit(codes[0], factors[0])
    scaled = _standardised(variances, train.factors)
    return _shares(factors[1], model.predict(codes[1]), scaled)


def _kernel_ridge(
    train: CodesAndFactors,
    test: CodesAndFactors,
    num_points: int,
    settings: tuple[Sequence[float], Sequence[float]],
    variances: _Variances,
) -> NDArray[np.float64]:
    """(factor,) R^2, each factor with the penalty and width that are best for it."""
    codes, factors = (
        standardize(fitted[:num_points], tested) for fitted, tested in zip(train, test, strict=True)
    )
    variances = _standardised(variances, train.factors[:num_points])
    grid = list(product(*settings))
    from sklearn.kernel_ridge import KernelRidge
    from sklearn.model_selection import KFold

    folds = list(KFold(_FOLDS).split(codes[0]))
    of_grid = []
    for alpha, gamma in grid:
        of_folds = []
        for fit, rest in folds:
            model = KernelRidge(alpha=alpha, kernel="rbf", gamma=gamma)
            predicted = model.fit(codes[0][fit], factors[0][fit]).predict(codes[0][rest])
            of_folds.append(_shares(factors[0][rest], predicted))
        of_grid.append(np.mean(of_folds, axis=0))
    best = np.argmax(of_grid, axis=0)
    result = np.zeros(factors[0].shape[1])
    for chosen in np.unique(best):
        alpha, gamma = grid[chosen]
        model = KernelRidge(alpha=alpha, kernel="rbf", gamma=gamma).fit(codes[0], factors[0])
        of_factor = _shares(factors[1], model.predict(codes[1]), variances)
        result[best == chosen] = of_factor[best == chosen]
    return result


def _standardised(variances: _Variances, fitted: NDArray[Any]) -> _Variances:
    """Variances of factors as those of the factors that `standardize` makes of `fitted` ones."""
    if variances is None:
        return None
    return variances / np.where(np.ptp(fitted, axis=0) > 0, fitted.var(axis=0), 1.0)


def _shares(
    factors: NDArray[np.float64], predicted: NDArray[np.float64], variances: _Variances = None
) -> NDArray[np.float64]:
    """(factor,) R^2; of a factor that does not vary here, 1 if it is met exactly and else 0."""
    rest = ((factors - predicted) ** 2).sum(axis=0)
    if variances is not None:
        return 1.0 - rest / (len(factors) * variances)
    whole = ((factors - factors.mean(axis=0)) ** 2).sum(axis=0)
    varies = np.ptp(factors, axis=0) > 0
    return np.where(varies, 1.0 - rest / np.where(varies, whole, 1.0), 1.0 * (rest == 0))
