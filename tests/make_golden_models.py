"""Writes tests/data/golden_models.json with the original's models on TensorFlow itself.

It needs Python 3.7 and the original's own versions: tensorflow 1.14.0, tensorflow-estimator 1.14.0,
tensorflow-hub 0.7.0, tensorflow-probability 0.7.0, gin-config 0.3.0, numpy 1.18.5, protobuf 3.20.3,
six, absl-py and disentanglement-lib 1.5 (with --no-deps):

    python3.7 tests/make_golden_models.py

Each model trains a few steps by its own `model_fn` on linear networks; weights, images, noise and
permutations come from numpy's stream, so that another framework can start from the same ones.
"""

import itertools
import json
from pathlib import Path

import numpy as np

PATH = Path(__file__).parent / "data" / "golden_models.json"
CASES = {
    "vae": ("vae", {"beta": 4.0}),
    "annealed_vae": ("annealed_vae", {"gamma": 30.0, "c_max": 1.2, "iteration_threshold": 3}),
    "factor_vae": ("factor_vae", {"gamma": 5.0}),
    "beta_tc_vae": ("beta_tc_vae", {"beta": 6.0}),
    "dip_vae_i": ("dip_vae", {"lambda_od": 3.0, "lambda_d_factor": 10.0, "dip_type": "i"}),
    "dip_vae_ii": ("dip_vae", {"lambda_od": 3.0, "lambda_d_factor": 2.0, "dip_type": "ii"}),
}
STEPS, BATCH, LATENT, SIDE = 5, 8, 3, 4
# TensorFlow adds epsilon before the bias correction, others after it: too small to matter here.
VAE_ADAM = {"learning_rate": 1e-2, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-12}
DISCRIMINATOR_ADAM = {"learning_rate": 1e-4, "beta1": 0.5, "beta2": 0.9, "epsilon": 1e-12}
LAYERS = {
    "encoder/e1": (SIDE * SIDE, LATENT),
    "encoder/e2": (SIDE * SIDE, LATENT),
    "decoder/d1": (LATENT, SIDE * SIDE),
    "discriminator/d1": (LATENT, 1000),
    "discriminator/d2": (1000, 1000),
    "discriminator/d3": (1000, 1000),
    "discriminator/d4": (1000, 1000),
    "discriminator/d5": (1000, 1000),
    "discriminator/d6": (1000, 1000),
    "discriminator/logits": (1000, 2),
}


def weights():
    """Kernel (input, output) and bias of each layer."""
    random_state = np.random.RandomState(0)
    values = {}
    for name, (inputs, outputs) in LAYERS.items():
        values[name + "/kernel"] = random_state.normal(size=(inputs, outputs)) * inputs**-0.5
        values[name + "/bias"] = random_state.normal(size=outputs) * 0.1
    return {name: value.astype(np.float32) for name, value in values.items()}


def batch(step):
    """Images (batch, side, side, 1), noise and row permutations, each (batch, latent)."""
    random_state = np.random.RandomState(100 + step)
    images = random_state.uniform(size=(BATCH, SIDE, SIDE, 1)).astype(np.float32)
    noise = random_state.normal(size=(BATCH, LATENT)).astype(np.float32)
    permutations = [random_state.permutation(BATCH) for _ in range(LATENT)]
    return images, noise, np.stack(permutations, 1)


def bindings(model, settings):
    """Lines of gin that the original reads."""
    lines = [f"{model}.{key} = {value!r}" for key, value in settings.items()]
    lines += ["encoder.encoder_fn = @test_encoder", "decoder.decoder_fn = @test_decoder"]
    lines += [f"encoder.num_latent = {LATENT}"]
    lines += ["discriminator.discriminator_fn = @fc_discriminator"]
    lines += ["reconstruction_loss.loss_fn = @bernoulli_loss"]
    for group, adam in (("vae", VAE_ADAM), ("discriminator", DISCRIMINATOR_ADAM)):
        name = f"{group}/AdamOptimizer"
        lines += [f"{group}_optimizer.optimizer_fn = @{name}"]
        lines += [f"{name}.{key} = {value!r}" for key, value in adam.items()]
    return lines


def run(tf, model):
    """Values before each step."""
    images = tf.placeholder(tf.float32, (BATCH, SIDE, SIDE, 1))
    noise = tf.placeholder(tf.float32, (BATCH, LATENT))
    permutations = tf.placeholder(tf.int32, (BATCH, LATENT))
    tf.random_normal = lambda *_: noise
    columns = itertools.count()
    tf.random_shuffle = lambda codes: tf.gather(codes, permutations[:, next(columns)])
    tf.train.create_global_step()

    modes = tf.estimator.ModeKeys
    with tf.variable_scope("", reuse=tf.AUTO_REUSE):
        evaluation = model.model_fn(images, None, modes.EVAL, None)
        columns = itertools.count()
        training = model.model_fn(images, None, modes.TRAIN, None)
    names, tensors = ["reconstruction_loss", "regularizer", "kl_loss"], evaluation.eval_metrics[1]
    if len(tensors) == 4:
        names = ["reconstruction_loss", "elbo", "regularizer", "kl_loss"]
    asked = dict(zip(names, tensors), loss=training.loss)  # noqa: B905
    graph = tf.get_default_graph()
    if any(op.name == "discriminator_loss" for op in graph.get_operations()):
        asked["discriminator_loss"] = -graph.get_tensor_by_name("discriminator_loss:0")

    initial, rows = weights(), []
    with tf.Session(config=tf.ConfigProto(inter_op_parallelism_threads=1)) as session:
        session.run(tf.global_variables_initializer())
        for variable in tf.trainable_variables():
            variable.load(initial[variable.op.name], session)
        for step in range(STEPS):
            feed = dict(zip((images, noise, permutations), batch(step)))  # noqa: B905
            values = session.run(asked, feed)
            rows.append({name: float(value) for name, value in values.items()})
            session.run(training.train_op, feed)
    return rows


def main():
    import gin.tf
    import gin.tf.external_configurables
    import tensorflow.compat.v1 as tf
    from disentanglement_lib.methods.unsupervised import vae

    classes = {"vae": vae.BetaVAE, "annealed_vae": vae.AnnealedVAE, "factor_vae": vae.FactorVAE}
    classes.update(beta_tc_vae=vae.BetaTCVAE, dip_vae=vae.DIPVAE)
    results = {}
    for name, (model, settings) in CASES.items():
        with tf.Graph().as_default():
            gin.clear_config()
            gin.parse_config(bindings(model, settings))
            results[name] = run(tf, classes[model]())
    lines = [f"{json.dumps(name)}: {json.dumps(result)}" for name, result in results.items()]
    PATH.write_text("{{{}}}\n".format(",\n".join(lines)))


if __name__ == "__main__":
    main()
