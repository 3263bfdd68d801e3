"""What a page shows of few seeds, of many models, of one run: no more than there is."""

import re

import numpy as np
import pytest
from report_runs import add_importance, add_pictures, make_run
from test_report import QUICK, Page, report

from srvae_plugin.report.models import Model
from srvae_plugin.report.parts.curves import Curve, curve_chart, line_key
from srvae_plugin.report.parts.svg import COLORS
from srvae_plugin.report.words import number


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.12345, "0.123"), (-0.5, "\N{MINUS SIGN}0.500"), (9.9994, "9.999"), (77.889, "77.89"),
     (99.822, "99.82"), (104.94, "104.9"), (15733.4, "15,733"), (np.inf, "infinite"),
     (np.nan, "–")],
)  # fmt: skip
def test_numbers_have_four_digits_or_three_decimals(value, shown):
    assert number(value) == shown


def test_counts_have_no_decimals():
    assert [number(count, 0) for count in (5, 50, 150, 1500)] == ["5", "50", "150", "1,500"]


@pytest.fixture(scope="module")
def two_seeds(tmp_path_factory):
    """SR-VAE and VAE, two seeds each, one of which is a rotten one."""
    folder = tmp_path_factory.mktemp("two") / "runs"
    for model, values in {"sr_vae": (0.5, 0.3), "vae": (0.1, 0.9)}.items():
        for seed, value in enumerate(values):
            run = make_run(folder / f"{model}-{seed}", seed, {"mig": value}, model)
            add_pictures(run)
            add_importance(run, [[1.0, 0.2], [0.1, 0.5]])
    text, _ = report(folder.parent, folder)
    return text, Page(text)


def test_two_seeds_have_a_mean_and_no_median(two_seeds):
    text, page = two_seeds
    row = page.rows("scores")[0]
    assert list(row) == [
        "model",
        "seeds",
        "failed",
        "mean",
        "mean of best k",
        "mean of worst k",
        "k",
    ]
    assert [float(row[name]["v"]) for name in list(row)[3:6]] == pytest.approx([0.4, 0.5, 0.3])
    legend = text[text.index('class="legend"') :].partition("</div>")[0]
    assert re.findall(r"</svg>([^<]+)", legend)[:2] == ["one seed", "mean"]
    assert "interquartile" not in legend
    assert 'class="median"' not in text[text.index('id="scores"') :].partition("</section>")[0]


def test_two_seeds_decide_nothing_and_their_spread_is_a_guess(two_seeds):
    said = two_seeds[1].text["overview"]
    assert "dsprites_full: mean over seeds; a dot is a seed, a vertical line is the mean." in said
    assert "Bold" not in said
    assert "because an interval needs at least 5 seeds: VAE against SR-VAE in MIG" in said
    assert "beyond chance" not in said  # nothing was tested
    assert "a rough guess, because so few seeds leave the spread uncertain." in said


def test_a_difference_larger_than_the_scale_is_none_that_could_be_seen(two_seeds):
    (row,) = [r for r in two_seeds[1].rows("seeds") if r["score"]["text"] == "MIG"]
    assert row["could have detected"]["text"] == "nothing"
    assert float(row["could have detected"]["v"]) > 1
    assert row["differences"]["text"] == "0.02, 0.05, 0.1"


def test_of_two_runs_one_is_worse_and_none_the_median(two_seeds):
    text, page = two_seeds
    assert "runs/sr_vae-1 (worse by MIG, 0.300)" in page.text["traversals"]
    assert "median run of each model" not in text


def test_one_data_set_is_not_named_in_every_row(two_seeds, tmp_path):
    _, page = two_seeds
    assert "data set" not in page.rows("runs")[0] | page.rows("differences")[0]
    for data_set in ("dsprites_full", "shapes3d"):
        config = {"dataset.name": f"'{data_set}'"}
        for model in ("vae", "sr_vae"):
            make_run(tmp_path / f"r/{data_set}-{model}", 0, {"mig": 0.2}, model, config)
    text, _ = report(tmp_path, tmp_path / "r")
    several = Page(text)
    assert {r["data set"]["text"] for r in several.rows("runs")} == {"dsprites_full", "shapes3d"}
    assert "data set" in several.rows("differences")[0]
    # Single seeds: the overview has all that there is to say in numbers.
    assert "scores" not in several.tables
    assert "the probability" not in several.text["differences"]


def test_footnotes_stand_in_the_order_of_the_alphabet(two_seeds):
    of_cells = re.findall(r"<sup>([a-z ]+)</sup>(?:</span>| <a)", two_seeds[0])
    assert of_cells
    for letters in of_cells:
        assert letters.split() == sorted(letters.split())


def test_the_page_of_one_run_says_what_it_is(tmp_path):
    run = make_run(tmp_path / "seed-0", 0, {"mig": 0.2}, "vae")
    text, _ = report(tmp_path, run)
    assert "<title>seed-0: VAE on dsprites_full</title>" in text
    assert "dsprites_full: one seed." in Page(text).text["overview"]


def test_of_many_figures_the_others_can_be_opened(tmp_path):
    for beta in range(1, 15):
        run = make_run(tmp_path / f"runs/{beta}", 0, {"mig": beta / 20}, "vae",
                       {"vae.beta": f"{beta}.0"})  # fmt: skip
        add_pictures(run)
    text, _ = report(tmp_path, tmp_path / "runs", bootstrap=QUICK)
    page = Page(text)  # which checks that all that is opened is closed
    section = text[text.index('id="traversals"') :].partition("</section>")[0]
    before, _, after = section.partition('<details class="more"><summary>2 more</summary>')
    assert before.count('class="traversal"') == 12
    assert after.count('class="traversal"') == 2
    assert "<details" not in text[text.index('id="overview"') :].partition('class="verdict"')[0]
    assert len(page.rows("overview")) == 14


def test_no_two_models_have_the_same_line():
    keys = [line_key(number) for number in range(3 * len(COLORS))]
    assert len(set(keys)) == len(keys)
    models = [Model(f"m{number}", "", {}, number=number) for number in (0, len(COLORS))]
    curves = [Curve(m, m.label, np.arange(3.0), np.arange(3.0)) for m in models]
    lines = re.findall(r"<polyline[^>]*>", curve_chart(curves, "t"))
    assert ["stroke-dasharray" in line for line in lines] == [False, True]


def ticks(svg):
    found = re.findall(r'text-anchor="end">([\d.]+)</text>', svg)
    return [float(text) for text in found]


def test_a_chart_is_of_the_steps_after_the_first_and_of_all_but_stray_runs():
    model = Model("m", "", {})
    values = np.r_[np.full(3, 900.0), np.linspace(60, 40, 97)]
    steps = np.arange(100.0)
    assert max(ticks(curve_chart([Curve(model, "a", steps, values)], "t"))) <= 100
    # A rising curve is shown to its end.
    svg = curve_chart([Curve(model, "a", steps, np.linspace(0, 50, 100))], "t")
    heights = [float(pair.split(",")[1]) for pair in re.search(r'points="([^"]+)', svg)[1].split()]
    assert heights == sorted(heights, reverse=True)
    assert len(set(heights[-5:])) == 5
    stray = values.copy()
    stray[-1] = 1e6
    assert max(ticks(curve_chart([Curve(model, "a", steps, stray)], "t"))) <= 100


def test_a_line_leaves_its_chart_and_does_not_run_along_the_edge():
    values = np.r_[1e300, 120.0, 90.0, np.linspace(60, 40, 97)]
    svg = curve_chart([Curve(Model("m", "", {}), "a", np.arange(100.0), values)], "t")
    top = float(re.search(r'<svg x="[^"]+" y="([^"]+)"', svg)[1])
    points = re.search(r'points="([^"]+)', svg)[1].split()
    heights = [float(pair.split(",")[1]) for pair in points]
    assert heights[0] < heights[1] < heights[2] < top
    assert all(height > top for height in heights[5:])
    assert len(svg) < 10_000


def test_a_metric_that_does_not_say_which_way_is_better_is_shown_so(tmp_path):
    for model, value in (("vae", 0.2), ("sr_vae", 0.4)):
        make_run(tmp_path / f"r/{model}", 0, {"my_error": value, "mig": value}, model)
    text, _ = report(tmp_path, tmp_path / "r")
    ways = re.findall(r'<span class="way">([^<]+)', text)
    assert ways == ["higher is better", "higher is assumed to be better", "lower is better"]
    assert "Higher is assumed to be better: the metric does not say." in text
