"""Ours against the original, metric by metric: python benchmarks/metrics.py.

Five representations of a data set with dSprites' factors (3, 6, 40, 32, 32), looked up and not
computed, so that the seconds are the metric's alone; the published study's settings. Ours and the
original run in turn. Prints a row per metric and result, at the end seconds and ratios, and writes
everything as JSON after each metric: it can be interrupted.

    python benchmarks/metrics.py --study --representations noisy_factors    # the study's nine
    python benchmarks/metrics.py --metrics dci --representations noisy_factors --num-train 1000
    python benchmarks/metrics.py --codes codes.npz      # array `codes` (737280, latent), grid order
    python benchmarks/metrics.py --skip-trees
    python benchmarks/metrics.py --small --grid tiny    # the settings of the tests

What fits boosted trees takes the original minutes (dci 6, unified_scores 6, fairness 6) to hours
(reduced and strong downstream task) of CPU. Its trees are not seeded: --original-runs 2 shows the
spread between its own runs, the measure for our difference from their mean; with --seed-trees its
trees get our seeds, and the difference is that of the code alone.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import metric_cases
import oracle
import our_metrics

from srvae_plugin.metrics.learners.boosted_trees import BoostedTrees
from srvae_plugin.metrics.learners.logistic_regression import SoftmaxRegressionCV
from srvae_plugin.testing.representations import LookUp, Numbered

BOOSTED = "downstream_task_boosted_trees"
"""The downstream task a second time, with the study's other predictor."""
METRIC_OF = {BOOSTED: "downstream_task"}
STUDY = ["factor_vae_score", "beta_vae_sklearn", "mig", "sap_score", "modularity_explicitness"]
STUDY += ["unsupervised_metrics", "dci", "downstream_task", BOOSTED]

HEADER = (
    f"{'representation':<20}{'metric':<25}{'score':<40}{'ours':>20}{'original':>20}"
    f"{'|difference|':>14}{'own spread':>12}{'s ours':>8}{'s orig.':>8}"
)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known = [*("factors_themselves", "linear_mix", "noisy_factors", "dead_latents"), "trained"]
    parser.add_argument("--representations", nargs="+", choices=known, default=known)
    known = [*our_metrics.OURS, BOOSTED]
    parser.add_argument("--metrics", nargs="+", choices=known, default=known)
    parser.add_argument("--study", action="store_true", help="the nine metrics of the study")
    parser.add_argument("--original-runs", type=int, default=1)
    parser.add_argument("--skip-trees", action="store_true", help="skip what fits boosted trees")
    parser.add_argument("--seed-trees", action="store_true", help="our seeds for the original")
    parser.add_argument("--small", action="store_true", help="settings of the tests")
    parser.add_argument("--grid", choices=list(metric_cases.GRIDS), default="dsprites")
    parser.add_argument("--codes", type=Path, help="npz of a trained model's codes, array `codes`")
    parser.add_argument("--num-train", type=int, help="instead of the published 10,000")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, default=Path("metrics.json"))
    return parser.parse_args()


def codes_of(name: str, path: Path | None, grid: str) -> NDArray[Any] | None:
    sizes = metric_cases.GRIDS[grid]
    if name != "trained":
        return metric_cases.REPRESENTATIONS[name](sizes)
    if path is None:
        print("trained: skipped, no --codes FILE given", flush=True)
        return None
    codes = np.load(path, allow_pickle=False)["codes"]
    if len(codes) != np.prod(sizes):
        raise SystemExit(f"{path}: codes must have {np.prod(sizes)} rows, got {codes.shape}")
    return codes


def settings_of(metric: str, options: argparse.Namespace) -> dict[str, Any]:
    chosen = metric_cases.SETTINGS if options.small else metric_cases.PAPER_SETTINGS
    settings = dict(chosen[METRIC_OF.get(metric, metric)])
    if metric == BOOSTED:
        settings["predictor.predictor_fn"] = "@gradient_boosting_classifier"
    if options.num_train is not None and "num_train" in settings:
        several = isinstance(settings["num_train"], list)
        settings["num_train"] = [options.num_train] if several else options.num_train
    return settings


def compare(codes: NDArray[Any], metric: str, options: argparse.Namespace) -> dict:
    """Both sides' scores and seconds of one metric."""
    settings, seed = settings_of(metric, options), options.seed
    metric = METRIC_OF.get(metric, metric)
    run = metric_cases.original_run(metric, seed, settings)
    fits_trees = run["seed_trees"]
    run["seed_trees"] = options.seed_trees and fits_trees
    data = Numbered(metric_cases.GRIDS[options.grid])
    function = LookUp(codes, data)
    start = time.perf_counter()
    ours = our_metrics.scores(metric, data, function, seed, settings)
    ours["seconds"] = time.perf_counter() - start
    repeats = options.original_runs if fits_trees and not options.seed_trees else 1
    original = oracle.scores(codes, data.factors_num_values, [run] * repeats)
    return {"settings": settings, "seed": seed, "ours": ours, "original": original}


def show(representation: str, metric: str, result: dict) -> None:
    ours, original = result["ours"], result["original"]
    if "error" in original[0]:
        print(f"{representation:<20}{metric:<25}the original fails: {original[0]['error']}")
        return
    for key, value in original[0].items():
        if key == "seconds":
            continue
        values = [run[key] for run in original]
        spread = f"{max(values) - min(values):.1e}" if len(values) > 1 else "-"
        difference = abs(ours[key] - np.mean(values))
        print(
            f"{representation:<20}{metric:<25}{key:<40}{ours[key]:>20.15f}{value:>20.15f}"
            f"{difference:>14.1e}{spread:>12}{ours['seconds']:>8.2f}"
            f"{original[0]['seconds']:>8.2f}",
            flush=True,
        )


def show_seconds(results: dict) -> None:
    """Seconds of both sides and their ratio, for each metric and in all."""
    for representation, metrics in results.items():
        print(f"\n{representation:<36}{'s ours':>10}{'s original':>12}{'ratio':>8}")
        pairs = {
            name: (result["ours"]["seconds"], result["original"][0]["seconds"])
            for name, result in metrics.items()
            if "error" not in result["original"][0]
        }
        pairs["all"] = tuple(map(sum, zip(*pairs.values(), strict=True)))
        for name, (ours, original) in pairs.items():
            print(f"  {name:<34}{ours:>10.2f}{original:>12.2f}{original / ours:>8.1f}")


def main() -> None:
    options = arguments()
    if oracle.MISSING:
        raise SystemExit(f"the original is not installed: {', '.join(oracle.MISSING)} missing")
    # Compiling happens once a machine; the seconds are those of every later run.
    BoostedTrees.fit(np.eye(4, 2), np.array([0, 1, 0, 1]), 0)
    SoftmaxRegressionCV().fit(np.eye(9, 3), np.arange(9) % 3)
    packages = ("numpy", "scikit-learn", "disentanglement-lib")
    report: dict = {"versions": {name: version(name) for name in packages}, "results": {}}
    print(HEADER, flush=True)
    for representation in options.representations:
        codes = codes_of(representation, options.codes, options.grid)
        if codes is None:
            continue
        for metric in STUDY if options.study else options.metrics:
            settings = settings_of(metric, options)
            run = metric_cases.original_run(METRIC_OF.get(metric, metric), 0, settings)
            if run["seed_trees"] and options.skip_trees:
                continue
            result = compare(codes, metric, options)
            show(representation, metric, result)
            report["results"].setdefault(representation, {})[metric] = result
            unfinished = options.json.with_suffix(".part")
            unfinished.write_text(json.dumps(report, indent=2))
            os.replace(unfinished, options.json)
    show_seconds(report["results"])


if __name__ == "__main__":
    main()
