"""The checks that authors of plug-ins run, as a command on installed packages."""

import json
import os
import subprocess
import sys

import pytest
from example_packages import EXAMPLE, install_example, write_package

SOURCE = (EXAMPLE / "example_plugin" / "model.py").read_text()
LOSSES = "vae_losses(bernoulli_nll(logits, x), posterior, self.beta)"
# What is written in place of what, the check that fails, and what its author is told.
BROKEN = {
    "missing_method": (
        ("def decode(", "def decoder("),
        "1x64x64: the constructor leaves parameters to build",
        "LinearVAE lacks decode(): expected every abstract method of its base class to be defined, "
        "under that name",
    ),
    "wrong_shape": (
        ("return self.to_image(z)", "return self.to_image(z).flatten(1)"),
        "1x64x64: decode gives an image for each code",
        "the result of LinearVAE.decode() has shape (4, 4096): expected (4, 1, 64, 64), as the "
        "images have",
    ),
    "nan": (
        ("(x.flatten(1))", "(x.flatten(1).log())"),
        "1x64x64: losses are finite",
        "the objective 'vae' of LinearVAE.losses() for black images is nan: expected a finite "
        "number",
    ),
    "wrong_keys": (
        (LOSSES, f"{LOSSES}._replace(objectives={{'loss': logits.mean()}})"),
        "1x64x64: objectives have the keys of the parameter groups",
        "LinearVAE.losses() gives objectives ['loss'], LinearVAE.parameter_groups() has ['vae']: "
        "expected the same keys; rename the objective or override parameter_groups()",
    ),
    "import_error": (
        ("import math", "import maths_that_nobody_has"),
        "it loads",
        "ModuleNotFoundError: No module named 'maths_that_nobody_has' (site/import_error.py, line "
        "3, in <module>); import_error:LinearVAE in "
        '[project.entry-points."srvae_plugin.models"]',
    ),
}
MAIN = """
import contextlib, io, json, sys
from srvae_plugin.testing.__main__ import main
for arguments in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main(arguments)
        except SystemExit as stop:
            status = stop.code
    print(json.dumps([status, out.getvalue(), err.getvalue()]))
"""


CALLS = {name: [name] for name in BROKEN} | {
    "twice": ["twice"],
    "not installed": ["nobody_has_it"],
    "registers nothing": ["empty_package"],
    "unknown name": ["wrong_keys", "--only", "wrong_key"],
    "bad shape": ["wrong_keys", "--shape", "64x64"],
    "bad binding": ["wrong_keys", "--bind", "wrong_keys.gamma = 1"],
    "required": ["srvae_plugin", "--only", "vae", "--shape", "1x64x64"],
    "bound": ["srvae_plugin", "--only", "vae", "--shape", "1x64x64", "--bind", "vae.beta = 2.0"],
    "other shape": ["example-plugin", "--only", "linear_vae", "--shape", "2x3x4"],
    "refused": [
        *("srvae_plugin", "--only", "vae", "--shape", "1x32x32", "--bind", "vae.beta = 2.0"),
        *("--bind", "encoder.encoder_fn = @srvae_encoder"),
    ],
    "exporter": ["srvae_plugin", "--only", "torchscript"],
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The example package as pip installs it, and others whose model is broken."""
    site = install_example(tmp_path_factory.mktemp("example"))
    for name, ((right, wrong), *_) in BROKEN.items():
        assert SOURCE.count(right) == 1
        entry_points = {"models": f"{name} = {name}:LinearVAE"}
        write_package(site, name, SOURCE.replace(right, wrong), entry_points)
    write_package(site, "twice", SOURCE, {"models": "linear_vae = twice:LinearVAE"})
    (site / "empty_package.py").write_text("")
    return site


def python(site, *arguments):
    env = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=env, cwd=site)


@pytest.fixture(scope="module")
def told(site):
    """(status, lines, lines of stderr) of each of CALLS; one process, since its start is slow."""
    done = python(site, "-c", MAIN, json.dumps(list(CALLS.values())))
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines()]
    return {
        name: (status, out.splitlines(), error.splitlines())
        for name, (status, out, error) in zip(CALLS, results, strict=True)
    }


def test_the_example_passes(site):
    done = python(site, "-m", "srvae_plugin.testing", "example_plugin")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    *lines, summary = done.stdout.splitlines()
    assert all(line.startswith("ok      ") for line in lines)
    assert summary == f"{len(lines)} ok, 0 FAILED, 0 skipped"
    for subject in ("model linear_vae 1x64x64", "model linear_vae 3x64x64"):
        assert f"ok      {subject}: training stays finite" in lines
    assert "ok      data set squares: indices stand for observations" in lines
    assert "ok      metric correlation: the scale of latents does not matter" in lines


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plug_in_is_told_what_is_wrong(told, name):
    _, check, message = BROKEN[name]
    status, lines, _ = told[name]
    assert status == 1
    subject = f"model {name}" + (": " if check == "it loads" else " ")
    assert f"FAILED  {subject}{check}: {message}" in lines


def test_a_name_that_is_taken_is_a_failure(told):
    status, lines, _ = told["twice"]
    assert status == 1
    assert lines[0].startswith(
        "FAILED  model linear_vae: it loads: the name 'linear_vae' is taken by example_plugin"
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("not installed", "'nobody_has_it' is not installed here"),
        (
            "registers nothing",
            "'empty_package' registers nothing: write in its pyproject.toml "
            '[project.entry-points."srvae_plugin.models"] my_vae = "empty_package:MyVAE"',
        ),
        ("unknown name", "did you mean 'wrong_keys'?"),
        ("bad shape", "'64x64': expected CxHxW"),
        ("bad binding", "'wrong_keys' has no parameter 'gamma'"),
    ],
)
def test_what_cannot_be_checked_is_bad_usage(told, call, message):
    status, lines, errors = told[call]
    assert (status, lines) == (2, [])
    assert message in errors[-1]


def test_hyperparameters_can_be_bound(told):
    status, lines, _ = told["required"]
    assert status == 1
    assert (
        "FAILED  model vae 1x64x64: the constructor leaves parameters to build: the argument beta "
        "has no value: expected a default, or --bind 'vae.beta = ...'" in lines
    )
    assert told["bound"][0] == 0


def test_other_shapes_can_be_asked_for_and_refused(told):
    status, lines, _ = told["other shape"]
    assert status == 0
    assert "ok      model linear_vae 2x3x4: training stays finite" in lines
    assert not any("metric" in line for line in lines)
    status, lines, _ = told["refused"]
    assert status == 1
    assert lines[1].startswith("FAILED  model vae 1x32x32: build: it refuses: ValueError: ")


def test_an_exporter_of_ours_passes(told):
    assert told["exporter"][0] == 0
    assert told["exporter"][1][-1] == "2 ok, 0 FAILED, 0 skipped"
