"""A run parses its configuration, binds its data set and builds its model once."""

from collections import Counter
from weakref import WeakKeyDictionary

import numpy as np
import pytest
from gin import config as gin_state

from srvae_plugin import evaluate_with_gin, load_dataset, representation_function
from srvae_plugin.config import plugins
from srvae_plugin.models.sr_vae import ResidualVAE
from srvae_plugin.runs import weights
from srvae_plugin.runs.pipeline import load_representation
from srvae_plugin.runs.run import run

FILES = ["srvae_dsprites.gin", "presets/quick.gin"]
BINDINGS = [
    "model.training_steps = 2",
    "model.batch_size = 4",
    "model.eval_steps = 1",
    "encoder.num_latent = 3",
    "srvae_encoder.base_channels = 4",
    "srvae_decoder.base_channels = 4",
    'run.metrics = ["mig"]',
    "mig.num_train = 100",
]


@pytest.fixture
def counts(monkeypatch):
    """How often a text was parsed, a data set bound, a model built and weights loaded."""
    found = Counter()

    def count(owner, name, key):
        original = getattr(owner, name)

        def counting(*args, **kwargs):
            found[key(*args) if callable(key) else key] += 1
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, counting)

    def text_of(text):
        if isinstance(text, str):
            return ("parse", text)
        return ("parse", text.name)

    class Made(WeakKeyDictionary):
        def __setitem__(self, data, made):
            found["bind"] += 1
            super().__setitem__(data, made)

    count(gin_state, "parse_config", text_of)
    count(ResidualVAE, "build", "build")
    count(weights, "load", "load")
    monkeypatch.setattr(plugins, "_made", Made(plugins._made))
    found.clear()
    return found


def most_parsed(counts):
    return max(times for key, times in counts.items() if isinstance(key, tuple))


def test_a_run_does_everything_once_and_a_finished_one_loads_once(counts, tmp_path):
    first = run(FILES, BINDINGS, tmp_path / "a")
    assert most_parsed(counts) == 1
    assert all(counts["parse", binding] == 1 for binding in BINDINGS)
    assert (counts["bind"], counts["build"], counts["load"]) == (1, 1, 0)
    counts.clear()
    again = run(FILES, BINDINGS, tmp_path / "a", resume=True)
    # The recorded files of the training and the representation are parsed as well, once each.
    assert most_parsed(counts) == 1
    assert (counts["bind"], counts["load"]) == (1, 1)
    assert again.scores == first.scores
    assert again.training == first.training


def test_what_is_handed_on_is_what_was_saved(tmp_path):
    """The scores of the model in memory are those of the weights on the disk, to the bit."""
    in_memory = run(FILES, BINDINGS, tmp_path / "a").scores["mean"]["mig"]
    source = tmp_path / "a" / "postprocessed" / "mean"
    binding = "evaluation.evaluation_fn = @mig"
    from_disk = evaluate_with_gin(source, tmp_path / "b", False, FILES, [*BINDINGS, binding])
    assert from_disk.keys() <= in_memory.keys()
    assert from_disk["discrete_mig"] == in_memory["discrete_mig"]
    data = load_dataset("dsprites_full")
    images = data.sample_observations(64, np.random.RandomState(0))
    codes = [representation_function(tmp_path / "a")(images), load_representation(source)(images)]
    assert (codes[0] == codes[1]).all()
