"""Sizes that a stranger's run declares are compared with its weights before memory is taken."""

import re
import shutil

import pytest
import torch
from finished_runs import colour_images, finished_run
from safetensors.torch import load_file, safe_open, save_file
from small_runs import MODEL, error_line

import srvae_plugin as sv
from srvae_plugin import load_model
from srvae_plugin.cli.evaluate import evaluate_main
from srvae_plugin.cli.export import export_main
from srvae_plugin.cli.report import report_main
from srvae_plugin.data.storage.manifest import MANIFEST
from srvae_plugin.runs import weights
from srvae_plugin.training.weights import save_weights

DEEP = "".join(f"a{n + 1} = [{', '.join([f'%a{n}'] * 10)}]\n" for n in range(12))
"""Ten to the power of twelve zeros."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sizes")
    return finished_run(folder / "run", [*colour_images(folder), *MODEL, "run.metrics = []"])


@pytest.fixture
def copied(whole, tmp_path):
    """A copy without manifests: whoever changes files leaves them out."""
    shutil.copytree(whole, tmp_path / "run")
    for path in (tmp_path / "run").rglob(MANIFEST):
        path.unlink()
    return tmp_path / "run"


def require_refused(run, reason, capsys):
    """Both commands that load the model and `load_model` refuse in one line; a report is made."""
    score = [str(run), "--bind", "run.metrics = ['mig']"]
    export = [str(run), "--to", "npz", "--output", str(run.parent / "codes")]
    for main, words in ((evaluate_main, score), (export_main, export)):
        said = error_line(main, words, capsys)
        assert re.search(reason, said), said
        assert "memory" not in said
    with pytest.raises(ValueError, match=reason) as caught:
        load_model(run)
    assert "\n" not in str(caught.value)
    report_main([str(run), "--output", str(run.parent / "page.html")])


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("encoder.num_latent", 10**9, r"do not fit: .*\[1000000000, 16\]"),
        ("encoder.num_latent", 10**30, "do not fit: .*verflow"),
        ("mlp_decoder.widths", (10**9,), r"do not fit: .*\[1000000000, 2\]"),
        ("mlp_encoder.widths", (10**9, 10**9, 10**9), "do not fit: "),
        ("mlp_encoder.widths", (10**10, 10**10), "do not fit: .*verflow"),
        ("model.name", "@model()", r"\.gin.*refers to itself"),
        ("model.name", f"%a12\na0 = [{'0,' * 10}]\n{DEEP}", r"\.gin.*more than 100,000 values"),
    ],
    ids=str,
)
def test_a_size_that_the_weights_do_not_have(copied, capsys, name, value, reason):
    for path in copied.rglob("train.gin"):
        path.write_text(f"{path.read_text()}\n{name} = {value}\n")
    require_refused(copied, reason, capsys)


def test_a_shape_of_images_that_the_weights_do_not_have(copied, capsys):
    for path in copied.rglob("model.safetensors"):
        save_file(load_file(path), path, {"observation_shape": "[3, 1000000, 1000000]"})
    huge = r"do not fit: .*\[16, 3000000000000\]|takes images of 1000000 x 1000000 x 3"
    require_refused(copied, huge, capsys)


def test_numbers_of_steps_and_of_images_at_once_are_nobodys_concern(copied):
    for path in copied.rglob("train.gin"):
        path.write_text(f"{path.read_text()}\nmodel.batch_size = {10**12}\n")
        path.write_text(f"{path.read_text()}\nmodel.training_steps = {10**12}\n")
    assert load_model(copied).num_latent == 2


def test_what_weights_say_of_labels(tmp_path):
    """A semi-supervised model makes its head from numbers in the file itself."""

    def model():
        return sv.S2VAE(1.0, 1.0, num_latent=2, supervised_loss=embedding)

    def embedding(num_latent, sizes):
        return torch.nn.ParameterList(torch.empty(size) for size in sizes)

    made = model()
    made._factor_sizes = (3, 4)
    made.build((1, 8, 8))
    save_weights(made, tmp_path / "whole.safetensors", (1, 8, 8))
    weights.load(model(), tmp_path / "whole.safetensors")
    with safe_open(tmp_path / "whole.safetensors", "pt") as file:
        metadata = file.metadata()
    content = load_file(tmp_path / "whole.safetensors")
    content["factor_sizes"] = torch.tensor([3, 10**12])
    save_file(content, tmp_path / "huge.safetensors", metadata)
    with pytest.raises(ValueError, match=r"do not fit: .*\[1000000000000\]"):
        weights.load(model(), tmp_path / "huge.safetensors")


def test_a_model_that_needs_values_to_be_built_is_loaded_without_a_trial(tmp_path):
    class Reads(sv.VAE):
        def build(self, observation_shape):
            super().build(observation_shape)
            self.first = self.encoder.mean.bias[0].item()

    made = Reads(1.0, num_latent=2)
    made.build((1, 8, 8))
    save_weights(made, tmp_path / "model.safetensors", (1, 8, 8))
    again = Reads(1.0, num_latent=2)
    weights.load(again, tmp_path / "model.safetensors")
    assert torch.equal(again.encoder.mean.bias, made.encoder.mean.bias)
