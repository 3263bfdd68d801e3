"""Gradient boosted trees: scikit-learn's numbers in a fraction of its time.

`learner` is the public part; `arrays`, `search`, `rounding`, `growth` and `stages` are its compiled
pieces; `histogram` is the quicker stand-in with other numbers.
"""

from srvae_plugin.metrics.learners.boosted_trees.learner import BoostedTrees

__all__ = ["BoostedTrees"]
