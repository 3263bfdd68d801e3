"""`utils.hyperparams` and `config.<study>.sweep`: grids of settings as lists of dictionaries."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Sequence
from typing import Any

from srvae_adapters.drop_in import results
from srvae_plugin.study.numbered import METHODS, NUM_VALUES, STUDIES

__all__ = [
    "AbstractReasoningStudyV1",
    "FairnessStudyV1",
    "Settings",
    "Study",
    "UnsupervisedStudyV1",
    "categorical",
    "chainit",
    "discrete",
    "fixed",
    "get_abstract_config",
    "get_abstract_datasets",
    "get_config",
    "get_datasets",
    "get_default_models",
    "get_num_latent",
    "get_seeds",
    "product",
    "sweep",
    "to_bindings",
    "zipit",
]

Settings = list[dict[str, Any]]


def sweep(name: str, values: Sequence[Any]) -> Settings:
    """One setting for each value of a parameter."""
    return [{name: value} for value in values]


def categorical(items: Any) -> Any:
    """The values as they are."""
    return items


discrete = categorical


def fixed(name: str, value: Any, length: int = 1) -> Settings:
    """The same value of a parameter, `length` times."""
    return [{name: value} for _ in range(length)]


def zipit(list_of_items: Sequence[Settings]) -> Settings:
    """Settings side by side; a list of one goes with each of the others.

    Raises:
        ValueError: lists of different lengths, none of them one.
    """
    length = max(len(items) for items in list_of_items)
    if any(len(items) not in (1, length) for items in list_of_items):
        lengths = [len(items) for items in list_of_items]
        raise ValueError(f"expected lists of one length, or of length 1, got lengths {lengths}")
    longs = [items * length if len(items) == 1 else items for items in list_of_items]
    return [_merged(parts) for parts in zip(*longs, strict=True)]


def chainit(list_of_items: Sequence[Settings]) -> Settings:
    """Settings one after the other."""
    return list(itertools.chain.from_iterable(list_of_items))


def product(list_of_items: Sequence[Settings]) -> Settings:
    """Every combination, the last list running fastest."""
    return [_merged(parts) for parts in itertools.product(*list_of_items)]


def _merged(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for part in parts:
        merged |= part
    return merged


def to_bindings(items: dict[str, Any]) -> list[str]:
    """Settings as gin bindings."""
    return [f"{name} = {_escape_value(value)}" for name, value in items.items()]


def _escape_value(value: Any) -> str:
    return f"'{value}'" if isinstance(value, str) and not value.startswith("@") else str(value)


def _value(text: str) -> Any:
    return text if text.startswith("@") else ast.literal_eval(text)


class Study:
    """A study of disentanglement_lib: a grid of models, and its gin files."""

    name = ""
    folder = ""
    """Where its gin files are, if not below its name."""

    def get_config(self) -> Settings:
        """The settings of every model, in the order of their numbers."""
        study = STUDIES[self.name]
        return [self._settings(number) for number in range(study.num_models)]

    def _settings(self, number: int) -> dict[str, Any]:
        lines = STUDIES[self.name].model_bindings(number)
        return {key: _value(text) for key, _, text in (line.partition(" = ") for line in lines)}

    def get_model_config(self, model_num: int = 0) -> tuple[list[str], str]:
        """Bindings of a model, and the gin file they go on top of."""
        file = results.get_file(f"config/{self.folder or self.name}/model_configs/shared.gin")
        return STUDIES[self.name].model_bindings(model_num), file

    def get_postprocess_config_files(self) -> list[str]:
        """Gin files of the postprocessings."""
        return list(
            results.get_files_in_folder(f"config/{self.folder or self.name}/postprocess_configs")
        )

    def get_eval_config_files(self) -> list[str]:
        """Gin files of the metrics."""
        return list(
            results.get_files_in_folder(f"config/{self.folder or self.name}/metric_configs")
        )

    def print_model_config(self, model_num: int = 0) -> None:
        """Print what `get_model_config` gives."""
        bindings, file = self.get_model_config(model_num)
        print("Gin base config for model training:", "--", file, "", sep="\n")
        print("Gin bindings for model training:", "--", *bindings, sep="\n")

    def print_postprocess_config(self) -> None:
        """Print the gin files of the postprocessings."""
        files = self.get_postprocess_config_files()
        print("Gin config files for postprocessing:", "--", *files, sep="\n")

    def print_eval_config(self) -> None:
        """Print the gin files of the metrics."""
        files = self.get_eval_config_files()
        print("Gin config files for evaluation:", "--", *files, sep="\n")


class UnsupervisedStudyV1(Study):
    """arXiv 1811.12359."""

    name = "unsupervised_study_v1"


class FairnessStudyV1(Study):
    """arXiv 1905.13662."""

    name = "fairness_study_v1"


class AbstractReasoningStudyV1(Study):
    """The first stage of arXiv 1905.12506, the representations."""

    name = "abstract_reasoning_study_v1"
    folder = f"{name}/stage1"


def get_abstract_config() -> Settings:
    """The settings of every model of the abstract reasoning study's first stage."""
    return AbstractReasoningStudyV1().get_config()


def get_abstract_datasets() -> Settings:
    """That study's data sets."""
    return sweep("dataset.name", STUDIES["abstract_reasoning_study_v1"].datasets)


def get_config() -> Settings:
    """The settings of every model of the studies, which have the same."""
    return UnsupervisedStudyV1().get_config()


def get_datasets() -> Settings:
    """The studies' data sets."""
    return sweep("dataset.name", STUDIES["unsupervised_study_v1"].datasets)


def get_num_latent(sweep_values: Sequence[int]) -> Settings:
    """Numbers of latents."""
    return sweep("encoder.num_latent", sweep_values)


def get_seeds(num: int) -> Settings:
    """The first seeds."""
    return sweep("model.random_seed", list(range(num)))


def get_default_models() -> Settings:
    """Each method with each value of its hyperparameter."""
    study = STUDIES["unsupervised_study_v1"]
    numbers = range(0, len(METHODS) * NUM_VALUES * study.num_seeds, study.num_seeds)
    own = [UnsupervisedStudyV1()._settings(number) for number in numbers]
    shared = ("dataset.name", "encoder.encoder_fn", "decoder.decoder_fn", "model.random_seed")
    return [{k: v for k, v in settings.items() if k not in shared} for settings in own]
