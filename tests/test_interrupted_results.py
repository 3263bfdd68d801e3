"""A step whose results were cut off between two files is not taken for a finished one."""

import os

import pytest

from srvae_plugin.runs import results


class Killed(BaseException):
    """Stops a process's Python as a signal would, wherever it is."""


def killed_before(call, monkeypatch, write):
    """Whether `write` was stopped just before it put its file number `call` in place."""
    left, replace = [call], os.replace

    def counting(*arguments, **options):
        if not left[0]:
            raise Killed
        left[0] -= 1
        return replace(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", counting)
        try:
            write()
        except Killed:
            return True
    return False


@pytest.mark.parametrize("records", [None, {"factors": {"names": ["a"]}, "z": {"b": 1}}])
def test_a_step_is_complete_only_with_its_last_file(tmp_path, monkeypatch, records):
    def write():
        folder = tmp_path / str(call) / "results"
        results.write_step(folder, "evaluation", {"score": 1.0}, "a.b = 1\n", None, records)

    call = 0
    while killed_before(call, monkeypatch, write):
        assert not results.is_complete(tmp_path / str(call), "evaluation"), call
        call += 1
    assert call == 4 + len(records or {})
    assert results.is_complete(tmp_path / str(call), "evaluation")


def test_a_step_that_carries_another_s_files_along_is_complete_with_its_own_alone(tmp_path):
    train, evaluation = tmp_path / "model" / "results", tmp_path / "metric" / "results"
    results.write_step(train, "train", {"loss": 1.0}, "a.b = 1\n")
    results.write_step(evaluation, "evaluation", {"score": 1.0}, "a.b = 1\n", train)
    assert results.is_complete(tmp_path / "metric", "train")
    (evaluation / "aggregate" / "evaluation.json").unlink()
    assert not results.is_complete(tmp_path / "metric", "evaluation")
