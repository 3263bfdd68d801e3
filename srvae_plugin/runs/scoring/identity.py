"""What scores are of, as a text: by it they are kept, refused or scored again."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from srvae_plugin.config import gin_reach
from srvae_plugin.config.data_record import differences, other_content
from srvae_plugin.config.text import record_in, with_record
from srvae_plugin.runs.directory import StepDirectory

__all__ = ["USUAL_BINDINGS", "identity_of", "is_kept"]

logger = logging.getLogger("srvae_plugin")

USUAL_BINDINGS = (
    "discretizer.discretizer_fn = @histogram_discretizer",
    "predictor.predictor_fn = @gradient_boosting_classifier",
    "reduced_representation.correlation_measure = @factorwise_dci",
    "unified_scores.matrix_fns = "
    "[@importance_gbt_matrix, @mutual_information_matrix, @accuracy_svm_matrix]",
    "labeller.labeller_fn = @perfect_labeller",
    "validation.validation_fn = @mig_validation",
)
"""What the packaged metric files bind although it is done without a word, too.

Scoring from Python binds it as well, so that its records are those of the commands."""
_FORM = "# what this metric reads:"
"""Stands in the identities of scores; older ones hold all that gin bound."""


def identity_of(of_what: str, record: Mapping[str, Any]) -> str:
    """Text that tells scores of the metric that gin binds from all others.

    Args:
        of_what: identifies the representation.
        record: of the data set.
    """
    read = gin_reach.text_of(gin_reach.steps_of_metric())
    return with_record(f"{of_what}\n{_FORM}\n{read}", record)


def is_kept(target: StepDirectory, identity: str, advice: str) -> bool:
    """Whether finished results are there; ValueError, with the advice, if they are of other."""
    if not target.is_complete():
        return False
    folder, before = target.path, target.read_identity()
    if other := other_content(before, identity):
        raise ValueError(f"{folder}: {other}: {advice}")
    same = before.partition("\n")[0] == identity.partition("\n")[0]
    different = [
        each for each in differences(before, identity) if not all(map(_says_nothing, each.lines))
    ]
    if same and different and _FORM not in before.splitlines():
        raise ValueError(
            f"{folder} was scored by an older version, which recorded more than what the metric "
            f"reads, so that the settings cannot be compared: {advice}"
        )
    if not same or different:
        changes = f" ({'; '.join(map(str, different))})" if same else ""
        raise ValueError(
            f"{folder} holds the results of another representation or configuration{changes}: "
            f"{advice}"
        )
    if record_in(before) is None:
        logger.warning(
            "%s is from an older version: it does not say what its data contained, which is "
            "assumed to be the same", folder,
        )  # fmt: skip
    return True


def _says_nothing(line: str) -> bool:
    """Whether a binding is of what is done without it."""
    return line in USUAL_BINDINGS or gin_reach.binds_default(line)
