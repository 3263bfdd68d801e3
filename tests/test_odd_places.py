"""What lies where a run's folders and files should be is neither replaced nor followed."""

import os
import shutil
import stat

import pytest
from finished_runs import colour_images, finished_run
from small_runs import MODEL, bound, error_line

from srvae_plugin.cli.evaluate import evaluate_main
from srvae_plugin.cli.report import report_main
from srvae_plugin.files import delete_folder

MIG = bound("run.metrics = ['mig']", "mig.num_train = 40")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("places")
    return finished_run(folder / "run", [*colour_images(folder), *MODEL, "run.metrics = []"])


@pytest.fixture
def run(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("mine")
    return tmp_path / "run"


def refusal(main, words, capsys):
    line = error_line(main, words, capsys)
    assert "Errno" not in line
    return line


def test_a_link_in_the_place_of_scores(run, capsys):
    place = run / "metrics/mean/mig"
    place.parent.mkdir(parents=True)
    place.symlink_to(run.parent / "mine")
    line = refusal(evaluate_main, [run, "--overwrite", *MIG], capsys)
    assert f"{place} holds no results of this package" in line
    assert place.is_symlink()
    assert (run.parent / "mine/thesis.tex").read_text() == "mine"


@pytest.mark.parametrize("name", ["metrics", "metrics/mean", "metrics/mean/mig"])
def test_a_file_in_the_place_of_a_folder(run, capsys, name):
    place = run / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("mine")
    line = refusal(evaluate_main, [run, "--overwrite", *MIG], capsys)
    assert str(place) in line
    assert "is a file, expected a folder" in line or "holds no results of this package" in line
    assert place.read_text() == "mine"


@pytest.mark.parametrize("metric", ["../x/mig", "./mig", "/mig", ".hidden/mig"])
def test_a_scope_that_is_no_folder_of_results(run, capsys, metric):
    words = [run, "--overwrite", "--bind", f"run.metrics = ['{metric}']"]
    assert "names the folder of its results" in refusal(evaluate_main, words, capsys)


def test_a_scope_that_is_too_long(run, capsys):
    words = [run, "--overwrite", "--bind", f"run.metrics = ['{'a' * 300}/mig']"]
    assert "File name too long" in refusal(evaluate_main, words, capsys)


def test_no_pipe_or_device_is_replaced(run, capsys):
    pipe = run.parent / "page.html"
    os.mkfifo(pipe)
    line = refusal(report_main, [run, "--output", pipe, "--overwrite"], capsys)
    assert f"cannot write {pipe}: it is a device or a pipe" in line
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_of_a_link_to_a_folder_the_link_is_deleted(run):
    link = run / "link"
    link.symlink_to(run.parent / "mine")
    delete_folder(link)
    assert not os.path.lexists(link)
    assert (run.parent / "mine/thesis.tex").read_text() == "mine"
    assert not list(run.glob(".link*"))
