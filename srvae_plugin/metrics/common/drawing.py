"""Draw points, then score them: what the `compute_` functions of most metrics do."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.data.sampling.seeds import Seed, random_state_of
from srvae_plugin.metrics.codes import (
    DrawnSamples,
    RepresentationFunction,
    sample_codes_and_factors,
)
from srvae_plugin.metrics.common.factor_kinds import only_classes

__all__ = ["Scores", "Source"]

Scores = dict[str, float | int]
"""What every metric returns: numbers that JSON can hold, by name."""


class Source(NamedTuple):
    """Where a metric's points come from."""

    data: GroundTruthData
    function: RepresentationFunction
    random_state: np.random.RandomState
    batch_size: int = 16
    """Points drawn at a time."""

    @classmethod
    def of(
        cls,
        data: GroundTruthData,
        function: RepresentationFunction,
        seed: Seed,
        batch_size: int = 16,
    ) -> Source:
        """What a `compute_` function is given, with the random stream that its seed stands for."""
        return cls(data, function, random_state_of(seed), batch_size)

    def draw(self, **num_points: int) -> DrawnSamples:
        """One sample for each number of points, see `sample_codes_and_factors`."""
        return sample_codes_and_factors(
            self.data, self.function, num_points, self.random_state, self.batch_size
        )

    def score(
        self, core: Callable[..., Scores], classes_for: str = "", **num_points: int
    ) -> Scores:
        """The scores that `core` gives the samples drawn, and the points used if rows were drawn.

        Args:
            core: takes one sample, codes and factors, for each number of points.
            classes_for: name of a metric that needs classes: continuous factors are left out.
            num_points: the caller's settings by name, in the order of drawing.
        """
        drawn = self.draw(**num_points)
        samples = only_classes(classes_for, self.data, drawn) if classes_for else drawn
        return core(*samples) | drawn.points
