"""A disk that is full, read-only or has no such name: one line, and the same command goes on.

The disk is a real one of 2 MB, and what fills it does so just before the write that is tested.
"""

import errno
import resource
import signal
import subprocess

import pytest
from small_runs import bound, run_words
from test_export_full_disk import fill
from test_killed_commands import content

from srvae_plugin.cli.data import data_main
from srvae_plugin.cli.evaluate import evaluate_main
from srvae_plugin.cli.export import export_main
from srvae_plugin.cli.report import report_main
from srvae_plugin.cli.run import run_main
from srvae_plugin.cli.study import study_main
from srvae_plugin.plots import pictures
from srvae_plugin.runs import pipeline, represent
from srvae_plugin.runs.directory import RunDirectory, StepDirectory
from srvae_plugin.study.directory import read_study_json
from srvae_plugin.training import checkpoint, scalars

LOGGED = ("model.training_steps = 60", "model.log_every = 1", "model.checkpoint_every = 20")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A finished run and its data, on a disk with room."""
    folder = tmp_path_factory.mktemp("whole")
    run_main([str(word) for word in run_words(folder, folder / "out", *LOGGED)])
    return folder


def status_of(main, words):
    try:
        main([str(word) for word in words])
    except SystemExit as stop:
        return stop.code or 0
    return 0


def last_line(capsys):
    lines = capsys.readouterr().err.strip().splitlines()
    assert not any("Traceback" in line for line in lines)
    return lines[-1]


def filling(monkeypatch, owner, name, disk, at=1):
    """Fill the disk before call number `at` of a function."""
    original, calls = getattr(owner, name), [0]

    def called(*arguments, **options):
        calls[0] += 1
        if calls[0] == at:
            fill(disk)
        return original(*arguments, **options)

    monkeypatch.setattr(owner, name, called)


def plain(value, left_out=()):
    """What is compared: gin lists a data set's defaults in the process that opened it alone."""
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if ".npz." not in f".{k}"}
        return {k: v for k, v in kept.items() if not k.endswith(left_out)}
    if isinstance(value, bytes) and b" = " in value:
        lines = [line for line in value.splitlines() if b"npz." not in line.partition(b"=")[0]]
        names = tuple(name.encode() for name in left_out)
        lines = [line for line in lines if not line.partition(b" =")[0].endswith(names)]
        return [line for line in lines if line.strip(b"# =\n") and b"for npz" not in line]
    return value


MOMENTS = {
    "first checkpoint": (checkpoint, "save", 1, "checkpoint.pt", "config.gin"),
    "second checkpoint": (checkpoint, "save", 2, "checkpoint.pt", "model/checkpoint.pt"),
    "scalars": (scalars.ScalarLog, "write", 2, "scalars.csv", "config.gin"),
    "weights": (pipeline, "save_weights", 1, "model.safetensors", "model/checkpoint.pt"),
    "results": (StepDirectory, "write", 1, "train.gin", "model/model.safetensors"),
    "representation": (represent.StepDirectory, "write", 2, "", "model/results/aggregate/tra"),
    "scores": (StepDirectory, "write", 3, "", "postprocessed/mean/results"),
    "pictures": (pictures, "write_bytes", 1, "traversals.png", "metrics/mean/mig/results"),
    "environment": (RunDirectory, "finish", 1, "manifest.sha256", "visualizations/"),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_on_a_full_disk_goes_on(place, small_disk, monkeypatch, capsys, moment):
    owner, function, at, named, whole = MOMENTS[moment]
    words = run_words(place, small_disk / "out", *LOGGED)
    if moment == "scalars":  # no checkpoint comes before the page that the row does not fit into
        words += bound("model.checkpoint_every = 100")
    with monkeypatch.context() as patched:
        filling(patched, owner, function, small_disk, at)
        assert status_of(run_main, words) == 2
    line = last_line(capsys)
    assert named in line
    assert "No space left on device" in line or "cannot be written (disk full?)" in line
    assert "finished files are intact: free some space" in line
    found = [path.relative_to(small_disk / "out").as_posix()
             for path in (small_disk / "out").rglob("*") if path.is_file()]  # fmt: skip
    assert any(name.startswith(whole) for name in found), found
    assert not any(".tmp" in name or ".lock" in name for name in found), found
    (small_disk / "filler").unlink()
    assert status_of(run_main, [*words, "--resume"]) == 0, last_line(capsys)
    expected, made = content(place / "out"), content(small_disk / "out")
    if moment == "scalars":  # its only checkpoint is the last
        expected.pop("model/checkpoint_before.pt", None)
    assert made.keys() == expected.keys()
    other = ("checkpoint_every",) if moment == "scalars" else ()
    differing = [name for name in made if plain(made[name], other) != plain(expected[name], other)]
    assert differing == []


def test_scores_that_are_overwritten_stay_until_the_new_ones_are_there(
    place, small_disk, monkeypatch, capsys
):
    subprocess.run(["cp", "-r", place / "out", small_disk / "out"], check=True)
    before = content(small_disk / "out/metrics")
    fewer = ["mig.num_train = 40", "sap_score.num_train = 40", "sap_score.num_test = 20"]
    words = [small_disk / "out", "--overwrite"]
    words += bound("run.metrics = ['mig', 'sap_score']", *fewer)
    with monkeypatch.context() as patched:
        filling(patched, StepDirectory, "write", small_disk, 2)  # the second metric's
        assert status_of(evaluate_main, words) == 2
    assert "finished files are intact: free some space" in last_line(capsys)
    assert content(small_disk / "out/metrics") == before
    (small_disk / "filler").unlink()
    assert status_of(evaluate_main, words) == 0
    assert "num_train" in str(RunDirectory(small_disk / "out").scores("mean").read_all())
    scores = RunDirectory(small_disk / "out").scores("mean").read_all()
    assert {values["num_train"] for values in scores.values()} == {40}
    assert content(small_disk / "out/metrics").keys() == before.keys()


def of_run(place, disk):
    return {
        "report": (report_main, [place / "out", "--resamples", 20, "--output", disk / "page.html"]),
        "export": (export_main, [place / "out", "--to", "npz", "--output", disk / "codes",
                                 *bound("export_npz.importance = False")]),
        "data": (data_main, ["sheet", "npz", "--path", place / "colour.npz", "--output",
                             disk / "sheet.png"]),
        "codes": (evaluate_main, ["--function", "small_runs:encode", "--output", disk / "scores",
                                  *bound("run.metrics = ['mig']", "mig.num_train = 40",
                                         *run_words(place, "")[5:8:2])]),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["report", "export", "data", "codes"])
def test_other_commands_on_a_full_disk(place, small_disk, capsys, name):
    main, words = of_run(place, small_disk)[name]
    filler = fill(small_disk)
    assert status_of(main, words) == 2
    line = last_line(capsys)
    assert f"cannot write {small_disk}" in line
    assert "No space left on device; finished files are intact: free some space" in line
    assert [path.name for path in small_disk.iterdir()] == ["filler"]
    filler.unlink()
    assert status_of(main, words) == 0


@pytest.mark.parametrize("name", ["report", "export", "data", "codes"])
@pytest.mark.parametrize("trouble", ["read-only", "long", "file"])
def test_a_place_that_cannot_be_written(place, small_disk, capsys, name, trouble):
    main, words = of_run(place, small_disk)[name]
    at = words.index("--output") + 1
    ending = words[at].suffix
    reason = "Read-only file system"
    if trouble == "read-only":
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    elif trouble == "long":
        words[at], reason = small_disk / f"{'a' * 300}{ending}", "File name too long"
    else:
        (small_disk / "file").write_text("mine")
        words[at], reason = small_disk / f"file/a{ending}", "file is a file, expected a folder"
    assert status_of(main, words) == 2
    line = last_line(capsys)
    assert str(words[at]) in line
    assert reason in line
    assert [path.name for path in small_disk.iterdir()] == (["file"] if trouble == "file" else [])


@pytest.mark.parametrize("trouble", ["read-only", "long", "file"])
def test_a_run_in_a_place_that_cannot_be_written(place, small_disk, capsys, trouble):
    output, reason = small_disk / "out", "Read-only file system"
    if trouble == "read-only":
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    elif trouble == "long":
        output, reason = small_disk / ("a" * 300), "File name too long"
    else:
        (small_disk / "file").write_text("mine")
        output, reason = small_disk / "file/out", "file is a file, expected a folder"
    assert status_of(run_main, run_words(place, output)) == 2
    line = last_line(capsys)
    assert str(output) in line
    assert reason in line
    assert [path.name for path in small_disk.iterdir()] == (["file"] if trouble == "file" else [])


@pytest.mark.slow
def test_a_study_on_a_full_disk(place, small_disk, tmp_path, capsys):
    words = run_words(place, "")
    text = f"study.models = {{'A': {[str(words[1]), *words[5::2]]}}}\n"
    (tmp_path / "my.gin").write_text(text)
    study = ["--gin", tmp_path / "my.gin", "--output", small_disk / "out", "--threads", 1]
    filler = fill(small_disk)
    assert status_of(study_main, study) == 2
    assert f"cannot write {small_disk / 'out'}" in (line := last_line(capsys))
    assert "free some space" in line
    filler.unlink()
    assert status_of(study_main, study) == 0
    assert [run["status"] for run in read_study_json(small_disk / "out")["runs"]] == ["finished"]


def test_a_limit_on_the_size_of_files_is_one_line_too(place, tmp_path, capsys):
    """Where no disk can be mounted: the system's own refusal to write more."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, before[1]))
    try:
        status = status_of(run_main, run_words(place, tmp_path / "out"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert status == 2
    assert f"cannot write {tmp_path / 'out/config.gin'}: File too large" in last_line(capsys)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert status_of(run_main, run_words(place, tmp_path / "out")) == 0


def test_a_row_that_the_disk_does_not_take_whole_is_said(tmp_path):
    log = scalars.ScalarLog(tmp_path / "scalars.csv", scalars.Rows(0))
    with log:
        log.write(0, {"loss": 1.0})
        log._file.close()
        log._file = ShortWrites()
        with pytest.raises(OSError, match=r"cannot write .*scalars\.csv: No space left") as caught:
            log.write(1, {"loss": 1.0})
    assert caught.value.errno == errno.ENOSPC


class ShortWrites:
    """A file on a disk with room for three bytes."""

    def write(self, content):
        return min(3, len(content))

    def close(self):
        pass
