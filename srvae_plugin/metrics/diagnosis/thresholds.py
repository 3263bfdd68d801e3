"""Where a diagnosis draws its lines, and why there.

Information is in shares of a factor's entropy, with the bias of counting taken off: 0 is none, 1 is
all of it. A line of .05 or .1 is a share that changes the second digit of MIG, which is what people
compare; below it a cause may be real and is not worth a sentence.
"""

from __future__ import annotations

__all__ = [
    "ADDS",
    "CARRIES",
    "DEAD",
    "DEPENDENT",
    "FALSE_ALARM",
    "FEWEST_POINTS",
    "GAIN",
    "GROUPS",
    "KEEPS",
    "NONLINEAR",
    "NOT_ENCODED",
    "RING",
    "SHARED",
    "SHUFFLES",
    "TAKES_PART",
    "TELLS",
]

FEWEST_POINTS = 200
"""Below, a probe that is fitted on half of them tells little from nothing."""
GROUPS = 10
"""Values of an ordered factor are grouped into at most so many classes for probes: enough to see
two thirds of the entropy of 40 values, and few enough that 200 points fill them."""
FALSE_ALARM = 0.01
"""Level of the permutation test for "not encoded"."""
SHUFFLES = 499
"""Shuffles of the factor's values in that test."""
NOT_ENCODED = 0.05
"""A factor of which all latents together carry less than this share counts as not encoded, even if
the test is sure that it is not nothing."""
CARRIES = 0.2
"""A latent takes part in a factor from this share of what the best latent tells of it, if that is
also more than any latent told of shuffled values. A rotation by 30 degrees is above, a leak by 10
degrees is not: small leaks are found by the gain of undoing them."""
GAIN = 0.05
"""A cause is named if undoing it widens the gap between a factor's best and second latent by this
much, on points that the undoing was not fitted on."""
KEEPS = 0.75
"""Latents of one factor are copies if the best alone tells this share of what they tell together,
else the factor is split over them."""
ADDS = 0.1
"""A latent is left out without loss if the others tell all but this share of what they told."""
NONLINEAR = 0.3
"""How much of the variance a linear read-out may miss of what the information allows. A cube
(.16 missed) is below, a V, a ring or a scrambled order is above."""
RING = 0.7
"""Share of the variance of sine and cosine of a factor that a ring explains at least."""
SHARED = 0.1
"""A latent that tells this share of a second factor holds both."""
DEAD = 0.05
"""A latent without information is dead, and not noise, if its variance is at most this part of the
median variance of the latents in use."""
TAKES_PART = 0.15
"""Part of a direction's length that a latent gives it at least, to be named as part of a rotation:
the sine of 9 degrees."""
DEPENDENT = 0.1
"""Factors that tell so much of each other in the data itself are noted: latents that share them
may be right."""
TELLS = 0.01
"""A latent that tells less than this share of every factor tells of none, however many points
there are to be sure that it is not nothing."""
