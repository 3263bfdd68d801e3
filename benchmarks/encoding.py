"""What the study's nine metrics cost when the codes are not free: python benchmarks/encoding.py.

The original encodes every observation it draws, in its own small batches; ours encodes each
distinct one once, in large batches. Both counts are exact (draws of the metrics at the published
settings); the rates are measured here, in turn, on a part of them; the seconds are their product.
Reads the seconds of the metrics themselves, both sides, from a report of benchmarks/metrics.py:

    python benchmarks/metrics.py --study --representations noisy_factors --json metrics.json
    python benchmarks/encoding.py metrics.json noisy_factors
"""

import json
import statistics
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch

from srvae_plugin import load_dataset, metrics, representation_function
from srvae_plugin.models.sr_vae import SRVAE
from srvae_plugin.models.vae import VAE
from srvae_plugin.networks import srvae_decoder, srvae_encoder
from srvae_plugin.representation import CachedRepresentation

SAMPLES = {"compute_mig": {}, "compute_sap": {}, "compute_unsupervised_metrics": {}}
SAMPLES |= {"compute_modularity_explicitness": {}, "compute_factor_vae": {}}
SAMPLES |= {"compute_beta_vae_sklearn": {}}
# Metrics that fit trees draw like these two, whose fits are left out here.
POINTS = {"dci": 15_000, "downstream_task": 2 * (10 + 100 + 1000 + 10_000 + 4 * 5000)}


def _pixels(observations):
    noise = np.random.RandomState(0).normal(size=(len(observations), 3)).astype(np.float32)
    return observations[:, 20:23, 30, 0] + noise


def count(data):
    """Observations that the metrics draw, and the distinct ones among them."""
    drawn = sum(POINTS.values())
    cached = CachedRepresentation(
        lambda x: np.random.rand(len(x), 3).astype(np.float32), data, 8192
    )
    codes_at = cached.codes_at

    def counting(indices):
        nonlocal drawn
        drawn += len(indices)
        return codes_at(indices)

    cached.codes_at = counting
    for name, settings in SAMPLES.items():
        getattr(metrics, name)(data, cached, np.random.RandomState(0), **settings)
    codes_at(np.random.RandomState(1).randint(data.num_observations, size=sum(POINTS.values())))
    return drawn, cached.num_encoded


def rates(function, data, batches=12):
    """Images a second in the original's batches of 64 and in ours of 256, measured in turn."""
    seconds = {64: [], 256: []}
    for i in range(batches):
        for size, found in seconds.items():
            begun = time.perf_counter()
            function(data.observations_at(np.arange(size) * 1009 + i))
            found.append(time.perf_counter() - begun)
    return {size: size / statistics.median(found) for size, found in seconds.items()}


def main(path, representation):
    results = json.loads(Path(path).read_text())["results"][representation].values()
    free = {
        side: sum((r[side][0] if side == "original" else r[side])["seconds"] for r in results)
        for side in ("ours", "original")
    }
    data = load_dataset("dsprites_full")
    drawn, distinct = count(data)
    print(f"drawn {drawn:,}, distinct {distinct:,}; metrics alone: {free}")
    encoder = partial(srvae_encoder, num_latent=10)
    for model in (VAE(1.0, encoder, srvae_decoder), SRVAE(encoder=encoder, decoder=srvae_decoder)):
        torch.manual_seed(0)
        model.build((1, 64, 64))
        rate = rates(representation_function(model), data)
        ours, original = distinct / rate[256] + free["ours"], drawn / rate[64] + free["original"]
        name = type(model).__name__
        print(
            f"{name:<8}{rate[64]:>8.0f} images/s by 64 {rate[256]:>8.0f} by 256; "
            f"original {original:>8.0f} s, ours {ours:>8.0f} s, ratio {original / ours:.1f}"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
