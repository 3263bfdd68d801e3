"""SR-VAE and its relatives on PyTorch, as a plug-in to disentanglement_lib studies.

    import srvae_plugin as sv

    data = sv.load_dataset("dsprites_full")
    run = sv.train(sv.SRVAE(num_latent=10, beta=1.0), data, "runs/a", steps=2500, seed=0)
    sv.score(run, data, ["mig", "dci"])
    sv.score_codes(codes, factors, ["mig", "dci"])
    sv.diagnose(run, data)

What there is (`help(sv.train)` and so on has the arguments and an example):

    data           load_dataset; as_data, of arrays; pairs and labels for training: ChangedFactors,
                   LabelledData
    models         SRVAE, SeqVAE, ResVAE, VAE, AnnealedVAE, FactorVAE, BetaTCVAE, DIPVAE;
                   of pairs: AdaGVAE, AdaMLVAE, GroupVAELabels, MLVAELabels;
                   with labels: S2VAE, S2FactorVAE, S2DIPVAE, S2BetaTCVAE, S2MineVAE, SupervisedVAE
    your own       DisentanglementModel, Gaussian, Losses
    training       train; load_run and load_runs give a Run or Runs
    scoring        score, score_codes, which give Scores; diagnose, which gives a Diagnosis;
                   metrics, each a function of arrays: help(sv.metrics)
    pictures       plot_traversals, plot_reconstructions, plot_decomposition
    with gin       train_with_gin, postprocess_with_gin, evaluate_with_gin, validate_with_gin,
                   load_model, representation_function

gin files are another way of saying the same; `srvae-evaluate --list` names data sets and networks.
"""

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType
from typing import TYPE_CHECKING, Any

from srvae_plugin.version import __version__

if sys.version_info < (3, 11):  # noqa: UP036  (a checkout can be run without pip's check)
    # The last line of the traceback: nothing below says it as plainly.
    raise ImportError(
        f"srvae_plugin needs Python 3.11 or newer; this is {sys.version.split()[0]}: recreate the "
        "environment, for example with python3.11 -m venv"
    )

if TYPE_CHECKING:
    from srvae_plugin import metrics
    from srvae_plugin.config.plugins import load_dataset
    from srvae_plugin.data.own.from_python import as_data
    from srvae_plugin.data.sampling.labelled import LabelledData
    from srvae_plugin.data.sampling.pairs import ChangedFactors
    from srvae_plugin.interchange.diagnosis import diagnose
    from srvae_plugin.interchange.scoring import score
    from srvae_plugin.models import (
        DIPVAE,
        S2DIPVAE,
        S2VAE,
        SRVAE,
        VAE,
        AdaGVAE,
        AdaMLVAE,
        AnnealedVAE,
        BetaTCVAE,
        FactorVAE,
        GroupVAELabels,
        MLVAELabels,
        ResVAE,
        S2BetaTCVAE,
        S2FactorVAE,
        S2MineVAE,
        SeqVAE,
        SupervisedVAE,
    )
    from srvae_plugin.models.base import DisentanglementModel, Gaussian, Losses
    from srvae_plugin.runs.pipeline import (
        evaluate_with_gin,
        load_model,
        postprocess_with_gin,
        representation_function,
        train_with_gin,
        validate_with_gin,
    )
    from srvae_plugin.runs.scoring.diagnosis import Diagnosis
    from srvae_plugin.runs.scoring.score import score_codes
    from srvae_plugin.runs.scoring.scores import Scores
    from srvae_plugin.runs.train import train
    from srvae_plugin.runs.trained import (
        Run,
        Runs,
        load_run,
        load_runs,
        plot_decomposition,
        plot_reconstructions,
        plot_traversals,
    )

# Imported when asked for: processes that score codes need no torch, whose import takes seconds.
_HOME = {
    "models": (
        "SRVAE",
        "SeqVAE",
        "ResVAE",
        "VAE",
        "AnnealedVAE",
        "FactorVAE",
        "BetaTCVAE",
        "DIPVAE",
        "AdaGVAE",
        "AdaMLVAE",
        "GroupVAELabels",
        "MLVAELabels",
        "S2VAE",
        "S2FactorVAE",
        "S2DIPVAE",
        "S2BetaTCVAE",
        "S2MineVAE",
        "SupervisedVAE",
    ),
    "data.own.from_python": ("as_data",),
    "data.sampling.labelled": ("LabelledData",),
    "data.sampling.pairs": ("ChangedFactors",),
    "models.base": ("DisentanglementModel", "Gaussian", "Losses"),
    "config.plugins": ("load_dataset",),
    "interchange.scoring": ("score",),
    "interchange.diagnosis": ("diagnose",),
    "runs.scoring.diagnosis": ("Diagnosis",),
    "runs.scoring.scores": ("Scores",),
    "runs.scoring.score": ("score_codes",),
    "runs.train": ("train",),
    "runs.trained": (
        "Run",
        "Runs",
        "load_run",
        "load_runs",
        "plot_decomposition",
        "plot_reconstructions",
        "plot_traversals",
    ),
    "runs.pipeline": (
        "evaluate_with_gin",
        "load_model",
        "postprocess_with_gin",
        "representation_function",
        "train_with_gin",
        "validate_with_gin",
    ),
}
__all__ = [
    "DIPVAE",
    "S2DIPVAE",
    "S2VAE",
    "SRVAE",
    "VAE",
    "AdaGVAE",
    "AdaMLVAE",
    "AnnealedVAE",
    "BetaTCVAE",
    "ChangedFactors",
    "Diagnosis",
    "DisentanglementModel",
    "FactorVAE",
    "Gaussian",
    "GroupVAELabels",
    "LabelledData",
    "Losses",
    "MLVAELabels",
    "ResVAE",
    "Run",
    "Runs",
    "S2BetaTCVAE",
    "S2FactorVAE",
    "S2MineVAE",
    "Scores",
    "SeqVAE",
    "SupervisedVAE",
    "__version__",
    "as_data",
    "diagnose",
    "evaluate_with_gin",
    "load_dataset",
    "load_model",
    "load_run",
    "load_runs",
    "metrics",
    "plot_decomposition",
    "plot_reconstructions",
    "plot_traversals",
    "postprocess_with_gin",
    "representation_function",
    "score",
    "score_codes",
    "train",
    "train_with_gin",
    "validate_with_gin",
]


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    if name == "metrics":
        return import_module(f"{__name__}.metrics")
    for module, names in _HOME.items():
        if name in names:
            return getattr(import_module(f"srvae_plugin.{module}"), name)
    raise AttributeError(f"module 'srvae_plugin' has no attribute {name!r}")


class _Moved:
    """Finds what networks, models and exporters of users import under its former name."""

    homes = {  # noqa: RUF012  (never changed)
        f"{__name__}.networks": "models.networks",
        f"{__name__}.model": "models.base",
        f"{__name__}.losses": "models.losses",
        f"{__name__}.exporters": "interchange.exporters",
    }

    @classmethod
    def find_spec(cls, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return spec_from_loader(name, cls()) if name in cls.homes else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        home = import_module(f"{__name__}.{self.homes[module.__name__]}")
        module.__dict__.update({k: v for k, v in vars(home).items() if not k.startswith("__")})


sys.meta_path.append(_Moved)
