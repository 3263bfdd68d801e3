"""Studies on Ray: a real local cluster, a lost node, and what its tasks say."""

import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from srvae_plugin.runs.directory import StepDirectory
from srvae_plugin.runs.run import run as run_alone
from srvae_plugin.study import ray_engine
from srvae_plugin.study.definition import read_study
from srvae_plugin.study.directory import read_study_json
from srvae_plugin.study.engine import Ended
from srvae_plugin.study.job import Job
from srvae_plugin.study.plan import plan
from srvae_plugin.study.ray_engine import RayEngine

TINY = Path(__file__).with_name("tiny.gin")
SCRIPT = Path(sys.executable).with_name("srvae-study")
STUDY = f"""
study.models = {{
    "SR-VAE": ["{TINY}"],
    "VAE": ["{TINY}", "model.model = @vae()", "vae.beta = 1.0",
            "reconstruction_loss.loss_fn = @bernoulli_loss"],
}}
study.seeds = 2
study.every_run = ["run.pictures = False", "run.metrics = ['mig']", "model.checkpoint_every = 20",
                   "model.training_steps = 300"]
"""


@pytest.fixture
def cluster_utils():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("ray")
        from ray import cluster_utils
    return cluster_utils


def start(folder, cluster, *more):
    """The command against a cluster; its output in `folder`/out.txt."""
    (folder / "my.gin").write_text(STUDY)
    arguments = ["--gin", folder / "my.gin", "--output", folder / "out", "--engine", "ray", *more]
    with (folder / "out.txt").open("ab") as said:
        return subprocess.Popen(
            [SCRIPT, *map(str, arguments)],
            env={**os.environ, "RAY_ADDRESS": cluster.address},
            stdout=said,
            stderr=said,
        )


def wait_until(condition, process, folder):
    for _ in range(4800):
        if condition():
            return
        assert process.poll() is None, (folder / "out.txt").read_text()
        time.sleep(0.05)
    raise TimeoutError((folder / "out.txt").read_text())


def scores_of(run):
    scores = StepDirectory(run / "metrics/mean/mig", "evaluation").read()
    return {key: value for key, value in scores.items() if key not in ("uuid", "elapsed_time")}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_node_lost_in_the_middle_costs_nothing(tmp_path, cluster_utils):
    """Two nodes of one CPU; one is killed while it is at a run. All runs equal `srvae-run`'s."""
    cluster = cluster_utils.Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    try:
        node = cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        study, out = start(tmp_path, cluster), tmp_path / "out"
        wait_until(
            lambda: len(list(out.glob("runs/*/seed-0/model/checkpoint.pt"))) == 2, study, tmp_path
        )
        cluster.remove_node(node, allow_graceful=False)
        assert study.wait(300) == 0, (tmp_path / "out.txt").read_text()
    finally:
        cluster.shutdown()
    logs = [path.read_text().splitlines() for path in out.glob("runs/*/seed-*/log.txt")]
    # The run that was lost has begun twice: once on each node.
    assert sorted(sum(line.startswith("--- ") for line in log) for log in logs) == [1, 1, 1, 2]
    assert {entry["status"] for entry in read_study_json(out)["runs"]} == {"finished"}
    for run in plan(read_study([tmp_path / "my.gin"])):
        done, alone = out / run.folder, tmp_path / "alone" / run.folder
        run_alone(run.files, run.bindings, alone)
        one, other = (load_file(place / "model/model.safetensors") for place in (done, alone))
        assert all(np.array_equal(one[name], other[name]) for name in other)
        assert scores_of(done) == scores_of(alone)
        assert json.loads((done / "environment.json").read_text())["threads"] == 1


def pretend(folder, job, threads, environment, cwd):
    """A task that ends as its folder's name says."""
    if folder == "crash":
        os._exit(1)
    if folder == "forever":
        time.sleep(600)
    return int(folder)


def all_ended(engine, count):
    found = []
    for _ in range(600):
        found += engine.ended(0.1)
        if len(found) == count:
            break
    return {ended.folder.name: ended for ended in found}


@pytest.mark.filterwarnings("ignore")
def test_what_becomes_of_tasks(monkeypatch, cluster_utils):
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # no module of the workers'
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray_engine, "run_task", pretend)
    monkeypatch.setattr(ray_engine, "RETRIES", 1)
    engine = RayEngine(None, 2, gpus=0)
    try:
        assert engine.capacity() == max(1, int(engine._resources()["CPU"] // 2))
        assert engine.ended(0) == []
        for name in ("0", "2", "143", "crash"):
            engine.start(Path(name), Job())
        ended = all_ended(engine, 4)
        assert ended["0"] == Ended(Path("0"), 0)
        assert ended["2"].status == 2
        assert ended["143"].status == 143
        assert ended["crash"].status is None
        assert ended["crash"].error.startswith("WorkerCrashedError: ")
        for _ in range(2):  # one runs, the other waits for its CPUs
            engine.start(Path("forever"), Job())
        time.sleep(0.5)
        engine.stop()
        assert all_ended(engine, 2)["forever"].status == -15
        assert engine.ended(0) == []
    finally:
        engine.close()


def test_without_ray_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=r"pip install 'srvae_plugin\[ray\]'"):
        RayEngine(None, 1)
