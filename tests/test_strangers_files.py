"""A run directory of a stranger's is data: nothing that its gin files say runs code of its own."""

import shutil
import sys

import pytest
from finished_runs import colour_run

from srvae_plugin import load_model
from srvae_plugin.cli.evaluate import evaluate_main
from srvae_plugin.cli.export import export_main
from srvae_plugin.cli.report import report_main
from srvae_plugin.config import gin_files, gin_sources

DYNAMIC = "from __gin__ import dynamic_registration\n"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return colour_run(tmp_path_factory.mktemp("run"), "vae")


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


@pytest.fixture(params=KINDS)
def hostile(request, trained, tmp_path, monkeypatch):
    """A copy of the run whose recorded gin files begin with a payload."""
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    (tmp_path / "payload.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    (tmp_path / "more.gin").write_text("import payload\n")
    (tmp_path / "mine.py").write_text("import os\n")
    for path in run.rglob("*.gin"):
        path.write_text(payload(request.param, tmp_path) + path.read_text())
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    gin_sources.import_modules(["mine"])  # which the user trusts, but not with all it imports
    yield run
    for name in ("mine", "payload"):
        sys.modules.pop(name, None)
    assert not (tmp_path / "ran").exists()


COMMANDS = {
    "evaluate": (evaluate_main, "{run} --bind run.metrics=['mig'] --overwrite"),
    "export": (export_main, "{run} --to npz --output {run}/../codes.npz"),
    "report": (report_main, "{run} --output {run}/../page"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_runs_a_payload(hostile, name, capsys):
    main, arguments = COMMANDS[name]
    words = arguments.format(run=hostile).split(" ")
    if name == "report":  # it reads configurations as text
        main(words)
        return
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2
    assert "gin" in capsys.readouterr().err.strip().splitlines()[-1]


def test_load_model_refuses_in_one_line(hostile):
    with pytest.raises(ValueError, match=r"train\.gin") as caught:
        load_model(hostile)
    assert "\n" not in str(caught.value)


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
