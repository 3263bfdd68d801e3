"""Scores from Python: metrics on codes or on any representation function."""

from __future__ import annotations

import inspect
import logging
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from srvae_plugin.config import gin_files, plugins
from srvae_plugin.config.gin_messages import one_line
from srvae_plugin.data.ground_truth import GroundTruthData
from srvae_plugin.data.images_only import ImagesOnly, RowNumbers
from srvae_plugin.data.own.factor_columns import Bins, Kinds
from srvae_plugin.data.own.given_factors import given_factors, require_one_order
from srvae_plugin.data.own.table import FactorTable
from srvae_plugin.data.sampling.held_out import to_score
from srvae_plugin.data.sampling.seeds import Seed, seed_of
from srvae_plugin.metrics.common.arrays import as_array
from srvae_plugin.progress import Progress
from srvae_plugin.runs import pipeline
from srvae_plugin.runs.evaluate import MetricsFailedError
from srvae_plugin.runs.representation import RepresentationFunction, TabulatedCodes
from srvae_plugin.runs.scoring.notes import each_note_once
from srvae_plugin.runs.scoring.scores import Scores
from srvae_plugin.runs.scoring.tried import seeded, tried

__all__ = ["DEFAULT_METRICS", "Metrics", "metric_settings", "score_codes", "score_function"]

logger = logging.getLogger("srvae_plugin")

DEFAULT_METRICS = ("factor_vae_score", "dci", "mig", "sap_score")
Metrics = str | Sequence[str] | Mapping[str, Mapping[str, Any]]
"""Names of metrics, or settings of each by its name: `{"mig": {"num_bins": 10}}`."""


def score_codes(
    codes: Any,
    factors: Any = None,
    metrics: Metrics = DEFAULT_METRICS,
    *,
    seed: Seed = 0,
    random_state: Seed | None = None,
    factor_names: Sequence[str] | None = None,
    factor_kinds: Kinds = None,
    factor_bins: Bins = None,
) -> Scores:
    """Score codes that were computed somewhere else, as `srvae-evaluate --codes` does.

    Args:
        codes: (observation, latent) array, data frame or tensor. Or the path of a file that holds
            codes and factors (npz, csv, tsv, parquet, HDF5, pt), read as `srvae-evaluate --codes`
            reads it: in tables the columns `latent_0`, `latent_1`, ... are the codes.
        factors: (observation, factor) array, data frame or tensor; words are classes, whole
            numbers too, other numbers are continuous. None for metrics that need none. Of a file
            that holds the codes alone, the path of another.
        metrics: names (`srvae-evaluate --list metrics`), or a dictionary with the settings of each.
        seed: a whole number, a numpy Generator or a RandomState; `random_state` is the same.
        factor_names: by default the names of a data frame's columns.
        factor_kinds: "class" or "continuous", by name or index, in a list, or one word for all.
        factor_bins: bins that make classes of continuous factors: a number for all, or by name.

    Returns:
        Scores by metric and key.

    Raises:
        ValueError: codes or factors of a wrong shape or value, or an unknown metric.
        MetricsFailedError: after the others are scored, if a metric cannot be computed.

    Example:
        >>> import numpy as np
        >>> factors = np.argwhere(np.ones((6, 6)))
        >>> scores = score_codes(factors.astype(float), factors, ["mig"])
        >>> scores["mig"]["discrete_mig"]
        1.0
    """
    if isinstance(codes, str | os.PathLike):
        if (factor_names, factor_kinds, factor_bins) != (None, None, None):
            raise ValueError(
                "factor_names, factor_kinds and factor_bins go with arrays; a file says its own"
            )
        return _score_file(codes, factors, metrics, seed_of(seed, random_state))
    table = np.asarray(as_array(codes))
    if table.ndim != 2 or not table.size:
        what = f"shape {table.shape}" if table.ndim else type(codes).__name__
        raise ValueError(
            f"codes: got {what}; expected an array, a data frame or a tensor of shape "
            "(observation, latent), or the path of a file"
        )
    data: GroundTruthData
    if factors is None:
        data = ImagesOnly(RowNumbers(len(table)), "codes without factors")
    else:
        require_one_order(codes, factors)
        columns = given_factors(factors, len(table), factor_names, factor_kinds, factor_bins)
        data = FactorTable(columns.factors, columns.names, factor_kinds=columns.kinds)
    return score_function(TabulatedCodes(table, data), data, metrics, seed_of(seed, random_state))


def _score_file(codes: Any, factors: Any, metrics: Metrics, seed: int) -> Scores:
    from srvae_plugin.runs.codes.files import CodesFile, load_codes

    if not (factors is None or isinstance(factors, str | os.PathLike)):
        raise ValueError(
            f"factors: got {type(factors).__name__} beside the file {codes}; expected None, if it "
            "holds them, or the path of another file"
        )
    table = load_codes(CodesFile(Path(codes), None if factors is None else Path(factors)))
    return score_function(table, table.data, metrics, seed)


def score_function(
    function: RepresentationFunction,
    data: GroundTruthData,
    metrics: Metrics,
    seed: int,
    name: str = "the function",
) -> Scores:
    """Score a representation function: observations (batch, height, width, channel) to codes.

    Args:
        function, data, metrics, seed: see `srvae_plugin.score`.
        name: what messages call the function.
    """
    if held := gin_files.held_bindings():
        logger.warning("gin holds %s: what metrics read of it counts here too", ", ".join(held[:5]))
    chosen = metric_settings(metrics)
    found = {metric: plugins.find("metrics", metric) for metric in chosen}
    if not hasattr(function, "codes_at"):
        tried(function, data, name)
        function = pipeline.cached(function, to_score(data))
    scores = Scores()
    failed: dict[str, list[str]] = {}
    cause: Exception | None = None
    with each_note_once(), Progress("scoring", len(found), unit="metrics") as progress:
        for metric, compute in found.items():
            try:
                scores[metric] = _score(compute, function, to_score(data), seed, chosen[metric])
            except Exception as error:  # a representation of the user's may raise anything
                failed.setdefault(one_line(error), []).append(metric)
                cause = cause or error
            progress.advance()
    if failed:
        reasons = [f"{', '.join(names)}: {reason}" for reason, names in failed.items()]
        raise MetricsFailedError(reasons, scores) from cause
    return scores


def _score(
    metric: Any, function: Any, data: Any, seed: int, settings: Mapping[str, Any]
) -> dict[str, Any]:
    if pipeline.needs_factors(metric):
        pipeline.require_factors(data)
    with tempfile.TemporaryDirectory() as folder, seeded(seed):
        arguments = {"random_state": np.random.RandomState(seed), **settings}
        if "artifact_dir" in inspect.signature(metric).parameters:
            arguments["artifact_dir"] = folder
        return dict(metric(data, function, **arguments))


def metric_settings(metrics: Metrics) -> dict[str, Mapping[str, Any]]:
    """The settings of each metric by its name; the metrics are not looked for."""
    if isinstance(metrics, str):
        return {metrics: {}}
    if isinstance(metrics, Mapping):
        return dict(metrics)
    if not isinstance(metrics, Iterable):
        raise ValueError(f"metrics = {metrics!r}: expected names, or settings by name")
    return {name: {} for name in metrics}
