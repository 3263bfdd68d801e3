"""The package from Python, without gin: train, look at, score, save, load and compare."""

import json
import subprocess
import sys

import numpy as np
import pandas
import pytest
import torch
from matplotlib.figure import Figure
from torch import nn
from torch.utils.data import DataLoader

import srvae_plugin as sv
from srvae_plugin.cli.evaluate import evaluate_main
from srvae_plugin.cli.report import report_main
from srvae_plugin.report.data import read_runs
from srvae_plugin.report.models import group_by_model
from srvae_plugin.runs.scoring.scores import Scores
from srvae_plugin.testing.complete_run import Bars
from srvae_plugin.training.plain import prepared

FEW = {"factor_vae_score": {"num_variance_estimate": 50, "num_train": 40, "num_eval": 20}}
QUICK = {"steps": 3, "batch_size": 4, "eval_steps": 1, "log_every": 1, "learning_rate": 1e-3}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    data = sv.load_dataset("dsprites_full")
    folder = tmp_path_factory.mktemp("runs") / "a"
    return sv.train(sv.SRVAE(num_latent=2, beta=1.0), data, folder, **QUICK)


def test_a_trained_run_shows_what_it_learned(run):
    data = sv.load_dataset("dsprites_full")
    images = data.sample_observations(5, np.random.RandomState(0))
    assert run.codes(images).shape == (5, 2)
    x = torch.from_numpy(images).permute(0, 3, 1, 2)
    shown, moved = run.reconstruct(images), run.traverse(images[0])
    with torch.no_grad():
        np.testing.assert_allclose(shown[..., 0], run.model.reconstruct(x)[:, 0], atol=1e-6)
        for latent in range(2):
            expected = run.model.traverse(x[:1], latent, torch.linspace(-3, 3, 11))
            np.testing.assert_allclose(moved[latent, ..., 0], expected[:, 0], atol=1e-6)
    assert run.history.index.tolist() == [0, 1, 2]
    for draw in (sv.plot_traversals, sv.plot_reconstructions, sv.plot_decomposition):
        assert isinstance(draw(run, images), Figure)
    assert isinstance(run.plot_history(), Figure)


def test_ten_lines_do_it_all(run):
    """What the package's docstring promises, line by line, on the run of the fixture."""
    data = sv.load_dataset("dsprites_full")
    assert len(data) == 737_280
    assert data.factor_names == ["shape", "scale", "orientation", "position x", "position y"]
    assert repr(data).startswith("<DSprites: 737,280 observations of 64 x 64 x 1; factors: shape")
    image, factors = data[0]
    assert (image.shape, factors.tolist()) == ((1, 64, 64), [0] * 5)
    few = {"mig": {"num_train": 100}, "dci": {"num_train": 60, "num_test": 30}}
    scores = sv.score(run, data, few, seed=0)
    assert scores == sv.score(run.model, data, few, random_state=0)
    images, factors = data[::7400]
    of_codes = sv.score_codes(run.codes(images), factors, ["mig"])
    of_core = sv.metrics.mig(run.codes(images), factors, seed=0)
    assert of_codes["mig"]["discrete_mig"] == of_core["discrete_mig"]
    assert [each.metric for each in scores.headline()] == ["mig", "dci", "dci", "dci"]
    assert set(scores.to_frame()["metric"]) == {"mig", "dci"}
    assert sv.load_run(run.path).history.equals(run.history)
    assert len(sv.load_runs(run.path.parent).to_frame()) == 1


def test_tensors_and_arrays_give_the_same_codes(run):
    data = sv.load_dataset("dsprites_full")
    images, _ = data[:5]
    array = images.permute(0, 2, 3, 1).numpy()
    assert np.array_equal(run.codes(images), run.codes(array))
    assert np.array_equal(run.codes(DataLoader(data, 5).dataset[:5][0]), run.codes(array))


def test_a_loaded_run_is_the_trained_one(run):
    images, _ = sv.load_dataset("dsprites_full")[[0, 70_000, 700_000]]
    loaded = sv.load_run(run.path)
    assert np.array_equal(loaded.codes(images), run.codes(images))
    assert "sr_vae" in loaded.config
    frame = sv.load_runs(run.path.parent).to_frame()
    assert frame["path"].tolist() == [str(run.path)]
    assert frame["sr_vae.beta"].tolist() == ["1.0"]


def test_every_command_reads_it_and_scores_as_python_does(run, tmp_path):
    binds = [f"factor_vae_score.{k} = {v}" for k, v in FEW["factor_vae_score"].items()]
    arguments = [str(run.path), "--bind", "run.metrics = ['factor_vae_score']"]
    evaluate_main([*arguments, *(x for b in binds for x in ("--bind", b)), "--overwrite"])
    data = sv.load_dataset("dsprites_full")
    scores = sv.score(run, data, FEW, seed=0)
    kept = run.scores()["factor_vae_score"]
    assert {k: v for k, v in kept.items() if k in scores["factor_vae_score"]} == scores[
        "factor_vae_score"
    ]
    report_main([str(run.path), "--output", str(tmp_path / "page.html")])
    assert "SR-VAE" in (tmp_path / "page.html").read_text()


def test_a_plain_torch_loop_is_scored_in_two_lines():
    data = Bars((1, 8, 8))
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    optimizer = torch.optim.Adam(encoder.parameters())
    for images, factors in DataLoader(data, batch_size=8, shuffle=True):
        loss = ((encoder(images) - factors) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    scores = sv.score(encoder, (data[:][0], data[:][1]), ["mig"])
    by_codes = sv.score_codes(encoder(data[:][0]).detach(), data[:][1], ["mig"])
    assert 0 < scores["mig"]["discrete_mig"] <= 1
    assert scores == by_codes


LOOP = """
import numpy as np
import torch
from torch import nn

torch.manual_seed(0)
arrays = np.load("bars.npz")
x = torch.from_numpy(arrays["images"]).permute(0, 3, 1, 2)
encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 3))
decoder = nn.Sequential(nn.Linear(3, 64), nn.Unflatten(1, (1, 8, 8)))
optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()])
for _ in range(5):
    loss = ((decoder(encoder(x)) - x) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def encode(observations):
    with torch.inference_mode():
        return encoder(torch.from_numpy(observations).permute(0, 3, 1, 2)).numpy()
"""


def test_a_plain_torch_loop_scores_the_same_through_the_command(tmp_path, monkeypatch):
    bars = Bars((1, 8, 8))
    rows = np.arange(len(bars))
    arrays = {"images": bars.observations_at(rows), "factors": bars.factors_at(rows)}
    np.savez(tmp_path / "bars.npz", **arrays)
    (tmp_path / "my_loop.py").write_text(LOOP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    few = {"mig": {"num_train": 40}, "sap_score": {"num_train": 30, "num_test": 15}}
    bind = [f"{metric}.{key} = {value}" for metric in few for key, value in few[metric].items()]
    bind += [
        "dataset.name = 'npz'",
        "dataset.path = 'bars.npz'",
        "run.metrics = ['mig', 'sap_score']",
    ]
    command = ["--function", "my_loop:encode", "--output", "out"]
    evaluate_main([*command, *(word for each in bind for word in ("--bind", each))])
    from my_loop import encoder

    scores = sv.score(encoder, (arrays["images"], arrays["factors"]), few)
    of_npz = sv.score(encoder, sv.load_dataset("npz", path="bars.npz"), few)
    for metric in few:
        kept = json.loads(
            (tmp_path / f"out/{metric}/results/json/evaluation_results.json").read_text()
        )
        found = {key: kept[key] for key in scores[metric]}
        assert found == scores[metric] == of_npz[metric]


def test_codes_as_arrays_frames_and_tensors_score_alike():
    generator = np.random.default_rng(0)
    factors = generator.integers(0, 4, size=(300, 3))
    codes = factors @ generator.normal(size=(3, 4)) + 0.1 * generator.normal(size=(300, 4))
    metrics = ["mig", "dci", "sap_score", "modularity_explicitness"]
    expected = sv.score_codes(codes, factors, metrics, seed=3)
    frames = pandas.DataFrame(codes), pandas.DataFrame(factors, columns=["a", "b", "c"])
    assert sv.score_codes(*frames, metrics, seed=3) == expected
    tensors = torch.from_numpy(codes), torch.from_numpy(factors)
    assert sv.score_codes(*tensors, metrics, random_state=np.random.RandomState(3)) != {}
    assert sv.score_codes(*tensors, metrics, random_state=3) == expected
    frame = expected.to_frame()
    assert set(frame["metric"]) == set(metrics)
    assert [score.metric for score in expected.headline()][:2] == ["mig", "dci"]
    assert r"\toprule" in expected.to_latex()
    assert "<table>" in expected._repr_html_()


def test_each_core_is_a_function_of_arrays():
    factors = np.argwhere(np.ones((4, 5)))
    assert sv.metrics.mig(factors, factors)["discrete_mig"] == 1
    assert sv.metrics.dci(factors, factors, seed=0)["disentanglement"] > 0.9


@pytest.mark.parametrize("data", ["array", "tensor", "dataset", "loader"])
def test_train_takes_what_people_have(tmp_path, data):
    images = np.random.default_rng(0).random((12, 28, 28, 3), dtype=np.float32)
    tensor = torch.from_numpy(images).permute(0, 3, 1, 2)
    given = {
        "array": images,
        "tensor": tensor,
        "dataset": torch.utils.data.TensorDataset(tensor),
        "loader": DataLoader(torch.utils.data.TensorDataset(tensor), batch_size=4),
    }[data]
    run = sv.train(sv.VAE(beta=1.0, num_latent=2), given, tmp_path / "run", **QUICK)
    assert run.codes(images).shape == (12, 2)
    assert np.array_equal(sv.load_run(run.path).codes(tensor), run.codes(images))


def test_a_finished_run_goes_on(tmp_path):
    images = np.random.default_rng(0).random((12, 28, 28), dtype=np.float32)

    def go(name, steps, **how):
        model = sv.VAE(beta=1.0, num_latent=2)
        return sv.train(model, images, tmp_path / name, **{**QUICK, "steps": steps}, **how)

    short = go("a", 2)
    (short.path / "metrics/mean/mig").mkdir(parents=True)  # scores of weights that change
    with pytest.raises(ValueError, match="resume=True continues it"):
        go("a", 4)
    longer, whole = go("a", 4, resume=True), go("b", 4)
    assert np.array_equal(longer.codes(images), whole.codes(images))
    assert longer.history.equals(whole.history)
    assert not (longer.path / "metrics").exists()


def warmed_up(parameters, lr=1e-3):
    return torch.optim.SGD(parameters, lr=lr)


def test_a_run_says_its_optimizer(tmp_path):
    images = np.random.default_rng(0).random((12, 8, 8), dtype=np.float32)

    def lines(name, **how):
        model, quick = sv.VAE(beta=1.0, num_latent=2), {**QUICK, "learning_rate": None}
        run = sv.train(model, images, tmp_path / name, **{**quick, **how})
        assert np.array_equal(sv.load_run(run.path).codes(images), run.codes(images))
        return [line for line in run.config.splitlines() if "optimizer" in line or "rate" in line]

    assert lines("usual") == []
    assert lines("name", optimizer="SGD", learning_rate=0.1) == [
        "vae_optimizer.optimizer_fn = @SGD",
        "vae_optimizer.learning_rate = 0.1",
    ]
    assert lines("class", optimizer=torch.optim.AdamW) == ["vae_optimizer.optimizer_fn = @AdamW"]
    own = lines("own", optimizer=warmed_up, learning_rate=lambda global_step: 1e-3)
    assert [line.partition(" = ")[0] for line in own] == ["optimizer", "learning_rate"]
    assert "warmed_up" in own[0]
    assert len(group_by_model(read_runs([tmp_path]).runs)) == 4


def test_one_cannot_resume_and_overwrite(tmp_path):
    images = np.zeros((8, 8, 8), np.float32)
    with pytest.raises(ValueError, match="resume and overwrite are both set"):
        sv.train(
            sv.VAE(beta=1.0, num_latent=2), images, tmp_path / "a", steps=1, resume=True,
            overwrite=True,
        )  # fmt: skip


def test_seeds_of_numpy_serve_for_noise():
    model = sv.VAE(beta=1.0, num_latent=2)
    model.build((1, 8, 8))
    image = np.zeros((1, 8, 8, 1), np.float32)
    codes = [sv.representation_function(model, "sampled", seed=s)(image) for s in (3, np.int64(3))]
    assert np.array_equal(*codes)
    with pytest.raises(ValueError, match="-1: expected 0"):
        sv.representation_function(model, "sampled", seed=-1)


def test_networks_that_are_objects_are_loaded_with_their_model(tmp_path):
    images = np.random.default_rng(0).random((12, 8, 8), dtype=np.float32)

    def model():
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
        decoder = nn.Sequential(nn.Linear(2, 64), nn.Unflatten(1, (1, 8, 8)))
        return sv.VAE(beta=1.0, num_latent=2, encoder=encoder, decoder=decoder)

    run = sv.train(model(), images, tmp_path / "run", **QUICK)
    loaded = sv.load_run(run.path, model=model())
    assert np.array_equal(loaded.codes(images), run.codes(images))
    with pytest.raises(ValueError, match="model"):
        sv.load_run(run.path).codes(images)


def test_errors_are_one_line(run, tmp_path):
    for wrong in (
        lambda: sv.score_codes(np.zeros((3, 2)), np.zeros((4, 1), int), ["mig"]),
        lambda: sv.score_codes(np.zeros((20, 2)), np.zeros((20, 1), int), ["migg"]),
        lambda: sv.load_run(tmp_path),
        lambda: sv.load_runs(tmp_path),
        lambda: sv.score(3, Bars((1, 8, 8))),
        lambda: sv.train(sv.VAE(1.0, num_latent=2), 3, tmp_path / "x", steps=1),
    ):
        with pytest.raises(ValueError, match=" ") as caught:
            wrong()
        assert "\n" not in str(caught.value)


def test_the_names_are_shown_and_codes_need_no_torch():
    assert set(sv.__all__) == set(dir(sv))
    assert all(getattr(sv, name).__doc__ for name in sv.__all__ if name != "__version__")
    without = {
        "metrics",
        "__version__",
        *(f"{s}_with_gin" for s in ("train", "postprocess", "evaluate", "validate")),
    }
    assert all(">>> " in getattr(sv, name).__doc__ for name in set(sv.__all__) - without)
    code = "import sys, srvae_plugin as sv; sv.load_dataset; sv.metrics.mig; "
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_scores_that_are_kept_are_those_of_the_command(run, tmp_path, capsys):
    mig = {"mig": {"num_train": 200}}
    expected = sv.score(run, sv.load_dataset("dsprites_full"), mig)
    kept = run.evaluate(mig, overwrite=True)
    assert kept == expected
    assert run.evaluate(mig, sv.load_dataset("dsprites_full")) == kept  # not computed again
    assert run.scores()["mig"] == kept["mig"]
    command = ["--bind", "run.metrics = ['mig']", "--bind", "mig.num_train = 200"]
    evaluate_main([str(run.path), *command, "--overwrite"])
    assert run.scores()["mig"] == kept["mig"]
    with pytest.raises(ValueError, match=r"= 100 \(was 200\)\): overwrite=True scores"):
        run.evaluate({"mig": {"num_train": 100}})
    fewer = run.evaluate({"mig": {"num_train": 100}}, seed=1, overwrite=True)
    assert run.scores()["mig"] == fewer["mig"] != kept["mig"]
    with pytest.raises(ValueError, match="mig: predictor is a function"):
        run.evaluate({"mig": {"predictor": test_each_core_is_a_function_of_arrays}})
    report_main([str(run.path), "--output", str(tmp_path / "page.html")])
    assert "MIG" in (tmp_path / "page.html").read_text()


def test_data_of_ones_own_is_scored_and_kept(tmp_path, caplog):
    bars = Bars((1, 8, 8))
    pair = (bars[:][0], pandas.DataFrame(bars[:][1].numpy(), columns=bars.factor_names))
    run = sv.train(sv.VAE(beta=1.0, num_latent=2), pair, tmp_path / "run", **QUICK)
    few = {"mig": {"num_train": 40}}
    kept = run.evaluate(few)
    assert kept == sv.score(run, pair, few) == sv.load_run(run.path).scores()
    with pytest.raises(ValueError, match=r"run\.evaluate\(metrics, data\)"):
        sv.load_run(run.path).evaluate(few)
    assert sv.load_run(run.path).evaluate(few, pair) == kept
    assert not [each for each in caplog.records if each.levelname == "WARNING"]
    of_images = sv.train(sv.VAE(beta=1.0, num_latent=2), pair[0], tmp_path / "b", **QUICK)
    of_images.evaluate(few, pair)  # the same images with what was not known in training
    assert not [each for each in caplog.records if each.levelname == "WARNING"]
    of_images.evaluate(few, (pair[0].flip(0), pair[1].iloc[:, :2]), overwrite=True)
    assert "scored on" not in caplog.text
    with pytest.raises(ValueError, match=r"observations of 16 x 16 x 1 .* takes 8 x 8 x 1"):
        run.codes(np.zeros((3, 16, 16), np.float32))


@pytest.mark.parametrize(("steps", "batches"), [(0, 10), (60, 10), (2500, 250), (300_000, 1000)])
def test_losses_are_evaluated_on_a_tenth_of_the_steps(steps, batches):
    images = np.zeros((4, 8, 8), np.float32)
    made = prepared(sv.VAE(beta=1.0, num_latent=2), images, steps=steps)
    assert made.settings.eval_steps == batches
    given = prepared(sv.VAE(beta=1.0, num_latent=2), images, steps=steps, eval_steps=3)
    assert given.settings.eval_steps == 3


def test_a_typing_error_is_answered_with_what_was_meant(tmp_path):
    images = np.zeros((4, 8, 8), np.float32)
    for options, meant in (
        ({"learnign_rate": 1e-3}, "did you mean 'learning_rate'"),
        ({"lr": 1e-3}, "did you mean 'learning_rate'"),
        ({"optimizer": "adam"}, "did you mean 'Adam'"),
    ):
        with pytest.raises(ValueError, match=meant):
            sv.train(sv.VAE(beta=1.0, num_latent=2), images, tmp_path / "a", steps=1, **options)


def test_pictures_refuse_images_of_another_size(tmp_path):
    images = np.zeros((4, 8, 8), np.float32)
    run = sv.train(sv.SRVAE(num_latent=2), images, tmp_path / "a", **QUICK)
    for plot in (sv.plot_traversals, sv.plot_reconstructions, sv.plot_decomposition):
        with pytest.raises(ValueError, match="takes 8 x 8 x 1"):
            plot(run, np.zeros((4, 16, 16), np.float32))


def test_a_run_that_is_not_there_is_one_plain_line(tmp_path):
    with pytest.raises(ValueError, match="nope is not a run directory: there is no such folder"):
        sv.load_run(tmp_path / "nope")


class Alpha(sv.VAE):
    """Somebody's model, in a script as far as a run can tell."""


class Beta(sv.VAE):
    """Another one."""


Alpha.__module__ = Beta.__module__ = "__main__"


def small_run(model, folder, **more):
    how = {"steps": 2, "batch_size": 4, "eval_steps": 1, "log_every": 1, **more}
    return sv.train(model, SMALL, folder, **how)


SMALL = np.random.RandomState(0).rand(64, 8, 8).astype(np.float32), np.argwhere(np.ones((8, 8)))


def test_runs_of_unknown_models_are_not_pooled(tmp_path):
    for kind in (Alpha, Beta):
        for seed in range(2):
            folder = tmp_path / f"{kind.__name__}-{seed}"
            small_run(kind(beta=1.0, num_latent=2), folder, seed=seed).evaluate(["mcc"])
    models = group_by_model(read_runs([tmp_path]).runs)
    assert sorted(len(model.runs) for model in models) == [1, 1, 1, 1]
    for kind in (Alpha, Beta):
        for seed in range(2):
            folder = tmp_path / f"named-{kind.__name__}-{seed}"
            small_run(kind(beta=1.0, num_latent=2), folder, seed=seed, name=kind.__name__)
    models = {model.label: len(model.runs) for model in group_by_model(read_runs([tmp_path]).runs)}
    assert models["Alpha"] == models["Beta"] == 2


def test_a_model_that_is_trained_again_leaves_the_earlier_run_its_weights(tmp_path):
    model = sv.VAE(beta=1.0, num_latent=2)
    first = small_run(model, tmp_path / "a", seed=0)
    codes = first.codes(SMALL[0])
    second = small_run(model, tmp_path / "b", seed=1)
    np.testing.assert_array_equal(first.codes(SMALL[0]), codes)
    assert not np.array_equal(second.codes(SMALL[0]), codes)
    assert second.model is model


def test_a_run_is_not_loaded_into_another_class(tmp_path):
    small_run(sv.VAE(beta=1.0, num_latent=2), tmp_path / "a")
    with pytest.raises(ValueError, match="is a run of vae: got model, a SRVAE"):
        sv.load_run(tmp_path / "a", model=sv.SRVAE(num_latent=2))
    assert sv.load_run(tmp_path / "a", model=sv.VAE(beta=1.0, num_latent=2)).model.num_latent == 2


def test_a_training_that_left_no_checkpoint_can_be_overwritten(tmp_path):
    with pytest.raises(ValueError, match="stop"):
        small_run(sv.VAE(beta=1.0, num_latent=2), tmp_path / "a", learning_rate=fails)
    assert small_run(sv.VAE(beta=1.0, num_latent=2), tmp_path / "a", overwrite=True).scores() == {}


def fails(global_step):
    if global_step:
        raise ValueError("stop")
    return 1e-3


def test_weights_can_be_read_by_whom_everything_else_can(tmp_path):
    run = small_run(sv.VAE(beta=1.0, num_latent=2), tmp_path / "a")
    modes = {path.stat().st_mode for path in run.path.rglob("*") if path.is_file()}
    assert len(modes) == 1


def test_scores_under_a_name_of_their_own_do_not_stand_in_the_way():
    scores = Scores({"udr_lasso": {"model_score": 0.5}, "mig": {"discrete_mig": 0.25}})
    assert [line.metric for line in scores.headline()] == ["mig"]
    assert "MIG" in repr(scores)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sv.as_data(SMALL[0], layout="nhwc"), "layout = 'nhwc': expected one of NHWC"),
        (lambda: sv.metrics.mig(SMALL[1].T, np.ones((2, 64))), "more factors than points"),
        (lambda: sv.score_codes(SMALL[1], SMALL[1], None), "metrics = None: expected names"),
        (lambda: sv.metrics.mig(SMALL[1], [[1], [np.nan]] * 32), "must be finite, got NaN"),
        (
            lambda: small_run(sv.VAE(beta=1.0, num_latent=2), "nowhere", learning_rate="1e-4"),
            "learning_rate = '1e-4': expected a number",
        ),
    ],
)
def test_arguments_that_cannot_be_used_are_named(call, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("word", ["NA", "n/a", "null", "None", "-", "?"])
def test_a_word_for_a_missing_number_is_no_class(tmp_path, word):
    rows = "\n".join(f"{k},{k % 3 if k != 7 else word}" for k in range(30))
    (tmp_path / "codes.csv").write_text(f"latent_0,size\n{rows}\n")
    with pytest.raises(ValueError, match=r"of row 7 stands for a missing value in a column of num"):
        sv.score_codes(tmp_path / "codes.csv", None, ["mig"])


def test_whole_numbers_are_fine_where_numbers_are_expected(tmp_path):
    images = np.random.RandomState(0).randint(256, size=(20, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "a.npz", images=images, factors=np.arange(20)[:, None] % 4)
    data = sv.load_dataset("npz", path=str(tmp_path / "a.npz"), white=255)
    assert data.observation_shape == [8, 8, 1]
