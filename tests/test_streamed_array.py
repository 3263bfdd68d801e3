"""Arrays written to the cache piece by piece: bounded memory, whole or not at all, made once."""

import os
import time
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from srvae_plugin.data.storage import array_cache
from srvae_plugin.data.storage.array_cache import streamed_array
from srvae_plugin.data.storage.npz_stream import npy_member

EXPECTED = np.arange(1, 121, dtype=np.uint8).reshape(10, 3, 4)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SRVAE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def get(chunks=(EXPECTED[:4], EXPECTED[4:8], EXPECTED[8:]), name="s-v1.npy"):
    return streamed_array(name, (10, 3, 4), lambda: iter(chunks))


def test_pieces_make_the_array(folder):
    array = get()
    assert isinstance(array, np.memmap)
    np.testing.assert_array_equal(array, EXPECTED)
    np.testing.assert_array_equal(np.load(folder / "s-v1.npy"), EXPECTED)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 0
    assert [file.name for file in folder.iterdir()] == ["s-v1.npy"]
    get(chunks=None)  # not made again


@pytest.mark.parametrize("contents", [b"", b"text" * 50, "half", "zeros"])
def test_a_damaged_one_is_made_again(folder, contents, caplog):
    get()
    file = folder / "s-v1.npy"
    whole = file.read_bytes()
    file.unlink()
    if contents == "half":
        contents = whole[:-20]
    elif contents == "zeros":
        contents = whole[:-120] + b"\0" * 120
    file.write_bytes(contents)
    np.testing.assert_array_equal(get(), EXPECTED)
    assert f"{file} cannot be used and will be made again" in caplog.text
    assert file.read_bytes() == whole


def failing_reader():
    yield EXPECTED[:4]
    raise ValueError("the file ends too early")


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        ([EXPECTED[:4]], "expected 10 rows, got 4"),
        ([EXPECTED, EXPECTED], "expected 10 rows, got 20 or more"),
        ([EXPECTED[:, :2]], r"expected rows of \(3, 4\) bytes, got \(2, 4\)"),
        ([EXPECTED.astype(np.int16)], "expected rows"),
        (failing_reader(), "the file ends too early"),
    ],
)
def test_wrong_pieces_leave_nothing(folder, chunks, message):
    with pytest.raises(ValueError, match=message):
        get(chunks)
    assert list(folder.iterdir()) == []


@pytest.fixture
def large(monkeypatch):
    """Arrays of this size are too large to be kept in memory."""
    monkeypatch.setattr(array_cache, "_KEPT_IN_MEMORY", 119)


def full(descriptor):
    raise OSError(28, "No space left on device")


def test_a_full_disk_is_said_before_any_work(folder, monkeypatch, large):
    def reader():
        pytest.fail("read in vain")
        yield

    usage = array_cache.shutil.disk_usage("/")._replace(free=119)
    monkeypatch.setattr(array_cache.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OSError, match=r"s-v1\.npy of 0\.00 GB.*are free.*set SRVAE_CACHE"):
        get(reader())
    assert list(folder.iterdir()) == []


def test_a_disk_that_fills_up_is_said(folder, monkeypatch, large):
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left.*set SRVAE_CACHE"):
        get()
    assert list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_said(folder, large):
    folder.write_text("a file where the folder should be")
    with pytest.raises(OSError, match=r"cannot write the cache file.*set SRVAE_CACHE"):
        get()


@pytest.mark.parametrize("trouble", ["full", "file"])
def test_what_is_not_large_stays_in_memory(folder, monkeypatch, caplog, trouble):
    if trouble == "full":
        monkeypatch.setattr(os, "fsync", full)
    else:
        folder.write_text("a file where the folder should be")
    caplog.set_level("WARNING")
    first = get()
    np.testing.assert_array_equal(first, EXPECTED)
    assert not first.flags.writeable
    (record,) = caplog.records
    assert "cannot write the cache" in record.getMessage()
    assert get(chunks=None) is first


def test_what_is_wrong_with_the_data_is_not_said_of_the_cache(folder, monkeypatch):
    def reader():
        yield EXPECTED[:4]
        raise OSError(5, "Input/output error", "the data")

    with pytest.raises(OSError, match=r"^\[Errno 5\] Input/output error: 'the data'$"):
        streamed_array("s-v1.npy", (10, 3, 4), reader)
    assert list(folder.iterdir()) == []


def test_one_makes_it_and_the_others_wait(folder):
    made = []

    def reader():
        made.append(time.monotonic())
        for row in EXPECTED:
            time.sleep(0.01)
            yield row[None]

    def work(_):
        return streamed_array("s-v1.npy", (10, 3, 4), reader)

    with ThreadPoolExecutor(8) as pool:
        for array in pool.map(work, range(8)):
            np.testing.assert_array_equal(array, EXPECTED)
    assert len(made) == 1
    assert [file.name for file in folder.iterdir()] == ["s-v1.npy"]


def test_it_works_without_locks(folder, monkeypatch):
    import fcntl

    def unsupported(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    np.testing.assert_array_equal(get(), EXPECTED)
    assert [file.name for file in folder.iterdir()] == ["s-v1.npy"]


def test_what_a_killed_process_left_is_deleted(folder):
    folder.mkdir()
    old, fresh = folder / ".s-v1.npy.12-ab", folder / ".s-v1.npy.13-cd"
    other = folder / ".t-v1.npy.12-ab"
    for file in (old, fresh, other):
        file.write_text("half")
    for file in (old, other):
        os.utime(file, (time.time() - 700,) * 2)
    get()
    assert {file.name for file in folder.iterdir()} == {"s-v1.npy", fresh.name, other.name}


def test_memory_is_that_of_one_piece(folder):
    shape = (64, 1000, 1000)
    tracemalloc.start()
    try:
        rows = (np.full((1, *shape[1:]), 1 + i, np.uint8) for i in range(shape[0]))
        array = streamed_array("large-v1.npy", shape, lambda: rows)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(array[:, 5, 5], 1 + np.arange(64))
    assert peak < 5e6


# ---------------------------------------------------------------- where the pieces come from


ARRAY = np.arange(1, 7 * 5 * 4 + 1, dtype=np.uint16).reshape(7, 5, 4)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_array_of_an_npz_is_read_in_parts(tmp_path, save):
    save(tmp_path / "a.npz", first=np.zeros(3), wanted=ARRAY, last=np.ones((2, 2)))
    member = npy_member(tmp_path / "a.npz", "wanted")
    assert (member.shape, member.dtype) == ((7, 5, 4), np.uint16)
    parts = list(member.chunks((5, 4), 3))
    assert [len(part) for part in parts] == [3, 3, 1]
    np.testing.assert_array_equal(np.concatenate(parts), ARRAY)
    mapped = member.mapped((35, 4))
    if save is np.savez:
        assert isinstance(mapped, np.memmap)
        np.testing.assert_array_equal(mapped, ARRAY.reshape(35, 4))
    else:
        assert mapped is None


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_changed_bytes_fail_the_checksum(tmp_path, save):
    file = tmp_path / "a.npz"
    noise = np.random.RandomState(0).randint(256, size=(50, 400)).astype(np.uint8)
    save(file, wanted=noise)
    with zipfile.ZipFile(file) as archive:
        middle = archive.getinfo("wanted.npy").header_offset + 9000
    contents = bytearray(file.read_bytes())
    contents[middle] ^= 1
    file.write_bytes(contents)
    with pytest.raises(Exception, match=r"CRC-32|decompressing"):
        list(npy_member(file, "wanted").chunks((400,), 7))


def test_an_npz_written_by_python_2_is_read(tmp_path):
    np.savez(tmp_path / "new.npz", wanted=ARRAY)
    with (
        zipfile.ZipFile(tmp_path / "new.npz") as new,
        zipfile.ZipFile(tmp_path / "old.npz", "w") as old,
    ):
        old.writestr("wanted.npy", new.read("wanted.npy").replace(b"(7, 5, 4)  ", b"(7L, 5L, 4)"))
    np.testing.assert_array_equal(
        npy_member(Path(tmp_path / "old.npz"), "wanted").mapped((7, 5, 4)), ARRAY
    )


def test_objects_are_never_unpickled(tmp_path):
    np.savez(tmp_path / "a.npz", wanted=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="plain numbers"):
        npy_member(tmp_path / "a.npz", "wanted")
