"""One thing that is wrong with codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["ADVICE", "KINDS", "Finding"]

KINDS = {
    "not encoded": "no latent, and no number of latents together, tells of the factor",
    "rotated": "latents are linear mixtures of factors: a rotation of them separates these",
    "split": "latents hold different parts of the factor and nothing else",
    "duplicated": "more than one latent tells the same of the factor",
    "periodic": "the factor lies on a ring in the latents, like an angle by its sine and cosine",
    "non-linear": "the factor can be told from the latents, and not by a linear read-out",
    "mixed": "latents hold several factors, and no rotation separates them",
    "dead": "the latent hardly varies and tells of no factor",
    "noise": "the latent varies and tells of no factor",
}
"""What can be wrong, and what that means."""
ADVICE = {
    "not encoded": "less regularization (a smaller beta, a later or slower annealing), more steps, "
    "or a loss to which the factor matters: small or faint objects cost few nats",
    "rotated": "more pressure to one factor per latent (beta, a total correlation penalty), a "
    "diagonal posterior, or another seed: rotations are what a Gaussian prior cannot see",
    "split": "more regularization, so that a second latent costs more than it brings, or fewer "
    "latents",
    "duplicated": "fewer latents or more regularization: a copy costs its KL and brings little",
    "periodic": "report a metric that takes latents together, or map the pair to its angle: one "
    "latent on a line cannot hold a ring without a jump",
    "non-linear": "a metric with a larger probe (dci, dci_es, infomec) beside the linear ones; "
    "nothing may be wrong with the representation itself",
    "mixed": "more pressure to one factor per latent (beta, a total correlation penalty), more "
    "latents if there are fewer than factors, or weak supervision",
    "dead": "nothing: a latent that is not needed. Metrics that count it (modularity, FactorVAE "
    "without pruning) read lower; prune it or use fewer latents",
    "noise": "prune the latent, or see what it holds that is no factor (a traversal shows it)",
}


class Finding(NamedTuple):
    """A cause, and the scores without it."""

    kind: str
    """One of `KINDS`."""
    factors: tuple[str, ...]
    """Names of the factors; none of latents that tell of none."""
    latents: tuple[str, ...]
    """Names of the latents: z0, z1, ..., or after another mend r0, r1, ..."""
    measured: str
    """What it was decided by."""
    what_if: str
    """The counterfactual: "latents z0 and z1 were unrotated"; empty where codes cannot tell."""
    codes: NDArray[np.float64] | None
    """(points, latent) the codes with this mended, and with what stands before it in `after`."""
    scores: Mapping[str, float]
    """Scores of these codes, empty without them."""
    after: tuple[int, ...] = ()
    """Places of the findings that are mended first."""

    @property
    def advice(self) -> str:
        """What to try."""
        return ADVICE[self.kind]
