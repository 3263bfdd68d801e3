"""Runs trained from Python with classes and functions of the user's, read with their module."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import srvae_plugin as sv
from srvae_plugin.cli.evaluate import evaluate_main
from srvae_plugin.cli.export import export_main
from srvae_plugin.testing.complete_run import Bars

MINE = '''
from torch import nn
from srvae_plugin import VAE


class Encoder(nn.Module):
    def __init__(self, shape, num_latent, width=8):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 2 * num_latent))

    def forward(self, x):
        return self.layers(x)


def decoder(num_latent, shape):
    return nn.Sequential(nn.Linear(num_latent, 64), nn.Unflatten(1, shape))


class MyVAE(VAE):
    """Twice the KL."""

    def __init__(self, half=1.0, widths=(3, 4), num_latent=3, encoder=None, decoder=None):
        super().__init__(2 * half, encoder, decoder, num_latent=num_latent)
        self.half = half
'''
QUICK = {"steps": 2, "batch_size": 4, "eval_steps": 1}
READ = """
import numpy as np, sys
import srvae_plugin as sv
images = np.load("images.npy")
try:
    sv.load_run("run").codes(images)
except ValueError as error:
    assert "imports='{module}'" in str(error) and "\\n" not in str(error), error
else:
    sys.exit("it was imported")
assert "{module}" not in sys.modules
run = sv.load_run("run", imports="{module}")
assert np.array_equal(run.codes(images), np.load("codes.npy"))
"""


@pytest.fixture(scope="module")
def images():
    return Bars((1, 8, 8)).observations_at(np.arange(48))


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mine")
    (folder / "nets_of_mine.py").write_text(MINE)
    sys.path.insert(0, str(folder))
    yield __import__("nets_of_mine")
    sys.path.remove(str(folder))
    sys.modules.pop("nets_of_mine")


MODELS = {
    "networks": lambda m: sv.VAE(1.0, num_latent=2, encoder=m.Encoder, decoder=m.decoder),
    "settings": lambda m: sv.SRVAE(
        num_latent=2, encoder=partial(m.Encoder, width=5), decoder=m.decoder
    ),
    "class": lambda m: m.MyVAE(0.5, widths=(1, 2), num_latent=4, encoder=m.Encoder,
                               decoder="fc_decoder"),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_a_process_that_imports_the_module_reads_the_run(tmp_path, mine, images, name):
    run = sv.train(MODELS[name](mine), images, tmp_path / "run", **QUICK)
    assert run.config.startswith("import nets_of_mine\n")
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "codes.npy", run.codes(images))
    (tmp_path / "nets_of_mine.py").write_text(MINE)
    code = READ.format(module="nets_of_mine")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_commands_read_it_with_import(tmp_path, mine, monkeypatch, capsys):
    data = Bars((1, 8, 8))
    run = sv.train(MODELS["networks"](mine), data, tmp_path / "run", **QUICK)
    arrays = {
        "images": data.observations_at(np.arange(48)),
        "factors": data.factors_at(np.arange(48)),
    }
    np.savez(tmp_path / "bars.npz", **arrays)
    bind = ["--bind", "dataset.name = 'npz'", "--bind", f"dataset.path = '{tmp_path}/bars.npz'"]
    score = [str(run.path), *bind, "--bind", "run.metrics = ['mig']"]
    monkeypatch.chdir(Path(mine.__file__).parent)
    evaluate_main([*score, "--import", "nets_of_mine"])
    assert "discrete_mig" in capsys.readouterr().out
    export_main([str(run.path), "--to", "torchscript", *bind, "--import", "nets_of_mine"])
    assert (run.path / "exports/mean/torchscript").is_dir()


def objects(m):
    return sv.VAE(
        1.0, num_latent=2, encoder=m.Encoder((1, 8, 8), 2), decoder=m.decoder(2, (1, 8, 8))
    )


class Here(sv.VAE):
    """Of a test; as one of a notebook once its module is called so."""


def in_a_notebook(m):
    Here.__module__ = "__main__"
    return Here(1.0, num_latent=2)


NOT_REBUILT = {
    "objects": (objects, "encoder was given as an object, a Encoder"),
    "notebook": (in_a_notebook, "the model Here is defined in a script, a notebook"),
    "lambda": (
        lambda m: sv.VAE(1.0, num_latent=2, encoder=lambda s: m.Encoder(s, 2), decoder=m.decoder),
        "defined in a script, a notebook or a function",
    ),
}


@pytest.mark.parametrize("name", NOT_REBUILT)
def test_what_has_no_name_says_so_and_is_read_with_a_model(tmp_path, mine, images, name, capsys):
    make, why = NOT_REBUILT[name]
    run = sv.train(make(mine), images, tmp_path / "run", **QUICK)
    with pytest.raises(ValueError, match=why) as caught:
        sv.load_run(run.path).codes(images)
    assert f"load_run({str(run.path)!r}, model=...)" in str(caught.value)
    assert "\n" not in str(caught.value)
    loaded = sv.load_run(run.path, model=make(mine))
    assert np.array_equal(loaded.codes(images), run.codes(images))
    scores = loaded.evaluate({"unsupervised_metrics": {"num_train": 40}}, images)
    assert scores == run.scores() != {}
    with pytest.raises(SystemExit):
        evaluate_main([str(run.path), "--bind", "run.metrics = ['mig']"])
    assert "Traceback" not in capsys.readouterr().err


def test_settings_of_a_function_are_recorded(tmp_path, mine, images):
    model = mine.MyVAE(encoder=partial(mine.Encoder, width=5), decoder=mine.decoder)
    run = sv.train(model, images, tmp_path / "run", **QUICK)
    assert "nets_of_mine.Encoder.width = 5" in run.config
    assert "nets_of_mine.MyVAE.encoder = @nets_of_mine.Encoder" in run.config
    loaded = sv.load_run(run.path, imports=["nets_of_mine"])
    assert np.array_equal(loaded.codes(images), run.codes(images))
    with pytest.raises(ValueError, match="imports: no_such_module: ModuleNotFoundError"):
        sv.load_run(run.path, imports="no_such_module")
