"""Run directories for tests of the report: small, quickly made, in the tree that runs leave."""

import json
import uuid

import numpy as np
from PIL import Image

BASE = {
    "dataset.name": "'dsprites_full'",
    "model.training_steps": "1000",
    "model.batch_size": "64",
    "model.checkpoint_every": "100",
    "encoder.num_latent": "10",
    "vae/AdamOptimizer.learning_rate": "0.0001",
}
SETTINGS = {
    "factor_vae_score": {
        "factor_vae_score.num_variance_estimate": "10000",
        "factor_vae_score.num_train": "10000",
        "factor_vae_score.num_eval": "500",
        "factor_vae_score.batch_size": "64",
        "prune_dims.threshold": "0.05",
    },
    "mig": {"mig.num_train": "10000", "discretizer.num_bins": "20"},
}
KEYS = {"factor_vae_score": "eval_accuracy", "mig": "discrete_mig"}


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def prefixed(prefix, values):
    return {f"{prefix}.{key}": value for key, value in values.items()}


def make_run(folder, seed, scores, model="sr_vae", config=None, kind="mean", loss=20.0, factors=()):
    """A run with `scores[metric]`, each the value of that metric's main key; None leaves it out."""
    bound = BASE | {"model.model": f"@{model}()", f"{model}.beta": "1.0"} | (config or {})
    bound["model.random_seed"] = str(seed)
    bound.setdefault(f"{bound['dataset.name'].strip(chr(39))}.path", "None")
    known = prefixed("train_config", bound) | prefixed(
        "train_results",
        {
            "reconstruction_loss": loss,
            "kl_loss": 10.0,
            "uuid": str(uuid.uuid4()),
            "elapsed_time": 1,
        },
    )
    known |= {"train_dataset.factor_names": list(factors)} if factors else {}
    write_json(folder / "model/results/aggregate/train.json", known)
    known |= {"postprocess_config.postprocess.postprocess_fn": f"@{kind}_representation"}
    known |= {"postprocess_results.uuid": str(uuid.uuid4())}
    for metric, value in scores.items():
        if value is None:
            continue
        settings = SETTINGS.get(metric, {}) | {"evaluation.evaluation_fn": f"@{metric}"}
        results = {KEYS.get(metric, "score"): value, "num_factors_scored": 5, "elapsed_time": 2.0}
        results["uuid"] = str(uuid.uuid4())
        scored = prefixed("evaluation_config", settings) | prefixed("evaluation_results", results)
        name = metric.partition("/")[0]
        path = folder / f"metrics/{kind}/{name}/results/aggregate/evaluation.json"
        write_json(path, known | scored)
    lines = [f"{key} = {value}" for key, value in bound.items()]
    lines.append(f"run.metrics = {list(scores)}")
    (folder / "config.gin").write_text("\n".join(lines) + "\n")
    packages = {"srvae_plugin": "0.1.0", "torch": "2.13.0"}
    environment = {"python": "3.11.7", "platform": "Linux", "packages": packages, "device": "cpu"}
    write_json(folder / "environment.json", environment)
    return folder


def make_unfinished(folder, seed, model="sr_vae", config=None):
    """A run that was killed while it trained: it has a configuration and nothing else."""
    bound = {"model.model": f"@{model}()", "dataset.name": "'dsprites_full'"} | (config or {})
    bound["model.random_seed"] = str(seed)
    folder.mkdir(parents=True)
    (folder / "config.gin").write_text("".join(f"{k} = {v}\n" for k, v in bound.items()))
    return folder


def add_curves(folder, rows=50):
    steps = np.arange(rows) * 20
    losses = 20 + 200 * np.exp(-steps / 100)
    lines = ["step,loss,reconstruction_loss,kl_loss"]
    lines += [f"{s},{v + 5},{v},5.0" for s, v in zip(steps, losses, strict=True)]
    (folder / "model").mkdir(parents=True, exist_ok=True)
    (folder / "model/scalars.csv").write_text("\n".join(lines) + "\n")


def add_pictures(folder, frames=8, size=(60, 40)):
    """A traversal whose frames are each of one grey of their own, and a decomposition."""
    place = folder / "visualizations"
    place.mkdir(parents=True, exist_ok=True)
    half = np.minimum(np.arange(frames), frames - np.arange(frames))
    greys = [Image.new("L", size, int(20 + 160 * step / (frames // 2))) for step in half]
    options = {"save_all": True, "append_images": greys[1:], "duration": 80, "loop": 0}
    greys[0].save(place / "traversals.gif", "GIF", **options)
    Image.new("RGB", (200, 100), "navy").save(place / "decomposition.png")


def add_importance(folder, matrix, metric="dci", kind="mean"):
    place = folder / f"metrics/{kind}/{metric}/artifacts"
    place.mkdir(parents=True, exist_ok=True)
    np.save(place / "dci_importance_matrix.npy", np.asarray(matrix, np.float64))


def make_study(folder, seeds=3):
    """SR-VAE, VAE and beta-VAE with known scores: see `SCORES`."""
    for model, config in MODELS.items():
        for seed in range(seeds):
            run = make_run(
                folder / f"{model}-{seed}",
                seed,
                {"factor_vae_score": SCORES[model][seed], "mig": SCORES[model][seed] / 2},
                model="sr_vae" if model == "SR-VAE" else "vae",
                config=config,
            )
            add_curves(run)
    return folder


MODELS = {"SR-VAE": {}, "VAE": {}, "beta-VAE": {"vae.beta": "4.0"}}
SCORES = {
    "SR-VAE": [0.9, 0.5, 0.7],
    "VAE": [0.6, 0.65, 0.55],
    "beta-VAE": [0.71875, 0.8, 0.6],
}
