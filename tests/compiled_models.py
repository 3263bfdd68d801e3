"""Losses and gradients of models, plain and through torch.compile; a script of its own, since torch
cannot compile the checks of types that tests run under.

    python tests/compiled_models.py BACKEND MODEL ...
"""

import math
import sys
from functools import partial

import gin
import torch

from srvae_plugin.models.annealed_vae import AnnealedVAE
from srvae_plugin.models.beta_tc_vae import BetaTCVAE
from srvae_plugin.models.dip_vae import DIPVAE
from srvae_plugin.models.factor_vae import FactorVAE
from srvae_plugin.models.networks import GaussianEncoder
from srvae_plugin.models.networks.discriminator import fc_discriminator
from srvae_plugin.models.sr_vae import SRVAE, ResVAE, SeqVAE
from srvae_plugin.models.vae import VAE
from srvae_plugin.training.updates import compiled as compiled_losses

SHAPE, LATENT, BATCH = (1, 6, 5), 3, 4
MODELS = {
    "vae": partial(VAE, 4.0),
    "annealed_vae": partial(AnnealedVAE, 30.0, 5.0, 100),
    "beta_tc_vae": partial(BetaTCVAE, 6.0),
    "dip_vae": partial(DIPVAE, 10.0, 10.0),
    "factor_vae": partial(FactorVAE, 10.0, discriminator=partial(fc_discriminator, width=16)),
    "sr_vae": SRVAE,
    "seq_vae": SeqVAE,
    "res_vae": ResVAE,
}


def encoder(shape):
    return GaussianEncoder(torch.nn.Flatten(), math.prod(shape), num_latent=LATENT)


def decoder(num_latent, shape):
    size = math.prod(shape)
    return torch.nn.Sequential(torch.nn.Linear(num_latent, size), torch.nn.Unflatten(1, shape))


def losses_and_gradients(compute, model, step):
    """At the same noise; one gradient for each objective, of its own parameters."""
    torch.manual_seed(1)
    found = compute(torch.rand(BATCH, *SHAPE), step)
    groups = model.parameter_groups()
    gradients = {
        name: torch.autograd.grad(value, list(groups[name]), retain_graph=True)
        for name, value in found.objectives.items()
    }
    return found.objectives, found.logs, gradients


def check(name):
    torch.manual_seed(0)
    gin.parse_config("reconstruction_loss.loss_fn = @l2_loss")  # which the model keeps
    model = MODELS[name](encoder=encoder, decoder=decoder)
    gin.clear_config()
    model.build(SHAPE)
    compiled = compiled_losses(model.losses)
    for step in (3, 4):
        plain = losses_and_gradients(model.losses, model, step)
        torch.testing.assert_close(losses_and_gradients(compiled, model, step), plain)


def main():
    backend, *names = sys.argv[1:]
    # The same noise as uncompiled code draws.
    torch._inductor.config.fallback_random = True
    torch.compile = partial(torch.compile, backend=backend)
    for name in names:
        check(name)
        print(name, flush=True)


if __name__ == "__main__":
    main()
