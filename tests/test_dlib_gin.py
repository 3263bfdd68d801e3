"""The gin files inside the original's package, unmodified, where that package is installed."""

import importlib.util
import logging
from pathlib import Path

import pytest

from srvae_plugin import evaluate_with_gin, gin_config, postprocess_with_gin, steps, train_with_gin

SPEC = importlib.util.find_spec("disentanglement_lib")
pytestmark = pytest.mark.skipif(SPEC is None, reason="disentanglement-lib is not installed")
STUDY = Path(SPEC.origin).parent / "config/unsupervised_study_v1" if SPEC else Path()
FEW = ["model.training_steps = 2", "model.eval_steps = 1", "model.batch_size = 4"]


def test_a_model_trains_is_represented_and_scored(tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="srvae_plugin"):
        train_with_gin(tmp_path / "model", False, [STUDY / "model_configs/shared.gin"], FEW)
    for kind in ("mean", "sampled"):
        folder = tmp_path / kind
        config = STUDY / f"postprocess_configs/{kind}.gin"
        postprocess_with_gin(tmp_path / "model", folder, False, [config])
        scores = evaluate_with_gin(
            folder, tmp_path / f"{kind}-mig", False, [STUDY / "metric_configs/mig.gin"],
            ["mig.num_train = 200"],
        )  # fmt: skip
        assert 0 <= scores["discrete_mig"] <= 1


@pytest.mark.parametrize("path", sorted(STUDY.glob("metric_configs/*.gin")), ids=lambda p: p.stem)
def test_metric_files_name_a_metric_of_ours(path):
    with gin_config.configured([path]):
        (metric,) = steps.run_plan().metrics
        assert gin_config.bound("evaluation.random_seed") == 0
    assert metric.split("_")[0] == path.stem.split("_")[0]
