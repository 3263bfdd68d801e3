"""While one process writes in a run, whatever else would write there is one line."""

import os
import re
import socket
import subprocess
import sys

import numpy as np
import pytest
from small_runs import MODEL, bound, run_words

import srvae_plugin as sv
from srvae_plugin.cli.data import data_main
from srvae_plugin.cli.evaluate import evaluate_main
from srvae_plugin.cli.export import export_main
from srvae_plugin.cli.report import report_main
from srvae_plugin.cli.run import run_main
from srvae_plugin.cli.study import study_main
from srvae_plugin.data.storage.lock import only_writer
from srvae_plugin.runs.directory import ScoresDirectory, StepDirectory

HOLD = """
import sys
from pathlib import Path
from srvae_plugin.data.storage.lock import only_writer, only_writer_beside
lock = only_writer_beside if sys.argv[2:] else only_writer
with lock(Path(sys.argv[1])):
    print("in", flush=True)
    input()
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("locks")
    run_main([str(word) for word in run_words(folder, folder / "run")])
    return folder


@pytest.fixture(scope="module")
def run(place):
    return place / "run"


@pytest.fixture
def holder():
    """Another process that has the lock of a folder, or of what lies beside it."""
    processes = []

    def hold(folder, *beside):
        pipe = subprocess.PIPE
        command = [sys.executable, "-c", HOLD, str(folder), *beside]
        processes.append(subprocess.Popen(command, stdin=pipe, stdout=pipe))
        assert processes[-1].stdout.readline() == b"in\n"
        return processes[-1].pid

    yield hold
    for process in processes:
        process.communicate(b"\n")


def said_to_second(main, words, capsys):
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    assert stop.value.code == 2
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_every_command_names_the_process_that_writes(place, run, holder, capsys):
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}
    pid = holder(run)
    for main, words in (
        (run_main, [*run_words(place, run), "--resume"]),
        (run_main, [*run_words(place, run), "--overwrite"]),
        (evaluate_main, [run, "--bind", "run.metrics = ['irs']"]),
        (evaluate_main, [run, "--overwrite"]),
        (evaluate_main, ["--udr", run, run, "--overwrite"]),
        (export_main, [run, "--to", "torchscript"]),
    ):
        if words[0] == "--udr":  # two runs that differ in their seed
            other = [*run_words(place, place / "other", "model.random_seed = 1")]
            if not (place / "other").exists():
                run_main([str(word) for word in other])
            words[2] = place / "other"
        line = said_to_second(main, words, capsys)
        expected = rf"{re.escape(str(run))} is being written by .*, process {pid} on "
        assert re.search(expected + socket.gethostname(), line), line
    after = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}
    assert {**after, run / ".lock": 0} == {**before, run / ".lock": 0}


def test_every_function_names_the_process_that_writes(place, run, holder):
    holder(run)
    mean = run / "postprocessed/mean"
    images = np.zeros((4, 7, 5, 3), np.float32)
    for call in (
        lambda: sv.train_with_gin(run / "model", resume=True),
        lambda: sv.postprocess_with_gin(run / "model", run / "postprocessed/new"),
        lambda: sv.evaluate_with_gin(mean, run / "metrics/mean/irs"),
        lambda: sv.train(sv.VAE(beta=1.0, num_latent=2), images, run, steps=1, overwrite=True),
    ):
        with pytest.raises(ValueError, match=rf"{run} is being written by .*, process "):
            call()


def test_what_lies_in_no_run_has_a_lock_beside_it(place, run, holder, tmp_path, capsys):
    images = run_words(place, tmp_path)[-2 * len(MODEL) - 4 : -2 * len(MODEL)]
    for name, main, words in (
        ("out", export_main, [run, "--to", "torchscript", "--output", tmp_path / "out"]),
        ("page.html", report_main, [run, "--output", tmp_path / "page.html"]),
        ("a.png", data_main, ["sheet", "npz", *images[2:], "--output", tmp_path / "a.png"]),
    ):
        pid = holder(tmp_path / name, "beside")
        assert f"{tmp_path / name} is being written by -c, process {pid} on" in said_to_second(
            main, words, capsys
        )
    holder(tmp_path / "model", "beside")
    with pytest.raises(ValueError, match="model is being written by"):
        sv.train_with_gin(tmp_path / "model")
    assert {path.name[0] for path in tmp_path.iterdir()} == {"."}


def test_a_study_and_its_runs(place, holder, tmp_path, capsys):
    text = f"study.models = {{'A': {[str(w) for w in [run_words(place, '')[1], *MODEL]]}}}\n"
    (tmp_path / "my.gin").write_text(text)
    out = tmp_path / "out"
    words = ["--gin", tmp_path / "my.gin", "--output", out, "--overwrite"]
    pid = holder(out)
    assert f"process {pid}" in said_to_second(study_main, words, capsys)


def test_another_study_deletes_no_run_that_is_at_work(place, holder, tmp_path, capsys):
    bindings = [str(run_words(place, "")[1]), *MODEL, *run_words(place, "")[5:8:2]]
    (tmp_path / "my.gin").write_text(f"study.models = {{'A': {bindings}}}\n")
    out = tmp_path / "out"
    kept = out / "runs/A/seed-0/config.gin"
    kept.parent.mkdir(parents=True)
    kept.write_text("# a run's\n")
    (out / "study.json").write_text('{"format": 1, "runs": []}')
    pid = holder(kept.parent)
    words = ["--gin", tmp_path / "my.gin", "--output", out, "--overwrite"]
    line = said_to_second(study_main, words, capsys)
    assert f"{kept.parent} is being written by -c, process {pid}" in line
    assert kept.read_text() == "# a run's\n"
    assert (out / "study.json").is_file()


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_there_is_looked_at_with_the_lock_held(run, monkeypatch, overwrite, capsys):
    """Or else two processes would both find nothing, and the second would replace the first's."""
    looked = []

    def noting(function):
        def noted(self, *arguments):
            looked.append((run / ".lock").is_file())
            return function(self, *arguments)

        return noted

    monkeypatch.setattr(ScoresDirectory, "require_new", noting(ScoresDirectory.require_new))
    monkeypatch.setattr(StepDirectory, "require_new", noting(StepDirectory.require_new))
    words = [
        run,
        *bound("run.metrics = ['mig']", "mig.num_train = 60"),
        "--overwrite" if overwrite else "--resume",
    ]
    evaluate_main([str(word) for word in words])
    assert looked
    assert all(looked)
    assert not (run / ".lock").exists()


def test_the_lock_is_passed_on_within_a_thread_alone(tmp_path):
    with only_writer(tmp_path), only_writer(tmp_path):
        assert f"process {os.getpid()}" in (tmp_path / ".lock").read_text()
    assert not (tmp_path / ".lock").exists()
