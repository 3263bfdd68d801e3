"""Pictures of chosen runs for a report, each as text that stands in the page itself."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from srvae_plugin.data.storage import manifest
from srvae_plugin.report.models import Model
from srvae_plugin.report.reading import matrix_in, opened_picture
from srvae_plugin.report.run import Run
from srvae_plugin.report.scores import Table
from srvae_plugin.runs.directory import TRAVERSALS

__all__ = [
    "LATENTS",
    "MOST_BYTES",
    "Animation",
    "Budget",
    "Chosen",
    "Frame",
    "animation",
    "chosen_runs",
    "factor_names",
    "importance",
    "latent_order",
    "names_in",
    "picture",
]

MOST_BYTES = 12_000_000
"""Of all pictures in a page together, so that it stays below about 20 MB with everything else."""
_WIDEST = 1400
_RANGE = 3.0
"""Our traversals go from -3 to 3."""
LATENTS = "latents"
"""Before the latents' numbers in a comment."""
_DAMAGE = (OSError, ValueError, SyntaxError, MemoryError, Image.DecompressionBombError)
_MATRICES = ("dci_importance_matrix.npy", "dci_regression_importance_matrix.npy")
_FACTORS = {
    "dsprites_full": ("shape", "scale", "orientation", "position x", "position y"),
    "dsprites_noshape": ("scale", "orientation", "position x", "position y"),
    "shapes3d": ("floor color", "wall color", "object color", "object size", "object type",
                 "azimuth"),
    "cars3d": ("elevation", "azimuth", "object type"),
    "smallnorb": ("category", "elevation", "azimuth", "lighting"),
    "teapots": ("azimuth", "elevation", "red", "green", "blue"),
}  # fmt: skip
_SAME_FACTORS = {"color_dsprites", "noisy_dsprites", "scream_dsprites"}


class Chosen(NamedTuple):
    """A run that is shown for its model."""

    model: Model
    run: Run
    why: str
    of_several: bool = False
    """Whether its model has runs on the data set that are not shown."""


class Frame(NamedTuple):
    """One picture of an animation."""

    label: str
    source: str
    """A data URI."""


class Animation(NamedTuple):
    """A traversal, to be moved through by a slider."""

    chosen: Chosen
    frames: list[Frame]
    start: int
    """Frame to show first: the one in the middle."""


class Budget:
    """Counts bytes of pictures; what does not fit any more is named in `left_out`."""

    def __init__(self, most: int = MOST_BYTES):
        self._left = most
        self.left_out: list[str] = []

    def take(self, what: str, *sources: str) -> bool:
        """Whether the pictures still fit; they count then."""
        size = sum(map(len, sources))
        if size > self._left:
            self.left_out.append(what)
            return False
        self._left -= size
        return True


def chosen_runs(tables: Sequence[Table], models: Sequence[Model]) -> list[Chosen]:
    """The best run and the median run of each model on each data set.

    By the first score in the report; a model without one is shown by its first finished run.
    """
    chosen: list[Chosen] = []
    done: set[tuple[str, str]] = set()
    for table in tables:
        for row in table.rows:
            key = table.data_set, row.model.label
            places = np.flatnonzero(np.isfinite(row.values))
            if key in done or not places.size:
                continue
            done.add(key)
            sign = 1 if table.score.higher_is_better else -1
            ranked = places[np.argsort(-sign * row.values[places], kind="stable")]
            middle = "median" if len(ranked) > 2 else "worse"
            picks = {int(ranked[0]): "best", int(ranked[len(ranked) // 2]): middle}
            if len(ranked) == 1:
                picks = {int(ranked[0]): ""}
            for place, why in picks.items():
                title, value = table.score.title, f"{row.values[place]:.3f}"
                value = f"{why} by {title}, {value}" if why else f"{title} {value}"
                chosen.append(Chosen(row.model, row.runs[place], value, len(ranked) > 2))
    for model in models:
        for data_set in dict.fromkeys(run.data_set for run in model.runs):
            finished = [run for run in model.of(data_set) if run.finished]
            if (data_set, model.label) not in done and finished:
                chosen.append(Chosen(model, finished[0], "not scored"))
    return chosen


def animation(chosen: Chosen, budget: Budget) -> Animation | None:
    """The traversals of a run; None if it has none or they do not fit any more.

    Ours go from -3 to 3 and back: the way back is left out.

    Raises:
        ValueError: if the file is damaged.
    """
    path = chosen.run.directory.picture(TRAVERSALS)
    if path.is_file():
        frames = _frames(path)
        count = len(frames) // 2 + 1
        values = -_RANGE * np.cos(2 * np.pi * np.arange(count) / max(len(frames), 1))
        rounded = np.round(values, 2) + 0.0  # no minus before zero
        labels = [f"z = {value:.2f}".replace("-", "\N{MINUS SIGN}") for value in rounded]
        frames = frames[:count]
    else:
        theirs = chosen.run.directory.animations()
        if not theirs:
            return None
        frames = _frames(theirs[0])
        labels = [f"frame {n} of {len(frames)}" for n in range(1, len(frames) + 1)]
    if not budget.take(f"traversals of {chosen.run.name}", *frames):
        return None
    pairs = [Frame(label, source) for label, source in zip(labels, frames, strict=True)]
    return Animation(chosen, pairs, len(pairs) // 2)


def latent_order(run: Run) -> list[int]:
    """The latents in the order in which the run's traversals show them; empty if it is not said.

    Ours say it in a comment of the animation.
    """
    path = run.directory.picture(TRAVERSALS)
    if not path.is_file():
        return []
    with opened_picture(path) as image:
        comment = image.info.get("comment", b"")
    # A GIF's is bytes; other formats have text.
    words = (comment.decode("ascii", "replace") if type(comment) is bytes else str(comment)).split()
    if words[:1] != [LATENTS] or not all(word.isdecimal() for word in words[1:]):
        return []
    return [int(word) for word in words[1:]]


def _frames(path: Path) -> list[str]:
    manifest.check(path)
    frames, durations = [], []
    with opened_picture(path) as image:
        try:
            for number in range(getattr(image, "n_frames", 1)):
                image.seek(number)
                frames.append(_uri(image.convert("RGB")))
                durations.append(image.info.get("duration") or 1)
        except (*_DAMAGE, EOFError) as error:
            raise ValueError(f"{path} is damaged: {error}") from None
    # Equal neighbours are stored once, with the time of both.
    times = [round(duration / min(durations)) for duration in durations]
    return [frame for frame, count in zip(frames, times, strict=True) for _ in range(count)]


def picture(chosen: Chosen, name: str, budget: Budget) -> str:
    """A PNG of a run's visualizations as a data URI; empty if it is not there or does not fit.

    Raises:
        ValueError: if the file is damaged.
    """
    path = chosen.run.directory.picture(name)
    if not path.is_file():
        return ""
    manifest.check(path)
    with opened_picture(path) as image:
        try:
            source = _uri(image.convert("RGB"))
        except _DAMAGE as error:
            raise ValueError(f"{path} is damaged: {error}") from None
    return source if budget.take(f"{name} of {chosen.run.name}", source) else ""


def _uri(image: Image.Image) -> str:
    """PNG of at most 1,400 pixels in width and 256 colours: drawings of ours have few."""
    image.thumbnail((_WIDEST, 10 * _WIDEST))
    file = io.BytesIO()
    image.quantize(256, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{b64encode(file.getvalue()).decode()}"


def importance(run: Run) -> tuple[str, NDArray[np.float64]] | None:
    """Name and importance matrix (latent, factor) that a DCI metric of the run stored, if any.

    Raises:
        ValueError: if the file is damaged or holds something else.
    """
    for name in _MATRICES:
        for path in run.directory.artifact_files(name)[:1]:
            manifest.check(path)
            return name.removesuffix("_importance_matrix.npy"), matrix_in(path)
    return None


def names_in(run: Run, count: int) -> list[str]:
    """Names of the factors of a run: as recorded, or of a known data set, or numbers."""
    known = run.factor_names
    return known if len(known) == count else factor_names(run.data.name, count)


def factor_names(data_set: str, count: int) -> list[str]:
    """Names of a data set's factors; numbers if it is not known or has others."""
    name = data_set.removeprefix("tfds_")
    known = _FACTORS.get("dsprites_full" if name in _SAME_FACTORS else name, ())
    return list(known) if len(known) == count else [f"factor {k}" for k in range(count)]
