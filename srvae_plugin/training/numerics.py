"""How a device computes: the same every time, in float32 unless asked for less, and its layout."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

import torch

__all__ = ["denormals_flushed", "memory_format", "numerics"]


@contextlib.contextmanager
def numerics(device: torch.device, tf32: bool, benchmark: bool = False) -> Iterator[None]:
    """Within this context, use deterministic convolutions, and TF32 or float32.

    TF32 rounds the factors of a product to 10 bits, which torch does in convolutions unless told
    not to. Nothing changes on another device than an NVIDIA GPU.

    Args:
        device: the device that computes.
        tf32: allow that rounding, in convolutions and matrix products.
        benchmark: let cuDNN time its kernels and take the fastest for each size; another process
            may find another one the fastest, whose sums differ in the last bits.
    """
    if device.type != "cuda":
        yield
        return
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark
    try:
        matmul.allow_tf32 = cudnn.allow_tf32 = tf32
        cudnn.deterministic, cudnn.benchmark = True, benchmark
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark = before


@contextlib.contextmanager
def denormals_flushed(device: torch.device) -> Iterator[None]:
    """Within this context, a CPU computes with 0 in place of denormal numbers, below about 1e-38.

    A CPU is slow with them. Adam's averages for a unit that no gradient reaches any more end up
    there, and so do gradients of a squared error where a sigmoid is saturated.
    """
    before = sys.float_info.min / 2 == 0.0
    try:
        torch.set_flush_denormal(before or device.type == "cpu")
        yield
    finally:
        torch.set_flush_denormal(before)


def memory_format(device: torch.device, channels_last: bool | str = "auto") -> torch.memory_format:
    """How images and kernels lie in memory on a device.

    Args:
        device: where is computed.
        channels_last: whether channels come last; "auto": not on an NVIDIA GPU, elsewhere yes.
    """
    last = device.type != "cuda" if channels_last == "auto" else channels_last
    return torch.channels_last if last else torch.contiguous_format
