"""Unsupervised models with a loss of a few labels beside theirs, and one of labels alone.

Source: Locatello et al., "Disentangling Factors of Variation Using Few Labels", ICLR 2020, Eq. 2;
disentanglement_lib's `s2_vae`, `s2_factor_vae`, `s2_dip_vae`, `s2_beta_tc_vae`, `s2_mine_vae` and
`supervised`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import gin
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.data.sampling.labelled import LabelledData
from srvae_plugin.data.sampling.labellers import LABELLERS, perfect_labeller
from srvae_plugin.data.sampling.pairs import PairedData
from srvae_plugin.models.base import Gaussian, Losses, Pairs, takes_tensor_step
from srvae_plugin.models.beta_tc_vae import BetaTCVAE
from srvae_plugin.models.bound import as_bound_now
from srvae_plugin.models.dip_vae import DIPVAE
from srvae_plugin.models.factor_vae import DiscriminatorFactory, FactorVAE
from srvae_plugin.models.losses import penalized, require_weight
from srvae_plugin.models.mine import MutualInformation
from srvae_plugin.models.networks.choice import Network
from srvae_plugin.models.supervised_losses import (
    LOSSES,
    Annealer,
    SupervisedLoss,
    make_annealed,
    make_supervised_loss,
)
from srvae_plugin.models.vae import VAE, BaseVAE, Reconstruction, take_loss, vae_losses

__all__ = [
    "S2DIPVAE",
    "S2VAE",
    "S2BetaTCVAE",
    "S2FactorVAE",
    "S2MineVAE",
    "SupervisedVAE",
    "make_labels",
]

_FEW = 100
"""Labelled observations if nobody says how many."""


_GIVEN = ["labels", "dataset", "random_state"]
for _name, _labeller in LABELLERS.items():
    gin.register(_name, module="srvae_plugin", denylist=_GIVEN)(_labeller)


@gin.register("labeller", module="srvae_plugin", denylist=_GIVEN)
def make_labels(
    labels: NDArray[Any],
    dataset: GroundTruthData,
    random_state: np.random.RandomState,
    labeller_fn: Callable[..., Any] = gin.get_configurable(perfect_labeller),
) -> tuple[NDArray[np.float32], list[int]]:
    """Apply the labeller that gin binds to `labeller.labeller_fn`."""
    return labeller_fn(labels, dataset, random_state)


class _Labels(BaseVAE):
    """What a model of a few labels has beside its networks.

    `num_labelled_samples` and the like reach it by `use_labels`, from `TrainingSettings`. What the
    supervised loss learns is trained with encoder and decoder; the original leaves it as it is
    drawn in `s2_factor_vae`, whose optimizer has the networks alone.
    """

    takes_labels: ClassVar[bool] = True
    _label_options: Mapping[str, Any] | None = None
    _factor_sizes: Sequence[int] | None = None
    _loss: SupervisedLoss | str | None = None

    def _take(self, loss: SupervisedLoss | str | None) -> None:
        if isinstance(loss, str):
            if loss not in LOSSES:
                raise ValueError(f"supervised_loss = {loss!r}: expected one of {', '.join(LOSSES)}")
            loss = LOSSES[loss]
        self._loss = loss or as_bound_now(make_supervised_loss)

    def use_labels(self, **options: Any) -> None:
        """Keep what `LabelledData` is made with."""
        self._label_options = options

    def training_data(self, data: Any) -> PairedData:
        """Labelled data as it is; of another data set with the labels that `use_labels` says."""
        if not isinstance(data, PairedData):
            options = {"num_labelled_samples": _FEW} | dict(self._label_options or {})
            data = LabelledData(data, labeller=gin.get_configurable(make_labels), **options)
        elif not isinstance(data, LabelledData):
            raise ValueError(
                f"{type(self).__name__} is trained on LabelledData: got {type(data).__name__}"
            )
        self._factor_sizes = data.factor_sizes
        return data

    def build(self, observation_shape: Sequence[int]) -> None:
        """Create all networks; ValueError if they cannot take the shape or there are few latents.

        What the loss of the labels learns is made too if the labels are known: from
        `training_data`, or from saved weights.
        """
        super().build(observation_shape)
        if self._factor_sizes is not None:
            self._make_head(self._factor_sizes)

    def _make_head(self, sizes: Sequence[int]) -> None:
        assert callable(self._loss)
        self.supervision: nn.Module = self._loss(self.num_latent, sizes)
        self.register_buffer("factor_sizes", torch.tensor(sizes))

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """As of any module; what the loss of the labels learns is made first if it is not."""
        if "factor_sizes" in state_dict and not hasattr(self, "factor_sizes"):
            self._make_head(state_dict["factor_sizes"].tolist())
        return super().load_state_dict(state_dict, strict, assign)

    def parameter_groups(self) -> Mapping[str, Iterable[nn.Parameter]]:
        """The unsupervised model's, with what the loss of the labels learns."""
        groups = {name: list(group) for name, group in super().parameter_groups().items()}
        known = {id(parameter) for group in groups.values() for parameter in group}
        own = self.supervision.parameters() if hasattr(self, "supervision") else ()
        groups["vae"] += [each for each in own if id(each) not in known]
        return groups

    def _supervised(self, x: Pairs) -> Tensor:
        if not hasattr(self, "supervision"):
            raise ValueError(
                f"{type(self).__name__} does not know its labels: call training_data(data) before "
                "build(shape)"
            )
        labelled = x.images.chunk(2)[1]
        return self.supervision(self.encode(labelled).mean, x.labels)


def _with_labels(plain: Losses, supervised: Tensor, weight: Any) -> Losses:
    """Losses with the weighted one of the labels; it is logged without its weight."""
    losses = penalized(plain, weight * supervised)
    return Losses(losses.objectives, losses.logs | {"supervised_loss": supervised.detach()})


class _SemiSupervised(_Labels):
    gin_name: ClassVar[str]

    def _take_labels(
        self, gamma_sup: float | int, loss: SupervisedLoss | str | None, annealer: Annealer | None
    ) -> None:
        self.gamma_sup = require_weight(f"{self.gin_name}.gamma_sup", gamma_sup)
        self._annealer = annealer or as_bound_now(make_annealed)
        self._take(loss)

    @takes_tensor_step
    def losses(self, x: Pairs, step: int | Tensor) -> Losses:
        """The unsupervised model's of the images without labels, plus gamma_sup times the labels'.

        `supervised_loss` is logged too, without its weight.
        """
        plain = super().losses(x.images.chunk(2)[0], step)  # type: ignore[safe-super,arg-type]
        supervised = self._supervised(x)
        return _with_labels(plain, supervised, self._weight(step, supervised))

    def _weight(self, step: int | Tensor, like: Tensor) -> Any:
        weight = self._annealer(self.gamma_sup, step)
        return weight.to(like.dtype) if isinstance(weight, Tensor) else weight


@gin.register("s2_vae", module="srvae_plugin", denylist=["num_latent"])
class S2VAE(_SemiSupervised, VAE):  # type: ignore[misc]
    """Semi-supervised beta-VAE (disentanglement_lib's `s2_vae`); see `VAE`.

    Args:
        beta: weight of the KL term, at least 0.
        gamma_sup: weight of the supervised loss, at least 0.
        supervised_loss: "l2", "xent", "cov", "embed", a class like theirs (see
            `supervised_losses`), or None for what gin binds to `supervised_loss.loss_fn`.
        annealer: the weight at a step, from `gamma_sup` and the step; None for gin's `annealer`.
        encoder, decoder: a name, a function, a module or None; see `BaseVAE`.
        reconstruction_loss: a name, a function or None; see `losses.reconstruction_of`.
        num_latent: number of latents, for use without gin; see `BaseVAE`.

    Example:
        >>> from srvae_plugin.data.dummy_data import DummyData
        >>> model = S2VAE(num_latent=10, beta=1.0, gamma_sup=10.0, supervised_loss="l2")
        >>> data = model.training_data(DummyData())
        >>> model.build((1, 64, 64))
        >>> x = Pairs(torch.zeros(4, 1, 64, 64), torch.zeros(2, 10))
        >>> "supervised_loss" in model.losses(x, step=0).logs
        True
    """

    title = "S2-VAE"
    title_with_beta = "S2-beta-VAE"
    gin_name = "s2_vae"

    def __init__(
        self,
        beta: float | int,
        gamma_sup: float | int,
        supervised_loss: SupervisedLoss | str | None = None,
        annealer: Annealer | None = None,
        encoder: Network = None,
        decoder: Network = None,
        reconstruction_loss: Reconstruction = None,
        *,
        num_latent: int | None = None,
    ):
        super().__init__(
            require_weight("s2_vae.beta", beta), encoder=encoder, decoder=decoder,
            reconstruction_loss=reconstruction_loss, num_latent=num_latent,
        )  # fmt: skip
        self._take_labels(gamma_sup, supervised_loss, annealer)


@gin.register("s2_factor_vae", module="srvae_plugin", denylist=["num_latent"])
class S2FactorVAE(_SemiSupervised, FactorVAE):  # type: ignore[misc]
    """Semi-supervised FactorVAE (disentanglement_lib's `s2_factor_vae`); see `FactorVAE`.

    Args:
        gamma: weight of the total correlation, at least 0.
        gamma_sup: weight of the supervised loss, at least 0.
        supervised_loss: "l2", "xent", "cov", "embed", a class like theirs (see
            `supervised_losses`), or None for what gin binds to `supervised_loss.loss_fn`.
        annealer: the weight at a step, from `gamma_sup` and the step; None for gin's `annealer`.
        encoder, decoder: a name, a function, a module or None; see `BaseVAE`.
        reconstruction_loss: a name, a function or None; see `losses.reconstruction_of`.
        discriminator: as of `FactorVAE`.
        num_latent: number of latents, for use without gin; see `BaseVAE`.

    Example:
        >>> S2FactorVAE(num_latent=10, gamma=20.0, gamma_sup=10.0).published_name
        'S2-FactorVAE'
    """

    title = "S2-FactorVAE"
    gin_name = "s2_factor_vae"

    def __init__(
        self,
        gamma: float | int,
        gamma_sup: float | int,
        supervised_loss: SupervisedLoss | str | None = None,
        annealer: Annealer | None = None,
        encoder: Network = None,
        decoder: Network = None,
        reconstruction_loss: Reconstruction = None,
        discriminator: DiscriminatorFactory | None = None,
        *,
        num_latent: int | None = None,
    ):
        super().__init__(
            require_weight("s2_factor_vae.gamma", gamma), encoder=encoder, decoder=decoder,
            reconstruction_loss=reconstruction_loss, discriminator=discriminator,
            num_latent=num_latent,
        )  # fmt: skip
        self._take_labels(gamma_sup, supervised_loss, annealer)


@gin.register("s2_dip_vae", module="srvae_plugin", denylist=["num_latent"])
class S2DIPVAE(_SemiSupervised, DIPVAE):  # type: ignore[misc]
    """Semi-supervised DIP-VAE (disentanglement_lib's `s2_dip_vae`); see `DIPVAE`.

    Args:
        lambda_od, lambda_d_factor, dip_type: as of `DIPVAE`.
        gamma_sup: weight of the supervised loss, at least 0.
        supervised_loss: "l2", "xent", "cov", "embed", a class like theirs (see
            `supervised_losses`), or None for what gin binds to `supervised_loss.loss_fn`.
        annealer: the weight at a step, from `gamma_sup` and the step; None for gin's `annealer`.
        encoder, decoder: a name, a function, a module or None; see `BaseVAE`.
        reconstruction_loss: a name, a function or None; see `losses.reconstruction_of`.
        num_latent: number of latents, for use without gin; see `BaseVAE`.

    Example:
        >>> model = S2DIPVAE(num_latent=10, lambda_od=10.0, lambda_d_factor=1.0, gamma_sup=10.0)
        >>> model.published_name
        'S2-DIP-VAE-I'
    """

    title = "S2-DIP-VAE-{dip_type}"
    gin_name = "s2_dip_vae"

    def __init__(
        self,
        lambda_od: float | int,
        lambda_d_factor: float | int,
        gamma_sup: float | int,
        dip_type: str = "i",
        supervised_loss: SupervisedLoss | str | None = None,
        annealer: Annealer | None = None,
        encoder: Network = None,
        decoder: Network = None,
        reconstruction_loss: Reconstruction = None,
        *,
        num_latent: int | None = None,
    ):
        super().__init__(
            lambda_od, lambda_d_factor, dip_type, encoder=encoder, decoder=decoder,
            reconstruction_loss=reconstruction_loss, num_latent=num_latent,
        )  # fmt: skip
        self._take_labels(gamma_sup, supervised_loss, annealer)


@gin.register("s2_beta_tc_vae", module="srvae_plugin", denylist=["num_latent"])
class S2BetaTCVAE(_SemiSupervised, BetaTCVAE):  # type: ignore[misc]
    """Semi-supervised beta-TCVAE (disentanglement_lib's `s2_beta_tc_vae`); see `BetaTCVAE`.

    Args:
        beta: weight of the total correlation, at least 0.
        gamma_sup: weight of the supervised loss, at least 0.
        supervised_loss: "l2", "xent", "cov", "embed", a class like theirs (see
            `supervised_losses`), or None for what gin binds to `supervised_loss.loss_fn`.
        annealer: the weight at a step, from `gamma_sup` and the step; None for gin's `annealer`.
        encoder, decoder: a name, a function, a module or None; see `BaseVAE`.
        reconstruction_loss: a name, a function or None; see `losses.reconstruction_of`.
        num_latent: number of latents, for use without gin; see `BaseVAE`.

    Example:
        >>> S2BetaTCVAE(num_latent=10, beta=4.0, gamma_sup=10.0).published_name
        'S2-beta-TCVAE'
    """

    title = "S2-beta-TCVAE"
    gin_name = "s2_beta_tc_vae"

    def __init__(
        self,
        beta: float | int,
        gamma_sup: float | int,
        supervised_loss: SupervisedLoss | str | None = None,
        annealer: Annealer | None = None,
        encoder: Network = None,
        decoder: Network = None,
        reconstruction_loss: Reconstruction = None,
        *,
        num_latent: int | None = None,
    ):
        super().__init__(
            require_weight("s2_beta_tc_vae.beta", beta), encoder=encoder, decoder=decoder,
            reconstruction_loss=reconstruction_loss, num_latent=num_latent,
        )  # fmt: skip
        self._take_labels(gamma_sup, supervised_loss, annealer)


@gin.register("s2_mine_vae", module="srvae_plugin", denylist=["num_latent"])
class S2MineVAE(_SemiSupervised, VAE):
    """Each latent is kept from all labels but its own (disentanglement_lib's `s2_mine_vae`).

    The supervised loss is the sum over labels l and latents r != l of the squared mutual
    information, as small networks estimate it (`models.mine`). These are trained by the parameter
    group "information", with Adam at 0.01 unless gin binds `information_optimizer`.

    Args:
        beta: weight of the KL term, at least 0.
        gamma_sup: weight of the supervised loss, at least 0.
        annealer: the weight at a step, from `gamma_sup` and the step; None for gin's `annealer`.
        encoder, decoder: a name, a function, a module or None; see `BaseVAE`.
        reconstruction_loss: a name, a function or None; see `losses.reconstruction_of`.
        num_latent: number of latents, for use without gin; see `BaseVAE`.

    Example:
        >>> S2MineVAE(num_latent=10, beta=1.0, gamma_sup=10.0).published_name
        'S2-MINE-VAE'
    """

    title = "S2-MINE-VAE"
    gin_name = "s2_mine_vae"
    supervision: MutualInformation

    def __init__(
        self,
        beta: float | int,
        gamma_sup: float | int,
        annealer: Annealer | None = None,
        encoder: Network = None,
        decoder: Network = None,
        reconstruction_loss: Reconstruction = None,
        *,
        num_latent: int | None = None,
    ):
        super().__init__(
            require_weight("s2_mine_vae.beta", beta), encoder=encoder, decoder=decoder,
            reconstruction_loss=reconstruction_loss, num_latent=num_latent,
        )  # fmt: skip
        self._take_labels(
            gamma_sup, lambda latents, sizes: MutualInformation(len(sizes), latents), annealer
        )

    def parameter_groups(self) -> Mapping[str, Iterable[nn.Parameter]]:
        """Encoder and decoder under "vae", the estimators under "information"."""
        networks = [*self.encoder.parameters(), *self.decoder.parameters()]
        return {"vae": networks, "information": list(self.supervision.parameters())}

    @takes_tensor_step
    def losses(self, x: Pairs, step: int | Tensor) -> Losses:  # type: ignore[override]
        """The beta-VAE's plus the weighted supervised loss; and the negative information."""
        plain = VAE.losses(self, x.images.chunk(2)[0], step)
        information = self._supervised(x)
        own = torch.eye(*information.shape, dtype=torch.bool, device=information.device)
        supervised = information.masked_fill(own, 0).square().sum()
        losses = _with_labels(plain, supervised, self._weight(step, supervised))
        return losses._replace(objectives=losses.objectives | {"information": -information.sum()})


@gin.register("supervised", module="srvae_plugin", denylist=["num_latent"])
class SupervisedVAE(_Labels):
    """Codes from the labels alone, with a decoder to look at them (dlib's `supervised`).

    The objective is the supervised loss plus the reconstruction loss, which the encoder does not
    see: the decoder is trained on codes that are held fixed.

    Args:
        supervised_loss: as of `S2VAE`.
        encoder, decoder: a name, a function, a module or None; see `BaseVAE`.
        reconstruction_loss: a name, a function or None; see `losses.reconstruction_of`.
        num_latent: number of latents, for use without gin; see `BaseVAE`.

    Example:
        >>> SupervisedVAE(num_latent=10).published_name
        'Supervised'
    """

    title = "Supervised"
    holds_gradients_back = True

    def __init__(
        self,
        supervised_loss: SupervisedLoss | str | None = None,
        encoder: Network = None,
        decoder: Network = None,
        reconstruction_loss: Reconstruction = None,
        *,
        num_latent: int | None = None,
    ):
        super().__init__(encoder, decoder, num_latent=num_latent)
        take_loss(self, reconstruction_loss)
        self._take(supervised_loss)

    @takes_tensor_step
    def losses(self, x: Pairs, step: int | Tensor) -> Losses:
        """Both losses, with one sample of z for each image without label."""
        images = x.images.chunk(2)[0]
        posterior = Gaussian(*(parameter.detach() for parameter in self.encode(images)))
        logits = self.decode(posterior.sample(torch.randn_like(posterior.mean)))
        plain = vae_losses(self._reconstruction_loss(images, logits), posterior, beta=0.0)
        return _with_labels(plain, self._supervised(x), 1)
