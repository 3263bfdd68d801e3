"""A stranger's run or study directory is data: nothing that its gin files say runs code."""

import shutil
import sys

import pytest
from finished_runs import SHORT, TINY, colour_images, finished_study
from small_runs import error_line

from srvae_plugin import load_model, load_run, load_runs
from srvae_plugin.cli.evaluate import evaluate_main
from srvae_plugin.cli.export import export_main
from srvae_plugin.cli.report import report_main
from srvae_plugin.cli.study import study_main
from srvae_plugin.cli.study_worker import run_job
from srvae_plugin.config import gin_files, gin_sources
from srvae_plugin.data.storage.manifest import MANIFEST
from srvae_plugin.study.job import Job

DYNAMIC = "from __gin__ import dynamic_registration\n"
VAE = ["model.model = @vae()", "vae.beta = 1.0", "encoder.num_latent = 2", "run.metrics = []"]
VAE += ["encoder.encoder_fn = @fc_encoder", "decoder.decoder_fn = @fc_decoder"]
RUN = "runs/vae/seed-0"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A folder with the finished study `whole` of two runs, and its gin file."""
    folder = tmp_path_factory.mktemp("study")
    entries = [str(TINY), *SHORT, *VAE, *colour_images(folder)]
    finished_study(folder, "whole", entries)
    return folder


def payload(kind, folder):
    """gin text that would write folder / "ran"."""
    target = folder / "ran"
    call = f"os.system.command = 'touch {target}'\nmodel.name = @os.system()\n"
    touch = f"files.Path.touch.self = '{target}'\nmodel.name = @srvae_plugin.files.Path.touch()\n"
    return {
        "import": "import payload\n",
        "import from": "from payload import thing\n",
        "include": f"include '{folder / 'more.gin'}'\n",
        "dynamic": f"{DYNAMIC}import os\n{call}",
        "dynamic alias": f"{DYNAMIC}import os as srvae\nmodel.name = @srvae.system()\n",
        "dynamic package": f"{DYNAMIC}import srvae_plugin.files\nsrvae_plugin.{touch}",
        "through a module": f"{DYNAMIC}import mine\nmodel.name = @mine.os.system()\n",
        "reference": call,
    }[kind]


KINDS = ["import", "import from", "include", "dynamic", "dynamic alias", "dynamic package",
         "through a module", "reference"]  # fmt: skip


@pytest.fixture(scope="module", params=KINDS)
def hostile(request, shared):
    """A copy of the study whose recorded gin files begin with a payload; it has no manifests."""
    folder = shared / request.param.replace(" ", "-")
    study = folder / "study"
    shutil.copytree(shared / "whole", study)
    (folder / "payload.py").write_text(f"open({str(folder / 'ran')!r}, 'w').close()\n")
    (folder / "more.gin").write_text("import payload\n")
    (folder / "mine.py").write_text("import os\n")
    for path in study.rglob("*.gin"):
        path.write_text(payload(request.param, folder) + path.read_text())
    for path in study.rglob(MANIFEST):  # whoever changes files writes their digests anew, or none
        path.unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.chdir(folder)
        gin_sources.import_modules(["mine"])  # which the user trusts, but not with all it imports
        yield study
        for name in ("mine", "payload"):
            sys.modules.pop(name, None)
    assert not (folder / "ran").exists()


def worker(study):
    """A run of the study that has its scores still to make, gone on with in its own process."""
    place = study.parent / "again"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(study / RUN, place)
    shutil.copy(study.parents[1] / "whole" / RUN / "config.gin", place)
    (place / "environment.json").unlink()
    run_job(place, Job((), "", 0, []))


COMMANDS = {
    "evaluate": lambda s: evaluate_main([str(s / RUN), "--bind", "run.metrics=['mig']"]),
    "udr": lambda s: evaluate_main(["--udr", str(s), "--output", str(s.parent / "udr")]),
    "export": lambda s: export_main(
        [str(s / RUN), "--to", "npz", "--output", str(s.parent / "codes")]
    ),
    "study": lambda s: study_main(
        ["--gin", str(s.parents[1] / "two.gin"), "--output", str(s), "--resume"]
    ),
    "worker": worker,
}


def require_nothing_ran(study):
    assert not (study.parent / "ran").exists()


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_refuse_in_one_line(hostile, name, capsys):
    said = error_line(lambda _: COMMANDS[name](hostile), (), capsys)
    assert "gin" in said or "runs/vae/seed-0 (" in said
    require_nothing_ran(hostile)


def test_report_reads_configurations_as_text(hostile):
    report_main([str(hostile), "--output", str(hostile.parent / "page.html")])
    assert "2 runs" in (hostile.parent / "page.html").read_text()
    require_nothing_ran(hostile)


@pytest.mark.parametrize(
    "load",
    [
        lambda study: load_model(study / RUN),
        lambda study: load_run(study / RUN).model,
        lambda study: load_runs(study)[1].model,
    ],
)
def test_python_refuses_in_one_line(hostile, load):
    with pytest.raises(ValueError, match=r"train\.gin") as caught:
        load(hostile)
    assert "\n" not in str(caught.value)
    require_nothing_ran(hostile)


def test_tables_of_runs_read_configurations_as_text(hostile):
    assert len(load_runs(hostile).to_frame()) == 2
    require_nothing_ran(hostile)


def test_changed_files_are_told_from_their_digests(hostile, shared):
    """With the former manifest beside it, the first word is of damage."""
    model = hostile.parent / "with-digests" / "model"
    shutil.copytree(hostile / RUN / "model", model)
    shutil.copy(shared / "whole" / RUN / "model" / MANIFEST, model)
    with pytest.raises(ValueError, match=r"train\.gin is damaged or was changed"):
        load_model(model.parent)


def test_what_the_user_imports_may_register_dynamically(tmp_path, monkeypatch):
    (tmp_path / "trusted.py").write_text("def size(of=1):\n    return of\n")
    (tmp_path / "train.gin").write_text(f"{DYNAMIC}import trusted\ntrusted.size.of = 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(gin_files.ConfigError, match="add --import trusted"):
        read(tmp_path / "train.gin")
    gin_sources.import_modules(["trusted"])
    read(tmp_path / "train.gin")


def read(path):
    with gin_files.configured([path], recorded=True):
        return gin_files.values_of("trusted.size")


# ------------------------------------------------- what else a study directory may say

OUTSIDE = '{"format": 1, "runs": [{"folder": "../../elsewhere", "status": "finished"}]}'
DEEP = '{"format": 1, "runs": ' + "[" * 100_000 + "]" * 100_000 + "}"
NO_ENTRY = '{"format": 1, "runs": [3]}'
NO_ERROR = '{"format": 1, "runs": [{"folder": "runs/vae/seed-0", "status": "failed", "error": 3}]}'


@pytest.mark.parametrize("text", [OUTSIDE, DEEP, NO_ENTRY, NO_ERROR, "{", "\0"])
def test_study_json_that_is_no_study(shared, tmp_path, capsys, text):
    study = tmp_path / "study"
    shutil.copytree(shared / "whole", study)
    (study / "study.json").write_text(text)
    again = ["--gin", shared / "two.gin", "--output", study, "--resume"]
    assert "study.json is damaged" in error_line(study_main, again, capsys)
    report_main([str(study), "--output", str(tmp_path / "page.html")])
    assert "2 runs" in capsys.readouterr().out
    page = (tmp_path / "page.html").read_text()
    assert "elsewhere" not in page or "outside its folder" in page


@pytest.mark.parametrize("value", ["__import__('os').system('x')", "(" * 5000, "1 +"])
def test_options_of_data_that_are_no_values(shared, tmp_path, value):
    run = tmp_path / "run"
    shutil.copytree(shared / "whole" / RUN, run)
    for path in run.rglob(MANIFEST):
        path.unlink()
    for path in run.rglob("*.gin"):
        path.write_text(path.read_text() + f"\ndataset.white = {value}\n")
    with pytest.raises(ValueError, match=r"\.gin") as caught:
        load_model(run)
    assert "\n" not in str(caught.value)
