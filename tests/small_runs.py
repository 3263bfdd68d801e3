"""Commands on a small data set of its own, as words to type; a run of them takes a second."""

from finished_runs import TINY, colour_images

MODEL = [
    "model.model = @vae()",
    "vae.beta = 1.0",
    "encoder.encoder_fn = @fc_encoder",
    "decoder.decoder_fn = @fc_decoder",
    "encoder.num_latent = 2",
    "run.metrics = ['mig', 'sap_score']",
]


def bound(*bindings):
    return [word for binding in bindings for word in ("--bind", binding)]


def run_words(folder, output, *bindings):
    """`srvae-run` of 12 steps, with a checkpoint every 5."""
    chosen = [*colour_images(folder), *MODEL, *bindings]
    return ["--gin", TINY, "--output", output, *bound(*chosen)]
