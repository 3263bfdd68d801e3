"""A data set without images, and representations of it, to compare metrics on.

Only numpy is imported, so that the process that runs the original can use it as well. Every code is
made by element-wise arithmetic from factor values and a frozen random stream: the same on every
machine, whatever its linear algebra library.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

GRIDS = {
    "dsprites": (3, 6, 40, 32, 32),
    "cars3d": (4, 24, 183),
    "tiny": (3, 4, 5),
    "small": (2, 3, 2),
}


class IndexGrid:
    """All combinations of factors; an observation is a 1 x 1 picture of its own index."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self.factors_num_values = list(sizes)
        self.num_factors = len(sizes)
        self.observation_shape = [1, 1, 1]
        self.size = math.prod(sizes)

    def sample_factors(self, num, random_state):
        columns = [random_state.randint(size, size=num) for size in self.factors_num_values]
        return np.stack(columns, axis=1)

    def observation_indices(self, factors, random_state):
        return np.ravel_multi_index(tuple(np.asarray(factors).T), self.factors_num_values)

    def observations_at(self, indices):
        return np.asarray(indices, dtype=np.float32).reshape(-1, 1, 1, 1)

    def sample_observations_from_factors(self, factors, random_state):
        return self.observations_at(self.observation_indices(factors, random_state))

    def sample(self, num, random_state):
        factors = self.sample_factors(num, random_state)
        return factors, self.sample_observations_from_factors(factors, random_state)

    def sample_observations(self, num, random_state):
        return self.sample(num, random_state)[1]


class LookUp:
    """A representation function that knows the code of each observation by its index."""

    def __init__(self, codes):
        self.codes = codes

    def __call__(self, observations):
        return self.codes[observations.reshape(len(observations)).astype(np.int64)]


class CachedLookUp(LookUp):
    """The same, with the codes offered by index; encoding pictures is an error."""

    def __init__(self, codes, data):
        super().__init__(codes)
        self.data = data

    def codes_at(self, indices):
        return self.codes[indices]

    def __call__(self, observations):
        raise RuntimeError("a picture was encoded although all codes are cached")


def factor_values(sizes: Sequence[int]):
    """(observation, factor) value of each factor in [-1, 1], 0 for a factor of size 1."""
    classes = np.stack(np.unravel_index(np.arange(math.prod(sizes)), sizes), axis=1)
    return np.where(np.array(sizes) > 1, 2.0 * classes / np.maximum(np.array(sizes) - 1, 1) - 1, 0)


def _noise(rows: int, columns: int):
    # Rounded, so that the last bit of the C library's logarithm does not matter.
    return np.round(np.random.RandomState(1234).normal(size=(rows, columns)) * 1024) / 1024


def factors_themselves(sizes):
    return factor_values(sizes).astype(np.float32)


def linear_mix(sizes):
    values = factor_values(sizes)
    weights = np.round(np.random.RandomState(7).normal(size=(10, len(sizes))) * 64) / 64
    codes = np.zeros((len(values), len(weights)))
    for k, row in enumerate(weights):
        for weight, column in zip(row, values.T, strict=True):
            codes[:, k] += weight * column
    return codes.astype(np.float32)


def noisy_factors(sizes):
    """Each factor in noise, then two latents that are noise alone."""
    values = factor_values(sizes)
    codes = _noise(len(values), len(sizes) + 2) * 0.5
    codes[:, : len(sizes)] += values
    return codes.astype(np.float32)


def dead_latents(sizes):
    """Noisy factors between a constant latent and one whose deviation is about .01."""
    noisy = noisy_factors(sizes)[:, : len(sizes)]
    constant = np.full((len(noisy), 1), 0.25, dtype=np.float32)
    return np.hstack([constant, noisy, (_noise(len(noisy), 1) / 100).astype(np.float32)])


def perfect_with_dead(sizes):
    """The factors and two constant latents."""
    return np.hstack([factors_themselves(sizes), np.ones((math.prod(sizes), 2), np.float32)])


def collapsed(sizes):
    return np.full((math.prod(sizes), 4), 0.1, dtype=np.float32)


REPRESENTATIONS: dict[str, Callable] = {
    function.__name__: function
    for function in (
        factors_themselves,
        linear_mix,
        noisy_factors,
        dead_latents,
        perfect_with_dead,
        collapsed,
    )
}

# Settings with a dot in their name are gin's own, for both sides.
_LOGISTIC = {"predictor.predictor_fn": "@logistic_regression_cv"}
_BOOSTED = {"predictor.predictor_fn": "@gradient_boosting_classifier"}
_ALL_MATRICES = ["importance_gbt_matrix", "mutual_information_matrix", "accuracy_svm_matrix"]

SETTINGS: dict[str, dict[str, Any]] = {
    "factor_vae_score": {
        "batch_size": 64,
        "num_train": 500,
        "num_eval": 300,
        "num_variance_estimate": 1000,
        "prune_threshold": 0.05,
    },
    "beta_vae_sklearn": {"batch_size": 64, "num_train": 500, "num_eval": 300},
    "mig": {"num_train": 1000, "num_bins": 20},
    "sap_score": {"num_train": 1000, "num_test": 500, "continuous_factors": False},
    "modularity_explicitness": {"num_train": 1000, "num_test": 500, "num_bins": 20},
    "irs": {"num_train": 1000, "batch_size": 16, "num_bins": 20},
    "unsupervised_metrics": {"num_train": 1000, "num_bins": 20},
    "dci": {"num_train": 300, "num_test": 150},
    "downstream_task": {"num_train": [40], "num_test": 50} | _BOOSTED,
    "reduced_downstream_task": {"num_train": [40], "num_test": 40, "num_factors_to_remove": 1}
    | _BOOSTED,
    "strong_downstream_task": {"num_train": [40], "num_test": 40, "n_experiment": 2} | _BOOSTED,
    "fairness": {"num_train": 60, "num_test_points_per_class": 20} | _BOOSTED,
    "unified_scores": {"num_train": 150, "num_test": 100, "matrix_fns": _ALL_MATRICES},
    "mig_validation": {"num_points": 300},
    "sap_score_validation": {
        "num_points": 300,
        "train_percentage": 0.9,
        "continuous_factors": False,
    },
    "dci_validation": {"num_points": 150, "train_percentage": 0.9},
    "unified_score_validation": {
        "num_points": 150,
        "train_percentage": 0.9,
        "matrix_fns": _ALL_MATRICES,
    },
}
"""Small settings of each metric, as our keyword arguments; `num_points` of fixed data to draw."""

PAPER_SETTINGS: dict[str, dict[str, Any]] = {
    "factor_vae_score": {
        "batch_size": 64,
        "num_train": 10000,
        "num_eval": 5000,
        "num_variance_estimate": 10000,
        "prune_threshold": 0.05,
    },
    "beta_vae_sklearn": {"batch_size": 64, "num_train": 10000, "num_eval": 5000},
    "mig": {"num_train": 10000, "num_bins": 20},
    "sap_score": {"num_train": 10000, "num_test": 5000, "continuous_factors": False},
    "modularity_explicitness": {"num_train": 10000, "num_test": 5000, "num_bins": 20},
    "irs": {"num_train": 10000, "batch_size": 16, "num_bins": 20},
    "unsupervised_metrics": {"num_train": 10000, "num_bins": 20},
    "dci": {"num_train": 10000, "num_test": 5000},
    "downstream_task": {"num_train": [10, 100, 1000, 10000], "num_test": 5000} | _LOGISTIC,
    "reduced_downstream_task": {
        "num_train": [10000],
        "num_test": 5000,
        "num_factors_to_remove": 1,
    }
    | _BOOSTED,
    "strong_downstream_task": {"num_train": [10000], "num_test": 5000, "n_experiment": 10}
    | _BOOSTED,
    "fairness": {"num_train": 10000, "num_test_points_per_class": 100} | _BOOSTED,
    "unified_scores": {"num_train": 10000, "num_test": 5000, "matrix_fns": _ALL_MATRICES},
    "mig_validation": {"num_points": 1000},
    "sap_score_validation": {
        "num_points": 1000,
        "train_percentage": 0.9,
        "continuous_factors": False,
    },
    "dci_validation": {"num_points": 1000, "train_percentage": 0.9},
    "unified_score_validation": {
        "num_points": 1000,
        "train_percentage": 0.9,
        "matrix_fns": _ALL_MATRICES,
    },
}
"""The published study's settings, or the original's own where no study used the metric."""

TREES = ("dci", "dci_validation", "unified_scores", "unified_score_validation")
"""Metrics that always fit boosted trees."""

_ELSEWHERE = {"prune_threshold": "prune_dims.threshold", "num_bins": "discretizer.num_bins"}
_NOT_BOUND = ("num_points", "one_vs_rest")
_BINNED = {"mig", "modularity_explicitness", "irs", "unsupervised_metrics", "unified_scores"}
_BINNED |= {"mig_validation", "unified_score_validation"}


def original_run(metric: str, seed: int, settings: dict) -> dict:
    """What to ask the original for, to compare with our `metric` at these settings."""
    bindings = []
    for name, value in settings.items():
        if name == "matrix_fns":
            value = f"[{', '.join(f'@{function}' for function in value)}]"
        if name not in _NOT_BOUND:
            key = name if "." in name else _ELSEWHERE.get(name, f"{metric}.{name}")
            bindings.append(f"{key} = {value}")
    if metric in _BINNED:
        bindings.append("discretizer.discretizer_fn = @histogram_discretizer")
        if "num_bins" not in settings:
            bindings.append("discretizer.num_bins = 20")
    if metric == "reduced_downstream_task":
        bindings.append("reduced_representation.correlation_measure = @factorwise_dci")
    run = {"metric": metric, "seed": seed, "bindings": bindings}
    run |= {name: settings[name] for name in _NOT_BOUND if name in settings}
    run["seed_trees"] = metric in (*TREES, "reduced_downstream_task") or any(
        value == _BOOSTED["predictor.predictor_fn"] for value in settings.values()
    )
    if "n_experiment" in settings:
        run["experiments"] = settings["n_experiment"]
    return run


def cases(seed: int, dci: bool, predictors: bool = False) -> list[tuple[str, int, dict]]:
    """(metric, seed, settings) that both sides are asked for on each representation.

    `predictors`: those as well that fit a classifier to all latents for each factor.
    """
    variants: list[tuple[str, dict[str, Any]]] = [
        ("factor_vae_score", {}),
        ("factor_vae_score", {"prune_threshold": 0.0, "batch_size": 10}),
        ("beta_vae_sklearn", {}),
        ("beta_vae_sklearn", {"batch_size": 7, "num_train": 100}),
        ("mig", {}),
        ("mig", {"num_bins": 7, "batch_size": 100}),
        ("sap_score", {}),
        ("sap_score", {"continuous_factors": True}),
        ("modularity_explicitness", {}),
        ("modularity_explicitness", {"one_vs_rest": True, "num_bins": 7}),
        ("irs", {}),
        ("irs", {"diff_quantile": 1.0, "num_bins": 7, "batch_size": 100}),
        ("unsupervised_metrics", {}),
        ("unsupervised_metrics", {"num_bins": 7, "batch_size": 100}),
        ("mig_validation", {}),
        ("sap_score_validation", {"continuous_factors": True, "batch_size": 7}),
    ]
    if dci:
        variants.append(("dci", {}))
    if predictors:
        variants += [
            ("downstream_task", _LOGISTIC),
            ("downstream_task", _BOOSTED | {"num_train": [30, 40], "batch_size": 7}),
            ("reduced_downstream_task", _LOGISTIC | {"num_factors_to_remove": 2}),
            ("reduced_downstream_task", _BOOSTED),
            ("strong_downstream_task", _LOGISTIC),
            ("strong_downstream_task", _BOOSTED | {"num_train": [40, 50], "n_experiment": 1}),
            ("fairness", _LOGISTIC),
            ("fairness", _BOOSTED),
            ("unified_scores", {}),
            ("dci_validation", {}),
            ("unified_score_validation", {}),
        ]
    return [(metric, seed, SETTINGS[metric] | changes) for metric, changes in variants]
