"""A study whose files can be damaged, and what each command makes of it."""

import csv
import json
import shutil

import finished_runs
import numpy as np
import torch

from srvae_plugin import load_model, load_run, load_runs
from srvae_plugin.cli.evaluate import evaluate_main
from srvae_plugin.cli.export import export_main
from srvae_plugin.cli.report import report_main
from srvae_plugin.cli.run import run_main
from srvae_plugin.cli.study import study_main

METRICS = 'run.metrics = ["unsupervised_metrics"]'
RUN = "study/runs/vae/seed-0"
MODEL = ["model.model = @vae()", "vae.beta = 1.0", "encoder.num_latent = 2"]
MODEL += ["encoder.encoder_fn = @fc_encoder", "decoder.decoder_fn = @fc_decoder"]
KEPT = ["model.keep_checkpoint = True", "model.checkpoint_every = 2", "model.log_every = 1"]
EXPORTS = {"npz": "codes", "torchscript": "script", "onnx": "graph"}


def make(folder, exports=tuple(EXPORTS)):
    """A study of two runs of 4 steps, their data, compressed, its cache, and exports.

    The environment has to say where the cache is: `folder / "cache"`.
    """
    random = np.random.RandomState(0)
    factors = np.stack(np.unravel_index(np.arange(60), finished_runs.SIZES), axis=1)
    images = random.randint(256, size=(60, *finished_runs.COLOUR_SHAPE)).astype(np.uint8)
    np.savez_compressed(folder / "colour.npz", images=images, factors=factors)
    entries = [str(finished_runs.TINY), *MODEL, *KEPT, METRICS, "run.pictures = False"]
    entries += ["model.training_steps = 4", *finished_runs.colour_images(folder)]
    finished_runs.finished_study(folder, "study", entries)
    for to in exports:
        place = folder / "exports" / EXPORTS[to]
        export_main([str(folder / RUN), "--to", to, "--output", str(place)])


def weights(run):
    return {name: tensor.clone() for name, tensor in load_model(run).state_dict().items()}


def scores_in(path):
    found = json.loads(path.read_text())
    return {k: v for k, v in found.items() if k not in ("elapsed_time", "uuid")}


def scores(run, metric="unsupervised_metrics"):
    return scores_in(run / f"metrics/mean/{metric}/results/json/evaluation_results.json")


def curve(run):
    return (run / "model/scalars.csv").read_text()


def bindings(folder):
    bound = [*MODEL, *KEPT, METRICS, "run.pictures = False", "model.random_seed = 0"]
    return [*bound, *finished_runs.colour_images(folder)]


def run_again(folder, steps):
    words = [*bindings(folder), f"model.training_steps = {steps}"]
    bound = [part for binding in words for part in ("--bind", binding)]
    arguments = ["--gin", str(finished_runs.TINY), *bound, "--output", str(folder / RUN)]
    run_main([*arguments, "--resume"])


def loaded(folder):
    return weights(folder / RUN)


def read_in_python(folder):
    run = load_run(folder / RUN)
    frame = load_runs(folder / "study").to_frame()
    frame["path"] = sorted(frame["path"])
    return run.history.to_csv(), json.dumps(run.scores(), default=float), frame.to_csv(), run.config


def evaluated(folder):
    evaluate_main([str(folder / RUN), "--resume", "--bind", METRICS])
    return scores(folder / RUN)


def scored_anew(folder):
    evaluate_main([str(folder / RUN), "--overwrite", "--bind", METRICS])
    return scores(folder / RUN)


def ranked(folder):
    bound = ["--bind", "udr_sklearn.correlation_matrix = 'spearman'"]
    evaluate_main(["--udr", str(folder / "study"), *bound])
    return scores(folder / RUN, "udr_spearman")


def exported(folder):
    export_main([str(folder / RUN), "--to", "npz", "--output", str(folder / "new")])
    with np.load(folder / "new/codes.npz") as arrays:
        return {name: arrays[name].tolist() for name in arrays.files}


def reported(folder):
    page = folder / "report.html"
    report_main([str(folder / "study"), "--output", str(page), "--overwrite"])
    with page.with_suffix(".csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    text = page.read_text()
    for row in rows:
        row["model"] = "" if UNNAMED in text else row["model"]
    return {tuple(row.items()) for row in rows}, text


def resumed(folder):
    run_again(folder, 4)
    return weights(folder / RUN), scores(folder / RUN), curve(folder / RUN)


def continued(folder):
    run_again(folder, 6)
    return weights(folder / RUN), curve(folder / RUN)


def studied(folder):
    study = ["--gin", str(folder / "two.gin"), "--output", str(folder / "study")]
    study_main([*study, "--resume"])
    entries = json.loads((folder / "study/study.json").read_text())["runs"]
    return [(entry["folder"], entry["status"]) for entry in entries]


def codes_scored(folder):
    return of_file(folder, "--codes", "codes/codes.npz")


def script_scored(folder):
    return of_file(folder, "--model", "script/representation/pytorch_model.pt")


def graph_scored(folder):
    return of_file(folder, "--model", "graph/encoder.onnx")


def of_file(folder, option, file):
    data = [] if option == "--codes" else finished_runs.colour_images(folder)
    bound = [part for binding in [*data, METRICS] for part in ("--bind", binding)]
    shutil.rmtree(folder / "scores", ignore_errors=True)
    path = folder / "exports" / file
    evaluate_main([option, str(path), *bound, "--output", str(folder / "scores")])
    return scores_in(folder / "scores/unsupervised_metrics/results/json/evaluation_results.json")


UNNAMED = "the names that it gives to runs"
"""Said on a page that goes without `study.json`: models are called by their classes."""
OF_RUN = (loaded, read_in_python, evaluated, scored_anew, ranked, exported, reported, resumed,
          continued)  # fmt: skip
COMMANDS = {f.__name__: f for f in (*OF_RUN, studied, codes_scored, script_scored, graph_scored)}


def commands_for(name):
    """Names of the commands that read a file, by its path below the folder."""
    if name.startswith("exports/"):
        return [f"{name.split('/')[1]}_scored"]
    if name == "study/study.json":
        return ["studied", "reported"]
    if name.startswith(("cache/", "colour.npz")):
        return ["resumed", "continued", "evaluated", "scored_anew", "ranked", "exported"]
    if name.startswith("study/runs/vae/seed-1"):
        return ["ranked", "reported", "studied", "read_in_python"]
    return [f.__name__ for f in (*OF_RUN, studied)] if name.startswith(RUN) else []


def same(name, found, expected):
    """Whether an outcome is right: for a report, if what is left out is said."""
    if name == "reported":
        (rows, page), wanted = found, expected[0]
        if UNNAMED in page:
            wanted = {tuple({**dict(row), "model": ""}.items()) for row in wanted}
        complete = rows == expected[0]
        return rows <= wanted and (complete or "damaged" in page or "missing" in page)
    if isinstance(found, tuple):
        return all(same("", a, b) for a, b in zip(found, expected, strict=True))
    if isinstance(found, dict) and found and isinstance(next(iter(found.values())), torch.Tensor):
        return found.keys() == expected.keys() and all(
            torch.equal(found[name], expected[name]) for name in found
        )
    return found == expected


def damage(content, kind, random):
    """Bytes cut short, or with one or thirty bits flipped."""
    if kind == "cut":
        return content[: random.randint(len(content))]
    changed = np.frombuffer(content, np.uint8).copy()
    for place in random.randint(8 * len(content), size=1 if kind == "one bit" else 30):
        changed[place // 8] ^= 1 << (place % 8)
    return changed.tobytes()


def outcome(name, folder, expected, capsys):
    """What a command made of a folder: "right", "one line", or what is no good."""
    try:
        found = COMMANDS[name](folder)
    except SystemExit as end:
        said = [line for line in capsys.readouterr().err.splitlines() if ": error: " in line]
        return "one line" if end.code == 2 and len(said) == 1 else f"exit {end.code}: {said}"
    except ValueError as error:
        return "one line" if "\n" not in str(error) else f"lines: {error}"
    except Exception as error:
        return f"traceback: {error!r}"
    return "right" if same(name, found, expected[name]) else "wrong"
