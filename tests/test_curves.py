from __future__ import annotations

import numpy as np
import pytest

from srvae_plugin.plots.curves import learning_curves, running_mean

HEADER = "step,loss,reconstruction_loss,kl_loss,regularizer,elbo,kl_0,kl_1,kl_2"


@pytest.fixture
def scalars_csv(tmp_path):
    path = tmp_path / "scalars.csv"
    rows = [f"{i},9,{100 - i},{i},1,-1,{i / 9},{i / 2},.1" for i in range(0, 30, 10)]
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    return path


def test_learning_curves_panels_and_order(scalars_csv):
    figure = learning_curves(scalars_csv)
    left, middle, right = figure.axes
    assert left.get_ylabel() == "nats per image"
    assert left.lines[0].get_ydata().tolist() == [100, 90, 80]
    assert middle.lines[0].get_ydata().tolist() == [0, 10, 20]
    assert right.lines[0].get_xdata().tolist() == [0, 10, 20]
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["z1", "z0", "z2"]


def test_long_curves_are_smoothed_and_many_latents_grouped(tmp_path):
    path = tmp_path / "scalars.csv"
    names = [f"kl_{i}" for i in range(12)]
    lines = [",".join(["step", "reconstruction_loss", "kl_loss", *names])]
    lines += [",".join(str(v) for v in (i, 1, 2, *range(12))) for i in range(200)]
    path.write_text("\n".join(lines))
    left, middle, right = learning_curves(path).axes
    assert len(left.lines) == 2
    assert middle.get_xlabel() == "step (lines: mean of 5 logged values)"
    legend = [text.get_text() for text in right.get_legend().get_texts()]
    assert legend == [*(f"z{i}" for i in range(11, 1, -1)), "others"]


def test_running_mean():
    assert running_mean(np.arange(5.0), 1).tolist() == [0, 1, 2, 3, 4]
    assert running_mean(np.array([3.0, 0.0, 3.0]), 3).tolist() == [1.5, 2, 1.5]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEADER + "\n0,1,2\n1,1,1,1,1,1,1,1,1\n", "line 2: got 3 fields, expected 9"),
        (HEADER + "\n0,1,2,x,1,1,1,1,1", "line 2: could not convert"),
        ("loss,kl_loss\n1,2\n", "no column 'step'"),
    ],
)
def test_damaged_scalars_are_named(tmp_path, content, message):
    path = tmp_path / "scalars.csv"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        learning_curves(path)
    with pytest.raises(FileNotFoundError):
        learning_curves(tmp_path / "none.csv")


def test_one_logged_step_is_a_point(tmp_path):
    path = tmp_path / "scalars.csv"
    path.write_text(HEADER + "\n0,1,2,3,4,5,6,7,8\n")
    for axes in learning_curves(path).axes:
        assert {line.get_marker() for line in axes.lines} == {"o"}
