"""The original's own data set modules, unmodified, on stand-ins for what they import.

Unlike its metrics they do not touch gin, so that they run in the process of the tests.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import os
import sys
import types
from contextlib import contextmanager

import numpy as np
import PIL.Image
import pytest

MISSING = [n for n in ("disentanglement_lib", "six") if importlib.util.find_spec(n) is None]
needs_dlib = pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}")


class _StaysOpen(io.BytesIO):
    """What TensorFlow opens can be read after its `with` block."""

    def __exit__(self, *_):
        pass


def _open(file, mode="rb"):
    with open(file, mode) as stream:
        return _StaysOpen(stream.read())


def _tensorflow():
    tensorflow = types.ModuleType("tensorflow.compat.v1")
    tensorflow.gfile = types.SimpleNamespace(
        Open=_open,
        GFile=_open,
        exists=os.path.exists,
        ListDirectory=lambda f: sorted(os.listdir(f)),
    )
    tensorflow.io = types.SimpleNamespace(gfile=tensorflow.gfile)
    tensorflow.compat, tensorflow.v1 = tensorflow, tensorflow
    return tensorflow


@contextmanager
def original(name):
    """The module `disentanglement_lib.data.ground_truth.<name>`, working on today's Pillow."""
    with pytest.MonkeyPatch.context() as patch:
        stub = _tensorflow()
        for module in ("tensorflow", "tensorflow.compat", "tensorflow.compat.v1"):
            patch.setitem(sys.modules, module, stub)
        for module in [m for m in sys.modules if m.startswith("disentanglement_lib")]:
            patch.delitem(sys.modules, module)
        thumbnail = PIL.Image.Image.thumbnail

        def two_sided(picture, size, *arguments):
            # It gives three sides; older versions of Pillow looked at two.
            thumbnail(picture, size[:2], *arguments)

        patch.setattr(PIL.Image.Image, "thumbnail", two_sided)
        patch.setattr(PIL.Image, "ANTIALIAS", PIL.Image.Resampling.LANCZOS, raising=False)
        yield importlib.import_module(f"disentanglement_lib.data.ground_truth.{name}")
        for module in [m for m in sys.modules if m.startswith("disentanglement_lib")]:
            del sys.modules[module]


def with_sizes(module, data, sizes, chosen=None):
    """Give a data set of the original other factor sizes than those it knows."""
    data.factor_sizes = list(sizes)
    data.latent_factor_indices = list(range(len(sizes))) if chosen is None else chosen
    data.state_space = module.util.SplitDiscreteStateSpace(
        data.factor_sizes, data.latent_factor_indices
    )
    data.factor_bases = np.prod(sizes) / np.cumprod(sizes)
    return data
