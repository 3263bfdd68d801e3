"""The faster routes are torch's own layers in value and gradient, and step aside elsewhere."""

import os
import platform
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad

from srvae_plugin.models.networks import convolutions
from srvae_plugin.models.networks.convolutions import Conv2d, ConvTranspose2d
from srvae_plugin.training.allocator import keep_freed_memory

# (layer, its arguments, height and width of its input): first those that take another route.
CASES = [
    (Conv2d, (1, 5, 4, 2, 1), (8, 6)),
    (Conv2d, (3, 5, 4), (4, 4)),
    (ConvTranspose2d, (5, 1, 4, 2, 1), (4, 2)),
    (ConvTranspose2d, (5, 3, 4, 2, 1), (4, 6)),
    (ConvTranspose2d, (5, 3, 4), (1, 1)),
    (Conv2d, (1, 5, 4, 2, 1), (7, 6)),
    (Conv2d, (1, 5, 3, 2, 1), (8, 8)),
    (Conv2d, (3, 5, 4, 2, 1), (8, 8)),
    (Conv2d, (2, 4, 4, 1, 0, 1, 2), (4, 4)),
    (Conv2d, (1, 4, 4, 1, 0, 2), (8, 8)),
    (ConvTranspose2d, (4, 1, 4, 2, 1, 1), (4, 4)),
    (ConvTranspose2d, (4, 2, 4, 2, 1, 0, 2), (4, 4)),
]
# What a GPU computes by patches; the same functions run anywhere.
PATCHES = [
    (Conv2d, (1, 5, 4, 2, 1), (8, 6)),
    (Conv2d, (3, 5, 4, 2, 1), (4, 2)),
    (ConvTranspose2d, (5, 1, 4, 2, 1), (4, 2)),
    (ConvTranspose2d, (5, 3, 4, 2, 1), (2, 4)),
    (Conv2d, (5, 3, 4), (4, 4)),
    (ConvTranspose2d, (5, 3, 4), (1, 1)),
]
by_patches = pytest.mark.parametrize(("layer", "arguments", "size"), PATCHES)


def both(layer, arguments, bias=True, dtype=torch.float64, memory_format=torch.channels_last):
    """Our layer and torch's, with the same weights."""
    torch.manual_seed(0)
    ours = layer(*arguments, bias=bias).to(dtype).to(memory_format=memory_format)
    theirs = getattr(nn, layer.__name__)(*arguments, bias=bias).to(dtype)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def gradients(layer, x, weights_of_output):
    x = x.clone().requires_grad_()
    parameters = dict(layer.named_parameters())
    y = layer(x)
    found = torch.autograd.grad(
        (y * weights_of_output[: y.numel()].view_as(y)).sum(), [x, *parameters.values()]
    )
    return [y, *found]


@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize(("layer", "arguments", "size"), CASES)
def test_values_and_gradients_are_torch_s(layer, arguments, size, bias, memory_format):
    ours, theirs = both(layer, arguments, bias, memory_format=memory_format)
    x = torch.randn(3, arguments[0], *size, dtype=torch.float64)
    noise = torch.randn(10_000, dtype=torch.float64)
    found = gradients(ours, x.contiguous(memory_format=memory_format), noise)
    for a, b in zip(found, gradients(theirs, x, noise), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("layer", "arguments", "size"), CASES[:5])
def test_gradients_are_finite_differences(layer, arguments, size):
    ours, _ = both(layer, arguments)
    x = torch.randn(2, arguments[0], *size, dtype=torch.float64, requires_grad=True)
    names = [name for name, _ in ours.named_parameters()]

    def call(x, *values):
        return torch.func.functional_call(ours, dict(zip(names, values, strict=True)), (x,))

    assert torch.autograd.gradcheck(call, (x, *ours.parameters()))


@pytest.mark.parametrize(("layer", "arguments", "size"), CASES[:5])
def test_single_precision_is_within_rounding(layer, arguments, size):
    ours, theirs = both(layer, arguments, dtype=torch.float32)
    x = torch.randn(3, arguments[0], *size)
    for a, b in zip(
        gradients(ours, x, noise := torch.randn(10_000)), gradients(theirs, x, noise), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_these_cases_take_the_other_routes(monkeypatch):
    called = []
    for name in ("_Gather", "_Scatter", "_Transposed"):
        function = getattr(convolutions, name)
        monkeypatch.setattr(
            convolutions,
            name,
            type(name, (), {"apply": lambda *a, f=function: called.append(f) or f.apply(*a)}),
        )
    for layer, arguments, size in CASES:
        both(layer, arguments)[0](torch.randn(2, arguments[0], *size, dtype=torch.float64))
    assert [function.__name__ for function in called] == ["_Gather", "_Scatter", "_Transposed"]


@pytest.fixture
def patches(monkeypatch):
    """As if this were a GPU; a list of the routes taken, with and without patches."""
    monkeypatch.setattr(convolutions, "_BY_PATCHES", ("cpu",))
    called = []
    for name in ("_FromPatches", "_ToPatches"):
        function = getattr(convolutions, name)
        spy = {"apply": lambda *a, f=function: called.append(f.__name__) or f.apply(*a)}
        monkeypatch.setattr(convolutions, name, type(name, (), spy))
    for name in ("_from_map", "_to_map"):
        function = getattr(convolutions, name)
        spy = lambda *a, f=function: called.append(f.__name__) or f(*a)  # noqa: E731
        monkeypatch.setattr(convolutions, name, spy)
    return called


@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
@by_patches
def test_by_patches_are_torch_s_values_and_gradients(
    patches, layer, arguments, size, bias, memory_format
):
    ours, theirs = both(layer, arguments, bias, memory_format=memory_format)
    x = torch.randn(3, arguments[0], *size, dtype=torch.float64)
    noise = torch.randn(10_000, dtype=torch.float64)
    found = gradients(ours, x.contiguous(memory_format=memory_format), noise)
    for a, b in zip(found, gradients(theirs, x, noise), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    ends = "patches" if len(arguments) > 3 else "_map"
    assert len(patches) == 1
    assert patches[0].lower().strip("_").startswith("from" if layer is Conv2d else "to")
    assert patches[0].lower().endswith(ends)
    assert not found[0]._is_view()


@by_patches
def test_by_patches_can_be_differentiated_twice_and_transformed(patches, layer, arguments, size):
    ours, theirs = both(layer, arguments)
    x = torch.randn(2, arguments[0], *size, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, w, b: apply_to(ours, x, w, b), (x, *weights(ours)))
    assert torch.autograd.gradgradcheck(ours, (x,))
    functions = [lambda x, part=part: part(x[None]).square().sum() for part in (ours, theirs)]
    torch.testing.assert_close(
        *[torch.func.vmap(torch.func.grad(f))(x.detach()) for f in functions]
    )


def weights(layer):
    return [parameter.detach().requires_grad_() for parameter in layer.parameters()]


def apply_to(layer, x, weight, bias):
    return torch.func.functional_call(layer, {"weight": weight, "bias": bias}, (x,))


@by_patches
def test_by_patches_autocast_computes_in_bfloat16_as_torch_does(patches, layer, arguments, size):
    ours, theirs = both(layer, arguments, dtype=torch.float32)
    x, noise = torch.randn(20, arguments[0], *size), torch.randn(10_000)
    found = []
    for part in (ours, theirs):
        with torch.autocast("cpu", torch.bfloat16):
            found.append(gradients(part, x, noise))
    assert len(patches) == 1
    assert found[0][0].dtype == torch.bfloat16
    for a, b in zip(*found, strict=True):
        assert a.dtype == b.dtype
        assert (a - b).float().norm() < 2**-7 * b.float().norm()


def test_layers_without_patches_are_torch_s_there(patches):
    others = [case for case in CASES[5:] if case[1] != (3, 5, 4, 2, 1)]
    others.append((ConvTranspose2d, (8, 5, 4, 2, 1), (4, 4)))
    for layer, arguments, size in others:
        ours, theirs = both(layer, arguments, memory_format=torch.contiguous_format)
        x = torch.randn(2, arguments[0], *size, dtype=torch.float64)
        assert torch.equal(ours(x), theirs(x))
    assert patches == []


@by_patches
def test_by_patches_takes_no_images_and_traces_plain_convolutions(patches, layer, arguments, size):
    ours, theirs = both(layer, arguments)
    none = torch.zeros(0, arguments[0], *size, dtype=torch.float64)
    assert ours(none).shape == theirs(none).shape
    exported = torch.export.export(ours, (torch.randn(2, arguments[0], *size).double(),))
    assert "conv" in str(exported.graph)


@pytest.mark.parametrize(("layer", "arguments", "size"), CASES[:5])
def test_a_traced_or_exported_layer_holds_plain_convolutions(layer, arguments, size):
    ours, theirs = both(layer, arguments, dtype=torch.float32)
    x = torch.randn(2, arguments[0], *size)
    traced = torch.jit.trace(ours, x)
    assert "aten::_convolution" in str(traced.inlined_graph)
    torch.testing.assert_close(traced(x), theirs(x))
    exported = torch.export.export(ours, (x,))
    assert "conv" in str(exported.graph)
    assert "col2im" not in str(exported.graph)


@pytest.mark.parametrize(("layer", "arguments", "size"), CASES[:5])
def test_autocast_computes_in_bfloat16(layer, arguments, size):
    ours, _ = both(layer, arguments, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        y = ours(torch.randn(2, arguments[0], *size))
    assert y.dtype == torch.bfloat16
    y.float().sum().backward()


@pytest.mark.parametrize(("layer", "arguments", "size"), CASES[:5])
def test_it_can_be_differentiated_twice_and_transformed(layer, arguments, size):
    ours, theirs = both(layer, arguments)
    x = torch.randn(2, arguments[0], *size, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(ours, (x,))
    for transform in (torch.func.jacrev, torch.func.vmap, torch.func.grad):
        found = [
            transform(lambda x, layer=layer: layer(x[None] if x.dim() == 3 else x).square().sum())(
                x.detach()
            )
            for layer in (ours, theirs)
        ]
        torch.testing.assert_close(*found)


@pytest.mark.parametrize(("layer", "arguments", "size"), CASES[:5])
def test_it_can_be_differentiated_forward_and_in_many_directions(layer, arguments, size):
    ours, theirs = both(layer, arguments)
    x = torch.randn(2, arguments[0], *size, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian
    expected = jacobian(theirs, x)
    for options in ({"vectorize": True}, {"vectorize": True, "strategy": "forward-mode"}):
        torch.testing.assert_close(jacobian(ours, x, **options), expected)


@pytest.mark.parametrize("dual", ["input", "weight"])
@pytest.mark.parametrize(("layer", "arguments", "size"), CASES[:5])
def test_forward_differentiation_goes_through_input_and_weights(layer, arguments, size, dual):
    ours, theirs = both(layer, arguments)
    x = torch.randn(2, arguments[0], *size, dtype=torch.float64)
    tangent = torch.randn_like(x if dual == "input" else ours.weight)
    found = []
    with forward_ad.dual_level():
        for part in (ours, theirs):
            given, weights = x, {}
            if dual == "input":
                given = forward_ad.make_dual(x, tangent)
            else:
                weights = {"weight": forward_ad.make_dual(part.weight.detach(), tangent)}
            y = torch.func.functional_call(part, weights, (given,))
            found.append(forward_ad.unpack_dual(y).tangent)
    torch.testing.assert_close(*found, rtol=1e-12, atol=1e-12)


@pytest.mark.filterwarnings("ignore:Complex modules")
@pytest.mark.parametrize(("layer", "arguments", "size"), CASES[:5])
def test_no_images_and_complex_ones_are_as_in_torch(layer, arguments, size):
    ours, theirs = both(layer, arguments)
    none = torch.zeros(0, arguments[0], *size, dtype=torch.float64)
    assert ours(none).shape == theirs(none).shape
    ours, theirs = both(layer, arguments, dtype=torch.complex128)
    x = torch.randn(2, arguments[0], *size, dtype=torch.complex128, requires_grad=True)
    found = [torch.autograd.grad(part(x).abs().sum(), [x, part.weight]) for part in (ours, theirs)]
    torch.testing.assert_close(*found)


PAGE_FAULTS = """
import resource, torch
from srvae_plugin.training.allocator import keep_freed_memory
kept = keep_freed_memory()
def fault():
    begun = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        [torch.ones(4_000_000) for _ in range(10)]  # 16 MB each
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - begun
fault()
print(kept, fault())
"""


def page_faults(**environment):
    command = [sys.executable, "-c", PAGE_FAULTS]
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=True
    )
    kept, faults = done.stdout.split()
    return kept, int(faults)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's own setting")
def test_freed_memory_is_kept_unless_the_user_says_otherwise():
    kept, faults = page_faults()
    assert kept == "True"
    assert faults < 100
    # What glibc does until it has seen a large block freed, and some programs always.
    kept, faults = page_faults(MALLOC_MMAP_THRESHOLD_="131072")
    assert kept == "False"
    assert faults > 100


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr("platform.libc_ver", lambda: ("", ""))
    assert keep_freed_memory.__wrapped__() is False
