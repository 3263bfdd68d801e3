"""`--threads`, how threads wait, and what the commands say on a busy machine."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from srvae_plugin.cli import (
    command_line,
    evaluate as evaluate_cli,
    run as run_cli,
    study as study_cli,
)

SCRIPT = Path(sys.executable).with_name("srvae-run")
TINY = Path(__file__).with_name("tiny.gin")
BUSY = "this machine is busy (load 9.0 on 2 cores): --threads 1"
VARIABLES = (*command_line._THREAD_VARIABLES, *command_line._WAIT_VARIABLES)


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """Two cores, a load of nine, and an environment that says nothing of threads."""
    for name in VARIABLES:
        monkeypatch.setenv(name, "")  # so that it is put back whatever happens to it
        monkeypatch.delenv(name)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(os, "getloadavg", lambda: (9.0, 9.0, 9.0))
    before = torch.get_num_threads()
    yield monkeypatch
    torch.set_num_threads(before)


def test_a_run_computes_with_the_threads_given_and_says_so(tmp_path):
    """In a process of its own, which has not imported torch when the option is read."""
    environment = {k: v for k, v in os.environ.items() if k not in VARIABLES}
    bindings = ["model.training_steps = 1", "model.eval_steps = 1", "run.pictures = False"]
    bindings += ["run.metrics = []"]
    bound = [part for binding in bindings for part in ("--bind", binding)]
    done = subprocess.run(
        [SCRIPT, "--gin", TINY, *bound, "--output", tmp_path / "run", "--threads", "3"],
        env=environment | {"OMP_DISPLAY_ENV": "TRUE"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run" / "environment.json").read_text())["threads"] == 3
    if sys.platform == "linux":  # where OpenMP is GNU's, which prints what it was told
        assert "OMP_WAIT_POLICY = 'PASSIVE'" in done.stderr
        assert "OMP_NUM_THREADS = '3'" in done.stderr


@pytest.mark.parametrize("name", command_line._WAIT_VARIABLES)
def test_how_threads_wait_is_left_to_those_who_said_it(monkeypatch, name):
    command_line.wait_passively()
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
    monkeypatch.delenv("OMP_WAIT_POLICY")
    monkeypatch.setenv(name, "1000")
    before = dict(os.environ)
    command_line.wait_passively()
    assert dict(os.environ) == before


def test_threads_reach_torch_that_is_imported_already():
    command_line.use_threads(5)
    assert torch.get_num_threads() == 5
    assert {os.environ[name] for name in command_line._THREAD_VARIABLES} == {"5"}


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "two", ""])
@pytest.mark.parametrize("main", [run_cli.run_main, evaluate_cli.evaluate_main])
def test_other_numbers_of_threads_are_bad_usage(main, text, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--gin", "x.gin", f"--threads={text}"])
    assert caught.value.code == 2
    assert f"{text!r}: expected a whole number of at least 1" in capsys.readouterr().err


def advice(caplog, threads=None):
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="srvae_plugin"):
        command_line.use_threads(threads)
    return [record.getMessage() for record in caplog.records]


def test_advice_is_one_line_and_only_where_it_helps(machine, caplog):
    (line,) = advice(caplog)
    assert line.startswith(BUSY)
    machine.setattr(os, "getloadavg", lambda: (2.0, 9.0, 9.0))
    assert advice(caplog) == []
    machine.setattr(os, "getloadavg", lambda: (9.0, 9.0, 9.0))
    machine.setattr(os, "cpu_count", lambda: 1)
    assert advice(caplog) == []
    machine.setattr(os, "cpu_count", lambda: 2)
    assert advice(caplog, 2) == []
    machine.delenv("OMP_NUM_THREADS")
    assert len(advice(caplog)) == 1
    machine.setenv("OMP_NUM_THREADS", "2")
    assert advice(caplog) == []
    machine.delattr(os, "getloadavg")  # as on Windows
    machine.delenv("OMP_NUM_THREADS")
    assert advice(caplog) == []


@pytest.mark.parametrize(
    ("main", "arguments", "computes"),
    [
        (run_cli.run_main, ["--gin", "no_such_file.gin"], True),
        (evaluate_cli.evaluate_main, ["no_such_run"], True),
        (run_cli.run_main, ["--study", "unsupervised_study_v1", "--list"], False),
        (study_cli.study_main, ["--gin", "studies/ablation_quick.gin", "--list"], False),
    ],
)
def test_only_commands_that_compute_give_advice(main, arguments, computes, caplog, tmp_path):
    with caplog.at_level(logging.WARNING, logger="srvae_plugin"):
        if computes:
            with pytest.raises(SystemExit, match="2"):
                main(arguments)
        else:
            main(arguments)
    said = [record.getMessage().startswith(BUSY) for record in caplog.records]
    assert any(said) == computes
