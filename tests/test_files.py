"""Files appear whole under their final name or not at all, and errors name what was written."""

import os
from pathlib import Path

import pytest

from srvae_plugin import files
from srvae_plugin.files import open_lock, replacing, sync_tree, write_bytes, write_text


@pytest.fixture
def synced(monkeypatch):
    """Inodes that were synchronized, in order, among the renames."""
    events = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor):
        events.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    def noted_replace(source, target):
        replace(source, target)
        events.append("renamed")

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    return events


def test_file_is_on_disk_before_its_name_and_the_name_before_the_return(tmp_path, synced):
    write_text(tmp_path / "new" / "é.json", "é")
    file = tmp_path / "new" / "é.json"
    assert file.read_bytes() == "é".encode()
    assert synced == [file.stat().st_ino, "renamed", file.parent.stat().st_ino]
    assert [path.name for path in file.parent.iterdir()] == ["é.json"]


def test_tree_is_on_disk(tmp_path, synced):
    (tmp_path / "a" / "b").mkdir(parents=True)
    places = [tmp_path / "a" / "b", tmp_path / "a", tmp_path]
    for place in places:
        (place / "file").write_text("x")
    (tmp_path / "link").symlink_to("/nowhere")
    sync_tree(tmp_path)
    everything = places + [place / "file" for place in places]
    assert sorted(synced) == sorted(path.stat().st_ino for path in everything)


def test_failed_write_leaves_what_was_there(tmp_path):
    file = tmp_path / "a.json"
    write_text(file, "old")
    with pytest.raises(ZeroDivisionError), replacing(file) as temporary:
        temporary.write_text("half" * (1 // 0))
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_temporary_name_cannot_be_foreseen(tmp_path):
    names = set()
    for _ in range(5):
        with replacing(tmp_path / "a.json") as temporary:
            temporary.write_text("x")
            names.add(temporary.name)
    assert len(names) == 5


def test_full_disk_is_said_with_the_name_of_the_file(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    file = tmp_path / "weights.safetensors"
    with pytest.raises(OSError, match=f"^cannot write {file}: No space left on device$") as caught:
        write_bytes(file, b"x")
    assert caught.value.errno == 28
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("file/a.json", "file is a file, expected a folder"),
        ("file/deep/a.json", "file is a file, expected a folder"),
        ("folder", "Is a directory"),
        ("n" * 300, "File name too long"),
    ],
)
def test_what_cannot_be_written_is_named(tmp_path, name, reason):
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match=rf"^cannot write {tmp_path / name}: .*{reason}$"):
        write_text(tmp_path / name, "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_a_long_name_that_is_legal_is_written(tmp_path):
    file = tmp_path / ("é" * 125 + ".json")
    write_text(file, "x")
    assert file.read_text() == "x"


def test_error_of_a_file_that_is_read_meanwhile_keeps_its_name(tmp_path):
    with pytest.raises(FileNotFoundError, match="source"), replacing(tmp_path / "a.json"):
        Path(tmp_path / "source").read_bytes()


def test_lock_is_made_and_keeps_its_content(tmp_path):
    for _ in range(2):
        with open_lock(tmp_path / ".lock") as lock:
            lock.write(b"me")
    assert (tmp_path / ".lock").read_bytes() == b"me"


def test_lock_follows_no_link(tmp_path):
    target = tmp_path / "precious"
    target.write_text("years of work")
    (tmp_path / ".lock").symlink_to(target)
    (tmp_path / ".other").symlink_to(tmp_path / "made")
    for name in (".lock", ".other"):
        with pytest.raises(OSError, match=f"{name} is a link"):
            open_lock(tmp_path / name)
    assert target.read_text() == "years of work"
    assert not (tmp_path / "made").exists()


def test_systems_that_cannot_synchronize_a_folder_go_on(tmp_path, monkeypatch):
    def unsupported(path, flags, *mode):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files.os, "open", unsupported)
    files.sync_folder(tmp_path)
