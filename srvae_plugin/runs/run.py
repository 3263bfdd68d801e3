"""A whole run: train -> representation -> metrics -> pictures, in one directory."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import gin
import torch

from srvae_plugin.config import gin_reach, plugins
from srvae_plugin.config.data_record import (
    differences,
    other_content,
    record_of,
)
from srvae_plugin.config.gin_config import Config, Uses
from srvae_plugin.config.gin_files import Choice, ConfigError, Texts
from srvae_plugin.config.text import record_in, with_record
from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.files import require_one
from srvae_plugin.models.base import DisentanglementModel
from srvae_plugin.plots import pictures
from srvae_plugin.runs import pipeline
from srvae_plugin.runs.directory import RunDirectory
from srvae_plugin.runs.environment import environment as made_with
from srvae_plugin.runs.evaluate import Ready, score_representation
from srvae_plugin.runs.locks import only_writer_in
from srvae_plugin.runs.on_the_way import Evaluations
from srvae_plugin.runs.plan import RunPlan
from srvae_plugin.runs.scoring.bound_scoring import bound_scoring, represented
from srvae_plugin.runs.trained_on import BoundData
from srvae_plugin.runs.weights import require_start
from srvae_plugin.training.checkpoint import FREE
from srvae_plugin.training.loop import TrainingSettings, build_early, find_device
from srvae_plugin.training.optimizers import make_optimizers
from srvae_plugin.training.scalars import require_tensorboard

__all__ = ["Checked", "RunSummary", "StepChoices", "check", "run"]


logger = logging.getLogger("srvae_plugin")


@runtime_checkable
class StepChoices(Protocol):
    """What each step after training is given, if that differs from step to step."""

    def postprocess(self, kind: str) -> Choice:
        """What makes a representation."""

    def evaluation(self, kind: str, metric: str) -> Choice:
        """What scores a representation with a metric, by its name in `run.metrics`."""


@dataclass
class RunSummary:
    """What a run made: scores[representation][metric][key], and where everything lies."""

    directory: RunDirectory
    training: dict[str, Any]
    scores: dict[str, dict[str, dict[str, Any]]]
    pictures: dict[str, Path]


class Checked(NamedTuple):
    """What a run needs, made once for all of its steps."""

    resolved: Config
    plan: RunPlan
    config: str
    """The whole configuration as text, with the record of its data set."""
    settings: TrainingSettings
    """With the model, which is built."""
    device: str
    bound: BoundData
    uses: Uses
    """What gin handed out for the training."""
    functions: Mapping[str, str]
    """Of each representation, the function that makes it."""


def check(files: Texts, bindings: Texts, study: StepChoices | None = None) -> Checked:
    """Build everything a run needs once, so that bad input fails before any work.

    A binding that nothing of the run reads is bad input, too.
    """
    resolved, uses = Config(files, bindings), Uses()
    with resolved.active():
        plan = pipeline.run_plan()
        with uses.noted():
            settings = pipeline.training_settings()
            settings.keep_every = _keep_every(plan, settings)
            device = find_device(settings.device)
            if settings.tensorboard:
                require_tensorboard()
            bound = BoundData()
            _require_factors(plan.metrics, bound.data)
            build_early(settings, bound.data)
            groups = settings.model.parameter_groups()
            make_optimizers(groups)
        metrics = [study.evaluation("mean", m).function for m in plan.metrics] if study else []
        roots = gin_reach.steps_of_run(metrics or plan.metrics, groups)
        gin_reach.require_read(roots, resolved.bindings)
        functions = {kind: pipeline.function_of(kind) for kind in plan.representations}
        config = with_record(gin.config_str(), record_of(bound.data))
        return Checked(resolved, plan, config, settings, str(device), bound, uses, functions)


def run(
    files: Texts,
    bindings: Texts,
    output: str | Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    study: StepChoices | None = None,
) -> RunSummary:
    """Run everything into `output`.

    Args:
        files, bindings: see `gin_files.configured`.
        output: the run directory; ValueError if it exists, unless `resume` or `overwrite`.
        resume: keep finished steps, go on from a checkpoint; the configuration must be the same.
        overwrite: delete `output` first.
        study: the model of a study that `files` and `bindings` are of: it has seeds and settings
            for each of the steps after training.
    """
    require_one(resume, overwrite)
    directory = RunDirectory(Path(output))
    checked = check(files, bindings, study)
    with only_writer_in(directory.path):
        source = checked.settings.init_from
        if source and (overwrite or not directory.model.begun()):
            require_start(source, directory.path, checked.settings.model)
        changed = _prepare(directory, checked.config, resume, overwrite)
        return _steps(directory, checked, study, changed)


def _steps(
    directory: RunDirectory, checked: Checked, study: StepChoices | None, changed: Sequence[str]
) -> RunSummary:
    """All steps that are not finished yet; in a directory that is locked."""
    plan, data = checked.plan, checked.bound.data
    begun = time.monotonic()
    model = _train(directory, checked, study, changed)
    summary = RunSummary(directory, directory.model.read(), {}, {})
    for kind in plan.representations:
        function = represented(directory, kind, checked, model, study)
        choose = functools.partial(study.evaluation, kind) if study else Choice
        ready = Ready(function, checked.bound, choose)
        summary.scores[kind] = score_representation(
            plan.metrics, directory, kind, checked.resolved, ready=ready
        )
    if plan.pictures:
        curves = directory.model.files.scalars
        summary.pictures = pictures.save_all(model(), data, curves, directory.pictures)
    environment = made_with(checked.device, torch.get_num_threads(), time.monotonic() - begun)
    environment["data_source"] = getattr(data, "source", None)
    directory.finish(environment)
    return summary


def _train(
    directory: RunDirectory, checked: Checked, study: StepChoices | None, changed: Sequence[str]
) -> Callable[[], DisentanglementModel]:
    """Train if that is not done; return what gives the trained model.

    `changed` are names of bindings that the configuration that is there has otherwise.
    """
    settings, plan = checked.settings, checked.plan
    if plan.evaluate_every or directory.evaluations.path.exists():
        scoring = bound_scoring(checked, study) if plan.evaluate_every else None
        drawn = checked.bound.data if plan.pictures else None
        evaluations = Evaluations(plan.evaluate_every, directory.evaluations, scoring, drawn)
        settings.callbacks = [*settings.callbacks, evaluations]

    def begin() -> None:
        directory.reopen()
        if changed:
            directory.write_config(checked.config)

    with checked.resolved.active():
        checked.uses.repeat()
        trained = pipeline.train_in(
            directory.model, settings, lambda: checked.bound.data, resume=True, begin=begin
        )
    unused = [name for name in changed if name != "run.evaluate_every"]
    if trained is None and unused:
        logger.warning(
            "%s: without effect, the training is finished: %s", directory.path, ", ".join(unused)
        )
    if trained is None and plan.evaluate_every and not directory.evaluations.steps():
        logger.warning(
            "run.evaluate_every = %d: nothing is evaluated during training, the training is "
            "finished",
            plan.evaluate_every,
        )
    directory.forget_stale_steps()

    @functools.cache
    def model() -> DisentanglementModel:
        if trained is None:
            return pipeline.load_model(directory.path)
        return pipeline.in_use(trained, settings.channels_last)

    return model


def _keep_every(plan: RunPlan, settings: TrainingSettings) -> int:
    """Steps between snapshots, which has two names."""
    if plan.keep_every and settings.keep_every not in (0, plan.keep_every):
        raise ConfigError(
            f"run.keep_every = {plan.keep_every} and model.keep_every = {settings.keep_every} "
            "are two names of one number: bind one of them"
        )
    return plan.keep_every or settings.keep_every


def _require_factors(metrics: Sequence[str], data: GroundTruthData) -> None:
    """ValueError if nothing that is asked for can be scored without factors; else say what not."""
    if data.num_factors:
        return
    found = {name: plugins.find("metrics", name.rpartition("/")[2]) for name in metrics}
    refused = [name for name, metric in found.items() if pipeline.needs_factors(metric)]
    if refused and len(refused) == len(found):
        pipeline.require_factors(data)
    if refused:
        logger.warning("not to be scored, since there are no factors: %s", ", ".join(refused))


def _prepare(directory: RunDirectory, config: str, resume: bool, overwrite: bool) -> list[str]:
    """Make the run directory, or check that it may be continued.

    Returns:
        Names of the bindings that it was made with other values of.
    """
    output, saved = directory.path, directory.config
    if directory.entries() and not overwrite:
        if not resume:
            raise ValueError(
                f"{output} exists: --resume continues it, --overwrite deletes it, --output "
                "names another folder"
            )
        if not saved.is_file():
            raise ValueError(f"{output} is not a run directory ({saved.name} is missing)")
        before = directory.read_config()
        if other := other_content(before, config):
            raise ValueError(
                f"{output}: {other}. Restore the earlier data, choose another --output, or "
                "--overwrite"
            )
        changed = differences(before, config)
        names = [each.name for each in changed]
        if not FREE.issuperset(names):
            raise ValueError(
                f"{output} was made with another configuration: "
                f"{'; '.join(map(str, changed))}. Choose another --output, or --overwrite; "
                "srvae-evaluate scores what is trained already with other metric settings"
            )
        if record_in(before) is None and not directory.model.path.exists():
            directory.write_config(config)  # a study wrote it, which does not open data
        elif record_in(before) is None:
            logger.warning(
                "%s was made by an older version: it does not say what its data contained, which "
                "is assumed to be the same", output,
            )  # fmt: skip
        return names
    if overwrite and output.exists():
        if directory.entries() and not saved.is_file():
            raise ValueError(f"{output} is not a run directory: --overwrite does not delete it")
        directory.clear()
    elif resume:
        logger.info("%s has nothing to continue from: starting at step 0", output)
    directory.write_config(config)
    return []
