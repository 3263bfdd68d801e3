"""The table of docs/networks.md: python benchmarks/networks.py.

For each size what the default networks and their neighbours make of it: the layers that halve, the
last map, how many pixels of the image one place of that map depends on, and parameters with 10
latents. Everything is counted on built networks.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from srvae_plugin.models.base import Shape
from srvae_plugin.models.networks import DECODERS, ENCODERS

LATENT = 10
SIZES = ((28, 28), (32, 32), (48, 80), (64, 64), (96, 96), (128, 128), (256, 256))
HEAD = """\
| image | networks | layers | last map | receptive field | parameters, 1 channel | 3 channels |
|---|---|---|---|---|---|---|"""


def strided(encoder: nn.Module) -> list[nn.Conv2d]:
    """The convolutions that halve a side."""
    layers = [layer for layer in encoder.modules() if isinstance(layer, nn.Conv2d)]
    return [layer for layer in layers if max(layer.stride) > 1]


def last_map(encoder: nn.Module, size: tuple[int, int]) -> tuple[int, int]:
    """Height and width after the last of them."""
    for layer in strided(encoder):
        size = tuple(
            (side + 2 * pad - kernel) // step + 1
            for side, kernel, step, pad in zip(
                size, layer.kernel_size, layer.stride, layer.padding, strict=True
            )
        )  # type: ignore[assignment]
    return size


def receptive_field(encoder: nn.Module) -> tuple[int, int]:
    """Rows and columns of the image that one place of the last map depends on."""
    field, apart = [1, 1], [1, 1]
    for layer in strided(encoder):
        for axis in (0, 1):
            field[axis] += (layer.kernel_size[axis] - 1) * apart[axis]
            apart[axis] *= layer.stride[axis]
    return field[0], field[1]


def parameters(encoder: str, decoder: str, shape: Shape) -> int:
    """Of both networks together."""
    both = ENCODERS[encoder](shape, LATENT), DECODERS[decoder](LATENT, shape)
    return sum(p.numel() for network in both for p in network.parameters())


def rows() -> Iterator[str]:
    """The table, row by row."""
    for size in SIZES:
        pairs = [("conv_encoder_any", "conv_decoder_any")]
        if size == (64, 64):
            pairs = [("srvae_encoder", "srvae_decoder"), *pairs, ("conv_encoder", "deconv_decoder")]
        for encoder, decoder in pairs:
            built = ENCODERS[encoder]((1, *size), LATENT)
            counts = [parameters(encoder, decoder, (channel, *size)) for channel in (1, 3)]
            cells = [
                _by(size),
                f"`{encoder}`, `{decoder}`",
                str(len(strided(built))),
                _by(last_map(built, size)),
                _by(receptive_field(built)),
                *(f"{count:,}" for count in counts),
            ]
            yield f"| {' | '.join(cells)} |"
    for features in (8, 64):
        count = parameters("mlp_encoder", "mlp_decoder", (features, 1, 1))
        yield f"| {features} features | `mlp_encoder`, `mlp_decoder` | | | all | {count:,} | |"


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def table() -> str:
    """The whole table."""
    return "\n".join([HEAD, *rows()])


if __name__ == "__main__":
    print(table())
