"""Diagnoses runs and functions within a gin configuration, and keeps what was found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from srvae_plugin.config import gin_files, gin_reach
from srvae_plugin.config.gin_config import Config
from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.runs import pipeline
from srvae_plugin.runs.diagnosis import Diagnosis, diagnosis_of_function
from srvae_plugin.runs.directory import RunDirectory, ScoresDirectory
from srvae_plugin.runs.locks import only_writer_in
from srvae_plugin.runs.repeatable import warn_if_random
from srvae_plugin.runs.representation import RepresentationFunction
from srvae_plugin.runs.trained_on import BoundData

__all__ = ["diagnose_function", "diagnose_run"]


def diagnose_run(
    run: str | Path, bindings: gin_files.Texts = None, resume: bool = False, overwrite: bool = False
) -> dict[Path, Diagnosis]:
    """Diagnose each representation of a run on the data it was trained on, or that gin binds.

    Returns:
        What was found, by the file that keeps it.

    Raises:
        ValueError: if it is no run, if a diagnosis is there already, unless `resume` keeps or
            `overwrite` replaces it, and for a binding that nothing reads.
    """
    directory, config = RunDirectory(Path(run)), Config(None, bindings)
    _require_read(config)
    kinds = directory.kinds()
    for kind in kinds:
        _require_new(directory.scores(kind), resume, overwrite)

    def of(kind: str) -> Diagnosis:
        source = directory.representation(kind)
        processed = source.gin_file()
        with config.active():
            data = BoundData(processed).of_step(processed)
            pipeline.require_shape(source, data)
            pipeline.say_other_data(source, data)
            function = pipeline.load_representation(source.path)
            return diagnosis_of_function(function, data, seed=_seed())

    found = {}
    with only_writer_in(directory.path):
        for kind in kinds:
            place = directory.scores(kind)
            found[place.diagnosis] = _kept(place, resume, lambda kind=kind: of(kind))  # type: ignore[misc]
    return found


def diagnose_function(
    function: RepresentationFunction,
    data: GroundTruthData | None,
    output: str | Path,
    bindings: gin_files.Texts = None,
    resume: bool = False,
    overwrite: bool = False,
) -> dict[Path, Diagnosis]:
    """Diagnose any representation function, on the data that gin binds if `data` is None.

    Returns:
        What was found, by the file that keeps it.

    Raises:
        ValueError: as of `diagnose_run`.
    """
    place, config = ScoresDirectory(Path(output)), Config(None, bindings)
    if not hasattr(function, "codes_at"):
        _require_read(config)
    _require_new(place, resume, overwrite)

    def of() -> Diagnosis:
        with config.active():
            bound = pipeline.bound_dataset() if data is None else data
            if not hasattr(function, "codes_at"):
                warn_if_random(function, bound, _seed())
            return diagnosis_of_function(function, bound, seed=_seed())

    with only_writer_in(place.path):
        return {place.diagnosis: _kept(place, resume, of)}


def _require_read(config: Config) -> None:
    roots = [
        gin_reach.Root("srvae_plugin.dataset"),
        gin_reach.Root("srvae_plugin.evaluation", "", ("random_seed",)),
        gin_reach.Root("srvae_plugin.discretizer"),
    ]
    with config.active():
        gin_reach.require_read(roots, config.bindings)


def _seed() -> int:
    return int(gin_files.bound("evaluation.random_seed") or 0)


def _require_new(place: ScoresDirectory, resume: bool, overwrite: bool) -> None:
    if place.diagnosis.exists() and not (resume or overwrite):
        raise ValueError(f"{place.diagnosis} exists: --resume shows it, --overwrite replaces it")


def _kept(place: ScoresDirectory, resume: bool, work: Callable[[], Any]) -> Diagnosis:
    if resume and place.diagnosis.exists():
        return Diagnosis.read(place.diagnosis)
    made: Diagnosis = work()
    made.write(place.diagnosis)
    return made
