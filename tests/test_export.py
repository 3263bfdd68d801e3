"""Exported graphs, loaded by the tools they are for; and what the command refuses."""

import functools
import json
import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import finished_runs
import numpy as np
import pytest
import torch

from srvae_plugin import representation_function
from srvae_plugin.cli.export import export, export_main
from srvae_plugin.config import optional, plugins
from srvae_plugin.interchange.exporters import MeanCodes, Trained, load_trained
from srvae_plugin.models.vae import BaseVAE

MODELS = ("vae", "sr_vae", "seq_vae", "res_vae")
OURS = {"npz", "onnx", "parquet", "sklearn", "torch_export", "torchscript"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of each model on small colour images, and SR-VAE with convolutions on dSprites."""
    folder = tmp_path_factory.mktemp("runs")
    made = {model: finished_runs.colour_run(folder, model) for model in MODELS}
    (folder / "two").mkdir()
    both = ['run.representations = ["mean", "sampled"]']
    made["both"] = finished_runs.colour_run(folder / "two", "vae", both)
    made["dsprites"] = finished_runs.finished_run(folder / "dsprites", ["run.metrics = []"])
    return made


@pytest.fixture(scope="module")
def exported(runs):
    """exported(model, format): made once."""
    return functools.cache(lambda model, form: export(runs[model], form))


def torchscript(path):
    # The interpreter's own deprecation; the file format is what is tested.
    with pytest.warns((DeprecationWarning, FutureWarning), match=r"torch\.jit\.load"):
        module = torch.jit.load(path)
    return lambda images: module(torch.from_numpy(images)).numpy()


def torch_export(path):
    module = torch.export.load(path).module()
    return lambda images: module(torch.from_numpy(images)).numpy()


def onnx(path):
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (images,), (codes,) = session.get_inputs(), session.get_outputs()
    assert (images.name, codes.name) == ("images", "codes")
    assert images.shape[0] == codes.shape[0] == "batch"
    return lambda x: session.run(["codes"], {"images": x})[0]


CONSUMERS = {"torchscript": torchscript, "torch_export": torch_export, "onnx": onnx}


@pytest.mark.parametrize("model", [*MODELS, "dsprites"])
@pytest.mark.parametrize("form", CONSUMERS)
def test_a_graph_gives_the_model_s_codes_to_its_consumer(runs, exported, form, model):
    done = exported(model, form)
    assert done.file.is_relative_to(runs[model] / "exports" / "mean" / form)
    trained = load_trained(runs[model])
    shape = trained.observation_shape
    images = np.random.RandomState(1).uniform(size=(256, *shape)).astype(np.float32)
    expected = representation_function(runs[model])(images)
    assert expected.std(0).min() > 0.01  # else any constant would pass
    function = CONSUMERS[form](done.file)
    for size in (256, 1, 5):  # two is what it was traced with
        difference = np.abs(function(images[:size]) - expected[:size]).max()
        assert difference < 1e-5
    assert done.facts["max_difference"] < 1e-5
    about = json.loads((runs[model] / "exports/mean" / form / "export.json").read_text())
    assert about["max_difference"] == done.facts["max_difference"]
    assert about["observation_shape"] == list(shape)


def test_the_graph_holds_every_pass_of_the_sequential_model(runs, exported):
    """Codes by hand: d encodes, d - 1 decodes, each on what is left of the image."""
    model = load_trained(runs["sr_vae"]).function.model
    images = torch.rand(4, *finished_runs.COLOUR_SHAPE)
    left, codes = images.permute(0, 3, 1, 2), torch.zeros(4, model.num_latent)
    for step in range(model.num_latent):
        codes[:, step] = model.encoder(left)[0][:, step].detach()
        left = left - torch.sigmoid(model.decoder(codes)).detach()
    for form, read in CONSUMERS.items():
        found = read(exported("sr_vae", form).file)(images.numpy())
        np.testing.assert_allclose(found, codes, atol=1e-5)


def test_torchscript_serves_the_challenge_s_representor(runs, tmp_path):
    """The kit calls `representation/pytorch_model.pt` with axes 0, 3, 1, 2 of its images."""
    done = export(runs["vae"], "torchscript", tmp_path / "experiment")
    assert done.file == tmp_path / "experiment" / "representation" / "pytorch_model.pt"
    function = torchscript(done.file)
    images = np.random.RandomState(2).uniform(size=(3, 7, 5, 3)).astype(np.float32)
    expected = representation_function(runs["vae"])(images)
    np.testing.assert_allclose(function(np.moveaxis(images, 3, 1)), expected, atol=1e-5)
    with pytest.raises(torch.jit.Error, match="expected"):
        function(np.zeros((3, 5, 7, 3), np.float32))


def command(*arguments):
    try:
        export_main([*map(str, arguments)])
    except SystemExit as stop:
        return stop.code
    return 0


def test_the_command_says_what_it_made_and_keeps_what_is_there(runs, tmp_path, capsys):
    arguments = [runs["vae"], "--to", "torch_export", "--output", tmp_path / "out"]
    assert command(*arguments) == 0
    out = capsys.readouterr().out
    assert str(tmp_path / "out" / "encoder.pt2") in out
    assert "max_difference" in out
    (tmp_path / "out" / "mine.txt").write_text("x")
    assert command(*arguments) == 2
    assert "--overwrite replaces it" in capsys.readouterr().err
    assert (tmp_path / "out" / "mine.txt").is_file()
    assert command(*arguments, "--overwrite") == 0
    assert not (tmp_path / "out" / "mine.txt").exists()


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["{run}", "--to", "onxx"], "unknown exporter 'onxx'; did you mean 'onnx'?"),
        (["{tmp}", "--to", "onnx"], "is not a run directory"),
        (["{run}", "--to", "onnx", "--representation", "median"], "it has: mean, sampled"),
        (["{run}", "--to", "onnx", "--representation", "sampled"], "holds the mean only"),
        (["{run}", "--to", "npz", "--output", "{tmp}", "--overwrite"], "holds no export"),
        (["{run}", "--to", "npz", "--bind", "export_npz.sed = 1"], "sed"),
    ],
)
def test_what_cannot_be_exported_is_one_line_and_leaves_nothing(
    runs, tmp_path, capsys, arguments, part
):
    run = runs["both"]
    (tmp_path / "mine.txt").write_text("x")
    status = command(*[a.format(run=run, tmp=tmp_path) for a in arguments])
    assert status == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert part in line
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    assert list((run / "exports").rglob("*.*")) == []


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    runs, tmp_path, capsys, monkeypatch
):
    for package in ("onnxruntime", "pyarrow"):
        monkeypatch.setitem(sys.modules, package, None)
    for form, what in (("onnx", "onnxruntime"), ("parquet", "pyarrow")):
        assert command(runs["vae"], "--to", form, "--output", tmp_path / form) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert f"pip install {'onnx onnxscript' if form == 'onnx' else 'pandas'} {what}" in line
        assert f"[{form}]" in line
    assert list(tmp_path.iterdir()) == []
    (module,) = optional.require("onnx", "json")
    assert module is json


class _BatchFixed(BaseVAE):
    """Its encode() reads the batch size as a Python number, which a trace makes a constant."""

    def encode(self, x):
        posterior = super().encode(x)
        return posterior._replace(mean=posterior.mean + x.new_zeros(len(x), 1))

    def losses(self, x, step):
        raise NotImplementedError


class _Random(BaseVAE):
    def encode(self, x):
        posterior = super().encode(x)
        return posterior._replace(mean=posterior.mean + torch.rand_like(posterior.mean))

    def losses(self, x, step):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("form", "model", "part"),
    [
        *((form, _BatchFixed, r"x\.shape\[0\]") for form in CONSUMERS),
        ("torchscript", _Random, "deterministic"),
        ("torch_export", _Random, "deterministic"),
    ],
)
def test_a_model_that_no_graph_can_hold_is_refused(runs, tmp_path, form, model, part):
    trained = load_trained(runs["vae"])
    trained.function.model.__class__ = model
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(ValueError, match=part):
        plugins.find("exporters", form)(trained, folder)


def test_a_difference_above_the_tolerance_or_nan_is_refused(runs):
    trained = load_trained(runs["vae"])
    scale = max(1.0, float(np.abs(trained.function(trained.check_images)).max()))
    assert trained.largest_difference(lambda x: trained.function(x) + 5e-6 * scale) > 4e-6
    for wrong in (3e-5 * scale, np.nan):
        with pytest.raises(ValueError, match="codes differ by"):
            trained.largest_difference(lambda x, wrong=wrong: trained.function(x) + wrong)
    with pytest.raises(ValueError, match=r"gives codes \(256, 1\)"):
        trained.largest_difference(lambda x: trained.function(x)[:, :1])


def test_without_its_data_set_a_run_is_compared_on_noise(runs, tmp_path, caplog):
    data = runs["vae"].parent / "colour.npz"
    hidden = data.rename(data.with_suffix(".hidden"))
    try:
        done = export(runs["vae"], "torch_export", tmp_path / "out")
    finally:
        hidden.rename(data)
    assert "random pixels" in caplog.text
    assert done.facts["max_difference"] < 1e-5


def test_the_graph_is_a_copy(runs):
    trained = load_trained(runs["vae"])
    graph = trained.graph()
    assert isinstance(graph, MeanCodes)
    assert not any(p.requires_grad for p in graph.parameters())
    assert all(p.requires_grad for p in trained.function.model.parameters())


def test_formats_are_plug_ins(runs, tmp_path, monkeypatch, capsys):
    """Ours are found by entry point; so is a third party's, which is listed too."""
    assert {point.name for point in entry_points(group="srvae_plugin.exporters")} >= OURS
    assert set(plugins.names("exporters")) >= OURS

    def csv(trained: Trained, folder: Path):
        np.savetxt(folder / "a.csv", trained.function(trained.check_images[:2]))
        return type("E", (), {"file": folder / "a.csv", "facts": {"rows": 2}})

    point = EntryPoint("csv", "their_package:csv", "srvae_plugin.exporters")
    monkeypatch.setattr("srvae_plugin.cli.export.entry_points", lambda group: [point])
    monkeypatch.setitem(plugins.load().found["exporters"], "csv", csv)
    assert command("--help") == 0
    assert "csv" in capsys.readouterr().out
    assert command(runs["vae"], "--to", "csv", "--output", tmp_path / "o") == 0
    assert np.loadtxt(tmp_path / "o" / "a.csv").shape == (2, 2)
    assert "rows: 2" in capsys.readouterr().out


def test_listing_formats_loads_no_torch():
    code = (
        "import sys, srvae_plugin.cli.export as e\n"
        "try: e.export_main(['--help'])\n"
        "finally: print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "False", done.stderr
