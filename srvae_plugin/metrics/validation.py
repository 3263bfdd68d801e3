"""Scores of a few labelled observations, for model selection: disentanglement_lib's validation.

Source: Locatello et al., "Disentangling Factors of Variation Using Few Labels", ICLR 2020.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gin
import numpy as np

from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.data.sampling.labelled import sample_labelled
from srvae_plugin.data.sampling.labellers import Labels, perfect_labeller
from srvae_plugin.data.sampling.seeds import Seed
from srvae_plugin.metrics.codes import RepresentationFunction
from srvae_plugin.metrics.common.checks import LEFT_OUT
from srvae_plugin.metrics.common.drawing import Scores
from srvae_plugin.metrics.common.factor_kinds import not_classes
from srvae_plugin.metrics.common.fixed_data import compute_mig_on_fixed_data
from srvae_plugin.metrics.common.info import Headline, MetricInfo, metric

__all__ = ["compute_validation"]


@gin.register(
    "validation",
    module="srvae_plugin",
    denylist=["ground_truth_data", "representation_function", "random_state"],
)
@metric(
    MetricInfo(
        "Validation",
        "Locatello et al., Disentangling Factors of Variation Using Few Labels (2020), "
        "arXiv 1905.01258, section 3",
        (Headline("discrete_mig", "MIG of few labels"),),
        place=200,
    )
)
def compute_validation(
    ground_truth_data: GroundTruthData,
    representation_function: RepresentationFunction,
    random_state: Seed,
    validation_fn: Callable[..., Any] = gin.get_configurable(compute_mig_on_fixed_data),
    num_labelled_samples: int = 1000,
    random_seed: int = 0,
    name: str = "",
) -> Scores:
    """Score observations that are labelled by what gin binds to `labeller.labeller_fn`.

    Args:
        ground_truth_data: the data set.
        representation_function: encodes observations.
        random_state: not used; the seed is `random_seed`.
        validation_fn: `mig_validation`, `dci_validation`, `sap_score_validation` or
            `unified_score_validation`.
        num_labelled_samples: how many observations are labelled.
        random_seed: seed of these and of their labels; the same as a semi-supervised model's
            `supervised_data_seed` gives the observations that it was trained on.
        name: not used; it identifies the results.

    Returns:
        Those of `validation_fn`.
    """
    try:
        labeller = gin.get_configurable("srvae_plugin.labeller")
    except ValueError:  # no model that takes labels has been loaded, and so nothing is bound
        labeller = perfect_labeller
    out = not_classes("validation", ground_truth_data)

    def of_classes(factors: Any, data: Any, random_state: Any) -> Labels:
        if out.any():  # labellers take factors for indices
            factors = np.where(out, 0, factors).astype(np.int64)
        return labeller(factors, data, random_state)

    sample = sample_labelled(ground_truth_data, num_labelled_samples, random_seed, of_classes)
    if out.any() and sample.labels.shape[1] != len(out):
        raise ValueError(
            "validation: partial_labeller may choose continuous factors, which are not labels: "
            "bind dataset.factor_bins = 10, say, to make classes of them"
        )
    labels = np.where(out, LEFT_OUT, sample.labels) if out.any() else sample.labels
    return validation_fn(sample.observations, labels.T.astype(np.int64), representation_function)
