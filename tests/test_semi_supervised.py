"""Semi-supervised models, their labels and losses, against the equations in plain loops."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
import torch

import srvae_plugin as sv
from srvae_plugin.config import gin_files
from srvae_plugin.data.dummy_data import DummyData
from srvae_plugin.data.sampling import labellers
from srvae_plugin.data.sampling.labelled import LabelledData, sample_labelled
from srvae_plugin.models import supervised_losses as losses
from srvae_plugin.models.base import Pairs
from srvae_plugin.models.mine import MutualInformation
from srvae_plugin.runs import pipeline
from srvae_plugin.testing.building import Bars, batch_of

SHAPE = (1, 8, 8)
SIZES = [4, 3, 2]
NETWORKS = {"encoder": "test_encoder", "decoder": "test_decoder"}
NAMES = ["s2_vae", "s2_factor_vae", "s2_dip_vae", "s2_beta_tc_vae", "s2_mine_vae", "supervised"]
SPEC = importlib.util.find_spec("disentanglement_lib")


# --- supervised losses ---


def codes_and_labels(number=5, latents=4):
    generator = np.random.RandomState(0)
    labels = np.stack([generator.randint(size, size=number) for size in SIZES], 1)
    return generator.randn(number, latents), labels


def by_loops(name, codes, labels, module):
    number, total = len(codes), 0.0
    if name == "cov":
        for r in range(codes.shape[1]):
            for k in range(labels.shape[1]):
                covariance = sum(
                    (codes[i, r] - codes[:, r].mean()) * (labels[i, k] - labels[:, k].mean())
                    for i in range(number)
                ) / number  # fmt: skip
                total += covariance**2 if r != k else 0.0
        return total
    for i in range(number):
        for k, size in enumerate(SIZES):
            code, label = codes[i, k], labels[i, k]
            sigmoid = 1 / (1 + math.exp(-code))
            share = label / size
            if name == "l2":
                total += (1.5 * code - label) ** 2
            elif name == "l2 of sigmoids":
                total += (sigmoid - share) ** 2
            elif name == "xent":
                total -= share * math.log(sigmoid) + (1 - share) * math.log(1 - sigmoid)
            else:
                places = module.places[k].tolist() if "order" not in name else [
                    float(module.bias[k] + module.slope[k] * value) for value in range(size)
                ]  # fmt: skip
                sigma = float(module.sigma[k]) if "learn" in name else 0.7
                weights = [math.exp(-(((code - place) * sigma) ** 2)) for place in places]
                total -= math.log(weights[label] / sum(weights)) / number
    return total


@pytest.mark.parametrize(
    ("name", "kind", "options"),
    [
        ("l2", losses.SquaredLoss, {}),
        ("l2 of sigmoids", losses.SquaredLoss, {"learn_scale": False}),
        ("xent", losses.CrossEntropyLoss, {}),
        ("cov", losses.CovarianceLoss, {}),
        ("embed", losses.EmbeddingLoss, {"sigma": 0.7}),
        ("embed in order, learn", losses.EmbeddingLoss, {"sigma": "learn", "use_order": True}),
    ],
)  # fmt: skip
@torch.no_grad()
def test_a_supervised_loss_is_that_of_a_plain_loop(name, kind, options):
    torch.manual_seed(0)
    module = kind(4, SIZES, **options)
    if name == "l2":
        module.scale.fill_(1.5)
    codes, labels = codes_and_labels()
    found = module(torch.from_numpy(codes).float(), torch.from_numpy(labels).float())
    assert found.item() == pytest.approx(by_loops(name, codes, labels, module), rel=1e-5)


def test_fewer_latents_than_labels_are_refused():
    for kind in (losses.SquaredLoss, losses.CrossEntropyLoss):
        with pytest.raises(ValueError, match="num_latent = 2: expected at least 3, a latent for"):
            kind(2, SIZES)
    assert losses.CovarianceLoss(2, SIZES)


def test_weights_follow_their_annealers():
    steps = [0, 1, 5, 10, 11, 30]
    for step, grown, tuned in zip(steps, [0, 0.4, 2, 4, 4, 4], [0, 0, 0, 0, 4, 4], strict=True):
        for given in (step, torch.tensor(step)):
            assert float(losses.fixed(4, given, 10)) == 4
            assert float(losses.annealed(4, given, 10)) == pytest.approx(grown)
            assert float(losses.fine_tuned(4, given, 10)) == tuned


@torch.no_grad()
def test_estimates_of_information_are_those_of_a_plain_loop(monkeypatch):
    torch.manual_seed(0)
    module = MutualInformation(3, 4)
    module.bias.normal_()
    module.out_bias.normal_()
    codes, labels = codes_and_labels()
    noise = torch.rand(5, 3, 4)
    monkeypatch.setattr(torch, "rand_like", lambda *_, **__: noise)
    found = module(torch.from_numpy(codes).float(), torch.from_numpy(labels).float())
    latent, label, bias, out, out_bias = (
        getattr(module, name).double().numpy()
        for name in ("latent", "label", "bias", "out", "out_bias")
    )

    def score(code, value, k, r):
        hidden = code * latent[k, r] + value * label[k, r] + bias[k, r]
        return float(np.where(hidden > 0, hidden, np.expm1(hidden)) @ out[k, r] + out_bias[k, r])

    for k in range(3):
        for r in range(4):
            order = noise[:, k, r].argsort().tolist()
            joint = np.mean([score(codes[i, r], labels[i, k], k, r) for i in range(5)])
            apart = [math.exp(score(codes[i, r], labels[order[i], k], k, r)) for i in range(5)]
            assert found[k, r].item() == pytest.approx(joint - math.log(np.mean(apart)), abs=1e-5)


def test_networks_learn_what_a_label_tells():
    """Of a latent that is the label, and of one that is not, with entropy log 2."""
    torch.manual_seed(0)
    module = MutualInformation(1, 2)
    optimizer = torch.optim.Adam(module.parameters(), 0.05)
    for _ in range(80):
        labels = torch.randint(2, (256, 1)).float()
        codes = torch.cat([3 * labels, torch.randn(256, 1)], 1)
        (-module(codes, labels).sum()).backward()
        optimizer.step()
        optimizer.zero_grad()
    told, untold = module(codes, labels)[0].tolist()
    assert told == pytest.approx(math.log(2), abs=0.1)
    assert abs(untold) < 0.1


# --- labels ---


def labels_by_loops(name, factors, sizes, state):
    """What each labeller does to one observation after the other."""
    rows = factors.astype(float)
    if name == "bin_labeller":
        for row in rows:
            for k, size in enumerate(sizes):
                row[k] = min(row[k] // (size / 5), 4) if size > 5 else row[k]
        return rows, [min(size, 5) for size in sizes]
    if name == "noisy_labeller":
        for row in rows:
            for k, size in enumerate(sizes):
                if state.rand() < 0.1:
                    row[k] = state.randint(size)
    if name == "permuted_labeller":
        for k, size in enumerate(sizes):
            names = state.permutation(size)
            rows[:, k] = [names[value] for value in factors[:, k]]
    if name == "partial_labeller":
        kept = state.choice(len(sizes), size=2, replace=False)
        return rows[:, kept], [sizes[k] for k in kept]
    return rows, list(sizes)


class Sizes(DummyData):
    factors_num_values = [3, 7, 40]  # noqa: RUF012
    num_factors = 3


@pytest.mark.parametrize(
    "name",
    ["perfect_labeller", "bin_labeller", "noisy_labeller", "permuted_labeller", "partial_labeller"],
)
def test_labellers_draw_what_a_plain_loop_draws(name):
    state = np.random.RandomState(0)
    factors = np.stack([state.randint(size, size=50) for size in (3, 7, 40)], 1)
    expected, sizes = labels_by_loops(name, factors, [3, 7, 40], np.random.RandomState(1))
    found, found_sizes = getattr(labellers, name)(factors, Sizes(), np.random.RandomState(1))
    np.testing.assert_array_equal(found, expected)
    assert (found.dtype, found_sizes) == (np.float32, sizes)


def test_labelled_observations_are_drawn_in_the_library_s_order():
    """Factors, observations, then the labeller, all by one stream."""
    data, state = DummyData(), np.random.RandomState(7)
    factors = data.sample_factors(20, state)
    observations = data.sample_observations_from_factors(factors, state)
    labels, _ = labellers.noisy_labeller(factors, data, state)
    found = sample_labelled(data, 20, 7, labellers.noisy_labeller)
    np.testing.assert_array_equal(found.observations, observations)
    np.testing.assert_array_equal(found.labels, labels)


def test_batches_pair_images_with_the_labelled_ones():
    data = Bars(SHAPE)
    labelled = LabelledData(data, 10, 0.75, supervised_data_seed=3)
    sample = sample_labelled(data, 10, 3)
    for part, rows in ((labelled, range(8)), (labelled.to_evaluate, range(8, 10))):
        first, second, labels = part.draw(200, np.random.RandomState(0))
        known = [(sample.observations[i].tobytes(), sample.labels[i].tobytes()) for i in rows]
        drawn = {
            (image.tobytes(), row.tobytes()) for image, row in zip(second, labels, strict=True)
        }
        assert drawn == set(known)
        indices = part.draw(200, np.random.RandomState(0), as_indices=True)
        np.testing.assert_array_equal(data.observations_at(indices.first), first)
        np.testing.assert_array_equal(data.observations_at(indices.second), second)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"num_labelled_samples": 0}, "model.num_labelled_samples = 0: expected at least 1"),
        ({"train_percentage": 1.5}, "model.train_percentage = 1.5: expected a share"),
    ],
)
def test_settings_that_cannot_be_used_say_why(options, part, tmp_path):
    with pytest.raises(ValueError, match=part):
        sv.train(model_of("s2_vae"), Bars(SHAPE), tmp_path / "a", steps=1, **options)
    with pytest.raises(ValueError, match="VAE is trained without labels; leave it out"):
        sv.train(
            sv.VAE(1.0, num_latent=3), Bars(SHAPE), tmp_path / "b", steps=1, train_percentage=0.5
        )


# --- models ---

SETTINGS = {
    "s2_vae": (sv.S2VAE, {"beta": 2.0, "gamma_sup": 3.0}),
    "s2_factor_vae": (sv.S2FactorVAE, {"gamma": 2.0, "gamma_sup": 3.0}),
    "s2_dip_vae": (sv.S2DIPVAE, {"lambda_od": 2.0, "lambda_d_factor": 5.0, "gamma_sup": 3.0}),
    "s2_beta_tc_vae": (sv.S2BetaTCVAE, {"beta": 2.0, "gamma_sup": 3.0}),
    "s2_mine_vae": (sv.S2MineVAE, {"beta": 2.0, "gamma_sup": 3.0}),
    "supervised": (sv.SupervisedVAE, {}),
}
PLAIN = {"s2_vae": sv.VAE, "s2_factor_vae": sv.FactorVAE, "s2_dip_vae": sv.DIPVAE}
PLAIN |= {"s2_beta_tc_vae": sv.BetaTCVAE, "s2_mine_vae": sv.VAE}


def model_of(name, **options):
    kind, settings = SETTINGS[name]
    return kind(**settings, num_latent=4, **NETWORKS, **options)


def built(name):
    model = model_of(name)
    model.training_data(Bars(SHAPE))
    torch.manual_seed(0)
    model.build(SHAPE)
    return model


@pytest.mark.parametrize("name", PLAIN)
def test_the_objective_is_the_unsupervised_one_and_the_weighted_labels(name):
    model = built(name)
    x = batch_of(model, torch.rand(12, *SHAPE, generator=torch.Generator().manual_seed(0)))
    own = {k: v for k, v in SETTINGS[name][1].items() if k != "gamma_sup"}
    plain = PLAIN[name](**own, num_latent=4, **NETWORKS)
    plain.build(SHAPE)
    plain.load_state_dict(
        {k: v for k, v in model.state_dict().items() if not k.startswith(("supervision", "factor"))}
    )
    torch.manual_seed(5)
    found = model.losses(x, 0)
    torch.manual_seed(5)
    expected = plain.losses(x.images[:6], 0)
    supervised = found.logs["supervised_loss"]
    assert supervised > 0
    torch.testing.assert_close(
        found.objectives["vae"], expected.objectives["vae"] + 3.0 * supervised
    )
    if name != "s2_mine_vae":
        torch.testing.assert_close(
            supervised, model.supervision(model.encode(x.images[6:]).mean, x.labels)
        )
    for key in expected.objectives.keys() - {"vae"}:
        torch.testing.assert_close(found.objectives[key], expected.objectives[key])


def some_images():
    return torch.rand(12, *SHAPE, generator=torch.Generator().manual_seed(0))


def test_what_other_latents_know_of_a_label_is_penalized():
    model = built("s2_mine_vae")
    x = batch_of(model, some_images())
    torch.manual_seed(5)
    found = model.losses(x, 0)
    torch.manual_seed(5)
    sv.VAE.losses(model, x.images[:6], 0)  # which draws its noise first
    estimates = model.supervision(model.encode(x.images[6:]).mean, x.labels)
    of_others = sum(estimates[k, j] ** 2 for k in range(len(estimates)) for j in range(4) if j != k)
    torch.testing.assert_close(found.logs["supervised_loss"], of_others)
    torch.testing.assert_close(found.objectives["information"], -estimates.sum())


@pytest.mark.parametrize(
    ("annealer", "weights"), [("fixed", [3, 3]), ("anneal", [1.5, 3]), ("fine_tune", [0, 3])]
)
def test_the_weight_of_labels_follows_the_annealer_that_is_bound(annealer, weights):
    bindings = [f"annealer.anneal_fn = @{annealer}", "annealer.iteration_threshold = 10"]
    with gin_files.only(bindings=bindings):
        model = built("s2_vae")
        x = batch_of(model, some_images())
        for step, weight in zip([5, 11], weights, strict=True):
            torch.manual_seed(5)
            found = model.losses(x, step)
            torch.manual_seed(5)
            plain = sv.VAE.losses(model, x.images[:6], step).objectives["vae"]
            expected = plain + weight * found.logs["supervised_loss"]
            torch.testing.assert_close(found.objectives["vae"], expected)


def test_labels_alone_train_the_encoder():
    model = built("supervised")
    x = batch_of(model, torch.rand(12, *SHAPE, generator=torch.Generator().manual_seed(0)))
    model.losses(x, 0).objectives["vae"].backward()
    trained = [p.grad.clone() for p in model.encoder.parameters() if p.grad is not None]
    model.zero_grad()
    model.supervision(model.encode(x.images[6:]).mean, x.labels).backward()
    expected = [p.grad for p in model.encoder.parameters() if p.grad is not None]
    for one, other in zip(trained, expected, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("name", ["s2_vae", "s2_mine_vae"])
def test_a_run_resumes_bit_for_bit_and_is_read_again(name, tmp_path):
    options = {"batch_size": 4, "eval_steps": 2, "num_labelled_samples": 20}
    options |= {"train_percentage": 0.5, "unsupervised_data_seed": 8}
    weights = []
    for folder, parts in (("once", [4]), ("twice", [2, 4])):
        for steps in parts:
            extra = {"supervised_loss": "l2"} if name == "s2_vae" else {}
            run = sv.train(
                model_of(name, **extra), Bars(SHAPE), tmp_path / folder, steps=steps,
                resume=steps != parts[0], **options,
            )  # fmt: skip
        weights.append(run.model.state_dict())
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    loaded = sv.load_run(tmp_path / "once").model
    assert all(torch.equal(loaded.state_dict()[key], weights[0][key]) for key in weights[0])
    images = Bars(SHAPE).sample_observations(3, np.random.RandomState(0))
    assert sv.representation_function(tmp_path / "once")(images).shape == (3, 4)


def test_labels_place_factors_in_their_latents(tmp_path):
    """All factors but the first in a code that labels of a few images taught."""
    data = Bars(SHAPE)
    model = sv.S2VAE(1.0, 20.0, "l2", num_latent=4, **NETWORKS)
    run = sv.train(
        model, data, tmp_path / "a", steps=300, batch_size=32, learning_rate=1e-2, eval_steps=1,
        num_labelled_samples=48,
    )  # fmt: skip
    indices = np.arange(data.num_observations)
    codes, factors = run.codes(data.observations_at(indices)), data.factors_at(indices)
    correlations = np.corrcoef(codes[:, :3].T, factors.T)[:3, 3:]
    assert (np.abs(correlations).argmax(1) == [0, 1, 2]).all()
    assert np.abs(np.diag(correlations)).min() > 0.8


@pytest.mark.parametrize("name", NAMES)
def test_gin_files_make_the_models(name):
    with gin_files.only([f"models/{name}.gin", "training/srvae.gin"], ["encoder.num_latent = 12"]):
        model = pipeline.training_settings().model
        data = model.training_data(DummyData())
    assert type(model) is SETTINGS[name][0]
    assert data.options["num_labelled_samples"] == 1000


@pytest.mark.skipif(SPEC is None, reason="disentanglement-lib is not installed")
def test_the_library_s_file_trains_unmodified(tmp_path):
    file = Path(SPEC.origin).parent / "config/tests/methods/semi_supervised/train_test.gin"
    sv.train_with_gin(tmp_path / "model", False, [file], ["model.eval_steps = 1"])
    model = sv.load_model(tmp_path / "model")
    assert (type(model), model.beta, model.gamma_sup) == (sv.S2VAE, 4.0, 4.0)
    assert isinstance(batch_of(model, torch.rand(2, 1, 64, 64)), Pairs)


def test_of_two_names_of_the_seed_the_later_one_counts():
    for bindings, seed in (
        (["model.model_seed = 3"], 3),
        (["model.random_seed = 2", "model.model_seed = 3"], 3),
        (["model.model_seed = 3", "model.random_seed = 2"], 2),
    ):
        with gin_files.only(["models/s2_vae.gin"], ["model.training_steps = 1", *bindings,
                                                    "model.batch_size = 2"]):  # fmt: skip
            assert pipeline.training_settings().random_seed == seed
