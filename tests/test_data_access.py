"""Data sets by index: as arrays, and as torch's `DataLoader` takes them."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Subset

from srvae_plugin.config.plugins import load_dataset
from srvae_plugin.data.own.table import FactorTable
from srvae_plugin.testing.complete_run import Bars

GRID = Bars((8, 6, 2))


def test_an_item_is_the_image_and_its_factors():
    image, factors = GRID[5]
    assert image.dtype == torch.float32
    expected = GRID.observations_at(np.array([5]))[0]
    assert torch.equal(image, torch.from_numpy(expected).permute(2, 0, 1))
    assert factors.tolist() == GRID.factors_at(np.array([5]))[0].tolist()
    last, _ = GRID[-1]
    assert torch.equal(last, GRID[len(GRID) - 1][0])


@pytest.mark.parametrize("index", [slice(1, 4), [1, 2, 3], np.array([1, 2, 3])])
def test_several_items_at_once(index):
    images, factors = GRID[index]
    assert torch.equal(images, torch.stack([GRID[i][0] for i in (1, 2, 3)]))
    assert torch.equal(factors, torch.stack([GRID[i][1] for i in (1, 2, 3)]))


@pytest.mark.parametrize("index", [len(GRID), -len(GRID) - 1, [0, len(GRID)], 1.5, [0.5], "a"])
def test_what_is_no_index_is_refused(index):
    with pytest.raises((IndexError, TypeError)):
        GRID[index]


def test_iteration_ends():
    table = FactorTable(np.array([[0], [1], [2]]))
    assert [factors.tolist() for _, factors in table] == [[0], [1], [2]]


def test_a_data_loader_takes_it():
    images, factors = next(iter(DataLoader(GRID, batch_size=4)))
    assert torch.equal(images, GRID[:4][0])
    assert torch.equal(factors, GRID[:4][1])
    some = next(iter(DataLoader(Subset(GRID, [7, 3]), batch_size=2)))
    assert torch.equal(some[0], GRID[[7, 3]][0])


def test_dsprites_says_what_it_is():
    data = load_dataset("dsprites_full")
    assert len(data) == 737_280
    assert "737,280 observations of 64 x 64 x 1" in repr(data)
    assert "orientation (40)" in repr(data)
    image, factors = data[737_279]
    assert image.shape == (1, 64, 64)
    assert factors.tolist() == [2, 5, 39, 31, 31]
