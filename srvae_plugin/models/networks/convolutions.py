"""Convolutions of images with few channels, and biases, faster than torch's.

torch's own are slow where a layer has a single channel on one side (the first and the last of every
network on black-and-white images). On a CPU they also take the gradient of a transposed
convolution's bias along with another one of its weights; on an NVIDIA GPU the gradient of those
layers' weights took two fifths of a step, colour images included. These layers compute the same
sums by other routes. Where they cannot, they are torch's.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import forward_ad

__all__ = ["Conv2d", "ConvTranspose2d"]

_KERNEL, _STRIDE, _PADDING = (4, 4), (2, 2), (1, 1)
"""Of the layers that halve an image; all networks of 64x64 images begin and end with one."""
_BY_PATCHES = ("cuda",)
"""Kinds of device where such layers are matrix products with patches of the image."""
_FEW = 4
"""Channels of an image that patches are made of; layers with more are torch's there."""


class Conv2d(nn.Conv2d):
    """`torch.nn.Conv2d`, by another route where that is faster."""

    def forward(self, input: Tensor) -> Tensor:
        """Convolve (batch, channel, height, width)."""
        if not _applies(self, input):
            return super().forward(input)
        if input.device.type in _BY_PATCHES:
            if self.in_channels <= _FEW and _halves(self, input):
                return _FromPatches.apply(*_cast(input, self.weight, self.bias))
            if self.padding == (0, 0) and input.shape[2:] == self.kernel_size:
                return _from_map(input, self.weight, self.bias)
            return super().forward(input)
        if self.in_channels == 1 and _halves(self, input):
            return _Gather.apply(input, self.weight, self.bias)
        if self.padding == (0, 0) and input.shape[2:] == self.kernel_size:
            return _FromMap.apply(input, self.weight, self.bias)
        return super().forward(input)


class ConvTranspose2d(nn.ConvTranspose2d):
    """`torch.nn.ConvTranspose2d`, by another route where that is faster."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Convolve (batch, channel, height, width), transposed."""
        if output_size is not None or not _applies(self, input):
            return super().forward(input, output_size)
        if input.device.type in _BY_PATCHES:
            if self.out_channels <= _FEW and _halves(self, input):
                return _ToPatches.apply(*_cast(input, self.weight, self.bias))
            if self.padding == (0, 0) and input.shape[2:] == (1, 1):
                return _to_map(input, self.weight, self.bias)
            return super().forward(input)
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
    """Whether x is an ordinary tensor of a device with routes, and computed with at once."""
    device = x.device.type
    return (
        type(x) is Tensor  # no proxy that records what is done
        and x.is_floating_point()
        # An exported model holds plain convolutions; torch.func knows these alone.
        and not (torch.compiler.is_compiling() or torch.jit.is_tracing())
        and (device in _BY_PATCHES or (device == "cpu" and not torch.is_autocast_enabled("cpu")))
        and not _transformed()
    )


def _cast(*tensors: Tensor | None) -> tuple[Tensor | None, ...]:
    """As autocast would for a convolution, if it is on."""
    device = next(x.device.type for x in tensors if x is not None)
    if not torch.is_autocast_enabled(device):
        return tensors
    dtype = torch.get_autocast_dtype(device)
    return tuple(x if x is None or x.dtype == torch.float64 else x.to(dtype) for x in tensors)


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


class _FromPatches(torch.autograd.Function):
    """Image (batch, few, 2h, 2w), weights (channel, few, 4, 4), bias (channel,) or None.

    To features: matrix products of the weights with patches, and so are all gradients.
    """

    @staticmethod
    def forward(ctx: Any, image: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(image, weight)
        return _add_bias(_of_patches(_patches(image), weight, image), bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        image, weight = ctx.saved_tensors
        needs = ctx.needs_input_grad
        return (
            _scatter(gradient, weight) if needs[0] else None,
            _summed_products(gradient, _patches(image), weight) if needs[1] else None,
            _sum(gradient) if needs[2] else None,
        )


class _ToPatches(torch.autograd.Function):
    """Features, weights as in `_FromPatches`, bias (few,) or None to an image: its transpose."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(features, weight)
        return _add_bias(_scatter(features, weight), bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        features, weight = ctx.saved_tensors
        needs = ctx.needs_input_grad
        patches = _patches(gradient) if needs[0] or needs[1] else gradient
        return (
            _of_patches(patches, weight, gradient) if needs[0] else None,
            _summed_products(features, patches, weight) if needs[1] else None,
            _sum(gradient) if needs[2] else None,
        )


def _from_map(map: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """As `_FromMap`, for maps whose channels need not come last; autograd does the rest."""
    features = F.linear(map.flatten(1), weight.flatten(1), bias)
    return torch.ops.aten._unsafe_view(features, (len(map), len(weight), 1, 1))


def _to_map(features: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The transpose of `_from_map`, as `_ToMap`."""
    map = torch.mm(features.flatten(1), weight.flatten(1))
    map = torch.ops.aten._unsafe_view(map, (len(map), *weight.shape[1:]))
    return map if bias is None else map + bias.to(map.dtype).view(-1, 1, 1)


def _patches(image: Tensor) -> Tensor:
    """The 4x4 patch around each 2x2 of an image: (batch, few * 16, h * w).

    One copy; `torch.nn.functional.unfold` launches a kernel for each image of a batch.
    """
    batch, few, height, width = image.shape
    views = F.pad(image, (1, 1, 1, 1)).unfold(2, 4, 2).unfold(3, 4, 2)
    return views.permute(0, 1, 4, 5, 2, 3).reshape(batch, few * 16, height * width // 4)


def _of_patches(patches: Tensor, weight: Tensor, image: Tensor) -> Tensor:
    """Features of an image with these patches."""
    kernels = weight.reshape(1, len(weight), -1).expand(len(image), -1, -1)
    height, width = image.shape[2] // 2, image.shape[3] // 2
    products = torch.bmm(kernels, patches)
    # No view, which a ReLU could not work on in place without copies.
    return torch.ops.aten._unsafe_view(products, (len(image), len(weight), height, width))


def _summed_products(features: Tensor, patches: Tensor, weight: Tensor) -> Tensor:
    """Gradient of the weights; image by image, which keeps many cores busy, and then summed."""
    products = torch.bmm(features.flatten(2), patches.transpose(1, 2))
    return products.sum(0).view(weight.shape)


def _gather(image: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return F.conv2d(image, weight, bias, _STRIDE, _PADDING)


def _scatter(features: Tensor, weight: Tensor) -> Tensor:
    """One matrix product gives what each pixel of the features adds to its 4x4 of the image.

    Pixel row i adds kernel row k to row 2 i + k - 1 of the image. So image row 2 i gets kernel row
    1 of pixel row i and 3 of the one before, row 2 i + 1 gets 2 of i and 0 of the next; likewise
    columns. Each channel of the image apart. `torch.nn.functional.fold` is slower.
    """
    batch, channel, height, width = features.shape
    few = weight.shape[1]
    pixels = features.permute(0, 2, 3, 1).reshape(batch, height * width, channel)
    kernels = weight.reshape(channel, few * 16).t().expand(batch, -1, -1)
    sums = torch.bmm(kernels, pixels.transpose(1, 2)).view(batch * few, 4, 4, height, width)
    # Not +=, which would copy the sum onto itself.
    sums[:, :, 1, :, 1:].add_(sums[:, :, 3, :, :-1])
    sums[:, :, 2, :, :-1].add_(sums[:, :, 0, :, 1:])
    sums = sums[:, :, 1:3]
    sums[:, 1, :, 1:].add_(sums[:, 3, :, :-1])
    sums[:, 2, :, :-1].add_(sums[:, 0, :, 1:])
    return sums[:, 1:3].permute(0, 3, 1, 4, 2).reshape(batch, few, 2 * height, 2 * width)


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
) -> tuple[Any, ...]:
    return torch.ops.aten.convolution_backward(
        gradient, input, weight, None, stride, padding, (1, 1), transposed, (0, 0), 1, mask
    )


def _sum(gradient: Tensor) -> Tensor:
    """Gradient of a bias."""
    return gradient.sum((0, 2, 3))
