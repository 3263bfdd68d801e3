"""Diagnoses runs and functions within a gin configuration, and keeps what was found."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from srvae_plugin.config import gin_files, gin_reach
from srvae_plugin.config.data_record import differences, other_content, record_of
from srvae_plugin.config.gin_config import Config
from srvae_plugin.config.text import with_record
from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.runs import pipeline
from srvae_plugin.runs.directory import RunDirectory, ScoresDirectory
from srvae_plugin.runs.locks import only_writer_in, only_writer_of_scores
from srvae_plugin.runs.representation import RepresentationFunction
from srvae_plugin.runs.scoring.diagnosis import Diagnosis, diagnosis_of_function
from srvae_plugin.runs.scoring.tried import content_of, tried
from srvae_plugin.runs.trained_on import BoundData

__all__ = ["diagnose_function", "diagnose_run"]

_ROOTS = (
    gin_reach.Root("srvae_plugin.evaluation", "", ("random_seed",)),
    gin_reach.Root("srvae_plugin.discretizer"),
)
"""What gin may say of a diagnosis, beside the data set."""


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
            identity = _identity(source.read()["uuid"], data)
            work = functools.partial(pipeline.load_representation, source.path)
            return _kept(directory.scores(kind), resume, identity, work, data)

    found = {}
    with only_writer_in(directory.path):
        for kind in kinds:
            place = directory.scores(kind)
            found[place.diagnosis] = of(kind)
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

    with only_writer_of_scores(place.path), config.active():
        bound = pipeline.bound_dataset() if data is None else data
        codes = None if hasattr(function, "codes_at") else tried(function, bound)
        identity = _identity(content_of(function, codes), bound)
        return {place.diagnosis: _kept(place, resume, identity, lambda: function, bound)}


def _require_read(config: Config) -> None:
    with config.active():
        gin_reach.require_read([gin_reach.Root("srvae_plugin.dataset"), *_ROOTS], config.bindings)


def _identity(of_what: str, data: GroundTruthData) -> str:
    """Text that says what is diagnosed, on which data and how."""
    return with_record(f"{of_what}\n{gin_reach.text_of(_ROOTS)}", record_of(data))


def _seed() -> int:
    return int(gin_files.bound("evaluation.random_seed") or 0)


def _require_new(place: ScoresDirectory, resume: bool, overwrite: bool) -> None:
    if place.diagnosis.exists() and not (resume or overwrite):
        raise ValueError(f"{place.diagnosis} exists: --resume shows it, --overwrite replaces it")


def _kept(
    place: ScoresDirectory,
    resume: bool,
    identity: str,
    function: Callable[[], RepresentationFunction],
    data: GroundTruthData,
) -> Diagnosis:
    """The diagnosis that is there, if it is to be kept, or a new one."""
    if resume and place.diagnosis.exists():
        there = Diagnosis.read(place.diagnosis)
        if not _is_same(there.record.get("identity", identity), identity):
            raise ValueError(
                f"{place.diagnosis} is for another representation, other data or other settings: "
                "--overwrite replaces it"
            )
        return there
    found = diagnosis_of_function(function(), data, seed=_seed())
    made = Diagnosis({**found.record, "identity": identity})
    made.write(place.diagnosis)
    return made


def _is_same(before: str, now: str) -> bool:
    """Whether two identities are of the same; data may lie elsewhere now."""
    if other_content(before, now) or differences(before, now):
        return False
    return before.partition("\n")[0] == now.partition("\n")[0]
