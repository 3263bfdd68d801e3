"""The original's own code on what we leave: it evaluates, aggregates and scores our runs."""

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import oracle
import original_package
import pytest

from srvae_plugin import (
    evaluate_with_gin,
    load_dataset,
    postprocess_with_gin,
    representation_function,
    train_with_gin,
)
from srvae_plugin.cli.export import export
from srvae_plugin.config import gin_files, plugins
from srvae_plugin.config.text import gin_dict
from srvae_plugin.runs.directory import StepDirectory

pytestmark = pytest.mark.skipif(bool(oracle.MISSING), reason=f"needs {', '.join(oracle.MISSING)}")
SPEC = find_spec("disentanglement_lib")
CONFIGS = Path(SPEC.origin).parent / "config/tests" if SPEC else Path()
TINY = Path(__file__).with_name("tiny.gin")
METRICS = ("beta_vae", "factor_vae", "mig", "modularity_explicitness", "sap_score", "unsupervised")


# The original does not prune latents by default; its studies' file binds what is our default.
SETTINGS = ["evaluation.random_seed = 3", "prune_dims.threshold = 0.0"]


def metric_file(name):
    return str(CONFIGS / f"evaluation/evaluate_test_configs/{name}.gin")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of ours by the original's gin files, scored by us and by its evaluate_with_gin."""
    folder = tmp_path_factory.mktemp("runs") / "ours"
    source = folder / "postprocessed/mean"
    train = [CONFIGS / "methods/unsupervised/train_test.gin"]
    mean = [CONFIGS / "postprocessing/postprocess_test_configs/mean.gin"]
    train_with_gin(folder / "model", False, train, ["model.eval_steps = 1"])
    postprocess_with_gin(folder / "model", source, False, mean)
    graph = export(folder, "torchscript", folder.parent / "graph").file
    (source / "tfhub").mkdir()
    shutil.copy(graph, source / "tfhub")
    outputs = []
    for name in METRICS:
        bindings = [*SETTINGS, f"evaluation.name = '{name}'"]
        evaluate_with_gin(
            source, folder / "metrics/mean" / name, False, [metric_file(name)], bindings
        )
        target = folder.parent / "theirs/metrics/mean" / name
        outputs.append([str(target), [metric_file(name)], bindings])
    original_package.run("evaluate", source=str(source), outputs=outputs)
    return folder


@pytest.mark.parametrize("name", METRICS)
def test_its_evaluate_with_gin_gives_our_scores(run, name):
    """Same run, gin file and seed: the same scores under the same keys and configuration."""
    place = f"metrics/mean/{name}/results/aggregate/evaluation.json"
    ours, theirs = (
        json.loads((run.parent / who / place).read_text()) for who in ("ours", "theirs")
    )
    own = {key for key in theirs if key.startswith("evaluation_config.")}
    assert len(own) > 4
    assert {key: ours[key] for key in own} == {key: theirs[key] for key in own}
    for key in (k for k in theirs if k.startswith("evaluation_results.")):
        if not key.endswith((".uuid", ".elapsed_time")):
            assert ours[key] == pytest.approx(theirs[key], rel=1e-5, abs=1e-7), key
    # What comes from the steps before is ours in both.
    earlier = {k: v for k, v in ours.items() if k.startswith(("train_", "postprocess_"))}
    assert earlier
    assert earlier.items() <= theirs.items()


def test_its_aggregate_puts_our_runs_beside_its_own(run, tmp_path):
    pattern = f"{run.parent}/*/metrics/mean/*/results/aggregate/evaluation.json"
    table = original_package.run("aggregate", pattern=pattern, output=str(tmp_path / "all.json"))
    rows = {}
    for row in table:
        place = Path(row["path"])
        rows[place.parents[5].name, place.parents[2].name] = row
    assert set(rows) == {(who, name) for who in ("ours", "theirs") for name in METRICS}
    for name in METRICS:
        ours, theirs = rows["ours", name], rows["theirs", name]
        scores = StepDirectory(run / "metrics/mean" / name, "evaluation").read()
        for key, value in scores.items():
            if not isinstance(value, str):
                assert ours[f"evaluation_results.{key}"] == pytest.approx(value)
        for column in ("train_config.vae.beta", "evaluation_config.evaluation.random_seed"):
            assert ours[column] == theirs[column] is not None
        assert ours["evaluation_config.evaluation.name"] == f"'{name}'"
    assert rows["ours", "mig"]["evaluation_config.evaluation.evaluation_fn"] == "@mig"


def test_its_metric_functions_score_our_data_set_and_representation(tmp_path):
    """The objects as they are: dSprites and an SR-VAE."""
    train_with_gin(tmp_path / "model", False, [TINY])
    settings = {
        "mig": {"num_train": 200},
        "sap_score": {"num_train": 120, "num_test": 60, "continuous_factors": False},
        "factor_vae_score": {
            "num_variance_estimate": 80, "num_train": 40, "num_eval": 30, "batch_size": 8,
        },
    }  # fmt: skip
    bindings = [f"{m}.{key} = {v}" for m, values in settings.items() for key, v in values.items()]
    bindings += ["discretizer.discretizer_fn = @histogram_discretizer", "discretizer.num_bins = 20"]
    theirs = original_package.run(
        "score_our_objects",
        run_dir=str(tmp_path),
        dataset="dsprites_full",
        metrics=list(settings),
        bindings=[*bindings, "prune_dims.threshold = 0.0"],
    )
    data, function = load_dataset("dsprites_full"), representation_function(tmp_path)
    with gin_files.configured(bindings=["prune_dims.threshold = 0.0"]):
        for name, values in settings.items():
            ours = plugins.find("metrics", name)(
                data, function, random_state=np.random.RandomState(0), **values
            )
            assert theirs[name].keys() <= ours.keys()
            for key, value in theirs[name].items():
                assert ours[key] == pytest.approx(value, rel=1e-5, abs=1e-7), (name, key)


def test_both_libraries_in_one_process(run, tmp_path):
    """Short names mean ours to us, full names work; the original's bindings stay as they are."""
    bindings = [*SETTINGS, "evaluation.name = 'mig'"]
    full = [f"srvae_plugin.{line}" for line in bindings]
    full += [
        "srvae_plugin.evaluation.evaluation_fn = @srvae_plugin.mig",
        "srvae_plugin.dataset.name = 'dummy_data'",
        "srvae_plugin.mig.num_train = 100",
        "srvae_plugin.discretizer.discretizer_fn = @srvae_plugin.histogram_discretizer",
        "srvae_plugin.discretizer.num_bins = 20",
    ]
    answer = original_package.run(
        "both_in_one_process",
        source=str(run / "postprocessed/mean"),
        target=str(tmp_path),
        files=[metric_file("mig")],
        bindings=bindings,
        full=full,
    )
    alone = run / "metrics/mean/mig"
    expected = StepDirectory(alone, "evaluation").read()["discrete_mig"]
    saved = gin_dict((alone / "results/gin/evaluation.gin").read_text())
    for names in ("short", "full"):
        assert answer[names]["discrete_mig"] == pytest.approx(expected, rel=1e-6)
        again = gin_dict((tmp_path / names / "results/gin/evaluation.gin").read_text())
        again = {key: value.replace("@srvae_plugin.", "@") for key, value in again.items()}
        assert again == saved
    assert answer["inside"] == [8, 8, 7]
    assert answer["afterwards"] == 7
    # The original's function is not taken for ours of the same short name.
    assert "unknown metric 'disentanglement_lib.evaluation" in answer["their metric"]
    # Outside ours a short name means the original's, as if we were not there.
    assert "gin" not in answer
    assert answer["theirs by its short name"] == 8
    assert answer["both"].startswith("ConfigError: binding 'twice.x = 1': 'twice' is ambiguous")
    assert "other.twice" in answer["both"]


@pytest.mark.parametrize("ours_first", [False, True])
def test_short_names_mean_the_originals_outside_ours(ours_first):
    """In either order of imports: its own gin files, its functions, and what gin writes."""
    answer = original_package.run("short_names", ours_first=ours_first)
    assert answer["read"] > 5
    assert answer["failed"] == []
    assert answer["theirs"] == [False, True]
    assert answer["ours"] == [True, True]  # 0.1 is above our default
    assert "\nprune_dims.threshold = 0.5" in answer["written"]
    assert "\nsrvae_plugin.prune_dims.threshold = 0.05" in answer["written"]
    assert answer["ours inside"] == [True, True]
    assert answer["theirs inside"] == [False, True]
    assert "\nprune_dims.threshold = 0.0" in answer["written inside"]
    assert answer["bound afterwards"] == 0.5
