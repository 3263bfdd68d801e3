"""A full disk during an export is one line, leaves nothing behind, and is no trouble afterwards."""

import hashlib
import json
import subprocess

import pytest
from finished_runs import colour_run

from srvae_plugin.cli.export import export, export_main

FORMATS = (
    "disentanglement_lib",
    "npz",
    "onnx",
    "parquet",
    "sklearn",
    "torch_export",
    "torchscript",
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return colour_run(tmp_path_factory.mktemp("run"), "vae")


def fill(place):
    """A file that takes all that is left of the disk."""
    path = place / "filler"
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 4096):
                pass
        except OSError:  # full
            pass
    return path


@pytest.mark.parametrize("to", FORMATS)
def test_export_to_a_full_disk(trained, small_disk, capsys, to):
    filler = fill(small_disk)
    command = [str(trained), "--to", to, "--output", str(small_disk / "out")]
    with pytest.raises(SystemExit) as end:
        export_main(command)
    said = capsys.readouterr().err.strip().splitlines()
    assert end.value.code == 2
    assert "No space left on device" in said[-1], said
    assert "cannot write" in said[-1], said
    assert [path.name for path in small_disk.iterdir()] == ["filler"]
    filler.unlink()
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    export_main(command)
    assert (small_disk / "out/export.json").is_file()


def test_export_lists_the_digests_of_its_files(trained, tmp_path):
    export(trained, "torchscript", tmp_path / "out")
    listed = json.loads((tmp_path / "out/export.json").read_text())["sha256"]
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    expected = {
        str(path.relative_to(tmp_path / "out")): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.name != "export.json"
    }
    assert listed == expected
    assert expected
