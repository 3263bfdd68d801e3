"""UDR over run directories: which of several models that were trained alike agree with each other.

disentanglement_lib's `evaluation/udr/evaluate.py` compares a list of models and writes one result.
Here runs are put into groups that differ in their seed only, as the paper has it (arXiv 1905.12614,
section 4), and the score of each run is written beside its other scores, so that reports read it as
they read a metric's. Its gin files (`udr_sklearn.*`, `evaluation.random_seed`) hold as they are.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gin
import numpy as np
import torch
from numpy.typing import NDArray

from srvae_plugin.config import gin_files, gin_reach
from srvae_plugin.config.data_record import differences, other_content, record_of
from srvae_plugin.config.text import with_record
from srvae_plugin.data.sampling.held_out import to_score
from srvae_plugin.files import write_text
from srvae_plugin.metrics.udr import GaussianFunction
from srvae_plugin.models.base import DisentanglementModel
from srvae_plugin.runs import pipeline
from srvae_plugin.runs.directory import (
    Records,
    RunDirectory,
    StepDirectory,
)
from srvae_plugin.runs.locks import only_writer_in
from srvae_plugin.runs.scoring.udr_groups import Group as Group, groups_of as groups_of
from srvae_plugin.training.numerics import memory_format, numerics

__all__ = ["FUNCTION", "gaussian_function", "rank_groups"]

FUNCTION = "udr_sklearn"
_KIND = "mean"
"""The representation whose means are compared."""


def gaussian_function(model: DisentanglementModel) -> GaussianFunction:
    """Observations (batch, height, width, channel) to means and their divergence from the prior.

    Args:
        model: a built model, in eval mode.
    """
    device = next(model.parameters()).device
    layout = memory_format(device)

    @torch.inference_mode()
    def encode(
        observations: NDArray[np.float32],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        x = torch.from_numpy(np.ascontiguousarray(observations, dtype=np.float32))
        x = x.permute(0, 3, 1, 2).to(device).contiguous(memory_format=layout)
        with numerics(device, tf32=False):
            posterior = model.encode(x)
        mean, logvar = (part.float().cpu().numpy() for part in posterior)
        return mean, np.mean((mean**2 + np.exp(logvar) - logvar - 1) / 2, axis=0)

    return encode


def rank_groups(
    groups: Sequence[Group],
    output: Path | None = None,
    files: gin_files.Texts = None,
    bindings: str | Sequence[str] | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> dict[Path, dict[str, Any]]:
    """UDR of each run among those of its group.

    Each run gets `metrics/mean/udr_lasso` (or `udr_spearman`) with `udr`, its median agreement with
    the others, and `num_models`. In `output` each group gets a folder with all that
    `compute_udr_sklearn` returns and the order of the models, `model_dirs`.

    Args:
        groups: as `groups_of` has them.
        output: a folder; None: only the runs' own.
        files: gin files, disentanglement_lib's udr.gin say.
        bindings: gin bindings on top of them.
        resume: keep scores of the same runs and settings.
        overwrite: replace scores.

    Returns:
        Scores by run.

    Raises:
        ValueError: before anything is scored, if scores are there and are neither to be kept nor
            replaced, or are to be kept and are of others; see also `udr`.
        ConfigError: for a binding.
    """
    bindings = gin_files.as_list(bindings)
    with gin_files.configured(files, bindings):
        kind = gin_files.bound(f"{FUNCTION}.correlation_matrix") or "lasso"
        bound = gin_files.bound("evaluation.evaluation_fn")
        asked = FUNCTION if bound is None else gin_files.reference_name(bound)
        if asked.rpartition("/")[2].rpartition(".")[2] != FUNCTION:
            raise gin_files.ConfigError(
                f"evaluation.evaluation_fn = @{asked}: --udr computes @{FUNCTION}; unbind it"
            )
        gin_reach.require_read(gin_reach.steps_of_scoring([FUNCTION]), bindings)
    name = f"udr_{kind}"
    bindings = [*bindings, f"evaluation.evaluation_fn = @{name}/{FUNCTION}"]
    with contextlib.ExitStack() as locks:
        runs = {run for group in groups for run in group.runs}
        for folder in [*sorted(runs), *([output] if output is not None else [])]:
            locks.enter_context(only_writer_in(folder))
        return _rank_all(groups, output, (files, bindings), name, (resume, overwrite))


def _rank_all(
    groups: Sequence[Group],
    output: Path | None,
    config: tuple[gin_files.Texts, Sequence[str]],
    name: str,
    keep: tuple[bool, bool],
) -> dict[Path, dict[str, Any]]:
    resume, overwrite = keep
    places = [_place(run, name).path for group in groups for run in group.runs]
    if output is not None:
        places += [output / group.name for group in groups]
    there = [path for path in places if path.exists()]
    if there and not (resume or overwrite):
        raise ValueError(f"{there[0]} exists: --resume keeps it, --overwrite replaces it")
    scores: dict[Path, dict[str, Any]] = {}
    for group in groups:
        target = None if output is None else StepDirectory(output / group.name, "evaluation")
        with gin_files.configured(*config):
            scores |= _rank(group, name, target, overwrite)
    return scores


def _rank(
    group: Group, name: str, target: StepDirectory | None, overwrite: bool
) -> dict[Path, dict[str, Any]]:
    """Scores of the runs of one group; within `gin_files.configured`."""
    begun = time.monotonic()
    data = pipeline.bound_dataset(group.trained().gin_file())
    pipeline.require_shape(group.trained(), data)
    trained = [RunDirectory(run).model.read()["uuid"] for run in group.runs]
    record = record_of(data)
    read = gin_reach.text_of(gin_reach.steps_of_metric())
    identity = with_record(f"{' '.join(trained)}\n{read}", record)
    places = {run: _place(run, name) for run in group.runs}
    wanted = [*places.values(), *([target] if target else [])]
    kept = [not overwrite and _is_kept(place, identity) for place in wanted]
    if all(kept):
        return {run: place.read() for run, place in places.items()}
    gin_files.require_bound("srvae_plugin.evaluation")
    settings = gin.get_configurable(pipeline.EvaluationSettings)()
    models = [gaussian_function(pipeline.load_model(run)) for run in group.runs]
    found = settings.evaluation_fn(
        to_score(data), models, random_state=np.random.RandomState(settings.random_seed)
    )
    config, seconds = gin.operative_config_str(), time.monotonic() - begun
    records = Records(record)
    scores = {}
    for run, score in zip(group.runs, found["model_scores"], strict=True):
        scores[run] = {"udr": score, "num_models": len(group.runs), "elapsed_time": seconds}
        _write(places[run], scores[run], config, _step_before(run), records, identity)
    if target is not None:
        whole = {**found, "model_dirs": [str(run) for run in group.runs], "elapsed_time": seconds}
        _write(target, whole, config, None, records, identity)
    return scores


def _step_before(run: Path) -> Path:
    """Results of the representation that the scores are of, or else of the training."""
    directory = RunDirectory(run)
    mean = directory.representation(_KIND)
    return (mean if mean.is_complete() else directory.model).results


def _place(run: Path, name: str) -> StepDirectory:
    return RunDirectory(run).scores(_KIND).of(name)


def _is_kept(place: StepDirectory, identity: str) -> bool:
    """Whether these very scores are there; ValueError if others are."""
    if not place.is_complete():
        return False
    before = place.read_identity()
    if other := other_content(before, identity):
        raise ValueError(f"{place.path}: {other}: --overwrite scores it again")
    if before.split("\n")[0] != identity.split("\n")[0] or differences(before, identity):
        raise ValueError(
            f"{place.path} was compared with other runs, or with other settings: "
            "--overwrite scores it again"
        )
    return True


def _write(
    place: StepDirectory,
    scores: Mapping[str, Any],
    config: str,
    previous: Path | None,
    records: Records,
    identity: str,
) -> None:
    with place.made_anew(overwrite=True) as directory:
        directory.write(scores, config, previous, records)
        write_text(directory.identity, identity)
