"""Scores of models that are not ours: a function, a table of codes; and of a finished run."""

import sys
from pathlib import Path

import numpy as np
import pytest

from srvae_plugin.cli.evaluate import evaluate_main
from srvae_plugin.data.dsprites import dsprites_full
from srvae_plugin.data.own.table import FactorTable
from srvae_plugin.metrics import compute_dci, compute_factor_vae, compute_mig
from srvae_plugin.runs.directory import StepDirectory
from srvae_plugin.runs.representation import CachedRepresentation, TabulatedCodes
from srvae_plugin.runs.scoring.tried import tried

SIZES = (3, 4, 5)
SMALL = ["mig.num_train = 400", "sap_score.num_train = 300", "sap_score.num_test = 100"]
SMALL += ["factor_vae_score.num_variance_estimate = 200", "factor_vae_score.num_train = 50"]
SMALL += ["factor_vae_score.num_eval = 30", "factor_vae_score.batch_size = 8"]
# What is not scored may not be bound.
METRICS = ["factor_vae_score", "mig", "sap_score"]


def evaluate(*arguments, bindings=(), metrics=METRICS):
    small = [b for b in SMALL if b.partition(".")[0] in metrics]
    flags = [
        flag for b in (*small, f"run.metrics = {metrics}", *bindings) for flag in ("--bind", b)
    ]
    try:
        evaluate_main([*map(str, arguments), *flags])
    except SystemExit as stop:
        return stop.code
    return 0


def grid():
    return np.stack(np.unravel_index(np.arange(60), SIZES), axis=1)


def scores_in(folder, metric):
    return StepDirectory(folder / metric, "evaluation").read()


def test_a_table_of_codes_is_scored(tmp_path, capsys):
    np.savez(tmp_path / "perfect.npz", codes=grid().astype(np.float32), factors=grid() * 10)
    output = tmp_path / "scores"
    assert evaluate("--codes", tmp_path / "perfect.npz", "--output", output) == 0
    assert scores_in(output, "factor_vae_score")["eval_accuracy"] == 1.0
    assert scores_in(output, "mig")["discrete_mig"] > 0.9
    assert "discrete_mig" in capsys.readouterr().out
    assert evaluate("--codes", tmp_path / "perfect.npz", "--output", output) == 2
    assert "--overwrite replaces them" in capsys.readouterr().err
    assert evaluate("--codes", tmp_path / "perfect.npz", "--output", output, "--resume") == 0


def test_a_table_gives_the_scores_of_the_grid_it_tabulates():
    """The same random stream: a table of dSprites' own factors scores as dSprites does."""
    data = dsprites_full()
    indices = np.arange(data.num_observations)
    codes = data.factors_at(indices) + np.random.RandomState(1).normal(size=(len(indices), 5))
    ours = compute_mig(data, TabulatedCodes(codes, data), np.random.RandomState(0), num_train=500)
    table = FactorTable(data.factors_at(indices))
    theirs = compute_mig(
        table, TabulatedCodes(codes, table), np.random.RandomState(0), num_train=500
    )
    assert ours == theirs


def test_a_table_with_holes_is_scored_by_its_rows(tmp_path, caplog):
    keep = np.random.RandomState(0).permutation(60)[:40]
    path = tmp_path / "holes.npz"
    np.savez(path, codes=grid()[keep].astype(float), factors=grid()[keep])
    assert evaluate("--codes", path, "--output", tmp_path / "a") == 0
    assert "200 points were asked for: using 40" in caplog.text
    fixed = scores_in(tmp_path / "a", "factor_vae_score")
    assert fixed["eval_accuracy"] == 1.0
    assert (fixed["num_variance_estimate"], fixed["num_variance_estimate_asked"]) == (40, 200)
    gap = scores_in(tmp_path / "a", "mig")
    assert (gap["num_train"], gap["num_train_asked"]) == (40, 400)


def test_rows_to_test_on_are_not_those_trained_on():
    """Codes of pure noise that tell every row apart must not predict its factors."""
    random_state = np.random.RandomState(0)
    table = FactorTable(random_state.randint(3, size=(300, 2)))
    codes = TabulatedCodes(random_state.normal(size=(300, 4)), table)
    scores = compute_dci(table, codes, np.random.RandomState(0), num_train=10000, num_test=5000)
    assert scores["informativeness_train"] > 0.9
    assert scores["informativeness_test"] < 0.6


def test_resume_refuses_results_of_other_codes_or_settings(tmp_path, capsys):
    for name in ("a", "b"):
        np.savez(tmp_path / f"{name}.npz", codes=grid() * 1.0 + (name == "b"), factors=grid())
    output = ["--output", tmp_path / "scores"]
    assert evaluate("--codes", tmp_path / "a.npz", *output) == 0
    assert evaluate("--codes", tmp_path / "a.npz", *output, "--resume") == 0
    assert evaluate("--codes", tmp_path / "b.npz", *output, "--resume") == 2
    other = ["mig.num_train = 300"]
    assert evaluate("--codes", tmp_path / "a.npz", *output, "--resume", bindings=other) == 2
    assert "another representation or configuration" in capsys.readouterr().err


def test_overwriting_leaves_no_score_of_what_was_there(tmp_path, capsys):
    constant = np.stack([grid()[:, 0], np.zeros(len(grid()))], axis=1)
    for name, codes in (("a", grid() * 1.0), ("b", constant[:, :1])):
        np.savez(tmp_path / f"{name}.npz", codes=codes, factors=grid())
    output = ["--output", tmp_path / "scores"]
    assert evaluate("--codes", tmp_path / "a.npz", *output) == 0
    assert evaluate("--codes", tmp_path / "b.npz", *output, "--overwrite") == 3  # a single latent
    assert "not scored: mig" in capsys.readouterr().err
    assert not (tmp_path / "scores" / "mig").exists()


def test_a_function_of_the_users_may_fail_in_any_way(tmp_path, monkeypatch, capsys):
    (tmp_path / "fails.py").write_text("def encode(observations):\n    return {}['key']\n")
    (tmp_path / "half_written.py").write_text("def encode(:\n")
    monkeypatch.chdir(tmp_path)
    dataset = ["dataset.name = 'dsprites_full'"]
    assert evaluate("--function", "fails:encode", bindings=dataset) == 2
    assert "cannot encode 64 observations" in (line := capsys.readouterr().err.splitlines()[-1])
    assert "KeyError: 'key'" in line
    assert evaluate("--function", "half_written:encode", bindings=dataset) == 2
    assert "cannot be loaded: SyntaxError" in capsys.readouterr().err


def test_resume_refuses_results_of_a_function_that_was_edited(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    dataset = ["dataset.name = 'dsprites_full'"]
    for factor, status in ((1, 0), (2, 2)):
        Path("edited.py").write_text(
            f"def encode(observations):\n    return {factor} * observations[:, ::32, 32, 0]\n"
        )
        monkeypatch.delitem(sys.modules, "edited", raising=False)
        assert evaluate("--function", "edited:encode", "--resume", bindings=dataset) == status
    assert "another representation" in capsys.readouterr().err


def test_a_function_may_not_change_its_width_or_lose_digits():
    data = dsprites_full()
    widths = iter((3, 1))
    cached = CachedRepresentation(lambda x: np.ones((len(x), next(widths))), data, batch_size=4)
    with pytest.raises(ValueError, match="1 latents after 3"):
        cached.codes_at(np.arange(8))
    kinds = iter((np.int64, np.float64))
    cached = CachedRepresentation(lambda x: np.full((len(x), 1), 1.5).astype(next(kinds)), data, 4)
    assert cached.codes_at(np.arange(8))[4:].tolist() == [[1.5]] * 4


@pytest.mark.parametrize(
    ("metrics", "part"), [([], "nothing to score"), ("mig", "expected a list")]
)
def test_metrics_must_be_a_list_with_something_in_it(tmp_path, capsys, metrics, part):
    np.savez(tmp_path / "c.npz", codes=grid() * 1.0, factors=grid())
    metrics = repr(metrics)
    assert evaluate("--codes", tmp_path / "c.npz", metrics=metrics) == 2
    assert part in capsys.readouterr().err


def test_a_function_is_imported_and_called_once_an_observation(tmp_path, monkeypatch, capsys):
    (tmp_path / "their_model.py").write_text(
        "import numpy as np\n"
        "def encode(observations):\n"
        "    y, x = np.mgrid[:64, :64] / 64\n"
        "    area = observations.sum((1, 2, 3))\n"
        "    where = [(observations[..., 0] * axis).sum((1, 2)) / area for axis in (x, y)]\n"
        "    return np.stack([area / 500, *where], axis=1).astype(np.float32)\n"
        "number = 3\n"
    )
    monkeypatch.chdir(tmp_path)
    dataset = ["dataset.name = 'dsprites_full'"]
    assert evaluate("--function", "their_model:encode", bindings=dataset) == 0
    scores = scores_in(tmp_path / "scores" / "their_model.encode", "mig")
    assert scores["discrete_mig"] > 0.1  # position is read off exactly
    for name, part in {
        "their_model:decode": "has no attribute 'decode'",
        "no_model:encode": "No module named",
        "their_model": "module:function",
        "their_model:number": "expected a function",
    }.items():
        assert evaluate("--function", name, bindings=dataset) == 2
        assert part in capsys.readouterr().err


def test_codes_without_factors_are_those_of_the_data_set(tmp_path, capsys):
    data = dsprites_full()
    np.savez(tmp_path / "c.npz", codes=data.factors_at(np.arange(737280)).astype(np.float32))
    dataset = ["dataset.name = 'dsprites_full'"]
    output = tmp_path / "scores"
    assert evaluate("--codes", tmp_path / "c.npz", "--output", output, bindings=dataset) == 0
    assert scores_in(output, "factor_vae_score")["eval_accuracy"] == 1.0
    assert evaluate("--codes", tmp_path / "c.npz", "--output", tmp_path / "x") == 3
    assert "dataset.name" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arrays", "part"),
    [
        ({"factors": grid()}, "no array 'codes'"),
        ({"codes": grid()[:5], "factors": grid()}, "(60, latent)"),
        ({"codes": grid() * 1.0, "factors": grid()[:, 0, None, None]}, "(observation, factor)"),
        ({"codes": grid() * np.nan, "factors": grid()}, "NaN"),
        ({"codes": grid() * 1.0, "factors": grid() * np.nan}, "NaN"),
        (
            {"codes": np.array([[None]]), "factors": grid()},
            "'codes' holds Python objects, which are never unpickled",
        ),
    ],
)
def test_tables_that_cannot_be_scored_are_one_line(tmp_path, capsys, arrays, part):
    np.savez(tmp_path / "bad.npz", **arrays)
    assert evaluate("--codes", tmp_path / "bad.npz", "--output", tmp_path / "o") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert part in line


def test_missing_and_damaged_files(tmp_path, capsys):
    assert evaluate("--codes", tmp_path / "none.npz") == 2
    assert "not found" in capsys.readouterr().err
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 cut")
    assert evaluate("--codes", tmp_path / "bad.npz") == 2
    assert "damaged" in capsys.readouterr().err
    assert evaluate(tmp_path) == 2
    assert "not a run directory" in capsys.readouterr().err


def test_repeated_rows_are_drawn_from():
    factors = np.repeat(grid(), 3, axis=0)
    table = FactorTable(factors)
    assert table.is_grid
    drawn = table.observation_indices(np.tile(grid()[7], (200, 1)), np.random.RandomState(0))
    assert set(drawn) == {21, 22, 23}
    codes = TabulatedCodes(factors.astype(np.float32), table)
    scores = compute_factor_vae(
        table, codes, np.random.RandomState(0), num_train=50, num_eval=20, num_variance_estimate=100
    )
    assert scores["eval_accuracy"] == 1.0


def test_the_cache_and_the_plain_function_agree_on_any_data(tmp_path):
    """A table asked through observations gives what it gives through indices."""
    table = FactorTable(grid())
    codes = TabulatedCodes(grid() @ np.random.RandomState(3).normal(size=(3, 3)), table)
    settings = {"num_train": 200}
    by_index = compute_mig(table, codes, np.random.RandomState(0), **settings)
    by_image = compute_mig(table, lambda x: codes(x), np.random.RandomState(0), **settings)
    assert by_index == by_image


def test_codes_of_a_cached_function_are_reused(tmp_path):
    data = dsprites_full()
    cached = CachedRepresentation(lambda x: x[:, 30:32, 30, 0], data)
    for seed in range(2):
        compute_mig(data, cached, np.random.RandomState(seed), num_train=50)
    assert cached.num_encoded <= 100


def test_the_originals_metric_files_name_their_metric(tmp_path, capsys):
    """As in disentanglement_lib's config folders: an evaluation function, no run.metrics."""
    (tmp_path / "mig.gin").write_text(
        "evaluation.evaluation_fn = @mig\n"
        "dataset.name='auto'\n"
        "evaluation.random_seed = 0\n"
        "mig.num_train=300\n"
        "discretizer.discretizer_fn = @histogram_discretizer\n"
        "discretizer.num_bins = 20\n"
    )
    np.savez(tmp_path / "c.npz", codes=grid() * 1.0, factors=grid())
    arguments = ["--codes", tmp_path / "c.npz", "--gin", tmp_path / "mig.gin"]
    evaluate_main([*map(str, arguments), "--output", str(tmp_path / "scores")])
    assert [path.name for path in (tmp_path / "scores").iterdir()] == ["mig"]
    assert "discrete_mig" in capsys.readouterr().out


def noisy(folder):
    (folder / "noisy.py").write_text(
        "import random, numpy as np, torch\n"
        "def encode(observations):\n"
        "    z = observations.reshape(len(observations), -1)[:, 2000:2003].astype(float)\n"
        "    z[:, 0] += np.random.randn(len(z))\n"
        "    z[:, 1] += torch.randn(len(z)).numpy()\n"
        "    z[:, 2] += [random.random() for _ in z]\n"
        "    return z\n"
    )


def test_a_function_that_draws_is_named_and_the_same_command_repeats(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    noisy(tmp_path)
    dataset = ["dataset.name = 'dsprites_full'"]
    found = []
    for output, seed in (("a", 0), ("b", 0), ("c", 1)):
        np.random.seed(len(found))
        before = np.random.get_state()[1].tolist()
        bindings = [*dataset, f"evaluation.random_seed = {seed}"]
        with caplog.at_level("WARNING", logger="srvae_plugin"):
            assert (
                evaluate("--function", "noisy:encode", "--output", output, bindings=bindings) == 0
            )
        assert np.random.get_state()[1].tolist() == before  # a notebook's own draws go on
        found.append({m: scores_in(Path(output), m) for m in METRICS})
    assert caplog.text.count("is not deterministic") == 3
    plain = [{m: {k: v for k, v in s.items() if k not in ("uuid", "elapsed_time")}
              for m, s in each.items()} for each in found]  # fmt: skip
    assert plain[0] == plain[1] != plain[2]


def test_transposed_tables_say_so(tmp_path, capsys):
    np.savez(tmp_path / "t.npz", codes=grid() * 1.0, factors=grid().T)
    assert evaluate("--codes", tmp_path / "t.npz") == 2
    assert "factors.T" in capsys.readouterr().err


def test_what_nothing_reads_is_refused(tmp_path, capsys):
    np.savez(tmp_path / "c.npz", codes=grid() * 1.0, factors=grid())
    for binding, part in {
        "sr_vae.beta = 2.0": "'sr_vae.beta = 2.0' has no effect",
        "dci.num_train = 10": "has no 'dci'",
        "model.batch_size = 3": "has no effect",
    }.items():
        assert evaluate("--codes", tmp_path / "c.npz", bindings=[binding], metrics=["mig"]) == 2
        assert part in capsys.readouterr().err
    assert not (tmp_path / "scores").exists()


def test_of_a_metric_list_and_a_metric_function_the_later_counts(tmp_path, capsys):
    np.savez(tmp_path / "c.npz", codes=grid() * 1.0, factors=grid())
    command = ["--codes", str(tmp_path / "c.npz"), "--output", str(tmp_path / "scores")]
    evaluate_main([*command, "--bind", "evaluation.evaluation_fn = @irs"])
    assert [path.name for path in (tmp_path / "scores").iterdir()] == ["irs"]


def test_a_data_set_beside_a_tables_own_factors_is_refused_or_said(tmp_path, capsys, caplog):
    path = tmp_path / "t.npz"
    np.savez(path, codes=grid() * 1.0, factors=grid())
    output = ["--codes", path, "--output", tmp_path / "s"]
    for binding in ("dataset.name = 'dsprites_full'", "dataset.path = 'x.npz'"):
        assert evaluate(*output, bindings=[binding], metrics=["mig"]) == 2
        line = capsys.readouterr().err.splitlines()[-1]
        assert binding in line
        assert "leave the array 'factors' out" in line
    mine = tmp_path / "mine.gin"
    mine.write_text("dataset.name = 'dsprites_full'\n")
    assert (
        evaluate(*output, "--gin", mine, bindings=["dataset.factor_bins = 3"], metrics=["mig"]) == 0
    )
    (said,) = [r.message for r in caplog.records if "will be ignored" in r.message]
    assert f"dataset.name of {mine}" in said


@pytest.mark.parametrize("repeats", [True, False])
def test_draws_of_a_generator_of_ones_own_do_not_repeat_and_that_is_said(caplog, repeats):
    random_state = np.random if repeats else np.random.RandomState(3)

    def encode(observations):
        return random_state.rand(len(observations), 2)

    tried(encode, dsprites_full())
    assert "is not deterministic" in caplog.text
    assert ("repeated by the same seed" in caplog.text) == repeats
    assert ("do not repeat" in caplog.text) != repeats
