"""The original on TensorFlow 1.14 and ours, side by side; run by original_side_by_side.sh.

In a folder with the virtual environments `original` and `ours` it

1. writes dSprites, as rendered by us, in the original's own file format;
2. lets the original train, represent and score a VAE, and count the updates of its FactorVAE;
3. trains, represents and scores a VAE and an SR-VAE here, with the gin files inside the original's
   package, unmodified;
4. exports both, makes TF1-Hub modules of them in the original's environment and lets the original,
   unmodified, score them: evaluate alone, and postprocess followed by evaluate;
5. prints the scores side by side, and the original's own table of all runs.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import srvae_plugin
from srvae_plugin.data.dsprites import dsprites_full

CONFIGS = Path(importlib.util.find_spec("disentanglement_lib").origin).parent / "config"
STUDY = CONFIGS / "unsupervised_study_v1"
METRICS = ["beta_vae_sklearn", "factor_vae_metric", "mig", "modularity_explicitness", "sap_score"]
METRICS += ["unsupervised", "dci"]
TRAINING = ["model.training_steps = 400", "model.batch_size = 16", "model.eval_steps = 5"]
TRAINING += ["encoder.num_latent = 5", "vae/AdamOptimizer.learning_rate = 0.001"]
POINTS = {
    "beta_vae_sklearn": ["batch_size = 16", "num_train = 300", "num_eval = 150"],
    "factor_vae_score": [
        "batch_size = 16", "num_variance_estimate = 2000", "num_train = 300", "num_eval = 150",
    ],
    "mig": ["num_train = 2000"],
    "modularity_explicitness": ["num_train = 1000", "num_test = 500"],
    "sap_score": ["num_train = 1000", "num_test = 500"],
    "unsupervised_metrics": ["num_train = 2000"],
    "dci": ["num_train = 500", "num_test = 250"],
}  # fmt: skip
MODELS = {"vae": [], "sr_vae": ["model.model = @sr_vae()", "sr_vae.beta = 1.0"]}
FILE = Path("data/dsprites/dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz")
NOTE = """
## The same run, scored by us and by the original

Last column: difference. DCI's trees are not seeded there: it differs from itself as much. BetaVAE's
and explicitness' logistic regressions stop at another place in scikit-learn 0.22 than today.
"""
COUNT_UPDATES = """
import math, tensorflow as tf
reader = tf.train.load_checkpoint('original_factor_vae/model/tf_checkpoint')
for name, beta, optimizer in (('beta1_power', 0.9, 'VAE'), ('beta1_power_1', 0.5, 'discriminator')):
    updates = round(math.log(reader.get_tensor(name)) / math.log(beta)) - 1
    print(optimizer, updates, 'updates; global step', reader.get_tensor('global_step'))
"""
TABLE = """
import pandas
from disentanglement_lib.utils import aggregate_results
table = aggregate_results.load_aggregated_json_results('all.json')
columns = {
    'path': 'run', 'train_config.model.model': 'model',
    'evaluation_config.evaluation.evaluation_fn': 'metric',
    'evaluation_results.eval_accuracy': 'eval_accuracy',
    'evaluation_results.discrete_mig': 'discrete_mig',
    'evaluation_results.SAP_score': 'SAP_score',
    'evaluation_results.disentanglement': 'disentanglement',
}
table['path'] = table['path'].str.split('/metrics/').str[0].str.replace('./', '', regex=False)
table = table[list(columns)].rename(columns=columns).sort_values(['metric', 'run'])
pandas.set_option('display.width', 200, 'display.max_columns', 20, 'display.max_rows', 200)
print(len(table), 'results of', table['run'].nunique(), 'runs')
print(table.to_string(index=False, na_rep='', float_format='%.6f'))
"""


def main() -> None:
    """Everything, in the current directory."""
    Path("logs").mkdir()
    show_versions()
    write_dsprites()
    train_there("original_vae", TRAINING)
    represent_and_score_there("original_vae")
    count_updates_there()
    for model, bindings in MODELS.items():
        train_here(f"our_{model}", [*TRAINING, *bindings])
    for model in MODELS:
        export_and_score_there(model)
    print(NOTE)
    for model in MODELS:
        compare(f"our_{model}", f"our_{model}_scored_there")
        compare(f"our_{model}", f"our_{model}_postprocessed_there")
    print("\n## The original's table of all of them (dlib_aggregate_results)\n")
    pattern = "*/metrics/*/*/results/aggregate/evaluation.json"
    there("dlib_aggregate_results", result_file_pattern=[pattern], output_path=["all.json"])
    print(python_there(TABLE))


def show_versions() -> None:
    """What each environment has."""
    wanted = ("disentanglement-lib", "tensorflow", "tensorflow-hub", "gin-config", "numpy")
    wanted += ("scikit-learn", "torch", "srvae_plugin", "srvae-plugin")
    for name in ("original", "ours"):
        listed = subprocess.run(
            [f"{name}/bin/python", "-m", "pip", "list", "--format=json"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        found = {p["name"]: p["version"] for p in json.loads(listed.stdout)}
        python = subprocess.run([f"{name}/bin/python", "-V"], capture_output=True, text=True)
        packages = ", ".join(f"{key} {found[key]}" for key in wanted if key in found)
        print(f"{name}: {python.stdout.strip()}, {packages}")


def write_dsprites() -> None:
    """The 737,280 images and what else the original reads of its file."""
    print(f"\n## dSprites, re-rendered, in the original's format: {FILE}\n")
    data = dsprites_full()
    images = np.empty((data.num_observations, 64, 64), np.uint8)
    for start in range(0, len(images), 8192):
        indices = np.arange(start, min(start + 8192, len(images)))
        images[indices] = data.observations_at(indices)[..., 0]
    FILE.parent.mkdir(parents=True)
    np.save("images.npy", images)
    # The metadata is an object, hence a pickle, and numpy 1 does not read numpy 2's.
    sizes = {"latents_sizes": [1, *data.factors_num_values]}
    python_there(
        "import numpy as np; images = np.load('images.npy', mmap_mode='r');"
        f"np.savez_compressed('{FILE}', imgs=images, metadata=np.array({sizes}, dtype=object))"
    )
    Path("images.npy").unlink()
    print(f"{images.shape} {images.dtype}, {images.sum():,} white pixels")


def train_there(name: str, bindings: Sequence[str]) -> None:
    """Train with the original's shared.gin."""
    config = [str(STUDY / "model_configs/shared.gin")]
    there("dlib_train", model_dir=[f"{name}/model"], gin_config=config, gin_bindings=bindings)


def represent_and_score_there(name: str, model_dir: str = "") -> None:
    """Postprocess and evaluate with the original's mean.gin and metric files."""
    target = f"{name}/postprocessed/mean"
    there(
        "dlib_postprocess",
        model_dir=[model_dir or f"{name}/model"],
        output_dir=[target],
        gin_config=[str(STUDY / "postprocess_configs/mean.gin")],
        gin_bindings=['postprocess.name = "mean"'],
    )
    score_there(target, name)


def score_there(representation: str, name: str) -> None:
    """Evaluate with the original's metric files."""
    for metric in METRICS:
        there(
            "dlib_evaluate",
            input_dir=[representation],
            output_dir=[f"{name}/metrics/mean/{metric}"],
            gin_config=[str(STUDY / f"metric_configs/{metric}.gin")],
            gin_bindings=settings(metric),
        )


def count_updates_there() -> None:
    """How many updates 20 steps of FactorVAE are."""
    name = "original_factor_vae"
    bindings = ["model.model = @factor_vae()", "factor_vae.gamma = 10.0"]
    bindings += ["discriminator.discriminator_fn = @fc_discriminator"]
    train_there(name, [*TRAINING, *bindings, "model.training_steps = 20"])
    print("model.training_steps = 20 of FactorVAE there:")
    print(python_there(COUNT_UPDATES))


def train_here(name: str, bindings: Sequence[str]) -> None:
    """Train, represent and score with the original's gin files."""
    print(f"\n## Here: {name}, with the original's gin files\n")
    begun = time.monotonic()
    shared, mean = STUDY / "model_configs/shared.gin", STUDY / "postprocess_configs/mean.gin"
    srvae_plugin.train_with_gin(f"{name}/model", False, [shared], bindings)
    target = f"{name}/postprocessed/mean"
    srvae_plugin.postprocess_with_gin(
        f"{name}/model", target, False, [mean], ['postprocess.name = "mean"']
    )
    for metric in METRICS:
        srvae_plugin.evaluate_with_gin(
            target,
            f"{name}/metrics/mean/{metric}",
            False,
            [STUDY / f"metric_configs/{metric}.gin"],
            settings(metric),
        )
    print(f"trained, represented and scored in {time.monotonic() - begun:.0f} s")


def export_and_score_there(model: str) -> None:
    """Export a run; the original scores the export, and what it makes of it by postprocessing."""
    name, folder = f"our_{model}", f"exported_{model}"
    print(f"\n## {name} in the original's environment\n")
    command = ["ours/bin/srvae-export", name, "--to", "disentanglement_lib", "--output", folder]
    print("$", *command)
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    print(done.stdout.rstrip().replace(f"{Path.cwd()}/", ""))
    print("$", f"original/bin/python {folder}/make_tfhub.py")
    print(python_there(None, f"{folder}/make_tfhub.py"))
    score_there(folder, f"{name}_scored_there")
    represent_and_score_there(f"{name}_postprocessed_there", folder)


def settings(metric: str) -> list[str]:
    """Fewer points than published, so that all of this takes minutes; everything else is theirs."""
    function = {"factor_vae_metric": "factor_vae_score", "unsupervised": "unsupervised_metrics"}
    function = function.get(metric, metric)
    return [f'evaluation.name = "{metric}"', *(f"{function}.{p}" for p in POINTS[function])]


def there(command: str, **flags: Sequence[str]) -> None:
    """Run a command of the original; its output goes to a log."""
    arguments = [f"--{name}={value}" for name, values in flags.items() for value in values]
    shown = [a.replace(f"{CONFIGS}/", "") for a in arguments]
    print("$", shlex.join([command, *shown]), flush=True)
    environment = os.environ | {"DISENTANGLEMENT_LIB_DATA": "data", "PYTHONWARNINGS": "ignore"}
    with Path(f"logs/{len(os.listdir('logs')):02d}-{command}.log").open("w") as log:
        done = subprocess.run(
            ["original/bin/python", f"original/bin/{command}", *arguments],
            stdout=log, stderr=subprocess.STDOUT, env=environment, check=False,
        )  # fmt: skip
    if done.returncode:
        sys.exit(f"{command} failed: see {log.name}")


def python_there(code: str | None, *script: str) -> str:
    """What a piece of Python prints in the original's environment."""
    arguments = script if code is None else ["-c", code]
    done = subprocess.run(
        ["original/bin/python", "-W", "ignore", *arguments], capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout.rstrip().replace(f"{Path.cwd()}/", "")


def compare(ours: str, theirs: str) -> None:
    """Print every score both have."""
    print(f"{ours} by us, and {theirs}")
    for metric in METRICS:
        found = []
        for name in (ours, theirs):
            path = Path(name) / f"metrics/mean/{metric}/results/json/evaluation_results.json"
            found.append(json.loads(path.read_text()))
        for key in found[1]:
            if key in ("uuid", "elapsed_time") or not isinstance(found[1][key], float | int):
                continue
            here, other = (float(scores[key]) for scores in found)
            row = f"  {metric:<25}{key:<38}{here:>14.9f}{other:>14.9f}"
            print(f"{row}{abs(here - other):>10.1e}")
    print()


if __name__ == "__main__":
    main()
