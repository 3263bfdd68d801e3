"""The pages of the documentation that are generated from the code.

    python benchmarks/doc_pages.py      # writes docs/configuration.md and docs/metrics/<metric>.md

A metric's page has what `help()` shows of its function of arrays, its `info`, its packaged gin file
and its picture (benchmarks/metric_pictures.py). The configuration page has every gin name.
"""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
import re
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gin import config as gin_state
from metric_pictures import core_of, metrics_of_codes

import srvae_plugin
from srvae_plugin.config import plugins
from srvae_plugin.report.comparison.published import is_by, published_scores

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
MADE = "<!-- made by benchmarks/doc_pages.py -->"
SECTION = re.compile(
    r"^(Args|Returns|Raises|Examples?):\n((?:[ \t]+.*\n|\n(?=[ \t]))*)", re.MULTILINE
)
ARGUMENT = re.compile(r"^(\w+(?:, \w+)*): (.*(?:\n[ \t]+.*)*)", re.MULTILINE)
REFERRED = re.compile(r"(?:see|as of|as in)\s+`(\w+)`\.")
"""What a docstring says of a parameter that another one describes."""
RETURNS = re.compile(r"^Returns (.)")
ROLE = re.compile(r":\w+:`~?(?:[\w.]*\.)?(\w+)`")
LABEL = re.compile(r"^(Rewards|Punishes|Use it|Published settings): ", re.MULTILINE)
PUBLISHED = re.compile(r"\n\n(Published settings: .*?)(?=\n\n|\Z)", re.DOTALL)


def sections(function: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    """A docstring's prose, and its sections."""
    text = (inspect.getdoc(function) or "") + "\n"
    found = {name: textwrap.dedent(body).strip() for name, body in SECTION.findall(text)}
    return re.sub(r"\n{3,}", "\n\n", SECTION.sub("", text)).strip(), found


def as_markdown(text: str) -> str:
    """A docstring's prose: indented formulas as blocks, labels in bold."""
    parts = []
    for paragraph in text.split("\n\n"):
        if paragraph.startswith("    "):
            parts.append(f"```text\n{textwrap.dedent(paragraph)}\n```")
        else:
            parts.append(LABEL.sub(r"**\1:** ", paragraph))
    return plain("\n\n".join(parts))


def plain(text: str) -> str:
    """Without Sphinx's markup, which Markdown would show as it is."""
    return re.sub("(?<!`)``(?!`)", "`", ROLE.sub(r"`\1`", text))


DEFECTS = (
    "Three factors with six values each, 2,000 points. *Rotated*: pairs of latents are rotated by "
    "up to 45 degrees. *Noisy*: Gaussian noise, in units of a latent's standard deviation. "
    "*Duplicated*: some latents appear twice. *Merged*: one latent also holds the next factors, "
    "whose own latents hold noise."
)


def metric_page(name: str) -> str:
    """A metric's page."""
    info, core = plugins.metric_info(name), core_of(name)
    prose, found = sections(core)
    summary, _, more = prose.partition("\n\n")
    before, _, after = more.partition("\n\nSpecial cases: ")
    settings = PUBLISHED.findall(before)
    before = PUBLISHED.sub("", before)
    return "\n".join([
        MADE, f"# {info.title}", "", as_markdown(summary), "",
        f"`{name}` in gin and on the command line, `srvae_plugin.metrics.{core.__name__}` in "
        "Python.", "",
        f"Reference: {info.reference}.", "",
        as_markdown(before), "",
        "## Scores", "", *_headlines(info), as_markdown(found["Returns"]), "",
        "## Special cases", "", as_markdown(after), "",
        "## On codes with one defect", "",
        f"![{info.title} on rotated, noisy, duplicated and merged codes]"
        f"(../images/metrics/{name}.svg)", "", DEFECTS, "",
        "## Settings", "", *map(as_markdown, settings), "", *_settings(name, info),
        "## Example", "", f"```pycon\n{found['Examples']}\n```", "",
    ])  # fmt: skip


def _headlines(info: Any) -> Iterator[str]:
    if not info.headlines:
        return
    yield "| score | key | range | better |"
    yield "|---|---|---|---|"
    for score in info.headlines:
        better = "higher" if score.higher_is_better else "lower"
        yield f"| {score.title} | `{score.key}` | {_range(*score.range)} | {better} |"
    yield ""


def _range(low: float, high: float) -> str:
    if math.isinf(high):
        return "any number" if math.isinf(low) else f"{low:g} or more"
    return f"{high:g} or less" if math.isinf(low) else f"{low:g} to {high:g}"


def _settings(name: str, info: Any) -> Iterator[str]:
    count = sum(
        score.metric == headline.published and score.mean is not None and is_by(score, name)
        for headline in info.headlines
        if headline.published
        for score in published_scores()
    )
    if count:
        yield f"`srvae-report --published` lists {count} published values."
        yield ""
    yield f"The packaged `metrics/{name}.gin`:"
    yield ""
    text = (ROOT / "gin" / "metrics" / f"{name}.gin").read_text(encoding="utf-8")
    yield f"```gin\n{text.strip()}\n```"
    yield ""


MEANINGS = {
    "AdagradOptimizer.initial_accumulator_value": "the first a, above 0.",
    "beta1": "decay of the running mean of gradients.",
    "beta2": "decay of the running mean of squared gradients.",
    "supervised_loss.loss_fn": "`@xent`, `@l2`, `@cov` or `@embed`.",
    "iteration_threshold": "step at which the weight reaches its full value.",
    "anneal_fn": "`@fixed`, `@anneal` or `@fine_tune`.",
    "beta": "weight of the KL term.",
    "labeller_fn": "such as `@perfect_labeller` or `@noisy_labeller`.",
    "prob_random": "probability of a random label.",
    "num_observed_factors": "number of factors that are labelled.",
    "evaluation_fn": "the metric, such as `@mig`.",
    "random_seed": "seed of this step.",
    "name": "not used; identifies the step in its results.",
    "postprocess_fn": "`@mean_representation`, `@sampled_representation`, or your own function.",
    "initializer": 'how weights are initialised: `"glorot_uniform"`, as in disentanglement_lib, or '
    '`"pytorch"`.',
    "num_latent": "number of latents.",
    "encoder_fn": "the encoder, such as `@conv_encoder`.",
    "decoder_fn": "the decoder, such as `@deconv_decoder`.",
    "discriminator_fn": "the discriminator.",
    "width": "units per layer.",
    "base_channels": "channels of the first layer.",
    "loss_fn": "`@bernoulli_loss` or `@l2_loss`.",
    "activation": 'how the decoder\'s output is read: `"logits"` or `"linear"`.',
    "learning_rate": "a number, or a schedule without parentheses.",
    "optimizer_fn": "an optimizer, such as `@AdamW`.",
    "decay_steps": "updates per decay period.",
    "decay_rate": "decay factor per period.",
    "staircase": "change the rate only at the end of each period.",
    "warmup_steps": "updates until the full learning rate is reached.",
    "boundaries": "updates at which the learning rate changes.",
    "values": "learning rates between the boundaries.",
    "end_learning_rate": "the final learning rate.",
    "power": "exponent of the polynomial.",
    "cycle": "restart the decay when it ends.",
    "alpha": "final learning rate, as a fraction of the first.",
    "momentum": "weight of the previous update.",
    "use_nesterov": "use Nesterov momentum.",
    "decay": "decay of the running mean of squares.",
    "epsilon": "added to the denominator.",
    "centered": "subtract the squared mean.",
    "use_locking": "a TensorFlow argument without effect here.",
    "path": "the file or its folder; None: found below `$DISENTANGLEMENT_LIB_DATA`.",
    "data_dir": "where TensorFlow Datasets keeps its data sets.",
    "factor_sizes": "number of values of each factor, if not the official ones.",
    "num_bins": "number of bins.",
    "discretizer_fn": "binning function, such as `@histogram_discretizer`.",
    "n_jobs": "number of threads or processes; scores do not depend on it.",
    "predictor_fn": "creates a classifier; None: boosted trees.",
    "threshold": "standard deviation below which a latent is inactive.",
    "correlation_measure": "how informative latents are about factors; None: DCI's importance.",
}
"""Meanings of parameters that docstrings do not describe."""
KINDS = {
    "The steps of a run": lambda c: (
        c.selector.split(".")[-1]
        in ("model", "run", "postprocess", "evaluation", "dataset", "study")
    ),
    "Models": lambda c: c.selector.split(".")[-1] in plugins.names("models"),
    "Networks": lambda c: ".networks" in c.wrapped.__module__,
    "Losses": lambda c: c.wrapped.__module__.endswith(".losses"),
    "Optimizers, schedules and callbacks": lambda c: ".training" in c.wrapped.__module__,
    "Representations": lambda c: ".runs" in c.wrapped.__module__,
    "Data sets": lambda c: c.selector.split(".")[-1] in plugins.names("datasets"),
    "Metrics": lambda c: c.selector.split(".")[-1] in plugins.names("metrics"),
    "What metrics use": lambda c: ".metrics" in c.wrapped.__module__,
    "Exporters": lambda c: c.wrapped.__module__.startswith("srvae_adapters"),
    "Others": lambda c: True,
}
"""Chapters of the reference; a name appears in the first that accepts it."""


TORCH = (
    "Every torch optimizer that needs only gradients (`Adam`, `AdamW`, `SGD`, `RMSprop`, ...) has "
    "its `torch.optim` name and arguments: `AdamW.weight_decay = 0.01`. The others listed here are "
    "TensorFlow's, as in disentanglement_lib's files, and our own."
)


def configurables() -> list[Any]:
    """Everything our packages register with gin."""
    plugins.load()
    for module in pkgutil.walk_packages(srvae_plugin.__path__, "srvae_plugin."):
        if not re.search(r"\.(cli|testing|configs)\b", module.name):
            importlib.import_module(module.name)
    ours = ("srvae_plugin.", "srvae_adapters.")
    return sorted(
        (c for s, c in gin_state._REGISTRY.items() if s.startswith(ours)),
        key=lambda c: c.selector.lower(),
    )


def configuration_page() -> str:
    """Every gin name, with its parameters, their defaults and meanings."""
    parts = [
        MADE, "# Configuration reference", "",
        "Every name that can be bound in a gin file or with `--bind 'NAME.PARAMETER = VALUE'`, "
        "with its parameters and defaults. `srvae-evaluate --list` also lists the names of your "
        "plug-ins. A parameter without a default must be bound, unless the caller passes it. "
        "`@name` is a function or class itself, `@name()` the result of calling it. The "
        "[packaged files](../gin) bind the usual values.", "",
    ]  # fmt: skip
    left = [c for c in configurables() if not c.wrapped.__module__.startswith("torch.")]
    for title, takes in KINDS.items():
        chosen = [c for c in left if takes(c)]
        left = [c for c in left if c not in chosen]
        if chosen:
            parts += [f"## {title}", ""]
            if title.startswith("Optimizers"):
                parts += [TORCH, ""]
            for each in chosen:
                parts += [*_entry(each), ""]
    return "\n".join(parts)


def _entry(configurable: Any) -> Iterator[str]:
    thing = configurable.wrapped
    name = configurable.selector.split(".")[-1]
    yield f"### {name}"
    yield ""
    prose, found = sections(thing)
    summary = " ".join(prose.partition("\n\n")[0].split())
    yield as_markdown(RETURNS.sub(lambda found: found[1].upper(), summary))
    described = _described(thing, found)
    rows = [
        (parameter, described.get(parameter.name) or _meaning(name, parameter.name))
        for parameter in inspect.signature(thing).parameters.values()
        if _is_bindable(configurable, parameter)
    ]
    if not rows:
        return
    yield ""
    yield "| parameter | default | |"
    yield "|---|---|---|"
    for parameter, meaning in rows:
        meaning = " ".join(meaning.split()).replace("|", "\\|")
        yield f"| `{name}.{parameter.name}` | {_default(parameter)} | {meaning} |"


def _meaning(name: str, parameter: str) -> str:
    return MEANINGS.get(f"{name}.{parameter}") or MEANINGS.get(parameter, "")


def _is_bindable(configurable: Any, parameter: inspect.Parameter) -> bool:
    if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
        return False
    if configurable.allowlist is not None:
        return parameter.name in configurable.allowlist
    return parameter.name not in (configurable.denylist or ("trained", "folder"))


def _described(thing: Callable[..., Any], found: dict[str, str]) -> dict[str, str]:
    """Parameters as docstrings describe them, inherited ones included."""
    texts = [found.get("Args", "")]
    if inspect.isclass(thing):
        texts += [sections(base)[1].get("Args", "") for base in thing.__mro__[1:-1] if base.__doc__]
    meanings: dict[str, str] = {}
    for text in texts:
        for names, meaning in ARGUMENT.findall(text):
            for name in names.split(", "):
                if REFERRED.fullmatch(meanings.get(name, "see `it`.")):
                    meanings[name] = plain(meaning)
    near = vars(inspect.getmodule(thing))
    for name, meaning in meanings.items():
        other = REFERRED.fullmatch(meaning)
        if other and callable(near.get(other[1])) and near[other[1]] is not thing:
            meanings[name] = _described(near[other[1]], sections(near[other[1]])[1]).get(
                name, meaning
            )
    return meanings


def _default(parameter: inspect.Parameter) -> str:
    value = parameter.default
    if value is parameter.empty:
        return ""
    if "factory" in repr(value):
        return "empty"
    name = getattr(value, "__name__", None)
    return f"`@{name}`" if name else f"`{value!r}`".replace("|", "\\|")


def pages() -> dict[Path, str]:
    """All generated pages, by file."""
    made = {DOCS / "metrics" / f"{name}.md": metric_page(name) for name in metrics_of_codes()}
    return {DOCS / "configuration.md": configuration_page(), **made}


if __name__ == "__main__":
    for path, text in pages().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))
