"""Convolutions of images with one channel, and biases, faster on a CPU.

torch's own are slow where a layer has a single channel on one side (the first and the last of every
network on black-and-white images), and take the gradient of a transposed convolution's bias along
with another one of its weights. These layers compute the same sums by other routes. Where they
cannot, they are torch's.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import forward_ad

_KERNEL, _STRIDE, _PADDING = (4, 4), (2, 2), (1, 1)
"""Of the layers that halve an image; all networks of 64x64 images begin and end with one."""


class Conv2d(nn.Conv2d):
    """`torch.nn.Conv2d`, by another route where that is faster on a CPU."""

    def forward(self, input: Tensor) -> Tensor:
        """Convolve (batch, channel, height, width)."""
        if not _applies(self, input):
            return super().forward(input)
        if self.in_channels == 1 and _halves(self, input):
            return _Gather.apply(input, self.weight, self.bias)
        if self.padding == (0, 0) and input.shape[2:] == self.kernel_size:
            return _FromMap.apply(input, self.weight, self.bias)
        return super().forward(input)


class ConvTranspose2d(nn.ConvTranspose2d):
    """`torch.nn.ConvTranspose2d`, by another route where that is faster on a CPU."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Convolve (batch, channel, height, width), transposed."""
        if output_size is not None or not _applies(self, input):
            return super().forward(input, output_size)
        if self.out_channels == 1 and _halves(self, input):
            return _Scatter.apply(input, self.weight, self.bias)
        if self.padding == (0, 0) and input.shape[2:] == (1, 1):
            return _ToMap.apply(input, self.weight, self.bias)
        return _Transposed.apply(input, self.weight, self.bias, self.stride, self.padding)


def _applies(layer: nn.Conv2d | nn.ConvTranspose2d, x: Tensor) -> bool:
    return (
        _is_eager(x)
        and not any(_is_dual(tensor) for tensor in (x, *layer.parameters(recurse=False)))
        and x.dim() == 4
        and (layer.dilation, layer.groups, layer.padding_mode) == ((1, 1), 1, "zeros")
        and getattr(layer, "output_padding", (0, 0)) == (0, 0)
    )


def _is_eager(x: Tensor) -> bool:
    """Whether x is an ordinary tensor on a CPU, and what is done with it is done at once."""
    return (
        type(x) is Tensor  # no proxy that records what is done
        and x.device.type == "cpu"
        and x.is_floating_point()
        # An exported model holds plain convolutions; autocast and torch.func know these alone.
        and not (torch.compiler.is_compiling() or torch.jit.is_tracing())
        and not torch.is_autocast_enabled("cpu")
        and not _transformed()
    )


def _is_dual(x: Tensor) -> bool:
    """Whether forward differentiation goes through x."""
    return forward_ad.unpack_dual(x).tangent is not None


def _transformed() -> bool:
    """Whether torch.func is at work; torch has no public word for it."""
    active = getattr(torch._C, "_are_functorch_transforms_active", None)
    return active is None or active()


def _halves(layer: nn.Conv2d | nn.ConvTranspose2d, x: Tensor) -> bool:
    """Whether the layer is one of those that halve, or transposed double, height and width."""
    settings = (layer.kernel_size, layer.stride, layer.padding)
    return settings == (_KERNEL, _STRIDE, _PADDING) and x.shape[2] % 2 == x.shape[3] % 2 == 0


def _rows(x: Tensor) -> Tensor:
    """(first dimension, all others), channels last: a view of channels-last memory."""
    return x.permute(0, 2, 3, 1).reshape(len(x), x.shape[1:].numel())


def _unflatten(rows: Tensor, like: Tensor) -> Tensor:
    """The inverse of `_rows`, for maps of the size of `like`'s."""
    channel, height, width = like.shape[1:]
    return rows.reshape(len(rows), height, width, channel).permute(0, 3, 1, 2)


def _add_bias(image: Tensor, bias: Tensor | None) -> Tensor:
    return image if bias is None else image.add_(bias.view(-1, 1, 1))


class _FromMap(torch.autograd.Function):
    """A whole map (batch, channel, height, width) to features (batch, feature, 1, 1).

    A matrix product, as is `_ToMap`; made here, so that what it returns is no view, which a ReLU
    could not work on in place without copies.
    """

    @staticmethod
    def forward(ctx: Any, map: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(map, weight)
        features = map.new_empty(len(map), len(weight), 1, 1)
        torch.mm(_rows(map), _rows(weight).t(), out=_rows(features))
        return _add_bias(features, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        map, weight = ctx.saved_tensors
        needs, rows = ctx.needs_input_grad, _rows(gradient)
        return (
            _unflatten(rows @ _rows(weight), map) if needs[0] else None,
            _unflatten(rows.t() @ _rows(map), weight) if needs[1] else None,
            rows.sum(0) if needs[2] else None,
        )


class _ToMap(torch.autograd.Function):
    """The transpose of `_FromMap`; weights (feature, channel, height, width), bias (channel,)."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(features, weight)
        map = features.new_empty(len(features), *weight.shape[1:])
        map = map.contiguous(memory_format=torch.channels_last)
        torch.mm(_rows(features), _rows(weight), out=_rows(map))
        return _add_bias(map, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        features, weight = ctx.saved_tensors
        needs, rows = ctx.needs_input_grad, _rows(gradient)
        return (
            (rows @ _rows(weight).t())[:, :, None, None] if needs[0] else None,
            _unflatten(_rows(features).t() @ rows, weight) if needs[1] else None,
            _sum(gradient) if needs[2] else None,
        )


class _Transposed(torch.autograd.Function):
    """Transposed convolution whose bias has its gradient summed apart from that of the weights."""

    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: tuple[int, int],
        padding: tuple[int, int],
    ) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv_transpose2d(features, weight, bias, stride, padding)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        features, weight = ctx.saved_tensors
        mask = [*ctx.needs_input_grad[:2], False]
        found = _convolution_backward(
            gradient, features, weight, True, mask, ctx.stride, ctx.padding
        )
        return (*found[:2], _sum(gradient) if ctx.needs_input_grad[2] else None, None, None)


class _Gather(torch.autograd.Function):
    """Image (batch, 1, 2h, 2w), weights (channel, 1, 4, 4), bias (channel,) or None to features.

    These are (batch, channel, h, w).
    """

    @staticmethod
    def forward(ctx: Any, image: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(image, weight)
        return _gather(image, weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        image, weight = ctx.saved_tensors
        return (
            _scatter(gradient, weight) if ctx.needs_input_grad[0] else None,
            _weight_gradient(image, gradient, weight) if ctx.needs_input_grad[1] else None,
            _sum(gradient) if ctx.needs_input_grad[2] else None,
        )


class _Scatter(torch.autograd.Function):
    """Features and weights as in `_Gather`, bias (1,) or None, to an image: its transpose."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(features, weight)
        return _add_bias(_scatter(features, weight), bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        features, weight = ctx.saved_tensors
        return (
            _gather(gradient, weight) if ctx.needs_input_grad[0] else None,
            _weight_gradient(gradient, features, weight) if ctx.needs_input_grad[1] else None,
            _sum(gradient) if ctx.needs_input_grad[2] else None,
        )


def _gather(image: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return F.conv2d(image, weight, bias, _STRIDE, _PADDING)


def _scatter(features: Tensor, weight: Tensor) -> Tensor:
    """One matrix product gives what each pixel of the features adds to its 4x4 of the image.

    Pixel row i adds kernel row k to row 2 i + k - 1 of the image. So image row 2 i gets kernel row
    1 of pixel row i and 3 of the one before, row 2 i + 1 gets 2 of i and 0 of the next; likewise
    columns. `torch.nn.functional.fold` is slower.
    """
    batch, channel, height, width = features.shape
    pixels = features.permute(0, 2, 3, 1).reshape(batch, height * width, channel)
    kernels = weight.view(channel, 16).t().expand(batch, -1, -1)
    sums = torch.bmm(kernels, pixels.transpose(1, 2)).view(batch, 4, 4, height, width)
    # Not +=, which would copy the sum onto itself.
    sums[:, :, 1, :, 1:].add_(sums[:, :, 3, :, :-1])
    sums[:, :, 2, :, :-1].add_(sums[:, :, 0, :, 1:])
    sums = sums[:, :, 1:3]
    sums[:, 1, :, 1:].add_(sums[:, 3, :, :-1])
    sums[:, 2, :, :-1].add_(sums[:, 0, :, 1:])
    return sums[:, 1:3].permute(0, 3, 1, 4, 2).reshape(batch, 1, 2 * height, 2 * width)


def _weight_gradient(image: Tensor, features: Tensor, weight: Tensor) -> Tensor:
    # Of the transposed convolution: the same sum as the convolution's, and the faster of the two.
    mask = [False, True, False]
    return _convolution_backward(image, features, weight, True, mask, _STRIDE, _PADDING)[1]


def _convolution_backward(
    gradient: Tensor,
    input: Tensor,
    weight: Tensor,
    transposed: bool,
    mask: list[bool],
    stride: tuple[int, int],
    padding: tuple[int, int],
) -> tuple[Tensor, ...]:
    return torch.ops.aten.convolution_backward(
        gradient, input, weight, None, stride, padding, (1, 1), transposed, (0, 0), 1, mask
    )


def _sum(gradient: Tensor) -> Tensor:
    """Gradient of a bias."""
    return gradient.sum((0, 2, 3))
