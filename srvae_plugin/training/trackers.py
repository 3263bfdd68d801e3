"""Weights & Biases and MLflow, each an optional extra: the rows of scalars.csv, and
scores on the way, go there too.

In gin::

    model.callbacks = [@wandb_callback(), @mlflow_callback()]
    wandb_callback.project = "srvae"

Nothing is imported or sent before training starts.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gin

from srvae_plugin.config.text import gin_dict
from srvae_plugin.files import write_text
from srvae_plugin.training.callbacks import Callback, Start

__all__ = ["MLflow", "WandB"]

_OTHER = re.compile(r"[^\w/. -]")
"""Characters that MLflow takes in no name of a metric, such as a colon."""
_LONGEST = 500
"""Characters of a parameter that every version of MLflow takes."""


@gin.register("wandb_callback", module="srvae_plugin")
class WandB(Callback):
    """Logs to Weights & Biases; resuming continues the same run.

    Args:
        project: project.
        name: of the run; by default the folder's.
        mode: "online"; "offline", which writes into the folder for `wandb sync`; or "disabled".
    """

    def __init__(
        self, project: str = "srvae_plugin", name: str | None = None, mode: str = "online"
    ) -> None:
        self._project, self._name, self._mode = project, name, mode
        self._run: Any = None

    def on_start(self, start: Start) -> None:
        """Begin a run, or go on with it; ValueError if wandb is not installed."""
        wandb = _imported("wandb", "wandb")
        kept = start.files.folder / "wandb_id.txt"
        self._run = wandb.init(
            project=self._project,
            name=self._name or _name_of(start.files.folder),
            mode=self._mode,
            dir=str(start.files.folder),
            config=_settings(start),
            id=kept.read_text(encoding="utf-8") if start.step and kept.is_file() else None,
            resume="allow",
        )
        write_text(kept, self._run.id)

    def on_log(self, step: int, values: Mapping[str, float]) -> None:
        """Send a row."""
        self._run.log(dict(values), step=step)

    def on_scores(self, step: int, values: Mapping[str, float]) -> None:
        """Send scores on the way."""
        self.on_log(step, values)

    def on_end(self, step: int, error: BaseException | None) -> None:
        """Finish the run, as failed if an error ended the training."""
        if self._run is not None:
            self._run.finish(exit_code=0 if error is None else 1)


@gin.register("mlflow_callback", module="srvae_plugin")
class MLflow(Callback):
    """Logs to MLflow; resuming continues the same run.

    Args:
        tracking_uri: a server or a database; by default an SQLite file `mlflow.db` in the folder.
        experiment: experiment.
        name: of the run; by default the folder's.
    """

    def __init__(
        self,
        tracking_uri: str | None = None,
        experiment: str = "srvae_plugin",
        name: str | None = None,
    ) -> None:
        self._uri, self._experiment, self._name = tracking_uri, experiment, name
        self._client: Any = None
        self._run = ""

    def on_start(self, start: Start) -> None:
        """Begin a run, or go on with it; ValueError if mlflow is not installed."""
        mlflow = _imported("mlflow", "mlflow")
        uri = self._uri or f"sqlite:///{(start.files.folder / 'mlflow.db').absolute()}"
        client = mlflow.MlflowClient(tracking_uri=uri)
        kept = start.files.folder / "mlflow_id.txt"
        if start.step and kept.is_file():
            self._run = kept.read_text(encoding="utf-8")
            client.update_run(self._run, status="RUNNING")
        else:
            found = client.get_experiment_by_name(self._experiment)
            experiment = (
                found.experiment_id if found else client.create_experiment(self._experiment)
            )
            name = self._name or _name_of(start.files.folder)
            self._run = client.create_run(experiment, run_name=name).info.run_id
            for key, value in _settings(start).items():
                client.log_param(self._run, key.replace("@", ""), value[:_LONGEST])
            write_text(kept, self._run)
        self._client = client

    def on_log(self, step: int, values: Mapping[str, float]) -> None:
        """Send a row."""
        for name, value in values.items():
            self._client.log_metric(self._run, _OTHER.sub("_", name), value, step=step)

    def on_scores(self, step: int, values: Mapping[str, float]) -> None:
        """Send scores on the way."""
        self.on_log(step, values)

    def on_end(self, step: int, error: BaseException | None) -> None:
        """Finish the run, as failed if an error ended the training."""
        if self._client is not None:
            self._client.set_terminated(self._run, "FINISHED" if error is None else "FAILED")


def _settings(start: Start) -> dict[str, str]:
    """The configuration's bindings, and how many steps there are to be."""
    lines = [line for line in start.config.splitlines() if not line.startswith("#")]
    return {**gin_dict("\n".join(lines)), "training_steps": str(start.training_steps)}


def _name_of(folder: Path) -> str:
    """The run directory's name, whose training lies in `model`."""
    folder = folder.absolute()
    return folder.parent.name if folder.name == "model" else folder.name


def _imported(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ValueError(
            f"model.callbacks: {module} is not installed: pip install 'srvae_plugin[{extra}]'"
        ) from None
