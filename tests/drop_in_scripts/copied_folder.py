"""Scores as research code with a copy of disentanglement_lib's folder `evaluation` computes them.

Imports, gin bindings and calls are those that such code makes; observations are indices of a table
of codes. Prints the scores as JSON.
"""

import json
import sys

import gin
import numpy as np

CODES, SIZES = np.load(sys.argv[1]), json.loads(sys.argv[2])


class Indices:
    """A data set whose observations are whole numbers, one for each combination of factors."""

    num_factors, factors_num_values, observation_shape = len(SIZES), SIZES, [64, 64, 3]

    def sample_factors(self, num, random_state):
        return np.stack([random_state.randint(size, size=num) for size in SIZES], axis=1)

    def sample_observations_from_factors(self, factors, random_state):
        return np.ravel_multi_index(tuple(factors.T), SIZES)

    def sample(self, num, random_state):
        factors = self.sample_factors(num, random_state)
        return factors, self.sample_observations_from_factors(factors, random_state)

    def sample_observations(self, num, random_state):
        return self.sample(num, random_state)[1]


def representation(x):
    return CODES[x]


def scored(function):
    return function(
        Indices(), representation, random_state=np.random.RandomState(0), artifact_dir=None
    )


def main():
    found = {}
    with gin.unlock_config():
        from evaluation.metrics.beta_vae import compute_beta_vae_sklearn

        gin.bind_parameter("beta_vae_sklearn.batch_size", 16)
        gin.bind_parameter("beta_vae_sklearn.num_train", 100)
        gin.bind_parameter("beta_vae_sklearn.num_eval", 50)
    found["beta_vae_sklearn"] = scored(compute_beta_vae_sklearn)

    from evaluation.metrics.dci import compute_dci

    with gin.unlock_config():
        gin.bind_parameter("dci.num_train", 100)
        gin.bind_parameter("dci.num_test", 50)
    found["dci"] = scored(compute_dci)
    with gin.unlock_config():
        from evaluation.metrics.mig import compute_mig
        from evaluation.metrics.utils import _histogram_discretize

        gin.bind_parameter("mig.num_train", 100)
        gin.bind_parameter("discretizer.discretizer_fn", _histogram_discretize)
        gin.bind_parameter("discretizer.num_bins", 10)
    found["mig"] = scored(compute_mig)
    with gin.unlock_config():
        from evaluation.metrics.factor_vae import compute_factor_vae

        gin.bind_parameter("factor_vae_score.num_variance_estimate", 100)
        gin.bind_parameter("factor_vae_score.num_train", 60)
        gin.bind_parameter("factor_vae_score.num_eval", 40)
        gin.bind_parameter("factor_vae_score.batch_size", 16)
        gin.bind_parameter("prune_dims.threshold", 0.05)
    found["factor_vae_score"] = scored(compute_factor_vae)
    gin.clear_config()

    from evaluation.metrics.own_metric import compute_own_metric  # the copy's own file

    found["own_metric"] = compute_own_metric(Indices(), representation, np.random.RandomState(0))
    found["tensorflow"] = any(name.partition(".")[0] == "tensorflow" for name in sys.modules)
    print(json.dumps(found))


main()
