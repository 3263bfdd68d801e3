"""Encoders that are not ours, as TorchScript and ONNX files, scored like everything else."""

import warnings

import finished_runs
import numpy as np
import pytest
import torch
from torch import nn

import srvae_plugin as sv
from srvae_plugin import load_dataset, representation_function
from srvae_plugin.cli.evaluate import evaluate_main
from srvae_plugin.cli.export import export
from srvae_plugin.interchange.foreign_models import (
    FileFunction,
    find_layout,
    open_model,
)
from srvae_plugin.runs.directory import StepDirectory
from srvae_plugin.runs.scoring.tried import tried

helper = pytest.importorskip("onnx").helper
SHAPE = finished_runs.COLOUR_SHAPE
MIG = ["run.metrics = ['mig']", "mig.num_train = 50"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def data(folder):
    finished_runs.colour_images(folder)
    return load_dataset("npz", path=str(folder / "colour.npz"))


def images(data):
    return data.observations_at(np.arange(60))


class Moments(nn.Module):
    """Somebody's encoder: mean colour of each half, and a second output beside the mean."""

    __constants__ = ("channels_last", "second")

    def __init__(self, layout: str, second: bool):
        super().__init__()
        self.channels_last = layout == "NHWC"
        self.second = second
        self.scale = nn.Parameter(torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))

    def forward(self, x):
        if self.channels_last:
            x = x.permute(0, 3, 1, 2)
        if x.shape[1] != 3:
            raise ValueError("three channels please")
        codes = torch.cat([x[:, :, :3].mean((2, 3)), x[:, :, 3:].mean((2, 3))], 1) * self.scale
        if self.second:
            return codes, torch.zeros_like(codes)
        return codes


def moments_of(x):
    """The same in numpy."""
    halves = [x[:, :3].mean((1, 2)), x[:, 3:].mean((1, 2))]
    return np.concatenate(halves, 1) * np.arange(1, 7)


def save_script(module, path, example=None):
    # TorchScript is deprecated; tracing Moments bakes its checks in, as in most such files.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = torch.jit.script(module) if example is None else torch.jit.trace(module, example)
        torch.jit.save(made, path)
    return path


def save_onnx(path, nodes, shape, output=("batch", 6), kind=1, **initializers):
    """A graph by hand: input `x` of that shape, output `y`."""
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", kind, output)],
        [helper.make_tensor(k, 7, [len(v)], v) for k, v in initializers.items()],
    )
    opset = [helper.make_opsetid("", 17)]
    path.write_bytes(
        helper.make_model(graph, opset_imports=opset, ir_version=9).SerializeToString()
    )
    return path


def mean_over(*axes):
    return [helper.make_node("ReduceMean", ["x"], ["y"], axes=list(axes), keepdims=0)]


def evaluate(*arguments, bindings=()):
    flags = [flag for b in (*MIG, *bindings) for flag in ("--bind", b)]
    try:
        evaluate_main([*map(str, arguments), *flags])
    except SystemExit as stop:
        return stop.code
    return 0


@pytest.mark.parametrize("second", [False, True])
@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("traced", [False, True])
def test_a_torchscript_file_of_either_layout(folder, data, layout, second, traced):
    example = None
    if traced:
        example = torch.zeros(2, 3, 7, 5) if layout == "NCHW" else torch.zeros(2, 7, 5, 3)
    path = save_script(Moments(layout, second), folder / "m.pt", example)
    function = find_layout(open_model(path), data)
    if not traced:  # a traced one has no check left, and may work in both
        assert function.layout == layout
    codes = FileFunction(function.file, layout)(images(data))
    np.testing.assert_allclose(codes, moments_of(images(data)), rtol=1e-5)


def test_in_double_precision(folder, data):
    path = save_script(Moments("NCHW", False).double(), folder / "double.pt")
    codes = find_layout(open_model(path), data)(images(data))
    assert codes.dtype == np.float64
    np.testing.assert_allclose(codes, moments_of(images(data)), rtol=1e-6)


@pytest.mark.parametrize("batch", ["batch", 1, 8])
@pytest.mark.parametrize(
    ("shape", "axes", "layout"), [((7, 5, 3), (1, 2), "NHWC"), ((3, 7, 5), (2, 3), "NCHW")]
)
def test_an_onnx_file_says_its_layout_and_batch(folder, data, batch, shape, axes, layout):
    path = save_onnx(folder / "a.onnx", mean_over(*axes), [batch, *shape], (batch, 3))
    function = find_layout(open_model(path), data)
    assert function.layout == layout
    np.testing.assert_allclose(function(images(data)), images(data).mean((1, 2)), rtol=1e-5)


def test_of_several_onnx_outputs_the_first_is_taken(folder, data):
    nodes = [*mean_over(1, 2), helper.make_node("Neg", ["y"], ["other"])]
    path = save_onnx(folder / "two.onnx", nodes, ["n", 7, 5, 3], ("n", 3))
    model = __import__("onnx").load(path)
    model.graph.output.append(helper.make_tensor_value_info("other", 1, ["n", 3]))
    model.graph.node.append(helper.make_node("ReduceMean", ["y"], ["loss"], keepdims=0))
    model.graph.output.append(helper.make_tensor_value_info("loss", 1, []))
    path.write_bytes(model.SerializeToString())
    codes = find_layout(open_model(path), data)(images(data))
    np.testing.assert_allclose(codes, images(data).mean((1, 2)), rtol=1e-5)


@pytest.mark.parametrize("form", ["torchscript", "onnx"])
def test_what_we_export_scores_as_the_run_does(folder, tmp_path, form, capsys):
    """The export, read back as a foreign file, has the very codes and so the very score."""
    run = folder / "sr_vae"
    if not run.exists():
        finished_runs.colour_run(folder)
    file = export(run, form, tmp_path / form).file
    binding = finished_runs.colour_images(folder)
    output = tmp_path / "scores"
    assert evaluate("--model", file, "--output", output, bindings=binding) == 0
    assert evaluate(run, "--overwrite") == 0
    theirs = StepDirectory(output / "mig", "evaluation").read()["discrete_mig"]
    ours = StepDirectory(run / "metrics" / "mean" / "mig", "evaluation").read()["discrete_mig"]
    assert theirs == pytest.approx(ours, abs=1e-6)
    assert file.stem in capsys.readouterr().out
    found = find_layout(open_model(file), load_dataset("npz", path=str(folder / "colour.npz")))
    x = np.random.RandomState(0).uniform(size=(9, *SHAPE)).astype(np.float32)
    np.testing.assert_allclose(found(x), representation_function(run)(x), atol=1e-5)


def test_its_scores_stand_in_the_results_tree_and_are_its_own(folder, data, tmp_path, capsys):
    path = save_script(Moments("NCHW", False), folder / "mine.pt")
    binding = finished_runs.colour_images(folder)
    output = ["--output", tmp_path / "scores"]
    assert evaluate("--model", path, *output, bindings=binding) == 0
    assert StepDirectory(tmp_path / "scores" / "mig", "evaluation").is_complete()
    assert evaluate("--model", path, *output, "--resume", bindings=binding) == 0
    other = save_script(Moments("NCHW", True), folder / "mine.pt")
    assert evaluate("--model", other, *output, "--resume", bindings=binding) == 2
    assert "another representation" in capsys.readouterr().err


class Flat(nn.Module):
    """Works on images of any layout, with other codes for each."""

    def forward(self, x):
        return x.flatten(1)[:, :4]


def test_a_file_that_takes_both_layouts_needs_to_be_told(folder, data, tmp_path, capsys):
    script = save_script(Flat(), folder / "flat.pt")
    binding = finished_runs.colour_images(folder)
    assert evaluate("--model", script, "--output", tmp_path / "x", bindings=binding) == 2
    assert "--layout NHWC or --layout NCHW" in capsys.readouterr().err
    first = {"NHWC": images(data).reshape(60, -1), "NCHW": np.moveaxis(images(data), 3, 1)}
    for layout, arranged in first.items():
        function = find_layout(open_model(script), data, layout)
        assert np.array_equal(function(images(data)), arranged.reshape(60, -1)[:, :4])
        output = tmp_path / layout
        command = ["--model", script, "--layout", layout, "--output", output]
        assert evaluate(*command, bindings=binding) == 0
    anything = save_onnx(folder / "any.onnx", mean_over(1, 2), ["n", "a", "b", "c"], ("n", "c"))
    with pytest.raises(ValueError, match="different codes"):
        find_layout(open_model(anything), data)
    found = find_layout(open_model(anything), data, "NHWC")(images(data))
    np.testing.assert_allclose(found, images(data).mean((1, 2)), rtol=1e-5)


def test_a_file_that_takes_both_and_gives_the_same_needs_nothing(folder, data):
    class Sum(nn.Module):
        def forward(self, x):
            return x.flatten(1).sum(1, keepdim=True)

    function = find_layout(open_model(save_script(Sum(), folder / "sum.pt")), data)
    np.testing.assert_allclose(function(images(data))[:, 0], images(data).sum((1, 2, 3)), 1e-4)


def test_a_module_keeps_its_mode_and_its_precision(data):
    module = nn.Sequential(nn.Flatten(), nn.LazyLinear(2), nn.Dropout()).double()
    module(torch.zeros(1, 3, 7, 5).double())
    module[2].eval()
    chosen = {"mig": {"num_train": 50}}
    found = sv.score(module, data, chosen)["mig"]["discrete_mig"]
    assert [each.training for each in module.modules()] == [True, True, True, False]
    assert found == sv.score(module.eval(), data, chosen)["mig"]["discrete_mig"]


def test_a_file_that_draws_is_scored_with_a_warning(folder, data, caplog):
    class Draw(nn.Module):
        def forward(self, x):
            return x.flatten(1)[:, :2] + torch.rand_like(x.flatten(1)[:, :2])

    function = find_layout(open_model(save_script(Draw(), folder / "draw.pt")), data, "NHWC")
    tried(function, data)
    assert "is not deterministic" in caplog.text


class Returns(nn.Module):
    """Something else than codes, by name."""

    def __init__(self, what: str):
        super().__init__()
        self.what = what

    def forward(self, x):
        if self.what == "map":
            return x
        if self.what == "vector":
            return x.flatten(1).sum(1)
        if self.what == "nan":
            return x.flatten(1)[:, :3] * float("nan")
        if self.what == "bool":
            return x.flatten(1) > 0
        return x.flatten(1)[:1]


@pytest.mark.parametrize(
    ("what", "part"),
    [
        ("map", "expected (3, latent)"),
        ("vector", "it returns torch.Size([3])"),
        ("nan", "returns NaN or inf"),
        ("bool", "it returns bool"),
        ("one row", "expected (3, latent)"),
    ],
)
def test_outputs_that_are_no_codes(folder, data, tmp_path, capsys, what, part):
    path = save_script(Returns(what), folder / "returns.pt")
    bindings = finished_runs.colour_images(folder)
    assert evaluate("--model", path, "--output", tmp_path / "o", bindings=bindings) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert part.replace("torch.Size([3])", "(3,)") in line
    assert str(path) in line
    assert not (tmp_path / "o").exists()


def bad_files(folder):
    """Files that are no models, or not of such images, and a part of what is said of each."""
    whole = save_script(Moments("NCHW", False), folder / "whole.pt").read_bytes()
    (folder / "cut.pt").write_bytes(whole[: len(whole) // 2])
    yield folder / "cut.pt", "damaged or not a TorchScript file"
    torch.save(nn.Linear(2, 2), folder / "pickled.pt")
    yield folder / "pickled.pt", "torch.jit.trace"
    (folder / "empty.onnx").write_bytes(b"")
    yield folder / "empty.onnx", "damaged or not an ONNX file"
    (folder / "noise.onnx").write_bytes(bytes(range(256)) * 4)
    yield folder / "noise.onnx", "damaged or not an ONNX file"
    flat = [helper.make_node("Identity", ["x"], ["y"])]
    yield save_onnx(folder / "two.onnx", flat, ["n", 6]), "four axes"
    path = save_onnx(folder / "bytes.onnx", mean_over(1, 2), ["n", 7, 5, 3], ("n", 3), kind=2)
    yield path, "damaged or not an ONNX file"  # ReduceMean takes no bytes
    path = save_onnx(folder / "large.onnx", mean_over(1, 2), ["n", 64, 64, 3], ("n", 3))
    yield path, "does not take images of [7, 5, 3]"
    yield folder / "none.pt", "not found"
    (folder / "model.h5").write_bytes(b"x")
    yield folder / "model.h5", "ends in .pt, .pth, .ts, .onnx"


def test_files_that_cannot_be_scored_are_one_line(folder, data, tmp_path, capsys):
    bindings = finished_runs.colour_images(folder)
    for path, part in bad_files(folder):
        assert evaluate("--model", path, "--output", tmp_path / "o", bindings=bindings) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert part in line, line
        assert str(path) in line
    assert not (tmp_path / "o").exists()


class Writes(nn.Module):
    """Writes a file when it is called, by either of TorchScript's ways."""

    def __init__(self, path: str, how: str):
        super().__init__()
        self.path, self.how = path, how

    def forward(self, x):
        if self.how == "map":
            torch.from_file(self.path, True, 4, dtype=torch.float32).fill_(1.0)
        else:
            torch.save(x, self.path)
        return x.flatten(1)[:, :2]


class WritesOnLoad(nn.Module):
    """Writes a file as soon as it is loaded."""

    def __init__(self, path: str):
        super().__init__()
        self.path = path

    def forward(self, x):
        return x.flatten(1)[:, :2]

    @torch.jit.export
    def __getstate__(self):
        return (self.path, self.training)

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]):
        self.path, self.training = state[0], state[1]
        torch.save(torch.zeros(2), state[0])


def test_a_file_whose_code_writes_files_is_not_run(folder, tmp_path, capsys):
    written = tmp_path / "written"
    bindings = finished_runs.colour_images(folder)
    models = [Writes(str(written), how) for how in ("map", "save")]
    for number, model in enumerate([*models, WritesOnLoad(str(written))]):
        path = save_script(model, tmp_path / f"{number}.pt")
        assert evaluate("--model", path, "--output", tmp_path / "o", bindings=bindings) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert f"{path} is not run: its code calls torch." in line
    assert not written.exists()
    assert not (tmp_path / "o").exists()


def test_the_options_go_together(folder, data, capsys):
    assert evaluate("--codes", "c.npz", "--layout", "NHWC") == 2
    assert "--layout goes with --model" in capsys.readouterr().err
    path = save_script(Moments("NCHW", False), folder / "unbound.pt")
    assert evaluate("--model", path) == 2
    assert "dataset.name" in capsys.readouterr().err


class Whole(nn.Module):
    """A fully connected VAE as it is often written: (reconstruction, mean, log-variance)."""

    def forward(self, x):
        flat = x.flatten(1)
        return torch.sigmoid(flat), flat[:, :4], flat[:, 4:8]


def test_a_reconstruction_is_not_scored_as_codes(folder, data):
    script = save_script(Whole().eval(), folder / "whole.pt", torch.zeros(1, 3, 6, 6))
    nodes = [
        helper.make_node("Flatten", ["x"], ["y"], axis=1),
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[2, 3], keepdims=0),
    ]
    sides = data.observation_shape
    channels_first = ["batch", sides[2], *sides[:2]]
    graph = helper.make_graph(
        nodes,
        "whole",
        [helper.make_tensor_value_info("x", 1, channels_first)],
        [
            helper.make_tensor_value_info("y", 1, ["batch", int(np.prod(sides))]),
            helper.make_tensor_value_info("mean", 1, ["batch", 3]),
        ],
    )
    onnx = folder / "whole.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.write_bytes(model.SerializeToString())
    for representation in (Whole(), script, onnx):
        with pytest.raises(ValueError, match="a reconstruction and no code"):
            sv.score(representation, data, ["mig"])


def test_a_code_that_depends_on_its_batch_is_said(data, caplog):
    def centred(images):
        codes = images.mean((1, 2))
        return codes - codes.mean(0)

    sv.score(centred, data, ["mig"])
    assert "another code when others are in its batch" in caplog.text
    caplog.clear()
    sv.score(lambda images: images.mean((1, 2)), data, ["mig"])
    assert "batch" not in caplog.text


def test_a_function_that_draws_is_diagnosed_with_a_warning_and_its_seed(caplog):
    def noisy(images):
        return images.mean((1, 2)) + np.random.normal(size=(len(images), 1))

    pair = np.random.RandomState(0).rand(300, 8, 8), np.arange(300) % 5
    before = np.random.get_state()[1].tolist()
    found = [sv.diagnose(noisy, pair, random_state=3, metrics=["mig"]).record for _ in range(2)]
    assert "is not deterministic" in caplog.text
    assert found[0] == found[1]
    assert np.random.get_state()[1].tolist() == before
