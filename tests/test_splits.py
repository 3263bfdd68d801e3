"""The four splits of a grid, what they leave out, and R^2 on it."""

import itertools
import math

import numpy as np
import pytest

import srvae_plugin as sv
from srvae_plugin.data.image_grid import ImageGrid
from srvae_plugin.data.sampling.combinations import left_out, read_rule
from srvae_plugin.data.sampling.constrained import constrained
from srvae_plugin.data.sampling.held_out import to_score

NAMES = ["shape", "scale", "position x", "position y"]
SIZES = [3, 6, 8, 9]
PUBLISHED = {
    "dsprites": [3, 6, 40, 32, 32], "shapes3d": [10, 10, 10, 8, 4, 15],
    "mpi3d": [6, 6, 2, 3, 3, 40, 40],
}  # fmt: skip


def out_of(rule, sizes=SIZES, names=NAMES, seed=0):
    return left_out(read_rule(rule, "constraints"), names, sizes, seed)


def kept_values(out):
    """Of each factor, the values that some combination has which is not left out."""
    return [
        np.flatnonzero((~out).any(axis=tuple(k for k in range(out.ndim) if k != factor)))
        for factor in range(out.ndim)
    ]


@pytest.mark.parametrize("kind", ["interpolation", "extrapolation"])
def test_what_is_trained_on_is_a_grid_of_the_values_that_are_kept(kind):
    """As in the benchmark: both parts together are the whole, about 30 % to train on."""
    for sizes in (SIZES, *PUBLISHED.values()):
        out = out_of({"split": kind}, sizes, [f"f{k}" for k in range(len(sizes))])
        kept = kept_values(out)
        assert (~out).sum() == math.prod(len(values) for values in kept)
        assert out.mean() == pytest.approx(0.7, abs=0.05)
        for values, size in zip(kept, sizes, strict=True):
            apart = sorted(set(range(size)) - set(values.tolist()))
            if kind == "extrapolation":
                assert apart == list(range(len(values), size))
            else:
                assert not {0, size - 1} & set(apart)
                assert len(apart) == size - len(values)


def test_of_a_composition_all_values_are_trained_on_but_not_together():
    out = out_of({"split": "composition", "share": 0.4})
    assert [len(values) for values in kept_values(out)] == SIZES
    assert out.mean() == pytest.approx(0.4, abs=0.05)
    # Which values are set apart is seen from the pairs that are missing: the last of each factor.
    apart = []
    for factor, size in enumerate(SIZES):
        rest = tuple(k for k in range(4) if k != factor)
        share = out.mean(axis=rest)
        apart.append(np.arange(size)[share > share.min()])
    for row in itertools.product(*map(range, SIZES)):
        number = sum(value in apart[k] for k, value in enumerate(row))
        assert out[row] == (number >= 2)


def test_a_split_of_some_factors_leaves_the_others_alone():
    out = out_of({"split": "extrapolation", "factors": ["scale"], "share": 1 / 3})
    np.testing.assert_array_equal(out, np.indices(SIZES)[1] >= 4)
    out = out_of({"split": "interpolation", "factors": ["posX"], "share": 0.25})
    assert [len(values) for values in kept_values(out)] == [3, 6, 6, 9]
    out = out_of({"split": "composition", "factors": ["scale", "posX"], "share": 0.25})
    _, scale, x, _ = np.indices(SIZES)
    np.testing.assert_array_equal(out, (scale >= 3) & (x >= 4))


def test_the_random_split_is_that_share_and_follows_the_seed():
    one, same, other = (out_of({"split": "random"}, seed=seed) for seed in (0, 0, 1))
    assert one.sum() == round(0.7 * math.prod(SIZES))
    assert (one == same).all()
    assert (one != other).any()


def test_a_file_of_test_labels_says_what_is_left_out(tmp_path):
    rows = np.argwhere(np.random.RandomState(0).rand(*SIZES) < 0.5)
    np.savez_compressed(tmp_path / "labels.npz", rows.astype(np.float64))
    out = out_of(str(tmp_path / "labels.npz"))
    assert (np.argwhere(out) == rows).all()
    np.savez(tmp_path / "labels.npz", rows[:, :3])
    with pytest.raises(ValueError, match=r"labels\.npz.*expected rows of 4 factors.*\(\d+, 3\)"):
        out_of(str(tmp_path / "labels.npz"))
    with pytest.raises(ValueError, match=r"nothing\.npz': cannot be read"):
        out_of(str(tmp_path / "nothing.npz"))


@pytest.mark.parametrize(
    ("rule", "part"),
    [
        ({"split": "extra"}, "split = 'extra': expected one of random, composition, inter"),
        ({"split": "random", "share": 1}, "share = 1: expected one between 0 and 1"),
        ({"split": "random", "part": 0.1}, "'part': a split has share and factors"),
        ({"split": "composition", "factors": ["scale"]}, "three values or more, and a second one"),
        ({"split": "random", "factors": ["hue"]}, "no factor 'hue'"),
    ],
)
def test_a_split_that_cannot_be_made_says_why(rule, part):
    with pytest.raises(ValueError, match=part):
        out_of(rule)


def test_r2_of_the_part_left_out_is_that_of_a_plain_loop():
    """Codes that stop at the values trained on, and a factor that is constant in the rest."""
    images = np.zeros((math.prod(SIZES), 8, 8, 1), np.uint8)
    images[:, 0, :4, 0] = np.indices(SIZES).reshape(4, -1).T * 10
    rule = {"split": "extrapolation", "factors": ["scale"], "share": 1 / 6}
    whole = to_score(constrained(ImageGrid(images, SIZES, NAMES), constraints=rule))

    def encode(observations):
        return np.minimum(np.rint(observations[:, 0, :4, 0] * 25.5), [9, 4, 9, 9])

    settings = {"num_train": 800, "num_test": 400, "num_kernel": 100}
    settings |= {"left_out": True, "of_grid": True}
    found = sv.metrics.compute_r2(whole, encode, 0, **settings)
    for factor, size in enumerate(SIZES):
        variance = np.mean([(value - (size - 1) / 2) ** 2 for value in range(size)])
        error = 1.0 if factor == 1 else 0.0  # the largest scale, 5, is taken for 4
        expected = 1 - error / variance
        assert found[f"r2_linear_factor_{factor}"] == pytest.approx(expected, abs=1e-9)
    with pytest.raises(ValueError, match=r"of_grid = True: bind r2\.left_out"):
        sv.metrics.compute_r2(whole, encode, 0, of_grid=True)
