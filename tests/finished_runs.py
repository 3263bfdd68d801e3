"""Finished runs to export: small networks whose codes differ from image to image."""

from pathlib import Path

import numpy as np
from safetensors.torch import load_file, safe_open, save_file
from trained_models import require_alive

from srvae_plugin import load_model
from srvae_plugin.cli.study_worker import run_job
from srvae_plugin.runs.directory import last_step_in
from srvae_plugin.runs.run import run
from srvae_plugin.study.config import configurations
from srvae_plugin.study.definition import read_study
from srvae_plugin.study.directory import StudyJson, claim, look, prepare_directory
from srvae_plugin.study.job import Job
from srvae_plugin.study.plan import plan

TINY = Path(__file__).with_name("tiny.gin")
SHORT = ["model.training_steps = 2", "model.checkpoint_every = 100", "run.pictures = False"]
# Height, width and channels all differ, so that no mistaken axis goes unnoticed.
COLOUR_SHAPE = (7, 5, 3)
SIZES = (3, 4, 5)


def colour_images(folder):
    """An npz data set of 60 images with three factors; returns the bindings that choose it."""
    path = folder / "colour.npz"
    if not path.is_file():
        random_state = np.random.RandomState(0)
        factors = np.stack(np.unravel_index(np.arange(60), SIZES), axis=1)
        images = random_state.randint(256, size=(60, *COLOUR_SHAPE)).astype(np.uint8)
        np.savez(path, images=images, factors=factors)
    return ['dataset.name = "npz"', f'dataset.path = "{path}"']


def colour_run(folder, model="sr_vae", bindings=()):
    """A run on those images with fully connected networks."""
    networks = ["encoder.encoder_fn = @fc_encoder", "decoder.decoder_fn = @fc_decoder"]
    networks.append("encoder.num_latent = 2")
    chosen = [*colour_images(folder), f"model.model = @{model}()", *networks]
    if model == "vae":
        chosen.append("vae.beta = 1.0")
    return finished_run(folder / model, [*chosen, "run.metrics = []", *bindings])


def finished_study(folder, name, entries):
    """A study of two finished VAEs, made in this process; its gin file is `folder / "two.gin"`."""
    (folder / "two.gin").write_text(f"study.models = {{'vae': {entries!r}}}\nstudy.seeds = 2\n")
    runs = plan(read_study([folder / "two.gin"]), [folder])
    place = folder / name
    prepare_directory(place, False, False)
    states = look(place, runs, configurations(runs))
    for state in states:
        claim(state)
        run_job(state.folder, Job((), "", state.run.number, []))
        state.status = "finished"
    StudyJson(place, {"study": "two"}, states).write()


def finished_run(output, bindings=()):
    """A run of tiny.gin, its weights made larger: fresh ones give nearly the same code to all."""
    run([TINY], [*SHORT, *bindings], output)
    for path in output.rglob("model.safetensors"):
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
        weights = load_file(path)
        grown = {name: w * (2 if w.ndim > 1 else 1) for name, w in weights.items()}
        save_file(grown, path, metadata)
    for folder in ("model", "postprocessed/mean", "postprocessed/sampled"):
        step = last_step_in(output / folder)
        if step is not None:
            step.seal()
    require_alive(load_model(output))
    return output
