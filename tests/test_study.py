"""Planning of studies, what is recognised as done, and studies that are killed and go on."""

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import gin
import numpy as np
import oracle
import pytest
from forked import command
from rich.console import Console
from safetensors.torch import load_file
from small_runs import bound, run_words

from srvae_plugin.cli.study import _engine, study_main
from srvae_plugin.cli.study_worker import run_job
from srvae_plugin.config import gin_files
from srvae_plugin.config.data_record import differences
from srvae_plugin.config.text import record_in
from srvae_plugin.data.storage.lock import only_writer
from srvae_plugin.runs.directory import StepDirectory
from srvae_plugin.runs.run import run as run_alone
from srvae_plugin.study import table
from srvae_plugin.study.config import _with_values, configurations, dataset_lines
from srvae_plugin.study.definition import read_study
from srvae_plugin.study.directory import (
    RunState,
    StudyJson,
    claim,
    look,
    prepare_directory,
    read_study_json,
)
from srvae_plugin.study.engine import (
    Ended,
    LocalEngine,
    cores,
    thread_variables,
)
from srvae_plugin.study.job import Job
from srvae_plugin.study.numbered import NumberedModel, find_study
from srvae_plugin.study.plan import PlannedRun, plan
from srvae_plugin.study.run import (
    StudyStoppedError,
    _note,
    run_study,
    to_do,
)

HERE = Path(__file__).parent
TINY = HERE / "tiny.gin"
SCRIPT = Path(sys.executable).with_name("srvae-study")
SHIPPED = {
    "ablation": 90,
    "ablation_quick": 9,
    "comparison_dsprites": 90,
    "comparison_dsprites_quick": 9,
    "comparison_teapots": 90,
    "comparison_teapots_quick": 9,
    "sr_beta_vae": 150,
    "sr_beta_vae_quick": 6,
    "sensitivity": 90,
    "sensitivity_quick": 9,
    "evidence": 40,
    "evidence_short": 65,
    "evidence_batch64": 10,
    "evidence_teapots": 20,
    "models_quick": 11,
    "datasets_quick": 5,
    "unsupervised_study_v1": 12600,
}
GRID = """
study.models = {"A": ["vae_dsprites.gin", "vae.beta = 3.0"], "B": ["srvae_dsprites.gin"]}
study.grid = {"A": {"vae.beta": [1.0, 2.0], "encoder.encoder_fn": ["@conv_encoder"]}}
study.datasets = {"one": [], "two": ["dataset.name = 'dsprites_noshape'"]}
study.seeds = [7, 5]
study.every_run = ["presets/quick.gin", "model.eval_steps = 3"]
"""
PAIR = f"""
study.models = {{
    "SR-VAE": ["{TINY}", "model.training_steps = 60"],
    "VAE": ["{TINY}", "model.model = @vae()", "vae.beta = 1.0", "model.training_steps = 200",
            "reconstruction_loss.loss_fn = @bernoulli_loss"],
}}
study.seeds = 2
study.every_run = ["run.pictures = False", "run.metrics = ['mig']", "model.checkpoint_every = 20"]
"""


def planned(tmp_path, text, *bindings):
    file = tmp_path / "my.gin"
    file.write_text(text)
    return plan(read_study([file], bindings), [tmp_path])


def test_a_grid_is_planned_in_order_with_all_its_bindings(tmp_path):
    runs = planned(tmp_path, GRID)
    assert [run.number for run in runs] == list(range(12))
    assert [(r.label, r.dataset, r.seed) for r in runs[:5]] == [
        ("A (vae.beta=1.0, encoder.encoder_fn=@conv_encoder)", "one", 7),
        ("A (vae.beta=1.0, encoder.encoder_fn=@conv_encoder)", "one", 5),
        ("A (vae.beta=1.0, encoder.encoder_fn=@conv_encoder)", "two", 7),
        ("A (vae.beta=1.0, encoder.encoder_fn=@conv_encoder)", "two", 5),
        ("A (vae.beta=2.0, encoder.encoder_fn=@conv_encoder)", "one", 7),
    ]
    run = runs[2]
    assert run.files == ("vae_dsprites.gin", "presets/quick.gin")
    assert run.bindings == [
        "vae.beta = 3.0",
        "dataset.name = 'dsprites_noshape'",
        "vae.beta = 1.0",
        "encoder.encoder_fn = @conv_encoder",
        "model.eval_steps = 3",
        "model.random_seed = 7",
    ]
    assert run.folder == "runs/two/A/vae.beta=1.0,encoder.encoder_fn=-conv_encoder/seed-7"
    assert runs[8].folder == "runs/one/B/seed-7"
    assert len({run.folder for run in runs}) == 12


def test_bindings_from_the_command_line(tmp_path):
    """`study.*` changes the study; anything else goes into every run, last."""
    runs = planned(tmp_path, GRID, "study.seeds = 1", "model.batch_size = 5")
    assert len(runs) == 6
    assert all(run.shared[-1] == "model.batch_size = 5" and run.seed == 0 for run in runs)


def test_gin_files_beside_the_study_are_found(tmp_path, monkeypatch):
    (tmp_path / "mine.gin").write_text("model.batch_size = 3\n")
    monkeypatch.chdir("/")
    (run,) = planned(tmp_path, 'study.models = {"A": ["mine.gin"]}')
    assert run.files == (str(tmp_path / "mine.gin"),)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "study.models or study.numbered"),
        ('study.models = {"A": "vae_dsprites.gin"}', "expected a list of gin files and bindings"),
        ('study.models = {"A": ["vae.beta 4"]}', "'vae.beta 4': expected a list"),
        ('study.models = {"A": ["nowhere.gin"]}', "gin file 'nowhere.gin' not found"),
        ('study.models = {"A": []}\nstudy.seeds = 0', "study.seeds = 0"),
        ('study.models = {"A": []}\nstudy.seeds = [1, 1]', "different seeds"),
        ('study.models = {"A": []}\nstudy.seeds = [-1]', "study.seeds = [-1]"),
        ('study.models = {"A": []}\nstudy.seeds = "3"', "study.seeds = '3'"),
        ('study.models = {"A": []}\nstudy.grid = {"B": {"x.y": [1]}}', "'B' is none of"),
        ('study.models = {"A": []}\nstudy.grid = {"A": {"x.y": []}}', "x.y = []"),
        ('study.models = {"A": []}\nstudy.grid = {"A": {"x.y": 3}}', "study.grid"),
        ('study.models = {"A": [], "B": []}\nstudy.sedes = 3', "did you mean 'seeds'?"),
        ('study.models = {"a b": [], "a/b": []}', "have the same folder runs/a-b"),
        ("model.batch_size = 3", "binds study.* only"),
        ('study.numbered = "unsupervised_study"', "did you mean 'unsupervised_study_v1'?"),
        ('study.numbered = "unsupervised_study_v1"\nstudy.model_nums = [12600]', "[12600]"),
        ('study.numbered = "unsupervised_study_v1"\nstudy.model_nums = [5, 5]', "each one once"),
        ('study.numbered = "unsupervised_study_v1"\nstudy.datasets = {"A": []}', "its own grid"),
    ],
)
def test_a_study_that_makes_no_sense_is_one_line(tmp_path, capsys, text, part):
    (tmp_path / "my.gin").write_text(text)
    with pytest.raises(SystemExit) as stop:
        study_main(["--gin", str(tmp_path / "my.gin"), "--list"])
    assert stop.value.code == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "srvae-study" in line]
    assert part in line


def test_a_wrong_binding_of_one_run_is_refused_before_anything_is_made(tmp_path, capsys):
    (tmp_path / "my.gin").write_text(PAIR + 'study.grid = {"VAE": {"vae.bata": [1.0]}}')
    with pytest.raises(SystemExit) as stop:
        study_main(["--gin", str(tmp_path / "my.gin"), "--output", str(tmp_path / "out")])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert "VAE (vae.bata=1.0) seed 0" in error
    assert "did you mean 'beta'?" in error
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(bool(oracle.MISSING), reason=f"needs {', '.join(oracle.MISSING)}")
def test_the_numbered_study_is_disentanglement_libs():
    """Every number against the original's own sweep, and some against `srvae-run --study`."""
    sweep = importlib.import_module("disentanglement_lib.config.unsupervised_study_v1.sweep")
    runs = plan(read_study(["studies/unsupervised_study_v1.gin"]))
    original = sweep.get_config()
    assert len(runs) == len(original) == 12600
    for run, config in zip(runs, original, strict=True):
        ours = dict(binding.split(" = ", 1) for binding in run.bindings)
        theirs = dict(binding.split(" = ", 1) for binding in sweep.h.to_bindings(config))
        assert {name: ours[name] for name in theirs} == theirs
        assert (run.seed, run.dataset) == (config["model.random_seed"], config["dataset.name"])
        assert run.model == config["model.name"]
        assert run.folder == f"runs/{run.number}"
        ((name, value),) = run.settings.items()
        assert config[name] == value
    for run in runs[::401]:
        assert sorted(run.bindings) == sorted(NumberedModel(run.numbered, run.number).bindings())


def test_a_part_of_a_numbered_study_keeps_its_numbers():
    study = read_study(["studies/unsupervised_study_v1.gin"], ["study.model_nums = [51, 3, 12599]"])
    assert [(run.number, run.seed) for run in plan(study)] == [(51, 1), (3, 3), (12599, 49)]


def test_12600_runs_are_listed_in_5_seconds():
    begun = os.times()
    command = [SCRIPT, "--gin", "studies/unsupervised_study_v1.gin", "--list"]
    lines = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    assert os.times().children_user - begun.children_user < 5  # of a core: other work may go on
    assert len(lines) == 12601
    assert lines[0].startswith("runs/0 ")
    assert "model.random_seed = 49" in lines[-2]
    assert lines[-1] == "12,600 runs"


def test_listing_into_head_is_no_error():
    command = f"{SCRIPT} --gin studies/unsupervised_study_v1.gin --list | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.stdout.startswith("runs/0 ")
    assert done.stderr == ""


def test_all_shipped_studies_are_here():
    found = {path.stem for path in (gin_files.packaged_configs() / "studies").glob("*.gin")}
    assert found - {"disentanglement_lib"} == set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_studies_have_sound_configurations(tmp_path, name):
    """The text of a run's config.gin, read again, is itself, and is what reading all gives."""
    runs = plan(read_study([f"studies/{name}.gin"]))
    assert len(runs) == SHIPPED[name]
    runs = [*runs[:3], *runs[:: max(1, len(runs) // 8)], runs[-1]]
    file = tmp_path / "config.gin"
    for run, text in zip(runs, configurations(runs), strict=True):
        with gin_files.configured(run.files, run.bindings):
            assert gin.config_str() == text
        file.write_text(text)
        with gin_files.configured([file], run.bindings if run.numbered else ()):
            assert gin.config_str() == text
        assert f"model.random_seed = {run.seed}\n" in text
        assert ("model.training_steps = 2500\n" in text) == ("quick" in name)
        assert ("dataset.name = 'teapots'" in text) == (run.dataset == "teapots")


def test_a_configuration_without_the_seed_on_a_line_is_read_anew(tmp_path):
    first, other, *_ = planned(tmp_path, PAIR)
    text = "model.batch_size = 4\nmodel.random_seed = 0\nx.random_seed = 0\n"
    there = _with_values(text, first, other)
    assert there == "model.batch_size = 4\nmodel.random_seed = 1\nx.random_seed = 0\n"
    for changed in (text.replace("model.", "my.model."), text + text):
        assert _with_values(changed, first, other) is None


def test_the_papers_studies_share_their_runs():
    """One run directory serves the ablation, the comparison and both sensitivity figures."""
    names = ("ablation", "comparison_dsprites", "sr_beta_vae", "sensitivity")
    first = {
        name: {run.folder: run for run in plan(read_study([f"studies/{name}.gin"]))}
        for name in names
    }
    for name in names:
        shared = first[name]["runs/dsprites/SR-VAE/seed-3"]
        assert configurations([shared]) == configurations(
            [first["ablation"]["runs/dsprites/SR-VAE/seed-3"]]
        )
    assert first["sensitivity"].keys() == first["comparison_dsprites"].keys()


def test_threads_are_shared_out(monkeypatch):
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "7")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(7)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    options = type("Options", (), {"engine": "local", "jobs": 3, "threads": None})()
    assert cores() == 7
    assert (_engine(options).threads, _engine(options).capacity()) == (2, 3)
    options.jobs = 20
    assert _engine(options).threads == 1
    options.threads = 5
    assert _engine(options).threads == 5
    assert set(thread_variables(2).values()) == {"2"}
    for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "LOKY_MAX_CPU_COUNT"):
        assert name in thread_variables(2)


class FakeProcess:
    returncode = None
    stdin = None

    def poll(self):
        return self.returncode


def test_runs_are_spread_over_the_gpus(monkeypatch):
    started = []

    def launch(folder, job, threads, environment, cwd):
        started.append((folder.name, environment["CUDA_VISIBLE_DEVICES"], FakeProcess()))
        return started[-1][-1]

    monkeypatch.setattr("srvae_plugin.study.engine.launch", launch)
    monkeypatch.setattr("srvae_plugin.study.engine.end_group", lambda process: None)
    engine = LocalEngine(3, 1, ["4", "6"])
    for name in "abc":
        engine.start(Path(name), Job())
    assert engine.ended(0) == []
    started[1][-1].returncode = -9
    assert engine.ended(0) == [Ended(Path("b"), -9)]
    engine.start(Path("d"), Job())  # takes the place, and the GPU, of b
    assert [(name, device) for name, device, _ in started] == [
        ("a", "4"),
        ("b", "6"),
        ("c", "4"),
        ("d", "6"),
    ]


def states_of(tmp_path, text=PAIR):
    runs = planned(tmp_path, text)
    configs = configurations(runs)
    return runs, configs, look(tmp_path / "out", runs, configs)


def test_what_is_there_is_recognised_by_its_configuration(tmp_path):
    runs, configs, states = states_of(tmp_path)
    out = tmp_path / "out"
    assert {state.status for state in states} == {"planned"}
    for state in states[:3]:
        state.folder.mkdir(parents=True)
        (state.folder / "config.gin").write_text(state.config)
    (states[0].folder / "environment.json").write_text('{"seconds": 12.5}')
    for state in (states[0], states[2]):  # the first was finished by hand since
        state.status, state.error = "failed", "it was"
    StudyJson(out, {}, states).write()
    again = look(out, runs, configs)
    assert [state.status for state in again] == ["finished", "interrupted", "failed", "planned"]
    assert (again[0].seconds, again[0].error, again[2].error) == (12.5, "", "it was")
    assert [s.run.number for s in to_do(again, False)] == [1, 3]
    assert [s.run.number for s in to_do(again, True)] == [2, 1, 3]

    changed = [*configs]
    changed[1] = configs[1].replace("model.batch_size = 4", "model.batch_size = 5")
    with pytest.raises(ValueError, match=r"SR-VAE/seed-1 \(model.batch_size = 5 \(was 4\)\)"):
        look(out, runs, changed)
    (states[3].folder).mkdir(parents=True)
    (states[3].folder / ".config.gin.1.tmp.gin").write_text("what a killed process leaves")
    assert look(out, runs, configs)[3].status == "planned"
    (states[3].folder / "thesis.txt").write_text("precious")
    with pytest.raises(ValueError, match=r"VAE/seed-1 \(no config.gin\)"):
        look(out, runs, configs)
    (states[3].folder / "thesis.txt").unlink()
    shutil.rmtree(states[2].folder)  # as the message above asks for
    assert look(out, runs, configs)[2].status == "planned", "a failure outlived its folder"


def test_an_existing_directory_needs_a_word(tmp_path):
    _, _, states = states_of(tmp_path)
    out = tmp_path / "out"
    with only_writer(out):
        prepare_directory(out, False, False)  # the lock alone does not count
    StudyJson(out, {}, states).write()
    (out / "runs/SR-VAE/seed-0").mkdir(parents=True)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="--resume continues"):
        prepare_directory(out, False, False)
    prepare_directory(out, True, False)
    prepare_directory(out, False, True)
    assert [p.name for p in out.iterdir()] == ["notes.txt"]
    for options in ((True, False), (False, True)):
        with pytest.raises(ValueError, match="not a study directory"):
            prepare_directory(out, *options)
    with pytest.raises(SystemExit):
        study_main(["--gin", "studies/ablation.gin", "--output", str(out), "--resume"])
    assert [p.name for p in out.iterdir()] == ["notes.txt"], "a folder that is no study was touched"
    (out / "study.json").write_text('{"format": 1, "runs"')
    with pytest.raises(ValueError, match=r"study.json is damaged .* delete it"):
        prepare_directory(out, True, False)


def test_another_study_in_the_same_directory_keeps_the_earlier_ones_entries(tmp_path):
    _, _, states = states_of(tmp_path)
    out = tmp_path / "out"
    StudyJson(out, {"study": "first"}, states).write()
    StudyJson(out, {"study": "second"}, states[1:2]).write()
    said = read_study_json(out)
    assert said["study"] == "second"
    assert sorted(entry["folder"] for entry in said["runs"]) == sorted(s.run.folder for s in states)


@pytest.mark.parametrize(
    ("ended", "status", "error"),
    [
        (Ended(Path(), 0), "finished", ""),
        (Ended(Path(), 143), "interrupted", ""),
        (Ended(Path(), 130), "interrupted", ""),
        (Ended(Path(), -15), "interrupted", ""),
        (Ended(Path(), -9), "failed", "killed by SIGKILL (out of memory?)"),
        (Ended(Path(), -11), "failed", "killed by SIGSEGV"),
        (Ended(Path(), 2), "failed", "the disk is full"),
        (Ended(Path(), None, "NodeDiedError: gone"), "failed", "NodeDiedError: gone"),
    ],
)
def test_what_the_end_of_a_process_means(tmp_path, ended, status, error):
    _, _, (state, *_) = states_of(tmp_path)
    state.folder.mkdir(parents=True)
    (state.folder / "log.txt").write_text("training\nsrvae-run: error: the disk is full\n\n")
    state.status = "running"
    _note(state, ended)
    assert (state.status, state.error) == (status, error)


class FakeEngine:
    """Ends the oldest run at each look; after `stop`, all of them as interrupted."""

    threads = 1

    def __init__(self):
        self.begun, self.running, self.most, self.stopped, self.closed = [], [], 0, False, False

    def capacity(self):
        return 2

    def start(self, folder, job):
        self.begun.append(folder)
        self.running.append(folder)
        self.most = max(self.most, len(self.running))

    def ended(self, seconds):
        return [Ended(self.running.pop(0), 143 if self.stopped else 0)] if self.running else []

    def stop(self):
        self.stopped = True

    def close(self):
        self.closed = True


def test_runs_are_started_seed_by_seed_while_there_is_room(tmp_path):
    _, _, states = states_of(tmp_path)
    engine, out = FakeEngine(), tmp_path / "out"
    run_study("mine", states, to_do(states, False), engine, StudyJson(out, {}, states))
    begun = [str(folder.relative_to(out / "runs")) for folder in engine.begun]
    assert begun == ["SR-VAE/seed-0", "VAE/seed-0", "SR-VAE/seed-1", "VAE/seed-1"]
    assert engine.most == 2
    assert engine.closed
    assert not engine.stopped
    assert [entry["status"] for entry in read_study_json(out)["runs"]] == ["finished"] * 4
    for state in states:
        assert (state.folder / "config.gin").read_text() == state.config


def test_a_full_disk_lets_the_runs_write_their_checkpoints(tmp_path):
    class Full(StudyJson):
        def write(self, now=True):
            super().write(now)
            if any(state.status == "finished" for state in states):
                raise OSError("no space left on device")

    _, _, states = states_of(tmp_path)
    engine = FakeEngine()
    with pytest.raises(OSError, match="no space left"):
        run_study("mine", states, to_do(states, False), engine, Full(tmp_path / "out", {}, states))
    assert engine.stopped
    assert engine.closed
    assert [state.status for state in states].count("interrupted") == len(engine.begun) - 1
    assert not engine.running


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_runs_under_way_and_starts_no_others(tmp_path, signum):
    class Signalled(FakeEngine):
        def ended(self, seconds):
            if not self.stopped:
                os.kill(os.getpid(), signum)
                return []
            return super().ended(seconds)

    _, _, states = states_of(tmp_path)
    engine, record = Signalled(), StudyJson(tmp_path / "out", {}, states)
    with pytest.raises(StudyStoppedError, match="stopped with 0 of 4 runs finished") as stop:
        run_study("mine", states, to_do(states, False), engine, record)
    assert stop.value.signum == signum
    said = [entry["status"] for entry in read_study_json(tmp_path / "out")["runs"]]
    assert said == ["interrupted", "planned", "interrupted", "planned"]


def state_at(tmp_path, label, seed, status, seconds=0.0, steps=0, total=100):
    run = PlannedRun(0, label, {}, "", seed, (), (), (), f"{label}-{seed}")
    state = RunState(
        run, tmp_path / run.folder, f"model.training_steps = {total}\n", "", status, seconds
    )
    (state.folder / "model").mkdir(parents=True)
    rows = "".join(f"{step},0.5\n" for step in range(0, steps + 1, 10))
    (state.folder / "model/scalars.csv").write_text(f"step,loss\n{rows}{steps + 10}")  # cut short
    return state


def test_time_left_worked_by_hand(tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(table.time, "monotonic", lambda: now[0])
    timer = table.Timer()
    done = state_at(tmp_path, "A", 0, "finished", 60.0)
    first = state_at(tmp_path, "A", 1, "running", steps=50)  # half of it before this session
    slow = state_at(tmp_path, "B", 0, "running", steps=0)
    states = [done, first, slow]
    timer.begin(first)
    timer.begin(slow)
    assert timer.left([slow], 1) is None
    now[0] += 20.0
    (slow.folder / "model/scalars.csv").write_text("step,loss\n10,0.5\n")
    # A takes 60 s, 30 of them before, 20 since; B promises 20 / .1 = 200 s, 20 of them gone.
    assert timer.left(states, 1) == pytest.approx((60 * 0.5 - 20) + (200 - 20))
    states.append(state_at(tmp_path, "B", 1, "interrupted", steps=70))
    states.append(state_at(tmp_path, "C", 0, "planned"))
    # 30 % of B, and for C the mean of A and B.
    assert timer.left(states, 2) == pytest.approx((10 + 180 + 0.3 * 200 + 130) / 2)
    assert table.clock(93784) == "1 day, 2:03:04"


def test_the_table_shows_models_and_runs_under_way(tmp_path):
    timer = table.Timer()
    states = [state_at(tmp_path, "A", 0, "finished", 60.0), state_at(tmp_path, "A", 1, "failed")]
    states += [state_at(tmp_path, "B", seed, "running", steps=30) for seed in range(20)]
    for state in states[2:]:
        timer.begin(state)
    console = Console(width=100, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    with console.file, table.StudyView("mine", states, timer) as view:
        console.print(view._table(60.0))
    shown = console.export_text()
    assert "ETA 0:01:00" in shown
    assert "B seed 3" in shown
    assert "30%" in shown
    assert "and 4 more" in shown
    row = next(line for line in shown.splitlines() if line.startswith("│ A "))
    assert row.replace("│", " ").split() == ["A", "1", "1"]


def scores_of(run):
    scores = StepDirectory(run / "metrics/mean/mig", "evaluation").read()
    return {key: value for key, value in scores.items() if key not in ("uuid", "elapsed_time")}


def start(arguments):
    return subprocess.Popen([SCRIPT, *map(str, arguments)], stderr=subprocess.PIPE, text=True)


def wait_until(condition, process):
    for _ in range(2400):
        if condition():
            return
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    raise TimeoutError


def workers_of(folder):
    """Processes, zombies aside, that are at runs below a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command, status = path.read_text(), path.with_name("stat").read_text()
        except OSError:
            continue
        if (
            "srvae_plugin.cli.study_worker" in command
            and str(folder) in command
            and ") Z " not in status
        ):
            found.append(int(path.parent.name))
    return found


needs_proc = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="looks for processes in /proc"
)


def require_no_workers(folder):
    for _ in range(600):
        if not workers_of(folder):
            return
        time.sleep(0.05)
    raise AssertionError("runs outlive their study")


def require_the_runs_of_srvae_run(tmp_path, text, *bindings):
    """Every run of the study in `out` equals that of `srvae-run` alone with the same bindings."""
    for run in planned(tmp_path, text, *bindings):
        done, alone = tmp_path / "out" / run.folder, tmp_path / "alone" / run.folder
        run_alone(run.files, run.bindings, alone)
        one, other = (load_file(place / "model/model.safetensors") for place in (done, alone))
        assert all(np.array_equal(one[name], other[name]) for name in other)
        assert scores_of(done) == scores_of(alone)
        assert json.loads((done / "environment.json").read_text())["threads"] == 1


def arguments_of(tmp_path, jobs, *more):
    (tmp_path / "my.gin").write_text(PAIR)
    arguments = ["--gin", tmp_path / "my.gin", "--output", tmp_path / "out", *more]
    return [str(argument) for argument in [*arguments, "--jobs", jobs, "--threads", 1]]


@needs_proc
def test_a_stopped_and_a_killed_study_go_on_bit_by_bit(tmp_path):
    """Its second run is stopped with the study, and loses it the next time."""
    short = ["study.seeds = 1", "model.training_steps = 400", "model.checkpoint_every = 40"]
    (tmp_path / "my.gin").write_text(small_study(tmp_path))
    runs, out = planned(tmp_path, small_study(tmp_path), *short), tmp_path / "out"
    first, second = (out / run.folder for run in runs)
    arguments = ["--gin", tmp_path / "my.gin", "--output", out, "--threads", "1"]
    arguments = [str(word) for word in [*arguments, *bound(*short)]]
    StudyJson(out, {}, []).write()
    run_alone(runs[0].files, runs[0].bindings, first)  # finished: not to be run again
    written = (first / "environment.json").stat().st_mtime_ns

    study = command(study_main, *arguments, "--resume")
    study.wait_for((second / "model/checkpoint.pt").exists)
    study.send(signal.SIGTERM)
    assert study.wait() == 143
    assert "stopped with 1 of 2 runs finished; continue with the same command and --r" in study.said
    assert workers_of(out) == []
    assert [run["status"] for run in read_study_json(out)["runs"]] == ["finished", "interrupted"]
    assert "SIGTERM at step" in (second / "log.txt").read_text()

    study = command(study_main, *arguments, "--resume")
    study.wait_for(lambda: (second / ".lock").exists())
    assert study.kill() == -signal.SIGKILL
    # At once: a run whose former process is still there waits for its end.
    study = command(study_main, *arguments, "--resume")
    assert study.wait() == 0, study.said
    require_no_workers(out)
    assert "2 finished" in study.said
    assert (first / "environment.json").stat().st_mtime_ns == written, "it was run again"
    run_alone(runs[1].files, runs[1].bindings, tmp_path / "alone")
    one, other = (load_file(p / "model/model.safetensors") for p in (second, tmp_path / "alone"))
    assert all(np.array_equal(one[name], other[name]) for name in other)
    assert scores_of(second) == scores_of(tmp_path / "alone")
    assert json.loads((second / "environment.json").read_text())["threads"] == 1


def small_study(folder):
    """Two models on the small data set."""
    words = run_words(folder, "")
    chosen = [str(words[1]), *words[5::2], "run.pictures = False", "run.metrics = ['mig']"]
    models = {"A": chosen, "B": [*chosen, "vae.beta = 2.0"]}
    return f"study.models = {models}\n"


@needs_proc
@pytest.mark.slow
def test_a_stopped_and_then_killed_study_of_two_jobs_goes_on_bit_by_bit(tmp_path, capsys):
    arguments, out = arguments_of(tmp_path, 2), tmp_path / "out"
    study = start(arguments)
    wait_until(lambda: list(out.glob("runs/*/seed-0/model/checkpoint.pt")), study)
    study.send_signal(signal.SIGINT)
    _, message = study.communicate()
    assert study.returncode == 130, message
    assert workers_of(out) == []

    study = start([*arguments, "--resume"])
    wait_until(lambda: list(out.glob("runs/*/seed-0/environment.json")), study)
    wait_until(lambda: list(out.glob("runs/*/seed-1/model/checkpoint.pt")), study)
    study.kill()
    study.communicate()

    # At once: a run whose former process is still there waits for its end.
    study_main([*arguments, "--resume"])
    assert "4 finished" in capsys.readouterr().out
    require_the_runs_of_srvae_run(tmp_path, PAIR)
    entries = read_study_json(out)["runs"]
    assert [(entry["label"], entry["seed"], entry["status"]) for entry in entries] == [
        ("SR-VAE", 0, "finished"),
        ("SR-VAE", 1, "finished"),
        ("VAE", 0, "finished"),
        ("VAE", 1, "finished"),
    ]
    assert {entry["dataset"] for entry in entries} == {"dsprites_full"}


def test_a_run_of_a_numbered_study_has_its_seeds(tmp_path):
    """As `srvae-run --study --model-num`; what `every_run` binds is stronger than its settings."""
    more = ["model.training_steps = 2", "model.eval_steps = 1", "model.batch_size = 4"]
    more += ["run.pictures = False", "mig.num_train = 200", "run.metrics = ['mig']"]
    more += ["run.representations = ['mean']"]
    study = read_study(["studies/unsupervised_study_v1.gin"], ["study.model_nums = [3]", *more])
    (run,) = plan(study)
    (config,) = configurations([run])
    state = RunState(run, tmp_path / run.folder, config, "dsprites_full")
    claim(state)
    run_job(state.folder, Job(run.bindings, run.numbered, run.number))
    path = state.folder / "metrics/mean/mig/results/aggregate/evaluation.json"
    values = json.loads(path.read_text())
    seeds = find_study(run.numbered).seeds()
    assert values["evaluation_config.evaluation.random_seed"] == str(seeds["mean/mig"])
    assert values["postprocess_config.postprocess.random_seed"] == str(seeds["mean"])
    assert values["evaluation_config.mig.num_train"] == "200"
    assert values["train_config.model.model_num"] == values["train_config.model.random_seed"] == "3"
    text = (state.folder / "config.gin").read_text()
    assert differences(text, config) == []
    assert record_in(text)["name"] == "dsprites_full"


def test_a_run_waits_for_the_end_of_its_former_process(tmp_path):
    order = []

    def second():
        with only_writer(tmp_path / "run", wait=True):
            order.append("second")

    with only_writer(tmp_path / "run"):
        thread = threading.Thread(target=second, daemon=True)
        thread.start()
        thread.join(0.3)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


FAILING = f"""
study.models = {{"SR-VAE": ["{TINY}", "run.pictures = False", "run.metrics = ['mig']"]}}
study.datasets = {{"here": [], "gone": ["dataset.path = 'no-such.npz'"]}}
study.grid = {{"SR-VAE": {{"vae/AdamOptimizer.learning_rate": [1e-4, 1e6]}}}}
"""


def test_failures_are_named_with_their_logs_and_do_not_stop_the_others(tmp_path, capsys):
    (tmp_path / "my.gin").write_text(FAILING)
    out = tmp_path / "out"
    arguments = ["--gin", str(tmp_path / "my.gin"), "--output", str(out), "--threads", "1"]
    arguments += ["--jobs", "2", "--bind", "model.training_steps = 4"]  # few, and enough to fail

    def study(*more):
        with pytest.raises(SystemExit) as stop:
            study_main([*arguments, *more])
        assert stop.value.code == 1
        return capsys.readouterr().out

    said = study()
    assert "1 finished, 3 failed" in said
    assert said.count("not started: ") == 2
    assert "no-such.npz" in said
    bad = "runs/here/SR-VAE/vae-AdamOptimizer.learning_rate=1000000.0/seed-0"
    assert "(vae/AdamOptimizer.learning_rate=1000000.0) here seed 0: failed: training st" in said
    assert str(out / bad / "log.txt") in said
    assert "not finite" in (out / bad / "log.txt").read_text()
    assert not (out / "runs/gone").exists()

    log = (out / bad / "log.txt").stat().st_mtime_ns
    assert "1 finished, 3 failed" in study("--resume")
    assert (out / bad / "log.txt").stat().st_mtime_ns == log, "a failed run was run again unasked"
    assert "1 finished, 3 failed" in study("--retry-failed")
    assert (out / bad / "log.txt").read_text().count("not finite") == 2


def test_weights_to_start_from_are_not_overwritten(tmp_path, capsys):
    (tmp_path / "my.gin").write_text(PAIR)
    out = tmp_path / "out"
    _, _, states = states_of(tmp_path)
    weights = states[1].folder / "model/model.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"")
    StudyJson(out, {}, states).write()
    start = f"model.init_from = '{states[1].folder}'"
    with pytest.raises(SystemExit):
        study_main(
            [
                "--gin",
                str(tmp_path / "my.gin"),
                "--output",
                str(out),
                "--overwrite",
                "--bind",
                start,
            ]
        )
    assert "would be overwritten: choose another output" in capsys.readouterr().err
    assert weights.is_file()


def test_unfinished_work_is_not_overwritten_by_another_study(tmp_path, capsys):
    (tmp_path / "my.gin").write_text(PAIR)
    out = tmp_path / "out"
    _, _, states = states_of(tmp_path)
    states[1].folder.mkdir(parents=True)
    (states[1].folder / "config.gin").write_text(states[1].config)
    StudyJson(out, {}, states).write()
    arguments = ["--gin", str(tmp_path / "my.gin"), "--output", str(out)]
    for more, part in (
        ([], "--resume continues"),
        (
            ["--resume", "--bind", "model.batch_size = 9"],
            "model.batch_size = 9 (was 4)",
        ),
    ):
        with pytest.raises(SystemExit) as stop:
            study_main([*arguments, *more])
        assert stop.value.code == 2
        assert part in capsys.readouterr().err
    assert (states[1].folder / "config.gin").read_text() == states[1].config
    study_main([*arguments, "--list"])
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()[:4]] == [
        "planned",
        "interrupted",
        "planned",
        "planned",
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--output", "x", "--jobs", "0"],
        ["--output", "x", "--threads", "0"],
        ["--output", "x", "--resume", "--overwrite"],
        ["--output", "x", "--retry-failed", "--overwrite"],
        ["--output", "x", "--gpus-per-run", "1"],
    ],
)
def test_options_that_make_no_sense_are_refused(tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        study_main(["--gin", "studies/ablation.gin", *arguments])
    assert stop.value.code == 2
    assert list(tmp_path.iterdir()) == []


def test_one_data_set_is_told_from_another(tmp_path):
    runs = planned(tmp_path, GRID)
    lines = [dataset_lines(config) for config in configurations(runs)]
    assert set(lines) == {
        ("dataset.name = 'dsprites_full'",),
        ("dataset.name = 'dsprites_noshape'",),
    }


def test_a_binding_of_every_run_cannot_replace_the_grid(tmp_path):
    (tmp_path / "study.gin").write_text(
        'study.models = {"VAE": ["vae_dsprites.gin"]}\n'
        'study.grid = {"VAE": {"vae.beta": [1.0, 4.0]}}\n'
        'study.every_run = ["vae.beta = 9.0"]\n'
    )
    definition = read_study([tmp_path / "study.gin"])
    with pytest.raises(ValueError, match=r"study\.grid has vae\.beta for VAE, and 'vae\.beta = 9"):
        plan(definition)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('study.every_run = ["model.random_seed = 3"]', r"study\.every_run: .* has no effect"),
        (
            'study.datasets = {"a": ["model.random_seed=3"]}',
            r"study\.datasets\['a'\]: .*study\.see",
        ),
        ('study.grid = {"VAE": {"model.random_seed": [1, 2]}}', r"study\.grid: .* has no effect"),
        ('study.grid = {"VAE": {"vae.beta": [1.0, 2.0, 1]}}', "has the same value twice"),
    ],
)
def test_what_would_be_ignored_or_made_twice_is_refused(tmp_path, text, message):
    file = tmp_path / "study.gin"
    file.write_text(f'study.models = {{"VAE": ["vae_dsprites.gin"]}}\n{text}\n')
    with pytest.raises(ValueError, match=message):
        read_study([file])


def test_a_seed_bound_for_every_run_is_refused():
    with pytest.raises(ValueError, match="= 1' has no effect"):
        read_study([], ['study.models = {"VAE": []}', "model.random_seed = 1"])
