"""A batch in parts gives what the whole batch gives, and stays whole where parts would not do."""

import os
import subprocess
import sys
import threading
from functools import partial

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from srvae_plugin import networks
from srvae_plugin.models.sr_vae import SRVAE, ResVAE
from srvae_plugin.shards import in_shards


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


class Watched:
    """A small network with two outputs, and the threads and sizes that it was called with."""

    def __init__(self):
        torch.manual_seed(0)
        self.net = nn.Linear(3, 4).double()
        self.calls = []

    def __call__(self, x, noise):
        self.calls.append((threading.current_thread().name, len(x), torch.get_num_threads()))
        y = self.net(x).sin() * noise
        return y.sum(1), y

    def gradients(self, call, x, noise):
        a, b = call(x, noise)
        return [a, b, *torch.autograd.grad(a.square().mean() + b.mean(), self.net.parameters())]


def inputs(num):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(num, size, dtype=torch.float64, generator=generator) for size in (3, 4)]


@pytest.mark.parametrize("num", [32, 33, 100])
def test_values_and_gradients_are_those_of_the_whole_batch(two_threads, num):
    model = Watched()
    split = lambda *x: in_shards(model, x, [model.net])  # noqa: E731
    found = model.gradients(split, *inputs(num))
    calls, model.calls = model.calls, []
    for a, b in zip(found, model.gradients(model, *inputs(num)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    names, sizes, threads = zip(*calls, strict=True)
    assert all(name.startswith("shard") for name in names)
    assert sorted(sizes) == [num // 2, num - num // 2]
    assert threads == (1, 1)


def test_other_threads_keep_their_number(two_threads):
    model = Watched()
    in_shards(model, tuple(inputs(40)), [model.net])
    found = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert (torch.get_num_threads(), found) == (2, [2])


def in_a_mode(model, run, x):
    with FlopCounterMode(display=False) as counter:
        run(x)
    assert counter.get_total_flops() == 2 * 40 * 3 * 4


def with_saved_tensors_watched(model, run, x):
    seen = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: seen.append(t) or t, lambda t: t):
        run(x)
    assert seen


WHOLE = {
    "few": lambda model, run, x: run(x[:20]),
    "one thread": lambda model, run, x: (torch.set_num_threads(1), run(x)),
    "no gradient": lambda model, run, x: torch.no_grad()(run)(x),
    "the input's gradient": lambda model, run, x: run(x.clone().requires_grad_()),
    "transformed": lambda model, run, x: torch.func.vjp(run, x),
    "a mode": in_a_mode,
    "saved tensors watched": with_saved_tensors_watched,
    "frozen": lambda model, run, x: (model.net.bias.requires_grad_(False), run(x)),
    "a weight's hook": lambda model, run, x: (model.net.bias.register_hook(abs), run(x)),
    "a layer's hook": lambda model, run, x: (
        model.net.register_forward_hook(lambda *given: None),
        run(x),
    ),
}


@pytest.mark.parametrize("case", WHOLE)
def test_the_batch_stays_whole(two_threads, case):
    model, (x, noise) = Watched(), inputs(40)
    WHOLE[case](model, lambda x: in_shards(model, (x, noise[: len(x)]), [model.net]), x)
    assert [size for _, size, _ in model.calls] == [20 if case == "few" else 40]


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(4), nn.Dropout()])
def test_a_batch_stays_whole_for_layers_that_look_at_it_or_are_random(two_threads, layer):
    model = Watched()
    model.net = nn.Sequential(model.net, layer.double())
    in_shards(model, tuple(inputs(40)), [model.net])
    assert [size for _, size, _ in model.calls] == [40]


def test_one_gradient_may_be_that_of_two_weights(two_threads):
    a, b = nn.Linear(3, 1, bias=False), nn.Linear(3, 1, bias=False)
    x = inputs(40)[0].float()
    (y,) = in_shards(lambda x: (x @ (a.weight + b.weight).t() + b.weight.sum(),), (x,), [a, b])
    found = torch.autograd.grad(y.sum(), [a.weight, b.weight])
    torch.testing.assert_close(found[0], x.sum(0, keepdim=True))
    torch.testing.assert_close(found[1], x.sum(0, keepdim=True) + 40)


def test_what_goes_wrong_in_a_part_is_told(two_threads):
    def fail(x):
        raise ValueError("no such latent")

    with pytest.raises(ValueError, match="no such latent"):
        in_shards(fail, (torch.zeros(40, 1),), [])


@pytest.mark.parametrize("cls", [SRVAE, ResVAE])
def test_a_model_has_the_loss_and_gradients_of_one_thread(two_threads, monkeypatch, cls):
    shape, latents = (1, 8, 8), 3
    torch.manual_seed(0)
    model = cls(
        encoder=partial(networks.linear_encoder, num_latent=latents),
        decoder=networks.linear_decoder,
    )
    model.build(shape)
    model.double()
    x = torch.rand(40, *shape, dtype=torch.float64)
    sizes, steps = [], model.steps
    monkeypatch.setattr(
        model, "steps", lambda x, *a, **k: sizes.append(len(x)) or steps(x, *a, **k)
    )

    def found():
        torch.manual_seed(1)
        losses = model.losses(x, 0)
        return losses.logs["loss"], *torch.autograd.grad(
            losses.objectives["vae"], list(model.parameters())
        )

    in_parts = found()
    torch.set_num_threads(1)
    for a, b in zip(in_parts, found(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)
    assert sorted(sizes) == [20, 20, 40]


FORK = """
import os, torch
from srvae_plugin.shards import in_shards
torch.set_num_threads(2)
net = torch.nn.Linear(3, 1)
def total():
    (y,) = in_shards(lambda x: (net(x),), (torch.ones(40, 3),), [net])
    return torch.autograd.grad(y.sum(), net.weight)[0].tolist()
assert total() == [[40, 40, 40]]
child = os.fork()
if child == 0:
    os._exit(0 if total() == [[40, 40, 40]] else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_makes_threads_of_its_own():
    command = [sys.executable, "-W", "ignore", "-c", FORK]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == ["0"]
