"""The drop-in's weakly and semi-supervised modules, which version 1.5 does not have.

Against equations in plain loops and against our own models, which have tests of their own.
"""

import json
import math

import gin
import numpy as np
import pytest
import torch
from srvae_adapters.drop_in import semi_supervised_parts as semi, steps, weak_parts as weak

import srvae_plugin as sv
from srvae_plugin.data.dummy_data import DummyData
from srvae_plugin.models.base import Pairs

TINY = [
    "dataset.name = 'dummy_data'", "model.batch_size = 2", "model.training_steps = 2",
    "model.eval_steps = 1", "model.model_seed = 0", "encoder.num_latent = 10",
    "encoder.encoder_fn = @test_encoder", "decoder.decoder_fn = @test_decoder",
    "reconstruction_loss.loss_fn = @bernoulli_loss",
    "vae_optimizer.optimizer_fn = @AdamOptimizer", "AdamOptimizer.learning_rate = 0.001",
]  # fmt: skip
LABELS = ["model.num_labelled_samples = 20", "model.train_percentage = 0.9"]


@pytest.fixture(autouse=True)
def no_bindings():
    gin.clear_config()
    yield
    gin.clear_config()


def posteriors(number=4, latents=3):
    torch.manual_seed(0)
    return [torch.randn(number, latents) for _ in range(4)]


def test_distances_and_averages_are_those_of_plain_loops():
    one, other, logvar, other_logvar = posteriors()
    distance = weak.compute_kl(one, other, logvar, other_logvar)
    for i, k in np.ndindex(4, 3):
        variances = math.exp(logvar[i, k]), math.exp(other_logvar[i, k])
        moved = float(one[i, k] - other[i, k]) ** 2 / variances[1]
        expected = variances[0] / variances[1] + moved - 1 + math.log(variances[1] / variances[0])
        assert distance[i, k].item() == pytest.approx(expected, rel=1e-4, abs=1e-5)
    mean, _ = weak.aggregate_argmax(one, logvar, other, other_logvar, None, distance)
    labels = torch.eye(3)[[0, 2, 1, 0]]
    labelled, _ = weak.aggregate_labels(one, logvar, other, other_logvar, labels, None)
    for i, k in np.ndindex(4, 3):
        middle = (float(distance[i].min()) + float(distance[i].max())) / 2
        own = float(distance[i, k]) >= middle
        assert mean[i, k] == (one if own else other)[i, k]
        assert labelled[i, k] == (one if labels[i, k] else other)[i, k]
    assert weak.discretize_in_bins(torch.tensor([[0.0, 0.1], [3.0, 1.0]])).tolist() == [
        [0, 1], [1, 0],
    ]  # fmt: skip


def test_pairs_differ_in_one_factor_or_in_k():
    gin.parse_config(["dynamics.k = 4"])
    data, random_state, changed = DummyData(), np.random.RandomState(0), set()
    for _ in range(200):
        before = data.sample_factors(1, random_state)
        after, index = weak.simple_dynamics(before.copy(), data, random_state, return_index=True)
        places = np.flatnonzero((before != after)[0])
        assert len(places) <= 4
        changed.add(len(places))
        assert len(places) != 1 or index in range(10)
    assert {1, 3} <= changed
    assert weak.simple_dynamics(before, data, random_state)[1] == 4
    image, label = next(iter(weak.weak_dataset_from_ground_truth_data(data, 0)))
    assert (image.shape, image.dtype, label.shape) == ((128, 64, 1), np.float32, (1,))
    first = data.sample_observations(1, np.random.RandomState(0))[0]
    assert image[:64].shape == first.shape


@pytest.mark.parametrize(
    ("base", "ours", "beta"),
    [(weak.GroupVAEBase, sv.AdaGVAE, "group_vae"), (weak.MLVae, sv.AdaMLVAE, "mlvae")],
)
def test_a_users_own_model_of_pairs_has_the_loss_of_its_equations(base, ours, beta):
    """A subclass as written for the original, which chooses latents as ours does."""

    class Own(base):
        def aggregate(self, z_mean, z_logvar, new_mean, new_log_var, labels, kl_per_point):
            assert labels.shape == z_mean.shape == (2, 10)
            return weak.aggregate_argmax(
                z_mean, z_logvar, new_mean, new_log_var, labels, kl_per_point
            )

    gin.parse_config([f"{beta}.beta = 3.0", "encoder.num_latent = 10", *TINY[6:9]])
    x, found = Pairs(torch.rand(4, 1, 8, 8), torch.eye(2, 5)), []
    for kind in (Own, ours):
        torch.manual_seed(0)
        model = kind()
        model.build((1, 8, 8))
        torch.manual_seed(1)
        found.append(model.losses(x, 0).objectives["vae"].item())
    assert found[0] == pytest.approx(found[1], rel=1e-6)


def test_weakly_supervised_training_reads_the_originals_bindings(installed, tmp_path):
    bindings = [*TINY, "model.model = @mlvae_labels()", "mlvae.beta = 1.0", "dynamics.k = -1"]
    from disentanglement_lib.methods.weak import train_weak_lib, weak_vae

    train_weak_lib.train_with_gin(tmp_path / "a", False, [], bindings)
    assert issubclass(weak_vae.MLVaeLabels, sv.MLVAELabels)
    assert isinstance(sv.load_model(tmp_path / "a"), sv.MLVAELabels)


def test_losses_of_labels_are_the_classes_of_their_first_step():
    codes, labels = torch.ones(64, 10), torch.zeros(64, 10)
    assert semi.supervised_regularizer_xent(codes, labels, [1] * 10).item() == pytest.approx(
        640 * math.log(1 + math.e), rel=1e-5
    )
    assert semi.supervised_regularizer_l2(codes, labels).item() == 640
    crossed = torch.eye(2), 1 - torch.eye(2)
    assert semi.supervised_regularizer_cov(*crossed).item() == pytest.approx(0.125)
    with pytest.raises(ValueError, match="num_latent = 2: expected at least 10"):
        semi.supervised_regularizer_xent(codes[:, :2], labels)
    gin.parse_config(["supervised_loss.loss_fn = @l2", "l2.learn_scale = False"])
    half = semi.make_supervised_loss(0 * codes, labels, [1] * 10).item()
    assert half == pytest.approx(640 * 0.25)
    assert (
        semi.make_supervised_loss(codes, labels, None, lambda codes, rows, _: (codes - rows).sum())
        == 640
    )


def test_information_of_a_noisy_sign_is_found():
    """Of a sign and itself with noise of variance 0.2: the integral says how much."""
    y = np.linspace(-5, 5, 10001)
    densities = np.exp(-((y[:, None] - [-1, 1]) ** 2) / 0.4) / math.sqrt(2 * math.pi * 0.2)
    mixed = densities.mean(1)
    expected = (densities * np.log(densities / mixed[:, None])).mean(1).sum() * (y[1] - y[0])
    random_state = np.random.RandomState(0)
    torch.manual_seed(0)
    for _ in range(200):
        sign = np.sign(random_state.normal(size=(2000, 1)))
        noisy = sign + random_state.normal(0, math.sqrt(0.2), sign.shape)
        estimate, step = semi.mine(torch.tensor(sign).float(), torch.tensor(noisy).float(), "sign")
        step()
    assert estimate.item() == pytest.approx(expected, abs=0.08)


def test_labelled_rows_come_in_turn_and_are_split_as_asked():
    gin.parse_config(["labeller.labeller_fn = @perfect_labeller"])
    data = DummyData()
    observations, labels, sizes = semi.sample_supervised_data(3, data, 10)
    assert sizes == data.factors_num_values
    random_state = np.random.RandomState(3)
    np.testing.assert_array_equal(labels, data.sample_factors(10, random_state))
    for validation, rows in ((False, list(range(9))), (True, [9])):
        stream = iter(
            semi.semi_supervised_dataset_from_ground_truth_data(
                data, 10, 0, observations, labels, 0.81, validation
            )
        )
        for row in rows + rows[:1]:
            image, (labelled, given) = next(stream)
            assert image.shape == labelled.shape == (64, 64, 1)
            np.testing.assert_array_equal(given, labels[row])
    with pytest.raises(ValueError, match="expected 9 observations, got 10"):
        semi.train_test_split(observations, labels, 9, 0.5)
    kept, which = semi.filter_factors(labels, 3, random_state)
    np.testing.assert_array_equal(kept, labels[:, which])
    with pytest.raises(ValueError, match="num_observed_factors = 11: expected 1 to 10"):
        semi.filter_factors(labels, 11, random_state)
    renamed = semi.permute(np.arange(5), 5, random_state)
    assert sorted(renamed) == list(range(5))


@pytest.mark.parametrize(("name", "kind"), [("@vae", sv.VAE), ("@s2_vae", sv.S2VAE)])
def test_semi_supervised_training_takes_models_without_labels_too(tmp_path, name, kind):
    bindings = [*TINY, *LABELS, f"model.model = {name}", "vae.beta = 1.0"]
    bindings += ["s2_vae.beta = 1.0", "s2_vae.gamma_sup = 2.0", "supervised_loss.loss_fn = @xent"]
    steps.train_semi_supervised_with_gin(tmp_path / "model", False, [], bindings)
    assert type(sv.load_model(tmp_path / "model")) is kind
    mean = ["postprocess.postprocess_fn = @mean_representation", "dataset.name = 'auto'"]
    steps.postprocess_with_gin(tmp_path / "model", tmp_path / "mean", False, [], mean)
    asked = ["validation.validation_fn = @mig_validation", "dataset.name = 'auto'"]
    asked += ["validation.num_labelled_samples = 50", "labeller.labeller_fn = @perfect_labeller"]
    steps.validate_with_gin(tmp_path / "mean", tmp_path / "valid", False, [], asked)
    results = tmp_path / "valid" / "results"
    scores = json.loads((results / "json/validation_results.json").read_text())
    together = json.loads((results / "aggregate/validation.json").read_text())
    assert together["validation_results.discrete_mig"] == scores["discrete_mig"]
    assert not [key for key in together if key.startswith("evaluation")]
    assert gin.config_str() == ""
