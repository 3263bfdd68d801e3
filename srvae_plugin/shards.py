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
from torch import Tensor

from srvae_plugin.convolutions import is_eager

_LEAST = 16
"""Images in a part: with fewer, the layers' own products take longer."""

Tensors = tuple[Tensor, ...]
Pass = Callable[..., Tensors]
"""Tensors of a batch, the image first, to others such; images must not depend on each other."""


def in_shards(run: Pass, inputs: Tensors, parameters: Iterable[Tensor]) -> Tensors:
    """run(*inputs), on a CPU in parts of the batch; gradients go to `parameters` alone.

    The result, and the gradient that one pass back gives, differ from those of a single run by
    rounding. Where parts do not pay, or something looks on (a transform, a compiler), it is one.
    """
    parameters = [p for p in parameters if p.requires_grad]
    threads = torch.get_num_threads()
    num_shards = min(threads, len(inputs[0]) // _LEAST)
    needed = torch.is_grad_enabled() and not any(x.requires_grad for x in inputs)
    if num_shards < 2 or not needed or not all(is_eager(x) for x in inputs):
        return run(*inputs)
    return _InShards.apply(
        run, _pool(num_shards, threads), num_shards, len(inputs), *inputs, *parameters
    )


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
    if a is None or b is None:
        return b if a is None else a
    return a.add_(b)


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
    list(pool.map(abs, range(num_shards)))
    torch.set_num_threads(threads)
    return pool


os.register_at_fork(after_in_child=_pool.cache_clear)
