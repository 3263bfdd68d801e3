"""Arrays of an npz whose bytes are not what they should be: the right values, or one line."""

import io
import tracemalloc
import zipfile

import numpy as np
import pytest

from srvae_plugin.data.storage.npz_arrays import MappedArray, array_names, read_array

RNG = np.random.RandomState
SAVERS = pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
ARRAYS = {
    "codes": RNG(0).normal(size=(40, 3)),
    "factors": np.asfortranarray(RNG(1).randint(5, size=(40, 2))),
    "words": np.array(["a", "bc"]),
    "none": np.empty((0, 3)),
}


def read_all(file):
    return {name: read_array(file, name) for name in array_names(file)}


def map_codes(file):
    return {"codes": MappedArray(file, "codes").array}


@SAVERS
@pytest.mark.parametrize("read", [read_all, map_codes])
def test_damage_gives_the_right_values_or_one_line(tmp_path, monkeypatch, save, read):
    monkeypatch.setenv("SRVAE_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "a.npz"
    save(file, **ARRAYS)
    whole, random_state, refused = file.read_bytes(), RNG(3), []
    for trial in range(150):
        damaged = bytearray(whole)
        for _ in range((0, 1, 30)[trial % 3]):
            damaged[random_state.randint(len(whole))] ^= 1 << random_state.randint(8)
        if trial % 3 == 0:
            del damaged[random_state.randint(len(whole)) :]
        file.write_bytes(damaged)
        try:
            found = read(file)
        except ValueError as error:
            refused.append(str(error))
            continue
        assert set(found) == (set(ARRAYS) if read is read_all else {"codes"})
        for name, array in found.items():
            np.testing.assert_array_equal(array, ARRAYS[name])
    assert len(refused) > 100
    assert all(line.startswith(str(file)) and "\n" not in line for line in refused)


def npy(shape, values=b"", dtype="<f8"):
    stream = io.BytesIO()
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + values


def zip_of(file, contents, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("codes.npy", contents)


def peak_of(call):
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"a\.npz") as caught:
            call()
        return str(caught.value), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("shape", [(10**13,), (10**30, 3), (-4, 5)])
def test_shape_that_the_file_cannot_hold_takes_no_memory(tmp_path, method, shape):
    zip_of(tmp_path / "a.npz", npy(shape, bytes(800)), method)
    message, peak = peak_of(lambda: read_array(tmp_path / "a.npz", "codes"))
    assert "its header says" in message
    assert peak < 2e6


def test_what_grows_out_of_all_proportion_takes_no_memory(tmp_path):
    """A deflated array of zeros, a thousandth of its size in the file."""
    file, zeros = tmp_path / "a.npz", bytes(1 << 22)
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("codes.npy", "w") as stream,
    ):
        stream.write(npy((75 << 19,)))
        for _ in range(75):
            stream.write(zeros)
    assert file.stat().st_size < 400_000
    message, peak = peak_of(lambda: read_array(file, "codes"))
    assert "0.3 GB of memory" in message
    assert peak < 2e6


def test_other_packings_than_numpys_are_refused(tmp_path):
    zip_of(tmp_path / "a.npz", npy((10,), bytes(80)), zipfile.ZIP_BZIP2)
    message, _ = peak_of(lambda: read_array(tmp_path / "a.npz", "codes"))
    assert "expected it stored or deflated" in message


def test_two_members_of_one_name_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("codes.npy", npy((1,), bytes(8)))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("codes.npy", npy((1,), bytes([1] * 8)))
    message, _ = peak_of(lambda: array_names(tmp_path / "a.npz"))
    assert "two members 'codes.npy'" in message
