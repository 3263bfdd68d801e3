"""Loss terms against torch.distributions, closed forms and plain loops."""

from __future__ import annotations

import math

import gin
import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli, Normal, kl_divergence

from srvae_plugin.models import losses
from srvae_plugin.models.base import Losses
from srvae_plugin.models.semi_supervised import S2VAE

SHAPE = (2, 3, 4)  # channel, height, width: all different, so that a wrong axis shows


def tensor(seed: int, scale: float = 1.0) -> torch.Tensor:
    return torch.tensor(np.random.RandomState(seed).randn(3, *SHAPE) * scale)


def grey(seed: int) -> torch.Tensor:
    return torch.tensor(np.random.RandomState(seed).rand(3, *SHAPE))


def binary(seed: int) -> torch.Tensor:
    return (grey(seed) > 0.5).double()


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def half_tanh(value: float) -> float:
    return math.tanh(value) / 2 + 0.5


def clipped(p: float) -> float:
    return min(max(p, 1e-6), 1 - 1e-6)


def by_loop(term, output: torch.Tensor, x: torch.Tensor) -> list[float]:
    """Sum of `term(output, pixel)` over all pixels, for each image."""
    return [
        sum(
            term(o, p)
            for o, p in zip(out.flatten().tolist(), image.flatten().tolist(), strict=True)
        )
        for out, image in zip(output, x, strict=True)
    ]


def cross_entropy(p: float, pixel: float) -> float:
    return -(pixel * math.log(p) + (1 - pixel) * math.log(1 - p))


def close(actual: torch.Tensor, expected, rtol: float = 1e-10) -> None:
    np.testing.assert_allclose(actual.numpy(), np.asarray(expected), rtol=rtol, atol=1e-12)


# --- the pure terms ---


def test_gaussian_kl_is_the_divergence_to_the_standard_normal():
    mean, logvar = torch.randn(5, 7, dtype=torch.float64), torch.randn(5, 7, dtype=torch.float64)
    expected = kl_divergence(
        Normal(mean, torch.exp(logvar / 2)),
        Normal(torch.zeros_like(mean), torch.ones_like(mean)),
    )
    close(losses.gaussian_kl(mean, logvar), expected.numpy())


@pytest.mark.parametrize(
    ("mean", "logvar", "kl"),
    [
        (0.0, 0.0, 0.0),
        (1.0, 0.0, 0.5),
        (-2.0, 0.0, 2.0),
        (0.0, math.log(4), 0.5 * (3 - math.log(4))),
        (3.0, math.log(0.25), 0.5 * (9 + 0.25 - 1 + math.log(4))),
    ],
)
def test_gaussian_kl_closed_form(mean, logvar, kl):
    result = losses.gaussian_kl(
        torch.full((1, 1), mean, dtype=torch.float64),
        torch.full((1, 1), logvar, dtype=torch.float64),
    )
    close(result, [[kl]])


@pytest.mark.parametrize("x", [binary(1), grey(1)], ids=["binary", "grey"])
def test_bernoulli_nll_is_the_distribution_s(x):
    logits = tensor(2, scale=3)
    distribution = Bernoulli(logits=logits, validate_args=False)  # grey is not in its support
    result = losses.bernoulli_nll(logits, x)
    assert result.shape == (3,)
    close(result, -distribution.log_prob(x).sum((1, 2, 3)).numpy())
    close(result, by_loop(lambda o, p: cross_entropy(sigmoid(o), p), logits, x))


@pytest.mark.parametrize("size", [100.0, 1000.0])
def test_bernoulli_nll_is_linear_in_a_large_wrong_logit(size):
    """float32 too: no log(0)."""
    logits = torch.full((1, *SHAPE), size)
    pixels = math.prod(SHAPE)
    assert losses.bernoulli_nll(logits, torch.zeros_like(logits)).item() == pixels * size
    assert 0 <= losses.bernoulli_nll(logits, torch.ones_like(logits)).item() < 1e-40


def test_squared_error_by_loop():
    image, x = tensor(3), grey(4)
    result = losses.squared_error(image, x)
    assert result.shape == (3,)
    close(result, by_loop(lambda o, p: (o - p) ** 2, image, x))


def test_squared_error_is_a_gaussian_nll_of_variance_a_half_but_for_a_constant():
    image, x = tensor(3), grey(4)
    nll = -Normal(image, math.sqrt(0.5)).log_prob(x).sum((1, 2, 3))
    constant = 0.5 * math.log(math.pi) * math.prod(SHAPE)
    close(losses.squared_error(image, x), (nll - constant).numpy())


def test_bernoulli_entropy_is_the_distribution_s():
    x = grey(5)
    close(losses.bernoulli_entropy(x), Bernoulli(probs=x).entropy().sum((1, 2, 3)).numpy())


def test_bernoulli_entropy_of_binary_images_is_that_of_clipped_pixels():
    """disentanglement_lib clips to [1e-6, 1 - 1e-6]: not 0, but tiny and finite."""
    one = -(1e-6 * math.log(1e-6) + (1 - 1e-6) * math.log(1 - 1e-6))
    close(losses.bernoulli_entropy(binary(6)), [math.prod(SHAPE) * one] * 3, rtol=1e-8)


@pytest.mark.parametrize(
    "term", [losses.bernoulli_nll, losses.squared_error], ids=["bernoulli_nll", "squared_error"]
)
def test_terms_are_per_image(term):
    output, x = tensor(7), grey(8)
    together = term(output, x)
    for b in range(len(x)):
        close(term(output[b : b + 1], x[b : b + 1]), together[b : b + 1].numpy())
    assert len(torch.unique(together)) == 3


# --- terms of a whole batch ---

BATCH, LATENT = 7, 3


def posteriors(batch: int = BATCH, latent: int = LATENT) -> tuple[torch.Tensor, ...]:
    """Samples, means and log variances; the samples belong to the posteriors."""
    random_state = np.random.RandomState(20)
    mean, logvar, noise = (torch.tensor(random_state.randn(batch, latent)) for _ in range(3))
    return mean + torch.exp(logvar / 2) * noise, mean, logvar


def log_normal(z: float, mean: float, logvar: float) -> float:
    return -0.5 * ((z - mean) ** 2 / math.exp(logvar) + logvar + math.log(2 * math.pi))


@pytest.mark.parametrize("latent", [1, 2, 3])
def test_total_correlation_by_loop(latent):
    z, mean, logvar = (tensor.tolist() for tensor in posteriors(latent=latent))
    terms = []
    for j in range(BATCH):
        joint = 0.0
        marginal = [0.0] * latent
        for i in range(BATCH):
            densities = [
                math.exp(log_normal(z[j][k], mean[i][k], logvar[i][k])) for k in range(latent)
            ]
            joint += math.prod(densities)
            marginal = [total + density for total, density in zip(marginal, densities, strict=True)]
        terms.append(math.log(joint) - sum(math.log(m) for m in marginal))
    close(losses.total_correlation(*posteriors(latent=latent)), sum(terms) / BATCH)
    if latent == 1:
        close(losses.total_correlation(*posteriors(latent=1)), 0.0)


def correlated(rho: float, batch: int) -> torch.Tensor:
    """Standard normal pairs with that correlation."""
    a, b = np.random.RandomState(21).randn(2, batch)
    return torch.tensor(np.stack([a, rho * a + math.sqrt(1 - rho**2) * b], 1))


@pytest.mark.parametrize("rho", [0.0, 0.5, -0.8])
def test_total_correlation_of_gaussians(rho):
    """q(z) is normal with correlation rho, so TC = -log(1 - rho^2) / 2.

    Posteriors of variance v around means of covariance R - v I. log q(z) / prod q(z_l) has
    variance rho^2, hence a standard error of |rho| / sqrt(batch); the sum over the batch's own
    posteriors adds at most v^-1 (1 + 1/v) / batch or so of bias. v is below 1 - |rho|.
    """
    batch, v = 2000, 0.15
    random_state = np.random.RandomState(22)
    covariance = np.array([[1 - v, rho], [rho, 1 - v]])
    mean = torch.tensor(random_state.multivariate_normal(np.zeros(2), covariance, size=batch))
    logvar = torch.full_like(mean, math.log(v))
    z = mean + math.sqrt(v) * torch.tensor(random_state.randn(batch, 2))
    estimate = losses.total_correlation(z, mean, logvar).item() + math.log(batch)
    tolerance = 4 * abs(rho) / math.sqrt(batch) + 2 * (1 + 1 / v) / v / batch
    assert tolerance < 0.13
    assert estimate == pytest.approx(-0.5 * math.log(1 - rho**2), abs=tolerance)


def test_total_correlation_of_one_posterior_for_all_is_its_constant():
    """If every q(z|x) is the same, q(z) factorizes: 0, less (latents - 1) log(batch)."""
    z = torch.tensor(np.random.RandomState(23).randn(10, 4))
    same = torch.zeros_like(z)
    close(losses.total_correlation(z, same, same), -3 * math.log(10))


def test_total_correlation_of_far_apart_posteriors_is_finite():
    """No density underflows: only each sample's own posterior counts, TC is that of the latents."""
    mean = torch.arange(5.0)[:, None].repeat(1, 2) * 1e4
    logvar = torch.zeros_like(mean)
    close(losses.total_correlation(mean, mean, logvar), 0.0)
    logvar = torch.full_like(mean, -20.0)
    close(losses.total_correlation(mean, mean, logvar), 0.0)


def test_covariance_is_the_batch_s():
    mean = posteriors()[1]
    expected = np.cov(mean.numpy(), rowvar=False, bias=True)
    close(losses.batch_covariance(mean), expected)
    close(losses.batch_covariance(mean + 1e6), expected, rtol=1e-6)
    rows = mean.tolist()
    for k in range(LATENT):
        for m in range(LATENT):
            product = sum(row[k] * row[m] for row in rows) / BATCH
            means = [sum(row[i] for row in rows) / BATCH for i in (k, m)]
            close(losses.batch_covariance(mean)[k, m], product - means[0] * means[1])


def test_covariance_penalty_by_loop():
    covariance = losses.batch_covariance(posteriors()[1])
    expected = 0.0
    for i in range(LATENT):
        for j in range(LATENT):
            c = covariance[i, j].item()
            expected += 2.0 * (c - 1) ** 2 if i == j else 3.0 * c**2
    close(losses.covariance_penalty(covariance, 3.0, 2.0), expected)


@pytest.mark.parametrize("rho", [0.0, 0.6])
@pytest.mark.parametrize("sigma", [1.0, 1.5])
def test_covariance_penalty_of_gaussians(rho, sigma):
    """Covariance sigma^2 [[1, rho], [rho, 1]]: 2 od (sigma^2 rho)^2 + 2 d (sigma^2 - 1)^2.

    The elements of a sample's covariance have standard errors below 2 sigma^2 / sqrt(batch).
    """
    batch = 40_000
    covariance = losses.batch_covariance(sigma * correlated(rho, batch))
    penalty = losses.covariance_penalty(covariance, 5.0, 7.0).item()
    expected = 10 * (sigma**2 * rho) ** 2 + 14 * (sigma**2 - 1) ** 2
    off, on, error = sigma**2 * rho, abs(sigma**2 - 1), 8 * sigma**2 / math.sqrt(batch)
    tolerance = 10 * error * (2 * off + error) + 14 * error * (2 * on + error)
    assert penalty == pytest.approx(expected, abs=tolerance)


def test_half_precision_is_widened_before_differences_are_taken():
    z, mean, logvar = (tensor.bfloat16() for tensor in posteriors())
    wide = losses.total_correlation(z.float(), mean.float(), logvar.float())
    assert torch.equal(losses.total_correlation(z, mean, logvar), wide)
    assert torch.equal(losses.batch_covariance(mean), losses.batch_covariance(mean.float()))


def test_a_penalty_adds_to_objective_loss_and_regularizer_alone():
    names = ("loss", "reconstruction_loss", "kl_loss", "regularizer", "elbo")
    logs = {name: torch.tensor(float(i)) for i, name in enumerate(names)}
    plain = Losses({"vae": torch.tensor(5.0, requires_grad=True)}, logs)
    penalty = torch.tensor(0.25, requires_grad=True)
    result = losses.penalized(plain, penalty)
    assert result.objectives["vae"].item() == 5.25
    assert torch.autograd.grad(result.objectives["vae"], penalty)[0].item() == 1
    expected = {
        "loss": 0.25,
        "reconstruction_loss": 1,
        "kl_loss": 2,
        "regularizer": 3.25,
        "elbo": 4,
    }
    assert {name: value.item() for name, value in result.logs.items()} == expected
    assert not any(value.requires_grad for value in result.logs.values())
    assert plain.logs["loss"].item() == 0


# --- disentanglement_lib's losses ---


@pytest.mark.parametrize("x", [binary(1), grey(1)], ids=["binary", "grey"])
@pytest.mark.parametrize(
    ("activation", "intensity"),
    [("logits", sigmoid), ("tanh", lambda value: clipped(half_tanh(value)))],
)
def test_bernoulli_loss(x, activation, intensity):
    output = tensor(9, scale=2)
    expected = by_loop(lambda o, p: cross_entropy(intensity(o), p), output, x)
    close(losses.bernoulli_loss(x, output, activation), expected)
    entropy = by_loop(lambda p, _: cross_entropy(clipped(p), clipped(p)), x, x)
    close(
        losses.bernoulli_loss(x, output, activation, subtract_true_image_entropy=True),
        np.array(expected) - entropy,
        rtol=1e-8,
    )


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_tanh_activation_clips_saturated_outputs(sign):
    """A wrong certainty costs -log(1e-6) a pixel and a right one -log(1 - 1e-6)."""
    output = torch.full((1, *SHAPE), 100.0 * sign, dtype=torch.float64)
    right = torch.full_like(output, float(sign > 0))
    pixels = math.prod(SHAPE)
    close(losses.bernoulli_loss(1 - right, output, "tanh"), [-pixels * math.log(1e-6)], 1e-8)
    close(losses.bernoulli_loss(right, output, "tanh"), [-pixels * math.log(1 - 1e-6)], 1e-8)


@pytest.mark.parametrize(
    ("activation", "perfect"),
    [
        ("logits", lambda x: torch.log(x / (1 - x))),
        ("tanh", lambda x: torch.atanh(2 * x - 1)),
    ],
)
def test_subtracting_the_entropy_makes_a_perfect_grey_image_cost_0(activation, perfect):
    x = 0.05 + 0.9 * grey(10)
    output = perfect(x)
    loss = losses.bernoulli_loss(x, output, activation, subtract_true_image_entropy=True)
    close(loss, np.zeros(3))
    assert (losses.bernoulli_loss(x, output, activation) > 1).all()
    worse = losses.bernoulli_loss(x, output + 0.3, activation, subtract_true_image_entropy=True)
    assert (worse > 1e-3).all()


@pytest.mark.parametrize(("activation", "intensity"), [("logits", sigmoid), ("tanh", half_tanh)])
def test_l2_loss(activation, intensity):
    output, x = tensor(11, scale=2), grey(12)
    expected = by_loop(lambda o, p: (intensity(o) - p) ** 2, output, x)
    close(losses.l2_loss(x, output, activation), expected)


@pytest.mark.parametrize("loss", [losses.bernoulli_loss, losses.l2_loss], ids=["bernoulli", "l2"])
def test_logits_are_the_default_activation(loss):
    output, x = tensor(13), grey(14)
    assert torch.equal(loss(x, output), loss(x, output, "logits"))
    assert not torch.isclose(loss(x, output), loss(x, output, "tanh")).any()


@pytest.mark.parametrize("loss", [losses.bernoulli_loss, losses.l2_loss], ids=["bernoulli", "l2"])
def test_unknown_activation_is_an_error_that_names_it(loss):
    with pytest.raises(ValueError, match=r"activation = 'relu'.*'logits'.*'tanh'"):
        loss(grey(1), tensor(1), "relu")


# --- gin's names ---


@pytest.fixture
def clean_gin():
    gin.clear_config()
    yield
    gin.clear_config()


@pytest.mark.usefixtures("clean_gin")
@pytest.mark.parametrize(
    ("bindings", "expected"),
    [
        ("", lambda x, out: losses.bernoulli_loss(x, out)),
        (
            "reconstruction_loss.loss_fn = @bernoulli_loss",
            lambda x, out: losses.bernoulli_loss(x, out),
        ),
        ("reconstruction_loss.loss_fn = @l2_loss", lambda x, out: losses.l2_loss(x, out)),
        (
            "reconstruction_loss.loss_fn = @l2_loss\nreconstruction_loss.activation = 'tanh'",
            lambda x, out: losses.l2_loss(x, out, "tanh"),
        ),
        (
            "reconstruction_loss.loss_fn = @bernoulli_loss\n"
            "bernoulli_loss.subtract_true_image_entropy = True",
            lambda x, out: losses.bernoulli_loss(x, out, subtract_true_image_entropy=True),
        ),
        (  # the default loss takes its bindings too
            "bernoulli_loss.subtract_true_image_entropy = True",
            lambda x, out: losses.bernoulli_loss(x, out, subtract_true_image_entropy=True),
        ),
    ],
    ids=["default", "bernoulli", "l2", "l2-tanh", "bernoulli-entropy", "default-entropy"],
)
def test_gin_bindings_of_disentanglement_lib(bindings, expected):
    gin.parse_config(bindings)
    output, x = tensor(15), grey(16)
    loss = gin.get_configurable(losses.make_reconstruction_loss)(x, output)
    assert torch.equal(loss, expected(x, output))


@pytest.mark.usefixtures("clean_gin")
@pytest.mark.parametrize(
    "binding", ["bernoulli_loss.activation = 'tanh'", "l2_loss.activation = 'tanh'"]
)
def test_activation_is_bound_on_reconstruction_loss_alone(binding):
    """`reconstruction_loss` passes it on, so that a binding here would silently do nothing."""
    with pytest.raises(ValueError, match="activation"):
        gin.parse_config(binding)


@pytest.mark.usefixtures("clean_gin")
def test_a_model_keeps_the_losses_that_it_was_made_with():
    """Another configuration, or none, does not change what `losses` of a model means."""
    gin.parse_config(
        "reconstruction_loss.loss_fn = @bernoulli_loss\n"
        "bernoulli_loss.subtract_true_image_entropy = True\n"
        "annealer.anneal_fn = @fine_tune\nannealer.iteration_threshold = 10\n"
    )
    model = S2VAE(beta=1.0, gamma_sup=5.0, num_latent=2)
    gin.clear_config()
    x, output = grey(16), tensor(15)
    expected = losses.bernoulli_loss(x, output, subtract_true_image_entropy=True)
    assert torch.equal(model._reconstruction_loss(x, output), expected)
    assert [model._annealer(5.0, step) for step in (10, 11)] == [0, 5.0]
    gin.parse_config("reconstruction_loss.loss_fn = @l2_loss\nannealer.anneal_fn = @fixed")
    assert torch.equal(model._reconstruction_loss(x, output), expected)
    assert model._annealer(5.0, 0) == 0
    assert gin.query_parameter("annealer.anneal_fn").selector == "fixed"  # gin's own is untouched
