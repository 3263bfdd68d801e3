"""The cache of arrays: made once, mended when damaged, never half-written."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from srvae_plugin.data.storage import array_cache, cache_folder, checked_file

EXPECTED = np.arange(1, 101, dtype=np.uint8).reshape(10, 10)


def test_cache_folder_follows_the_environment(monkeypatch):
    monkeypatch.setenv("SRVAE_CACHE", "/a")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    assert cache_folder.cache_folder() == Path("/a")
    monkeypatch.delenv("SRVAE_CACHE")
    assert cache_folder.cache_folder() == Path("/b/srvae_plugin")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/c")
    assert cache_folder.cache_folder() == Path("/c/.cache/srvae_plugin")


class Maker:
    """Counts how often the array was made."""

    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return EXPECTED.copy()


def get(make, name="small-v1.npy"):
    return array_cache.cached_array(name, (10, 10), make, lambda array: bool(array.all()))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SRVAE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_array_is_made_once_and_mapped(folder):
    make = Maker()
    for _ in range(2):
        array = get(make)
        assert isinstance(array, np.memmap)
        np.testing.assert_array_equal(array, EXPECTED)
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    assert make.calls == 1
    assert [file.name for file in folder.iterdir()] == ["small-v1.npy"]


@pytest.mark.parametrize("damage", ["empty", "truncated", "text", "shape", "dtype", "zeros", "zip"])
def test_damaged_cache_is_made_again(folder, caplog, damage):
    make = Maker()
    get(make)
    file = folder / "small-v1.npy"
    whole = file.read_bytes()
    file.unlink()
    with file.open("wb") as stream:
        match damage:
            case "shape":
                np.save(stream, EXPECTED[:5])
            case "dtype":
                np.save(stream, EXPECTED.astype(np.int16))
            case "zip":
                np.savez(stream, EXPECTED)
            case _:
                half = whole[: len(whole) - 50]
                contents = {"empty": b"", "truncated": half, "text": b"hello" * 99}
                stream.write(contents.get(damage, half + b"\0" * 50))
    np.testing.assert_array_equal(get(make), EXPECTED)
    assert make.calls == 2
    assert len(caplog.records) == 1
    assert str(file) in caplog.text
    assert file.read_bytes() == whole


def test_unwritable_cache_falls_back_to_memory(folder, caplog):
    folder.write_text("a file where the folder should be")
    make = Maker()
    first = get(make)
    assert len(caplog.records) == 1
    assert "SRVAE_CACHE" in caplog.text
    assert get(make) is first
    assert make.calls == 1
    assert not first.flags.writeable


def test_interrupted_write_leaves_nothing(folder, monkeypatch, caplog):
    def disk_full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", disk_full)
    np.testing.assert_array_equal(get(Maker()), EXPECTED)
    assert "No space left" in caplog.text
    assert list(folder.iterdir()) == []


def test_many_at_once_are_harmless(folder):
    make = Maker()
    with ThreadPoolExecutor(8) as pool:
        for array in pool.map(lambda _: get(make), range(16)):
            np.testing.assert_array_equal(array, EXPECTED)
    assert [file.name for file in folder.iterdir()] == ["small-v1.npy"]


# ------------------------------------------------------- damage that numpy alone does not see


@pytest.mark.parametrize("position", [3, 70, 130, -60, -20, -9, -1])
def test_each_flipped_bit_is_found(folder, caplog, position):
    make = Maker()
    get(make)
    file = folder / "small-v1.npy"
    whole = file.read_bytes()
    damaged = bytearray(whole)
    damaged[position] ^= 4
    file.write_bytes(damaged)
    np.testing.assert_array_equal(get(make), EXPECTED)
    assert make.calls == 2
    assert len(caplog.records) == 1
    assert "cannot be used and will be made again" in caplog.text
    assert file.read_bytes() == whole


def test_numpy_reads_the_file_as_it_is(folder):
    get(Maker())
    np.testing.assert_array_equal(np.load(folder / "small-v1.npy"), EXPECTED)


def test_file_of_an_older_version_is_made_again(folder, caplog):
    folder.mkdir()
    np.save(folder / "small-v1.npy", EXPECTED)
    make = Maker()
    get(make)
    get(make)
    assert make.calls == 1
    assert caplog.text.count("an older version wrote it") == 1


def test_large_file_is_read_whole_once_a_day(folder, monkeypatch):
    """Not by each process: a note in the cache says when."""
    monkeypatch.setattr(checked_file, "_ALWAYS", 50)
    monkeypatch.setattr(checked_file, "_OFTEN", 50)
    reads = []
    crc32 = checked_file.zlib.crc32

    def counted(data, value=0):
        reads.append(len(data))
        return crc32(data, value)

    get(Maker())
    monkeypatch.setattr(checked_file.zlib, "crc32", counted)
    for _ in range(3):
        checked_file._checked.clear()  # as a new process has it
        get(Maker())
    assert reads == [228]
    (note,) = (folder / "checked").iterdir()
    os.utime(note, (0, 0))
    checked_file._checked.clear()
    get(Maker())
    assert reads == [228, 228]


# ----------------------------------------------------------------- links and other users' files


def test_no_link_is_followed(folder, tmp_path, caplog):
    target = tmp_path / "precious"
    get(Maker(), "small-v1.npy")
    (folder / "small-v1.npy").rename(target)
    whole = target.read_bytes()
    (folder / "small-v1.npy").symlink_to(target)
    (folder / ".s-v1.npy.lock").symlink_to(target)
    (folder / "s-v1.npy").symlink_to(tmp_path / "new")
    make = Maker()
    np.testing.assert_array_equal(get(make), EXPECTED)
    np.testing.assert_array_equal(
        array_cache.streamed_array("s-v1.npy", (10, 10), lambda: iter([EXPECTED])), EXPECTED
    )
    assert make.calls == 1
    assert "it is a link" in caplog.text
    assert target.read_bytes() == whole
    assert not (tmp_path / "new").exists()
    assert not (folder / "small-v1.npy").is_symlink()
    assert not (folder / "s-v1.npy").is_symlink()


as_root = pytest.mark.skipif(
    not hasattr(os, "getuid") or os.getuid() != 0, reason="gives files to another user"
)


@as_root
@pytest.mark.parametrize("whose", ["file", "folder"])
def test_files_of_another_user_are_not_trusted(folder, caplog, whose):
    get(Maker())
    other = folder / "small-v1.npy" if whose == "file" else folder
    os.chown(other, 12345, -1)
    make = Maker()
    for _ in range(2):
        array = get(make)
        np.testing.assert_array_equal(array, EXPECTED)
    assert make.calls == 1
    assert str(array.filename) == str(folder / "user-0" / "small-v1.npy")
    (record,) = caplog.records
    assert f"{other} belongs to another user (number 12345)" in record.getMessage()


@as_root
def test_own_folder_that_somebody_else_made_is_not_used(folder, caplog):
    get(Maker())
    (folder / "user-0").mkdir()
    for place in (folder, folder / "user-0"):
        os.chown(place, 12345, -1)
    np.testing.assert_array_equal(get(Maker()), EXPECTED)
    assert "keeping 0 MB in memory" in caplog.text
    assert list((folder / "user-0").iterdir()) == []


# ------------------------------------------------------------------------------- a full disk


@as_root
@pytest.mark.parametrize("streamed", [False, True])
def test_full_disk(tmp_path, monkeypatch, caplog, streamed, small_disk):
    monkeypatch.setenv("SRVAE_CACHE", str(small_disk / "cache"))
    rows = np.random.RandomState(0).randint(1, 256, (300, 10_000)).astype(np.uint8)

    def make():
        if streamed:
            return array_cache.streamed_array("x.npy", rows.shape, lambda: iter(rows[:, None, :]))
        return array_cache.cached_array("x.npy", rows.shape, lambda: rows.copy(), np.any)

    # What is said to be free is not, as under a quota.
    usage = array_cache.shutil.disk_usage("/")
    monkeypatch.setattr(array_cache.shutil, "disk_usage", lambda path: usage)
    caplog.set_level("WARNING")
    made = make()
    np.testing.assert_array_equal(made, rows)
    (record,) = caplog.records
    assert "No space left on device" in record.getMessage()
    assert list((small_disk / "cache").iterdir()) == []
    del made
    monkeypatch.setenv("SRVAE_CACHE", str(tmp_path / "room"))
    assert isinstance(make(), np.memmap)
