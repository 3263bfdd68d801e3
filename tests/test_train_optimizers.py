"""Optimizers and schedules: the original's test, and TensorFlow's formulas as plain loops."""

import ast
import importlib.util
import math
from pathlib import Path

import gin
import numpy as np
import pytest
import torch

from srvae_plugin.config import gin_files
from srvae_plugin.training import schedules
from srvae_plugin.training.optimizers import (
    make_vae_optimizer,
    optimizers_from,
    torch_optimizers,
)
from srvae_plugin.training.schedules import is_scheduled, set_learning_rates
from srvae_plugin.training.updates import Clipping, update_parameters

# The configurations of disentanglement_lib's optimizers_test, and the rates it expects after ten.
ORIGINAL = [
    (["GradientDescentOptimizer.learning_rate = 0.1"], 0.1),
    (["vae_optimizer.learning_rate = 0.1"], 0.1),
    (
        [
            "vae_optimizer.learning_rate = @piecewise_constant",
            "piecewise_constant.boundaries = (3, 5)",
            "piecewise_constant.values = (0.2, 0.1, 0.01)",
        ],
        0.01,
    ),
    (
        [
            "vae_optimizer.learning_rate = @exponential_decay",
            "exponential_decay.learning_rate = 0.1",
            "exponential_decay.decay_steps = 1",
            "exponential_decay.decay_rate = 0.9",
        ],
        0.03486784401,
    ),
]


def test_these_are_all_cases_of_the_originals_test():
    package = importlib.util.find_spec("disentanglement_lib")
    if package is None:
        pytest.skip("disentanglement_lib is not installed")
    file = Path(package.submodule_search_locations[0]) / "methods/shared/optimizers_test.py"
    name = "_make_vae_optimizer_configs"  # a function of plain lists; the rest needs TensorFlow 1
    nodes = [n for n in ast.parse(file.read_text()).body if getattr(n, "name", "") == name]
    scope = {}
    exec(compile(ast.Module(nodes, []), str(file), "exec"), scope)
    descent = "vae_optimizer.optimizer_fn = @GradientDescentOptimizer"
    ours = [([descent, *bindings], rate) for bindings, rate in ORIGINAL]
    assert list(scope[name]()) == ours


def bound_optimizer(parameters):
    return gin.get_configurable("srvae_plugin.vae_optimizer")(parameters)


@pytest.mark.parametrize(("bindings", "expected"), ORIGINAL)
def test_the_originals_own_test(bindings, expected):
    x = torch.nn.Parameter(torch.tensor(0.0))
    by_hand = 0.0
    first = "vae_optimizer.optimizer_fn = @GradientDescentOptimizer"
    with gin_files.only(bindings=[first, *bindings]):
        optimizers = {"vae": bound_optimizer([x])}
        for step in range(10):
            set_learning_rates(optimizers, step)
            rate = optimizers["vae"].param_groups[0]["lr"]
            update_parameters({"vae": (x + 2.0) ** 2}, optimizers)
            by_hand -= rate * 2 * (by_hand + 2)
        set_learning_rates(optimizers, 10)
    assert optimizers["vae"].param_groups[0]["lr"] == pytest.approx(expected, abs=1e-7)
    assert x.item() == pytest.approx(by_hand, rel=1e-5)


def rmsprop(gradients, lr, decay=0.9, momentum=0.0, epsilon=1e-10, centered=False):
    w, s, g1, m = np.zeros(3), np.ones(3), np.zeros(3), np.zeros(3)
    for g in gradients:
        s = decay * s + (1 - decay) * g**2
        g1 = decay * g1 + (1 - decay) * g
        m = momentum * m + lr * g / np.sqrt(s - (g1**2 if centered else 0) + epsilon)
        w = w - m
    return w


def adagrad(gradients, lr, initial_accumulator_value=0.1):
    w, a = np.zeros(3), np.full(3, initial_accumulator_value)
    for g in gradients:
        a = a + g**2
        w = w - lr * g / np.sqrt(a)
    return w


def momentum_of(gradients, lr, momentum=0.9, use_nesterov=False):
    w, m = np.zeros(3), np.zeros(3)
    for g in gradients:
        m = momentum * m + g
        w = w - (lr * g + lr * momentum * m if use_nesterov else lr * m)
    return w


def descent(gradients, lr):
    return -lr * np.sum(gradients, axis=0)


@pytest.mark.parametrize(
    ("name", "formula", "settings"),
    [
        ("GradientDescentOptimizer", descent, {}),
        ("MomentumOptimizer", momentum_of, {"momentum": 0.5}),
        ("MomentumOptimizer", momentum_of, {"momentum": 0.9, "use_nesterov": True}),
        ("AdagradOptimizer", adagrad, {}),
        ("AdagradOptimizer", adagrad, {"initial_accumulator_value": 2.0}),
        ("RMSPropOptimizer", rmsprop, {}),
        ("RMSPropOptimizer", rmsprop, {"decay": 0.5, "momentum": 0.8, "epsilon": 0.1}),
        ("RMSPropOptimizer", rmsprop, {"momentum": 0.3, "centered": True, "epsilon": 1e-3}),
    ],
)
def test_tensorflows_formulas(name, formula, settings):
    gradients = np.random.RandomState(0).randn(12, 3)
    w = torch.nn.Parameter(torch.zeros(3, dtype=torch.float64))
    bindings = [f"{name}.{key} = {value}" for key, value in settings.items()]
    bindings += [f"vae_optimizer.optimizer_fn = @{name}", f"{name}.learning_rate = 0.05"]
    with gin_files.only(bindings=bindings):
        optimizer = bound_optimizer([w])
    for g in gradients:
        w.grad = torch.from_numpy(g)
        optimizer.step()
    np.testing.assert_allclose(w.detach().numpy(), formula(gradients, 0.05, **settings), rtol=1e-12)


def test_torchs_own_differ_from_tensorflows():
    """Why there are two: the same arguments, other weights."""
    w = torch.nn.Parameter(torch.zeros(3, dtype=torch.float64))
    optimizer = torch.optim.RMSprop([w], lr=0.05, alpha=0.9, eps=1e-10)
    w.grad = torch.ones(3, dtype=torch.float64)
    optimizer.step()
    assert not np.allclose(w.detach().numpy(), rmsprop(np.ones((1, 3)), 0.05), rtol=0.1)


@pytest.mark.parametrize("name", sorted(torch_optimizers()))
def test_every_optimizer_of_torchs_by_its_name(name):
    w = torch.nn.Parameter(torch.ones(2, 2))
    bindings = [f"vae_optimizer.optimizer_fn = @{name}", "vae_optimizer.learning_rate = 0.25"]
    with gin_files.only(bindings=bindings):
        optimizer = bound_optimizer([w])
    assert type(optimizer) is getattr(torch.optim, name)
    assert optimizer.param_groups[0]["lr"] == 0.25
    update_parameters({"vae": w.square().sum()}, {"vae": optimizer})
    assert (w < 1).all()


def test_weight_decay_is_the_optimizers():
    w = torch.nn.Parameter(torch.ones(1))
    bindings = ["vae_optimizer.optimizer_fn = @AdamW", "AdamW.lr = 0.1", "AdamW.weight_decay = 0.5"]
    with gin_files.only(bindings=bindings):
        optimizer = bound_optimizer([w])
    w.grad = torch.zeros(1)
    optimizer.step()
    assert w.item() == pytest.approx(1 - 0.1 * 0.5)


@pytest.mark.parametrize(
    ("function", "arguments", "expected"),
    [
        ("exponential_decay", (0.5, 10, 0.1), {5: 0.5 * 0.1**0.5, 25: 0.5 * 0.1**2.5}),
        ("exponential_decay", (0.5, 10, 0.1, True), {9: 0.5, 25: 0.005}),
        ("natural_exp_decay", (0.5, 10, 0.3), {5: 0.5 * math.exp(-0.15)}),
        ("inverse_time_decay", (0.5, 10, 0.3), {5: 0.5 / 1.15}),
        ("piecewise_constant", ((3, 5), (0.2, 0.1, 0.01)), {3: 0.2, 4: 0.1, 5: 0.1, 6: 0.01}),
        ("polynomial_decay", (0.5, 10, 0.1, 2.0), {5: 0.4 * 0.25 + 0.1, 30: 0.1}),
        ("polynomial_decay", (0.5, 10, 0.1, 1.0, True), {15: 0.4 * 0.25 + 0.1}),
        ("cosine_decay", (0.5, 10, 0.2), {0: 0.5, 5: 0.3, 50: 0.1}),
        ("linear_warmup", (0.5, 10), {0: 0.05, 8: 0.45, 9: 0.5, 100: 0.5}),
    ],
)
def test_schedules_at_points_worked_by_hand(function, arguments, expected):
    schedule = getattr(schedules, function)
    for step, rate in expected.items():
        assert schedule(*arguments, global_step=step) == pytest.approx(rate, rel=1e-12)


@pytest.mark.parametrize(
    ("bindings", "message"),
    [
        (["AdamOptimizer.learning_rate = 0.0"], r"AdamOptimizer\.learning_rate = 0\.0"),
        (["AdamOptimizer.learning_rate = @cosine_decay"], "bind a schedule to vae_optimizer"),
        (["vae_optimizer.optimizer_fn = @RMSPropOptimizer"], "RMSPropOptimizer.*is not bound"),
    ],
)
def test_rates_that_cannot_be_used_are_named(bindings, message):
    w = [torch.nn.Parameter(torch.zeros(1))]
    with gin_files.only(bindings=bindings), pytest.raises(ValueError, match=message):
        bound_optimizer(w)


def test_a_schedule_gone_wrong_names_its_step():
    w = [torch.nn.Parameter(torch.zeros(1))]
    optimizer = make_vae_optimizer(w, torch.optim.SGD, lambda global_step: 0.5 - global_step)
    assert is_scheduled(optimizer)
    with pytest.raises(ValueError, match=r"vae_optimizer\.learning_rate is -0\.5 at step 1"):
        set_learning_rates({"vae": optimizer}, 1)


@pytest.mark.parametrize(
    ("clipping", "expected"),
    [((0.0, 0.0), (3.0, 4.0)), ((1.0, 0.0), (0.6, 0.8)), ((9.0, 0.0), (3.0, 4.0)),
     ((0.0, 3.5), (3.0, 3.5))],
)  # fmt: skip
def test_gradients_are_clipped_by_norm_and_by_value(clipping, expected):
    a, b = (torch.nn.Parameter(torch.zeros(())) for _ in range(2))
    optimizers = {"vae": torch.optim.SGD([a, b], 1.0)}
    update_parameters({"vae": 3 * a + 4 * b}, optimizers, Clipping(*clipping))
    assert (-a.item(), -b.item()) == pytest.approx(expected, rel=1e-5)


def test_optimizers_without_gin():
    w = [torch.nn.Parameter(torch.zeros(1))]
    groups = {"vae": w}
    assert type(optimizers_from("Adam", 0.1, groups)["vae"]) is torch.optim.Adam
    assert optimizers_from(torch.optim.AdamW, 0.1, groups)["vae"].param_groups[0]["lr"] == 0.1
    made = optimizers_from(lambda p: torch.optim.SGD(p, 0.3), None, groups)["vae"]
    assert made.param_groups[0]["lr"] == 0.3
    own = torch.optim.SGD(w, 0.2)
    assert optimizers_from(own, None, groups)["vae"] is own
    for optimizer, rate, message in (
        ("Adm", None, "expected one of .*Adam"),
        (own, 0.1, "has one already"),
        (torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 1.0), None, "not hold all"),
        (lambda p: 3, None, "expected a torch optimizer"),
    ):
        with pytest.raises(ValueError, match=message):
            optimizers_from(optimizer, rate, groups)
    with pytest.raises(ValueError, match="vae, discriminator"):
        optimizers_from(own, None, {"vae": w, "discriminator": w})
