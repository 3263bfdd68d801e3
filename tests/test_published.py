"""Published scores: what is packaged, and what is refused in a file of the user's."""

import csv
import hashlib
import signal
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from srvae_plugin.report.comparison import published
from srvae_plugin.report.comparison.published import (
    COLUMNS,
    PublishedScore,
    published_scores,
    read_published,
)

PACKAGED = files("srvae_plugin.report.comparison").joinpath("published_baselines.csv")
GOOD = {
    "dataset": "dSprites",
    "model": "my VAE",
    "metric": "factor_vae",
    "mean": "0.8",
    "std": "0.05",
    "n_seeds": "5",
    "source": "our lab",
    "confidence": "own",
}


def write(path, *rows, columns=COLUMNS):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_every_packaged_number_is_read_as_it_stands():
    with PACKAGED.open(encoding="utf-8", newline="") as file:
        raw = list(csv.DictReader(file))
    scores = published_scores()
    assert len(scores) == len(raw) == 366
    for score, row in zip(scores, raw, strict=True):
        assert isinstance(score, PublishedScore)
        for column in ("dataset", "model", "metric", "source", "address", "confidence"):
            assert getattr(score, column) == row[column].strip()
        assert score.mean == (float(row["mean"].lstrip("~")) if row["mean"] else None)
        assert score.std == (float(row["std"]) if row["std"] else None)
        assert score.n_seeds == (int(row["n_seeds"]) if row["n_seeds"] else None)
    assert {score.confidence for score in scores} == set(published.CONFIDENCE) - {"own"}
    assert sum(score.approximate for score in scores) == 4
    assert all(score.mean is not None or score.statement for score in scores)


def test_the_papers_own_numbers():
    found = {
        score.model: score
        for score in published_scores()
        if score.source.startswith("SR-VAE") and score.metric == "factor_vae" and score.mean
    }
    assert {model: score.mean for model, score in found.items()} == {
        "SR-VAE": 0.86,
        "beta-VAE": 0.72,
        "FactorVAE": 0.81,
    }
    assert all(score.approximate for score in found.values())  # "around", says the paper
    stated = found["SR-VAE"].stated
    assert (stated.batch_size, stated.num_latent, stated.training_steps) == (64, 10, None)
    assert stated.selection == "mean of the best 10 of 30 seeds"


def test_what_a_source_states_agrees_with_its_words():
    """The table of protocols repeats the numbers that stand in the protocols' texts."""
    for score in published_scores():
        words = f"{score.protocol} {score.hyperparameters}"
        stated = score.stated
        if stated.training_steps:
            assert f"{stated.training_steps // 1000}k" in words
        if stated.batch_size and not score.source.startswith("SR-VAE"):  # its appendix says it
            assert f"batch {stated.batch_size}" in words
        if stated.metric_settings and "disentanglement_lib's metrics" in stated.metric_settings:
            assert "10k train / 5k eval" in words
        if stated.learning_rate and not score.source.startswith("SR-VAE"):
            assert stated.learning_rate == 1e-4
            assert "1e-4" in words
        if stated.num_latent and "latent dim" in words:
            assert f"latent dim {stated.num_latent}" in words
        if score.source.startswith("EncDiff") and stated.num_latent:
            assert f"{stated.num_latent} codes" in words
        if stated.selection:
            assert "best 10 of 30" in words
        if "best" in score.protocol:
            assert "best 10 of 30" in stated.selection
    steps = {
        (score.source.split()[0], score.dataset): score.stated.training_steps
        for score in published_scores()
    }
    assert steps["CFASL", "Shapes3D"] == 500_000
    assert steps["CFASL", "dSprites"] == 300_000
    assert steps["EncDiff", "Shapes3D"] is None


def test_every_protocol_belongs_to_a_source():
    sources = {score.source for score in published_scores()}
    path = files("srvae_plugin.report.comparison").joinpath("published_protocols.csv")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["source"] for row in rows} <= sources
    assert len({(row["source"], row["dataset"], row["model"]) for row in rows}) == len(rows)


def numbers_of(source, model):
    return {
        score.metric: (score.mean, score.n_seeds)
        for score in published_scores()
        if score.source.startswith(source) and score.model == model
    }


def test_what_the_infogan_cr_paper_calls_infogan():
    """Its modified InfoGAN is not InfoGAN, and InfoGAN-CR is not what ModelCentrality chooses."""
    source = "InfoGAN-CR / ModelCentrality"
    plain = numbers_of(source, "InfoGAN")
    assert plain == {
        "factor_vae": (0.59, None),
        "dci_disentanglement": (0.41, None),
        "mig": (0.05, None),
    }
    modified = numbers_of(source, "InfoGAN (modified)")
    assert modified["factor_vae"] == (0.82, None)
    assert {metric: mean for metric, (mean, _) in modified.items()} == {
        "factor_vae": 0.82,
        "dci_disentanglement": 0.6,
        "sap": 0.41,
        "explicitness": 0.82,
        "modularity": 0.94,
        "mig": 0.22,
        "beta_vae": 0.87,
    }
    assert numbers_of(source, "InfoGAN-CR") == {
        "factor_vae": (0.88, 50),
        "dci_disentanglement": (0.71, 50),
        "sap": (0.58, 50),
        "explicitness": (0.85, 50),
        "modularity": (0.96, 50),
        "mig": (0.37, 50),
        "beta_vae": (0.95, 50),
    }
    assert numbers_of(source, "InfoGAN-CR + ModelCentrality")["factor_vae"] == (0.92, None)


def test_only_encdiff_is_primary_in_its_table():
    rows = [score for score in published_scores() if score.source.startswith("EncDiff")]
    for score in rows:
        own = score.model == "EncDiff"
        assert score.confidence == ("primary" if own else "quoted-by-later-paper")
        stated = score.stated.batch_size, score.stated.learning_rate, score.stated.num_latent
        assert stated == ((64, 1e-4, 20) if own else (None, None, None))
        assert score.stated.metric_settings == "codes of vector methods reduced by PCA"
    toy = {score.model for score in rows if score.dataset == "MPI3D-toy"}
    assert toy == {"EncDiff", "DisDiff"}
    assert not toy & {score.model for score in rows if score.dataset == "MPI3D"}


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("published_baselines.csv", "3ec466fb5d6ada99"),
        ("published_protocols.csv", "2b321a6f05b83102"),
    ],
)
def test_no_published_number_changes_unnoticed(name, digest):
    """After a correction that was checked against its source, put the new digest here."""
    text = files("srvae_plugin.report.comparison").joinpath(name).read_text(encoding="utf-8")
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == digest


def test_a_file_of_ones_own(tmp_path):
    columns = [*reversed(COLUMNS), "training_steps", "selection"]
    path = write(
        tmp_path / "own.csv",
        GOOD | {"training_steps": "1000", "selection": "best 2 of 5"},
        GOOD | {"mean": "", "std": "", "statement": "better than before, they say"},
        columns=columns,
    )
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())  # as spreadsheets save it
    first, second = published_scores([path])[-2:]
    assert (first.model, first.mean, first.std, first.n_seeds) == ("my VAE", 0.8, 0.05, 5)
    assert first.stated.training_steps == 1000
    assert first.stated.selection == "best 2 of 5"
    assert second.mean is None
    assert published.mean_text(second) == "better than before, they say"


@pytest.mark.parametrize(
    ("change", "column", "message"),
    [
        ({"mean": "eighty"}, "mean", "got 'eighty', expected a number"),
        ({"mean": "nan"}, "mean", "got 'nan', expected a number"),
        ({"mean": "80.5"}, "mean", "divide percentages by 100"),
        ({"mean": "-0.1"}, "mean", r"expected a score in \[0, 1\]"),
        ({"mean": ""}, "mean", "without a number give a 'statement'"),
        ({"std": "-1"}, "std", "expected 0 or more"),
        ({"n_seeds": "2.5"}, "n_seeds", "expected a whole number"),
        ({"n_seeds": "0"}, "n_seeds", "expected a whole number"),
        ({"model": " "}, "model", "is empty"),
        ({"source": ""}, "source", "is empty"),
        ({"confidence": "high"}, "confidence", "got 'high', expected one of primary"),
    ],
)
def test_a_bad_cell_is_named_by_line_and_column(tmp_path, change, column, message):
    path = write(tmp_path / "own.csv", GOOD, GOOD | change)
    with pytest.raises(ValueError, match=rf"own\.csv, line 3, column '{column}': .*{message}"):
        read_published(path)


def test_percentages_are_allowed_where_the_metric_is_none(tmp_path):
    path = write(tmp_path / "own.csv", GOOD | {"metric": "MSE", "mean": "80.5"})
    assert read_published(path)[0].mean == 80.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"line 1: the columns must be dataset,model"),
        ("dataset;model\n", r"line 1: .*unknown: \['dataset;model'\]"),
        (",".join(COLUMNS[1:]) + "\n", r"missing: \['dataset'\]"),
        (",".join([*COLUMNS, "mean"]) + "\n", "line 1: the columns must be"),
        (",".join(COLUMNS) + "\na,b\n", "line 2: got 2 fields, expected 12"),
        (",".join(COLUMNS) + "\n" + "a," * 13 + "a\n", "line 2: got 14 fields, expected 12"),
        (",".join(COLUMNS) + '\n"a\n', "line 1: unexpected end of data"),
    ],
)
def test_a_bad_table_is_named(tmp_path, text, message):
    path = tmp_path / "own.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_published(path)


def test_another_encoding_is_named(tmp_path):
    path = tmp_path / "own.csv"
    path.write_bytes(",".join(COLUMNS).encode() + b"\n\xe4")
    with pytest.raises(ValueError, match=r"own\.csv is not UTF-8"):
        read_published(path)


def test_the_list_shows_source_and_confidence():
    text = published.as_text(published_scores())
    lines = text.splitlines()
    line = next(line for line in lines if line.split()[:2] == ["dSprites", "SR-VAE"])
    assert line.split()[-4:-1] == ["~0.86", "10", "primary"]
    number = line.split()[-1]
    source = next(line for line in lines if line.startswith(f"{number} "))
    assert "ICLR 2020" in source
    assert "https://openreview.net/forum?id=Sklyn6EYvH" in source
    assert sum(line.startswith(("dSprites", "Shapes3D")) for line in lines) == 177 + 71
    assert any("~0.5" in line and "informal" in line for line in lines)


def test_a_reader_that_has_seen_enough_is_no_error():
    script = Path(sys.executable).with_name("srvae-report")
    command = f"'{script}' --published | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.stdout.startswith("dataset")
    assert done.stderr == ""
    assert done.returncode == 128 + signal.SIGPIPE
