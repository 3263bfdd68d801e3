"""Makes a TensorFlow 1 Hub module of an exported representation: `python make_tfhub.py`.

It is copied beside what `srvae-export RUN --to disentanglement_lib` writes and run there, in the
environment of disentanglement_lib: TensorFlow 1.14, tensorflow-hub 0.7, Python 3.7. It needs no
other package, and reads `representation.npz` without unpickling. The module goes to `tfhub/`. That
makes the folder one that disentanglement_lib's own evaluate_with_gin takes (signature
"representation"), and its postprocess_with_gin too (signature "gaussian_encoder").
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from typing import Any

import numpy as np

__all__ = [
    "FILE",
    "MODULE",
    "TOLERANCE",
    "TensorFlow",
    "apply",
    "encode",
    "export",
    "main",
    "posterior",
    "read",
]


FILE = "representation.npz"
MODULE = "tfhub"
TOLERANCE = 1e-4


def read(path: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The description of the networks and their arrays, by name."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    return json.loads(str(arrays.pop("description"))), arrays


def apply(ops: Any, layers: list[dict[str, Any]], x: Any) -> Any:
    """Output of a chain of layers; images are (batch, height, width, channel) all along."""
    for layer in layers:
        x = getattr(ops, layer["op"])(x, **{k: v for k, v in layer.items() if k != "op"})
    return x


def posterior(ops: Any, networks: dict[str, Any], x: Any) -> tuple[Any, Any]:
    """Mean and log variance (batch, latent) of one encoder pass."""
    features = apply(ops, networks["encoder"], x)
    return apply(ops, networks["mean"], features), apply(ops, networks["logvar"], features)


def encode(
    ops: Any, description: dict[str, Any], x: Any, noise: Any = None
) -> tuple[Any, Any, Any]:
    """Mean, log variance and code of images; the code is the mean unless there is noise.

    A sequential model takes latent i from pass i and subtracts what its latents so far explain.
    """
    networks = description["networks"]
    if not description["sequential"]:
        mean, logvar = posterior(ops, networks, x)
        return mean, logvar, mean if noise is None else mean + ops.exp(logvar / 2) * noise
    means, logvars, codes = [], [], []
    for i in range(description["num_latent"]):
        mean, logvar = posterior(ops, networks, x)
        means.append(mean[:, i : i + 1])
        logvars.append(logvar[:, i : i + 1])
        code = means[-1]
        if noise is not None:
            code = code + ops.exp(logvars[-1] / 2) * noise[:, i : i + 1]
        codes.append(code)
        if i < description["num_latent"] - 1:
            unset = mean[:, i + 1 :] * 0
            output = apply(ops, networks["decoder"], ops.concat([*codes, unset]))
            x = x - (ops.sigmoid(output) if description["subtracts"] == "image" else output)
    return ops.concat(means), ops.concat(logvars), ops.concat(codes)


class TensorFlow:
    """The operations in TensorFlow 1; variables are named like the arrays."""

    def __init__(self, arrays: dict[str, Any]):
        import tensorflow.compat.v1 as tf

        self.tf, self.arrays = tf, arrays
        self.relu, self.leaky_relu, self.tanh = tf.nn.relu, tf.nn.leaky_relu, tf.tanh
        self.exp, self.sigmoid = tf.exp, tf.sigmoid
        self.values: dict[str, Any] = {}

    def _variable(self, name: str, axes: tuple[int, ...]) -> Any:
        """A variable for an array, its axes in TensorFlow's order."""
        value = np.ascontiguousarray(self.arrays[name].transpose(axes))
        self.values[name] = value
        return self.tf.get_variable(name, value.shape, self.tf.float32)

    def concat(self, parts: list[Any]) -> Any:
        """One array (batch, latent) of several."""
        return self.tf.concat(parts, 1)

    def flatten(self, x: Any) -> Any:
        """PyTorch's order: channel first."""
        if len(x.shape) == 4:
            x = self.tf.transpose(x, [0, 3, 1, 2])
        return self.tf.reshape(x, [-1, int(np.prod([int(size) for size in x.shape[1:]]))])

    def unflatten(self, x: Any, shape: list[int]) -> Any:
        """The inverse; shape is (channel, height, width)."""
        return self.tf.transpose(self.tf.reshape(x, [-1, *shape]), [0, 2, 3, 1])

    def linear(self, x: Any, weight: str, bias: str) -> Any:
        """Fully connected layer."""
        return self.tf.matmul(x, self._variable(weight, (1, 0))) + self._variable(bias, (0,))

    def conv(self, x: Any, weight: str, bias: str, stride: list[int], padding: list[int]) -> Any:
        """Convolution with so many zeros on every side."""
        sides = [[0, 0], [padding[0]] * 2, [padding[1]] * 2, [0, 0]]
        kernel = self._variable(weight, (2, 3, 1, 0))
        x = self.tf.nn.conv2d(self.tf.pad(x, sides), kernel, [1, *stride, 1], "VALID")
        return x + self._variable(bias, (0,))

    def conv_transpose(
        self, x: Any, weight: str, bias: str, stride: list[int], padding: list[int]
    ) -> Any:
        """The transpose of such a convolution: its padding is cut off."""
        kernel = self._variable(weight, (2, 3, 1, 0))
        high, wide = (
            (int(x.shape[1 + i]) - 1) * stride[i] + int(kernel.shape[i]) for i in range(2)
        )
        shape = [self.tf.shape(x)[0], high, wide, int(kernel.shape[2])]
        x = self.tf.nn.conv2d_transpose(x, kernel, shape, [1, *stride, 1], "VALID")
        top, left = padding
        return x[:, top : high - top, left : wide - left] + self._variable(bias, (0,))


def export(description: dict[str, Any], arrays: dict[str, Any], folder: str) -> float:
    """Write the module; ValueError if its codes are not those that came with the export."""
    import tensorflow.compat.v1 as tf
    import tensorflow_hub as hub

    ops = TensorFlow(arrays)

    def module() -> None:
        with tf.variable_scope("", reuse=tf.AUTO_REUSE):
            images = tf.placeholder(tf.float32, [None, *description["observation_shape"]])
            mean, logvar, code = encode(ops, description, images)
            if description["kind"] == "sampled":
                noise = tf.random_normal(tf.shape(mean))
                code = encode(ops, description, images, noise)[2]
        outputs = {"mean": mean, "logvar": logvar}
        hub.add_signature("gaussian_encoder", {"images": images}, outputs)
        hub.add_signature("representation", {"images": images}, {"default": code})

    with tf.Graph().as_default(), tf.Session() as session:
        made = hub.Module(hub.create_module_spec(module))
        for name, variable in made.variable_map.items():
            variable.load(ops.values[name], session)
        images = {"images": tf.constant(arrays["example_images"])}
        found = session.run(made(images, signature="gaussian_encoder", as_dict=True))
        largest = 0.0
        for key, values in found.items():
            expected = arrays["example_" + key]
            difference = float(np.abs(values - expected).max())
            largest = max(largest, difference / max(1.0, float(np.abs(expected).max())))
        if not largest <= TOLERANCE:
            raise ValueError(f"the module's codes differ by {largest:.2g} from the model's")
        unfinished = folder + ".tmp"  # an interrupted export is no module
        shutil.rmtree(unfinished, ignore_errors=True)
        made.export(unfinished, session)
        os.rename(unfinished, folder)
    return largest


def main() -> None:
    """Make the module beside this file, or in the folder that is given."""
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", default=here, help="default: where this file is")
    folder = parser.parse_args().folder
    description, arrays = read(os.path.join(folder, FILE))
    target = os.path.join(folder, MODULE)
    if os.path.exists(target):
        parser.error(f"{target} exists already")
    largest = export(description, arrays, target)
    number = len(arrays["example_images"])
    print(f"{target}: largest difference on {number} images {largest:.1e}")


if __name__ == "__main__":
    main()
