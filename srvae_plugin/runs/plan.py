"""What a run does after training: what gin binds under `run`, and what else says so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gin

from srvae_plugin.config import gin_files, plugins

__all__ = ["REPRESENTATIONS", "RunPlan", "function_of", "kind_of", "run_plan"]


REPRESENTATIONS = ("mean", "sampled")


@gin.register("run", module="srvae_plugin")
@dataclass
class RunPlan:
    """What gin binds under `run`: what happens after training.

    Args:
        representations: "mean", "sampled" or both, or the name of the function of your own that
            `postprocess.postprocess_fn` is bound to.
        metrics: gin names of the metrics; each is evaluated on each representation. A name may
            have a scope, as in "trees/downstream_task", with bindings of its own
            (`trees/predictor.predictor_fn = ...`); its results are then called by the scope.
        pictures: draw traversals, reconstructions, decomposition and curves.
        evaluate_every: training steps between evaluations; each scores the representations exactly
            as a run ending at that step would be scored, and draws the traversals; 0 for none.
        keep_every: the same as `model.keep_every`: steps between snapshots of the weights.
    """

    representations: Sequence[str] = ("mean",)
    metrics: Sequence[str] = ("factor_vae_score", "dci", "mig", "sap_score")
    pictures: bool = True
    evaluate_every: int = 0
    keep_every: int = 0

    def __post_init__(self) -> None:
        for key in ("representations", "metrics"):
            if isinstance(value := getattr(self, key), str):
                raise ValueError(f"run.{key} = {value!r}: expected a list, [{value!r}]")
        for key in ("evaluate_every", "keep_every"):
            if (steps := getattr(self, key)) < 0:
                raise ValueError(f"run.{key} = {steps}: expected at least 0, which is never")
        if self.evaluate_every and not (self.metrics or self.pictures):
            raise ValueError(
                f"run.evaluate_every = {self.evaluate_every}: nothing to evaluate with; bind "
                "run.metrics or run.pictures = True"
            )
        function = gin_files.bound("postprocess.postprocess_fn")
        known = list(dict.fromkeys([*REPRESENTATIONS, *([kind_of(function)] if function else [])]))
        for name in self.representations:
            if name not in known:
                raise ValueError(
                    f"run.representations: unknown {name!r}; known: {', '.join(known)}"
                )
        for name in self.metrics:
            plugins.find("metrics", name.rpartition("/")[2])
        folders = [name.partition("/")[0] for name in self.metrics]
        if bad := [name for name in folders if not name or name.startswith(".")]:
            raise ValueError(
                f"run.metrics: {bad[0]!r} names the folder of its results: expected a word, as in "
                "'trees/dci'"
            )
        if len(set(folders)) < len(folders):
            raise ValueError(f"run.metrics: two of {list(self.metrics)} have the same first name")


def run_plan() -> RunPlan:
    """Plan that gin holds, completed by what disentanglement_lib's files say in other words.

    Its files for metrics bind `evaluation.evaluation_fn` and no `run.metrics`, those for
    representations `postprocess.postprocess_fn` and no `run.representations`. Of two that
    contradict each other the later one wins, and gin is told, so that what is recorded is what is
    done.

    Raises:
        ConfigError: if one of two bindings that are not of a file would be dropped.
    """
    _settle_validation()
    _settle("run.metrics", "evaluation.evaluation_fn", _metric_name)
    _settle("run.representations", "postprocess.postprocess_fn", kind_of)
    try:
        return gin.get_configurable(RunPlan)()
    except ValueError as error:
        raise gin_files.ConfigError(gin_files.one_line(error)) from None


def _settle_validation() -> None:
    """A file that binds how to validate and no metric is one of a validation."""
    names = ("validation.validation_fn", "run.metrics", "evaluation.evaluation_fn")
    validation, *metrics = (gin_files.bound(name) for name in names)
    if validation is not None and metrics == [None, None]:
        with gin.unlock_config():
            gin.bind_parameter("srvae_plugin.run.metrics", ["validation"])


def _metric_name(function: Any) -> str:
    scopes = function.scoped_selector.rpartition("/")[0]
    name = gin_files.reference_name(function)
    if name == "udr_sklearn":
        raise gin_files.ConfigError(
            "evaluation.evaluation_fn = @udr_sklearn ranks several trained models, and none by "
            "itself: give its file to srvae-evaluate --udr FOLDER_OF_RUNS --gin FILE"
        )
    return f"{scopes}/{name}" if scopes else name


def kind_of(function: Any) -> str:
    """What a bound `postprocess.postprocess_fn` makes: "mean", "sampled", or its own name."""
    return gin_files.reference_name(function).removesuffix("_representation")


def function_of(kind: str) -> str:
    """Name of the function that makes a representation, of those that `run_plan` allows."""
    function = gin_files.bound("postprocess.postprocess_fn")
    if function is not None and kind_of(function) == kind:
        return function.scoped_selector
    return f"{kind}_representation"


def _settle(plan: str, step: str, name_of: Callable[[Any], str]) -> None:
    """Make the plan's list and a step's function agree: the one that was bound later wins."""
    function, listed = gin_files.bound(step), gin_files.bound(plan)
    if function is None:
        return
    name = name_of(function)
    if listed is not None and name in listed and (step.startswith("post") or len(listed) == 1):
        return
    if listed is not None and not gin_files.is_later(step, plan):
        if gin_files.is_typed(step):
            raise gin_files.ConfigError(
                f"{step} = {function} and {plan} = {listed!r} contradict each other: bind one of "
                "them"
            )
        return
    with gin.unlock_config():
        gin.bind_parameter(f"srvae_plugin.{plan}", [name])
