"""Convolutions of images with one channel, and biases, faster on a CPU.

torch's own are slow where a layer has a single channel on one side (the first and the last of every
network on black-and-white images), and take the gradient of a transposed convolution's bias along
with another one of its weights. These layers compute the same sums by other routes. Where they
cannot, they are torch's.
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_KERNEL, _STRIDE, _PADDING = (4, 4), (2, 2), (1, 1)
"""Of the layers that halve an image; all networks of 64x64 images begin and end with one."""


class Conv2d(nn.Conv2d):
    """`torch.nn.Conv2d`, by another route where that is faster on a CPU."""

    def forward(self, input: Tensor) -> Tensor:
        """Convolve (batch, channel, height, width)."""
        if not _applies(self, input):
            return super().forward(input)
        if self.in_channels == 1 and _halves(self, input):
            return _add_bias(_Gather.apply(input, self.weight), self.bias)
        if self.padding == (0, 0) and input.shape[2:] == self.kernel_size:
            features = F.linear(_rows(input), _rows(self.weight), self.bias)
            return features[:, :, None, None]
        return super().forward(input)


class ConvTranspose2d(nn.ConvTranspose2d):
    """`torch.nn.ConvTranspose2d`, by another route where that is faster on a CPU."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Convolve (batch, channel, height, width), transposed."""
        if output_size is not None or not _applies(self, input):
            return super().forward(input, output_size)
        if self.out_channels == 1 and _halves(self, input):
            image = _Scatter.apply(input, self.weight)
        elif self.padding == (0, 0) and input.shape[2:] == (1, 1):
            rows = input.flatten(1) @ _rows(self.weight)
            image = rows.unflatten(1, (*self.kernel_size, -1)).permute(0, 3, 1, 2)
        else:
            padding = cast(tuple[int, ...], self.padding)  # "same" is for convolutions alone
            image = F.conv_transpose2d(input, self.weight, None, self.stride, padding)
        return _add_bias(image, self.bias)


def _applies(layer: nn.Conv2d | nn.ConvTranspose2d, x: Tensor) -> bool:
    return (
        type(x) is Tensor  # no proxy that records what is done
        and x.device.type == "cpu"
        and x.dim() == 4
        and (layer.dilation, layer.groups, layer.padding_mode) == ((1, 1), 1, "zeros")
        and getattr(layer, "output_padding", (0, 0)) == (0, 0)
        # An exported model holds plain convolutions; autocast and torch.func know these alone.
        and not (torch.compiler.is_compiling() or torch.jit.is_tracing())
        and not torch.is_autocast_enabled("cpu")
        and not _transformed()
    )


def _transformed() -> bool:
    """Whether torch.func's transforms are at work; torch has no public word for it."""
    active = getattr(torch._C, "_are_functorch_transforms_active", None)
    return active is None or active()


def _halves(layer: nn.Conv2d | nn.ConvTranspose2d, x: Tensor) -> bool:
    """Whether the layer is one of those that halve, or transposed double, height and width."""
    settings = (layer.kernel_size, layer.stride, layer.padding)
    return settings == (_KERNEL, _STRIDE, _PADDING) and x.shape[2] % 2 == x.shape[3] % 2 == 0


def _rows(x: Tensor) -> Tensor:
    """(first dimension, all others), channels last: a view of channels-last memory."""
    return x.permute(0, 2, 3, 1).flatten(1)


def _add_bias(image: Tensor, bias: Tensor | None) -> Tensor:
    return image if bias is None else image.add_(bias.view(-1, 1, 1))


class _Gather(torch.autograd.Function):
    """Image (batch, 1, 2h, 2w), weights (channel, 1, 4, 4) to features (batch, channel, h, w)."""

    @staticmethod
    def forward(image: Tensor, weight: Tensor) -> Tensor:
        return _gather(image, weight)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        image, weight = ctx.saved_tensors
        return (
            _scatter(gradient, weight) if ctx.needs_input_grad[0] else None,
            _weight_gradient(image, gradient, weight) if ctx.needs_input_grad[1] else None,
        )


class _Scatter(torch.autograd.Function):
    """Features and weights as in `_Gather` to an image: its transpose."""

    @staticmethod
    def forward(features: Tensor, weight: Tensor) -> Tensor:
        return _scatter(features, weight)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        features, weight = ctx.saved_tensors
        return (
            _gather(gradient, weight) if ctx.needs_input_grad[0] else None,
            _weight_gradient(gradient, features, weight) if ctx.needs_input_grad[1] else None,
        )


def _gather(image: Tensor, weight: Tensor) -> Tensor:
    return F.conv2d(image, weight, None, _STRIDE, _PADDING)


def _scatter(features: Tensor, weight: Tensor) -> Tensor:
    """One matrix product gives what each pixel of the features adds to its 4x4 of the image."""
    batch, channel, height, width = features.shape
    rows = features.permute(0, 2, 3, 1).reshape(batch, height * width, channel)
    patches = torch.matmul(weight.flatten(1).t(), rows.transpose(1, 2))
    return F.fold(patches, (2 * height, 2 * width), _KERNEL, 1, _PADDING, _STRIDE)


def _weight_gradient(image: Tensor, features: Tensor, weight: Tensor) -> Tensor:
    # Of the transposed convolution: the same sum as the convolution's, and the faster of the two.
    mask = [False, True, False]
    return torch.ops.aten.convolution_backward(
        image, features, weight, None, _STRIDE, _PADDING, (1, 1), True, (0, 0), 1, mask
    )[1]
