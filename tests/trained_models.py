"""What tests ask of models and trainings: rows logged, equal weights, networks that are alive."""

import csv

import torch

from srvae_plugin.runs.directory import TrainingDirectory
from srvae_plugin.training.loop import train
from srvae_plugin.training.plain import prepared

TINY = ["encoder.num_latent = 3", "encoder.encoder_fn = @srvae_encoder"]
TINY += ["srvae_encoder.base_channels = 4", "srvae_decoder.base_channels = 4"]
TINY += ["decoder.decoder_fn = @srvae_decoder", "model.random_seed = 1", "model.batch_size = 4"]
TINY += ["model.eval_steps = 1"]
MODELS = {
    "vae": ["vae.beta = 4.0"],
    "annealed_vae": [
        "annealed_vae.gamma = 10.0",
        "annealed_vae.c_max = 25.0",
        "annealed_vae.iteration_threshold = 5",
    ],
    "beta_tc_vae": ["beta_tc_vae.beta = 6.0"],
    "dip_vae": ["dip_vae.lambda_od = 10.0", "dip_vae.lambda_d_factor = 10.0"],
    "factor_vae": ["factor_vae.gamma = 10.0", "fc_discriminator.width = 20"],
    "sr_vae": [],
    "seq_vae": [],
    "res_vae": [],
}
"""What gin binds for a tiny one of each."""


def rows(folder):
    with (folder / "scalars.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def same_weights(a, b):
    pairs = zip(a.state_dict().items(), b.state_dict().items(), strict=True)
    return all(n == m and torch.equal(v, w) for (n, v), (m, w) in pairs)


def require_alive(model):
    """The model, if its decoder gives another image for another value of each latent.

    Few channels and an unlucky seed make networks whose every unit is 0 for every input. Such a
    decoder reads no latent, so that wrong latents, noise or gradients leave no trace in a test.
    """
    with torch.no_grad():
        points = torch.zeros(1 + model.num_latent, model.num_latent)
        points[1:] = 4 * torch.eye(model.num_latent)
        first, *others = model.decode(points.to(next(model.parameters()).device))
    dead = [latent for latent, image in enumerate(others) if torch.equal(image, first)]
    assert not dead, f"the decoder does not read the latents {dead}: take more channels"
    return model


def fit(model, data, folder, *, resume=False, **how):
    """Train with the arguments of `prepared`; the model and its losses."""
    directory = TrainingDirectory(folder)
    directory.prepare(resume)
    settings, source, config = prepared(model, data, **how)
    return train(settings, source, directory.files, config=config, resume=resume)
