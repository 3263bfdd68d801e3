"""FactorVAE: its discriminator, the density ratio, and who learns from what."""

from __future__ import annotations

import math

import gin
import numpy as np
import pytest
import torch
from test_baselines import SMALL, LinearEncoder, linear_decoder, linear_model, losses, trained
from test_train import FailsAt, Failure, rows, same_weights
from torch import nn
from torch.distributions import MultivariateNormal, Normal

from srvae_plugin.config import gin_files
from srvae_plugin.data.dsprites import dsprites_full
from srvae_plugin.models.factor_vae import (
    FactorVAE,
    discriminator_loss,
    permute_codes,
    tc_estimate,
)
from srvae_plugin.models.networks.discriminator import fc_discriminator, make_discriminator
from srvae_plugin.runs import pipeline
from srvae_plugin.training.optimizers import make_optimizers
from srvae_plugin.training.updates import update_parameters

# --- the terms ---


def test_permuted_codes_keep_every_marginal_and_no_dependence():
    torch.manual_seed(0)
    a = torch.randn(4000, dtype=torch.float64)
    z = torch.stack([a, a, a], 1)
    permuted = permute_codes(z)
    assert torch.equal(permuted.sort(0).values, z.sort(0).values)
    correlation = torch.corrcoef(torch.cat([permuted, z[:, :1]], 1).T)
    # Independent columns: correlations have a standard error of 1 / sqrt(4000).
    assert (correlation - torch.eye(4)).abs().max() < 4 / math.sqrt(4000)


def test_every_permutation_is_as_likely():
    torch.manual_seed(0)
    z = torch.arange(3.0)[:, None].repeat(1, 6000)
    orders = permute_codes(z).T @ torch.tensor([9.0, 3.0, 1.0])
    counts = orders.unique(return_counts=True)[1]
    # Six of them, binomial counts of standard deviation 29.
    assert len(counts) == 6
    assert (counts - 1000).abs().max() < 4 * 29


def test_permuted_codes_carry_their_gradient():
    z = torch.randn(5, 2, requires_grad=True)
    weights = torch.randn(5, 2)
    permuted = permute_codes(z)
    (gradient,) = torch.autograd.grad((permuted * weights).sum(), z)
    assert torch.equal(gradient.sort(0).values, weights.sort(0).values)


def test_discriminator_loss_by_loop():
    random_state = np.random.RandomState(0)
    logits, permuted = (torch.tensor(random_state.randn(6, 2) * 3) for _ in range(2))
    total = 0.0
    for (a, b), (c, d) in zip(logits.tolist(), permuted.tolist(), strict=True):
        total -= 0.5 * math.log(math.exp(a) / (math.exp(a) + math.exp(b)))
        total -= 0.5 * math.log(math.exp(d) / (math.exp(c) + math.exp(d)))
    assert discriminator_loss(logits, permuted).item() == pytest.approx(total / 6, rel=1e-10)
    tc = sum(a - b for a, b in logits.tolist()) / 6
    assert tc_estimate(logits).item() == pytest.approx(tc, rel=1e-10)


def test_probabilities_are_clipped_as_in_the_original():
    certain = torch.tensor([[200.0, -200.0]], requires_grad=True)
    wrong = discriminator_loss(certain.flip(1), certain)
    assert wrong.item() == pytest.approx(-math.log(1e-6), rel=1e-6)
    right = discriminator_loss(certain, certain.flip(1))
    assert right.item() == pytest.approx(-math.log(1 - 1e-6), rel=1e-6, abs=0)
    for loss in (wrong, right):
        assert not torch.autograd.grad(loss, certain)[0].any()


class LogRatio(nn.Module):
    """The best discriminator of N(0, [[1, rho], [rho, 1]]), its log ratio scaled."""

    def __init__(self, rho, scale):
        super().__init__()
        self.rho, self.scale = rho, scale

    def forward(self, z):
        joint = MultivariateNormal(torch.zeros(2), torch.tensor([[1, self.rho], [self.rho, 1]]))
        ratio = joint.log_prob(z) - Normal(0.0, 1.0).log_prob(z).sum(1)
        return self.scale * torch.stack([ratio, torch.zeros_like(ratio)], 1)


def gaussian_codes(rho, scale):
    """Losses of a FactorVAE whose q(z) is normal with correlation rho, exactly."""
    number, v = 20_000, 0.15
    chol = torch.linalg.cholesky(torch.tensor([[1 - v, rho], [rho, 1 - v]]))
    torch.manual_seed(0)
    x = (torch.randn(number, 2) @ chol.T).reshape(number, 1, 1, 2)
    encoder = LinearEncoder(2)
    encoder.forward = lambda x: (x.flatten(1), torch.full((number, 2), math.log(v)))
    model = FactorVAE(
        2.0, lambda shape: encoder, linear_decoder, discriminator=lambda _: LogRatio(rho, scale)
    )
    model.build((1, 1, 2))
    return model.losses(x, 0).logs


@pytest.mark.parametrize("rho", [0.3, -0.8])
def test_the_best_discriminator_gives_the_total_correlation(rho):
    """KL(q(z) || prod q(z_l)) = -log(1 - rho^2) / 2; the mean's error is |rho| / sqrt(number)."""
    logs = gaussian_codes(rho, 1.0)
    tc = -0.5 * math.log(1 - rho**2)
    assert logs["tc_loss"].item() == pytest.approx(tc, abs=4 * abs(rho) / math.sqrt(20_000))
    penalty = logs["regularizer"] - logs["kl_loss"]
    assert penalty.item() == pytest.approx(2 * logs["tc_loss"].item(), rel=1e-4)


def test_the_best_discriminator_has_the_least_loss():
    scales = (-1.0, 0.0, 0.7, 1.0, 1.4)
    found = {scale: gaussian_codes(0.8, scale)["discriminator_loss"].item() for scale in scales}
    assert min(found, key=found.get) == 1.0
    assert found[0.0] == pytest.approx(math.log(2), rel=1e-6)
    assert found[-1.0] > math.log(2)


def _gradients(objective, model):
    parameters = list(model.parameters())
    return torch.autograd.grad(objective, parameters, retain_graph=True, allow_unused=True)


def test_each_objective_moves_its_own_networks_alone():
    """The step of each group is the gradient of its own objective, though both depend on both."""
    model = linear_model("factor_vae", gamma=5.0)
    groups = {name: list(group) for name, group in model.parameter_groups().items()}
    objectives = losses(model).objectives
    names = {id(p): n for n, p in model.named_parameters()}
    gradients = {
        group: dict(zip(names.values(), _gradients(objective, model), strict=True))
        for group, objective in objectives.items()
    }
    assert all(gradients["vae"][names[id(p)]].any() for p in groups["discriminator"])
    assert gradients["discriminator"]["encoder.e1.weight"].any()
    before = {name: p.clone() for name, p in model.named_parameters()}
    update_parameters(
        objectives, {name: torch.optim.SGD(group, 0.1) for name, group in groups.items()}
    )
    for group, parameters in groups.items():
        for p in parameters:
            name = names[id(p)]
            assert name.startswith("discriminator.") == (group == "discriminator")
            torch.testing.assert_close(p, before[name] - 0.1 * gradients[group][name])


def test_the_discriminator_learns_to_tell_correlated_codes():
    """Trained by its own objective it comes near the total correlation of frozen codes."""
    rho = 0.9
    chol = torch.linalg.cholesky(torch.tensor([[1, rho], [rho, 1]]))
    torch.manual_seed(0)
    discriminator = fc_discriminator(2, width=32)
    optimizer = torch.optim.Adam(discriminator.parameters(), 3e-3)
    estimates = []
    for _ in range(250):
        z = torch.randn(512, 2) @ chol.T
        logits = discriminator(z)
        optimizer.zero_grad()
        discriminator_loss(logits, discriminator(permute_codes(z))).backward()
        optimizer.step()
        estimates.append(tc_estimate(logits.detach()).item())
    assert np.mean(estimates[-50:]) == pytest.approx(-0.5 * math.log(1 - rho**2), rel=0.2)


# --- the discriminator ---


def test_discriminator_has_the_original_s_layers_and_initialisation():
    torch.manual_seed(0)
    layers = list(fc_discriminator(10))
    linear, activations = layers[0::2], layers[1::2]
    assert [(m.in_features, m.out_features) for m in linear] == [
        (10, 1000), *[(1000, 1000)] * 5, (1000, 2),
    ]  # fmt: skip
    assert [(type(m), m.negative_slope) for m in activations] == [(nn.LeakyReLU, 0.2)] * 6
    for layer in linear:
        bound = math.sqrt(6 / (layer.in_features + layer.out_features))
        assert not layer.bias.any()
        assert 0.98 * bound < layer.weight.abs().max() <= bound
        # Uniform on [-bound, bound]: standard deviation bound / sqrt(3).
        assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.03)


def test_discriminator_takes_another_initialisation():
    assert fc_discriminator(3, width=4, initializer="pytorch")[0].bias.any()
    with pytest.raises(ValueError, match="initializer = 'he'"):
        fc_discriminator(3, width=4, initializer="he")
    with pytest.raises(ValueError, match=r"fc_discriminator\.width = 0"):
        fc_discriminator(3, width=0)


def test_gin_binds_the_discriminator():
    bindings = ["discriminator.discriminator_fn = @fc_discriminator", "fc_discriminator.width = 5"]
    with gin_files.only(bindings=bindings):
        model = gin.get_configurable(make_discriminator)(7)
    assert model[0].weight.shape == (5, 7)


# --- gin and runs ---


def test_factor_vae_s_file_gives_each_network_its_optimizer():
    with gin_files.only(["factor_vae_dsprites.gin"], SMALL):
        model = pipeline.training_settings().model
        model.build((1, 64, 64))
        optimizers = make_optimizers(model.parameter_groups())
    found = {
        name: (optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["betas"])
        for name, optimizer in optimizers.items()
    }
    assert found == {"vae": (1e-4, (0.9, 0.999)), "discriminator": (1e-4, (0.5, 0.9))}


def test_a_resumed_factor_vae_is_bit_identical(tmp_path):
    data = dsprites_full()
    asked = ("factor_vae_dsprites.gin", "model.training_steps = 9")
    whole, averages = trained(tmp_path / "whole", data, *asked)
    with pytest.raises(Failure):
        trained(tmp_path / "cut", FailsAt(5), *asked)
    again, averages_again = trained(tmp_path / "cut", data, *asked, resume=True)
    assert same_weights(whole, again)
    assert rows(tmp_path / "whole") == rows(tmp_path / "cut")
    for name in ("loss", "tc_loss", "discriminator_loss", "global_step"):
        assert averages[name] == averages_again[name]
