"""Tables and verdicts of docs/evidence.md, from the scores.csv of reports.

    srvae-report evidence/dsprites --output evidence/dsprites.html      # and evidence/scores.csv
    python benchmarks/evidence.py docs/measurements/evidence_dsprites.csv ...

A claim compares two models, seed by seed. Its verdict is that of the 95 % bootstrap interval of the
mean paired difference: "supported" if all of it is on the claim's side of 0, "not supported" if all
of it is on the other, else "not decided", as with fewer than five pairs. Of so few pairs such
intervals are too narrow: a supported claim is a lead, not a proof.
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from srvae_plugin.comparisons import paired_differences, probability_of_improvement
from srvae_plugin.statistics import bootstrap_interval, mean

Score = tuple[str, str]
FACTOR_VAE = ("factor_vae_score", "eval_accuracy")
RECONSTRUCTION = ("training", "reconstruction_loss")
FOREST = "random_forest"
COLUMNS: dict[Score, str] = {
    FACTOR_VAE: "FactorVAE",
    ("mig", "discrete_mig"): "MIG",
    ("dci", "disentanglement"): "DCI D",
    ("sap_score", "SAP_score"): "SAP",
    (FOREST, "disentanglement"): "forest D",
    (FOREST, "completeness"): "forest C",
    (FOREST, "informativeness_test"): "forest I",
    RECONSTRUCTION: "reconstruction",
    ("training", "kl_loss"): "KL",
}
FEWEST_PAIRS = 5
LOWER_IS_BETTER = {RECONSTRUCTION}


class Claim(NamedTuple):
    """`better` scores better than `worse`."""

    text: str
    better: str
    worse: str
    score: Score


CLAIMS = [
    *(
        Claim("better disentanglement", "SR-VAE", other, FACTOR_VAE)
        for other in ("VAE", "beta-VAE", "FactorVAE")
    ),
    *(
        Claim("better reconstruction", "SR-VAE", other, RECONSTRUCTION)
        for other in ("VAE", "beta-VAE", "FactorVAE")
    ),
    Claim("the sequence matters", "SR-VAE", "ResVAE", FACTOR_VAE),
    Claim("the skip connection matters", "SR-VAE", "SeqVAE", FACTOR_VAE),
    Claim("beta > 1 does not help", "SR-VAE", "SR-beta-VAE", FACTOR_VAE),
    *(
        Claim("better disentanglement", "SR-VAE", other, (FOREST, "disentanglement"))
        for other in ("VAE", "beta-VAE", "FactorVAE")
    ),
]

Scores = dict[Score, dict[str, dict[int, float]]]
"""Of each score: model to seed to value."""


def read(path: Path) -> Scores:
    found: Scores = defaultdict(lambda: defaultdict(dict))
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            score = (row["metric"], row["key"])
            if score in COLUMNS and row["value"]:
                found[score][row["model"]][int(row["seed"])] = float(row["value"])
    return found


def interval(scores: Sequence[float], digits: int) -> str:
    """Mean and interval; the mean alone of a single score."""
    low, high = bootstrap_interval(mean, scores)
    text = f"{mean(scores):.{digits}f}"
    return text if np.isnan(low) else f"{text} [{low:.{digits}f}, {high:.{digits}f}]"


def show_scores(scores: Scores) -> None:
    columns = [score for score in COLUMNS if scores.get(score)]
    models = sorted({model for score in columns for model in scores[score]})
    print("| model | seeds |" + "".join(f" {COLUMNS[score]} |" for score in columns))
    print("|---|---|" + "---|" * len(columns))
    for model in models:
        cells = [list(scores[score].get(model, {}).values()) for score in columns]
        shown = [
            interval(c, 1 if s[0] == "training" else 3) if c else ""
            for s, c in zip(columns, cells, strict=True)
        ]
        print(f"| {model} | {max(map(len, cells))} | " + " | ".join(shown) + " |")


def verdict(claim: Claim, differences: Sequence[float]) -> str:
    low, high = bootstrap_interval(mean, differences)
    if claim.score in LOWER_IS_BETTER:
        low, high = -high, -low
    if len(differences) < FEWEST_PAIRS:
        return f"not decided: fewer than {FEWEST_PAIRS} pairs"
    if low > 0:
        return "supported"
    return "not supported" if high < 0 else "not decided"


def show_claims(scores: Scores) -> None:
    print("| claim | compared | score | pairs | mean difference | P(better) | verdict |")
    print("|---|---|---|---|---|---|---|")
    for claim in CLAIMS:
        better, worse = (scores[claim.score].get(m, {}) for m in (claim.better, claim.worse))
        seeds = sorted(set(better) & set(worse))
        if not seeds:
            continue
        one, two = [better[s] for s in seeds], [worse[s] for s in seeds]
        differences = paired_differences(one, two)[:, 0]
        chance = probability_of_improvement(one, two)
        if claim.score in LOWER_IS_BETTER:
            chance = 1 - chance
        digits = 1 if claim.score[0] == "training" else 3
        print(
            f"| {claim.text} | {claim.better}, {claim.worse} | {COLUMNS[claim.score]} "
            f"| {len(seeds)} | {interval(differences, digits)} | {chance:.2f} "
            f"| {verdict(claim, differences)} |"
        )


def show_spread(scores: Scores) -> None:
    print("| model | seeds | standard deviation | worst |\n|---|---|---|---|")
    for model, values in sorted(scores[FACTOR_VAE].items()):
        found = list(values.values())
        if len(found) > 1:
            print(f"| {model} | {len(found)} | {np.std(found, ddof=1):.3f} | {min(found):.3f} |")


def main(paths: Sequence[str]) -> None:
    if not paths:
        sys.exit(__doc__)
    for path in map(Path, paths):
        scores = read(path)
        print(f"\n**{path.name}**\n")
        show_scores(scores)
        print()
        show_claims(scores)
        if scores[FACTOR_VAE]:
            print("\nFactorVAE score over seeds:\n")
            show_spread(scores)


if __name__ == "__main__":
    main(sys.argv[1:])
