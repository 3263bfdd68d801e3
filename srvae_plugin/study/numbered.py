"""disentanglement_lib's numbered studies: number N stands for the same model as there.

The studies are grids of data sets x methods x six values of a hyperparameter x seeds, numbered
with the seed running fastest. Training, postprocessing and evaluation get the bindings and the
seeds of its `dlib_reproduce --study=NAME --model_num=N`; the tests compare all numbers with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from srvae_plugin.config.gin_files import Choice
from srvae_plugin.config.plugins import nearest

__all__ = [
    "METHODS",
    "METRICS",
    "MODEL_FILE",
    "NUM_VALUES",
    "REPRESENTATIONS",
    "STUDIES",
    "Method",
    "Metric",
    "NumberedModel",
    "Study",
    "describe",
    "find_study",
]


MODEL_FILE = "studies/disentanglement_lib.gin"
REPRESENTATIONS = ("mean", "sampled")


class Method(NamedTuple):
    """A method with the values of its hyperparameter; `{}` in its bindings is the value."""

    bindings: tuple[str, ...]
    values: tuple[float, ...]


METHODS = {
    "beta_vae": Method(("vae.beta = {}", "model.model = @vae()"), (1.0, 2.0, 4.0, 6.0, 8.0, 16.0)),
    "factor_vae": Method(
        (
            "factor_vae.gamma = {}",
            "model.model = @factor_vae()",
            "discriminator.discriminator_fn = @fc_discriminator",
        ),
        (10.0, 20.0, 30.0, 40.0, 50.0, 100.0),
    ),
    "dip_vae_i": Method(
        (
            "model.model = @dip_vae()",
            "dip_vae.lambda_od = {}",
            "dip_vae.lambda_d_factor = 10.0",
            "dip_vae.dip_type = 'i'",
        ),
        (1.0, 2.0, 5.0, 10.0, 20.0, 50.0),
    ),
    "dip_vae_ii": Method(
        (
            "model.model = @dip_vae()",
            "dip_vae.lambda_od = {}",
            "dip_vae.lambda_d_factor = 1.0",
            "dip_vae.dip_type = 'ii'",
        ),
        (1.0, 2.0, 5.0, 10.0, 20.0, 50.0),
    ),
    "beta_tc_vae": Method(
        ("model.model = @beta_tc_vae()", "beta_tc_vae.beta = {}"),
        (1.0, 2.0, 4.0, 6.0, 8.0, 10.0),
    ),
    "annealed_vae": Method(
        (
            "annealed_vae.c_max = {}",
            "annealed_vae.iteration_threshold = 100000",
            "annealed_vae.gamma = 1000",
            "model.model = @annealed_vae()",
        ),
        (5.0, 10.0, 25.0, 50.0, 75.0, 100.0),
    ),
}
NUM_VALUES = 6


class Metric(NamedTuple):
    """One of a study's evaluations; its settings are those of `metrics/<function>.gin`."""

    function: str
    bindings: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """The packaged gin file."""
        return f"metrics/{self.function}.gin"


# By the names of disentanglement_lib's gin files, which name the folders of the results too.
METRICS = {
    "beta_vae_sklearn": Metric("beta_vae_sklearn"),
    "dci": Metric("dci"),
    "downstream_task_boosted_trees": Metric(
        "downstream_task", ("predictor.predictor_fn = @gradient_boosting_classifier",)
    ),
    "downstream_task_logistic_regression": Metric(
        "downstream_task", ("predictor.predictor_fn = @logistic_regression_cv",)
    ),
    "factor_vae_metric": Metric("factor_vae_score"),
    "mig": Metric("mig"),
    "modularity_explicitness": Metric("modularity_explicitness"),
    "sap_score": Metric("sap_score"),
    "unsupervised": Metric("unsupervised_metrics"),
}


class Study(NamedTuple):
    """A grid of models and the evaluations of each."""

    name: str
    datasets: tuple[str, ...]
    num_seeds: int
    metrics: dict[str, Metric]

    @property
    def num_models(self) -> int:
        """Number of models."""
        return math.prod(self._sizes())

    def _sizes(self) -> tuple[int, ...]:
        return len(self.datasets), len(METHODS), NUM_VALUES, self.num_seeds

    def model_bindings(self, number: int) -> list[str]:
        """The bindings that disentanglement_lib's study gives to a model, in its order.

        Raises:
            ValueError: for a number the study does not have.
        """
        if not 0 <= number < self.num_models:
            raise ValueError(
                f"--model-num {number}: {self.name} has the models 0 .. {self.num_models - 1}"
            )
        dataset, method, value, seed = (int(i) for i in np.unravel_index(number, self._sizes()))
        name, chosen = list(METHODS.items())[method]
        return [
            f"dataset.name = '{self.datasets[dataset]}'",
            "encoder.encoder_fn = @conv_encoder",
            "decoder.decoder_fn = @deconv_decoder",
            f"model.name = '{name}'",
            *(binding.format(chosen.values[value]) for binding in chosen.bindings),
            f"model.random_seed = {seed}",
        ]

    def seeds(self) -> dict[str, int]:
        """Seed of each postprocessing ("mean") and each evaluation ("mean/dci").

        They are drawn one after the other from one stream, the same for every model: first those
        of the representations, then those of the metrics of each, all sorted by name.
        """
        random_state = np.random.RandomState(0)
        steps = [*REPRESENTATIONS]
        steps += [f"{kind}/{name}" for kind in REPRESENTATIONS for name in sorted(self.metrics)]
        return {step: int(random_state.randint(2**32, dtype=np.int64)) for step in steps}


_SEVEN = (
    "dsprites_full",
    "color_dsprites",
    "noisy_dsprites",
    "scream_dsprites",
    "smallnorb",
    "cars3d",
    "shapes3d",
)
STUDIES = {
    study.name: study
    for study in (
        Study("unsupervised_study_v1", _SEVEN, 50, METRICS),
        Study("fairness_study_v1", _SEVEN, 50, METRICS | {"fairness": Metric("fairness")}),
        # Its first stage, the representations.
        Study("abstract_reasoning_study_v1", ("shapes3d", "abstract_dsprites"), 5, METRICS),
    )
}


def find_study(name: str) -> Study:
    """Return the study of that name; ValueError, with the known ones, if there is none."""
    if name not in STUDIES:
        raise ValueError(
            f"--study {name!r}: unknown study{nearest(name, STUDIES)}; known: {', '.join(STUDIES)} "
            "(weakly and semi-supervised models are not in numbered studies: see "
            "models/group_vae_argmax.gin and models/s2_vae.gin)"
        )
    return STUDIES[name]


class NumberedModel:
    """One model of a study: what each step of its run is given.

    Raises:
        ValueError: for an unknown study and for a number the study does not have.
    """

    def __init__(self, study: str, number: int):
        self.study, self.number = find_study(study), number
        self._own = self.study.model_bindings(number)
        self._seeds = self.study.seeds()

    def bindings(self) -> list[str]:
        """Bindings of the whole run, on top of `MODEL_FILE`.

        disentanglement_lib counts the updates of FactorVAE's two networks together, so that half
        of its 300,000 steps are what we call steps.
        """
        is_factor_vae = "model.name = 'factor_vae'" in self._own
        halved = ["model.training_steps = 150000"] if is_factor_vae else []
        metrics = [
            name if name == metric.function else f"{name}/{metric.function}"
            for name, metric in sorted(self.study.metrics.items())
        ]
        number = f"model.model_num = {self.number}"
        return [number, *self._own, *halved, f"run.metrics = {metrics}"]

    def postprocess(self, kind: str) -> Choice:
        """What the postprocessing of one kind is given."""
        seed = f"postprocess.random_seed = {self._seeds[kind]}"
        return Choice(f"{kind}_representation", (), (seed, f"postprocess.name = '{kind}'"))

    def evaluation(self, kind: str, metric: str) -> Choice:
        """What the evaluation of one representation with one metric is given.

        Raises:
            ValueError: for a metric the study does not have.
        """
        name = metric.partition("/")[0]
        if name not in self.study.metrics:
            raise ValueError(
                f"run.metrics: {self.study.name} has no {name!r}; it has "
                f"{', '.join(sorted(self.study.metrics))} (srvae-evaluate scores a finished run "
                "with any other)"
            )
        function, bindings = self.study.metrics[name]
        seed = f"evaluation.random_seed = {self._seeds[f'{kind}/{name}']}"
        bindings = (seed, f"evaluation.name = '{name}'", *bindings)
        return Choice(function, (self.study.metrics[name].file,), bindings)

    def describe(self) -> Iterator[str]:
        """Lines that say what each step is given."""
        yield f"{self.study.name}, model {self.number}: {MODEL_FILE} and"
        yield from (f"  {binding}" for binding in self.bindings())
        yield "postprocessing and evaluation seeds"
        yield from (f"  {step:<45}{seed:>11}" for step, seed in self._seeds.items())


def describe(studies: Sequence[Study]) -> Iterator[str]:
    """Lines that say what is in each study."""
    for study in studies:
        sizes = "{} data sets x {} methods x {} values x {} seeds".format(*study._sizes())
        yield f"{study.name}: models 0 .. {study.num_models - 1} = {sizes}, numbered in this order"
        yield f"  data sets  {', '.join(study.datasets)}"
        for name, method in METHODS.items():
            parameter = next(b for b in method.bindings if "{}" in b).partition(" ")[0]
            yield f"  {name:<14}{parameter} {', '.join(f'{v:g}' for v in method.values)}"
        yield f"  metrics    {', '.join(sorted(study.metrics))}"
