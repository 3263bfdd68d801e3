"""benchmarks/evidence.py: verdicts on scores whose answer is known, and nothing lost on the way."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_runs import make_run, make_unfinished, write_json

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
if not BENCHMARKS.is_dir():
    pytest.skip("the source distribution has no benchmarks", allow_module_level=True)

with pytest.MonkeyPatch.context() as patched:
    patched.syspath_prepend(BENCHMARKS)
    import evidence
    import evidence_record

SCORES = {
    "SR-VAE": [0.80, 0.82, 0.81, 0.83, 0.80],
    "VAE": [0.60, 0.75, 0.65, 0.70, 0.55],  # each seed worse, and further apart
    "beta-VAE": [0.81, 0.80, 0.83, 0.82, 0.81],  # better by 0.002, within the spread
    "FactorVAE": [0.90, 0.95, 0.92, 0.93, 0.91],
    "ResVAE": [0.10, 0.20],
}
LOSSES = {"SR-VAE": 20.0, "VAE": 30.0, "beta-VAE": 10.0, "FactorVAE": 20.0, "ResVAE": 20.0}


@pytest.fixture
def record(tmp_path, monkeypatch):
    """Record of a study on dSprites with these scores, in which one run failed and one waits."""
    study, entries = tmp_path / "dsprites", []
    for model, scores in SCORES.items():
        for seed, score in enumerate(scores):
            folder = study / "runs" / model / str(seed)
            loss = LOSSES[model] + seed / 10
            make_run(folder, seed, {"factor_vae_score": score}, loss=loss)
            (folder / "config.gin").write_text(
                f"run.metrics = ['mig']\nmodel.random_seed = {seed}\n"
            )
            entries.append(entry(model, seed, "finished"))
    make_unfinished(study / "runs" / "ResVAE" / "2", 2)
    entries.append(entry("ResVAE", 2, "failed", "training stopped at step 7; the last checkpoint"))
    for seed, status in ((3, "failed"), (4, "interrupted")):  # trained, and lacking a score
        make_run(study / "runs" / "ResVAE" / str(seed), seed, {"factor_vae_score": 1.0})
        entries.append(entry("ResVAE", seed, status, "dci is not scored"))
    write_json(study / "study.json", {"format": 1, "runs": entries})
    monkeypatch.setattr(evidence_record, "RECORDS", tmp_path / "records")
    evidence_record.main(study)
    return tmp_path / "records" / "dsprites"


def entry(model, seed, status, error=None):
    return {
        "model": model, "label": model, "dataset_name": "dsprites_full", "seed": seed,
        "folder": f"runs/{model}/{seed}", "status": status, "seconds": 1.0, "error": error,
    }  # fmt: skip


def test_verdicts(record):
    columns = evidence.columns_of(evidence.read(record))
    verdicts = {(row[0], row[1].split(", ")[1]): row[-1] for row in evidence.claim_rows(columns)}
    assert verdicts == {
        ("better disentanglement", "VAE"): "**supported**",
        ("better disentanglement", "beta-VAE"): "not decided",
        ("better disentanglement", "FactorVAE"): "**contradicted**",
        ("better reconstruction", "VAE"): "**supported**",
        ("better reconstruction", "beta-VAE"): "**contradicted**",
        ("better reconstruction", "FactorVAE"): "not decided",
        ("the sequence matters", "ResVAE"): "not decided: fewer than 5 seeds",
        ("less spread over seeds", "VAE"): "**supported**",
        ("less spread over seeds", "beta-VAE"): "not decided",
        ("less spread over seeds", "FactorVAE"): "not decided",
    }


def test_differences_are_of_pairs_of_seeds(record):
    columns = evidence.columns_of(evidence.read(record))
    rows = {(row[0], row[1]): row for row in evidence.claim_rows(columns)}
    seeds, difference, chance = rows["better disentanglement", "SR-VAE, VAE"][3:6]
    assert (seeds, difference[:5], chance) == (5, "0.162", "1.00")
    seeds, difference, chance = rows["better reconstruction", "SR-VAE, VAE"][3:6]
    assert (seeds, difference, chance) == (5, "-10.0 [-10.0, -10.0]", "1.00")


def test_every_run_is_accounted_for(record):
    read = evidence.read(record)
    rows = {row[0]: row for row in evidence.score_rows(read, evidence.columns_of(read))}
    assert [rows["ResVAE"][place] for place in (1, 2)] == [2, 2]
    assert rows["ResVAE"][3].startswith("0.150")
    assert list(evidence.failures(read)) == [
        "- ResVAE, seed 2: training stopped at step 7",
        "- ResVAE, seed 3: dci is not scored",
        "- 1 of 25 runs had not finished when this was recorded",
    ]
    assert {path.stem for path in (record / "gin").iterdir()} == set(SCORES)


def test_what_is_no_study_leaves_the_record_alone(record, tmp_path):
    (tmp_path / "elsewhere" / "dsprites").mkdir(parents=True)
    with pytest.raises(SystemExit, match=r"no study\.json"):
        evidence_record.main(tmp_path / "elsewhere" / "dsprites")
    assert (record / "scores.csv").is_file()


def test_a_study_made_in_parts_is_one_record(record, tmp_path):
    before = {file.name: file.read_text() for file in record.glob("*.csv")}
    part = tmp_path / "elsewhere" / "dsprites"
    make_run(part / "runs" / "b", 4, {"factor_vae_score": 0.5})
    (part / "runs" / "b" / "config.gin").write_text("run.metrics = ['mig']\n")
    entries = [entry("ResVAE", 4, "finished") | {"folder": "runs/b"}]
    entries.append(entry("VAE", 0, "failed", "too hot"))
    entries.append(entry("SR-VAE", 0, "planned"))
    write_json(part / "study.json", {"format": 1, "runs": entries})
    evidence_record.main(part)
    after = {file.name: file.read_text() for file in record.glob("*.csv")}
    gone = set(before["runs.csv"].splitlines()) - set(after["runs.csv"].splitlines())
    assert gone == {
        "ResVAE,dsprites_full,4,interrupted,dci is not scored",
        "VAE,dsprites_full,0,finished,",
    }
    table = evidence.columns_of(evidence.read(record))[evidence.FACTOR_VAE]
    assert evidence.by_seed(table, "ResVAE") == {0: 0.1, 1: 0.2, 4: 0.5}
    assert list(evidence.by_seed(table, "VAE")) == [1, 2, 3, 4]
    assert evidence.by_seed(table, "SR-VAE") == dict(enumerate(SCORES["SR-VAE"]))


def test_distance_to_the_papers_number(record):
    rows = list(evidence.published_rows(evidence.columns_of(evidence.read(record))))
    ours = [row for row in rows if row[0] == "SR-VAE"]
    assert [row[:5] for row in ours] == [["SR-VAE", "FactorVAE score", "0.812", "~0.86", "-0.048"]]


def test_the_page_holds_what_the_records_say(record, tmp_path, monkeypatch):
    page = tmp_path / "evidence.md"
    page.write_text("before\n" + "stale\n".join(evidence.MARKS) + "after\n")
    (tmp_path / "images").mkdir()
    monkeypatch.setattr(evidence, "RECORDS", record.parent)
    monkeypatch.setattr(evidence, "DOCS", tmp_path)
    monkeypatch.setattr(evidence, "PAGE", page)
    evidence.main([])
    text = page.read_text()
    assert text.startswith("before\n" + evidence.MARKS[0] + "## dSprites")
    assert text.endswith(evidence.MARKS[1] + "after\n")
    assert "stale" not in text
    figure = (tmp_path / "images" / "evidence_dsprites_factorvae.svg").read_text()
    assert "images/evidence_dsprites_factorvae.svg" in text
    assert figure.startswith("<svg")
    assert "seed 4: 0.55" in figure
    assert "published: ~0.86" in figure


def test_the_packaged_page_is_up_to_date(capsys):
    """docs/evidence.md is what the records give, figures aside."""
    evidence.main(["--print"])
    made = capsys.readouterr().out
    page = evidence.PAGE.read_text()
    between = page.partition(evidence.MARKS[0])[2].partition(evidence.MARKS[1])[0]
    without = [line for line in between.splitlines() if not line.startswith("![")]
    assert [line for line in without if line] == [line for line in made.splitlines() if line]
