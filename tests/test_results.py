import json
import os
import subprocess

import numpy as np
import pytest

from srvae_plugin.config.text import gin_dict
from srvae_plugin.files import new_folder, replacing, write_json, write_text
from srvae_plugin.runs.directory import StepDirectory, TrainingDirectory
from srvae_plugin.runs.environment import environment

CONFIG = """# Parameters for model:
# ====================
model.batch_size = 64
model.name = 'a = b'
model.some_list = \\
    ['one',
     'two']
vae/AdamOptimizer.learning_rate = 0.0001
"""


def test_gin_dict_has_one_entry_a_binding():
    assert gin_dict(CONFIG) == {
        "model.batch_size": "64",
        "model.name": "'a = b'",
        "model.some_list": "['one', 'two']",
        "vae/AdamOptimizer.learning_rate": "0.0001",
    }


def test_steps_accumulate_in_dlibs_tree(tmp_path):
    train = TrainingDirectory(tmp_path / "model")
    metric = StepDirectory(tmp_path / "metric", "evaluation")
    train.write({"loss": np.float32(1.5), "n": np.int64(3)}, CONFIG)
    metric.write({"score": np.arange(2)}, "a.b = 1\n", train.results)
    evaluate = metric.results
    files = {str(p.relative_to(evaluate)) for p in evaluate.rglob("*") if p.is_file()}
    assert files == {
        "gin/train.gin",
        "gin/evaluation.gin",
        "json/train_config.json",
        "json/train_results.json",
        "json/evaluation_config.json",
        "json/evaluation_results.json",
        "aggregate/train.json",
        "aggregate/evaluation.json",
    }
    merged = json.loads((evaluate / "aggregate" / "evaluation.json").read_text())
    assert merged["train_config.model.batch_size"] == "64"
    assert merged["train_results.loss"] == 1.5
    assert merged["evaluation_results.score"] == [0, 1]
    assert merged["evaluation_config.a.b"] == "1"
    assert merged["train_results.uuid"] != merged["evaluation_results.uuid"]
    assert metric.is_complete()
    assert not metric.at("postprocess").is_complete()


def test_damaged_and_missing_results_are_named(tmp_path):
    with pytest.raises(ValueError, match="holds no results"):
        TrainingDirectory(tmp_path).read()
    write_text(tmp_path / "results" / "json" / "train_results.json", '{"loss": 1')
    with pytest.raises(ValueError, match=r"train_results\.json is damaged"):
        TrainingDirectory(tmp_path).read()


def test_what_cannot_be_json_is_named(tmp_path):
    with pytest.raises(TypeError, match=r"1j.*complex"):
        write_json(tmp_path / "a.json", {"a": 1j})
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old")

    def fail():
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    def fail():
        with new_folder(tmp_path / "a") as folder:
            (folder / "x").write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert list(tmp_path.iterdir()) == []
    with new_folder(tmp_path / "a") as folder:
        (folder / "x").write_text("whole")
    with pytest.raises(ValueError, match="exists already"), new_folder(tmp_path / "a"):
        pass
    with new_folder(tmp_path / "a", overwrite=True) as folder:
        (folder / "y").write_text("new")
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["y"]


def test_environment_names_versions():
    env = environment("cpu", 2, 1.0)
    assert env["packages"]["torch"].startswith("2.")
    assert env["python"]
    assert env["threads"] == 2


def test_new_folder_removes_what_a_killed_process_left(tmp_path):
    finished = subprocess.Popen(["true"])
    finished.wait()
    for pid in (finished.pid, os.getppid()):
        (tmp_path / f".a.{pid}.tmp").mkdir()
    (tmp_path / f".b.{finished.pid}.tmp").mkdir()
    with new_folder(tmp_path / "a"):
        pass
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == sorted(["a", f".a.{os.getppid()}.tmp", f".b.{finished.pid}.tmp"])
