"""Each check of a model finds its defect and says what it is; sound models pass all of them."""

import random

import numpy as np
import pytest
import torch
from example_packages import from_example, require_found
from torch import nn

from srvae_plugin import Gaussian
from srvae_plugin.models.base import Decomposition
from srvae_plugin.testing import CheckError, check_model
from srvae_plugin.testing.complete_run import a_tiny_run_completes
from srvae_plugin.testing.models import CHECKS, model_outcomes
from srvae_plugin.training.optimizers import make_optimizers

LinearVAE = from_example("model").LinearVAE
SMALL = (2, 6, 5)
ONE = torch.ones(1)


def after_build(change):
    def build(self, observation_shape):
        LinearVAE.build(self, observation_shape)
        change(self)

    return {"build": build}


def instead(method, change):
    """The method's result, changed."""
    original = getattr(LinearVAE, method)

    def changed(self, *arguments):
        return change(self, original(self, *arguments), *arguments)

    return {method: changed}


def objective(change):
    """The losses with a changed objective."""
    return instead(
        "losses",
        lambda self, losses, x, step: losses._replace(
            objectives={"vae": change(self, losses.objectives["vae"], step)}
        ),
    )


def log(**logs):
    return instead("losses", lambda self, losses, x, step: losses._replace(logs=losses.logs | logs))


def early(self):
    LinearVAE.__init__(self)
    self.layer = nn.Linear(2, 2)


def viewing(self, x):
    return Gaussian(*self.to_latent(x.view(len(x), -1)).chunk(2, dim=1))


def counted(self, value, step):
    self.calls = getattr(self, "calls", 0) + 1
    return value * self.calls


def shifted_in_its_batch(self, x, noise):
    z = self.encode(x).sample(noise)
    return z - z.mean(0)


def drawing_on_the_side(self, gaussian, x):
    torch.rand(1)
    return gaussian


def steps_of_zeros(self, x, fixed=None):
    return Decomposition(torch.zeros(2, *x.shape), torch.zeros(2, *x.shape), self.reconstruct(x))


def other_end(self, x, fixed=None):
    steps = torch.stack([x, x])
    return Decomposition(steps, steps, 0.5 * self.reconstruct(x))


DEFECTS = [
    ("the_constructor_leaves_parameters_to_build", {"__init__": early}, "makes the parameter"),
    ("build_makes_the_parameters", {"build": lambda self, shape: None}, "makes no parameters"),
    (
        "build_makes_the_parameters",
        after_build(lambda self: setattr(self, "num_latent", 4.0)),
        "Broken.num_latent is 4.0 after build(): expected the number of latents",
    ),
    ("build_makes_the_parameters", after_build(nn.Module.double), "has dtype torch.float64"),
    (
        "encode_gives_a_gaussian",
        instead("encode", lambda self, gaussian, x: tuple(gaussian)),
        "Broken.encode() returns a tuple: expected srvae_plugin.Gaussian(mean, logvar)",
    ),
    (
        "encode_gives_a_gaussian",
        after_build(lambda self: setattr(self, "num_latent", 3)),
        "the mean of Broken.encode() has shape (4, 4): expected (4, 3), (batch, num_latent)",
    ),
    (
        "encode_gives_a_gaussian",
        instead("encode", lambda self, g, x: g._replace(logvar=g.logvar - torch.inf)),
        "the logvar of Broken.encode() has NaN or inf at 16 of 16 places",
    ),
    (
        "decode_gives_an_image_for_each_code",
        instead("decode", lambda self, logits, z: logits[:, :1]),
        "has shape (4, 1, 6, 5): expected (4, 2, 6, 5)",
    ),
    (
        "objectives_have_the_keys_of_the_parameter_groups",
        instead("losses", lambda self, losses, x, step: tuple(losses)),
        "Broken.losses() returns a tuple: expected srvae_plugin.Losses(objectives, logs)",
    ),
    (
        "objectives_have_the_keys_of_the_parameter_groups",
        {"parameter_groups": lambda self: {"mine": list(self.parameters())}},
        "gives objectives ['vae'], Broken.parameter_groups() has ['mine']",
    ),
    (
        "objectives_have_the_keys_of_the_parameter_groups",
        objective(lambda self, value, step: value.repeat(4)),
        "has shape (4,): expected (), the mean over the batch",
    ),
    (
        "the_seed_decides_the_parameters",
        after_build(lambda self: nn.init.constant_(self.to_latent.weight, random.random())),
        "two builds with the same torch.manual_seed give different parameters",
    ),
    (
        "the_seed_decides_the_parameters",
        after_build(lambda self: [torch.manual_seed(0), *map(nn.init.normal_, self.parameters())]),
        "build() must not set a seed of its own",
    ),
    (
        "saved_weights_give_the_same_model",
        after_build(lambda self: setattr(self, "offset", torch.rand(1)))
        | instead("encode", lambda self, g, x: g._replace(mean=g.mean + self.offset)),
        "what build() draws has to be a parameter or a buffer",
    ),
    (
        "encode_is_deterministic",
        instead("encode", lambda self, g, x: g._replace(mean=g.mean + torch.rand(1))),
        "gives other codes the second time",
    ),
    ("encode_is_deterministic", instead("encode", drawing_on_the_side), "draws random numbers"),
    (
        "codes_do_not_depend_on_the_batch",
        instead("encode", lambda self, g, x: g._replace(logvar=g.logvar - g.logvar.mean(0))),
        "an image alone a logvar that differs from the one it gets among others, by",
    ),
    ("memory_layout_does_not_matter", {"encode": viewing}, "RuntimeError: view size is not"),
    (
        "noise_decides_a_sample",
        {"sample": lambda self, x, noise: noise + torch.rand(1)},
        "Broken.sample() gives others for the same noise",
    ),
    (
        "it_is_a_representation_function",
        {"sample": shifted_in_its_batch},
        "the sampled representation gives an image another code alone than among others",
    ),
    (
        "pictures_are_intensities",
        {"mean_image": lambda self, logits: logits},
        "expected intensities in [0, 1]; override mean_image()",
    ),
    (
        "pictures_are_intensities",
        {"traverse": lambda self, x, latent, values: torch.zeros(2, *SMALL)},
        "traverse() of latent 0 has shape (2, 2, 6, 5): expected (3, 2, 6, 5)",
    ),
    (
        "steps_of_a_sequential_model_fit",
        {"decompose": steps_of_zeros},
        "residuals[0] differs from the images",
    ),
    (
        "steps_of_a_sequential_model_fit",
        {"decompose": other_end},
        "gives a reconstruction that differs from reconstruct()'s",
    ),
    (
        "groups_hold_every_parameter_once",
        {"parameter_groups": lambda self: {"vae": list(self.to_latent.parameters())}},
        "the parameter 'to_image.0.weight' is in no group of parameter_groups()",
    ),
    (
        "groups_hold_every_parameter_once",
        {"parameter_groups": lambda self: {"vae": [*self.parameters(), self.to_latent.weight]}},
        "'to_latent.weight' is in the groups 'vae' and 'vae'",
    ),
    (
        "groups_hold_every_parameter_once",
        {"parameter_groups": lambda self: {"vae": [*self.parameters(), nn.Parameter(ONE)]}},
        "the group 'vae' holds a tensor that is not a parameter of the model: expected parameters",
    ),
    (
        "every_group_has_an_optimizer",
        {"parameter_groups": lambda self: {"mine": list(self.parameters())}}
        | instead(
            "losses",
            lambda self, losses, x, step: losses._replace(
                objectives={"mine": losses.objectives["vae"]}
            ),
        ),
        "parameter group 'mine' has no optimizer: register a function",
    ),
    (
        "losses_are_finite",
        instead("encode", lambda self, g, x: Gaussian(g.mean / x.amax((1, 2, 3))[:, None], g[1])),
        "the objective 'vae' of Broken.losses() for black images is nan: expected a finite number",
    ),
    ("losses_are_finite", log(kl_loss=torch.tensor(torch.nan)), "the log 'kl_loss' of Broken"),
    ("logs_can_be_written", log(loss=1.0), "the log 'loss' of Broken.losses() is float 1.0"),
    ("logs_can_be_written", log(x=torch.ones(2, 2)), "has shape (2, 2): expected a number or a"),
    ("logs_can_be_written", log(kl=torch.ones(3)), "has shape (3,): expected (4,), one per latent"),
    ("logs_can_be_written", log(x=torch.ones((), requires_grad=True)), "expected .detach()"),
    ("logs_can_be_written", log(elbo=torch.zeros(())), "the log 'elbo' of Broken.losses() is 0"),
    ("logs_can_be_written", log(loss=torch.zeros(())), "the log 'loss' of Broken.losses() is 0"),
    (
        "logs_can_be_written",
        instead(
            "losses",
            lambda self, losses, x, step: losses._replace(logs={"warm": step} if step else {}),
        ),
        "logs [] at step 0, ['warm'] at step 1000",
    ),
    (
        "gradients_reach_every_parameter",
        instead("decode", lambda self, logits, z: logits.detach() + z.sum()),
        "no gradient of its objective reaches to_image.0.weight, to_image.0.bias, which it",
    ),
    (
        "gradients_reach_every_parameter",
        objective(lambda self, value, step: value + (0 * value).sqrt()),
        "the gradient of the objective 'vae' has NaN or inf at",
    ),
    (
        "the_seed_decides_the_losses",
        objective(lambda self, value, step: value * np.random.uniform(1, 2)),
        "gives other values after the same torch.manual_seed",
    ),
    ("a_resumed_run_goes_on_as_if_never_stopped", objective(counted), "keep state in buffers"),
    (
        "training_stays_finite",
        objective(lambda self, value, step: value + (0 * value).sqrt()),
        "after 10 steps the parameter 'to_latent.weight' has NaN or inf",
    ),
    (
        "a_tiny_run_completes",
        instead(
            "losses", lambda self, losses, x, step: losses if self.training or step == 0 else 1 / 0
        ),
        "ZeroDivisionError",
    ),
]


@pytest.mark.parametrize(("check", "changes", "message"), DEFECTS)
def test_each_defect_is_found(check, changes, message):
    broken = type("Broken", (LinearVAE,), changes)
    with pytest.raises(CheckError) as caught:
        check_model(broken, shapes=[SMALL])
    require_found(caught.value, f"model 2x6x5: {check}", message)


def test_no_check_escapes():
    assert {check.__name__ for check in CHECKS} == {check for check, *_ in DEFECTS}


class Normalized(LinearVAE):
    """With state in buffers, a frozen parameter, a layer that begins at zero, and few logs."""

    def build(self, observation_shape):
        super().build(observation_shape)
        self.norm = nn.BatchNorm1d(self.num_latent)
        self.frozen = nn.Parameter(torch.ones(()), requires_grad=False)
        nn.init.zeros_(self.to_image[0].weight)

    def encode(self, x):
        mean, logvar = super().encode(x)
        return Gaussian(self.norm(mean) * self.frozen, logvar)

    def losses(self, x, step):
        return super().losses(x, step)._replace(logs={})

    def parameter_groups(self):
        return {"vae": (p for p in self.parameters() if p.requires_grad)}


def test_an_unusual_model_may_be_sound():
    check_model(Normalized, shapes=[SMALL])


@pytest.mark.parametrize("shape", [(1, 12, 10), (3, 12, 10)])
def test_pictures_that_cannot_be_drawn_are_found(shape):
    class Drawn(LinearVAE):
        """Its traversals fail on data alone, not on the noise of the other checks."""

        def traverse(self, x, latent, values):
            if len(values) > 3:
                raise RuntimeError("too many values")
            return super().traverse(x, latent, values)

    with pytest.raises(CheckError) as caught:
        check_model(Drawn, shapes=[shape])
    (line,) = str(caught.value).splitlines()
    assert "a tiny run completes: RuntimeError: too many values" in line


def test_a_complete_run_leaves_nothing_behind(capfd):
    before = np.random.get_state()[1].copy(), random.getstate(), torch.get_rng_state()
    a_tiny_run_completes(LinearVAE, (1, 12, 10))
    assert (np.random.get_state()[1] == before[0]).all()
    assert random.getstate() == before[1]
    assert torch.equal(torch.get_rng_state(), before[2])
    assert capfd.readouterr() == ("", "")


class Partial(LinearVAE):
    """With a frozen and an unused parameter in its group, and nothing logged."""

    def build(self, observation_shape):
        super().build(observation_shape)
        self.to_latent.bias.requires_grad_(False)
        self.never_used = nn.Parameter(torch.ones(2))

    def losses(self, x, step):
        return super().losses(x, step)._replace(logs={})


def test_frozen_and_unused_parameters_are_no_defect():
    outcomes = list(model_outcomes(Partial, [SMALL]))
    assert {o.status for o in outcomes} == {"ok"}, "\n".join(map(str, outcomes))
    notes = [o.message for o in outcomes if "never trained" in o.message]
    assert notes == ["note: the losses do not use never_used: never trained"]


@pytest.mark.parametrize(("group", "what"), [([], "are none"), ("frozen", "are all frozen")])
def test_a_group_without_anything_to_train_is_one_line(group, what):
    parameters = [nn.Parameter(ONE, requires_grad=False)] if group else group
    with pytest.raises(ValueError, match=f"group 'vae' {what}.*expected some to train") as caught:
        make_optimizers({"vae": iter(parameters)})
    assert "\n" not in str(caught.value)


def test_something_else_is_no_model():
    with pytest.raises(CheckError, match="it makes a Linear: expected a subclass of srvae_plugin"):
        check_model(lambda: nn.Linear(70, 90), shapes=[SMALL])


def test_torch_goes_on_where_it_was():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    check_model(LinearVAE, shapes=[SMALL])
    assert torch.equal(before, torch.get_rng_state())


class Gray(LinearVAE):
    def build(self, observation_shape):
        if observation_shape[0] != 1:
            raise ValueError("one channel only")
        super().build(observation_shape)


def test_a_shape_may_be_refused_but_not_all():
    outcomes = list(model_outcomes(Gray, [SMALL, (1, 6, 5)]))
    assert {o.status for o in outcomes if o.subject == "model 1x6x5"} == {"ok"}
    line = Gray.build.__code__.co_firstlineno + 2
    assert [str(o) for o in outcomes if o.subject == "model 2x6x5"] == [
        "skipped model 2x6x5: build: it refuses: ValueError: one channel only "
        f"(tests/test_testing_models.py, line {line}, in build)"
    ]
    with pytest.raises(CheckError, match="one channel only"):
        check_model(Gray, shapes=[SMALL])


def test_a_loss_that_rises_is_a_note():
    class Rising(LinearVAE):
        def losses(self, x, step):
            losses = super().losses(x, step)
            value = losses.objectives["vae"]
            return losses._replace(objectives={"vae": 2 * value.detach() - value})

    (last,) = [o for o in model_outcomes(Rising, [SMALL]) if o.check == "training stays finite"]
    assert last.status == "ok"
    assert last.message.startswith("note: 10 steps change the objective 'vae' from ")
