"""Whole runs on data sets other than dSprites: three channels, no factors, drawn anew each time."""

from pathlib import Path

import official_files as files
import pytest

from srvae_plugin import evaluate_with_gin, load_model, postprocess_with_gin
from srvae_plugin.cli.evaluate import evaluate_main
from srvae_plugin.cli.run import run_main
from srvae_plugin.runs.directory import StepDirectory

TINY = Path(__file__).with_name("tiny.gin")
WRITERS = {
    "shapes3d": (files.write_shapes3d_h5, files.SHAPES3D),
    "cars3d": (files.write_cars3d, files.CARS3D),
    "smallnorb": (files.write_smallnorb, files.SMALLNORB),
    "mpi3d_real": (lambda folder: files.write_mpi3d(folder / "mpi3d_real.npz"), files.MPI3D),
}
CHANNELS = {"smallnorb": 1, "dummy_data": 1}


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SRVAE_CACHE", str(tmp_path / "cache"))


def command(main, *arguments, bindings=()):
    """Run in this process; return the exit status."""
    flags = [flag for binding in bindings for flag in ("--bind", binding)]
    try:
        main([*map(str, arguments), *flags])
    except SystemExit as stop:
        return stop.code
    return 0


def run_of(output, name, *bindings):
    bindings = [f'dataset.name = "{name}"', *bindings]
    arguments = ["--gin", TINY, "--output", output]
    return command(run_main, *arguments, bindings=bindings)


def assert_complete(output, name, metric):
    scores = StepDirectory(output / "metrics" / "mean" / metric, "evaluation").read()
    assert all(0 <= v <= 1 for k, v in scores.items() if "accuracy" in k or k.endswith("mig"))
    first = next(load_model(output).parameters())
    assert first.shape[1] == CHANNELS.get(name, 3)
    for picture in ("traversals.gif", "reconstructions.png", "decomposition.png"):
        assert (output / "visualizations" / picture).is_file()


@pytest.mark.parametrize("name", WRITERS)
def test_a_run_on_files(name, tmp_path, own_cache):
    write, sizes = WRITERS[name]
    write(tmp_path / "data")
    path = f"dataset.path = {str(tmp_path / 'data')!r}"
    sizes = f"dataset.factor_sizes = {sizes}"
    metric = 'run.metrics = ["factor_vae_score"]'
    assert run_of(tmp_path / "run", name, path, sizes, metric) == 0
    assert_complete(tmp_path / "run", name, "factor_vae_score")
    merged = tmp_path / "run/metrics/mean/factor_vae_score/results/aggregate/evaluation.json"
    assert f'"train_config.dataset.name": "\'{name}\'"' in merged.read_text()


@pytest.mark.parametrize("name", ["color_dsprites", "noisy_dsprites", "dummy_data"])
def test_a_run_on_what_is_drawn_anew(name, tmp_path):
    assert run_of(tmp_path / "run", name, 'run.metrics = ["mig"]') == 0
    assert_complete(tmp_path / "run", name, "mig")


@pytest.fixture
def faces(tmp_path, own_cache):
    files.write_celeba(tmp_path / "img_align_celeba")
    return f"dataset.path = {str(tmp_path)!r}"


def test_images_without_factors_are_trained_on_and_drawn(faces, tmp_path, capsys):
    """Scoring them is an error in one line, before any work."""
    output = tmp_path / "run"
    refusal = "celeba has no factors of variation, which this metric needs"
    assert run_of(output, "celeba", faces) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert f"srvae-run: error: {refusal}: leave it out; without factors there is" in error
    assert not output.exists()

    assert run_of(output, "celeba", faces, "run.metrics = []") == 0
    for picture in ("traversals.png", "reconstructions.png", "decomposition.png"):
        assert (output / "visualizations" / picture).is_file()
    assert not list(output.glob("metrics/mean/*"))
    capsys.readouterr()

    assert command(evaluate_main, output, "--gin", "metrics/paper.gin") == 3
    assert refusal in capsys.readouterr().err.splitlines()[-1]
    bindings = ['dataset.name = "celeba"', faces]
    function = ["--function", "json:dumps", "--output", tmp_path / "scores"]
    assert command(evaluate_main, *function, bindings=bindings) == 2
    assert "cannot encode" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "scores").exists()

    postprocessed = tmp_path / "post"
    postprocess_with_gin(
        output / "model",
        postprocessed,
        gin_bindings=["postprocess.postprocess_fn = @mean_representation"],
    )
    with pytest.raises(ValueError, match=refusal):
        evaluate_with_gin(
            postprocessed, tmp_path / "mig", gin_bindings=["evaluation.evaluation_fn = @mig"]
        )
    assert not (tmp_path / "mig").exists()
