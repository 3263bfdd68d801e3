"""Scores as research code that imports disentanglement_lib computes them, in three ways.

Imports, gin bindings and calls are those that such code makes. Prints the scores as JSON.
"""

import json
import os
import sys

import gin.tf
import numpy as np

gin.enter_interactive_mode()

# The imports only register names with gin.
import disentanglement_lib  # noqa: E402
import disentanglement_lib.evaluation.udr.metrics.udr as udr  # noqa: E402
from disentanglement_lib.data.ground_truth import named_data  # noqa: E402
from disentanglement_lib.evaluation.metrics import (  # noqa: E402
    beta_vae,  # noqa: F401
    dci,  # noqa: F401
    downstream_task,  # noqa: F401
    factor_vae,  # noqa: F401
    fairness,  # noqa: F401
    irs,  # noqa: F401
    mig,  # noqa: F401
    modularity_explicitness,  # noqa: F401
    reduced_downstream_task,  # noqa: F401
    sap_score,  # noqa: F401
    unsupervised_metrics,  # noqa: F401
    utils,
)
from disentanglement_lib.utils import results  # noqa: E402

CODES, SIZES, FOLDER = np.load(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3]


@gin.configurable("mcc", blacklist=["ground_truth_data", "representation_function"])
def own_mcc(ground_truth_data, representation_function, random_state, num_train=gin.REQUIRED):
    """A metric of the script's own, whose name one of ours has too."""
    mus, ys = utils.generate_batch_factor_code(
        ground_truth_data, representation_function, num_train, random_state, 16
    )
    return {"points": mus.shape[1] + ys.shape[1]}


class ChannelsFirst:
    """A data set that says nothing of the factors' sizes; images are channels first."""

    num_factors = len(SIZES)

    def sample_factors(self, num, random_state):
        return np.stack([random_state.randint(size, size=num) for size in SIZES], axis=1)

    def sample_observations_from_factors(self, factors, random_state):
        indices = np.ravel_multi_index(tuple(factors.T), SIZES)
        return indices.astype(np.float32).reshape(-1, 1, 1, 1)

    def sample(self, num, random_state):
        factors = self.sample_factors(num, random_state)
        return factors, self.sample_observations_from_factors(factors, random_state)

    def sample_observations(self, num, random_state):
        return self.sample(num, random_state)[1]


def mean_rep(x):
    return CODES[x[:, 0, 0, 0].astype(int)]


@gin.configurable("evaluation")
def evaluate(output_dir, evaluation_fn=gin.REQUIRED, random_seed=gin.REQUIRED, name=""):
    """The script's own step under a name that ours has too."""
    scores = evaluation_fn(
        ChannelsFirst(), mean_rep, random_state=np.random.RandomState(random_seed)
    )
    results.update_result_directory(output_dir, "evaluation", scores)


def by_files(folder):
    """One gin file a metric, each step's results read back."""
    found = {}
    for file in sorted(os.listdir(f"{folder}/metric_configs")):
        name = file.removesuffix(".gin")
        bindings = ["evaluation.random_seed = 0", f"evaluation.name = '{name}'"]
        gin.parse_config_files_and_bindings([f"{folder}/metric_configs/{file}"], bindings)
        evaluate(f"{folder}/{name}")
        gin.clear_config()
        with open(f"{folder}/{name}/json/evaluation_results.json") as stream:
            found[name] = json.load(stream)
        config = results.gin_dict(f"{folder}/{name}/gin/evaluation.gin")
        assert config["evaluation.name"] == f"'{name}'", config
        assert set(results.aggregate_json_results(f"{folder}/{name}/json")) > {
            f"evaluation_config.{key}" for key in config
        }
    return found


def ranking():
    """Two encoders that are each other's permutation."""
    gin.parse_config_files_and_bindings([], ["dataset.name='dummy_data'"])
    data = named_data.get_named_ground_truth_data()
    gin.clear_config()
    gin.parse_config_files_and_bindings(
        None, ["udr_sklearn.batch_size = 10", "udr_sklearn.num_data_points = 100"]
    )

    def encode(x):
        return x.reshape(len(x), -1)[:, :4], np.ones(4)

    def permuted(x):
        return encode(x)[0][:, [2, 0, 3, 1]], np.ones(4)

    scores = udr.compute_udr_sklearn(data, [encode, permuted], np.random.RandomState(0))
    gin.clear_config()
    return scores["model_scores"]


def replaced_step():
    """A step of the script's own in the library's place, and one file for each metric there."""
    disentanglement_lib.evaluation.evaluate = sys.modules[__name__]
    from disentanglement_lib.config.unsupervised_study_v1 import sweep
    from disentanglement_lib.evaluation.metrics import own_fork_metric

    files = sorted(sweep.UnsupervisedStudyV1().get_eval_config_files())
    assert disentanglement_lib.evaluation.evaluate.evaluate is evaluate
    return [os.path.basename(file) for file in files], own_fork_metric.VALUE


found = by_files(FOLDER)
found["udr"] = ranking()
found["files"], found["own file"] = replaced_step()
found["tensorflow"] = any(name.partition(".")[0] == "tensorflow" for name in sys.modules)
print(json.dumps(found))
