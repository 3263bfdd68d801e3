"""Models: one paper, one file.

The classes are imported when asked for: a report reads the models' titles beside them, no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from srvae_plugin.models.ada_gvae import AdaGVAE, AdaMLVAE, GroupVAELabels, MLVAELabels
    from srvae_plugin.models.annealed_vae import AnnealedVAE
    from srvae_plugin.models.base import DisentanglementModel
    from srvae_plugin.models.beta_tc_vae import BetaTCVAE
    from srvae_plugin.models.dip_vae import DIPVAE
    from srvae_plugin.models.factor_vae import FactorVAE
    from srvae_plugin.models.semi_supervised import (
        S2DIPVAE,
        S2VAE,
        S2BetaTCVAE,
        S2FactorVAE,
        S2MineVAE,
        SupervisedVAE,
    )
    from srvae_plugin.models.sr_vae import SRVAE, ResVAE, SeqVAE
    from srvae_plugin.models.vae import VAE

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
    "DisentanglementModel",
    "FactorVAE",
    "GroupVAELabels",
    "MLVAELabels",
    "ResVAE",
    "S2BetaTCVAE",
    "S2FactorVAE",
    "S2MineVAE",
    "SeqVAE",
    "SupervisedVAE",
]

_HOME = {
    "AdaGVAE": "ada_gvae",
    "AdaMLVAE": "ada_gvae",
    "AnnealedVAE": "annealed_vae",
    "BetaTCVAE": "beta_tc_vae",
    "DIPVAE": "dip_vae",
    "DisentanglementModel": "base",
    "FactorVAE": "factor_vae",
    "GroupVAELabels": "ada_gvae",
    "MLVAELabels": "ada_gvae",
    "ResVAE": "sr_vae",
    **dict.fromkeys(
        ("S2VAE", "S2FactorVAE", "S2DIPVAE", "S2BetaTCVAE", "S2MineVAE", "SupervisedVAE"),
        "semi_supervised",
    ),
    "SRVAE": "sr_vae",
    "SeqVAE": "sr_vae",
    "VAE": "vae",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
