"""Run a batch in parts, one thread each.

torch shares every layer among all threads, and they wait for each other at its end, a thousand
times in a training step of SR-VAE. Where images do not depend on each other, each thread can take
some of them through all layers instead; they meet once forward and once backward.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor, nn

from srvae_plugin.convolutions import Conv2d, ConvTranspose2d, is_eager
from srvae_plugin.networks import GaussianEncoder

_LEAST = 16
"""Images in a part: with fewer, the layers' own products take longer."""

_KNOWN = {nn.Sequential, GaussianEncoder, nn.Flatten, nn.Unflatten, nn.Linear, nn.ReLU, nn.Tanh}
_KNOWN |= {Conv2d, ConvTranspose2d, nn.Conv2d, nn.ConvTranspose2d}
"""Layers without state or randomness, that take each image for itself."""
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")

Tensors = tuple[Tensor, ...]
Pass = Callable[..., Tensors]
"""Tensors of a batch, the image first, to others such."""


def in_shards(run: Pass, inputs: Tensors, networks: Iterable[nn.Module]) -> Tensors:
    """run(*inputs), on a CPU in parts of the batch; gradients go to the networks alone.

    `run` is made of `networks` and of functions that take each image for itself. The result, and
    the gradient of one pass back (a second one is an error of torch's), differ from those of a
    single run by rounding. It is a single run for few images, one thread, without gradients, and
    where it could tell: networks of layers that are not known to be of the kind, parts of them
    frozen, hooks, torch's modes and transforms.
    """
    threads, modules = torch.get_num_threads(), [m for net in networks for m in net.modules()]
    num_shards = min(threads, len(inputs[0]) // _LEAST)
    parameters = list(dict.fromkeys(p for m in modules for p in m.parameters(recurse=False)))
    can_tell = (
        any(type(m) not in _KNOWN or any(getattr(m, hooks) for hooks in _HOOKS) for m in modules)
        or any(not p.requires_grad or p._backward_hooks for p in parameters)
        or any(x.requires_grad or not is_eager(x) for x in inputs)
        or _watched()
    )
    if num_shards < 2 or not torch.is_grad_enabled() or can_tell:
        return run(*inputs)
    pool = _pool(num_shards, threads)
    return _InShards.apply(run, pool, num_shards, len(inputs), *inputs, *parameters)


def _watched() -> bool:
    """Whether a mode sees each operation or what is kept for the way back, in one thread only.

    torch has no public word for either.
    """
    num_modes = getattr(torch._C, "_len_torch_dispatch_stack", lambda: 1)
    hooks = getattr(torch._C._autograd, "_top_saved_tensors_default_hooks", lambda _: True)
    return num_modes() > 0 or hooks(True) is not None


class _InShards(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        run: Pass,
        pool: ThreadPoolExecutor,
        num_shards: int,
        num_inputs: int,
        *tensors: Tensor,
    ) -> Tensors:
        inputs, ctx.parameters = tensors[:num_inputs], tensors[num_inputs:]
        parts = zip(*(x.tensor_split(num_shards) for x in inputs), strict=True)
        ctx.pool, ctx.outputs = pool, list(pool.map(lambda part: run(*part), parts))
        return tuple(torch.cat([y.detach() for y in ys]) for ys in zip(*ctx.outputs, strict=True))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        sizes = [len(ys[0]) for ys in ctx.outputs]
        parts = zip(*(gradient.split(sizes) for gradient in gradients), strict=True)
        found = ctx.pool.map(functools.partial(_gradients, ctx.parameters), ctx.outputs, parts)
        sums = [functools.reduce(_add, of_parameter) for of_parameter in zip(*found, strict=True)]
        return (None,) * (len(ctx.needs_input_grad) - len(sums)) + tuple(sums)


def _gradients(parameters: Sequence[Tensor], outputs: Tensors, gradients: Tensors) -> Tensors:
    return torch.autograd.grad(outputs, parameters, gradients, allow_unused=True)


def _add(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return None if a is None or b is None else a + b


@functools.cache
def _pool(num_shards: int, threads: int) -> ThreadPoolExecutor:
    """Threads that share torch's `threads` among them."""
    begun = threading.Barrier(num_shards)

    def begin() -> None:
        # A thread takes the number that was set last anywhere when it first asks for it.
        torch.get_num_threads()
        torch.set_num_threads(threads // num_shards)
        begun.wait()

    pool = ThreadPoolExecutor(num_shards, "shard", begin)
    try:
        list(pool.map(abs, range(num_shards)))
    except BaseException:
        begun.abort()  # those that began do not wait for one that did not
        raise
    finally:
        torch.set_num_threads(threads)
    return pool


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)
