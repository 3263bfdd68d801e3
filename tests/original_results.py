"""Result directories by the original's own code: its results module, metrics and gin files.

Run as a process of its own, since it registers `mig`, `model`, ... in gin as we do:

    python tests/original_results.py FOLDER

leaves two runs of beta-VAE, scored by the original's MIG and SAP, in the original's tree. What is
no part of it here is TensorFlow: the training is a stand-in under the original's gin names.
"""

import shutil
import sys
import types
from pathlib import Path

import numpy as np
import oracle

STUDY = "config/unsupervised_study_v1"
SEEDS = (0, 1)


def main(folder):
    import gin

    oracle.import_original("mig")
    oracle.import_original("sap_score")
    copy = types.SimpleNamespace(
        copy_tree=lambda old, new: shutil.copytree(old, new, dirs_exist_ok=True)
    )
    vars(sys.modules["distutils"])["dir_util"] = copy
    from disentanglement_lib.utils import results

    @gin.configurable("dataset")
    def dataset(name=gin.REQUIRED):
        return name

    @gin.configurable("vae")
    def vae(beta=gin.REQUIRED):
        return beta

    @gin.configurable("conv_encoder")
    def conv_encoder():
        return None

    @gin.configurable("encoder")
    def encoder(num_latent=gin.REQUIRED, encoder_fn=None):
        return num_latent

    @gin.configurable("model")
    def train(model=gin.REQUIRED, training_steps=gin.REQUIRED, random_seed=gin.REQUIRED,
              batch_size=gin.REQUIRED, name="", model_num=None):  # fmt: skip
        return random_seed

    @gin.configurable("mean_representation")
    def mean_representation():
        return None

    @gin.configurable("postprocess")
    def postprocess(postprocess_fn=gin.REQUIRED, random_seed=gin.REQUIRED, name=""):
        return postprocess_fn

    @gin.configurable("evaluation")
    def evaluate(data, codes, evaluation_fn=gin.REQUIRED, random_seed=gin.REQUIRED, name=""):
        return evaluation_fn(data, codes, np.random.RandomState(random_seed))

    from metric_cases import IndexGrid, LookUp

    package = Path(sys.modules["disentanglement_lib"].__file__).parent
    sizes = (3, 4, 5)
    for seed in SEEDS:
        run = Path(folder) / str(seed)
        gin.clear_config()
        gin.parse_config_files_and_bindings(
            [str(package / STUDY / "model_configs/shared.gin")],
            [f"model.random_seed = {seed}", "model.name = 'beta_vae'", "vae.beta = 4.0",
             "dataset.name = 'shapes3d'", "model.model = @vae()"],
            skip_unknown=True,
        )  # fmt: skip
        for step in (train, dataset, encoder, vae):
            step()
        results.update_result_directory(
            str(run / "model/results"), "train", {"reconstruction_loss": 7.5, "elapsed_time": 1.0}
        )
        gin.clear_config()
        gin.parse_config(
            ["dataset.name = 'shapes3d'", "postprocess.postprocess_fn = @mean_representation",
             "postprocess.random_seed = 0"]
        )  # fmt: skip
        for step in (postprocess, dataset, mean_representation):
            step()
        represented = str(run / "postprocessed/mean/results")
        results.update_result_directory(represented, "postprocess", {}, str(run / "model/results"))
        codes = np.random.RandomState(seed).rand(np.prod(sizes), 3)
        codes[:, 0] += np.repeat(np.arange(3), 20)
        for name in ("mig", "sap_score"):
            gin.clear_config()
            gin.parse_config_files_and_bindings(
                [str(package / STUDY / f"metric_configs/{name}.gin")],
                ["dataset.name = 'shapes3d'", "mig.num_train = 200", "sap_score.num_train = 200",
                 "sap_score.num_test = 100"],
                skip_unknown=True,
            )  # fmt: skip
            scores = dict(evaluate(IndexGrid(sizes), LookUp(codes)), elapsed_time=1.0)
            dataset()
            output = str(run / f"metrics/mean/{name}/results")
            results.update_result_directory(output, "evaluation", scores, represented)


if __name__ == "__main__":
    main(sys.argv[1])
