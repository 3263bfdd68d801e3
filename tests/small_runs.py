"""Commands on a small data set of its own, as words to type; a run of them takes a second."""

import numpy as np
import pytest
from finished_runs import TINY, colour_images

MODEL = [
    "model.model = @vae()",
    "vae.beta = 1.0",
    "encoder.encoder_fn = @mlp_encoder",
    "mlp_encoder.widths = (16,)",
    "decoder.decoder_fn = @mlp_decoder",
    "mlp_decoder.widths = (16,)",
    "encoder.num_latent = 2",
    "run.metrics = ['mig', 'sap_score']",
]


def bound(*bindings):
    return [word for binding in bindings for word in ("--bind", binding)]


def run_words(folder, output, *bindings):
    """`srvae-run` of 12 steps, with a checkpoint every 5."""
    chosen = [*colour_images(folder), *MODEL, *bindings]
    return ["--gin", TINY, "--output", output, *bound(*chosen)]


def error_line(main, words, capsys):
    """The one line with which a command refuses its words."""
    with pytest.raises(SystemExit) as stopped:
        main([str(word) for word in words])
    assert stopped.value.code == 2
    said = [line for line in capsys.readouterr().err.splitlines() if ": error: " in line]
    assert len(said) == 1
    return said[0]


def encode(observations):
    """A representation function of no model: sums of the rows' and the columns' halves."""
    height, width = (size // 2 for size in observations.shape[1:3])
    top, left = observations[:, :height], observations[:, :, :width]
    return np.stack([part.sum((1, 2, 3)) for part in (observations, top, left)], axis=1)
