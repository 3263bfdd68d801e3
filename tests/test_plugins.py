"""A model, a data set and a metric from another package work without a change here."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from example_packages import install_example, write_package
from forked import Forked

from srvae_plugin import load_dataset, load_model, load_run
from srvae_plugin.cli.evaluate import evaluate_main
from srvae_plugin.cli.export import export_main
from srvae_plugin.cli.report import report_main
from srvae_plugin.config import plugins

HERE = Path(__file__).parent
SCRIPT = Path(sys.executable).with_name("srvae-run")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Folder with the example package, and one that needs a library which is not there."""
    site = install_example(tmp_path_factory.mktemp("example"))
    source = "import a_library_that_nobody_has\n"
    write_package(site, "broken_plugin", source, {"models": "broken_vae = broken_plugin:Broken"})
    return site


def run(site, *arguments):
    env = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    return subprocess.run([SCRIPT, *arguments], capture_output=True, text=True, env=env)


@pytest.fixture(scope="module")
def foreign(installed, tmp_path_factory):
    """A run of the example's model on its data set, and the command that made it."""
    output = tmp_path_factory.mktemp("foreign") / "run"
    bindings = ["model.model = @linear_vae()", "linear_vae.beta = 0.5"]
    bindings += ["dataset.name = 'squares'", "run.metrics = ['mig', 'correlation']"]
    flags = [flag for binding in bindings for flag in ("--bind", binding)]
    done = run(installed, "--gin", HERE / "tiny.gin", *flags, "--output", output)
    assert done.returncode == 0, done.stderr
    return output, done


def test_a_foreign_model_runs_and_a_broken_one_is_reported(foreign):
    output, done = foreign
    assert "discrete_mig" in done.stdout
    assert "plug-in 'broken_vae' (models) of broken_plugin 0.1 is broken" in done.stderr
    assert "a_library_that_nobody_has" in done.stderr
    aggregate = output / "metrics/mean/mig/results/aggregate/evaluation.json"
    merged = json.loads(aggregate.read_text())
    assert merged["train_config.linear_vae.beta"] == "0.5"
    scores = output / "metrics/mean/correlation/results/json/evaluation_results.json"
    assert 0 < json.loads(scores.read_text())["correlation"] < 1
    assert (output / "visualizations" / "traversals.gif").is_file()


def with_plugins(site, function, *arguments):
    """In a process of its own: what is registered stays registered."""
    sys.path.insert(0, str(site))
    function(*arguments)


def loaded(path):
    print(type(load_run(path).model).__name__, "is loaded")


def test_its_run_is_read_by_everything_that_reads_runs(foreign, installed, tmp_path):
    """Its recorded configuration is data, and what is installed is registered."""
    output, _ = foreign
    for function, arguments, said in (
        (evaluate_main, [str(output), "--bind", "run.metrics = ['irs']"], "irs"),
        (export_main, [str(output), "--to", "torchscript", "--output", str(tmp_path / "script")],
         "exported"),
        (report_main, [str(output), "--output", str(tmp_path / "page.html")], "1 run"),
        (loaded, output, "LinearVAE is loaded"),
    ):  # fmt: skip
        process = Forked(with_plugins, installed, function, arguments)
        assert process.wait() == 0, process.said
        assert said in process.said
    assert "linear_vae" in (tmp_path / "page.html").read_text()


def test_without_the_plugin_its_run_is_one_line(foreign):
    with pytest.raises(ValueError, match=r"train\.gin.*linear_vae") as caught:
        load_model(foreign[0])
    assert "\n" not in str(caught.value)


def test_asking_for_the_broken_one_says_what_broke(installed, tmp_path):
    arguments = ["--gin", HERE / "tiny.gin", "--bind", "model.model = @broken_vae()"]
    done = run(installed, *arguments, "--output", tmp_path / "run")
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert "broken_plugin 0.1 is broken: ModuleNotFoundError" in last
    assert not (tmp_path / "run").exists()


def test_our_own_are_plugins():
    assert {"vae", "sr_vae", "seq_vae", "res_vae"} <= set(plugins.names("models"))
    assert {"factor_vae_score", "dci", "mig", "sap_score"} <= set(plugins.names("metrics"))
    assert plugins.load().broken == []


def test_unknown_names_and_options():
    with pytest.raises(ValueError, match="unknown data set 'dsprites'; did you mean"):
        load_dataset("dsprites")
    with pytest.raises(ValueError, match=r"dataset\.pth.*did you mean 'path'"):
        load_dataset("dsprites_full", pth="x")
    with pytest.raises(ValueError, match="unknown metric 'mgi'"):
        plugins.find("metrics", "mgi")


def test_a_data_set_in_use_is_shared():
    first = load_dataset("dsprites_full")
    assert load_dataset("dsprites_full") is first
    assert load_dataset("dsprites_noshape") is not first
