"""Checks of an exporter: it is given an untrained VAE and writes it below the folder it is given.

Whether the file is right is for the format's own reader to say: `Trained.largest_difference`
compares codes.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from srvae_plugin.interchange.exporters import Exported, Trained, load_trained
from srvae_plugin.runs.directory import RunDirectory
from srvae_plugin.runs.pipeline import postprocess_with_gin, train_with_gin
from srvae_plugin.testing.checks import (
    CheckError,
    Outcome,
    in_stages,
    kind_of,
    require,
)

Exporter = Callable[[Trained, Path], Exported]

_TRAINING = (
    "model.model = @srvae_plugin.vae()",
    "model.training_steps = 0",
    "model.eval_steps = 1",
    "model.batch_size = 2",
    "model.random_seed = 0",
    "vae.beta = 1.0",
    "reconstruction_loss.loss_fn = @bernoulli_loss",
    "encoder.encoder_fn = @fc_encoder",
    "encoder.num_latent = 3",
    "decoder.decoder_fn = @fc_decoder",
    "dataset.name = 'dummy_data'",
)


def it_writes_a_file_into_its_folder(exporter: Exporter, trained: Trained) -> None:
    """And nothing above it; the main file and plain facts are returned."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent).resolve() / "export"
        folder.mkdir()
        done = exporter(trained, folder)
        if not isinstance(done, Exported):
            raise CheckError(
                f"it returns {kind_of(done)}: expected "
                "srvae_plugin.interchange.exporters.Exported(file, facts)"
            )
        if not (done.file.resolve().is_relative_to(folder) and done.file.exists()):
            raise CheckError(f"its file {done.file} is not there: expected one below {folder}")
        if not any(folder.iterdir()):
            raise CheckError("it leaves its folder empty: expected a file there")
        beside = [path.name for path in folder.parent.iterdir() if path != folder]
        if beside:
            raise CheckError(f"it writes {beside[0]} beside its folder: expected nothing there")
        try:
            json.dumps(done.facts)
        except (TypeError, ValueError) as error:
            raise CheckError(
                f"its facts cannot be written to export.json ({error}): expected plain values"
            ) from error


def exporter_outcomes(exporter: Exporter, name: str = "exporter") -> Iterator[Outcome]:
    """Make every check of an exporter."""
    with tempfile.TemporaryDirectory() as folder:
        yield from in_stages(
            name, ((it_writes_a_file_into_its_folder,),), exporter, _untrained(Path(folder))
        )


def check_exporter(exporter: Exporter) -> None:
    """Raise CheckError unless an exporter keeps the contract of `srvae_plugin.exporters`."""
    require(exporter_outcomes(exporter))


def _untrained(run: Path) -> Trained:
    """A run directory of a VAE with its initial weights."""
    directory = RunDirectory(run)
    train_with_gin(directory.model.path, gin_bindings=_TRAINING)
    postprocess_with_gin(
        directory.model.path,
        directory.representation("mean").path,
        gin_bindings=["postprocess.postprocess_fn = @mean_representation"],
    )
    return load_trained(run)
