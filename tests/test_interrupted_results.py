"""A step whose results were cut off between two files is not taken for a finished one."""

import os

import pytest

from srvae_plugin.runs.directory import Records, StepDirectory


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


@pytest.mark.parametrize("records", [Records(), Records({"name": "a"}, {"b": 1})])
def test_a_step_is_complete_only_with_its_last_file(tmp_path, monkeypatch, records):
    def step(name):
        return StepDirectory(tmp_path / name, "evaluation")

    def write():
        step(str(call)).write({"score": 1.0}, "a.b = 1\n", None, records)

    call = 0
    while killed_before(call, monkeypatch, write):
        assert not step(str(call)).is_complete(), call
        call += 1
    assert call == 5 + len(records.by_name("evaluation"))
    assert step(str(call)).is_complete()


def test_a_step_that_carries_another_s_files_along_is_complete_with_its_own_alone(tmp_path):
    train = StepDirectory(tmp_path / "model", "train")
    evaluation = StepDirectory(tmp_path / "metric", "evaluation")
    train.write({"loss": 1.0}, "a.b = 1\n")
    evaluation.write({"score": 1.0}, "a.b = 1\n", train.results)
    assert evaluation.at("train").is_complete()
    evaluation.aggregate.unlink()
    assert not evaluation.is_complete()
