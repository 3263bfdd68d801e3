"""Checkpoints fall back to the one before; folders are locked and never lost between renames."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from srvae_plugin import files
from srvae_plugin.data.storage import manifest
from srvae_plugin.data.storage.lock import only_writer
from srvae_plugin.training import checkpoint


def state():
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    return checkpoint.State(model, {}, np.random.RandomState(0))


def test_damaged_checkpoint_falls_back_to_the_one_before(tmp_path, caplog):
    path, now = tmp_path / "checkpoint.pt", state()
    for step in (1, 2, 3):
        with torch.no_grad():
            now.model.weight.fill_(step)
        checkpoint.save(path, checkpoint.Checkpoint(step, 0.0), "", now)
    whole = path.read_bytes()
    assert checkpoint.load(path, "", now).step == 3
    random = np.random.RandomState(0)
    for place in random.randint(8 * len(whole), size=100):
        content = bytearray(whole)
        content[place // 8] ^= 1 << (place % 8)
        path.write_bytes(content)
        assert checkpoint.load(path, "", now).step == 2
        assert (now.model.weight == 2).all()
    assert "continuing from the one before" in caplog.text
    # The damaged one does not take the whole one's place.
    checkpoint.save(path, checkpoint.Checkpoint(4, 0.0), "", now)
    assert checkpoint.steps_done(checkpoint.before(path)) == 2
    path.write_bytes(whole[:100])
    checkpoint.before(path).unlink()
    with pytest.raises(ValueError, match="is damaged or of another version"):
        checkpoint.load(path, "", now)


def test_a_second_process_is_told_who_writes(tmp_path):
    code = f"""
from pathlib import Path
from srvae_plugin.data.storage.lock import only_writer
with only_writer(Path({str(tmp_path / "run")!r})):
    print("in", flush=True)
    input()
"""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe) as other:
        assert other.stdout.readline() == b"in\n"
        refusal = pytest.raises(ValueError, match=rf"is being written by .*process {other.pid} on ")
        with refusal, only_writer(tmp_path / "run"):
            pass
        other.kill()
    with only_writer(tmp_path / "run"):  # the lock ended with its process
        assert [path.name for path in (tmp_path / "run").iterdir()] == [".lock"]
    assert not list((tmp_path / "run").iterdir())


def test_a_kill_between_two_renames_loses_no_folder(tmp_path, monkeypatch):
    place = tmp_path / "scores"
    with files.new_folder(place) as folder:
        (folder / "a").write_text("old")
    dead = subprocess.Popen(["true"])
    dead.wait()
    place.rename(tmp_path / f".scores.{dead.pid}.old")
    with pytest.raises(ValueError, match="exists already"), files.new_folder(place):
        pass
    assert (place / "a").read_text() == "old"
    with files.new_folder(place, overwrite=True) as folder:
        (folder / "a").write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["scores"]
    assert (place / "a").read_text() == "new"


def test_sha256sum_reads_the_manifest(tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "more/b.bin").write_bytes(b"\0\1")
    (tmp_path / "a b.txt").write_text("text")
    manifest.write(tmp_path, "evaluation")
    command = ["sha256sum", "--check", "--strict", manifest.MANIFEST]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["a b.txt: OK", "more/b.bin: OK"]
    assert manifest.check(tmp_path / "more/b.bin")
    (tmp_path / "more/b.bin").write_bytes(b"\0\0")
    with pytest.raises(ValueError, match=r"b\.bin is damaged .* score again: --overwrite"):
        manifest.check(tmp_path / "more/b.bin")


def test_a_finished_run_keeps_one_checkpoint(tmp_path):
    """The last; and both, if that is not whole."""
    path = tmp_path / "checkpoint.pt"
    now, config = state(), "model.training_steps = 9"
    for keep in (True, False):
        for step in (1, 2):
            checkpoint.save(path, checkpoint.Checkpoint(step, 0.0), config, now)
        checkpoint.finish(path, keep)
        assert not checkpoint.before(path).exists()
        assert path.is_file() == keep
    for step in (1, 2):
        checkpoint.save(path, checkpoint.Checkpoint(step, 0.0), config, now)
    path.write_bytes(path.read_bytes()[:-1])
    checkpoint.finish(path, True)
    assert checkpoint.steps_done(path) == 1
