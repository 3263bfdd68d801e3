"""Weights & Biases offline and MLflow in a file hold the numbers of scalars.csv."""

import logging
import time

import pytest

from srvae_plugin.config import gin_files
from srvae_plugin.runs.directory import TrainingDirectory
from srvae_plugin.training import trackers
from srvae_plugin.training.callbacks import Start
from srvae_plugin.training.trackers import MLflow, WandB

LOSSES = {0: 5.5, 2: 4.25}


def logged(callback, folder, step=0, error=None):
    folder.mkdir(exist_ok=True)
    files = TrainingDirectory(folder).files
    callback.on_start(Start(files, step, 9, "vae.beta = 4.0\n# data set: {}\n", (1, 64, 64)))
    for at, loss in LOSSES.items():
        callback.on_log(step + at, {"loss": loss})
    callback.on_scores(step + 3, {"mig.a:b": 0.5})
    callback.on_end(step + 3, error)


@pytest.mark.filterwarnings("ignore")
def test_mlflow_has_rows_settings_and_one_run_for_a_resumed_training(tmp_path):
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed")
    for package in ("sqlalchemy", "alembic"):
        pytest.importorskip(package, reason=f"MLflow's database needs {package}")
    uri = f"sqlite:///{tmp_path}/all.db"
    logged(MLflow(uri), tmp_path / "run")
    logged(MLflow(uri), tmp_path / "run", step=10)
    client = mlflow.MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("srvae_plugin")
    (run,) = client.search_runs([experiment.experiment_id])
    found = {m.step: m.value for m in client.get_metric_history(run.info.run_id, "loss")}
    assert found == {0: 5.5, 2: 4.25, 10: 5.5, 12: 4.25}
    scores = client.get_metric_history(run.info.run_id, "mig.a_b")
    assert {m.step: m.value for m in scores} == {3: 0.5, 13: 0.5}
    assert run.data.params == {"vae.beta": "4.0", "training_steps": "9"}
    assert run.info.run_name == "run"
    assert run.info.status == "FINISHED"
    logged(MLflow(uri), tmp_path / "failed", error=ValueError())
    states = [r.info.status for r in client.search_runs([experiment.experiment_id])]
    assert sorted(states) == ["FAILED", "FINISHED"]


@pytest.mark.filterwarnings("ignore")
def test_wandb_offline_writes_the_rows(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv("WANDB_SILENT", "true")
    logged(WandB(mode="offline"), tmp_path / "run")
    (file,) = (tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb")
    for _ in range(100):  # its own process writes it
        if len(content := file.read_bytes()) > 100:
            break
        time.sleep(0.1)
    assert b"vae.beta" in content
    assert b"4.25" in content
    assert (tmp_path / "run" / "wandb_id.txt").read_text() in file.name


def test_what_is_not_installed_is_said(tmp_path, monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(trackers.importlib, "import_module", missing)
    for callback, name in ((WandB(), "wandb"), (MLflow(), "mlflow")):
        with pytest.raises(ValueError, match=rf"pip install 'srvae_plugin\[{name}\]'"):
            logged(callback, tmp_path)


def test_gin_makes_them_without_importing_anything(caplog):
    with (
        caplog.at_level(logging.INFO),
        gin_files.only(
            bindings=["wandb_callback.mode = 'offline'", "mlflow_callback.experiment = 'e'"]
        ),
    ):
        import gin

        assert gin.get_configurable("wandb_callback")()._mode == "offline"
        assert gin.get_configurable("mlflow_callback")()._experiment == "e"
