"""The report of runs: what is read, what the page says, and what is refused."""

import base64
import csv
import html
import io
import json
import re
import subprocess
import sys
import time
import zlib
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import oracle
import pytest
import report_runs
from PIL import Image, PngImagePlugin
from report_runs import (
    SCORES,
    SETTINGS,
    add_curves,
    add_importance,
    add_pictures,
    make_run,
    make_study,
    make_unfinished,
    write_json,
)

from srvae_plugin.cli.report import report_main
from srvae_plugin.config import gin_files
from srvae_plugin.config.text import gin_dict
from srvae_plugin.files import read_scalars
from srvae_plugin.report.comparison import bootstrap
from srvae_plugin.report.comparison.pairs import Bootstrap, Comparison, Row
from srvae_plugin.report.comparison.protocol import STUDY_SETTINGS, beside_published
from srvae_plugin.report.comparison.published import published_scores
from srvae_plugin.report.comparison.verdicts import sentences
from srvae_plugin.report.data import read_runs
from srvae_plugin.report.keys import headlines, metric_name
from srvae_plugin.report.models import Model, group_by_model
from srvae_plugin.report.parts.curves import Curve, curve_chart
from srvae_plugin.report.parts.figures import hinton
from srvae_plugin.report.parts.pictures import (
    Budget,
    Chosen,
    animation,
    factor_names,
    importance,
)
from srvae_plugin.report.parts.svg import axis, element
from srvae_plugin.report.scores import Table, score_tables
from srvae_plugin.report.write import write_report
from srvae_plugin.runs.directory import StepDirectory

QUICK = Bootstrap(resamples=200)


class Page(HTMLParser):
    """Tables of a page by section, and every address that an element names."""

    VOID = ("meta", "img", "input", "br", "link")

    def __init__(self, text):
        super().__init__()
        self.tables, self.addresses, self.open, self.text = {}, [], [], {}
        self._section = self._row = self._cell = None
        self.feed(text)
        self.close()
        assert self.open == [], f"not closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.addresses += [v for k, v in attributes if k in ("src", "href", "action", "data")]
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "section":
            self._section = given["id"]
        elif tag == "table":
            self.tables.setdefault(self._section, []).append([])
        elif tag == "tr":
            self._row = []
            self.tables[self._section][-1].append(self._row)
        elif tag in ("td", "th"):
            self._cell = {"text": "", "v": given.get("data-v")}
            self._row.append(self._cell)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag in ("td", "th"):
            self._cell = None

    def handle_data(self, data):
        if self._cell is not None:
            self._cell["text"] += data
        self.text[self._section] = self.text.get(self._section, "") + data

    def rows(self, section, table=0):
        """Rows below the heading, as dicts by column."""
        head, *rows = self.tables[section][table]
        names = [cell["text"] for cell in head]
        return [dict(zip(names, row, strict=True)) for row in rows]


def report(tmp_path, *places, **options):
    options.setdefault("bootstrap", QUICK)
    write_report(places, tmp_path / "out/report.html", **options)
    text = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    with (tmp_path / "out/report.csv").open(encoding="utf-8", newline="") as file:
        return text, list(csv.DictReader(file))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("runs") / "study")


@pytest.fixture(scope="module")
def written(study, tmp_path_factory):
    text, rows = report(tmp_path_factory.mktemp("report"), study)
    return text, Page(text), rows


def test_scores_csv_has_every_number_of_the_json_files(study, written):
    found = {
        (row["folder"], row["representation"], row["metric"], row["key"]): float(row["value"])
        for row in written[2]
        if row["metric"] != "training"
    }
    expected = {}
    for path in study.glob("*/metrics/*/*/results/aggregate/evaluation.json"):
        for name, value in json.loads(path.read_text()).items():
            key = name.removeprefix("evaluation_results.")
            if key != name and key not in ("uuid", "elapsed_time"):
                run, kind, metric = path.parents[5], path.parents[3].name, path.parents[2].name
                expected[str(run), kind, metric, key] = value
    assert found == expected
    assert len(found) == 9 * 2 * 2
    (row,) = [r for r in written[2] if r["run"] == "study/VAE-2" and r["key"] == "eval_accuracy"]
    assert (row["model"], row["seed"], row["data_set"]) == ("VAE", "2", "dsprites_full")
    assert (row["training_steps"], row["batch_size"], row["latents"]) == ("1000", "64", "10")
    losses = {r["value"] for r in written[2] if r["key"] == "reconstruction_loss"}
    assert losses == {"20.0"}


def test_score_tables_say_what_the_statistics_of_the_json_say(written):
    table = {row["model"]["text"]: row for row in written[1].rows("scores", 0)}
    assert set(table) == set(SCORES)
    for model, values in SCORES.items():
        row, done = table[model], bootstrap.summarize(values, resamples=200)
        for column, value in (
            ("mean", done.mean),
            ("median", done.median),
            ("interquartile mean", done.interquartile_mean),
            ("mean of best k", max(values)),
            ("mean of worst k", min(values)),
        ):
            assert float(row[column]["v"]) == value
            assert row[column]["text"].startswith(f"{value:.3f}")
        # Three seeds are too few for an interval.
        assert row["mean"]["text"] == f"{done.mean:.3f}"
        assert (row["seeds"]["text"], row["failed"]["text"], row["k"]["text"]) == (
            "3",
            "0",
            "1 of 3",
        )


def test_every_seed_is_drawn(written):
    for model, values in SCORES.items():
        for seed, value in enumerate(values):
            assert f"<title>study/{model}-{seed}, seed {seed}: {value:.6g}</title>" in written[0]


def test_published_numbers_and_every_difference_of_protocol(written):
    rows = [r for r in written[1].rows("published") if r["score"]["text"] == "FactorVAE score"]
    (row,) = [r for r in rows if r["model"]["text"].startswith("SR-VAE")]
    assert float(row["published"]["v"]) == 0.86
    assert float(row["here"]["v"]) == np.mean(SCORES["SR-VAE"])
    assert "0.900 best 1 of 3" in row["here"]["text"]
    said = row["differences of protocol: here | published"]["text"]
    for difference in (
        "training steps 1,000 | not stated",
        "seeds all 3 | mean of the best 10 of 30 seeds",
        "data set re-rendered unless disentanglement_lib's copy was found | original images",
        "metric settings num_eval 500 | not stated; disentanglement_lib's study has num_eval 5000",
    ):
        assert difference in said
    # These are the paper's.
    assert "batch size" not in said
    assert "latents" not in said
    assert "learning rate" not in said
    assert "ICLR 2020" in row["source"]["text"]
    assert "openreview.net" in row["source"]["text"]
    assert "primary" in row["source"]["text"]
    assert all(r["source"]["text"] for r in written[1].rows("published"))


def test_a_published_number_is_found_under_the_models_published_name(written):
    rows = [r for r in written[1].rows("published") if r["score"]["text"] == "FactorVAE score"]
    means = {}
    for row in rows:
        means.setdefault(row["model"]["text"].removesuffix("dsprites_full"), set()).add(
            row["published"]["v"]
        )
    assert "0.72" in means["beta-VAE"]
    assert "0.6478" in means["VAE"]
    assert means["SR-VAE"] == {"0.86"}


def test_paired_differences(written):
    rows = {
        (r["first"]["text"], r["second"]["text"]): r for r in written[1].rows("differences")[:3]
    }
    row = rows["SR-VAE", "VAE"]
    assert row["pairs"]["text"] == "3"
    assert float(row["difference"]["v"]) == pytest.approx((0.3 - 0.15 + 0.15) / 3)
    assert float(row["P(first better)"]["v"]) == pytest.approx(6 / 9)
    assert set(rows) == {("beta-VAE", "SR-VAE"), ("beta-VAE", "VAE"), ("SR-VAE", "VAE")}


def test_the_page_needs_nothing_else(written):
    text, page, _ = written
    for address in page.addresses:
        assert address.startswith(("#", "data:image/png;base64,")), address[:60]
    assert "default-src 'none'" in text
    assert not re.search(r"@import|url\(|src=\"http|fetch\(|XMLHttpRequest", text)


def test_the_same_runs_give_the_same_page(study, written, tmp_path):
    again = report(tmp_path, study)
    assert again[1] == written[2]
    dates = r"\d+ \w+ \d{4}, \d\d:\d\d UTC"
    assert re.sub(dates, "", again[0]) == re.sub(dates, "", written[0])


def test_runs_of_one_model_differ_in_seed_only(tmp_path):
    for seed in (0, 1):
        make_run(tmp_path / f"a{seed}", seed, {"mig": 0.1}, "vae")
        make_run(tmp_path / f"b{seed}", seed, {"mig": 0.1}, "vae", {"vae.beta": "2.0"})
        make_run(tmp_path / f"c{seed}", seed, {"mig": 0.1}, "vae", {"vae.beta": "4.0"})
        config = {"model.checkpoint_every": "7", "model.device": "'cuda'"}
        make_run(tmp_path / f"d{seed}", seed + 2, {"mig": 0.1}, "vae", config)
    models = {m.label: len(m.runs) for m in group_by_model(read_runs([tmp_path]).runs)}
    assert models == {"VAE": 4, "beta-VAE (beta = 2.0)": 2, "beta-VAE (beta = 4.0)": 2}


def test_names_in_publications(tmp_path):
    given = {
        "a": ("sr_vae", {"sr_vae.beta": "4"}, "SR-beta-VAE"),
        "b": ("dip_vae", {"dip_vae.dip_type": "'ii'"}, "DIP-VAE-II"),
        "c": ("factor_vae", {}, "FactorVAE"),
        "d": ("my_vae", {}, "my_vae"),
        "e": ("annealed_vae", {}, "AnnealedVAE"),
    }
    for name, (model, config, _) in given.items():
        make_run(tmp_path / name, 0, {"mig": 0.1}, model, config)
    found = {m.runs[0].folder.name: m.name for m in group_by_model(read_runs([tmp_path]).runs)}
    assert found == {name: published for name, (_, _, published) in given.items()}


def test_failed_runs_are_left_out_counted_and_named(tmp_path):
    for seed, value in enumerate((0.4, 0.6, float("nan"), None)):
        make_run(tmp_path / f"runs/{seed}", seed, {"mig": value}, "vae")
    make_unfinished(tmp_path / "runs/4", 4, "vae")
    text, _ = report(tmp_path, tmp_path / "runs")
    page = Page(text)
    (row,) = page.rows("scores")
    assert (row["seeds"]["text"], row["failed"]["text"]) == ("2", "3")
    assert float(row["mean"]["v"]) == 0.5
    assert "5 runs of 1 model on 1 data set; 1 failed" in text
    failures = {r["run"]["text"]: r["what is wrong"]["text"] for r in page.rows("failures")}
    assert failures["runs/3"] == "no scores of mig"
    assert failures["runs/4"] == "training has not finished"
    assert failures["runs/2"] == "MIG is nan"


def test_an_unfinished_run_joins_the_model_that_it_must_be_of(tmp_path):
    make_run(tmp_path / "a", 0, {"mig": 0.1}, "vae")
    make_run(tmp_path / "b", 0, {"mig": 0.2}, "vae", {"vae.beta": "4.0"})
    make_unfinished(tmp_path / "c", 1, "vae", {"vae.beta": "4.0"})
    make_unfinished(tmp_path / "d", 1, "vae")  # of either
    models = {
        m.label: [run.name for run in m.runs] for m in group_by_model(read_runs([tmp_path]).runs)
    }
    name = tmp_path.name
    assert models == {
        "VAE": [f"{name}/a"],
        "beta-VAE": [f"{name}/b", f"{name}/c"],
        "VAE, unfinished": [f"{name}/d"],
    }


def test_a_study_names_its_runs(tmp_path):
    study = tmp_path / "study"
    for seed in range(2):
        make_run(study / f"runs/a/seed-{seed}", seed, {"mig": 0.3}, "vae")
    make_unfinished(study / "runs/a/seed-2", 2, "vae")
    statuses = ["finished", "finished", "failed", "planned"]
    entries = [
        {"label": "my <VAE> & co", "model": "x", "dataset": "d", "dataset_name": "dsprites_full",
         "seed": seed, "folder": f"runs/a/seed-{seed}", "status": status,
         "error": "out of memory" if status == "failed" else None, "log": None}
        for seed, status in enumerate(statuses)
    ]  # fmt: skip
    write_json(study / "study.json", {"format": 1, "runs": entries})
    text, rows = report(tmp_path, study)
    assert {row["model"] for row in rows} == {"my <VAE> & co"}
    page = Page(text)
    (row,) = page.rows("scores")
    assert row["model"]["text"] == "my <VAE> & co"
    # What has not had its turn is no failure.
    assert (row["seeds"]["text"], row["failed"]["text"]) == ("2", "1")
    failures = {(r["seed"]["text"], r["what is wrong"]["text"]) for r in page.rows("failures")}
    assert ("2", "failed in its study; out of memory") in failures
    assert {seed for seed, _ in failures} == {"2"}
    assert [row["seeds"]["text"] for row in page.rows("waiting")] == ["3 planned"]
    assert "4 runs of 1 model on 1 data set; 1 failed; 1 not finished yet" in text


def test_what_a_study_has_still_to_do_is_no_failure(tmp_path):
    for model, seed in (("vae", 0), ("sr_vae", 0)):
        make_run(tmp_path / f"s/{model}-{seed}", seed, {"mig": 0.3 + seed}, model)
    make_unfinished(tmp_path / "s/vae-1", 1, "vae")
    statuses = {("vae", 1): "interrupted"} | {("vae", seed): "planned" for seed in (2, 3, 4, 6)}
    entries = [
        {"label": model, "dataset": "d", "dataset_name": "dsprites_full", "seed": seed,
         "folder": f"{model}-{seed}", "status": statuses.get((model, seed), "finished")}
        for model, seed in [("vae", 0), ("sr_vae", 0), *statuses]
    ]  # fmt: skip
    write_json(tmp_path / "s/study.json", {"format": 1, "runs": entries})
    text, _ = report(tmp_path, tmp_path / "s")
    page = Page(text)
    assert {r["model"]["text"]: r["seeds"]["text"] for r in page.rows("waiting")} == {
        "vae": "1 interrupted; 2 to 4, 6 planned",
    }  # fmt: skip
    assert 'id="failures"' not in text
    assert len(page.rows("runs")) == 2
    # Nor does one seed have a spread, a median of its own, or a chance to be better.
    assert "P(first better)" not in text
    assert "scores" not in page.tables
    assert "one seed of each model" in page.text["overview"]
    assert "At least 2 seeds of each model are needed" in page.text["overview"]


def test_names_are_escaped(tmp_path):
    name = "<script>alert(1)</script> & \"co\" 'x'"
    run = make_run(tmp_path / "runs" / name.replace("/", "_"), 0, {"a<b>&c": 0.5}, "vae")
    add_pictures(run)
    add_importance(run, [[1.0, 0.0], [0.0, 1.0]])
    text, _ = report(tmp_path, tmp_path / "runs", title="<b>title</b> & more")
    assert "<script>alert" not in text
    assert text.count("<script") == 1
    assert "<b>title</b>" not in text
    assert "&lt;b&gt;title&lt;/b&gt; &amp; more" in text
    page = Page(text)
    assert page.rows("runs")[0]["run"]["text"] == f"runs/{name.replace('/', '_')}"
    assert "a<b>&c score" in page.tables["runs"][0][0][3]["text"]


@pytest.mark.parametrize("factors", [("shape", "size"), ()])
def test_several_data_sets_of_the_same_factors_are_put_together(tmp_path, factors):
    for model, shift in (("vae", 0.0), ("sr_vae", 0.1)):
        for name, base in (("dsprites_full", 0.3), ("noisy_dsprites", 0.6)):
            for seed in range(3):
                config = {"dataset.name": f"'{name}'"}
                value = base + shift + seed / 100
                folder = tmp_path / f"runs/{model}-{name}-{seed}"
                make_run(folder, seed, {"mig": value}, model, config, factors=factors)
    make_run(tmp_path / "runs/only", 0, {"mig": 0.9}, "factor_vae", factors=factors)
    text, _ = report(tmp_path, tmp_path / "runs")
    page = Page(text)
    assert "8 runs" not in text
    assert "13 runs of 3 models on 2 data sets" in text
    assert ("All data sets together" in text) == bool(factors)
    if not factors:  # not recorded: nobody knows
        return
    tables = page.tables["scores"]
    together = {row[0]["text"]: row for row in tables[-2][1:]}
    assert set(together) == {"SR-VAE", "VAE"}  # the third was scored on one of the two only
    assert float(together["VAE"][3]["v"]) == pytest.approx((0.31 + 0.61) / 2)
    assert together["VAE"][1]["text"] == "6"


def test_representations_are_kept_apart(tmp_path):
    make_run(tmp_path / "runs/a", 0, {"mig": 0.5}, "vae")
    make_run(tmp_path / "runs/b", 1, {"mig": 0.1}, "vae", kind="sampled")
    text, _ = report(tmp_path, tmp_path / "runs")
    assert "MIG (sampled)" in text
    said = [
        r["differences of protocol: here | published"]["text"] for r in Page(text).rows("published")
    ]
    assert sum("representation sampled | mean" in one for one in said) == len(said) // 2


@pytest.mark.skipif(bool(oracle.MISSING), reason=f"not installed: {oracle.MISSING}")
def test_the_originals_own_directories(tmp_path):
    """Made by disentanglement_lib's results module, gin files and metrics, run live."""
    script = Path(__file__).with_name("original_results.py")
    command = [sys.executable, "-W", "ignore", str(script), str(tmp_path / "dlib")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text, rows = report(tmp_path, tmp_path / "dlib")
    for seed in "01":
        for metric, key in (("mig", "discrete_mig"), ("sap_score", "SAP_score")):
            path = tmp_path / f"dlib/{seed}/metrics/mean/{metric}/results/json"
            true = json.loads((path / "evaluation_results.json").read_text())[key]
            (row,) = [r for r in rows if r["seed"] == seed and r["key"] == key]
            assert float(row["value"]) == true
            assert (row["model"], row["data_set"]) == ("beta-VAE", "shapes3d")
            assert row["training_steps"] == "300000"
    summary = Page(text).rows("published")
    said = [row["differences of protocol: here | published"]["text"] for row in summary]
    assert all("re-rendered" not in one for one in said)
    cfasl = [
        one for one, row in zip(said, summary, strict=True) if "CFASL" in row["source"]["text"]
    ]
    assert cfasl
    assert all("training steps 300,000 | 500,000" in one for one in cfasl)
    # Beside runs of ours, whose models have the same name, theirs say whose they are.
    make_run(tmp_path / "ours", 0, {"mig": 0.2}, "vae", {"vae.beta": "4.0"})
    found = read_runs([tmp_path / "dlib", tmp_path / "ours"])
    labels = {model.label.partition(" (")[0] for model in group_by_model(found.runs)}
    assert labels == {"beta-VAE", "beta-VAE by disentanglement_lib"}


@pytest.mark.skipif(bool(oracle.MISSING), reason=f"not installed: {oracle.MISSING}")
def test_the_originals_table_of_all_results(tmp_path):
    """As its aggregate_results_to_json writes it through pandas: {column: {row: value}}."""
    script = Path(__file__).with_name("original_results.py")
    subprocess.run(
        [sys.executable, "-W", "ignore", str(script), str(tmp_path / "dlib")],
        check=True, capture_output=True,
    )  # fmt: skip
    table = {}
    paths = sorted((tmp_path / "dlib").glob("*/metrics/*/*/results/aggregate/evaluation.json"))
    for row, path in enumerate(paths):
        for name, value in (json.loads(path.read_text()) | {"path": str(path)}).items():
            table.setdefault(name, {})[str(row)] = value
    for column in table.values():  # pandas fills up with null
        column |= {str(row): None for row in range(len(paths)) if str(row) not in column}
    write_json(tmp_path / "all.json", table)
    from_table, from_folder = read_runs([tmp_path / "all.json"]), read_runs([tmp_path / "dlib"])
    assert len(from_table.runs) == 2
    for one, other in zip(from_table.runs, from_folder.runs, strict=True):
        assert one.scores == other.scores
        assert one.config == other.config
        assert one.data_set == other.data_set


def test_a_table_of_results_with_a_short_path_is_named_by_its_row(tmp_path):
    write_json(tmp_path / "all.json", {"path": {"7": "a/evaluation.json"}})
    with pytest.raises(ValueError, match=r"all\.json, row 7: the path 'a/evaluation\.json' is too"):
        read_runs([tmp_path / "all.json"])


def test_a_function_is_known_by_its_name_in_gin_with_and_without_a_module(tmp_path):
    """As disentanglement_lib's gin writes it where a script registered the same short name."""
    for seed, written in enumerate(("@vae()", "@srvae_plugin.vae()", "@scope/vae()")):
        run = make_run(tmp_path / "runs" / str(seed), seed, {"mig": 0.5}, "vae",
                       {"model.model": written, "vae.beta": "4.0"})  # fmt: skip
        path = run / "metrics/mean/mig/results/aggregate/evaluation.json"
        whole = '"@srvae_plugin.runs.represent.mean_representation"'
        path.write_text(path.read_text().replace('"@mean_representation"', whole))
    runs = read_runs([tmp_path / "runs"]).runs
    assert all(set(run.scores) >= {("mean", "mig")} for run in runs)
    models = group_by_model(runs)
    assert {(model.name, model.settings) for model in models} == {("beta-VAE", "vae.beta = 4.0")}


def test_scores_of_a_representation_without_a_training(tmp_path):
    for metric, key in (("mig", "discrete_mig"), ("sap_score", "SAP_score")):
        StepDirectory(tmp_path / "scores/my_model.encode" / metric, "evaluation").write(
            {key: 0.25, "elapsed_time": 1.0},
            f"evaluation.evaluation_fn = @{metric}\ndataset.name = 'dsprites_full'\n",
        )
    (run,) = read_runs([tmp_path / "scores"]).runs
    assert (run.name, run.data_set) == ("scores/my_model.encode", "dsprites_full")
    assert set(run.scores) == {("mean", "mig"), ("mean", "sap_score")}
    assert [m.label for m in group_by_model([run])] == ["scores/my_model.encode"]


def test_a_run_is_read_once_and_its_parts_in_any_order(tmp_path):
    run = make_run(tmp_path / "runs/a", 0, {"mig": 0.5, "factor_vae_score": 0.7}, "vae")
    found = read_runs([tmp_path / "runs", run, run / "metrics"])
    assert len(found.runs) == 1
    assert found.runs[0].scores[("mean", "mig")]["discrete_mig"] == 0.5
    assert found.notes == []


def test_copies_of_a_run_are_not_counted_twice(tmp_path):
    make_run(tmp_path / "runs/a", 0, {"mig": 0.5}, "vae")
    copy = tmp_path / "runs/copy-of-a"
    for path in (tmp_path / "runs/a").rglob("evaluation.json"):
        target = copy / path.relative_to(tmp_path / "runs/a")
        target.parent.mkdir(parents=True)
        target.write_bytes(path.read_bytes())
    found = read_runs([tmp_path / "runs"])
    assert len(found.runs) == 1
    assert any("has scores of mig already" in note for note in found.notes)


def test_a_damaged_file_is_named_and_does_not_stop_the_report(tmp_path):
    make_run(tmp_path / "runs/a", 0, {"mig": 0.5}, "vae")
    bad = make_run(tmp_path / "runs/b", 1, {"mig": 0.6}, "vae")
    (bad / "metrics/mean/mig/results/aggregate/evaluation.json").write_text('{"a": ')
    (bad / "environment.json").write_text("[")
    add_pictures(bad)
    (bad / "visualizations/traversals.gif").write_bytes(b"GIF89a")
    (bad / "model/scalars.csv").write_text("step,kl_loss\n0,x\n1,2\n")
    good = tmp_path / "runs/a"
    (good / "metrics/mean/mig/artifacts").mkdir()
    (good / "metrics/mean/mig/artifacts/dci_importance_matrix.npy").write_bytes(b"no array")
    text, _ = report(tmp_path, tmp_path / "runs")
    said = Page(text).text["failures"]
    for what in ("evaluation.json is damaged", "environment.json is damaged", "scalars.csv is",
                 "dci_importance_matrix.npy is damaged", "no scores of mig"):  # fmt: skip
        assert what in said
    (row,) = Page(text).rows("scores")
    assert (row["seeds"]["text"], row["failed"]["text"]) == ("1", "1")


def test_arrays_are_never_unpickled(tmp_path):
    run = make_run(tmp_path / "a", 0, {"mig": 0.5}, "vae")
    place = run / "metrics/mean/mig/artifacts"
    place.mkdir()
    np.save(place / "dci_importance_matrix.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(ValueError, match="damaged"):
        importance(read_runs([run]).runs[0])


def test_hinton_squares_have_the_area_of_the_importance(tmp_path):
    run = make_run(tmp_path / "a", 0, {"mig": 0.5}, "vae")
    matrix = [[0.8, 0.2], [0.0, 0.05], [0.2, 0.75]]
    add_importance(run, matrix)
    name, stored = importance(read_runs([run]).runs[0])
    assert name == "dci"
    assert stored.tolist() == matrix
    svg = hinton(stored, ["x", "y"], "t")
    sides = [float(w) for w in re.findall(r'width="([\d.]+)"[^>]*class="hinton"', svg)]
    areas = np.square(sides).reshape(3, 2)
    assert areas / areas.max() == pytest.approx(np.array(matrix) / 0.8, abs=0.01)
    assert "<title>z2, y: 0.750</title>" in svg
    assert "nan" not in hinton(np.zeros((2, 2)), ["x", "y"], "t")


def test_frames_of_the_traversals(tmp_path):
    run = make_run(tmp_path / "a", 0, {"mig": 0.5}, "vae")
    add_pictures(run, frames=8)
    (model,) = group_by_model(read_runs([run]).runs)
    moving = animation(Chosen(model, model.runs[0], "best"), Budget())
    # The way there only, from -3 to 3 along a cosine.
    minus = "\N{MINUS SIGN}"
    expected = [f"z = {minus}3.00", f"z = {minus}2.12", "z = 0.00", "z = 2.12", "z = 3.00"]
    assert [frame.label for frame in moving.frames] == expected
    assert moving.start == 2
    for number, frame in enumerate(moving.frames):
        data = base64.b64decode(frame.source.removeprefix("data:image/png;base64,"))
        with Image.open(io.BytesIO(data)) as image:
            grey = image.convert("L").getpixel((5, 5))
        assert abs(grey - (20 + 40 * number)) <= 2
    # Equal neighbours share one frame in the file, and are told by its duration.
    greys = [Image.new("L", (60, 40), grey) for grey in (10, 10, 90, 200, 90, 10)]
    options = {"save_all": True, "append_images": greys[1:], "duration": 80}
    greys[0].save(run / "visualizations/traversals.gif", "GIF", **options)
    frames = animation(Chosen(model, model.runs[0], "best"), Budget()).frames
    assert [frame.label for frame in frames][-1] == "z = 3.00"
    assert len(frames) == 4
    assert frames[0].source == frames[1].source
    full = Budget(10)
    assert animation(Chosen(model, model.runs[0], "best"), full) is None
    assert full.left_out == ["traversals of a"]


def test_best_and_median_run_of_each_model_are_shown(tmp_path):
    for seed, value in enumerate((0.3, 0.9, 0.5, 0.1, 0.7)):
        add_pictures(make_run(tmp_path / f"runs/{seed}", seed, {"mig": value}, "vae"))
    text, _ = report(tmp_path, tmp_path / "runs")
    said = Page(text).text["traversals"]
    assert "runs/1 (best by MIG, 0.900)" in said
    assert "runs/2 (median by MIG, 0.500)" in said
    assert text.count('<figure class="traversal">') == 2


def test_nothing_is_said_where_there_is_nothing_to_show(tmp_path):
    make_run(tmp_path / "runs/a", 0, {}, "vae")
    (tmp_path / "runs/a/environment.json").unlink()
    text, _ = report(tmp_path, tmp_path / "runs")
    sections = re.findall(r'<section id="(\w+)"', text)
    assert sections == ["overview", "runs", "models", "method"]
    links = re.findall(r'<a href="#(\w+)">', text.partition("</nav>")[0])
    assert links == sections


def test_only_failed_runs(tmp_path):
    make_unfinished(tmp_path / "runs/a", 0)
    text, rows = report(tmp_path, tmp_path / "runs")
    assert rows == []
    assert "1 run of 1 model on 1 data set; 1 failed" in text


def test_curves_are_the_csvs(tmp_path):
    run = tmp_path / "a"
    add_curves(run, rows=400)
    columns = read_scalars(run / "model/scalars.csv", 5)
    assert columns["step"].tolist() == [0, 2000, 4000, 5980, 7980]
    with (run / "model/scalars.csv").open("a") as file:
        file.write("8000,1.0")  # cut short by a kill
    assert read_scalars(run / "model/scalars.csv", 5)["step"][-1] == 7980


def curve(model, values):
    return Curve(model, model.label, np.arange(len(values)) * 10.0, np.array(values, float))


def test_a_chart_of_diverged_and_of_many_runs():
    model = Model("a < b", "a", {})
    assert curve_chart([], "t") == ""
    assert curve_chart([curve(model, [np.nan, np.nan])], "t") == ""
    svg = curve_chart([curve(model, [5, np.nan, 3, np.inf])], "t")
    assert "nan" not in svg
    assert "inf" not in svg
    assert "a &lt; b" in svg
    assert curve_chart([curve(model, [1.0])], "t").count("<polyline") == 1
    many = curve_chart([curve(model, [9, 8, k / 100]) for k in range(100)], "t")
    assert many.count("<polyline") == 1
    assert "median of 100 runs" in many
    assert "middle half of 100 runs" in many


def test_svg_escapes_and_axes_hold_their_values():
    assert element("text", 'a<"', "b&", x="'\"<") == (
        '<text x="&#x27;&quot;&lt;"><title>a&lt;&quot;</title>b&amp;</text>'
    )
    for values in ([3.0], [0.0, 0.0], [], [1e-7, 2e-7], [-5, 1e6]):
        made = axis(values, 10, 110)
        assert all(10 <= made.at(value) <= 110 for value in values)
        assert all(10 <= made.at(tick) <= 110 for tick in made.ticks)
    assert axis([0.0, 3.0], 10, 110, short=True).labels == ("0", "1", "2", "3")  # steps
    assert axis([0.0, 2000.0], 10, 110, short=True).labels[-1] == "2k"


def test_names_of_factors_fit_the_data_sets():
    from srvae_plugin.data import (
        cars3d,
        dsprites_renderer,
        shapes3d,
        smallnorb,
        teapots,
    )

    assert tuple(factor_names("shapes3d", 6)) == shapes3d.FACTOR_NAMES
    assert tuple(factor_names("cars3d", 3)) == cars3d.FACTOR_NAMES
    assert tuple(factor_names("teapots", 5)) == teapots.FACTOR_NAMES
    names = smallnorb.FACTOR_NAMES
    assert tuple(factor_names("smallnorb", 4)) == (names[0], *names[2:])
    assert len(dsprites_renderer.FACTOR_NAMES) == 6
    assert tuple(factor_names("color_dsprites", 5)) == dsprites_renderer.FACTOR_NAMES[1:]
    assert tuple(factor_names("dsprites_noshape", 4)) == dsprites_renderer.FACTOR_NAMES[2:]
    assert factor_names("dsprites_full", 2) == ["factor 0", "factor 1"]


def test_the_studys_settings_are_those_of_the_packaged_files():
    for metric, settings in STUDY_SETTINGS.items():
        text = gin_files.find_file(f"metrics/{metric}.gin").read_text()
        found = {key: value.partition("#")[0].strip() for key, value in gin_dict(text).items()}
        for name, value in settings.items():
            if name != "dci.backend":  # a setting of ours
                assert found[name] == value
    assert set(SETTINGS["factor_vae_score"]) == set(STUDY_SETTINGS["factor_vae_score"])


def test_metric_names():
    assert metric_name("@mig") == "mig"
    assert metric_name("@trees/downstream_task", "trees") == "trees"
    assert metric_name("@factor_vae_score", "factor_vae_metric") == "factor_vae_score"
    assert metric_name("@downstream_task", "downstream_task_boosted_trees") == (
        "downstream_task_boosted_trees"
    )
    assert metric_name("@my_package.metrics.mine") == "mine"


def test_headlines_of_metrics_that_are_not_known_here():
    keys = ["10:mean_train_accuracy", "10:mean_test_accuracy", "100:mean_test_accuracy"]
    assert [s.key for s in headlines("downstream", keys)] == ["100:mean_test_accuracy"]
    assert [s.key for s in headlines("mine", ["num_x", "a", "train_b", "c"])] == ["a", "c"]
    assert headlines("mig", ["other"]) == []


def test_a_scope_of_a_known_metric_has_its_scores():
    keys = ["num_factors_scored", "nrmse_test", "disentanglement", "informativeness_test"]
    disentanglement, error = headlines("random_forest", keys, "dci_regression")
    assert disentanglement.published == "dci_disentanglement"
    assert disentanglement.metric == error.metric == "random_forest"
    assert not error.higher_is_better


@pytest.mark.parametrize(("regressor", "published"), [("random_forest", 0.86), ("lasso", 0.67)])
def test_regressors_stand_beside_published_numbers_of_the_same(
    tmp_path, monkeypatch, regressor, published
):
    name = "mine/dci_regression"
    monkeypatch.setitem(report_runs.KEYS, name, "disentanglement")
    monkeypatch.setitem(report_runs.SETTINGS, name, {f"{name}.regressor": repr(regressor)})
    make_run(tmp_path / "vae", 0, {name: 0.5}, "vae", {"dataset.name": "'teapots'"})
    tables = score_tables(group_by_model(read_runs([tmp_path]).runs), QUICK)
    numbers = [one.published for one in beside_published(tables, published_scores())]
    assert [number.mean for number in numbers if number] == [published]


@pytest.mark.parametrize(("metric", "by_trees"), [("dci", True), ("dci_regression", False)])
def test_trees_and_regressors_stand_beside_numbers_of_their_own(
    tmp_path, monkeypatch, metric, by_trees
):
    monkeypatch.setitem(report_runs.KEYS, metric, "disentanglement")
    for data_set in ("teapots", "dsprites_full"):
        config = {"dataset.name": f"'{data_set}'"}
        make_run(tmp_path / data_set, 0, {metric: 0.5}, "vae", config | {"vae.beta": "4.0"})
    tables = score_tables(group_by_model(read_runs([tmp_path]).runs), QUICK)
    found = [one.published for one in beside_published(tables, published_scores())]
    assert found
    for one in found:
        assert one.metric == "dci_disentanglement"
        named = "Random Forest" in one.hyperparameters or "Lasso" in one.hyperparameters
        assert named != by_trees


def test_lower_is_better_for_losses(tmp_path):
    for seed, loss in enumerate((30.0, 10.0, 20.0)):
        make_run(tmp_path / f"vae{seed}", seed, {}, "vae", loss=loss)
        make_run(tmp_path / f"sr{seed}", seed, {}, "sr_vae", loss=loss + 5)
    (table,) = score_tables(group_by_model(read_runs([tmp_path]).runs), QUICK)
    row = {row.model.label: row for row in table.rows}["VAE"]
    assert (row.summary.best, row.summary.worst) == (10, 30)
    (pair,) = table.comparisons
    assert (pair.first.label, pair.difference) == ("SR-VAE", 5)
    assert pair.probability == pytest.approx(3 / 9)  # SR-VAE's loss is the lower of 3 pairs


def test_labels_name_the_learning_rate_where_it_is_not_that_of_most(tmp_path):
    rate = {"vae/AdamOptimizer.learning_rate": "0.0005"}
    for seed in range(2):
        for model in ("vae", "sr_vae", "factor_vae"):
            make_run(tmp_path / f"{model}-{seed}", seed, {"mig": 0.5}, model,
                     rate if model == "vae" else {})  # fmt: skip
    labels = [model.label for model in group_by_model(read_runs([tmp_path]).runs)]
    assert labels == ["FactorVAE", "SR-VAE", "VAE (learning_rate = 0.0005)"]
    # Of two models there is no most.
    two = group_by_model([r for r in read_runs([tmp_path]).runs if "factor" not in r.name])
    assert [model.label for model in two] == [
        "SR-VAE (learning_rate = 0.0001)", "VAE (learning_rate = 0.0005)"
    ]  # fmt: skip


def five_seeds(folder, shift, spread=0.01):
    """SR-VAE above VAE by `shift` in the mean, the differences spread by about `spread`."""
    noise = np.random.RandomState(0).normal(0, spread, 6)
    for seed in range(6):
        make_run(folder / f"vae-{seed}", seed, {"mig": 0.3 + seed / 50}, "vae")
        value = 0.3 + seed / 50 + shift + float(noise[seed] - noise.mean())
        make_run(folder / f"sr-{seed}", seed, {"mig": value}, "sr_vae")
    return 0.3 + np.arange(6) / 50, noise - noise.mean() + shift


@pytest.mark.parametrize(("shift", "bold"), [(0.1, True), (0.001, False)])
def test_the_best_is_bold_only_where_the_paired_interval_excludes_0(tmp_path, shift, bold):
    _, differences = five_seeds(tmp_path / "runs", shift)
    text, _ = report(tmp_path, tmp_path / "runs")
    found = re.findall(r'<b class="best">([\d.]+)</b>', text)
    assert found == ([f"{0.35 + shift:.3f}"] if bold else [])
    generator = np.random.default_rng(0)
    means = differences[generator.integers(0, 6, (200, 6))].mean(axis=1)
    low = np.percentile(means, 2.5)
    assert (low > 0) == bold
    said = Page(text).text["overview"]
    if bold:
        assert "SR-VAE is ahead of VAE in MIG: the paired interval excludes 0." in said
    else:
        power = pytest.importorskip("statsmodels.stats.power").TTestPower()
        effect = differences.mean() / differences.std(ddof=1)
        exact = power.solve_power(effect_size=effect, nobs=None, alpha=0.05, power=0.8)
        assert "In no score is the best model ahead of another beyond chance." in said
        assert f"{int(np.ceil(np.squeeze(exact))) - 6:,} more for SR-VAE against VAE in MIG" in said
    row = {r["model"]["text"]: r for r in Page(text).rows("overview")}["SR-VAE"]
    (cell,) = [value for name, value in row.items() if name.startswith("MIG")]
    assert float(cell["v"]) == pytest.approx(0.35 + shift)
    assert "n = 6" in cell["text"]


def test_complete_separation_has_no_interval_of_no_width(tmp_path):
    five_seeds(tmp_path, 0.5)
    rows = {
        t.score.metric: t for t in score_tables(group_by_model(read_runs([tmp_path]).runs), QUICK)
    }
    (pair,) = rows["mig"].comparisons
    assert pair.probability in (0, 1)
    assert np.isnan(pair.probability_interval).all()
    assert np.isfinite(pair.difference_interval).all()


def compared(difference, spread=0.1, pairs=5, interval=(-1.0, 1.0)):
    models = Model("A", "", {}), Model("B", "", {})
    ends = bootstrap.Interval(*interval)
    none = bootstrap.Interval(np.nan, np.nan)
    return Comparison(*models, pairs, difference, ends, spread, 0.5, none)


def test_verdicts_of_equal_means_and_of_no_seed_in_common():
    table = Table(headlines("mig", ["discrete_mig"])[0], "sampled", "d", [], [], "")
    best = Row(Model("A", "", {}), [], np.zeros(0), bootstrap.summarize([0.5]))
    no_pair = compared(np.nan, np.nan, 0, (np.nan, np.nan))
    equal = "The means of the best model and the others are equal."
    assert equal in sentences([(table, best, [compared(0.0)])])
    said = " ".join(sentences([(table, best, [no_pair, compared(0.2)])]))
    assert "A against B in MIG (sampled) (difference 0.200" in said
    assert "no seed in common" in " ".join(sentences([(table, best, [no_pair])]))


def test_a_model_without_scores_is_named_below_the_table(tmp_path):
    make_run(tmp_path / "runs/good", 0, {"mig": 0.5}, "vae")
    for seed in range(2):
        make_unfinished(tmp_path / f"runs/bad-{seed}", seed)
    text, _ = report(tmp_path, tmp_path / "runs")
    said = Page(text).text["overview"]
    assert "Not in the table: SR-VAE, unfinished (2 runs, all failed)." in said


def test_the_published_value_has_a_footnote_for_each_difference_of_protocol(written):
    text, page, _ = written
    row = {r["model"]["text"]: r for r in page.rows("overview")}["SR-VAE"]
    (cell,) = [value for name, value in row.items() if name.startswith("FactorVAE")]
    letters = re.search(r"published ~0\.86((?:[a-z] ?)+)$", cell["text"].strip())[1].split()
    (beside,) = [
        r for r in page.rows("published")
        if r["model"]["text"].startswith("SR-VAE") and r["score"]["text"] == "FactorVAE score"
    ]  # fmt: skip
    notes = dict(re.findall(r"<li><sup>(\w+)</sup> ([^<]+)</li>", text))
    said = beside["differences of protocol: here | published"]["text"]
    assert len(letters) == 5
    for letter in letters:
        what, _, rest = notes[letter].partition(": ")
        assert html.unescape(f"{what} {rest}") in said


def test_a_study_gives_the_page_its_name_and_the_table_the_pages(tmp_path):
    make_run(tmp_path / "s/runs/a", 0, {"mig": 0.5}, "vae")
    write_json(tmp_path / "s/study.json", {"study": "ablation", "runs": []})
    done = write_report([tmp_path / "s"], tmp_path / "mine.html", bootstrap=QUICK)
    assert "<title>ablation</title>" in done.page.read_text()
    assert done.scores == tmp_path / "mine.csv"
    with pytest.raises(ValueError, match="must end with"):
        write_report([tmp_path / "s"], tmp_path / "mine2.csv", bootstrap=QUICK)


def test_a_spreadsheet_runs_no_cell(tmp_path):
    make_run(tmp_path / "runs/a", 0, {"=cmd|' /C calc'!A0": 0.5, "mig": -0.25}, "vae")
    write_report([tmp_path / "runs"], tmp_path / "a.html", bootstrap=QUICK)
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["metric"] for row in rows} >= {"'=cmd|' "} or any(
        row["metric"].startswith("'=cmd") for row in rows
    )
    assert all(cell[:1] not in "=+@" or not cell for row in rows for cell in row.values())
    assert "-0.25" in {row["value"] for row in rows}  # a number stays one


def test_bad_runs_are_failures_and_never_stop_a_report(tmp_path):
    runs = tmp_path / "runs"
    make_run(runs / "good", 0, {"mig": 0.5}, "vae")
    big = make_run(runs / "picture", 1, {"mig": 0.6}, "vae")
    (big / "visualizations").mkdir()
    # What a picture of 40,000 x 40,000 pixels declares; there are none of them.
    head = b"IHDR" + (40000).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    png = b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4, "big") + head
    png += zlib.crc32(head).to_bytes(4, "big")
    (big / "visualizations/decomposition.png").write_bytes(png + b"\0\0\0\0IDAT" + b"\0" * 50)
    place = make_run(runs / "array", 2, {"mig": 0.95}, "vae") / "metrics/mean/dci/artifacts"
    place.mkdir(parents=True)
    header = {"descr": "<f8", "fortran_order": False, "shape": (9_895_604_649_984, 1)}
    with (place / "dci_importance_matrix.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
    nested = make_run(runs / "nested", 3, {"mig": 0.8}, "vae")
    path = nested / "metrics/mean/mig/results/aggregate/evaluation.json"
    path.write_text('{"a": ' * 100_000)
    make_run(runs / "seed", 4, {"mig": 0.9}, "vae", {"model.random_seed": "x"})
    write_json(runs / "good/evaluations/step_9/scores.json", {"scores": {"mean": [0.5]}})
    (runs / "config").mkdir()
    (runs / "config/config.gin").write_bytes(b"\xff\xfe model")
    entries = [{"folder": "new", "seed": [1], "status": "failed"}]
    write_json(runs / "study.json", {"study": ["no text"], "runs": entries})
    text, rows = report(tmp_path, runs)
    said = Page(text).text["failures"]
    for words in ("decomposition.png is", "matrix.npy is damaged",
                  "scores.json does not list scores by representation", "nested too deeply",
                  "the seed is [1], not a whole number", "config.gin is damaged"):  # fmt: skip
        assert words in said
    assert {row["value"] for row in rows if row["key"] == "discrete_mig"} == {
        "0.5", "0.6", "0.95", "0.9"
    }  # fmt: skip


def test_a_hinton_diagram_of_a_wide_matrix_is_small_and_says_what_it_left_out():
    matrix = np.random.RandomState(0).rand(3000, 300)
    matrix[2999] += 5
    svg = hinton(matrix, [f"factor {k}" for k in range(300)], "t")
    assert len(svg) < 500_000
    assert svg.count('class="hinton"') == 40 * 40
    assert "40 of 3,000 latents, 40 of 300 factors" in svg
    assert ">z2999</text>" in svg


def test_latents_stand_in_the_order_of_the_traversals(tmp_path):
    run = make_run(tmp_path / "a", 0, {"mig": 0.5}, "vae")
    add_importance(run, [[1.0, 0.1], [0.2, 1.0], [0.3, 0.3]])
    add_pictures(run)
    assert "latents by number" in report(tmp_path, run)[0]
    greys = [Image.new("L", (60, 40), grey) for grey in (10, 90, 200, 90)]
    options = {"save_all": True, "append_images": greys[1:], "comment": b"latents 2 0 1"}
    greys[0].save(run / "visualizations/traversals.gif", "GIF", **options)
    text, _ = report(tmp_path, run, overwrite=True)
    assert "latents in the order of the traversals" in text
    assert re.findall(r">(z\d)</text>", text) == ["z2", "z0", "z1"]
    # Whatever picture lies there: a PNG's comment is text.
    named = PngImagePlugin.PngInfo()
    named.add_text("comment", "latents 1 2 0")
    greys[0].save(run / "visualizations/traversals.gif", "PNG", pnginfo=named)
    text, _ = report(tmp_path, run, overwrite=True)
    assert re.findall(r">(z\d)</text>", text) == ["z1", "z2", "z0"]


def test_many_models_are_compared_with_one(tmp_path):
    for number in range(8):
        config = {"vae.beta": f"{number}.0"}
        make_run(tmp_path / f"runs/{number}", 0, {"mig": number / 10}, "vae", config)
    models = group_by_model(read_runs([tmp_path / "runs"]).runs)
    table = score_tables(models, QUICK)[0]
    assert [c.second.label for c in table.comparisons] == ["beta-VAE (beta = 7.0)"] * 7
    assert len({c.first.label for c in table.comparisons} - {"beta-VAE (beta = 7.0)"}) == 7
    chosen = score_tables(models, QUICK, "VAE")[0]
    assert [c.second.label for c in chosen.comparisons] == ["VAE"] * 7


def test_a_seed_that_was_run_twice_is_in_no_pair(tmp_path):
    for name, seed, value in (("a", 0, 0.1), ("b", 0, 0.2), ("c", 1, 0.3)):
        make_run(tmp_path / f"vae-{name}", seed, {"mig": value}, "vae")
    for seed in (0, 1):
        make_run(tmp_path / f"sr-{seed}", seed, {"mig": 0.5}, "sr_vae")
    table = score_tables(group_by_model(read_runs([tmp_path]).runs), QUICK)[0]
    assert table.comparisons[0].pairs == 1
    assert table.comparisons[0].difference == pytest.approx(0.2)


def command(*arguments):
    try:
        report_main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return stop.code
    return 0


def test_the_command(study, tmp_path, capsys):
    output = tmp_path / "page.html"
    assert command(study, "--output", output, "--resamples", 50, "--title", "Mine") == 0
    said = capsys.readouterr().out
    assert "9 runs of 3 models: beta-VAE; SR-VAE; VAE" in said
    assert str(output) in said
    assert "<title>Mine</title>" in output.read_text()
    assert (tmp_path / "page.csv").is_file()
    assert {p.name for p in tmp_path.iterdir()} == {"page.html", "page.csv"}
    assert command(study, "--output", output) == 2
    assert "--overwrite replaces it" in capsys.readouterr().err
    assert command(study, "--output", output, "--overwrite", "--resamples", 50) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere is not a folder of runs: it does not exist"),
        (["empty"], "empty contains no run: expected folders with results/aggregate"),
        (["empty"], "srvae-study and disentanglement_lib write them\n"),
        (["a.json"], "a.json is not a table of results"),
        (["study", "--compare-with", "GAN"], "'GAN': no such model; there are beta-VAE, SR-VAE"),
        (["study", "--confidence", "95"], "confidence must lie between 0 and 1"),
        (["study", "--resamples", "0"], "resamples must be a whole number"),
        (["study", "--published-csv", "bad.csv"], "bad.csv, line 2, column 'mean': got 'x'"),
        (["study", "--published-csv", "no.csv"], "no.csv"),
        (["study", "--output", "empty"], "empty is a folder"),
    ],
)
def test_bad_input_is_one_line(study, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.json").write_text("[1]")
    (tmp_path / "study").symlink_to(study)
    columns = "dataset,model,hyperparameters,metric,mean,std,n_seeds,protocol,statement,source,"
    (tmp_path / "bad.csv").write_text(columns + "address,confidence\nd,m,,mig,x,,,,,s,,own\n")
    assert command(*arguments) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.startswith("srvae-report: error: ")
    assert said.count("\n") == 1
    assert not (tmp_path / "report.html").exists()


def test_nothing_to_do_is_refused(capsys):
    assert command() == 2
    assert command("runs", "--published") == 2


def test_listing_published_numbers(tmp_path, capsys):
    assert command("--published") == 0
    assert "openreview.net/forum?id=Sklyn6EYvH" in capsys.readouterr().out
    assert command("--published-columns") == 0
    printed = capsys.readouterr().out
    assert "any metric.key" in printed
    header = printed.splitlines()[0]
    own = tmp_path / "own.csv"
    own.write_text(header + "\ndSprites,SR-VAE,,factor_vae,0.777,,3,,,our lab,,own\n")
    assert command("--published", "--published-csv", own) == 0
    assert "0.777" in capsys.readouterr().out


def test_ones_own_published_numbers_are_shown(study, tmp_path):
    own = tmp_path / "own.csv"
    columns = "dataset,model,hyperparameters,metric,mean,std,n_seeds,protocol,statement,source,"
    columns += "address,confidence,training_steps\n"
    own.write_text(
        columns + "dsprites_full,SR-VAE,,mig.discrete_mig,0.123,,3,,,our lab,,own,1000\n"
    )
    text, _ = report(tmp_path, study, published=[own])
    (row,) = [r for r in Page(text).rows("published") if r["published"]["v"] == "0.123"]
    said = row["differences of protocol: here | published"]["text"]
    assert "training steps" not in said
    assert "seeds" not in said
    assert "batch size 64 | not stated" in said


def many_runs(folder, count, seeds=50, pictures=False):
    random_state = np.random.RandomState(0)
    for number in range(count):
        config = {"vae.beta": f"{1 + number // seeds}.0"}
        scores = dict(zip(("factor_vae_score", "mig"), random_state.rand(2), strict=True))
        run = make_run(folder / f"{number:04d}", number % seeds, scores, "vae", config)
        add_curves(run, rows=100)
        if pictures:
            add_pictures(run, frames=24, size=(120, 40))


def test_a_hundred_runs(tmp_path):
    many_runs(tmp_path / "runs", 100)
    text, rows = report(tmp_path, tmp_path / "runs")
    assert len(Page(text).rows("runs")) == 100
    assert len({row["model"] for row in rows}) == 2
    assert "median of 50 runs" in text
    assert len(text) < 2_000_000


@pytest.mark.slow
def test_a_thousand_runs_take_less_than_a_minute(tmp_path):
    many_runs(tmp_path / "runs", 1000, pictures=True)
    begun = time.monotonic()
    text, _ = report(tmp_path, tmp_path / "runs", bootstrap=Bootstrap())
    assert time.monotonic() - begun < 60
    assert len(Page(text).rows("runs")) == 1000
    assert len(text) < 20_000_000
    print(f"{time.monotonic() - begun:.1f} s, {len(text) / 1e6:.1f} MB")
