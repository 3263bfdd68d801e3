"""What disentanglement_lib's own tests want of TensorFlow 1: its test runner, gfile, sums by torch.

There is no graph. A placeholder is a batch of two zeros; what is made of a variable is a function
without arguments (`Lazy`), computed anew each time it is asked for.
"""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import sys
import types
from importlib.machinery import ModuleSpec

import numpy as np
import torch
from absl.testing import absltest


class Lazy:
    """A number that is computed when it is called."""

    def __init__(self, compute):
        self.compute = compute

    def __call__(self):
        return self.compute()

    def __add__(self, other):
        return Lazy(lambda: self() + other)


def _variable(value):
    leaf = torch.tensor(value, requires_grad=True)
    return Lazy(lambda: leaf)


def _value(asked):
    if isinstance(asked, list | tuple):
        return [_value(part) for part in asked]
    if callable(asked):
        return _value(asked())
    return asked.detach().numpy() if isinstance(asked, torch.Tensor) else asked


class Session:
    def run(self, asked, feed_dict=None):
        return _value(asked)


class TestCase(absltest.TestCase):
    @contextlib.contextmanager
    def test_session(self):
        yield Session()

    def evaluate(self, asked):
        return _value(asked)

    def get_temp_dir(self):
        return self.create_tempdir().full_path

    def assertAllEqual(self, one, other):
        np.testing.assert_array_equal(one, other)


def _placeholder(dtype, shape):
    return torch.zeros([2 if size is None else size for size in shape], dtype=dtype)


def _modules():
    tf = types.ModuleType("tensorflow.compat.v1")
    vars(tf).update(
        float32=torch.float32,
        placeholder=_placeholder,
        convert_to_tensor=lambda value, dtype=None: torch.from_numpy(np.asarray(value, dtype)),
        constant=lambda value: torch.as_tensor(value),
        ones=torch.ones,
        zeros=lambda shape: torch.zeros(shape),
        pow=lambda base, exponent: Lazy(lambda: base() ** exponent),
        Variable=_variable,
        initialize_all_variables=lambda: None,
        global_variables_initializer=lambda: types.SimpleNamespace(run=lambda: None),
        math=types.SimpleNamespace(sqrt=np.sqrt),
        random=types.SimpleNamespace(
            normal=lambda shape, mean=0.0, stddev=1.0: torch.randn(shape) * stddev + mean
        ),
        train=types.SimpleNamespace(get_or_create_global_step=lambda: torch.tensor(0)),
        test=types.SimpleNamespace(TestCase=TestCase, main=absltest.main),
        gfile=types.SimpleNamespace(
            GFile=open, Open=open, Exists=os.path.exists, IsDirectory=os.path.isdir,
            MakeDirs=os.makedirs, ListDirectory=os.listdir, Glob=glob.glob,
            DeleteRecursively=shutil.rmtree,
        ),
    )  # fmt: skip
    compat, tensorflow = types.ModuleType("tensorflow.compat"), types.ModuleType("tensorflow")
    vars(compat)["v1"], vars(tensorflow)["compat"] = tf, compat
    modules = {module.__name__: module for module in (tensorflow, compat, tf)}
    for name, module in modules.items():
        module.__spec__ = ModuleSpec(name, None)  # torch asks whether there is a TensorFlow
    return modules


def install():
    """Let `import tensorflow.compat.v1` find this."""
    sys.modules |= _modules()
