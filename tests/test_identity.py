"""What is compared is the same thing: data by its content, scores by their settings."""

import csv
import json
import shutil

import numpy as np
import pytest

from srvae_plugin.cli.evaluate import evaluate_main
from srvae_plugin.config import gin_files, plugins
from srvae_plugin.config.data_record import (
    differences,
    other_content,
    record_of,
)
from srvae_plugin.config.text import with_record
from srvae_plugin.data.storage.digest import digest_of
from srvae_plugin.data.storage.locate import expanded
from srvae_plugin.report.comparison.pairs import Bootstrap
from srvae_plugin.report.data import read_runs
from srvae_plugin.report.models import group_by_model
from srvae_plugin.report.scores import overall, score_tables
from srvae_plugin.report.write import write_report
from srvae_plugin.runs import pipeline
from srvae_plugin.runs.run import run as run_all

QUICK = Bootstrap(resamples=50)
TINY = "\n".join(
    [
        "model.model = @vae()",
        "vae.beta = 1.0",
        "model.training_steps = 1",
        "model.batch_size = 2",
        "model.eval_steps = 1",
        "model.random_seed = 0",
        "encoder.num_latent = 2",
        "encoder.encoder_fn = @fc_encoder",
        "decoder.decoder_fn = @fc_decoder",
        "vae/AdamOptimizer.learning_rate = 0.001",
        "run.metrics = ['mig']",
        "run.pictures = False",
        "mig.num_train = 40",
        "dataset.name = 'npz'",
    ]
)
SMALL = ["mig.num_train = 30", "dci.num_train = 30", "dci.num_test = 20"]
ENCODER = """
import numpy as np
def mean(x):
    x = np.asarray(x).reshape(len(x), -1)
    return np.stack([x.mean(1), x[:, :8].mean(1), x.std(1)], 1)
"""


def arrays():
    factors = np.stack(np.unravel_index(np.arange(60), (3, 4, 5)), axis=1)
    images = np.random.RandomState(0).randint(256, size=(60, 8, 8, 1)).astype(np.uint8)
    return {"images": images, "factors": factors, "factor_names": np.array(["a", "b", "c"])}


def write(path, **changed):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **{**arrays(), **changed})
    return path


def bound(*bindings):
    """The data set of some bindings, and the identifying text of a configuration with it."""
    with gin_files.configured([], bindings):
        data = pipeline.bound_dataset()
        record = record_of(data)
        return record, with_record("\n".join(bindings), record)


def of(path, *more):
    return bound('dataset.name = "npz"', f'dataset.path = "{path}"', *more)


CHANGES = {
    "images": {"images": 255 - arrays()["images"]},
    "factors": {"factors": arrays()["factors"][:, :2], "factor_names": np.array(["a", "b"])},
    "names": {"factor_names": np.array(["a", "b", "z"])},
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_content_is_seen_and_a_moved_file_is_not(tmp_path, change):
    first, text = of(write(tmp_path / "one/A.npz"))
    _, moved = of(write(tmp_path / "two/B.npz"))
    assert not other_content(text, moved)
    assert not differences(text, moved)
    write(tmp_path / "one/A.npz", **CHANGES[change])
    second, changed = of(tmp_path / "one/A.npz")
    assert first["digest"] != second["digest"]
    assert str(tmp_path / "one/A.npz") in other_content(text, changed)


def test_an_option_is_part_of_the_identity_and_a_default_is_not(tmp_path):
    path = write(tmp_path / "A.npz", factors=np.random.RandomState(0).rand(60, 3))
    plain, text = of(path)
    same, _ = of(path, "dataset.factor_bins = None")
    binned, other = of(path, "dataset.factor_bins = 4")
    assert plain == same
    assert binned["options"] == {"factor_bins": "4"}
    assert list(map(str, differences(text, other))) == ["dataset.factor_bins = 4 (new)"]
    assert list(map(str, differences(other, text))) == ["dataset.factor_bins = 4 (is missing)"]


def test_without_a_digest_the_path_counts():
    assert differences("dataset.path = 'a'\n# note", "dataset.path = 'b'")
    assert not differences("dataset.path = 'a'\n# note", "dataset.path = \\\n    'a'")


def test_digests_of_all_kinds_of_data(tmp_path):
    names = ["dsprites_full", "dsprites_noshape", "color_dsprites", "noisy_dsprites", "dummy_data"]
    digests = {name: digest_of(plugins.load_dataset(name)) for name in names}
    assert len(set(digests.values())) == len(names)
    assert all(len(digest) == 64 for digest in digests.values())

    class Drawn:
        num_factors = 1
        noise = np.random.RandomState(0)

        def __init__(self, level, fixed=True):
            self.level, self.fixed = level, fixed

        def sample(self, num, random_state):
            state = random_state if self.fixed else self.noise
            return np.zeros((num, 1)), np.full((num, 2, 2, 1), self.level) * state.rand()

    assert digest_of(Drawn(1)) == digest_of(Drawn(1)) != digest_of(Drawn(2))
    assert digest_of(Drawn(1, fixed=False)) == ""
    from PIL import Image

    for level in (0, 1, 0):
        (tmp_path / "f").mkdir(exist_ok=True)
        Image.new("L", (4, 4), level).save(tmp_path / "f/x.png")
        digests[level] = digest_of(plugins.load_dataset("image_folder", path=str(tmp_path / "f")))
    shutil.copytree(tmp_path / "f", tmp_path / "g")
    moved = digest_of(plugins.load_dataset("image_folder", path=str(tmp_path / "g")))
    assert digests[0] == moved != digests[1]
    (tmp_path / "g/x.png").rename(tmp_path / "g/y.png")
    assert (
        digest_of(plugins.load_dataset("image_folder", path=str(tmp_path / "g"), size=8)) != moved
    )


def test_paths_are_expanded_and_errors_say_where_they_looked(tmp_path, monkeypatch):
    write(tmp_path / "A.npz")
    monkeypatch.setenv("HERE", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    digest = of(tmp_path / "A.npz")[0]["digest"]
    for typed in ("$HERE/A.npz", "${HERE}/A.npz", "~/A.npz"):
        record, _ = of(typed)
        assert record["digest"] == digest
        assert record["paths"]["path"] == {"typed": typed, "absolute": str(tmp_path / "A.npz")}
    monkeypatch.chdir(tmp_path)
    assert of("A.npz")[0]["paths"]["path"]["absolute"] == str(tmp_path / "A.npz")
    with pytest.raises(FileNotFoundError, match=str(tmp_path / "no.npz")):
        of("no.npz")
    with pytest.raises(ValueError, match="NOWHERE is not set"):
        of("$NOWHERE/A.npz")
    (tmp_path / "$x").touch()
    assert expanded("$x") == tmp_path / "$x"


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_encoder_for_identity.py").write_text(ENCODER)
    (tmp_path / "tiny.gin").write_text(TINY)
    return tmp_path


def evaluate(path, *flags, metrics="['mig']", bindings=("mig.num_train = 30",)):
    chosen = ["dataset.name = 'npz'", f"dataset.path = '{path}'", f"run.metrics = {metrics}"]
    words = [word for b in (*chosen, *bindings) for word in ("--bind", b)]
    function = ["--function", "my_encoder_for_identity:mean"]
    evaluate_main([*function, "--gin", "metrics/paper.gin", *words, *flags])


def refused(capsys, *arguments, **options):
    with pytest.raises(SystemExit) as stop:
        evaluate(*arguments, **options)
    assert stop.value.code != 0
    return capsys.readouterr().err.strip().splitlines()


def test_resumed_scores_notice_other_data_and_follow_moved_data(place, capsys):
    write(place / "A.npz")
    evaluate("A.npz", "--output", "out")
    before = (place / "out/mig/results/json/evaluation_results.json").read_text()
    (place / "elsewhere").mkdir()
    shutil.move(place / "A.npz", place / "elsewhere/B.npz")
    evaluate("elsewhere/B.npz", "--output", "out", "--resume")
    assert (place / "out/mig/results/json/evaluation_results.json").read_text() == before
    capsys.readouterr()
    settings = refused(
        capsys, "elsewhere/B.npz", "--output", "out", "--resume", bindings=["mig.num_train = 20"]
    )
    assert "another representation or configuration" in settings[-1]
    write(place / "elsewhere/B.npz", **CHANGES["factors"])
    lines = refused(capsys, "elsewhere/B.npz", "--output", "out", "--resume")
    assert len(lines) == 1
    assert str(place / "elsewhere/B.npz") in lines[0]
    assert "--overwrite" in lines[0]
    evaluate("elsewhere/B.npz", "--output", "out", "--overwrite")
    assert (place / "out/mig/results/json/evaluation_results.json").read_text() != before


def test_a_run_goes_on_with_moved_data_and_not_with_other_data(place):
    def run(path, *more):
        chosen = [f"dataset.path = '{path}'", *more]
        return run_all(["tiny.gin"], chosen, place / "run", resume=True)

    write(place / "job-1/A.npz")
    with pytest.raises(ValueError, match="unknown metric"):
        run("job-1/A.npz", "run.metrics = ['migg']")
    scores = run("job-1/A.npz").scores
    (place / "job-1").rename(place / "job-2")
    (place / "run/environment.json").unlink()
    assert run("job-2/A.npz").scores == scores
    with pytest.raises(ValueError, match=r"configuration: vae.beta = 2.0 \(was 1.0\)"):
        run("job-2/A.npz", "vae.beta = 2.0")
    write(place / "job-2/A.npz", **CHANGES["images"])
    with pytest.raises(ValueError, match=f"content of .*{place}/job-2/A.npz\\) is not") as error:
        run("job-2/A.npz")
    assert "\n" not in str(error.value)
    assert "--overwrite" in str(error.value)


def tables_of(*places):
    found = read_runs(places)
    return score_tables(group_by_model(found.runs), QUICK), found


def headline(tables):
    return [(t.data_set, t.score.title, [len(r.runs) for r in t.rows]) for t in tables]


def test_the_report_tells_data_sets_apart(place):
    write(place / "A.npz")
    write(place / "copy/A.npz")
    write(place / "other/A.npz", **CHANGES["images"])
    for number, path in enumerate(["A.npz", "copy/A.npz", "other/A.npz"]):
        label = ["--label", "mean", "--seed", str(number), "--output", f"s/{number}"]
        evaluate(path, *label)
    tables, found = tables_of(place / "s")
    (note,) = found.notes
    assert "the very same codes" in note
    by_runs = {t.data_set: t.rows[0].runs for t in tables}
    assert sorted(len(runs) for runs in by_runs.values()) == [1, 2]
    assert all("A.npz" in name and "content" in name for name in by_runs)
    assert [t.rows[0].model.label for t in tables] == ["mean"] * 2
    assert sorted(run.seed for runs in by_runs.values() for run in runs) == [0, 1, 2]


def test_the_report_tells_settings_and_labels_apart(place):
    write(place / "A.npz")
    for number, (label, points) in enumerate([("x", 30), ("x", 30), ("x", 20), ("y", 30)]):
        evaluate(
            "A.npz", "--label", label, "--seed", str(number), "--output", f"s/{number}",
            bindings=[f"mig.num_train = {points}", f"evaluation.random_seed = {number}"],
        )  # fmt: skip
    tables, _ = tables_of(place / "s")
    assert sorted(headline(tables)) == [
        ("npz (A.npz)", "MIG [mig.num_train = 20]", [1]),
        ("npz (A.npz)", "MIG [mig.num_train = 30]", [2, 1]),
    ]
    write_report([place / "s"], place / "page.html", bootstrap=QUICK)
    assert "Metric settings" in (place / "page.html").read_text()
    with (place / "page.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["key"] == "discrete_mig"]
    assert {row["seed"]: "mig.num_train = 20" in row["settings"] for row in rows} == {
        "0": False, "1": False, "2": True, "3": False,
    }  # fmt: skip
    assert len({row["data_set_digest"] for row in rows}) == 1
    assert len(rows[0]["data_set_digest"]) == 64


def test_refused_metrics_are_failures_and_resume_tries_again(place, capsys):
    write(place / "A.npz")
    module = place / "my_encoder_for_identity.py"
    module.write_text(ENCODER)
    evaluate("A.npz", "--label", "m", "--output", "s", metrics="['mig', 'dci']",
             bindings=SMALL)  # fmt: skip
    assert (place / "s/dci/artifacts").is_dir()
    shutil.rmtree(place / "s/mig")
    refusal = {"metric": "mig", "error": "too few rows"}
    (place / "s/mig.refused.json").write_text(json.dumps(refusal))
    write_report([place / "s"], place / "page.html", bootstrap=QUICK)
    text = (place / "page.html").read_text()
    assert "no score of mig: too few rows" in text
    hinton = text[text.index('<section id="hinton">') : text.index('<section id="failures">')]
    assert "<svg" in hinton
    assert ">a<" in hinton  # the file's names of factors
    evaluate("A.npz", "--label", "m", "--output", "s", "--resume", metrics="['mig', 'dci']",
             bindings=SMALL)  # fmt: skip
    assert not (place / "s/mig.refused.json").exists()
    capsys.readouterr()


def test_a_metric_that_fails_leaves_a_record(place, capsys):
    write(place / "A.npz", factors=np.random.RandomState(0).rand(60, 3))
    refused(
        capsys, "A.npz", "--output", "s", metrics="['mig']", bindings=["discretizer.num_bins = 20"]
    )
    said = json.loads((place / "s/mig.refused.json").read_text())
    assert said["metric"] == "mig"
    assert said["error"]
    assert said["evaluation_dataset"]["digest"]
    tables, found = tables_of(place / "s")
    assert tables == []
    assert [run.problems for run in found.runs] == [[f"no score of mig: {said['error']}"]]


def test_a_study_of_two_files_has_two_data_sets_by_their_names(place):
    """Both with the same runs; the label of the study is what the report calls them."""
    write(place / "A.npz")
    write(place / "B.npz", **CHANGES["factors"])
    entries = []
    for name in "AB":
        folder = place / f"study/runs/{name}"
        run_all(["tiny.gin"], [f"dataset.path = '{name}.npz'"], folder)
        entries.append({"folder": f"runs/{name}", "label": "VAE", "dataset": f"set {name}",
                        "dataset_name": "npz", "seed": 0, "status": "finished"})  # fmt: skip
    (place / "study/study.json").write_text(json.dumps({"runs": entries}))
    tables, found = tables_of(place / "study")
    assert {run.data_set for run in found.runs} == {"set A", "set B"}
    assert all([len(row.runs) for row in table.rows] == [1] for table in tables)
    done = write_report([place / "study"], place / "page.html", bootstrap=QUICK)
    assert "2 runs of 1 model on 2 data sets" in done.page.read_text()


def test_runs_of_older_versions_are_read_and_what_is_not_known_is_said(place):
    write(place / "A.npz")
    for number in range(2):
        run_all(["tiny.gin"], ["dataset.path = 'A.npz'", f"model.random_seed = {number}"],
                place / f"runs/{number}")  # fmt: skip
    for path in (place / "runs/1").rglob("manifest.sha256"):
        path.unlink()  # older versions wrote none
    for path in (place / "runs/1").rglob("*.json"):
        content = json.loads(path.read_text())
        kept = {k: v for k, v in content.items() if not k.split(".")[0].endswith("_dataset")}
        path.write_text(json.dumps(kept))
    tables, found = tables_of(place / "runs")
    assert len({run.data_set for run in found.runs}) == 2
    assert any("the content is not recorded" in note for note in found.notes)
    assert all([len(row.runs) for row in table.rows] == [1] for table in tables)


def score_codes(place, name, codes, *flags, factors=None):
    factors = arrays()["factors"] if factors is None else factors
    np.savez(place / f"{name}.npz", codes=codes, factors=factors)
    bound = ["--bind", "run.metrics = ['mig']", "--bind", "mig.num_train = 30"]
    evaluate_main(["--codes", f"{name}.npz", "--output", f"s/{name}", *bound, *flags])


def runs_and_notes(place):
    tables, found = tables_of(place / "s")
    (table,) = [t for t in tables if t.score.title == "MIG"]
    return {row.model.label: len(row.runs) for row in table.rows}, found.notes


def test_two_models_of_one_label_and_seed_are_not_pooled(place):
    codes = np.random.RandomState(0).rand(60, 3)
    score_codes(place, "a", codes, "--label", "m", "--seed", "0")
    score_codes(place, "b", codes[:, ::-1] ** 2, "--label", "m", "--seed", "0")
    score_codes(place, "c", codes**3, "--label", "m", "--seed", "1")
    rows, notes = runs_and_notes(place)
    assert sorted(rows.values()) == [1, 1, 1]
    assert rows["m"] == 1
    (note,) = notes
    assert "not pooled" in note
    assert "s/a" in note
    assert "s/b" in note
    write_report([place / "s"], place / "page.html", bootstrap=QUICK)
    assert "not pooled" in (place / "page.html").read_text()


def test_one_model_scored_twice_counts_once_and_one_under_two_seeds_is_noted(place):
    codes = np.random.RandomState(0).rand(60, 3)
    score_codes(place, "a", codes, "--label", "m", "--seed", "0")
    order = np.random.RandomState(1).permutation(60)
    score_codes(place, "b", codes[order], "--label", "m", "--seed", "0",
                factors=arrays()["factors"][order])  # fmt: skip
    rows, (note,) = runs_and_notes(place)
    assert rows == {"m": 1}
    assert "counts once" in note
    score_codes(place, "c", codes, "--label", "m", "--seed", "1")
    rows, notes = runs_and_notes(place)
    assert rows == {"m": 2}
    assert any("the very same codes" in note and "s/c" in note for note in notes)


def test_functions_are_told_apart_by_their_codes(place):
    write(place / "A.npz")
    for name in "xy":
        module = f"my_{name}_for_identity"
        (place / f"{module}.py").write_text(ENCODER.replace("x.std(1)", f"x[:, {ord(name) % 60}]"))
        for metric in ("mig", "sap_score"):
            evaluate_main(["--function", f"{module}:mean", "--label", "m", "--seed", "0",
                           "--output", f"s/{name}-{metric}", "--bind", "dataset.name = 'npz'",
                           "--bind", "dataset.path = 'A.npz'",
                           "--bind", f"run.metrics = ['{metric}']"])  # fmt: skip
    rows, (note,) = runs_and_notes(place)
    assert sorted(rows.values()) == [1, 1]
    assert "not pooled" in note


def test_the_number_of_points_used_is_said_of_every_way(place):
    codes = np.random.RandomState(0).rand(60, 3)
    for name, points in (("a", 30), ("b", 400)):
        np.savez(place / f"{name}.npz", codes=codes, factors=arrays()["factors"])
        bound = ["--bind", "run.metrics = ['mig']", "--bind", f"mig.num_train = {points}"]
        evaluate_main(["--codes", f"{name}.npz", "--label", "m", "--seed", "0",
                       "--output", f"s/{name}", *bound])  # fmt: skip
    tables, _ = tables_of(place / "s")
    titles = sorted(t.score.title for t in tables if t.score.metric == "mig")
    assert len(titles) == 2
    assert "not recorded" not in "".join(titles)
    assert "mig: num_train = 30" in titles[0]
    assert "mig: num_train = 60" in titles[1]
    assert all([len(row.runs) for row in table.rows] == [1] for table in tables)


def test_one_mean_over_data_sets_is_for_the_same_factors_alone(place):
    def together():
        tables, _ = tables_of(place / "runs")
        return [t.score.title for t, _ in overall(tables, QUICK)]

    def run(name, *bindings):
        run_all(["tiny.gin"], [*bindings, "run.metrics = []"], place / f"runs/{name}")

    write(place / "A.npz")
    write(place / "B.npz", **CHANGES["images"])
    run("a", "dataset.path = 'A.npz'")
    run("b", "dataset.path = 'B.npz'")
    assert together() == []
    shutil.rmtree(place / "runs")
    run("c", "dataset.name = 'dsprites_full'")
    run("d", "dataset.name = 'dsprites_noshape'")
    assert together() == []
    shutil.rmtree(place / "runs/d")
    run("e", "dataset.name = 'noisy_dsprites'")
    assert together() != []
