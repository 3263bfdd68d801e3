"""npz and parquet, read by numpy and pandas."""

import finished_runs
import numpy as np
import pytest
from srvae_adapters.files import encode_rows

from srvae_plugin import load_dataset, representation_function
from srvae_plugin.cli.evaluate import evaluate_main
from srvae_plugin.cli.export import export
from srvae_plugin.data.own.from_python import ArrayData, ArrayImages
from srvae_plugin.metrics.dci import disentanglement
from srvae_plugin.runs.directory import StepDirectory

pandas = pytest.importorskip("pandas")

DCI = ["run.metrics = ['dci']", "evaluation.random_seed = 3", "dci.num_train = 40"]
DCI += ["dci.num_test = 15"]
NAMES = ["factor 0", "factor 1", "factor 2"]


def read(path):
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that was scored by DCI, after its weights were made larger."""
    run = finished_runs.colour_run(tmp_path_factory.mktemp("runs"))
    flags = [flag for binding in DCI for flag in ("--bind", binding)]
    evaluate_main([str(run), *flags])
    return run


@pytest.fixture(scope="module")
def data(run):
    return load_dataset("npz", path=str(run.parent / "colour.npz"))


def test_npz_holds_the_whole_set_in_its_order(run, data):
    file = export(run, "npz").file
    assert file == run / "exports" / "mean" / "npz" / "codes.npz"
    arrays = read(file)
    assert np.array_equal(arrays["indices"], np.arange(60))
    grid = np.stack(np.unravel_index(np.arange(60), finished_runs.SIZES), axis=1)
    assert np.array_equal(arrays["factors"], grid)
    images = data.observations_at(np.arange(60))
    np.testing.assert_allclose(arrays["codes"], representation_function(run)(images), atol=1e-5)
    assert arrays["factor_names"].tolist() == NAMES
    assert arrays["factors_num_values"].tolist() == [3, 4, 5]


def test_images_without_factors_are_exported_once_each():
    data = ArrayData(
        ArrayImages(np.random.RandomState(0).randint(256, size=(9, 4, 4)).astype("u1")), "a"
    )
    rows = encode_rows(data, lambda images: images.mean((1, 2)), None, 0)
    assert np.array_equal(rows.indices, np.arange(9))
    assert rows.factors.shape == (9, 0)
    assert rows.codes.shape == (9, 1)


def test_the_importance_matrix_is_that_of_the_run_s_dci_score(run):
    scores = StepDirectory(run / "metrics" / "mean" / "dci", "evaluation").read()
    matrix = read(export(run, "npz", overwrite=True).file)["importance"]
    assert matrix.shape == (2, 3)
    assert disentanglement(matrix) == pytest.approx(scores["disentanglement"], abs=1e-12)
    assert disentanglement(matrix.T) == pytest.approx(scores["completeness"], abs=1e-12)
    other = export(run, "npz", overwrite=True, bindings=["evaluation.random_seed = 4"]).file
    assert not np.array_equal(read(other)["importance"], matrix)


def test_a_part_is_random_rows_in_order(run, tmp_path):
    bindings = ["export_npz.num_observations = 20", "export_npz.importance = False"]
    whole = read(export(run, "npz", tmp_path / "all").file)
    part = read(export(run, "npz", tmp_path / "part", bindings=bindings).file)
    assert "importance" not in part
    rows = part["indices"]
    assert len(rows) == 20
    assert np.all(np.diff(rows) > 0)
    assert rows[-1] > 20
    assert np.array_equal(part["factors"], whole["factors"][rows])
    np.testing.assert_allclose(part["codes"], whole["codes"][rows], atol=1e-6)
    other = export(run, "npz", tmp_path / "other", bindings=[*bindings, "export_npz.seed = 1"]).file
    assert not np.array_equal(read(other)["indices"], rows)


def test_a_grid_without_end_is_sampled(run, tmp_path):
    """Noise has no index; DCI of it is defined all the same."""
    finished = finished_runs.finished_run(
        tmp_path / "dummy", ["run.metrics = []", "dataset.name = 'dummy_data'"]
    )
    bindings = ["export_npz.num_observations = 8", "dci.num_train = 30", "dci.num_test = 10"]
    arrays = read(export(finished, "npz", bindings=bindings).file)
    assert sorted(arrays) == sorted(
        ["factors", "codes", "importance", "factor_names", "factors_num_values"]
    )
    assert arrays["factors"].shape == (8, 10)
    factors, images = load_dataset("dummy_data").sample(8, np.random.RandomState(0))
    assert np.array_equal(arrays["factors"], factors)
    expected = representation_function(finished)(images)
    np.testing.assert_allclose(arrays["codes"], expected, atol=1e-5)


def test_our_own_command_scores_the_npz(run, tmp_path, capsys):
    file = export(run, "npz", tmp_path / "npz").file
    metric = ["--bind", "run.metrics = ['mig']", "--bind", "mig.num_train = 50"]
    evaluate_main(["--codes", str(file), "--output", str(tmp_path / "a"), *metric])
    score = StepDirectory(tmp_path / "a" / "mig", "evaluation").read()["discrete_mig"]
    evaluate_main([str(run), *metric])
    own = StepDirectory(run / "metrics" / "mean" / "mig", "evaluation").read()["discrete_mig"]
    assert own == pytest.approx(score, abs=1e-9)


def test_parquet_is_a_data_frame(run, tmp_path):
    done = export(run, "parquet", bindings=["export_parquet.num_observations = 30"])
    frame = pandas.read_parquet(done.file)
    latents = ["latent_0", "latent_1"]
    assert list(frame.columns) == NAMES + latents
    assert frame.index.name == "observation"
    whole = read(export(run, "npz", tmp_path / "all").file)
    rows = frame.index.to_numpy()
    assert len(rows) == len(set(rows)) == 30
    assert np.array_equal(frame[NAMES], whole["factors"][rows])
    np.testing.assert_allclose(frame[latents], whole["codes"][rows], atol=1e-6)
    assert frame["latent_0"].dtype == np.float32
    assert frame.groupby("factor 0")["latent_0"].mean().shape == (3,)


@pytest.mark.parametrize("number", [0, -1, 61, 2.5, True])
@pytest.mark.parametrize("form", ["npz", "parquet"])
def test_numbers_that_the_set_does_not_have(run, tmp_path, form, number):
    with pytest.raises(ValueError, match="num_observations"):
        export(run, form, tmp_path / "x", bindings=[f"export_{form}.num_observations = {number}"])
    assert not (tmp_path / "x").exists()


def test_one_factor_has_no_importance_matrix(run, tmp_path, caplog):
    colour = read(run.parent / "colour.npz")
    np.savez(tmp_path / "one.npz", images=colour["images"], factors=colour["factors"][:, 2:])
    bindings = [f"dataset.path = '{tmp_path / 'one.npz'}'", "dataset.name = 'npz'"]
    arrays = read(export(run, "npz", tmp_path / "out", bindings=bindings).file)
    assert arrays["factors"].shape == (60, 1)
    assert "importance" not in arrays
    assert "no importance matrix" in caplog.text


def test_columns_of_the_same_name_are_refused(run, tmp_path):
    names = np.array(["a", "b", "latent_1"])
    np.savez(tmp_path / "named.npz", **read(run.parent / "colour.npz"), factor_names=names)
    bindings = [f"dataset.path = '{tmp_path / 'named.npz'}'", "dataset.name = 'npz'"]
    with pytest.raises(ValueError, match="same name"):
        export(run, "parquet", tmp_path / "out", bindings=bindings)
