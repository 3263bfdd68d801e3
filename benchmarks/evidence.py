"""Tables, verdicts and figures of docs/evidence.md, from the records in docs/measurements/evidence.

    python benchmarks/evidence_record.py evidence/dsprites      # of a study, finished or not
    python benchmarks/evidence_steps.py evidence/dsprites_long  # of one that kept snapshots
    python benchmarks/evidence.py

rewrites them, the tables between the page's two marks. `--print` only prints the tables.

A claim compares two models by a 95 % t interval of the mean paired difference over seeds, or by a
bootstrap interval of the difference of standard deviations, which is too narrow with few seeds. It
is "supported" if the whole interval is on the claim's side of 0, "contradicted" if it is on the
other side, and otherwise "not decided", as with fewer than five seeds.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np
from evidence_curves import chart, difference_rows, found_in, step_rows, t_interval
from evidence_record import IMAGES, RECORDS, read_rows
from numpy.typing import ArrayLike, NDArray

from srvae_plugin.config.text import gin_dict
from srvae_plugin.report.comparison.bootstrap import bootstrap_interval
from srvae_plugin.report.comparison.gaps import planned_metrics
from srvae_plugin.report.comparison.pairs import FEWEST, Bootstrap
from srvae_plugin.report.comparison.protocol import (
    PUBLISHED_DATA_SETS,
    beside_published,
    published_by_row,
)
from srvae_plugin.report.comparison.published import mean_text, published_scores
from srvae_plugin.report.comparison.statistics import mean, probability_of_improvement, third
from srvae_plugin.report.keys import metric_name
from srvae_plugin.report.losses import reconstruction_of
from srvae_plugin.report.models import Model
from srvae_plugin.report.parts.figures import strip_plot
from srvae_plugin.report.run import DataSet, Run
from srvae_plugin.report.scores import Table, score_tables

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "evidence.md"
MARKS = "<!-- made by benchmarks/evidence.py -->\n", "<!-- up to here -->\n"
FACTOR_VAE, FOREST_D = "FactorVAE score", "forest D"
RECONSTRUCTION, SQUARED_ERROR = "reconstruction", "squared error"
COLUMNS = {
    ("factor_vae_score", "eval_accuracy"): FACTOR_VAE,
    ("mig", "discrete_mig"): "MIG",
    ("dci", "disentanglement"): "DCI D",
    ("sap_score", "SAP_score"): "SAP",
    ("random_forest", "disentanglement"): FOREST_D,
    ("random_forest", "completeness"): "forest C",
    ("random_forest", "nrmse_test"): "forest error",
    ("lasso", "disentanglement"): "Lasso D",
    ("lasso", "completeness"): "Lasso C",
    ("lasso", "nrmse_test"): "Lasso error",
    ("training", "reconstruction_loss"): RECONSTRUCTION,
}
"""Losses of models trained on the squared error have a column of their own: `SQUARED_ERROR`."""
TRAINING = "training_steps", "batch_size"
FIGURES = FACTOR_VAE, FOREST_D, RECONSTRUCTION, SQUARED_ERROR
ON_THE_WAY = FACTOR_VAE, "MIG", "DCI D", RECONSTRUCTION
PUBLISHED = FACTOR_VAE, FOREST_D, "Lasso D"
CHECKPOINT = re.compile("; (?:the last|there is no)")
"""Where an error goes on with what is left to resume from."""
Values = dict[int, float]
"""Score of each seed."""
Ends = tuple[float, float]


class Claim(NamedTuple):
    """`better` scores better than `worse`, or its scores lie closer together."""

    text: str
    better: str
    worse: str
    column: str
    spread: bool = False


GAUSSIAN = "VAE-gaussian", "ResVAE-gaussian"
"""What SR-VAE-gaussian is compared with."""
BASELINES = "VAE", "beta-VAE", "FactorVAE"
CLAIMS = [
    *(Claim("better disentanglement", "SR-VAE", m, FACTOR_VAE) for m in BASELINES),
    *(Claim("better disentanglement", "SR-VAE", m, FOREST_D) for m in BASELINES),
    *(Claim("better reconstruction", "SR-VAE", m, RECONSTRUCTION) for m in BASELINES),
    Claim("the sequence matters", "SR-VAE", "ResVAE", FACTOR_VAE),
    Claim("the skip connection matters", "SR-VAE", "SeqVAE", FACTOR_VAE),
    Claim("new noise for every latent matters", "SR-VAE", "SR-VAE-shared-noise", FACTOR_VAE),
    Claim("better disentanglement", "SR-VAE-gaussian", "VAE-gaussian", FACTOR_VAE),
    Claim("the sequence matters", "SR-VAE-gaussian", "ResVAE-gaussian", FACTOR_VAE),
    Claim("better reconstruction", "SR-VAE-gaussian", "VAE-gaussian", SQUARED_ERROR),
    Claim("beta = 1 is better than beta = 4", "SR-VAE", "SR-beta-VAE", FACTOR_VAE),
    *(Claim("less spread over seeds", "SR-VAE", m, FACTOR_VAE, True) for m in BASELINES),
    *(Claim("less spread over seeds", "SR-VAE", m, FOREST_D, True) for m in BASELINES),
]


class Record(NamedTuple):
    """What is kept of a study."""

    name: str
    models: list[Model]
    runs: list[dict[str, str]]
    """Rows of runs.csv."""
    training: str
    """How long, such as "3,000 steps of 16 images"."""
    on_the_way: list[dict[str, str]]
    """Rows of steps.csv, if snapshots were scored."""


def read(folder: Path) -> Record:
    rows, scores = read_rows(folder / "runs.csv"), read_rows(folder / "scores.csv")
    bound = {path.stem: gin_dict(path.read_text()) for path in (folder / "gin").iterdir()}
    found: dict[tuple[str, str], Run] = {}
    for row in rows:
        if row["status"] in ("finished", "failed"):
            found[row["label"], row["seed"]] = Run(
                f"{row['label']} seed {row['seed']}",
                folder,
                config=bound.get(row["label"], {}) | {"model.random_seed": row["seed"]},
                settings=settings_of(bound.get(row["label"], {})),  # none if all its runs failed
                data=DataSet(row["dataset_name"]),
                data_set=row["dataset_name"],
                finished=row["status"] == "finished",
            )
    for row in scores:
        run, where = found[row["model"], row["seed"]], (row["representation"], row["metric"])
        run.scores.setdefault(where, {})[row["key"]] = float(row["value"])
    names = dict.fromkeys(model for model, _ in found)
    models = [
        Model(
            name,
            name,
            {},
            [run for (model, _), run in found.items() if model == name],
            number=number,
        )
        for number, name in enumerate(names)
    ]
    steps, batch = (max(int(row[name]) for row in scores) for name in TRAINING)
    training, way = f"{steps:,} steps of {batch} images", folder / "steps.csv"
    return Record(folder.name, models, rows, training, read_rows(way) if way.is_file() else [])


def settings_of(bound: dict[str, str]) -> dict[tuple[str, str], dict[str, str]]:
    """What gin bound for each metric, and for what metrics share."""
    settings = {}
    for name in planned_metrics(bound):
        function = name.rpartition("/")[2]
        owners = {name, function, "discretizer", "predictor", "prune_dims"}
        own = {key: value for key, value in bound.items() if key.rpartition(".")[0] in owners}
        settings["mean", metric_name(name)] = own | {"evaluation.evaluation_fn": f"@{name}"}
    return settings


def columns_of(record: Record) -> dict[str, Table]:
    """The report's tables, by the name of their column here."""
    by_name = {}
    for table in score_tables(record.models, Bootstrap()):
        name = COLUMNS.get((table.score.metric, table.score.key))
        if name == RECONSTRUCTION and is_squared(table.rows[0].model):
            name = SQUARED_ERROR
        if name in by_name and name is not None:
            raise ValueError(f"{record.name}: {name} was computed in two ways")
        by_name[name] = table
    return {name: by_name[name] for name in (*COLUMNS.values(), SQUARED_ERROR) if name in by_name}


def is_squared(model: Model) -> bool:
    """Whether the model's reconstruction loss is a squared error."""
    return reconstruction_of(model.runs[0].config) == SQUARED_ERROR


def by_seed(table: Table, label: str) -> Values:
    rows = [row for row in table.rows if row.model.label == label]
    return {
        run.seed: float(value)
        for row in rows
        for run, value in zip(row.runs, row.values, strict=True)
        if run.seed is not None and np.isfinite(value)
    }


def shown(value: float, table: Table) -> str:
    return f"{value:.{1 if table.score.metric == 'training' else 3}f}"


def with_interval(value: float, ends: Ends, seeds: int, table: Table) -> str:
    """A statistic and its interval; the statistic alone of fewer seeds than an interval takes."""
    text = shown(value, table)
    if seeds < FEWEST or np.isnan(ends[0]):
        return text
    return f"{text} [{shown(ends[0], table)}, {shown(ends[1], table)}]"


def table_of(header: Sequence[str], rows: Iterator[Sequence[object]]) -> list[str]:
    body = ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return ["| " + " | ".join(header) + " |", "|---" * len(header) + "|", *body, ""] if body else []


def score_rows(record: Record, columns: dict[str, Table]) -> Iterator[list[object]]:
    for model in record.models:
        values = [list(by_seed(table, model.label).values()) for table in columns.values()]
        cells = [
            with_interval(mean(found), t_interval(found), len(found), table) if found else ""
            for found, table in zip(values, columns.values(), strict=True)
        ]
        failed = sum(not run.finished for run in model.runs)
        yield [model.label, len(model.runs) - failed, failed or "", *cells]


def spread_difference(values: NDArray[np.float64]) -> float:
    """Standard deviation of the first column less that of the second."""
    one, two = np.std(values, axis=0, ddof=1) if len(values) > 1 else (math.nan, math.nan)
    return float(one - two)


def claim_rows(columns: dict[str, Table]) -> Iterator[list[object]]:
    for claim in CLAIMS:
        table = columns.get(claim.column)
        if table is None:
            continue
        one, two = by_seed(table, claim.better), by_seed(table, claim.worse)
        seeds = sorted(one.keys() & two.keys())
        if not seeds:
            continue
        pair = np.array([[one[seed], two[seed]] for seed in seeds])
        sign = 1 if table.score.higher_is_better else -1
        if claim.spread:
            difference, ends = spread_difference(pair), bootstrap_interval(spread_difference, pair)
            side, chance = -1, ""
        else:
            differences = pair[:, 0] - pair[:, 1]
            difference, ends, side = mean(differences), t_interval(differences), sign
            won = probability_of_improvement(*(sign * pair.T))
            chance = f"{won:.2f}" if len(seeds) >= FEWEST else ""
        told = with_interval(difference, ends, len(seeds), table)
        yield [
            claim.text, f"{claim.better}, {claim.worse}", claim.column, len(seeds),
            "" if np.isnan(difference) else told, chance,
            verdict(side * np.array(ends), len(seeds)),
        ]  # fmt: skip


def verdict(ends: ArrayLike, seeds: int) -> str:
    """The verdict of an interval that lies above 0 if the claim holds."""
    if seeds < FEWEST:
        return f"not decided: fewer than {FEWEST} seeds"
    if np.min(ends) > 0:
        return "**supported**"
    return "**contradicted**" if np.max(ends) < 0 else "not decided"


def best_rows(record: Record, table: Table) -> Iterator[list[object]]:
    """What the paper's protocol does to a score: it averages the best third of the seeds."""
    for model in record.models:
        values = sorted(by_seed(table, model.label).values(), reverse=table.score.higher_is_better)
        if len(values) >= FEWEST:
            best = values[: third(len(values))]
            means = (shown(float(np.mean(of)), table) for of in (values, best))
            yield [model.label, *means, f"{len(best)} of {len(values)}"]


def published_rows(columns: dict[str, Table]) -> Iterator[list[object]]:
    """Every published value of the scores that the paper reports, and our difference from it."""
    numbers = published_scores()
    for column, table in ((c, columns[c]) for c in PUBLISHED if c in columns):
        for beside in beside_published([table], numbers):
            number = beside.published
            if number.mean is None or np.isnan(beside.row.summary.mean):
                continue
            ours = beside.row.summary.mean
            yield [
                beside.row.model.label, column, shown(ours, table), mean_text(number),
                f"{ours - number.mean:+.3f}", number.hyperparameters, number.source,
            ]  # fmt: skip


def failures(record: Record) -> Iterator[str]:
    for row in record.runs:
        if row["status"] == "failed":
            yield f"- {row['label']}, seed {row['seed']}: {CHECKPOINT.split(row['error'])[0]}"
    waiting = sum(row["status"] not in ("finished", "failed") for row in record.runs)
    if waiting:
        yield f"- {waiting} of {len(record.runs)} runs had not finished when this was recorded"


def draw(name: str, table: Table) -> str:
    """A strip plot of the report as a file of its own; returns its address on the page."""
    beside = beside_published([table], published_scores())
    return keep_svg(name, strip_plot(table, published_by_row(table, beside)))


def keep_svg(name: str, plot: str) -> str:
    """Write a chart of the report with its style; returns its address on the page."""
    style = files("srvae_plugin.report").joinpath("templates/report.css").read_text()
    head, _, rest = plot.partition(">")
    address = f"images/evidence_{name}.svg"
    (DOCS / address).write_text(f"{head}><style>{style}</style>{rest}\n")
    return address


def on_the_way(record: Record, with_figures: bool) -> Iterator[str]:
    """Scores over steps, if snapshots were scored."""
    every = [model.label for model in record.models]
    squared = [model.label for model in record.models if is_squared(model)]
    others = [name for name in every if name not in squared]
    losses = [(RECONSTRUCTION, others), (SQUARED_ERROR, squared)]
    parts = [
        (where, *part)
        for where, title in COLUMNS.items()
        if title in ON_THE_WAY
        for part in (losses if title == RECONSTRUCTION else [(title, every)])
    ]
    for (metric, key), title, names in parts:
        found = found_in(record.on_the_way, metric, key)
        found = {run: of for run, of in found.items() if run[0] in names}
        if not found:
            continue
        training = metric == "training"  # of other images than the table of the last step is
        steps = sorted(set.intersection(*(set(of) for of in found.values())))
        digits = 1 if training else 3
        asked = f"{title} of {IMAGES:,} fixed images after" if training else f"{title} after"
        header = [asked, "seeds", *(f"{step:,} steps" for step in steps)]
        rows = [*step_rows(found, names, steps, digits)]
        rows += difference_rows(found, "SR-VAE", names, steps, digits)
        rows += difference_rows(found, "SR-VAE-gaussian", GAUSSIAN, steps, digits)
        yield from table_of(header, iter(rows))
        if with_figures:
            address = keep_svg(
                f"{record.name}_{title.split()[0].lower()}_steps", chart(found, names, title)
            )
            yield from [f"![{title} over steps, every seed]({address})", ""]
    scored = {row["model"] for row in record.on_the_way}
    waiting = [name for name in every if scored and name not in scored]
    if waiting:
        yield from [f"Not yet scored over steps: {', '.join(waiting)}.", ""]


def chapter(record: Record, with_figures: bool) -> list[str]:
    columns = columns_of(record)
    data_sets = {
        PUBLISHED_DATA_SETS.get(table.data_set, table.data_set) for table in columns.values()
    }
    lines = [f"## {', '.join(sorted(data_sets))}, {record.training}", ""]
    lines += table_of(["model", "seeds", "failed", *columns], score_rows(record, columns))
    lines += table_of(
        ["claim", "compared", "score", "seeds", "difference", "P(better)", "verdict"],
        claim_rows(columns),
    )
    for name in (name for name in FIGURES if name in columns and with_figures):
        address = draw(f"{record.name}_{name.split()[0].lower()}", columns[name])
        lines += [f"![{name}: every seed of every model]({address})", ""]
    if FACTOR_VAE in columns and (rows := [*best_rows(record, columns[FACTOR_VAE])]):
        header = [FACTOR_VAE, "mean of all seeds", "mean of the best third", "seeds averaged"]
        lines += table_of(header, iter(rows))
    lines += on_the_way(record, with_figures)
    lines += table_of(
        ["model", "score", "here", "published", "difference", "published for", "source"],
        published_rows(columns),
    )
    return [*lines, *failures(record), ""]


def main(arguments: Sequence[str]) -> None:
    if list(arguments) not in ([], ["--print"]):
        sys.exit(__doc__)
    only_print = bool(arguments)
    records = [read(path.parent) for path in sorted(RECORDS.glob("*/runs.csv"))]
    made = "\n".join(line for record in records for line in chapter(record, not only_print))
    if only_print:
        print(made)
        return
    before, _, rest = PAGE.read_text().partition(MARKS[0])
    PAGE.write_text(before + MARKS[0] + made + MARKS[1] + rest.partition(MARKS[1])[2])


if __name__ == "__main__":
    main(sys.argv[1:])
