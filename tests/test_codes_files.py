"""One table of codes in every format it may come in, codes of vectors, several tables at once."""

import csv
import logging

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.decomposition import PCA
from test_evaluate import evaluate, scores_in

from srvae_plugin.cli.evaluate import evaluate_main
from srvae_plugin.data.own.table import FactorTable
from srvae_plugin.metrics import compute_dci, compute_mig
from srvae_plugin.runs.codes.columns import Columns, arrays_of_frame
from srvae_plugin.runs.codes.files import CodesFile, load_codes, table_of
from srvae_plugin.runs.representation import TabulatedCodes

SHAPES = np.array(["square", "ellipse", "heart"])
NAMES = ["shape", "scale", "x"]


def make():
    """Codes of 400 rows; a factor of words, one of fractions, one of whole numbers."""
    random_state = np.random.RandomState(0)
    shape, x = random_state.randint(3, size=400), random_state.randint(6, size=400)
    scale = random_state.uniform(size=400)
    codes = np.stack([shape + 0.3 * random_state.normal(size=400), scale, x * 0.1, -x / 3.0], 1)
    return codes, {"shape": SHAPES[shape], "scale": scale, "x": x}


def records(factors):
    array = np.empty(400, dtype=[(name, values.dtype) for name, values in factors.items()])
    for name, values in factors.items():
        array[name] = values
    return array


def frame():
    codes, factors = make()
    return pd.DataFrame(factors | {f"latent_{k}": codes[:, k] for k in range(4)})


def write_text(path, delimiter):
    table = frame()
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(table.columns)
        writer.writerows([[str(v) for v in row] for row in table.itertuples(index=False)])


def npz(path):
    codes, factors = make()
    np.savez(path, codes=codes, factors=records(factors))
    return CodesFile(path)


def npy(path):
    codes, factors = make()
    np.save(path, codes)
    np.save(path.with_name("factors.npy"), records(factors))
    return CodesFile(path, path.with_name("factors.npy"))


def text(path):
    write_text(path, "\t" if path.suffix == ".tsv" else ",")
    return CodesFile(path)


def pandas_csv(path):
    frame().to_csv(path)  # with its index, in a column without a name
    return CodesFile(path)


def two_csv(path):
    codes, factors = make()
    pd.DataFrame(codes, columns=list("abcd")).to_csv(path, index=False)
    pd.DataFrame(factors).to_csv(path.with_name("factors.csv"), index=False)
    return CodesFile(path, path.with_name("factors.csv"))


def parquet(path):
    table = frame()
    table.index.name = "observation"
    table.to_parquet(path)
    return CodesFile(path)


def hdf5(path):
    codes, factors = make()
    text = np.stack([factors[name].astype(str) for name in NAMES], axis=1)
    with h5py.File(path, "w") as file:
        file["codes"] = codes
        file.create_dataset("factors", data=text.astype(object), dtype=h5py.string_dtype())
        file.create_dataset("factor_names", data=NAMES, dtype=h5py.string_dtype())
    return CodesFile(path)


def tensors(path):
    codes, factors = make()
    numbers = np.unique(factors["shape"], return_inverse=True)[1]
    table = np.stack([numbers, factors["scale"], factors["x"]], axis=1)
    torch.save(
        {"codes": torch.from_numpy(codes).requires_grad_(), "factors": torch.from_numpy(table),
         "factor_names": NAMES, "epoch": 3}, path,
    )  # fmt: skip
    return CodesFile(path)


FORMATS = {
    "a.npz": npz, "codes.npy": npy, "a.csv": text, "b.csv": pandas_csv, "codes.csv": two_csv,
    "a.tsv": text, "a.parquet": parquet, "a.h5": hdf5, "a.hdf5": hdf5, "a.pt": tensors,
}  # fmt: skip
SETTINGS = {"num_train": 200}


def scores(table):
    dci = compute_dci(table.data, table, np.random.RandomState(0), num_test=50, **SETTINGS)
    return dci | compute_mig(table.data, table, np.random.RandomState(0), **SETTINGS)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    codes, factors = make()
    numbers = np.unique(factors["shape"], return_inverse=True)[1]
    columns = np.stack([numbers, factors["scale"], factors["x"]], axis=1)
    return scores(TabulatedCodes(codes, FactorTable(columns, NAMES)))


@pytest.mark.parametrize("name", list(FORMATS))
def test_a_table_scores_the_same_to_the_last_bit_in_every_format(tmp_path, expected, name):
    table = load_codes(FORMATS[name](tmp_path / name))
    assert table.data.factor_names == NAMES
    assert table.data.factor_kinds == ["class", "continuous", "class"]
    assert name == "a.pt" or table.data.factor_labels == {0: ("ellipse", "heart", "square")}
    assert scores(table) == expected


def test_a_data_frame_and_arrays_score_the_same(expected):
    assert scores(table_of(arrays_of_frame(frame()), "the frame")) == expected
    codes, factors = make()
    arrays = {"codes": codes, "factors": records(factors)}
    assert scores(table_of(arrays, "the arrays")) == expected


WRITTEN = {
    "str": str,  # what csv and pandas write
    "all digits": lambda x: repr(float(x)),  # tolist()
    "nine digits": lambda x: f"{x:.9g}",
    "savetxt": lambda x: f"{x:.18e}",
}


@pytest.mark.parametrize("how", WRITTEN)
def test_float32_as_text_scores_as_the_npz(tmp_path, how, caplog):
    caplog.set_level(logging.INFO, "srvae_plugin")
    codes, factors = make()
    codes = codes.astype(np.float32)
    np.savez(tmp_path / "a.npz", codes=codes, factors=records(factors))
    words = {f"latent_{k}": [WRITTEN[how](x) for x in codes[:, k]] for k in range(4)}
    pd.DataFrame(factors | words).to_csv(tmp_path / "a.csv", index=False)
    of_npz, of_text = load_codes(tmp_path / "a.npz"), load_codes(tmp_path / "a.csv")
    assert of_text.codes_at(np.arange(400)).dtype == np.float32
    assert np.array_equal(of_text.codes_at(np.arange(400)), codes)
    assert scores(of_text) == scores(of_npz)
    assert "text of float32 numbers" in caplog.text


@pytest.mark.parametrize("digits", ["%.8g", "%.4f", "%.17g"])
def test_other_numbers_as_text_are_float64(tmp_path, digits):
    codes, factors = make()
    kept = codes.astype(np.float32) if digits == "%.8g" else codes  # a digit too few
    words = {f"latent_{k}": [digits % x for x in kept[:, k]] for k in range(4)}
    pd.DataFrame(factors | words).to_csv(tmp_path / "a.csv", index=False)
    found = load_codes(tmp_path / "a.csv").codes_at(np.arange(400))
    assert found.dtype == np.float64
    assert np.array_equal(found, np.array([[float(digits % x) for x in row] for row in kept]))


def test_what_the_parquet_export_writes_needs_no_names(tmp_path, caplog):
    caplog.set_level(logging.INFO, "srvae_plugin")
    table = load_codes(parquet(tmp_path / "codes.parquet"))
    assert table.data.num_observations == 400
    assert "4 columns of codes; factors: shape, scale, x" in caplog.text


def test_columns_are_chosen_by_names_and_patterns(tmp_path, caplog):
    caplog.set_level(logging.INFO, "srvae_plugin")
    table = frame().rename(columns=lambda name: name.replace("latent_", "z"))
    table.assign(split="train").to_csv(tmp_path / "t.csv", index=False)
    chosen = Columns(("z1", "z0", "z?"), ("x", "sh*"))
    found = load_codes(CodesFile(tmp_path / "t.csv", columns=chosen))
    assert found.data.factor_names == ["x", "shape"]
    codes, _ = make()
    assert np.array_equal(found.codes_at(np.arange(400)), codes[:, [1, 0, 2, 3]])
    assert "neither codes nor factors: scale, split" in caplog.text


class Other:
    """Something that only unpickling would bring back."""


def write(path, text):
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("z0,z1,a\n1,2,3\n", Columns(), r"no column is called latent_0.*type --code-columns 'z\*'"),
        ("latent_0,latent_2,a\n1,2,3\n", Columns(), "latent_1 is missing"),
        ("latent_0,a\n1,2,3\n", Columns(), "line 2: 3 cells; expected 2"),
        ("latent_0,a\n1,2\n\n3,\n", Columns(), "line 4: no value in column 'a'"),
        ("latent_0,a\none,2\n", Columns(), "column 'latent_0' of the codes holds words"),
        ("latent_0,a\n1_0,2\n", Columns(), "column 'latent_0' of the codes holds words"),
        ("latent_0;a\n1;2\n", Columns(), "divided by ';'"),
        ("0.1,0.2\n1,2\n", Columns(), "names of the columns in the first line"),
        ("latent_0,a,a\n1,2,3\n", Columns(), "two columns are called 'a'"),
        ("latent_0,a\n", Columns(), "no row below its names"),
        ("z0,a\n1,2\n", Columns(("y*",)), r"--code-columns 'y\*': there is no such column"),
        ("z0,a\n1,2\n", Columns(("z0",), ("b",)), "--factor-columns 'b': there is no such"),
        ("z0,a\n1,2\n", Columns(("*",), ("a",)), "'a' is named as a code and as a factor"),
    ],
)
def test_a_table_that_is_ambiguous_or_broken_is_refused(tmp_path, text, columns, message):
    path = write(tmp_path / "t.csv", text)
    with pytest.raises(ValueError, match=message):
        load_codes(CodesFile(path, columns=columns))


def test_what_is_no_table_of_codes_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"ends in \.npz, \.npy"):
        load_codes(write(tmp_path / "codes.txt", "1 2"))
    for suffix in ("npy", "h5", "parquet", "pt", "npz"):
        with pytest.raises(ValueError, match="damaged"):
            load_codes(write(tmp_path / f"bad.{suffix}", "nothing"))
    torch.save({"codes": Other()}, tmp_path / "o.pt")
    with pytest.raises(ValueError, match="nothing else is unpickled"):
        load_codes(tmp_path / "o.pt")
    np.save(tmp_path / "o.npy", np.array([Other()]), allow_pickle=True)
    with pytest.raises(ValueError, match="damaged or not an npy of a plain array"):
        load_codes(tmp_path / "o.npy")
    npz(tmp_path / "a.npz")
    npy(tmp_path / "codes.npy")
    with pytest.raises(ValueError, match="has factors of its own: leave --factors"):
        load_codes(CodesFile(tmp_path / "a.npz", tmp_path / "factors.npy"))
    with pytest.raises(ValueError, match="no named columns"):
        load_codes(CodesFile(tmp_path / "a.npz", columns=Columns(("z*",))))
    with pytest.raises(ValueError, match="not found"):
        load_codes(tmp_path / "none.csv")


def test_numbers_far_down_above_words_are_words(tmp_path):
    rows = [f"{k / 7},{k % 3}" for k in range(20_001)] + ["1.0,other"]
    path = write(tmp_path / "t.csv", "\n".join(["latent_0,a", *rows]))
    assert load_codes(path).data.factor_labels == {0: ("0", "1", "2", "other")}


def test_one_factor_may_have_one_axis(tmp_path):
    codes, factors = make()
    np.savez(tmp_path / "a.npz", codes=codes, factors=factors["x"], factor_names=["x"])
    table = load_codes(tmp_path / "a.npz")
    assert (table.data.factor_names, table.data.num_factors) == (["x"], 1)


def vectors():
    codes, factors = make()
    mix = np.random.RandomState(1).normal(size=(4, 3, 7))
    return np.einsum("nk,kgd->ngd", codes, mix), factors


@pytest.mark.parametrize("pca_dim", [1, 2])
def test_codes_of_vectors_are_scored_as_scikit_learns_components(tmp_path, pca_dim):
    codes, factors = vectors()
    np.savez(tmp_path / "v.npz", codes=codes, factors=records(factors))
    table = load_codes(CodesFile(tmp_path / "v.npz", pca_dim=pca_dim))
    parts = [PCA(pca_dim, svd_solver="full").fit_transform(codes[:, g]) for g in range(3)]
    by_hand = table_of(
        {"codes": np.concatenate(parts, axis=1), "factors": records(factors)}, "by hand"
    )
    rows = np.arange(400)
    assert table.codes_at(rows).shape == (400, 3 * pca_dim)
    np.testing.assert_allclose(table.codes_at(rows), by_hand.codes_at(rows), atol=1e-12)
    assert scores(table) == pytest.approx(scores(by_hand), abs=1e-9)
    # Each component is a direction of largest variance: an eigenvector of the covariance.
    values = np.linalg.eigvalsh(np.cov(codes[:, 0], rowvar=False))[::-1]
    assert np.var(table.codes_at(rows)[:, 0], ddof=1) == pytest.approx(values[0])


def test_components_are_fitted_on_the_rows_that_are_trained_on(tmp_path):
    codes, factors = vectors()
    np.savez(tmp_path / "v.npz", codes=codes, factors=records(factors))
    source = CodesFile(tmp_path / "v.npz", pca_dim=1)
    table = load_codes(source, [], ["dataset.held_out = .25"])
    assert table.data.num_observations == 100
    found = table.codes_at(np.arange(100))
    every = {row.tobytes(): k for k, row in enumerate(factors["scale"])}
    held_out = np.array([every[row.tobytes()] for row in table.data.factors[:, 1]])
    rest = np.setdiff1d(np.arange(400), held_out)
    pca = PCA(1, svd_solver="full").fit(codes[rest, 1])
    np.testing.assert_allclose(found[:, 1], pca.transform(codes[held_out, 1])[:, 0], atol=1e-12)


def test_axes_that_do_not_fit_say_what_to_type(tmp_path):
    codes, factors = vectors()
    table = {"codes": codes, "factors": records(factors)}
    with pytest.raises(ValueError, match="3 vectors of 7 numbers an observation: type --pca-dim 1"):
        table_of(table, "v.npz")
    with pytest.raises(ValueError, match="--pca-dim 8: expected 1 to 7"):
        table_of(table, "v.npz", 8)
    with pytest.raises(ValueError, match="leave --pca-dim out"):
        table_of(table | {"codes": codes[:, 0]}, "v.npz", 1)
    with pytest.raises(ValueError, match="NaN or inf"):
        table_of(table | {"codes": codes * np.nan}, "v.npz", 1)


def test_several_tables_make_one_table_and_one_page(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        npz(tmp_path / name / "codes.npz")
    codes, factors = make()
    np.savez(tmp_path / "other.npz", codes=codes[:, :1], factors=records(factors))
    command = ["--codes", "*/codes.npz", "other.npz", "--output", "out"]
    metrics = ["mig", "sap_score"]
    assert evaluate(*command, metrics=metrics) == 3  # of one latent there are no scores
    printed = capsys.readouterr()
    header = next(line for line in printed.out.splitlines() if line.startswith("metric"))
    assert header.split() == ["metric", "score", "a-codes", "b-codes", "other"]
    assert "not scored: other: mig: codes must have at least 2 latents" in printed.err
    page = (tmp_path / "out" / "report.html").read_text()
    assert all(name in page for name in ("a-codes", "b-codes"))
    assert scores_in(tmp_path / "out" / "a-codes", "mig") != {}
    assert evaluate(*command, metrics=metrics) == 2
    assert "report.html exists" in capsys.readouterr().err
    assert evaluate(*command[:2], "--output", "out", "--resume", metrics=metrics) == 0


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["--codes", "no*.npz"], "'no*.npz': no file has such a name"),
        (["--codes", "a.npz", "b.npz", "--label", "x"], "--label and --seed name one model"),
        (["--codes", "a.npz", "./a.npz"], "--codes ./a.npz: it is named twice"),
        (["--function", "a:b", "--pca-dim", "1"], "--pca-dim goes with --codes"),
    ],
)
def test_commands_that_do_not_fit_are_refused(tmp_path, monkeypatch, capsys, command, message):
    monkeypatch.chdir(tmp_path)
    npz(tmp_path / "a.npz")
    npz(tmp_path / "b.npz")
    with pytest.raises(SystemExit) as stop:
        evaluate_main([*command, "--gin", "metrics/mig.gin"])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_the_files_and_how_they_are_read_tell_results_apart(tmp_path, capsys):
    source = npy(tmp_path / "codes.npy")
    command = ["--codes", source.codes, "--factors", source.factors, "--output", tmp_path / "o"]
    assert evaluate(*command, metrics=["mig"]) == 0
    assert evaluate(*command, "--resume", metrics=["mig"]) == 0
    text(tmp_path / "a.csv")
    tables = ["--codes", tmp_path / "a.csv", "--output", tmp_path / "p", "--resume"]
    assert evaluate(*tables, metrics=["mig"]) == 0
    fewer = ["--code-columns", "latent_0,latent_2"]
    fewer += ["--factor-columns", "shape,scale,x"]
    assert evaluate(*tables, *fewer, metrics=["mig"]) == 2
    assert "results of another representation" in capsys.readouterr().err


def test_latents_are_in_the_order_of_their_numbers():
    order = [10, 2, 0, 1, 9, 3, 8, 4, 7, 5, 6]
    table = pd.DataFrame({"a": [0.0], **{f"latent_{k}": [float(k)] for k in order}})
    assert arrays_of_frame(table)["codes"].tolist() == [list(range(11))]
