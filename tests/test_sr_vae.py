"""SR-VAE, SeqVAE and ResVAE against the paper's algorithms worked by hand.

`by_hand` is Algorithm 1 for one image as plain loops over steps, latents and pixels; it shares
nothing with the models but the numbers of the tiny networks.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from srvae_plugin.models.base import Gaussian
from srvae_plugin.models.sr_vae import SRVAE, ResVAE, SeqVAE

D = 3
BATCH = 2
SHAPE = (1, 2, 2)
PIXELS = 4

# What each reading means, written out here and not taken from the code under test:
# (what is subtracted, likelihood).
MEANING = {
    "paper": ("image", "bernoulli"),
    "paper-logit": ("logit", "bernoulli"),
    "paper-gaussian": ("logit", "gaussian"),
    "paper-literal": ("logit", "linear_mse"),
    "sum": ("image", "bernoulli"),
}
COMMON = ("paper", "paper-logit", "paper-gaussian", "paper-literal")
READINGS = [
    *((SRVAE, reading) for reading in (*COMMON, "sum")),
    *((SeqVAE, reading) for reading in COMMON),
    *((ResVAE, reading) for reading in COMMON),
]
each_reading = pytest.mark.parametrize(("cls", "reading"), READINGS)
each_reading_and_noise = pytest.mark.parametrize(
    ("cls", "reading", "noise_mode"),
    [
        (cls, reading, noise_mode)
        for cls, reading in READINGS
        for noise_mode in ("resample", "shared")
        if cls is not ResVAE or noise_mode == "resample"  # its one pass draws once
    ],
)
collapse_warning = pytest.mark.filterwarnings("ignore:.*collapses")


# --- tiny networks: numbers, a plain transcription, and torch modules ---


class Weights(NamedTuple):
    """Weights of the tiny encoder and decoder, as numpy arrays."""

    mean: np.ndarray
    mean_bias: np.ndarray
    logvar: np.ndarray
    logvar_bias: np.ndarray
    out: np.ndarray
    out_bias: np.ndarray
    out_square: np.ndarray


def make_weights(d: int = D, seed: int = 0) -> Weights:
    rng = np.random.RandomState(seed)
    return Weights(
        rng.randn(d, PIXELS),
        rng.randn(d) * 0.3,
        rng.randn(d, PIXELS) * 0.5,
        rng.randn(d) * 0.3 - 0.5,
        rng.randn(PIXELS, d),
        rng.randn(PIXELS) * 0.5,
        rng.randn(PIXELS, d) * 0.3,
    )


def encode_by_hand(w: Weights, image: list[float]) -> tuple[list[float], list[float]]:
    """Mean and log variance of every latent for one image of PIXELS numbers."""
    mean, logvar = [], []
    for j in range(len(w.mean)):
        m, v = w.mean_bias[j], w.logvar_bias[j]
        for p in range(PIXELS):
            m += w.mean[j, p] * image[p]
            v += w.logvar[j, p] * image[p]
        mean.append(m)
        logvar.append(math.tanh(v))
    return mean, logvar


def decode_by_hand(w: Weights, z: list[float]) -> list[float]:
    """Decoder's raw output for one z; nonlinear in z, so that each latent matters."""
    image = []
    for p in range(PIXELS):
        value = w.out_bias[p]
        for j in range(len(z)):
            value += w.out[p, j] * z[j] + w.out_square[p, j] * z[j] ** 2
        image.append(math.sin(value) * 2)
    return image


class TinyEncoder(nn.Module):
    def __init__(self, w: Weights):
        super().__init__()
        self.num_latent = len(w.mean)
        self.mean = nn.Parameter(torch.tensor(w.mean))
        self.mean_bias = nn.Parameter(torch.tensor(w.mean_bias))
        self.logvar = nn.Parameter(torch.tensor(w.logvar))
        self.logvar_bias = nn.Parameter(torch.tensor(w.logvar_bias))
        self.inputs: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> Gaussian:
        self.inputs.append(x.detach().clone())
        flat = x.reshape(len(x), -1)
        return Gaussian(
            flat @ self.mean.T + self.mean_bias,
            torch.tanh(flat @ self.logvar.T + self.logvar_bias),
        )


class TinyDecoder(nn.Module):
    def __init__(self, w: Weights):
        super().__init__()
        self.out = nn.Parameter(torch.tensor(w.out))
        self.bias = nn.Parameter(torch.tensor(w.out_bias))
        self.square = nn.Parameter(torch.tensor(w.out_square))
        self.inputs: list[torch.Tensor] = []

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        self.inputs.append(z.detach().clone())
        value = z @ self.out.T + z**2 @ self.square.T + self.bias
        return (torch.sin(value) * 2).reshape(-1, *SHAPE)


def build(cls, reading: str = "paper", d: int = D, **options):
    """A model with the tiny networks in float64 (built, calls not yet counted)."""
    w = make_weights(d)
    model = cls(
        reading=reading,
        encoder=lambda shape: TinyEncoder(w),
        decoder=lambda num_latent, shape: TinyDecoder(w),
        **options,
    )
    model.build(SHAPE)
    return model


def images(seed: int = 1, batch: int = BATCH) -> torch.Tensor:
    return torch.tensor(np.random.RandomState(seed).rand(batch, *SHAPE))


# --- Algorithm 1 and 2 by hand ---


class Pass(NamedTuple):
    """One image through Algorithm 1: lists of numbers, steps counted from 0."""

    mean: list[float]
    logvar: list[float]
    z: list[float]
    decoder_inputs: list[list[float]]
    outputs: list[list[float]]
    residuals: list[list[float]]
    final: list[float]


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def by_hand(cls, reading, x, noise=None, fixed=None, d=D, residual=None) -> Pass:
    """Algorithm 1 (SRVAE), its sequential half (SeqVAE) or one pass with the skip (ResVAE).

    x: PIXELS numbers. noise[i][j]: noise of latent j at step i; None: z is the mean.
    fixed: (latent, value) given to that latent from the step that sets it.
    """
    w = make_weights(d)
    residual = residual or MEANING[reading][0]
    mu, logvar = [0.0] * d, [None] * d  # None: not yet set
    y = [float(value) for value in x]
    ys, xs, zs = [y], [], []
    for i in range(1 if cls is ResVAE else d):
        new_mu, new_logvar = encode_by_hand(w, ys[i])
        for j in range(d):
            if cls is ResVAE or j == i:
                mu[j], logvar[j] = new_mu[j], new_logvar[j]
                if fixed is not None and fixed[0] == j:
                    mu[j] = fixed[1]
        z = []
        for j in range(d):
            if logvar[j] is None:
                z.append(0.0)
            elif noise is None:
                z.append(mu[j])
            else:
                z.append(mu[j] + math.sqrt(math.exp(logvar[j])) * float(noise[i][j]))
        zs.append(z)
        xs.append(decode_by_hand(w, z))
        if cls is not ResVAE and i < d - 1:
            taken = [sigmoid(v) for v in xs[i]] if residual == "image" else xs[i]
            ys.append([ys[i][p] - taken[p] for p in range(PIXELS)])
    if reading == "sum":
        final = [sum(image[p] for image in xs) for p in range(PIXELS)]
    elif cls is SeqVAE:
        final = xs[-1]
    else:
        final = [xs[-1][p] + ys[-1][p] for p in range(PIXELS)]
    return Pass(mu, logvar, zs[-1], zs, xs, ys, final)


def reconstruction_by_hand(likelihood: str, final: list[float], x: list[float]) -> float:
    total = 0.0
    for out, pixel in zip(final, x, strict=True):
        p = sigmoid(out)
        if likelihood == "bernoulli":
            total -= pixel * math.log(p) + (1 - pixel) * math.log(1 - p)
        elif likelihood == "gaussian":
            total += (p - pixel) ** 2
        else:
            total += (out - pixel) ** 2
    return total


def kl_by_hand(mean: list[float], logvar: list[float]) -> list[float]:
    return [
        0.5 * (m**2 + math.exp(v) - 1 - math.log(math.exp(v)))
        for m, v in zip(mean, logvar, strict=True)
    ]


def intensity_by_hand(likelihood: str, value: float) -> float:
    return min(max(value, 0.0), 1.0) if likelihood == "linear_mse" else sigmoid(value)


def passes_by_hand(cls, reading, x, noise=None, **options) -> list[Pass]:
    """`by_hand` for each image of a batch; noise (step, batch, latent)."""
    return [
        by_hand(
            cls,
            reading,
            x[b].flatten().tolist(),
            None if noise is None else noise[:, b].tolist(),
            **options,
        )
        for b in range(len(x))
    ]


def close(actual: torch.Tensor, expected, tolerance: float = 1e-10) -> None:
    np.testing.assert_allclose(
        actual.detach().numpy(), np.asarray(expected), rtol=tolerance, atol=tolerance
    )


def pixels(per_image: list[list[float]]) -> np.ndarray:
    return np.array(per_image).reshape(-1, *SHAPE)


# --- (a) forward pass and loss ---


@collapse_warning
@each_reading
@pytest.mark.parametrize("noisy", [False, True], ids=["mean", "noise"])
def test_steps_are_algorithm_1(cls, reading, noisy):
    x = images()
    noise = torch.randn(D, BATCH, D, dtype=torch.float64) if noisy else None
    steps = build(cls, reading).steps(x, noise)
    expected = passes_by_hand(cls, reading, x, noise)
    count = 1 if cls is ResVAE else D
    assert len(steps.decoder_outputs) == len(steps.residuals) == count
    close(steps.posterior.mean, [p.mean for p in expected])
    close(steps.posterior.logvar, [p.logvar for p in expected])
    close(steps.z, [p.z for p in expected])
    for i in range(count):
        close(steps.decoder_outputs[i], pixels([p.outputs[i] for p in expected]))
        close(steps.residuals[i], pixels([p.residuals[i] for p in expected]))


@collapse_warning
@each_reading
def test_reconstruction_is_the_final_output_of_the_mean_chain(cls, reading):
    x = images()
    expected = [
        [intensity_by_hand(MEANING[reading][1], value) for value in p.final]
        for p in passes_by_hand(cls, reading, x)
    ]
    close(build(cls, reading).reconstruct(x), pixels(expected))


def check_losses(cls, reading, noise_mode, beta, residual=None, likelihood=None, d=D):
    options = {"beta": beta}
    if cls is not ResVAE:
        options |= {"noise": noise_mode, "residual": residual}
    model = build(cls, reading, d=d, likelihood=likelihood, **options)
    x = images()
    torch.manual_seed(7)
    result = model.losses(x, 0)

    torch.manual_seed(7)
    draws = d if cls is not ResVAE and noise_mode == "resample" else 1
    noise = torch.randn(draws, BATCH, d, dtype=torch.float64).expand(d, -1, -1)
    expected = passes_by_hand(cls, reading, x, noise, residual=residual, d=d)
    reconstruction, kl = 0.0, np.zeros(d)
    for b, p in enumerate(expected):
        image = x[b].flatten().tolist()
        reconstruction += (
            reconstruction_by_hand(likelihood or MEANING[reading][1], p.final, image) / BATCH
        )
        kl += np.array(kl_by_hand(p.mean, p.logvar)) / BATCH
    logs = {
        "loss": reconstruction + beta * kl.sum(),
        "reconstruction_loss": reconstruction,
        "kl_loss": kl.sum(),
        "regularizer": beta * kl.sum(),
        "elbo": -reconstruction - kl.sum(),
        "kl": kl,
    }
    assert set(result.objectives) == {"vae"}
    close(result.objectives["vae"], logs["loss"])
    assert set(result.logs) == set(logs)
    for name, value in logs.items():
        assert not result.logs[name].requires_grad
        close(result.logs[name], value)


@collapse_warning
@each_reading_and_noise
@pytest.mark.parametrize("beta", [1.0, 4.0])
def test_losses_are_algorithm_2(cls, reading, noise_mode, beta):
    check_losses(cls, reading, noise_mode, beta)


@collapse_warning
@pytest.mark.parametrize(
    ("cls", "reading"),
    [(SRVAE, "paper"), (SRVAE, "paper-literal"), (SRVAE, "sum"), (SeqVAE, "paper")],
)
@pytest.mark.parametrize("residual", ["image", "logit"])
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "linear_mse"])
def test_overrides_replace_that_part_of_the_reading(cls, reading, residual, likelihood):
    check_losses(cls, reading, "resample", 1.0, residual, likelihood)


@collapse_warning
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "linear_mse"])
def test_res_vae_likelihood_override(likelihood):
    check_losses(ResVAE, "paper", "resample", 1.0, likelihood=likelihood)


@pytest.mark.parametrize("cls", [SRVAE, SeqVAE])
def test_resampled_noise_differs_between_steps_and_shared_noise_does_not(cls):
    first = {}
    for noise_mode in ("resample", "shared"):
        model = build(cls, noise=noise_mode)
        torch.manual_seed(3)
        model.losses(images(), 0)
        # z_1 as the decoder sees it at each step: one posterior, so only noise can differ.
        first[noise_mode] = torch.stack([z[:, 0] for z in model.decoder.inputs])
    for i in range(D - 1):
        assert torch.equal(first["shared"][i], first["shared"][i + 1])
        assert not torch.isclose(first["resample"][i], first["resample"][i + 1]).any()


@pytest.mark.parametrize("cls", [SRVAE, SeqVAE, ResVAE])
def test_noise_differs_between_images_and_latents(cls):
    model = build(cls)
    x = images(batch=1).expand(4, -1, -1, -1)
    model.losses(x, 0)
    z = model.decoder.inputs[-1]
    assert all(len(torch.unique(z[:, j])) == 4 for j in range(D))


def test_default_is_the_paper_reading_with_resampled_noise_and_beta_1():
    x = images()
    torch.manual_seed(5)
    default = build(SRVAE).losses(x, 0).objectives["vae"]
    torch.manual_seed(5)
    explicit = build(SRVAE, "paper", beta=1.0, noise="resample").losses(x, 0).objectives["vae"]
    assert torch.equal(default, explicit)


def test_res_vae_readings_that_differ_only_in_the_residual_coincide():
    losses = []
    for reading in ("paper", "paper-logit"):
        torch.manual_seed(5)
        losses.append(build(ResVAE, reading).losses(images(), 0).objectives["vae"])
    assert torch.equal(*losses)


@pytest.mark.parametrize("cls", [SRVAE, SeqVAE, ResVAE])
def test_unknown_reading_is_an_error_that_lists_the_known_ones(cls):
    with pytest.raises(ValueError, match=r"reading = 'papre'.*paper, paper-logit"):
        cls(reading="papre")


@pytest.mark.parametrize("cls", [SeqVAE, ResVAE])
def test_sum_belongs_to_sr_vae_alone(cls):
    with pytest.raises(ValueError, match="reading = 'sum'"):
        cls(reading="sum")


@pytest.mark.parametrize(
    ("cls", "option", "value"),
    [
        (SRVAE, "noise", "reample"),
        (SRVAE, "residual", "images"),
        (SRVAE, "likelihood", "mse"),
        (SeqVAE, "noise", "reample"),
        (ResVAE, "likelihood", "mse"),
    ],
)
@collapse_warning
def test_unknown_option_is_an_error_that_names_it(cls, option, value):
    with pytest.raises(ValueError, match=f"{option}.*{value}"):
        cls(**{option: value})


# --- (b) gradients ---


@collapse_warning
@each_reading_and_noise
def test_gradient_by_central_differences(cls, reading, noise_mode):
    options = {} if cls is ResVAE else {"noise": noise_mode}
    model = build(cls, reading, beta=2.0, **options)
    x = images()

    def loss() -> torch.Tensor:
        torch.manual_seed(11)
        return model.losses(x, 0).objectives["vae"]

    parameters = list(model.parameters())
    analytic = torch.autograd.grad(loss(), parameters)
    epsilon = 1e-5
    for parameter, gradient in zip(parameters, analytic, strict=True):
        assert gradient.abs().max() > 1e-6
        flat = parameter.data.view(-1)
        for k in range(flat.numel()):
            value = flat[k].item()
            with torch.no_grad():
                flat[k] = value + epsilon
                above = loss().item()
                flat[k] = value - epsilon
                below = loss().item()
                flat[k] = value
            numeric = (above - below) / (2 * epsilon)
            assert gradient.view(-1)[k].item() == pytest.approx(numeric, rel=1e-5, abs=1e-7)


# --- (c) representation, traversal, decomposition, sampling ---


@pytest.mark.parametrize("cls", [SRVAE, SeqVAE])
@pytest.mark.parametrize("d", [1, 2, 5])
def test_encode_costs_d_encodes_and_d_minus_1_decodes(cls, d):
    model = build(cls, d=d)
    model.encode(images())
    assert (len(model.encoder.inputs), len(model.decoder.inputs)) == (d, d - 1)


def test_res_vae_encodes_once_and_decodes_nothing():
    model = build(ResVAE)
    model.encode(images())
    assert (len(model.encoder.inputs), len(model.decoder.inputs)) == (1, 0)


@collapse_warning
@each_reading
def test_encode_is_the_posterior_of_the_mean_chain(cls, reading):
    x = images()
    posterior = build(cls, reading).encode(x)
    expected = passes_by_hand(cls, reading, x)
    close(posterior.mean, [p.mean for p in expected])
    close(posterior.logvar, [p.logvar for p in expected])


@pytest.mark.parametrize("cls", [SRVAE, SeqVAE])
@pytest.mark.parametrize("run", ["losses", "encode", "reconstruct"])
def test_latents_not_yet_set_are_exactly_0(cls, run):
    model = build(cls)
    if run == "losses":
        model.losses(images(), 0)
    else:
        getattr(model, run)(images())
    assert model.decoder.inputs
    for i, z in enumerate(model.decoder.inputs):
        assert z.shape == (BATCH, D)
        assert (z[:, i + 1 :] == 0).all()
        assert (z[:, : i + 1] != 0).all()


@collapse_warning
@each_reading
@pytest.mark.parametrize("latent", range(D))
def test_traversal_is_the_hand_worked_chain_with_that_latent_fixed(cls, reading, latent):
    x = images(batch=1)
    values = torch.tensor([-3.0, 0.5, 2.0], dtype=torch.float64)
    model = build(cls, reading)
    result = model.traverse(x, latent, values)
    expected = [
        by_hand(cls, reading, x[0].flatten().tolist(), fixed=(latent, value))
        for value in values.tolist()
    ]
    likelihood = MEANING[reading][1]
    close(
        result,
        pixels([[intensity_by_hand(likelihood, v) for v in p.final] for p in expected]),
    )


@pytest.mark.parametrize("cls", [SRVAE, SeqVAE])
@pytest.mark.parametrize("latent", range(D))
def test_traversal_keeps_the_steps_before_and_reruns_those_after(cls, latent):
    x = images(batch=1)
    values = torch.tensor([-2.0, 1.5], dtype=torch.float64)
    untouched = build(cls)
    untouched.reconstruct(x)
    model = build(cls)
    model.traverse(x, latent, values)
    last = model.decoder.inputs[-1]
    assert last.shape == (len(values), D)
    assert torch.equal(last[:, latent], values)
    plain = untouched.decoder.inputs[-1]
    for j in range(latent):
        close(last[:, j], plain[:, j].expand(len(values)), 1e-14)
    for j in range(latent + 1, D):
        assert not torch.isclose(last[0, j], last[1, j])
        assert not torch.isclose(last[:, j], plain[:, j]).any()


@pytest.mark.parametrize("cls", [SRVAE, SeqVAE])
def test_traversal_to_the_mean_itself_is_the_reconstruction(cls):
    x = images(batch=1)
    model = build(cls)
    mean = model.encode(x).mean
    for latent in range(D):
        close(model.traverse(x, latent, mean[:, latent]), model.reconstruct(x).detach().numpy())


@pytest.mark.parametrize("cls", [SRVAE, SeqVAE, ResVAE])
@pytest.mark.parametrize("latent", [-1, D, D + 4])
def test_traversal_of_a_latent_that_does_not_exist_is_an_error(cls, latent):
    with pytest.raises(ValueError, match="latent"):
        build(cls).traverse(images(batch=1), latent, torch.zeros(2, dtype=torch.float64))


@collapse_warning
@pytest.mark.parametrize(("cls", "reading"), [c for c in READINGS if c[0] is not ResVAE])
@pytest.mark.parametrize("fixed", [None, (0, 3.0), (1, -2.0), (2, 0.0)])
def test_decompose(cls, reading, fixed):
    x = images()
    parts = build(cls, reading).decompose(x, fixed)
    expected = passes_by_hand(cls, reading, x, fixed=fixed)
    likelihood = MEANING[reading][1]
    assert torch.equal(parts.residuals[0], x)
    assert parts.decoder_outputs.shape == parts.residuals.shape == (D, BATCH, *SHAPE)
    for i in range(D):
        outputs = [[intensity_by_hand(likelihood, v) for v in p.outputs[i]] for p in expected]
        close(parts.decoder_outputs[i], pixels(outputs))
        close(parts.residuals[i], pixels([p.residuals[i] for p in expected]))
    final = [[intensity_by_hand(likelihood, v) for v in p.final] for p in expected]
    close(parts.reconstruction, pixels(final))


@collapse_warning
@pytest.mark.parametrize("reading", ["paper", "paper-logit", "paper-gaussian", "sum"])
def test_decomposed_images_obey_the_recursion(reading):
    """Y_{i+1} = Y_i - residual(X_i), on what decompose returns alone."""
    parts = build(SRVAE, reading).decompose(images())
    subtracted = parts.decoder_outputs
    if MEANING[reading][0] == "logit":
        subtracted = torch.log(subtracted / (1 - subtracted))
    for i in range(D - 1):
        close(parts.residuals[i + 1], (parts.residuals[i] - subtracted[i]).detach().numpy(), 1e-9)


def test_decompose_without_fixed_reconstructs():
    x = images()
    model = build(SRVAE)
    close(model.decompose(x).reconstruction, model.reconstruct(x).detach().numpy())


def test_res_vae_has_no_steps_to_decompose():
    assert build(ResVAE).decompose(images()) is None


@collapse_warning
@each_reading
def test_sample_runs_the_chain_on_its_samples(cls, reading):
    x = images()
    noise = torch.randn(BATCH, D, dtype=torch.float64)
    z = build(cls, reading).sample(x, noise)
    expected = passes_by_hand(cls, reading, x, noise.expand(D, -1, -1))
    close(z, [p.z for p in expected])


@pytest.mark.parametrize("cls", [SRVAE, SeqVAE, ResVAE])
def test_sample_without_noise_is_the_mean(cls):
    x = images()
    model = build(cls)
    close(
        model.sample(x, torch.zeros(BATCH, D, dtype=torch.float64)),
        model.encode(x).mean.detach().numpy(),
    )


@pytest.mark.parametrize("cls", [SRVAE, SeqVAE])
def test_sample_skips_the_last_decode(cls):
    model = build(cls)
    model.sample(images(), torch.zeros(BATCH, D, dtype=torch.float64))
    assert (len(model.encoder.inputs), len(model.decoder.inputs)) == (D, D - 1)


# --- (d) the collapse ---


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (SRVAE, {"reading": "paper-literal"}),
        (SRVAE, {"reading": "paper-logit", "likelihood": "linear_mse"}),
        (ResVAE, {"reading": "paper-literal"}),
        (ResVAE, {"likelihood": "linear_mse"}),
    ],
)
def test_the_reading_that_collapses_warns_where_it_is_chosen(cls, options):
    with pytest.warns(UserWarning, match="collapses") as caught:
        cls(**options)
    (warning,) = caught
    # Under jaxtyping's import hook its wrapper is what calls the constructor.
    assert warning.filename == __file__ or "jaxtyping" in warning.filename


@pytest.mark.parametrize(
    ("cls", "reading"),
    [(cls, r) for cls, r in READINGS if r != "paper-literal" or cls is SeqVAE],
)
def test_readings_that_do_not_collapse_do_not_warn(cls, reading):
    cls(reading=reading)  # a warning is an error in this test suite


def test_subtracting_intensities_saves_the_squared_error_from_the_collapse():
    """A zero decoder then leaves x - (d - 1) / 2, which is not x."""
    model = build(SRVAE, "paper", likelihood="linear_mse")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert model.losses(images(), 0).objectives["vae"] > 0


def prior_and_zero_decoder(cls, reading: str):
    model = build(cls, reading)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    return model


@collapse_warning
@pytest.mark.parametrize(
    ("cls", "reading", "loss"),
    [
        (SRVAE, "paper-literal", 0.0),
        (ResVAE, "paper-literal", 0.0),
        # The skip alone: logits x = 1 for 4 white pixels, with 1/2 taken off twice in `paper`.
        (SRVAE, "paper", 4 * math.log(2)),
        (SRVAE, "paper-logit", 4 * math.log(1 + math.exp(-1))),
        (SRVAE, "paper-gaussian", 4 * (1 - sigmoid(1)) ** 2),
        (SRVAE, "sum", 4 * math.log(2)),
        (ResVAE, "paper", 4 * math.log(1 + math.exp(-1))),
        (SeqVAE, "paper", 4 * math.log(2)),
        (SeqVAE, "paper-literal", 4.0),
    ],
)
def test_cost_of_no_information_on_a_white_image(cls, reading, loss):
    x = torch.ones(BATCH, *SHAPE, dtype=torch.float64)
    result = prior_and_zero_decoder(cls, reading).losses(x, 0)
    assert result.logs["kl_loss"].item() == 0.0
    if loss == 0.0:
        assert result.objectives["vae"].item() == 0.0
    close(result.objectives["vae"], loss)


@pytest.mark.filterwarnings("ignore:.*collapses")
@pytest.mark.parametrize("cls", [SRVAE, ResVAE])
def test_collapse_costs_exactly_0_on_any_image(cls):
    model = prior_and_zero_decoder(cls, "paper-literal")
    x = images()
    assert model.losses(x, 0).objectives["vae"].item() == 0.0
    assert torch.equal(model.reconstruct(x), x)


def squares(count: int) -> torch.Tensor:
    """White 6x6 squares at random places of a 16x16 image."""
    x = torch.zeros(count, 1, 16, 16)
    for image, (row, column) in zip(x, torch.randint(0, 11, (count, 2)).tolist(), strict=True):
        image[:, row : row + 6, column : column + 6] = 1
    return x


class SmallEncoder(nn.Module):
    num_latent = 3

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 6))

    def forward(self, x: torch.Tensor) -> Gaussian:
        return Gaussian(*self.net(x).chunk(2, dim=1))


def small_decoder() -> nn.Module:
    return nn.Sequential(
        nn.Linear(3, 128), nn.ReLU(), nn.Linear(128, 256), nn.Unflatten(1, (1, 16, 16))
    )


def train(reading: str, steps: int):
    torch.manual_seed(0)
    model = SRVAE(
        reading=reading,
        encoder=lambda shape: SmallEncoder(),
        decoder=lambda num_latent, shape: small_decoder(),
    )
    model.build((1, 16, 16))
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for step in range(steps):
        optimizer.zero_grad()
        loss = model.losses(squares(64), step).objectives["vae"]
        loss.backward()
        optimizer.step()
    return model, model.losses(squares(512), steps).logs


@pytest.mark.slow
def test_literal_reading_collapses_and_the_paper_reading_learns():
    with pytest.warns(UserWarning, match="collapses"):
        _, literal = train("paper-literal", 600)
    assert literal["kl_loss"] < 0.01
    model, paper = train("paper", 600)
    assert (paper["kl"] > 0.5).sum() >= 2
    # Informative: the row and column of the square are read off the codes.
    x = squares(512)
    codes = model.encode(x).mean.detach()
    design = torch.cat([codes, codes**2, codes**3, torch.ones(len(x), 1)], 1)
    places = torch.stack([x.amax(dim=(1, 3)).argmax(1), x.amax(dim=(1, 2)).argmax(1)], 1).float()
    fit = design @ torch.linalg.lstsq(design, places).solution
    r2 = 1 - ((places - fit) ** 2).sum(0) / ((places - places.mean(0)) ** 2).sum(0)
    assert (r2 > 0.8).all()


# --- (e) one latent ---


@collapse_warning
@each_reading
def test_one_latent(cls, reading):
    check_losses(cls, reading, "resample", 1.0, d=1)


def test_with_one_latent_the_input_is_connected_to_the_output():
    """Section 3: "In the case where d = 1 [...] the input is connected to the output"."""
    x = images()
    model = build(SRVAE, d=1)
    logits = model.decode(model.encode(x).mean) + x
    close(model.reconstruct(x), torch.sigmoid(logits).detach().numpy())


@collapse_warning
@pytest.mark.parametrize("reading", COMMON)
def test_with_one_latent_sr_vae_is_res_vae(reading):
    losses = []
    for cls in (SRVAE, ResVAE):
        torch.manual_seed(2)
        losses.append(build(cls, reading, d=1).losses(images(), 0).objectives["vae"].item())
    assert losses[0] == losses[1]
