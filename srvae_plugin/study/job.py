"""What the process of one run of a study is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["GRACE_SECONDS", "Job"]


GRACE_SECONDS = 60.0


class Job(NamedTuple):
    """What a run is given beside the configuration in its folder."""

    bindings: Sequence[str] = ()
    """What is stronger than the settings of the numbered study's metrics."""
    numbered: str = ""
    """disentanglement_lib's name of the study, for one of its numbered models."""
    number: int = 0
    modules_in: Sequence[str] = ()
    """Folders in which its gin files find the modules that they import."""
