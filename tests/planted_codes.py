"""Codes with defects that were planted: what is wrong with them is known."""

from typing import NamedTuple

import numpy as np

NAMES = ["a", "b", "c"]
_SIZES = (8, 5, 6)


class Planted(NamedTuple):
    codes: np.ndarray
    factors: np.ndarray
    found: set
    """(kind, factors) of what a diagnosis is to name, and nothing else."""
    sound: np.ndarray | None
    """The codes without the defect; None where codes cannot tell."""


def base(seed=0, noise=0.05, num=800):
    """Factors, and codes that hold each in a latent of its own."""
    random = np.random.RandomState(seed)
    factors = np.stack([random.randint(size, size=num) for size in _SIZES], axis=1)
    codes = (factors - factors.mean(axis=0)) / factors.std(axis=0)
    return random, factors, codes + noise * random.normal(size=codes.shape)


def turned(codes, columns, degrees):
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    made = codes.copy()
    made[:, columns] = codes[:, columns] @ turn
    return made


def not_encoded(seed=0):
    _, factors, codes = base(seed)
    return Planted(codes[:, :2], factors, {("not encoded", ("c",))}, None)


def rotated_pair(seed=0):
    _, factors, codes = base(seed)
    return Planted(turned(codes, [0, 1], 45), factors, {("rotated", ("a", "b"))}, codes)


def rotated_a_little(seed=0):
    _, factors, codes = base(seed)
    return Planted(turned(codes, [1, 2], 20), factors, {("rotated", ("b", "c"))}, codes)


def rotated_three(seed=0):
    random, factors, codes = base(seed)
    turn = np.eye(3)
    while np.abs(turn).max() > np.cos(np.deg2rad(20)):  # some turns leave a factor on its axis
        turn = np.linalg.qr(random.normal(size=(3, 3)))[0]
    return Planted(codes @ turn, factors, {("rotated", ("a", "b", "c"))}, codes)


def rotated_unequal(seed=0):
    _, factors, codes = base(seed)
    return Planted(
        turned(codes * [1, 0.5, 1], [0, 1], 40), factors, {("rotated", ("a", "b"))}, codes
    )


def split_digits(seed=0):
    random, factors, codes = base(seed)
    digits = np.stack([factors[:, 0] // 2, factors[:, 0] % 2], axis=1)
    digits = digits + 0.05 * random.normal(size=digits.shape)
    return Planted(np.hstack([codes[:, 1:], digits]), factors, {("split", ("a",))}, codes)


def split_one_hot(seed=0):
    random, factors, codes = base(seed)
    hot = np.eye(5)[factors[:, 1]] + 0.05 * random.normal(size=(len(codes), 5))
    return Planted(np.hstack([codes[:, [0, 2]], hot]), factors, {("split", ("b",))}, codes)


def copied(seed=0):
    _, factors, codes = base(seed)
    return Planted(np.hstack([codes, -2 * codes[:, :1]]), factors, {("duplicated", ("a",))}, codes)


def copied_with_noise(seed=0):
    random, factors, codes = base(seed)
    copy = codes[:, 1:2] + 0.3 * random.normal(size=(len(codes), 1))
    return Planted(np.hstack([codes, copy]), factors, {("duplicated", ("b",))}, codes)


def on_a_ring(seed=0):
    random, factors, codes = base(seed)
    angle = 2 * np.pi * factors[:, 0] / 8
    pair = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    pair = pair + 0.05 * random.normal(size=pair.shape)
    return Planted(np.hstack([pair, codes[:, 1:]]), factors, {("periodic", ("a",))}, codes)


def scrambled(seed=0):
    random, factors, codes = base(seed)
    order = np.array([3, 6, 1, 4, 7, 0, 5, 2])
    made = codes.copy()
    made[:, 0] = (order[factors[:, 0]] - 3.5) / 2.3 + 0.05 * random.normal(size=len(codes))
    return Planted(made, factors, {("non-linear", ("a",))}, codes)


def folded(seed=0):
    random, factors, codes = base(seed)
    made = codes.copy()
    made[:, 0] = np.abs(factors[:, 0] - 3.5) + 0.05 * random.normal(size=len(codes))
    return Planted(made, factors, {("non-linear", ("a",))}, None)


def dead_constant(seed=0):
    _, factors, codes = base(seed)
    return Planted(np.hstack([codes, np.zeros((len(codes), 2))]), factors, {("dead", ())}, codes)


def dead_nearly(seed=0):
    random, factors, codes = base(seed)
    dead = 0.02 * random.normal(size=(len(codes), 2))
    return Planted(np.hstack([codes, dead]), factors, {("dead", ())}, codes)


def with_noise_latent(seed=0):
    random, factors, codes = base(seed)
    noise = random.normal(size=(len(codes), 1))
    return Planted(np.hstack([noise, codes]), factors, {("noise", ())}, codes)


def two_in_one(seed=0):
    random, factors, codes = base(seed)
    both = (6 * factors[:, 1] + factors[:, 2]) / 9 + 0.01 * random.normal(size=len(codes))
    made = np.stack([codes[:, 0], both], axis=1)
    return Planted(made, factors, {("mixed", ("b", "c"))}, codes)


def told_together_only(seed=0):
    random, factors, codes = base(seed)
    key = 1 + random.randint(6, size=len(codes))
    pair = np.stack([key, (1 + factors[:, 2]) * key % 7], axis=1)
    pair = pair + 0.05 * random.normal(size=pair.shape)
    return Planted(np.hstack([codes[:, :2], pair]), factors, {("mixed", ("c",))}, None)


def rotated_and_copied(seed=0):
    _, factors, codes = base(seed)
    made = np.hstack([turned(codes, [0, 1], 45), codes[:, 2:] * 1.5])
    return Planted(made, factors, {("rotated", ("a", "b")), ("duplicated", ("c",))}, codes)


def missing_and_split(seed=0):
    made = split_digits(seed)
    return Planted(
        made.codes[:, [0, 2, 3]], made.factors, {("not encoded", ("c",)), ("split", ("a",))}, None
    )


def rotated_scrambled(seed=0):
    made = scrambled(seed)
    return Planted(
        turned(made.codes, [0, 1], 35),
        made.factors,
        {("rotated", ("a", "b")), ("non-linear", ("a",))},
        None,
    )


def ring_noise_and_dead(seed=0):
    random, factors, codes = base(seed)[0], *on_a_ring(seed)[1::-1]
    more = np.hstack([random.normal(size=(len(codes), 1)), np.full((len(codes), 1), 0.1)])
    return Planted(
        np.hstack([codes, more]),
        factors,
        {("periodic", ("a",)), ("noise", ()), ("dead", ())},
        None,
    )


ONE_DEFECT = (
    not_encoded, rotated_pair, rotated_a_little, rotated_three, rotated_unequal, split_digits,
    split_one_hot, copied, copied_with_noise, on_a_ring, scrambled, folded, dead_constant,
    dead_nearly, with_noise_latent, two_in_one, told_together_only,
)  # fmt: skip
MIXTURES = (rotated_and_copied, missing_and_split, rotated_scrambled, ring_noise_and_dead)
