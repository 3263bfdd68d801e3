"""Which rows are held out: as many as the share says, whole groups, whatever the order."""

import numpy as np
import pytest

from srvae_plugin.data.own.table import FactorTable
from srvae_plugin.data.sampling.held_out import split


@pytest.mark.parametrize(
    ("num_rows", "share", "scored"),
    [(10, 0.2, 2), (7, 0.4, 3), (7, 0.35, 2), (9, 0.96, 9), (10, 0.94, 9), (3, 0.5, 2)],
)
def test_the_nearest_whole_number_of_rows_is_scored(num_rows, share, scored):
    if scored == num_rows:
        with pytest.raises(ValueError, match="leaves 0 to train on"):
            split(num_rows, share)
        return
    train, score = split(num_rows, share)
    assert len(score) == scored
    assert sorted([*train, *score]) == list(range(num_rows))
    assert (np.diff(train) > 0).all()
    assert (np.diff(score) > 0).all()


def test_rows_of_equal_content_stay_on_one_side():
    """Twelve rows in four groups of three: half of them is two groups."""
    keys = np.repeat(np.arange(4), 3)
    classes = np.zeros((12, 1), np.int64)

    def content(rows):
        return keys[rows]

    train, score = split(12, 0.5, content, classes)
    assert len(score) == 6
    assert not set(keys[train]) & set(keys[score])


def test_a_table_draws_factors_of_the_rows_to_train_on_alone():
    """A table that is no grid: no draw has the value that only its last rows have."""
    factors = np.stack([np.r_[np.arange(20) % 4, 4, 4], np.arange(22) // 2], axis=1)
    drawn = FactorTable(factors, held_out=2).sample_factors(500, np.random.RandomState(0))
    assert set(drawn[:, 0]) == {0, 1, 2, 3}
