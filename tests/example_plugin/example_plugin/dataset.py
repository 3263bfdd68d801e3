"""White squares on black."""

import numpy as np

from srvae_plugin.data.ground_truth import FactorGrid


class Squares(FactorGrid):
    """A square of one of three sizes at one of 8 x 8 places."""

    def __init__(self):
        super().__init__((3, 8, 8), ("size", "row", "column"), (64, 64, 1))

    def _load_observations(self, indices):
        size, row, column = np.unravel_index(indices, self.factor_sizes)
        images = np.zeros((len(indices), 64, 64, 1), np.float32)
        for image, side, top, left in zip(images, 4 * size + 4, 7 * row, 7 * column, strict=True):
            image[top : top + side, left : left + side] = 1
        return images
