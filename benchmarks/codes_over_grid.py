"""Encode every dSprites image with a run's model: `codes` (737280, latent) in grid order.

python benchmarks/codes_over_grid.py RUN_DIR codes.npz
"""

import logging
import sys

import numpy as np

from srvae_plugin import load_dataset, representation_function
from srvae_plugin.runs.representation import CachedRepresentation

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    run, output = sys.argv[1:]
    data = load_dataset("dsprites_full")
    cached = CachedRepresentation(representation_function(run), data)
    np.savez(output, codes=cached.codes_at(np.arange(data.num_observations)))
