"""With too little memory a command says so in one line, and leaves nothing half-written."""

import resource
from pathlib import Path

import pytest
from finished_runs import colour_run
from forked import Forked

from srvae_plugin.cli.evaluate import evaluate_main
from srvae_plugin.cli.export import export_main
from srvae_plugin.cli.report import report_main

MEGABYTES = (2, 30, 70)
MANY = range(0, 160, 20)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of 18 MB of weights."""
    return colour_run(tmp_path_factory.mktemp("run"), "vae")


def limited(megabytes, main, words):
    """Run a command that may take so much more memory than its process has already."""
    has = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (has + megabytes * 2**20,) * 2)
    main(words)


def require_said_or_done(trained, folder, name, megabytes):
    """Return the exit status."""
    output = folder / f"{name}-{megabytes}"
    main, words = {
        "evaluate": (evaluate_main, ["--overwrite", "--bind", "run.metrics = ['mig']"]),
        "torchscript": (export_main, ["--to", "torchscript", "--output", str(output)]),
        "torch_export": (export_main, ["--to", "torch_export", "--output", str(output)]),
        # Its trees load a compiler, whose C library ends the process by itself.
        "npz": (export_main, ["--to", "npz", "--output", str(output),
                              "--bind", "export_npz.importance = False"]),
        "report": (report_main, ["--output", str(output.with_suffix(".html"))]),
    }[name]  # fmt: skip
    process = Forked(limited, megabytes, main, [str(trained), *words])
    status = process.wait()
    assert status in (0, 2), process.said
    assert "Traceback" not in process.said
    if status:
        lines = [line for line in process.said.splitlines() if ": error: " in line]
        assert len(lines) == 1, process.said
        assert "out of memory" in lines[0], process.said
        assert not list(folder.glob(f".{output.name}*.tmp*"))
        assert not output.exists()
    return status


def test_an_export_by_torchs_own_writer(trained, tmp_path):
    """It would end the process."""
    statuses = [require_said_or_done(trained, tmp_path, "torchscript", m) for m in MEGABYTES]
    assert statuses[0] == 2
    assert require_said_or_done(trained, tmp_path, "torchscript", 2000) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["evaluate", "torchscript", "torch_export", "npz", "report"])
def test_little_memory(trained, tmp_path, name, capsys):
    statuses = [require_said_or_done(trained, tmp_path, name, m) for m in MANY]
    with capsys.disabled():
        print(f"\n{name}: {statuses.count(2)} times one line, {statuses.count(0)} times done")
