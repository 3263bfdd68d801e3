"""What the page says of diagnoses, of numbers that are 0, and of what is not there."""

import re
from functools import cache

import pytest
from planted_codes import NAMES, base, ring_noise_and_dead, rotated_pair
from report_runs import make_run, write_json
from test_report import Page

from srvae_plugin.report.comparison.pairs import Bootstrap
from srvae_plugin.report.parts.diagnoses import MOST
from srvae_plugin.report.write import write_report
from srvae_plugin.runs.directory import RunDirectory
from srvae_plugin.runs.scoring.diagnosis import diagnosis_of_codes

QUICK = Bootstrap(resamples=50)


@cache
def diagnosis(plant=None):
    if plant is None:
        _, factors, codes = base()
        return diagnosis_of_codes(codes, factors, names=NAMES, metrics=["mig"])
    planted = plant()
    return diagnosis_of_codes(planted.codes, planted.factors, names=NAMES, metrics=["mig"])


def run_with(folder, found, seed=0):
    run = make_run(folder, seed, {"mig": 0.2})
    if found is not None:
        found.write(RunDirectory(run).scores("mean").diagnosis)
    return run


def column(table, place):
    """Texts of a column, without its heading."""
    return [row[place]["text"] for row in table[1:]]


def text_of(*places, **options):
    output = places[0].parent / "page.html"
    options = {"bootstrap": QUICK, "overwrite": True} | options
    write_report(list(places), output, **options)
    return output.read_text()


def test_a_diagnosis_is_a_section_with_a_table_a_picture_and_what_would_be(tmp_path):
    run_with(tmp_path / "runs/a", diagnosis(rotated_pair))
    run_with(tmp_path / "runs/b", diagnosis(), 1)
    text = text_of(tmp_path / "runs")
    rows = Page(text).tables["why"]
    assert column(rows[0], 0) == NAMES
    assert column(rows[0], -1) == ["rotated", "rotated", "sound"]
    assert column(rows[1], -1) == ["sound"] * 3
    section = text[text.index('id="why"') :]
    assert "MIG .35 → .96 if latents z0 and z1 were unrotated." in section
    assert section.count("Nothing is wrong") == 1
    shares = diagnosis(rotated_pair).record["shares"]
    side = float(re.search(rf'width="([\d.]+)"[^>]*><title>z0, a: {shares[0][0]:.3f}', section)[1])
    assert side == pytest.approx(23 * shares[0][0] ** 0.5, abs=0.02)  # a whole cell is all of it


def test_without_a_diagnosis_there_is_no_such_section(tmp_path):
    run_with(tmp_path / "runs/a", None)
    assert 'id="why"' not in text_of(tmp_path / "runs")


def test_a_damaged_animation_does_not_drop_the_diagnosis(tmp_path):
    run = run_with(tmp_path / "runs/a", diagnosis(rotated_pair))
    (run / "visualizations").mkdir()
    (run / "visualizations/traversals.gif").write_bytes(b"GIF89a")
    page = Page(text_of(tmp_path / "runs"))
    assert column(page.tables["why"][0], 0) == NAMES
    assert page.text["failures"].count("traversals.gif is damaged") == 1
    assert "diagnosis.json" not in page.text["failures"]


def test_a_faint_factor_is_not_called_sound(tmp_path):
    record = diagnosis().record
    faint = type(diagnosis())({**record, "told": [0.3, *record["told"][1:]]})
    assert f"\nNothing to undo, but {NAMES[0]} is encoded only faintly." in repr(faint)
    run_with(tmp_path / "runs/a", faint)
    said = Page(text_of(tmp_path / "runs")).text["why"]
    assert "is encoded only faintly" in said
    assert "Nothing is wrong" not in said


@pytest.mark.parametrize("content", ["{", "{}", '{"shares": [[1]], "latents": [], "factors": []}'])
def test_a_damaged_diagnosis_is_named(tmp_path, content):
    run = run_with(tmp_path / "runs/a", None)
    (run / "metrics/mean/diagnosis.json").write_text(content)
    text = text_of(tmp_path / "runs")
    assert 'id="why"' not in text
    assert "diagnosis.json" in Page(text).text["failures"]


def test_more_diagnoses_than_fit_are_counted(tmp_path):
    for seed in range(MOST + 2):
        run_with(tmp_path / f"runs/{seed:02}", diagnosis(ring_noise_and_dead), seed)
    text = text_of(tmp_path / "runs")
    assert len(Page(text).tables["why"]) == MOST
    assert "the first 12 diagnoses are shown, and 2 more are not" in text


def test_names_of_factors_are_text(tmp_path):
    found = diagnosis(rotated_pair)
    found = type(found)({**found.record, "factors": ["<b>a</b>", "b", "c"]})
    run_with(tmp_path / "runs/a", found)
    text = text_of(tmp_path / "runs")
    assert "<b>a</b>" not in text
    assert "&lt;b&gt;a&lt;/b&gt;" in text


def test_a_metric_that_was_refused_is_a_failure(tmp_path):
    run = run_with(tmp_path / "runs/a", None)
    said = {"metric": "irs", "error": "every latent is constant"}
    write_json(run / "metrics/mean/irs.refused.json", said)
    failures = Page(text_of(tmp_path / "runs")).tables["failures"][0]
    assert "no score of irs: every latent is constant" in column(failures, -1)


def test_a_published_mean_of_0_is_a_number(tmp_path):
    run_with(tmp_path / "runs/a", None)
    columns = "dataset,model,hyperparameters,metric,mean,std,n_seeds,protocol,statement,source,"
    columns += "address,confidence,training_steps\n"
    line = "dsprites_full,SR-VAE,,mig.discrete_mig,0,,3,,,a paper,,own,1000\n"
    (tmp_path / "own.csv").write_text(columns + line)
    text = text_of(tmp_path / "runs", published=[tmp_path / "own.csv"])
    overview = text[text.index('id="overview"') : text.index('id="published"')]
    assert re.search(r'class="beside" title="a paper">published 0<', overview)


def test_intervals_are_said_to_be_uncorrected(tmp_path):
    for seed in range(5):
        run_with(tmp_path / f"runs/{seed}", None, seed)
    text = text_of(tmp_path / "runs")
    said = "about one in 20 looks decided by chance; with only 5 seeds about one in six, because"
    assert text.count(said) == 2
    few = Bootstrap(confidence=0.9, resamples=50)
    said = "about one in 10 looks decided by chance; more of them do with few seeds."
    assert text_of(tmp_path / "runs", bootstrap=few).count(said) == 2


def test_one_dot_is_no_figure(tmp_path):
    run_with(tmp_path / "runs/a", None)
    assert "every seed of every model" not in text_of(tmp_path / "runs")
    run_with(tmp_path / "runs/b", None, 1)
    assert "every seed of every model" in text_of(tmp_path / "runs")
