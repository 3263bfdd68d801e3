"""Training steps that benchmarks/training.py compares, each served by a process of its own.

    python training_contenders.py CONTENDER LATENTS BATCH CHANNELS THREADS

builds the contender, writes "ready", takes one step for each line "step" that it reads, answers
with the seconds of that step, and at "end" with a line of JSON. Only the contenders that are ours
import this project: the others run in any Python that has torch (and pythae). Calling one imports
what it needs; what it returns takes steps until the process ends, and calls `turn` before each.

Every contender trains the networks of the SR-VAE paper's Table 1 by Adam at 1e-4 on one batch of
64x64x1 images. Making the batch is not timed; that of `pythae_loader` is, as its name says.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import torch
from torch import Tensor, nn
from training_plain import (
    LEARNING_RATE,
    PlainSRVAE,
    Settings,
    observations,
    plain_training,
    table_1,
)

MATMUL = 2048
Turn = Callable[[], None]
Contender = Callable[[Settings, Turn], None]


class Enough(Exception):
    """Ends a contender, which would step for ever: raised by its `turn`."""


def plain() -> Contender:
    def run(settings: Settings, turn: Turn) -> None:
        x = observations(settings.batch).permute(0, 3, 1, 2).contiguous()
        update = plain_training(PlainSRVAE(settings))
        while True:
            turn()
            update(x)

    return run


# --- ours: the training loop itself, told to step by the data that it asks for ---


def our_model(name: str, settings: Settings, **options: Any) -> Any:
    """Our `SRVAE`, `VAE` (beta = 1) or `FactorVAE`, the paper's networks, not yet built."""
    from srvae_plugin.models import factor_vae, networks, sr_vae, vae

    width = {"base_channels": settings.channels}
    encoder = partial(networks.srvae_encoder, num_latent=settings.latents, **width)
    decoder = partial(networks.srvae_decoder, **width)
    if name == "factor_vae":
        return factor_vae.FactorVAE(10.0, encoder=encoder, decoder=decoder, **options)
    kind = {"srvae": sr_vae.SRVAE, "vae": vae.VAE}[name]
    return kind(beta=1.0, encoder=encoder, decoder=decoder, **options)


def ours(name: str, row: bool = False) -> Contender:
    """`training.loop.train`; with `row`, a step is as many updates as there are latents."""
    from srvae_plugin.config import gin_files
    from srvae_plugin.data.dummy_data import DummyData
    from srvae_plugin.runs.directory import TrainingDirectory
    from srvae_plugin.training.loop import train
    from srvae_plugin.training.settings import TrainingSettings

    # Imports every plug-in: before the memory is looked at.
    with gin_files.only():
        pass

    class Data(DummyData):
        def __init__(self, batch: Any, draws: int, turn: Turn):
            self._batch, self._draws, self._turn = batch, draws, turn
            self._drawn = 0

        def sample_observations(self, num: int, random_state: Any) -> Any:
            if self._drawn % self._draws == 0:
                self._turn()
            self._drawn += 1
            return self._batch

    def run(settings: Settings, turn: Turn) -> None:
        data = Data(observations(settings.batch).numpy(), settings.latents if row else 1, turn)
        never = 2**62
        training = TrainingSettings(
            our_model(name, settings),
            training_steps=never,
            random_seed=0,
            batch_size=settings.batch,
            checkpoint_every=never,
            device="cpu",
        )
        with (
            gin_files.only(bindings=[f"vae_optimizer.learning_rate = {LEARNING_RATE}"]),
            tempfile.TemporaryDirectory() as folder,
        ):
            train(training, data, TrainingDirectory(Path(folder)).files)

    return run


# --- pythae ---


def pythae(loader: bool, device: str = "cpu") -> Contender:
    """pythae's VAE, stepped by its `BaseTrainer`.

    With `loader`, all of `train_step` on a data set of one batch: the loader fetches, shuffles
    and collates it image by image, a progress bar is made and moved on. Without, what that method
    does with a batch once it has it: forward, zero_grad, backward, Adam, `loss.item()`.
    """
    from pythae.data.datasets import BaseDataset, DatasetOutput
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    class Encoder(BaseEncoder):
        def __init__(self, net: nn.Module):
            super().__init__()
            self.net = net

        def forward(self, x: Tensor) -> Any:
            mean, logvar = self.net(x).chunk(2, dim=1)
            return ModelOutput(embedding=mean, log_covariance=logvar)

    class Decoder(BaseDecoder):
        def __init__(self, net: nn.Module):
            super().__init__()
            self.net = net

        def forward(self, z: Tensor) -> Any:
            # pythae's cross-entropy takes probabilities.
            return ModelOutput(reconstruction=torch.sigmoid(self.net(z)))

    def run(settings: Settings, turn: Turn) -> None:
        encoder, decoder = table_1(settings.latents, settings.channels)
        config = VAEConfig((1, 64, 64), settings.latents, reconstruction_loss="bce")
        x = observations(settings.batch).permute(0, 3, 1, 2).contiguous()
        with tempfile.TemporaryDirectory() as folder:
            trainer = BaseTrainer(
                VAE(config, encoder=Encoder(encoder), decoder=Decoder(decoder)),
                BaseDataset(x, torch.zeros(len(x))),
                training_config=BaseTrainerConfig(
                    output_dir=folder,
                    per_device_train_batch_size=settings.batch,
                    learning_rate=LEARNING_RATE,
                    no_cuda=device == "cpu",
                ),
            )
            trainer.prepare_training()
        trainer.model.train()
        batch = DatasetOutput(data=x.to(device), labels=torch.zeros(len(x), device=device))

        while True:
            turn()
            if loader:
                trainer.train_step(1)
            else:
                output = trainer.model(batch, epoch=1, dataset_size=len(x), uses_ddp=False)
                trainer._optimizers_step(output)
                output.loss.item()

    return run


# --- what the machine can do ---


def matmul() -> Contender:
    def run(settings: Settings, turn: Turn) -> None:
        a, b, product = (torch.rand(MATMUL, MATMUL) for _ in range(3))
        while True:
            turn()
            torch.mm(a, b, out=product)

    return run


CONTENDERS: dict[str, Callable[[], Contender]] = {
    "srvae": partial(ours, "srvae"),
    "srvae_plain": plain,
    "vae": partial(ours, "vae"),
    "vae_in_a_row": partial(ours, "vae", row=True),
    "pythae": partial(pythae, loader=False),
    "pythae_loader": partial(pythae, loader=True),
    "matmul": matmul,
}


def peak_bytes() -> int:
    """Most memory this process has held so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def turns(answers: TextIO) -> Turn:
    """A function that ends the step before, waits for a line, and begins the next step."""
    begun: float | None = None
    before = peak_bytes()

    def turn() -> None:
        nonlocal begun
        taken = None if begun is None else time.perf_counter() - begun
        print("ready" if taken is None else taken, file=answers)
        order = sys.stdin.readline().strip()
        if order == "end":
            found = {"peak_bytes": peak_bytes() - before, "torch": torch.__version__}
            print(json.dumps(found | {"threads": torch.get_num_threads()}), file=answers)
        if order != "step":
            sys.exit()
        begun = time.perf_counter()

    return turn


def serve(name: str, settings: Settings, threads: int) -> None:
    """Take a step of the contender for each line of standard input."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print
    if threads:
        torch.set_num_threads(threads)
    run = CONTENDERS[name]()
    # torch imports more at the first update.
    layer = nn.Linear(1, 1)
    layer(torch.zeros(1, 1)).sum().backward()
    torch.optim.Adam(layer.parameters()).step()
    torch.manual_seed(0)
    run(settings, turns(answers))


if __name__ == "__main__":
    serve(sys.argv[1], Settings(*map(int, sys.argv[2:5])), int(sys.argv[5]))
