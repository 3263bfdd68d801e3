"""Loss terms against torch.distributions, closed forms and plain loops."""

from __future__ import annotations

import math

import gin
import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli, Normal, kl_divergence

from srvae_plugin import losses

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
