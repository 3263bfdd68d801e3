"""A model's scores beside published ones, and every difference of protocol between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from srvae_plugin.report.comparison.pairs import Row
from srvae_plugin.report.comparison.published import PublishedScore, is_by
from srvae_plugin.report.keys import Score
from srvae_plugin.report.models import number
from srvae_plugin.report.run import Run, Settings
from srvae_plugin.report.scores import Table

__all__ = [
    "PUBLISHED_DATA_SETS", "STUDY_SETTINGS", "Beside", "Difference", "beside_published",
    "differences", "is_same", "published_by_row",
]  # fmt: skip

PUBLISHED_DATA_SETS = {
    "dsprites_full": "dSprites",
    "shapes3d": "Shapes3D",
    "cars3d": "Cars3D",
    "smallnorb": "SmallNORB",
    "mpi3d_toy": "MPI3D",
    "mpi3d_realistic": "MPI3D",
    "mpi3d_real": "MPI3D",
    "teapots": "Teapots",
}
_MPI3D_TOY = "MPI3D-toy"
"""Of publications that say which part they use; "MPI3D" is that of the others."""
STUDY_SETTINGS = {
    "factor_vae_score": {
        "factor_vae_score.num_variance_estimate": "10000",
        "factor_vae_score.num_train": "10000",
        "factor_vae_score.num_eval": "5000",
        "factor_vae_score.batch_size": "64",
        "prune_dims.threshold": "0.05",
    },
    "beta_vae_sklearn": {
        "beta_vae_sklearn.batch_size": "64",
        "beta_vae_sklearn.num_train": "10000",
        "beta_vae_sklearn.num_eval": "5000",
    },
    "dci": {"dci.num_train": "10000", "dci.num_test": "5000", "dci.backend": "'exact'"},
    "mig": {
        "mig.num_train": "10000",
        "discretizer.discretizer_fn": "@histogram_discretizer",
        "discretizer.num_bins": "20",
    },
    "sap_score": {
        "sap_score.num_train": "10000",
        "sap_score.num_test": "5000",
        "sap_score.continuous_factors": "False",
    },
    "modularity_explicitness": {
        "modularity_explicitness.num_train": "10000",
        "modularity_explicitness.num_test": "5000",
        "discretizer.discretizer_fn": "@histogram_discretizer",
        "discretizer.num_bins": "20",
    },
}
"""Settings of disentanglement_lib's study, which later tables use if they say nothing else."""
_NOT_STATED = "not stated"


class Difference(NamedTuple):
    """One thing that is not the same here and there."""

    what: str
    here: str
    published: str


class Beside(NamedTuple):
    """One model's score, and one published number for it."""

    table: Table
    row: Row
    published: PublishedScore
    differences: list[Difference]


def beside_published(tables: Sequence[Table], published: Sequence[PublishedScore]) -> list[Beside]:
    """Every score of a model that publications report, once for each published number."""
    return [
        Beside(table, row, one, differences(table, row, one))
        for table in tables
        for row in table.rows
        for one in published
        if _matches(one, table, row)
    ]


def published_by_row(table: Table, beside: Sequence[Beside]) -> list[list[PublishedScore]]:
    """The published numbers of each row of a table, out of `beside_published`."""
    return [[one.published for one in beside if one.row is row] for row in table.rows]


def is_same(table: Table, published: PublishedScore) -> bool:
    """Whether a number is of the same score and data set, whatever the model."""
    name = _gin_name(table.rows[0])
    plain = name.removeprefix("tfds_")
    data_sets = [name, PUBLISHED_DATA_SETS.get(plain)]
    if plain == "mpi3d_toy":
        data_sets.append(_MPI3D_TOY)
    return published.dataset in data_sets and _is_same(table.score, published)


def _matches(published: PublishedScore, table: Table, row: Row) -> bool:
    models = (row.model.name, row.model.label, row.model.base or row.model.label)
    same = published.model in models and is_same(table, published)
    return same and _has_regressor(published, table, row)


def _gin_name(row: Row) -> str:
    """Gin's name of the data set, whatever a study calls it."""
    return row.runs[0].data.name


def _has_regressor(published: PublishedScore, table: Table, row: Row) -> bool:
    """Whether it is by the same trees or regressors, where it is DCI."""
    metric = table.score.metric
    if not is_by(published, table.score.function or metric):
        return False
    names = (f"{metric}/dci_regression.regressor", "dci_regression.regressor")
    used = [run.settings.get((table.kind, metric), {}) for run in row.runs]
    regressors = {
        settings[name].strip("'\"") for settings in used for name in names if name in settings
    }
    words = published.hyperparameters.lower()
    return all(regressor.replace("_", " ") in words for regressor in regressors)


def _is_same(score: Score, published: PublishedScore) -> bool:
    """By the publications' name of a score, or by ours, `metric.key`."""
    return published.metric in (score.published or None, f"{score.metric}.{score.key}")


def differences(table: Table, row: Row, published: PublishedScore) -> list[Difference]:
    """Every difference of protocol, what a source does not state included."""
    config, stated = row.model.config, published.stated
    found = [
        _count("training steps", config.get("model.training_steps"), stated.training_steps),
        _seeds(row, published),
        _data_set(row.runs, _gin_name(row), published.dataset),
        _count("batch size", config.get("model.batch_size"), stated.batch_size),
        _learning_rate(config, stated.learning_rate),
        _count("latents", config.get("encoder.num_latent"), stated.num_latent),
        _hyperparameters(row.model.settings, published.hyperparameters),
        Difference("representation", table.kind, "mean") if table.kind == "sampled" else None,
        *_metric_settings(table, row, stated.metric_settings),
    ]
    return [difference for difference in found if difference]


def _count(what: str, here: str | None, published: int | None) -> Difference | None:
    value = number(here)
    if value is not None and value == published:
        return None
    shown = f"{value:,.0f}" if value is not None else _NOT_STATED
    return Difference(what, shown, _NOT_STATED if published is None else f"{published:,}")


def _learning_rate(config: Settings, published: float | None) -> Difference | None:
    """Nothing if the publication says nothing about it."""
    bound = config.get("vae_optimizer.learning_rate", "None")
    own = config.get("vae/AdamOptimizer.learning_rate")
    here = number(own if bound == "None" else bound)
    if published is None or here == published:
        return None
    return Difference(
        "learning rate", _NOT_STATED if here is None else f"{here:g}", f"{published:g}"
    )


def _hyperparameters(here: str, published: str) -> Difference | None:
    """What the publication says in words, but for the latents, which are compared as numbers."""
    if not published or published.startswith("latent dim"):
        return None
    return Difference("hyperparameters", here or _NOT_STATED, published)


def _seeds(row: Row, published: PublishedScore) -> Difference | None:
    sound = row.summary.runs - row.summary.failed
    here = _all(sound) + (f" ({row.summary.failed} failed)" if row.summary.failed else "")
    there = published.stated.selection
    there = there or (_all(published.n_seeds) if published.n_seeds else _NOT_STATED)
    return None if here == there else Difference("seeds", here, there)


def _all(count: int) -> str:
    return f"all {count}" if count > 1 else f"{count}"


def _data_set(runs: Sequence[Run], name: str, published: str) -> Difference | None:
    """Whether the images are the original's."""
    if name == "teapots":
        given = all(run.config.get("teapots.path", "None") != "None" for run in runs)
        made = None if given else "re-created from Newell's teapot: the same factors, other images"
        return Difference("data set", made, "original renderer") if made else None
    if name.startswith("mpi3d"):
        if published == _MPI3D_TOY:
            return None
        return Difference("data set", name, "MPI3D; which part is not stated")
    if name != "dsprites_full" or not any(run.is_ours for run in runs):
        return None
    if all(run.config.get("dsprites_full.path", "None") != "None" for run in runs):
        return None
    sources = {run.environment.get("data_source") for run in runs}
    if None not in sources and "re-rendered" not in sources:
        return None
    unsure = " unless disentanglement_lib's copy was found" if None in sources else ""
    return Difference("data set", f"re-rendered{unsure}", "original images")


def _metric_settings(table: Table, row: Row, stated: str) -> Iterator[Difference]:
    """Settings that are not those of disentanglement_lib's study, all in one."""
    metric = table.score.metric
    used = [run.settings[table.kind, metric] for run in row.runs
            if (table.kind, metric) in run.settings]  # fmt: skip
    here, usual = [], []
    for name, theirs in STUDY_SETTINGS.get(metric, {}).items():
        values = {settings[name] for settings in used if name in settings}
        if any(not _is_equal(value, theirs) for value in values):
            short = name.removeprefix(f"{metric}.")
            here.append(f"{short} {' and '.join(sorted(values))}")
            usual.append(f"{short} {theirs}")
    if here:
        there = stated or f"not stated; disentanglement_lib's study has {', '.join(usual)}"
        yield Difference("metric settings", ", ".join(here), there)
    elif stated and not stated.startswith("disentanglement_lib's metrics"):
        yield Difference("metric settings", "this package's", stated)


def _is_equal(value: str, usual: str) -> bool:
    numbers = number(value), number(usual)
    return numbers[0] == numbers[1] if None not in numbers else value == usual
