"""What the study's nine metrics cost when the codes are not free: python benchmarks/encoding.py.

The original encodes every observation it draws, in its own small batches; ours encodes each
distinct one once. Both counts are of the published settings (the draws of DCI and the downstream
tasks are simulated by as many uniform ones). The rates are measured here, in turn, each in a
process of its own; the seconds are their product, plus the seconds of the metrics themselves from a
report of benchmarks/metrics.py:

    python benchmarks/metrics.py --codes codes.npz --study --seed-trees \\
        --representations trained --json metrics.json
    python benchmarks/encoding.py metrics.json trained --json encoding.json

The paper's networks, 10 latents. The original is given two functions: the network (SR-VAE:
Algorithm 1) in plain PyTorch, as benchmarks/training_plain.py has it, and our own.
"""

import argparse
import json
import multiprocessing
import statistics
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from training_plain import PlainSRVAE, Settings, observations

SAMPLES = ["compute_mig", "compute_sap", "compute_unsupervised_metrics"]
SAMPLES += ["compute_modularity_explicitness", "compute_factor_vae", "compute_beta_vae_sklearn"]
# Metrics that fit trees draw like these two, whose fits are left out here.
POINTS = {"dci": 15_000, "downstream_task": 2 * (10 + 100 + 1000 + 10_000 + 4 * 5000)}
SETTINGS = Settings(latents=10, batch=64, channels=32)
ORIGINAL_BATCH, OUR_BATCH = 64, 256
"""What the original encodes at once (its small draws, 4 %, by 16), and what our cache does."""


def count() -> tuple[int, int]:
    """Observations that the metrics draw, and the distinct ones among them."""
    from srvae_plugin import load_dataset, metrics
    from srvae_plugin.runs.representation import CachedRepresentation

    data = load_dataset("dsprites_full")
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
    for name in SAMPLES:
        getattr(metrics, name)(data, cached, np.random.RandomState(0))
    codes_at(np.random.RandomState(1).randint(data.num_observations, size=sum(POINTS.values())))
    return drawn, cached.num_encoded


def plain(name):
    """The network in plain PyTorch, as a function of numpy images."""
    model = PlainSRVAE(SETTINGS).eval()

    def encode(images):
        x = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
        if name == "VAE":
            return model.encoder(x)[:, : SETTINGS.latents].numpy()
        return model.encode(x).numpy()

    return torch.inference_mode()(encode)


def ours(name):
    """The representation function that our metrics score."""
    from srvae_plugin import representation_function
    from srvae_plugin.models.networks import srvae_decoder, srvae_encoder
    from srvae_plugin.models.sr_vae import SRVAE
    from srvae_plugin.models.vae import VAE
    from srvae_plugin.training.allocator import keep_freed_memory

    networks = {"encoder": partial(srvae_encoder, num_latent=10), "decoder": srvae_decoder}
    model = VAE(1.0, **networks) if name == "VAE" else SRVAE(**networks)
    model.build((1, 64, 64))
    model.to(memory_format=torch.channels_last)  # as a run's model is loaded
    keep_freed_memory()  # as our commands do
    return representation_function(model)


CONTENDERS = {"plain": plain, "ours": ours}
functions = {}


def seconds(contender: str, model: str, batch: int) -> float:
    """Seconds that encoding one batch takes; the function is made at the first call."""
    torch.manual_seed(0)
    if model not in functions:
        functions[model] = CONTENDERS[contender](model)
        functions[model](observations(batch).numpy())
    images = observations(batch).numpy()
    begun = time.perf_counter()
    functions[model](images)
    return time.perf_counter() - begun


def rates(model: str, rounds: int) -> dict[str, float]:
    """Median images a second of each contender, measured in turn."""
    asked = {
        "plain": ("plain", ORIGINAL_BATCH),
        "ours, by 64": ("ours", ORIGINAL_BATCH),
        "ours": ("ours", OUR_BATCH),
    }
    spawn = multiprocessing.get_context("spawn")
    found = {key: [] for key in asked}
    with spawn.Pool(1) as a, spawn.Pool(1) as b:
        pools = {"plain": a, "ours": b}
        for step in range(rounds + 1):
            for key, (contender, batch) in asked.items():
                taken = pools[contender].apply(seconds, (contender, model, batch))
                if step:
                    found[key].append(batch / taken)
                time.sleep(0.02)  # threads of the one before spin a moment
    return {key: statistics.median(values) for key, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("metrics", type=Path, help="report of benchmarks/metrics.py")
    parser.add_argument("representation", help="one that it has")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = json.loads(options.metrics.read_text())["results"][options.representation].values()
    alone = {
        "ours": sum(result["ours"]["seconds"] for result in results),
        "original": sum(result["original"][0]["seconds"] for result in results),
    }
    drawn, distinct = count()
    report = {"drawn": drawn, "distinct": distinct, "metrics_alone": alone, "models": {}}
    print(f"drawn {drawn:,}, distinct {distinct:,}; seconds of the metrics alone: {alone}")
    for model in ("VAE", "SR-VAE"):
        rate = rates(model, options.rounds)
        row = {"images_per_second": rate, "ours": distinct / rate["ours"] + alone["ours"]}
        row["original_plain"] = drawn / rate["plain"] + alone["original"]
        row["original_with_ours"] = drawn / rate["ours, by 64"] + alone["original"]
        report["models"][model] = row
        print(model, {key: round(value) for key, value in rate.items()}, "images a second")
        for side in ("original_plain", "original_with_ours"):
            ratio = row[side] / row["ours"]
            print(f"  {side:<20}{row[side]:>8.0f} s, ours {row['ours']:>6.0f} s: {ratio:.1f}x")
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
