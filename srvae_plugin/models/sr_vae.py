"""SR-VAE and its two ablations, SeqVAE and ResVAE.

Source: "Disentangled Representation Learning with Sequential Residual Variational Autoencoder"
(ICLR 2020 submission): Algorithms 1 and 2, section 3.

The paper leaves open whether the decoder's output is an intensity or a logit, and the answer
decides whether the model can learn anything: in image space the skip connection alone solves
the task. Each answer is a *reading*, one value of `sr_vae.reading`:

=================  ==========  ==============  ====================================================
reading            residual    likelihood      what happens
=================  ==========  ==============  ====================================================
"paper" (default)  sigmoid(X)  bernoulli       well posed: without latents only the base rate helps
"paper-logit"      X           bernoulli       well posed, but fragile: small learning rates only
"paper-gaussian"   X           gaussian        well posed: squared error of sigmoid(X_d + Y_d)
"paper-literal"    X           linear_mse      COLLAPSES with a skip: X = 0 everywhere costs 0
"sum" (SR only)    sigmoid(X)  bernoulli       an extension: logits are the sum of all X_i, no skip
=================  ==========  ==============  ====================================================

X_i is the decoder's output at step i and Y_i what the encoder reads at step i; Y_1 = x and
Y_{i+1} = Y_i - residual(X_i). The decoder speaks logits in every reading but "paper-literal".
The squared errors are summed over pixels like the cross-entropy, but losses of different
likelihoods do not compare.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import gin
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from srvae_plugin.models.base import (
    Decomposition,
    Gaussian,
    Images,
    Latents,
    Losses,
    check_traversal,
    takes_tensor_step,
)
from srvae_plugin.models.losses import bernoulli_nll, require_weight, squared_error
from srvae_plugin.models.networks.choice import Network
from srvae_plugin.models.readings import LIKELIHOODS, READINGS, RESIDUALS
from srvae_plugin.models.vae import BaseVAE, vae_losses

__all__ = [
    "NOISES",
    "SRVAE",
    "ResVAE",
    "ResidualVAE",
    "SeqVAE",
    "StepNoise",
    "Steps",
]

NOISES = ("resample", "shared")
StepNoise = Float[Tensor, "step batch latent"]


class Steps(NamedTuple):
    """What one forward pass gave; the lists have one entry a step."""

    posterior: Gaussian
    z: Latents
    decoder_outputs: list[Images]
    residuals: list[Images]


class ResidualVAE(BaseVAE):
    """What the three models share: readings, the forward pass, the objective.

    Args:
        beta: weight of the KL term; SR-VAE with a value above 1 is the paper's SR-beta-VAE.
        reading: how the paper's equations are read: a name from docs/sr_vae.md.
        residual, likelihood: overrides that part of the reading.
        noise: "resample" draws new noise for every latent at every step, as in Algorithm 1;
            "shared" draws it once. Either way z_j is read at steps j..d and charged one KL, so
            the objective is not an evidence lower bound; `elbo` in the logs is
            -(reconstruction + KL) all the same.
        encoder, decoder: a name, a function, a module or None; see `BaseVAE`.
        num_latent: number of latents, for use without gin; see `BaseVAE`.

    Raises:
        ValueError: a reading the model does not have. One that collapses is warned of.
    """

    gin_name: ClassVar[str]
    sequential: ClassVar[bool]
    """d passes with one more latent each, or one pass with all."""
    skip: ClassVar[bool]
    """The output is X_d + Y_d, or X_d alone."""
    readings: ClassVar[tuple[str, ...]] = tuple(n for n in READINGS if n != "sum")

    def __init__(
        self,
        beta: float = 1.0,
        reading: str = "paper",
        residual: str | None = None,
        likelihood: str | None = None,
        noise: str = "resample",
        encoder: Network = None,
        decoder: Network = None,
        *,
        num_latent: int | None = None,
    ):
        super().__init__(encoder, decoder, num_latent=num_latent)
        self._require("reading", reading, self.readings)
        self.reading, chosen = reading, READINGS[reading]
        self.beta = require_weight(f"{self.gin_name}.beta", beta)
        self.residual = self._require("residual", residual or chosen.residual, RESIDUALS)
        self.likelihood = self._require("likelihood", likelihood or chosen.likelihood, LIKELIHOODS)
        self.noise = self._require("noise", noise, NOISES)
        self.sums_outputs = chosen.sums_outputs
        subtracts_all = self.residual == "logit" or not self.sequential
        if self.skip and self.likelihood == "linear_mse" and subtracts_all:
            warnings.warn(
                f"{self.gin_name} with likelihood 'linear_mse' (reading {reading!r}) collapses: a "
                "decoder that is 0 everywhere and a posterior equal to the prior have loss 0; it "
                "is there to show just that",
                stacklevel=2,
            )

    def _require(self, name: str, value: str, known: Sequence[str]) -> str:
        if value not in known:
            raise ValueError(
                f"{self.gin_name}.{name} = {value!r}: expected one of {', '.join(known)}"
            )
        return value

    def steps(
        self,
        x: Images,
        noise: StepNoise | None = None,
        fixed: tuple[int, Float[Tensor, " batch"]] | None = None,
        last_decode: bool = True,
    ) -> Steps:
        """Run the forward pass (Algorithm 1, or its single pass for ResVAE).

        Args:
            x: observations.
            noise: standard normal noise (step, batch, latent); None is the deterministic chain,
                in which z is the posterior mean.
            fixed: (latent, values): give that latent these values instead of its mean.
            last_decode: decode at the last step too (a representation does not need it).
        """
        counts = range(1, self.num_latent + 1) if self.sequential else (self.num_latent,)
        mean = logvar = x.new_zeros(x.shape[0], 0)
        outputs: list[Images] = []
        residuals = [x]
        for step, known in enumerate(counts):
            # Latents known before keep the posterior of the step that set them.
            posterior = Gaussian(*self.encoder(residuals[step]))
            new = slice(mean.shape[1], known)
            mean = torch.cat([mean, posterior.mean[:, new]], 1)
            logvar = torch.cat([logvar, posterior.logvar[:, new]], 1)
            if fixed is not None and fixed[0] < known:
                mean = mean.clone()
                mean[:, fixed[0]] = fixed[1]
            z = mean if noise is None else Gaussian(mean, logvar).sample(noise[step, :, :known])
            # Latents not yet set are 0, not samples of N(0, exp(0)).
            z = pad(z, (0, self.num_latent - known))
            last = known == self.num_latent
            if not last or last_decode:
                outputs.append(self.decoder(z))
            if not last:
                residuals.append(residuals[step] - self._subtracted(outputs[step]))
        return Steps(Gaussian(mean, logvar), z, outputs, residuals)

    def _subtracted(self, output: Images) -> Images:
        return torch.sigmoid(output) if self.residual == "image" else output

    def _output(self, steps: Steps) -> Images:
        if self.sums_outputs:
            return torch.stack(steps.decoder_outputs).sum(0)
        if self.skip:
            return steps.decoder_outputs[-1] + steps.residuals[-1]
        return steps.decoder_outputs[-1]

    def _reconstruction_loss(self, x: Images, output: Images) -> Float[Tensor, " batch"]:
        if self.likelihood == "bernoulli":
            return bernoulli_nll(output, x)
        if self.likelihood == "gaussian":
            return squared_error(torch.sigmoid(output), x)
        return squared_error(output, x)

    def mean_image(self, logits: Images) -> Images:
        """Intensities: the sigmoid, but for `linear_mse`, whose outputs are intensities.

        Vectors, (batch, features, 1, 1), may have any values and are left as they are then.
        """
        if self.likelihood != "linear_mse":
            return torch.sigmoid(logits)
        return logits if logits.shape[-2:] == (1, 1) else logits.clamp(0, 1)

    def encode(self, x: Images) -> Gaussian:
        """Posterior of the deterministic chain: d encoder and d - 1 decoder passes."""
        return self.steps(x, last_decode=False).posterior

    def sample(self, x: Images, noise: Latents) -> Latents:
        """Draw z from q(z_1|x) q(z_2|z_1, x) ... with one noise value per latent.

        The chain itself runs on the samples, so this is not `encode(x).sample(noise)`.
        """
        return self.steps(x, noise.expand(self.num_latent, -1, -1), last_decode=False).z

    @takes_tensor_step
    def losses(self, x: Images, step: int | Tensor) -> Losses:
        """Algorithm 2: reconstruction summed over pixels plus the closed-form KL."""
        draws = self.num_latent if self.sequential and self.noise == "resample" else 1
        noise = torch.randn(draws, len(x), self.num_latent, device=x.device, dtype=x.dtype)
        steps = self.steps(x, noise.expand(self.num_latent, -1, -1))
        reconstruction = self._reconstruction_loss(x, self._output(steps))
        return vae_losses(reconstruction, steps.posterior, self.beta)

    def reconstruct(self, x: Images) -> Images:
        """Output image of the deterministic chain."""
        return self.mean_image(self._output(self.steps(x)))

    def traverse(
        self, x: Images, latent: int, values: Float[Tensor, " value"]
    ) -> Float[Tensor, "value channel height width"]:
        """Output images as one latent takes each value.

        In a sequential model the steps after `latent` read what that value leaves over, so later
        latents respond; a skip connection stays that of x.

        Raises:
            ValueError: several observations, or a latent outside 0 .. num_latent - 1.
        """
        check_traversal(x, latent, self.num_latent)
        batch = x.expand(len(values), *x.shape[1:])
        return self.mean_image(self._output(self.steps(batch, fixed=(latent, values))))

    def decompose(self, x: Images, fixed: tuple[int, float] | None = None) -> Decomposition | None:
        """Decoder output X_i, as intensities, and residual Y_i of every step (Fig. 3d).

        None for ResVAE, which has no steps.
        """
        if not self.sequential:
            return None
        if fixed is not None:
            check_traversal(x[:1], fixed[0], self.num_latent)
        steps = self.steps(
            x, fixed=None if fixed is None else (fixed[0], x.new_full((len(x),), fixed[1]))
        )
        return Decomposition(
            torch.stack([self.mean_image(output) for output in steps.decoder_outputs]),
            torch.stack(steps.residuals),
            self.mean_image(self._output(steps)),
        )


@gin.register("sr_vae", module="srvae_plugin", denylist=["num_latent"])
class SRVAE(ResidualVAE):
    """Sequential Residual VAE: d steps, output X_d + Y_d (gin: `sr_vae`).

    Observations are (batch, channel, height, width) in [0, 1]; latents are (batch, latent).

    Source: the SR-VAE paper (ICLR 2020 submission), section 3, Algorithms 1 and 2.

    Args:
        beta, reading, residual, likelihood, noise, encoder, decoder, num_latent: see
            `ResidualVAE`.

    Raises:
        ValueError: a hyperparameter or a reading that the model does not have.

    Example:
        >>> model = SRVAE(num_latent=3, beta=1.0)
        >>> model.build((1, 64, 64))
        >>> x = torch.zeros(2, 1, 64, 64)
        >>> model.encode(x).mean.shape, model.reconstruct(x).shape
        (torch.Size([2, 3]), torch.Size([2, 1, 64, 64]))
        >>> len(model.decompose(x).decoder_outputs)
        3
    """

    title = "SR-VAE"
    title_with_beta = "SR-beta-VAE"
    gin_name = "sr_vae"
    sequential = True
    skip = True
    readings = tuple(READINGS)


@gin.register("seq_vae", module="srvae_plugin", denylist=["num_latent"])
class SeqVAE(ResidualVAE):
    """The explicit dependency alone: d steps, output X_d (gin: `seq_vae`).

    Observations are (batch, channel, height, width) in [0, 1]; latents are (batch, latent).

    Source: the SR-VAE paper (ICLR 2020 submission), section 3 and the ablation of Fig. 2 f, g.

    Args:
        beta, reading, residual, likelihood, noise, encoder, decoder, num_latent: see
            `ResidualVAE`.

    Raises:
        ValueError: a hyperparameter or a reading that the model does not have.

    Example:
        >>> model = SeqVAE(num_latent=3, beta=1.0)
        >>> model.build((1, 64, 64))
        >>> x = torch.zeros(2, 1, 64, 64)
        >>> model.encode(x).mean.shape, model.reconstruct(x).shape
        (torch.Size([2, 3]), torch.Size([2, 1, 64, 64]))
        >>> len(model.decompose(x).decoder_outputs)
        3
    """

    title = "SeqVAE"
    gin_name = "seq_vae"
    sequential = True
    skip = False


@gin.register("res_vae", module="srvae_plugin", denylist=["num_latent"])
class ResVAE(ResidualVAE):
    """The skip connection alone: one pass, output X + x (gin: `res_vae`).

    Nothing is subtracted in one pass: readings that differ only in the residual coincide.

    Observations are (batch, channel, height, width) in [0, 1]; latents are (batch, latent).

    Source: the SR-VAE paper (ICLR 2020 submission), section 3 and the ablation of Fig. 2 f, g.

    Args:
        beta, reading, likelihood, encoder, decoder, num_latent: see `ResidualVAE`.

    Raises:
        ValueError: a hyperparameter or a reading that the model does not have.

    Example:
        >>> model = ResVAE(num_latent=3, beta=1.0)
        >>> model.build((1, 64, 64))
        >>> x = torch.zeros(2, 1, 64, 64)
        >>> model.encode(x).mean.shape, model.reconstruct(x).shape
        (torch.Size([2, 3]), torch.Size([2, 1, 64, 64]))
        >>> model.decompose(x) is None
        True
    """

    title = "ResVAE"
    gin_name = "res_vae"
    sequential = False
    skip = True

    def __init__(
        self,
        beta: float = 1.0,
        reading: str = "paper",
        likelihood: str | None = None,
        encoder: Network = None,
        decoder: Network = None,
        *,
        num_latent: int | None = None,
    ):
        super().__init__(
            beta,
            reading,
            likelihood=likelihood,
            encoder=encoder,
            decoder=decoder,
            num_latent=num_latent,
        )
