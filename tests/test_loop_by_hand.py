"""The training loop against the same training written out."""

import numpy as np
import pytest
import torch
from trained_models import fit

from srvae_plugin.data.dsprites import dsprites_full
from srvae_plugin.data.sampling.labelled import LabelledData, sample_labelled
from srvae_plugin.models.base import Losses
from srvae_plugin.models.vae import VAE


def rate(global_step):
    return 0.1 * 0.5**global_step


class Bowl(VAE):
    """One weight vector at the bottom of whose loss is 0; keeps the batches' means."""

    def build(self, observation_shape):
        self.num_latent, self.seen = 1, []
        self.w = torch.nn.Parameter(torch.tensor([3.0, -4.0, 0.5]))

    def parameter_groups(self):
        return {"vae": [self.w]}

    def losses(self, x, step):
        self.seen.append(float(x.mean()))
        loss = self.w.square().sum() / 2
        return Losses({"vae": loss}, {"loss": loss.detach(), "brightness": x.mean()})


@pytest.mark.parametrize("decay", [0, 0.75])
@pytest.mark.parametrize(("value", "norm"), [(0, 0), (3.5, 0), (0, 2.0), (3.5, 2.0)])
def test_the_loop_is_its_formulas(tmp_path, decay, value, norm):
    how = {"optimizer": "SGD", "learning_rate": rate, "clip_value": value, "clip_norm": norm}
    how |= {"ema_decay": decay, "eval_steps": 3, "batch_size": 4, "seed": 1}
    how |= {"log_every": 1, "checkpoint_every": 9}
    model, losses = fit(Bowl(1.0), dsprites_full(), tmp_path / "a", steps=4, **how)
    w = average = np.array([3.0, -4.0, 0.5])
    for step in range(4):
        gradient = w.clip(-value, value) if value else w
        if norm:
            gradient = gradient * min(1, norm / np.linalg.norm(gradient))
        w = w - rate(step) * gradient
        average = decay * average + (1 - decay) * w
    np.testing.assert_allclose(model.w.detach(), average, rtol=1e-5)
    assert len(model.seen) == 4 + 3
    assert losses["brightness"] == pytest.approx(np.mean(model.seen[4:]))


class LabelledBowl(Bowl):
    """Keeps the labels of every batch and the images beside them; has a part of its own to test."""

    def __init__(self, **options):
        super().__init__(1.0)
        self.options = {"num_labelled_samples": 40, **options}

    def training_data(self, data):
        known = isinstance(data, LabelledData)
        return data if known else LabelledData(data, **self.options)

    def losses(self, x, step):
        losses = super().losses(x.images, step)
        self.seen[-1] = (x.images.clone(), x.labels.clone())
        return losses


def test_labels_that_are_not_trained_on_are_those_of_the_evaluation(tmp_path):
    model = LabelledBowl(train_percentage=0.5)
    fit(model, dsprites_full(), tmp_path / "a", steps=6, batch_size=8, eval_steps=6)
    labels = sample_labelled(dsprites_full(), 40, 0).labels
    for part, batches in ((labels[:20], model.seen[:6]), (labels[20:], model.seen[6:])):
        known = {row.tobytes() for row in part.astype(np.float32)}
        drawn = {row.numpy().astype(np.float32).tobytes() for _, seen in batches for row in seen}
        assert drawn <= known


def test_the_seed_of_the_batches_is_their_own_if_there_is_one(tmp_path):
    def first_images(batches, seed):
        model, folder = (
            LabelledBowl(unsupervised_data_seed=batches),
            str(len(list(tmp_path.iterdir()))),
        )
        fit(model, dsprites_full(), tmp_path / folder, steps=1, batch_size=8, seed=seed)
        return model.seen[0][0][:8]

    assert torch.equal(first_images(1, 0), first_images(1, 5))
    assert not torch.equal(first_images(1, 0), first_images(2, 0))
    assert not torch.equal(first_images(None, 0), first_images(None, 5))
