"""How many seeds a difference takes: against statsmodels, and against simulated studies."""

import math

import numpy as np
import pytest
from report_runs import SCORES, make_run, make_study
from scipy import stats

from srvae_plugin.cli.study import study_main
from srvae_plugin.report.comparison.pairs import Bootstrap
from srvae_plugin.report.comparison.power import (
    Spread,
    power_of,
    seeds_needed,
    spread_interval,
    visible_difference,
)
from srvae_plugin.report.write import write_report

# statsmodels warns of its own use of numpy and pandas.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
EFFECTS = (0.1, 0.25, 0.5, 0.8, 1.0, 1.7, 2.5)


def statsmodels(paired):
    power = pytest.importorskip("statsmodels.stats.power", exc_type=ImportError)
    return power.TTestPower() if paired else power.TTestIndPower()


def their_power(paired, effect, seeds, alpha=0.05):
    size = {"nobs": seeds} if paired else {"nobs1": seeds}
    return statsmodels(paired).power(effect, alpha=alpha, **size)


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("effect", EFFECTS)
def test_power_is_statsmodels(paired, effect):
    spread = Spread(0.2, 10, paired)
    for seeds in (2, 3, 5, 10, 30, 100):
        for alpha in (0.01, 0.05):
            found = power_of(0.2 * effect, spread, seeds, alpha)
            theirs = their_power(paired, effect, seeds, alpha)
            # The noncentral t distribution that they use gives up near 1.
            assert found == pytest.approx(theirs, abs=1e-7) or (np.isnan(theirs) and found > 0.99)
            assert power_of(-0.2 * effect, spread, seeds, alpha) == found


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize("power", [0.5, 0.8, 0.95])
def test_seeds_are_statsmodels(paired, effect, power):
    found = seeds_needed(0.03 * effect, Spread(0.03, 5, paired), power)
    key = "nobs" if paired else "nobs1"
    options = {key: None, "effect_size": effect, "alpha": 0.05, "power": power}
    if effect < 1.7:  # of few seeds statsmodels' own search does not find an end
        exact = float(np.squeeze(statsmodels(paired).solve_power(**options)))
        assert found == max(2, math.ceil(exact - 1e-6))
    assert their_power(paired, effect, found) >= power
    assert found == 2 or their_power(paired, effect, found - 1) < power


def test_the_visible_difference_is_seen_just_so_often():
    for paired in (True, False):
        spread = Spread(0.07, 6, paired)
        for seeds in (2, 3, 5, 50):
            seen = visible_difference(spread, seeds)
            assert power_of(seen, spread, seeds) == pytest.approx(0.8, abs=1e-6)
            assert seeds_needed(seen * 1.0001, spread) == seeds
    assert math.isnan(visible_difference(spread, 1))
    assert visible_difference(Spread(0.0, 5, True), 5) == 0


@pytest.mark.parametrize("paired", [True, False])
def test_simulated_studies_see_the_difference_as_often_as_promised(paired):
    generator = np.random.default_rng(1)
    difference, spread = 0.05, Spread(0.06, 10, paired)
    seeds = seeds_needed(difference, spread)
    studies = 4000
    if paired:
        # Seeds that are lucky for one model are for the other: only the differences count.
        luck = generator.normal(0.6, 0.3, (studies, seeds))
        first = luck + difference + generator.normal(0, 0.06, (studies, seeds))
        values = stats.ttest_rel(first, luck, axis=1).pvalue
    else:
        first, second = generator.normal(0.5, 0.06, (2, studies, seeds))
        values = stats.ttest_ind(first + difference, second, axis=1).pvalue
    seen = (values < 0.05).mean()
    assert seen == pytest.approx(power_of(difference, spread, seeds), abs=0.02)
    assert seen > 0.78


def test_the_spread_of_few_seeds_is_uncertain_as_the_textbook_says():
    # n = 5, s = 1: chi-square of 4 degrees of freedom, .4844 and 11.143.
    low, high = spread_interval(Spread(1.0, 5, True))
    assert (low, high) == pytest.approx((math.sqrt(4 / 11.1433), math.sqrt(4 / 0.48442)), rel=1e-4)
    generator = np.random.default_rng(0)
    drawn = generator.normal(0, 0.3, (2000, 6)).std(axis=1, ddof=1)
    held = [
        low <= 0.3 <= high for low, high in (spread_interval(Spread(s, 6, True)) for s in drawn)
    ]
    assert np.mean(held) == pytest.approx(0.95, abs=0.015)
    assert all(map(math.isnan, spread_interval(Spread(0.0, 1, True))))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: seeds_needed(0, Spread(1, 5, True)), "difference must not be 0"),
        (lambda: seeds_needed(math.nan, Spread(1, 5, True)), "difference must be a finite"),
        (lambda: seeds_needed(1, Spread(-1, 5, True)), "spread must be a finite number >= 0"),
        (lambda: seeds_needed(1, Spread(1, 5, True), power=80), "power must lie between"),
        (lambda: seeds_needed(1, Spread(1, 5, True), alpha=5), "alpha must lie between"),
        (lambda: seeds_needed(1e-9, Spread(1, 5, True)), "takes more than 1,000,000,000 seeds"),
        (lambda: power_of(1, Spread(1, 5, True), 1), "seeds must be at least 2"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_no_spread_needs_two_seeds():
    assert seeds_needed(0.1, Spread(0.0, 5, True)) == 2
    assert seeds_needed(1e6, Spread(1e-6, 5, True)) == 2


def printed(capsys, *arguments):
    study_main([str(argument) for argument in arguments])
    return capsys.readouterr().out


def test_equal_scores_are_no_spread_to_plan_from(tmp_path, capsys):
    for model in ("sr_vae", "vae"):
        for seed in range(3):
            make_run(tmp_path / f"study/{model}-{seed}", seed, {"mig": 0.25}, model)
    study_main(["--power", "0.05", "--metric", "mig", "--output", str(tmp_path / "study")])
    said = capsys.readouterr().out
    assert "models differ by the same in every seed: there is no spread to plan from" in said
    assert "takes" not in said
    write_report([tmp_path / "study"], tmp_path / "page.html", bootstrap=Bootstrap(resamples=20))
    assert 'id="seeds"' not in (tmp_path / "page.html").read_text()


def test_the_command_by_the_studys_own_spread(tmp_path, capsys):
    study = make_study(tmp_path / "study")
    said = printed(capsys, "--power", 0.05, "--metric", "factor_vae_score", "--output", study)
    values = np.array(list(SCORES.values()))
    pairs = [values[i] - values[j] for i, j in ((0, 1), (0, 2), (1, 2))]
    deviation = math.sqrt(np.mean([np.var(pair, ddof=1) for pair in pairs]))
    assert "FactorVAE score on dsprites_full: 3 models, 3 seeds each" in said
    assert f"standard deviation of the differences seed by seed: {deviation:.3g}" in said
    seeds = math.ceil(their_solution(0.05 / deviation))
    assert f"takes {seeds} seeds of each model (80 %, two-sided, paired)" in said
    seen = visible_difference(Spread(deviation, 3, True), 3)
    assert f"with 3 seeds it could have detected a difference of {seen:.3g}" in said


def their_solution(effect):
    power = statsmodels(paired=True).solve_power(
        nobs=None, effect_size=effect, alpha=0.05, power=0.8
    )
    return float(np.squeeze(power))


def test_the_command_by_published_spreads(tmp_path, capsys):
    said = printed(capsys, "--power", 0.05, "--metric", "factor_vae_score")
    assert "factor_vae on MPI3D-toy: 2 published spreads" in said
    # DisDiff .070 and EncDiff .049, 15 seeds each.
    deviation = math.sqrt((0.07**2 + 0.049**2) / 2)
    assert f"within a model: {deviation:.3g} " in said
    options = {"nobs1": None, "effect_size": 0.05 / deviation, "alpha": 0.05, "power": 0.8}
    seeds = math.ceil(float(np.squeeze(statsmodels(False).solve_power(**options))))
    assert f"takes {seeds} seeds of each model (80 %, two-sided, not paired)" in said
    # A study of single runs has none of its own.
    make_run(tmp_path / "a", 0, {"factor_vae_score": 0.5}, "vae")
    said = printed(capsys, "--power", 0.05, "--metric", "factor_vae_score", "--output", tmp_path)
    assert "on dsprites_full: 1 model, 1 seed each" in said
    assert "single runs have no spread of their own" in said
    assert "published standard deviation" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--power", "0.05"], "--power and --metric go together"),
        (["--power", "-1", "--metric", "mig"], "expected a difference above 0"),
        (["--power", "0.05", "--metric", "nix"], "no published score has a spread"),
        (["--power", "0.05", "--metric", "mig", "--output", "nowhere"], "nowhere is not a folder"),
        ([], "--gin is needed"),
    ],
)
def test_a_wrong_command_is_one_line(capsys, arguments, message):
    with pytest.raises(SystemExit) as stop:
        study_main(arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
