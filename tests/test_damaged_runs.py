"""Damaged files of a run: a command gives what it would have given, or says one line.

Every file of a run is cut short or has bits flipped at random. `SRVAE_FUZZ` is the number of
damages, 60 by default.
"""

import collections
import json
import os
import shutil

import finished_runs
import numpy as np
import pytest
import torch

from srvae_plugin import load_model
from srvae_plugin.cli.evaluate import evaluate_main
from srvae_plugin.cli.report import report_main
from srvae_plugin.cli.run import run_main

COUNT = int(os.environ.get("SRVAE_FUZZ", "60"))
METRICS = 'run.metrics = ["unsupervised_metrics"]'
MORE = "model.training_steps = 6"


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A finished run whose checkpoints are kept, of 4 steps."""
    folder = tmp_path_factory.mktemp("base")
    kept = ["model.keep_checkpoint = True", "model.checkpoint_every = 2", "model.log_every = 1"]
    bindings = [*kept, "model.training_steps = 4", *bindings_of(folder)]
    run_main([*command(bindings), "--output", str(folder / "run")])
    return folder / "run", bindings


def bindings_of(folder):
    networks = ["encoder.encoder_fn = @fc_encoder", "decoder.decoder_fn = @fc_decoder"]
    images = finished_runs.colour_images(folder)
    model = ["model.model = @vae()", "vae.beta = 1.0", "encoder.num_latent = 2"]
    return [*images, *model, *networks, METRICS, "run.pictures = False"]


def command(bindings):
    bound = [part for binding in bindings for part in ("--bind", binding)]
    return ["--gin", str(finished_runs.TINY), *bound]


def weights(run):
    return {name: tensor.clone() for name, tensor in load_model(run).state_dict().items()}


def scores(run):
    path = run / "metrics/mean/unsupervised_metrics/results/json/evaluation_results.json"
    return {k: v for k, v in json.loads(path.read_text()).items() if k != "elapsed_time"}


def loaded(run, bindings):
    return weights(run)


def evaluated(run, bindings):
    evaluate_main([str(run), "--resume", "--bind", METRICS])
    return scores(run)


def reported(run, bindings):
    page = run.parent / "report.html"
    report_main([str(run), "--output", str(page), "--overwrite"])
    return set(page.with_suffix(".csv").read_text().splitlines()), page.read_text()


def resumed(run, bindings):
    run_main([*command(bindings), "--output", str(run), "--resume"])
    return weights(run), scores(run), curve(run)


def continued(run, bindings):
    run_main([*command([*bindings, MORE]), "--output", str(run), "--resume"])
    return weights(run), curve(run)


def curve(run):
    return (run / "model/scalars.csv").read_text()


COMMANDS = {f.__name__: f for f in (loaded, evaluated, reported, resumed, continued)}


def same(name, found, expected):
    """Whether an outcome is right: for a report, if what is left out is said."""
    if name == "reported":
        rows, page = found
        complete = rows == expected[0]
        return rows <= expected[0] and (complete or "damaged" in page or "missing" in page)
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


def outcome(name, run, bindings, expected, capsys):
    """What a command made of a run: "right", "one line", or what is no good."""
    try:
        found = COMMANDS[name](run, bindings)
    except SystemExit as end:
        said = [line for line in capsys.readouterr().err.splitlines() if ": error: " in line]
        return "one line" if end.code == 2 and len(said) == 1 else f"exit {end.code}: {said}"
    except ValueError as error:
        return "one line" if "\n" not in str(error) else f"lines: {error}"
    except Exception as error:
        return f"traceback: {error!r}"
    return "right" if same(name, found, expected[name]) else "wrong"


def test_every_damage_is_said_or_harmless(base, tmp_path, capsys):
    whole, bindings = base
    names = sorted(str(p.relative_to(whole)) for p in whole.rglob("*") if p.is_file())
    place = tmp_path / "run"
    expected = {}
    for name in COMMANDS:
        shutil.copytree(whole, place)
        expected[name] = COMMANDS[name](place, bindings)
        shutil.rmtree(place)
    random = np.random.RandomState(0)
    counts, bad = collections.Counter(), []
    pairs = [(file, name) for file in names for name in COMMANDS]
    order = random.permutation(len(pairs))
    for number in range(COUNT):
        file, name = pairs[order[number % len(pairs)]]
        kind = ("cut", "one bit", "thirty bits")[random.randint(3)]
        shutil.copytree(whole, place)
        content = (place / file).read_bytes()
        changed = damage(content, kind, random)
        (place / file).write_bytes(changed)
        found = outcome(name, place, bindings, expected, capsys)
        capsys.readouterr()
        counts[found.partition(":")[0]] += 1
        if found not in ("right", "one line"):
            bad.append((file, name, kind, found[:300]))
        shutil.rmtree(place)
    print(counts)
    assert not bad, "\n".join(map(str, bad))
    assert counts["right"] > COUNT // 10 < counts["one line"]
