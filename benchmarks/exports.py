"""What each export of a run costs and how close it is: python benchmarks/exports.py RUN_DIR.

For each format: size of what is written, seconds to write it (its own check on 256 images
included), seconds of its consumer for 1,000 images of the run's data set, and the largest
|difference| of the consumer's codes from the model's own. Nothing of ours reads the files: they
are opened with torch, onnxruntime, a scikit-learn pipeline, numpy and pandas. Of the tables the
seconds are those to read them; of the model itself, "run", those to encode.
"""

import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import pandas
import torch
from sklearn.pipeline import make_pipeline
from srvae_adapters.sklearn import RepresentationTransformer

from srvae_plugin.cli.export import export
from srvae_plugin.config.gin_files import configured
from srvae_plugin.interchange.exporters import load_trained

IMAGES = 1000
TABLES = ("npz", "parquet")


def torchscript(path, images):
    module = torch.jit.load(path)
    return lambda: torch.cat([module(part) for part in images.split(250)]).numpy()


def torch_export(path, images):
    module = torch.export.load(path).module()
    return lambda: torch.cat([module(part) for part in images.split(250)]).numpy()


def onnx(path, images):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    parts = [part.numpy() for part in images.split(250)]
    return lambda: np.concatenate([session.run(None, {"images": part})[0] for part in parts])


def sklearn(path, images):
    pipeline = make_pipeline(RepresentationTransformer(path, batch_size=250)).fit(images[:1])
    return lambda: pipeline.transform(images.numpy())


def npz(path, images):
    return lambda: np.load(path)["codes"]


def parquet(path, images):
    return lambda: pandas.read_parquet(path).filter(like="latent_").to_numpy()


def timed(work):
    begun = time.perf_counter()
    return work(), time.perf_counter() - begun


def size_of(path):
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def main(run):
    warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript's
    with configured(), tempfile.TemporaryDirectory() as folder:
        trained = load_trained(Path(run))
        # The rows that the table formats draw for this number and their default seed.
        chosen = np.random.RandomState(0).choice(
            trained.data.num_observations, IMAGES, replace=False
        )
        images = torch.from_numpy(trained.data.observations_at(np.sort(chosen)))
        trained.function.batch_size = 250
        expected, seconds = timed(lambda: trained.function(images.numpy()))
        print(
            f"{trained.function.model.num_latent} latents, largest code {abs(expected).max():.2f}"
        )
        print(f"{'format':<14}{'kB':>8}{'export s':>10}{'1,000 s':>9}{'max |diff|':>12}")
        weights = size_of(trained.folder / "model.safetensors") / 1e3
        print(f"{'run':<14}{weights:>8.0f}{'':>10}{seconds:>9.2f}{'':>12}")
        for consumer in (torchscript, torch_export, onnx, sklearn, npz, parquet):
            form = consumer.__name__
            rows = [f"export_{form}.num_observations = {IMAGES}"] if form in TABLES else []
            rows += ["export_npz.importance = False"] if form == "npz" else []
            done, making = timed(lambda f=form, r=rows: export(run, f, f"{folder}/{f}", bindings=r))
            found, using = timed(consumer(done.file, images))
            difference = np.abs(found - expected).max()
            size = size_of(done.file) / 1e3
            print(f"{form:<14}{size:>8.0f}{making:>10.1f}{using:>9.2f}{difference:>12.1e}")


if __name__ == "__main__":
    main(*sys.argv[1:])
