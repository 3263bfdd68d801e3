"""The run directory, laid out as disentanglement_lib's so that its users' analysis code reads it.

    <run>/config.gin, environment.json  what it is made from, and with
    <run>/model/                        weights, checkpoint, scalars.csv
    <run>/postprocessed/<kind>/         the representation
    <run>/metrics/<kind>/<metric>/      scores
    <run>/visualizations/               pictures
    <run>/evaluations/step_N/           scores and traversals on the way, where they are asked for
    <run>/exports/<kind>/<format>/      the representation in another format

Each step but the pictures has `results/{gin/<step>.gin, json/<step>_config.json,
json/<step>_results.json, aggregate/<step>.json}`, <step> being train, postprocess or evaluation,
and carries the files of the steps before it along.

Nothing else in the package knows these names.
"""

from srvae_plugin.runs.directory.evaluations import EvaluationsDirectory
from srvae_plugin.runs.directory.places import (
    holding_run,
    is_run_directory,
    last_step_in,
    run_of,
    runs_below,
    scored_kind,
    trained_in,
)
from srvae_plugin.runs.directory.run import (
    DECOMPOSITION,
    EXPORT_FILE,
    NO_STEPS,
    TRAVERSALS,
    RunDirectory,
)
from srvae_plugin.runs.directory.scores import (
    ScoresDirectory,
    is_refusal,
    refused_among,
    refused_folder,
)
from srvae_plugin.runs.directory.steps import Records, Step, StepDirectory, TrainingDirectory
from srvae_plugin.runs.directory.study_record import (
    STUDY_FILE,
    read_study_record,
    write_study_record,
)

__all__ = [
    "DECOMPOSITION",
    "EXPORT_FILE",
    "NO_STEPS",
    "STUDY_FILE",
    "TRAVERSALS",
    "EvaluationsDirectory",
    "Records",
    "RunDirectory",
    "ScoresDirectory",
    "Step",
    "StepDirectory",
    "TrainingDirectory",
    "holding_run",
    "is_refusal",
    "is_run_directory",
    "last_step_in",
    "read_study_record",
    "refused_among",
    "refused_folder",
    "run_of",
    "runs_below",
    "scored_kind",
    "trained_in",
    "write_study_record",
]
