"""The cache of arrays: made once, mended when damaged, never half-written."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from srvae_plugin.data.storage import array_cache

EXPECTED = np.arange(1, 101, dtype=np.uint8).reshape(10, 10)


def test_cache_folder_follows_the_environment(monkeypatch):
    monkeypatch.setenv("SRVAE_CACHE", "/a")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    assert array_cache.cache_folder() == Path("/a")
    monkeypatch.delenv("SRVAE_CACHE")
    assert array_cache.cache_folder() == Path("/b/srvae_plugin")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/c")
    assert array_cache.cache_folder() == Path("/c/.cache/srvae_plugin")


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
    def disk_full(stream, array, allow_pickle):
        stream.write(b"some bytes")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", disk_full)
    np.testing.assert_array_equal(get(Maker()), EXPECTED)
    assert "No space left" in caplog.text
    assert list(folder.iterdir()) == []


def test_many_at_once_are_harmless(folder):
    make = Maker()
    with ThreadPoolExecutor(8) as pool:
        for array in pool.map(lambda _: get(make), range(16)):
            np.testing.assert_array_equal(array, EXPECTED)
    assert [file.name for file in folder.iterdir()] == ["small-v1.npy"]
