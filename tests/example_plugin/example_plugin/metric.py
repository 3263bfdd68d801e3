"""How well a straight line explains each factor by one latent."""

import numpy as np

from srvae_plugin.metrics.codes import sample_codes_and_factors


def compute_correlation(
    ground_truth_data, representation_function, random_state, artifact_dir=None, num_train=10_000
):
    """Mean over factors of the largest |correlation| with a latent, 0 for constant ones."""
    drawn = sample_codes_and_factors(
        ground_truth_data, representation_function, {"num_train": num_train}, random_state, 64
    )
    (sample,) = drawn
    codes, factors = (part - part.mean(axis=0, dtype=float) for part in sample)
    scale = np.outer(np.linalg.norm(codes, axis=0), np.linalg.norm(factors, axis=0))
    correlation = np.abs(codes.T @ factors) / np.maximum(scale, 1e-9)
    return {"correlation": float(correlation.max(axis=0).mean())} | drawn.points
