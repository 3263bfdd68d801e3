"""What tests ask of finished trainings: the rows they logged, and whether weights are the same."""

import csv

import torch


def rows(folder):
    with (folder / "scalars.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def same_weights(a, b):
    pairs = zip(a.state_dict().items(), b.state_dict().items(), strict=True)
    return all(n == m and torch.equal(v, w) for (n, v), (m, w) in pairs)
