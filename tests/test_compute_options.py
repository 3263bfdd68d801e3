"""`model.autocast` and `model.compile` compute what training without them computes."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from trained_models import MODELS, TINY, require_alive, rows

from srvae_plugin.config import gin_files
from srvae_plugin.data.dsprites import dsprites_full
from srvae_plugin.runs import pipeline
from srvae_plugin.runs.directory import TrainingDirectory
from srvae_plugin.training.loop import train

STEPS = ["model.training_steps = 3", "model.log_every = 1"]
SCRIPT = Path(__file__).with_name("compiled_models.py")


def trained(folder, name, *bindings):
    """The model, its rows, and the types of numbers that its decoder gave."""
    with gin_files.only(
        bindings=[*TINY, *STEPS, f"model.model = @{name}()", *MODELS[name], *bindings]
    ):
        settings = pipeline.training_settings()
        build, types = settings.model.build, set()

        def noting(shape):
            build(shape)
            decoder = settings.model.decoder
            decoder.register_forward_hook(lambda layer, given, images: types.add(images.dtype))

        settings.model.build = noting
        model, _ = train(settings, dsprites_full(), TrainingDirectory(folder).files)
    found = set(types)
    return require_alive(model), rows(folder), found


@pytest.mark.parametrize("name", MODELS)
def test_autocast_computes_in_bfloat16_and_learns_the_same(tmp_path, name):
    _, plain, single = trained(tmp_path / "plain", name)
    model, rounded, half = trained(tmp_path / "autocast", name, "model.autocast = True")
    assert single == {torch.float32}
    assert half == {torch.bfloat16}
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    for here, there in zip(plain, rounded, strict=True):
        loss = float(here["loss"])
        assert float(there["loss"]) == pytest.approx(loss, rel=2**-8)
        assert float(there["loss"]) != loss


def compiled(backend, names):
    """Names of the models whose compiled losses and gradients are the plain ones."""
    command = [sys.executable, SCRIPT, backend, *names]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    "names",
    [
        ("vae", "factor_vae", "sr_vae"),
        pytest.param(
            ("annealed_vae", "beta_tc_vae", "dip_vae", "seq_vae", "res_vae"), marks=pytest.mark.slow
        ),
    ],
)
def test_traced_losses_and_gradients_are_the_plain_ones(names):
    """Everything that torch.compile does but the code that it generates, which takes minutes."""
    assert compiled("aot_eager", names) == list(names)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_compiled_losses_and_gradients_are_the_plain_ones(name):
    assert compiled("inductor", [name]) == [name]
