"""benchmarks/training.py: both SR-VAEs compute the same, and what is timed is what it says."""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

import pytest
import torch

from srvae_plugin.training import loop

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
if not BENCHMARKS.is_dir():
    pytest.skip("the source distribution has no benchmarks", allow_module_level=True)

with pytest.MonkeyPatch.context() as patched:
    patched.syspath_prepend(BENCHMARKS)
    import training
    import training_check
    import training_contenders
    import training_plain

SMALL = training_plain.Settings(latents=3, batch=8, channels=4)


class Enough(Exception):
    """Ends a contender, which would step for ever."""


@pytest.fixture
def command(monkeypatch):
    """Run the benchmark's command on networks that are small, with these arguments."""

    def run(*arguments):
        small = ["--latents", "2", "--batch", "4", "--channels", "4", "--threads", "1"]
        monkeypatch.setattr(sys, "argv", ["training.py", *small, *arguments])
        training.main()

    return run


# --- both compute the same ---


def test_gradients_are_those_of_the_plain_transcription():
    exact = [training_check.gradient_errors(SMALL, torch.float64, seed) for seed in range(5)]
    assert max(error["ours"] for error in exact) < 1e-12
    assert max(error["plain"] for error in exact) == 0
    single = [training_check.gradient_errors(SMALL, torch.float32, seed) for seed in range(5)]
    assert 0 < statistics.median(error["ours"] for error in single) < 1e-5
    assert max(error["ours"] for error in single) < 1e-2


@pytest.mark.parametrize(
    "options", [{"noise": "shared"}, {"reading": "paper-logit"}, {"reading": "sum"}]
)
def test_the_check_tells_another_model(options):
    assert training_check.gradient_errors(SMALL, torch.float64, **options)["ours"] > 1e-3


@pytest.mark.parametrize("name", ["srvae", "vae", "factor_vae"])
def test_losses_agree_over_training(name):
    exact = training_check.curve_differences(SMALL, torch.float64, 20, name)
    assert len(exact) == 20
    assert max(exact) < 1e-13
    assert max(training_check.curve_differences(SMALL, torch.float32, 20, name)) < 1e-5


def test_the_curves_tell_another_update(monkeypatch):
    monkeypatch.setattr(training_check, "LEARNING_RATE", 1.1e-4)
    differences = training_check.curve_differences(SMALL, torch.float64, 20)
    assert differences[0] < 1e-13 < 1e-7 < differences[-1]


def test_check_command_refuses_another_model(monkeypatch, command, tmp_path, capsys):
    command("--check", "--check-steps", "2", "--json", str(tmp_path / "check.json"))
    found = json.loads((tmp_path / "check.json").read_text())
    assert [len(found[dtype]["losses"]) for dtype in ("torch.float32", "torch.float64")] == [2, 2]
    assert "losses of 2 updates differ by" in capsys.readouterr().out
    monkeypatch.setitem(training_check.LIMITS, torch.float32, 0.0)
    with pytest.raises(SystemExit, match="do not compute the same"):
        command("--check", "--check-steps", "2")


# --- what is timed ---


@pytest.mark.parametrize(("name", "updates"), [("srvae", 1), ("vae", 1), ("vae_in_a_row", 3)])
def test_a_step_of_ours_is_an_update_of_the_training_loop(name, updates, monkeypatch):
    made, counts = [], []
    update = loop.update_parameters
    monkeypatch.setattr(loop, "update_parameters", lambda *given: made.append(update(*given)))

    def turn():
        counts.append(len(made))
        if len(counts) == 4:
            raise Enough

    with pytest.raises(Enough):
        training_contenders.CONTENDERS[name]()(SMALL, turn)
    assert counts == [0, updates, 2 * updates, 3 * updates]


def test_observations_are_rectangles_in_the_layout_of_a_data_set():
    x = training_plain.observations(50)
    assert x.shape == (50, 64, 64, 1)
    assert x.is_contiguous()
    rows, columns = x[..., 0].amax(2), x[..., 0].amax(1)
    assert torch.equal(x[..., 0], rows[:, :, None] * columns[:, None, :])
    assert rows.sum(1).min() >= 8
    assert columns.sum(1).max() < 24
    assert not torch.equal(x, training_plain.observations(50, seed=1))


def test_flops_are_those_of_table_1():
    # Of one image at width 32, by hand: output channels * input channels * 4 * 4 * positions.
    first = 32 * 16 * 32 * 32
    convolutions = first + 32 * 32 * 16 * 16**2 + 64 * 32 * 16 * 8**2 + 64 * 64 * 16 * 4**2
    convolutions += 256 * 64 * 16
    forward = 2 * convolutions + 256 * 20 + 10 * 256  # the decoder mirrors the encoder
    found = training_plain.step_flops(training_plain.Settings(10, 64, 32))
    assert found["vae"] == 2 * 64 * (3 * forward - first)
    assert found["srvae"] == 2 * 64 * (3 * 10 * forward - first)


def test_rows_worked_by_hand():
    seconds = {"srvae": [5.0, 1.0, 3.0], "vae": [0.5, 0.25, 9.0], "matmul": [2.0, 2.0, 2.0]}
    report = training.report_of(SMALL, seconds, {"vae": {"peak_bytes": 7}})
    rows, flops = report["rows"], training_plain.step_flops(SMALL)
    assert rows["srvae"]["median"] == 3
    assert rows["srvae"]["ratios"] == {"srvae": 1, "vae": 6}
    assert rows["d x vae"]["median"] == 1.5
    assert rows["d x vae"]["ratios"] == {"srvae": 0.5, "vae": 3}
    assert report["flops_per_second"] == 2048**3
    assert rows["vae floor"]["median"] == flops["vae"] / 2048**3
    assert rows["vae"]["peak_bytes"] == 7


# --- the command ---


@pytest.mark.parametrize(
    "names",
    [
        ["srvae_plain", "pythae", "matmul"],
        # Each imports all of the package, some seconds.
        pytest.param(["srvae", "vae", "vae_in_a_row", "pythae", "matmul"], marks=pytest.mark.slow),
    ],
)
def test_workers_take_steps_and_report(names, command, tmp_path, capsys):
    path = tmp_path / "training.json"
    command("--steps", "3", "--contenders", *names, "--json", str(path))
    printed = capsys.readouterr().out
    assert "pythae is left out: give --pythae" in printed
    report = json.loads(path.read_text())
    assert report["torch"] == torch.__version__
    assert report["settings"] == {"latents": 2, "batch": 4, "channels": 4}
    names.remove("pythae")
    computed = ["d x vae"] * ("vae" in names) + ["srvae floor", "vae floor"]
    assert list(report["rows"]) == [*names, *computed]
    for name in names:
        row = report["rows"][name]
        assert len(row["seconds"]) == 3
        assert min(row["seconds"]) > 0
        assert row["peak_bytes"] >= 0
        assert row["threads"] == 1
        assert name == "matmul" or f"{row['median'] * 1e3:.1f}" in printed


def test_a_worker_that_dies_is_named(command):
    with pytest.raises(SystemExit, match=r"(?s)pythae failed:.*No module named 'pythae'"):
        command("--steps", "1", "--contenders", "pythae", "--pythae", sys.executable)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pythae", "/no/python"], "--pythae /no/python: expected the path of a Python"),
        (["--steps", "0"], "0: expected at least 1"),
        (["--contenders", "vea"], "invalid choice: 'vea'"),
        (["--grid", "--check"], "not allowed with argument"),
    ],
)
def test_bad_arguments_are_refused(arguments, message, command, capsys):
    with pytest.raises(SystemExit):
        command(*arguments)
    assert message in capsys.readouterr().err


def test_nothing_to_measure_is_refused(command):
    with pytest.raises(SystemExit, match="no contender is left"):
        command("--contenders", "pythae", "pythae_loader")
