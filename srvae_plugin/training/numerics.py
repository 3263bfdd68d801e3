"""How a GPU computes: the same every time, and in float32 unless asked for less."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def numerics(device: torch.device, tf32: bool) -> Iterator[None]:
    """Meanwhile take convolutions that give the same bits every time, and TF32 or float32.

    TF32 rounds the factors of a product to 10 bits, which torch does in convolutions unless told
    not to. Nothing changes on another device than a GPU of NVIDIA's.

    Args:
        device: where is computed.
        tf32: round so, in convolutions and matrix products.
    """
    if device.type != "cuda":
        yield
        return
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark
    try:
        matmul.allow_tf32 = cudnn.allow_tf32 = tf32
        cudnn.deterministic, cudnn.benchmark = True, False
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark = before
