"""Commands that are killed at random moments lose nothing; the same command again ends as if not.

Each is killed by SIGKILL, in a process of its own. A few moments are tried here; `-m slow` tries
twenty of each command, and says where they fell.
"""

import json
import shutil
import time
from typing import NamedTuple

import numpy as np
import pytest
from forked import command
from safetensors.numpy import load_file
from small_runs import bound, run_words

from srvae_plugin.cli.data import data_main
from srvae_plugin.cli.evaluate import evaluate_main
from srvae_plugin.cli.export import export_main
from srvae_plugin.cli.report import report_main
from srvae_plugin.cli.run import run_main
from srvae_plugin.cli.study import study_main
from srvae_plugin.data.storage import manifest
from srvae_plugin.runs.directory import RunDirectory
from srvae_plugin.training import checkpoint

LONGER = ("model.training_steps = 60", "model.checkpoint_every = 7", "model.log_every = 4")
NOT_REPEATED = ("uuid", "elapsed_time", "training_seconds", "seconds")
"""Endings of what no two runs have in common."""
MANY = 20


def repeated(value):
    """What a JSON file holds that two runs have in common."""
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if not k.endswith(NOT_REPEATED)}
        return {k: repeated(v) for k, v in kept.items()}
    return value


def content(folder):
    """All files below a folder, byte by byte where nothing in them is of the moment."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = str(path.relative_to(folder))
        if path.name in ("environment.json", "log.txt", "study.json"):
            found[name] = "there"
        elif path.name == manifest.MANIFEST:
            lines = path.read_text().splitlines()[1:]
            for line in lines:
                assert manifest.check(path.parent / line.partition("  ")[2])
            found[name] = [line.partition("  ")[2] for line in lines]
        elif path.suffix == ".json":
            value = json.loads(path.read_text())
            found[name] = repeated({k: v for k, v in value.items() if k not in ("sha256", "run")})
        elif path.suffix == ".pt" and path.parent.name == "model":
            found[name] = checkpoint.steps_done(path)
        elif path.name == "identity.txt":  # of which representation, in its first line
            found[name] = path.read_text().partition("\n")[2]
        else:
            found[name] = path.read_bytes()
    return found


class Work(NamedTuple):
    """A command, what it works on, and what must be so after a kill."""

    main: object
    first: list
    again: list
    output: object
    """What it writes."""
    prepare: object = lambda: None
    require: object = lambda: None
    """Called after a kill: nothing that was there may be lost."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run, with scores of settings that are replaced."""
    folder = tmp_path_factory.mktemp("trained")
    run_main([str(word) for word in run_words(folder, folder / "run")])
    return folder / "run"


def work_of(name, run, folder):
    """What is killed: commands and files by name."""
    output = folder / "out"
    if name == "run":
        words = run_words(run.parent, output, *LONGER)
        return Work(run_main, words, [*words, "--resume"], output)
    if name == "study":
        (folder / "my.gin").write_text(study_text(run))
        words = ["--gin", folder / "my.gin", "--output", output, "--threads", 1]
        return Work(study_main, words, [*words, "--resume"], output)
    if name == "evaluate":
        before = RunDirectory(run).scores("mean").read_all()

        def require():
            scores = RunDirectory(output).scores("mean")
            now = {name: values["num_train"] for name, values in scores.read_all().items()}
            old = {name: values["num_train"] for name, values in before.items()}
            # All old or all new, but for a kill while they change places.
            assert now.keys() == old.keys()
            same = {name for name in old if now[name] == old[name]}
            assert len(same) in (0, len(old)) or (scores.path / ".replacing").is_dir()

        fewer = bound("run.metrics = ['mig', 'sap_score']", "mig.num_train = 40",
                      "sap_score.num_train = 40", "sap_score.num_test = 20")  # fmt: skip
        words = [output, "--overwrite", *fewer]
        return Work(evaluate_main, words, words, output, lambda: shutil.copytree(run, output),
                    require)  # fmt: skip
    if name == "export":
        words = [run, "--to", "npz", "--output", output, "--overwrite", *bound("dci.num_train = 40",
                 "dci.num_test = 20")]  # fmt: skip
    elif name == "report":
        output = folder / "page.html"
        words = [run, "--output", output, "--overwrite", "--resamples", 50]
    else:
        output = folder / "sheet.png"
        words = ["sheet", "npz", "--path", run.parent / "colour.npz", "--output", output,
                 "--overwrite"]  # fmt: skip
    main = {"export": export_main, "report": report_main, "data": data_main}[name]
    return Work(main, words, words, output)


def study_text(run):
    words = run_words(run.parent, "", *LONGER, "run.pictures = False")
    chosen = [str(words[1]), *words[5::2]]
    return f"study.models = {{'A': {chosen}}}\nstudy.seeds = 2\n"


KINDS = ["run", "evaluate", "export", "report", "data"]


@pytest.fixture(scope="module")
def undisturbed(run, tmp_path_factory):
    """What a command leaves that nothing stops, and the seconds it takes."""
    kept = {}

    def of(name):
        if name not in kept:
            folder = tmp_path_factory.mktemp(name)
            work = work_of(name, run, folder)
            work.prepare()
            begun = time.monotonic()
            process = command(work.main, *work.first)
            assert process.wait() == 0, process.said
            kept[name] = content(folder), time.monotonic() - begun
        return kept[name]

    return of


def kill_and_go_on(name, run, folder, undisturbed, moment):
    """Kill the command at a moment, from 0 to 1 of its time; return what became of it."""
    expected, seconds = undisturbed(name)
    work = work_of(name, run, folder)
    work.prepare()
    process = command(work.main, *work.first)
    time.sleep(moment * seconds)
    status = process.kill()
    assert status in (0, -9), process.said
    if status == 0:
        shutil.rmtree(folder)
        folder.mkdir()
        return "had ended"
    work.require()
    left = sorted(path.name for path in folder.rglob("*") if path.is_file())
    again = command(work.main, *(work.again if work.output.exists() else work.first))
    assert again.wait() == 0, again.said
    found = content(folder)
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name]] == []
    return f"{len(left)} files were there"


@pytest.mark.parametrize("name", KINDS)
def test_a_killed_command_goes_on_to_the_same_files(run, tmp_path, undisturbed, name):
    random = np.random.RandomState(KINDS.index(name))
    kills = 2 if name in ("run", "evaluate") else 1
    for number in range(kills):
        folder = tmp_path / str(number)
        folder.mkdir()
        kill_and_go_on(name, run, folder, undisturbed, random.uniform(0.1, 0.9))


@pytest.mark.slow
@pytest.mark.parametrize("name", [*KINDS, "study"])
def test_twenty_kills(run, tmp_path, undisturbed, name, capsys):
    random = np.random.RandomState(100)
    killed, ended = [], 0
    while len(killed) < MANY:
        folder = tmp_path / str(len(killed) + ended)
        folder.mkdir()
        moment = random.uniform(0.0, 1.0)
        said = kill_and_go_on(name, run, folder, undisturbed, moment)
        shutil.rmtree(folder)
        if said == "had ended":
            ended += 1
        else:
            killed.append(f"{moment:.2f} ({said})")
    with capsys.disabled():
        print(f"\n{name}: {MANY} kills, 0 lost; at {', '.join(killed)}; {ended} had ended before")


def test_a_run_is_stopped_by_a_signal_and_goes_on(run, tmp_path):
    """SIGINT: the checkpoint is written first, and the line says how to go on."""
    words = run_words(run.parent, tmp_path / "cut", "model.training_steps = 100000")
    process = command(run_main, *words)
    process.wait_for((tmp_path / "cut/model/checkpoint.pt").exists)
    process.send(2)
    assert process.wait() == 130
    assert "checkpoint written" in process.said
    assert "--resume" in process.said.splitlines()[-1]
    assert not (tmp_path / "cut/model/model.safetensors").exists()
    done = checkpoint.steps_done(tmp_path / "cut/model/checkpoint.pt")
    # As many steps as it has already, and two more.
    more = run_words(run.parent, tmp_path / "cut", f"model.training_steps = {done + 2}")
    whole = run_words(run.parent, tmp_path / "whole", f"model.training_steps = {done + 2}")
    for words in ([*more, "--resume"], whole):
        process = command(run_main, *words)
        assert process.wait() == 0, process.said
    cut, whole = (load_file(tmp_path / n / "model/model.safetensors") for n in ("cut", "whole"))
    assert all(np.array_equal(cut[name], whole[name]) for name in whole)
