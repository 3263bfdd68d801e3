"""Steps a second on a GPU, most important first: OUT/speed.json, speed.txt and profile.txt.

    python benchmarks/gpu_speed.py OUT --seconds 200 [--rehearse]

Each row is written as it is measured. The rows of ours are the training loop itself,
`training.loop.train`, on dSprites, the drawing of the batches included; a row of others steps
on one batch that lies on the GPU already. All train the networks of the SR-VAE paper's Table 1 by
Adam at 1e-4.

plain       the models written down in plain PyTorch, with torch's own settings
pythae      pythae's VAE: what its trainer does with a batch
ours        with the settings that the row names; `step` is plain or captured, `compile` is
            torch.compile
side by side  processes of ours at once; their steps a second, added up
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from training_contenders import Enough, our_model, pythae
from training_plain import LEARNING_RATE, PLAIN_MODELS, Settings, observations

from srvae_plugin.config import gin_files
from srvae_plugin.data.dsprites import DSprites
from srvae_plugin.files import write_text
from srvae_plugin.runs.directory import TrainingDirectory
from srvae_plugin.runs.representation import CachedRepresentation, Representation
from srvae_plugin.training import loop
from srvae_plugin.training.settings import TrainingSettings

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class Row(NamedTuple):
    """What is measured."""

    who: str
    model: str
    latents: int
    batch: int
    options: dict[str, Any] = {}  # noqa: RUF012  (never changed)

    def __str__(self) -> str:
        options = " ".join(f"{k}={v}" for k, v in self.options.items())
        return f"{self.model} d={self.latents} batch={self.batch} {self.who} {options}".rstrip()


def ours(model: str, latents: int = 10, batch: int = 64, **options: Any) -> Row:
    return Row("ours", model, latents, batch, options)


PLAIN, CAPTURED = {"step": "plain"}, {"step": "captured"}
TF32, BF16 = {"tf32": True}, {"autocast": True}
ROWS = [
    Row("plain", "srvae", 10, 64),
    ours("srvae", **CAPTURED, **TF32),
    ours("srvae", **CAPTURED),
    ours("srvae", **CAPTURED, **BF16),
    Row("pythae", "vae", 10, 64),
    Row("plain", "vae", 10, 64),
    ours("vae", **CAPTURED, **TF32),
    ours("vae", **CAPTURED),
    ours("vae", **CAPTURED, **BF16),
    Row("plain", "factor_vae", 10, 64),
    ours("factor_vae", **CAPTURED, **TF32),
    ours("factor_vae", **CAPTURED),
    ours("srvae", **CAPTURED, **TF32, cudnn_benchmark=True),
    ours("srvae", **CAPTURED, **TF32, channels_last=True),
    ours("vae", **CAPTURED, **TF32, cudnn_benchmark=True),
    ours("vae", **CAPTURED, **TF32, channels_last=True),
    *(
        row
        for size in ({"latents": 5}, {"latents": 32}, {"batch": 256})
        for row in (
            ours("srvae", **size, **CAPTURED)._replace(who="plain", options={}),
            ours("srvae", **size, **CAPTURED, **TF32),
        )
    ),
    ours("vae", batch=256, **CAPTURED, **TF32),
    Row("side by side", "srvae", 10, 64, {**CAPTURED, **TF32, "processes": 4}),
    Row("encode", "srvae", 10, 4096),
    Row("encode", "vae", 10, 4096),
    Row("side by side", "srvae", 10, 64, {**CAPTURED, **TF32, "processes": 2}),
    ours("srvae", **PLAIN, **TF32),
    ours("vae", **PLAIN, **TF32),
    ours("vae", compile=True, **CAPTURED, **TF32),
    ours("srvae", compile=True, **CAPTURED, **TF32),
]
PROFILED = ours("srvae", **CAPTURED, **TF32)
APART = 60
"""Seconds that a row with a compiler may take, in a process of its own."""
ENCODED = 100_000
"""Images that are encoded, of 737,280."""


class Clock:
    """Called before each step; ends the steps when it has seen enough.

    Args:
        seconds: to measure for, after a warm-up.
        warm_up: steps.
    """

    def __init__(self, seconds: float, warm_up: int) -> None:
        self._seconds, self._warm_up = seconds, warm_up
        self._steps, self._chunk = -1, 0
        self._times: list[tuple[int, float]] = []

    def __call__(self) -> None:
        self._steps += 1
        since = self._steps - self._warm_up
        if since < 0 or (self._chunk and since % self._chunk):
            return
        wait()
        self._times.append((self._steps, time.perf_counter()))
        taken = self._times[-1][1] - self._times[0][1]
        if not self._chunk and len(self._times) == 6:  # now for some twenty measurements
            self._chunk = max(1, int(self._seconds / 20 / (taken / 5)))
            self._warm_up, self._times = self._steps, self._times[-1:]
        elif self._chunk and len(self._times) > 2 and taken >= self._seconds:
            raise Enough

    def found(self) -> dict[str, float]:
        """Median, least and most steps a second, and how many steps were measured."""
        pairs = zip(self._times, self._times[1:], strict=False)
        rates = [(n - m) / (b - a) for (m, a), (n, b) in pairs]
        least, most = min(rates), max(rates)
        steps = self._times[-1][0] - self._times[0][0]
        return {
            "steps_per_second": statistics.median(rates),
            "least": least,
            "most": most,
            "steps": steps,
        }


def wait() -> None:
    if DEVICE == "cuda":
        torch.cuda.synchronize()


class Timed(DSprites):
    """dSprites that tell a clock when a batch is drawn."""

    def __init__(self, clock: Callable[[], None]) -> None:
        super().__init__([1, 2, 3, 4, 5])
        self._clock = clock

    def sample_factors(self, num: int, random_state: np.random.RandomState) -> Any:
        self._clock()
        return super().sample_factors(num, random_state)


def step_ours(row: Row, channels: int, clock: Callable[[], None]) -> None:
    settings = Settings(row.latents, row.batch, channels)
    options, never = dict(row.options), 2**62
    model = our_model(row.model, settings)
    training = TrainingSettings(
        model,
        training_steps=never,
        random_seed=0,
        batch_size=row.batch,
        checkpoint_every=never,
        device=DEVICE,
        **options,
    )
    files, rate = ["training/discriminator.gin"], f"vae_optimizer.learning_rate = {LEARNING_RATE}"
    with gin_files.only(files, [rate]), tempfile.TemporaryDirectory() as folder:
        loop.train(training, Timed(clock), TrainingDirectory(Path(folder)).files)


def step_plain(row: Row, channels: int, clock: Callable[[], None]) -> None:
    settings = Settings(row.latents, row.batch, channels)
    x = observations(row.batch).permute(0, 3, 1, 2).contiguous().to(DEVICE)
    plain = PLAIN_MODELS[row.model]
    update = plain.training(plain.model(settings).to(DEVICE))
    while True:
        clock()
        update(x)


def step_pythae(row: Row, channels: int, clock: Callable[[], None]) -> None:
    pythae(loader=False, device=DEVICE)(Settings(row.latents, row.batch, channels), clock)


STEPS = {"ours": step_ours, "plain": step_plain, "pythae": step_pythae}


def measure_steps(row: Row, channels: int, seconds: float) -> dict[str, Any]:
    clock = Clock(seconds, warm_up=10 if DEVICE == "cuda" else 1)
    if DEVICE == "cuda":
        torch.cuda.reset_peak_memory_stats()
    torch.manual_seed(0)
    with contextlib.suppress(Enough):
        STEPS[row.who](row, channels, clock)
    found: dict[str, Any] = clock.found()
    if DEVICE == "cuda":
        found["peak_bytes"] = torch.cuda.max_memory_allocated()
    return found


def measure_encoding(row: Row, channels: int, images: int) -> dict[str, Any]:
    model = our_model(row.model, Settings(row.latents, row.batch, channels))
    model.build((1, 64, 64))
    data = DSprites()
    function = Representation(model.to(DEVICE), batch_size=row.batch)
    indices = np.arange(min(images, data.num_observations))
    CachedRepresentation(function, data).codes_at(indices[: row.batch])  # kernels are chosen
    if DEVICE == "cuda":
        torch.cuda.reset_peak_memory_stats()
    begun = time.perf_counter()
    CachedRepresentation(function, data).codes_at(indices)
    wait()
    taken = time.perf_counter() - begun
    found = {"images_per_second": len(indices) / taken, "images": len(indices), "seconds": taken}
    if DEVICE == "cuda":
        found["peak_bytes"] = torch.cuda.max_memory_allocated()
    return found


def measure_apart(rows: list[Row], channels: int, seconds: float, limit: float) -> list[Any]:
    """Rows in processes of their own, all at once."""
    commands = [
        [
            *(sys.executable, __file__, "-", "--row", json.dumps(row)),
            *("--seconds", str(seconds), "--channels", str(channels)),
        ]
        for row in rows
    ]
    pipes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for command in commands
    ]
    end, found = time.monotonic() + limit, []
    for pipe in pipes:
        try:
            printed, errors = pipe.communicate(timeout=max(1.0, end - time.monotonic()))
            line = printed.strip().splitlines()[-1] if printed.strip() else ""
            found.append(json.loads(line) if line else {"error": errors.strip()[-400:]})
        except subprocess.TimeoutExpired:
            pipe.kill()
            pipe.communicate()
            found.append({"error": f"not done after {limit:.0f} s"})
    return found


def measure(row: Row, channels: int, seconds: float, limit: float, images: int) -> dict[str, Any]:
    if row.who == "encode":
        return measure_encoding(row, channels, images)
    if row.who == "side by side":
        options = dict(row.options)
        count = options.pop("processes")
        one = ours(row.model, row.latents, row.batch, **options)
        found = measure_apart([one] * count, channels, 3 * seconds, min(limit, APART))
        rates = [each.get("steps_per_second") for each in found]
        if None in rates:
            return {"error": str(found)}
        return {"steps_per_second": sum(rates), "each": rates}
    if row.options.get("compile"):
        return measure_apart([row], channels, seconds, min(limit, APART))[0]
    return measure_steps(row, channels, seconds)


def profile(row: Row, channels: int, path: Path) -> None:
    """Where the GPU's time goes in a captured step."""
    from torch.profiler import ProfilerActivity, profile

    steps, kept = 5, []

    def clock() -> None:
        kept.append(None)
        if len(kept) == 20:
            wait()
            profiler.start()
        if len(kept) == 20 + steps:
            wait()
            profiler.stop()
            raise Enough

    profiler = profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA])
    with contextlib.suppress(Enough):
        step_ours(row, channels, clock)
    averages = profiler.key_averages()
    table = averages.table(sort_by="self_cuda_time_total", row_limit=40, max_name_column_width=90)
    count = sum(a.count for a in averages if a.self_device_time_total and not a.self_cpu_time_total)
    with path.open("a") as file:
        print(f"{row}: {steps} steps, {count} kernels\n{table}", file=file)


def show(report: list[dict[str, Any]]) -> str:
    lines = []
    for row in report:
        if "error" in row:
            lines.append(f"{row['row']:<64} {row['error'].splitlines()[-1][:90]}")
            continue
        rate = row.get("steps_per_second", row.get("images_per_second"))
        unit = "steps/s" if "steps_per_second" in row else "images/s"
        memory = f"{row['peak_bytes'] / 1e6:8.0f} MB" if "peak_bytes" in row else ""
        ratios = "".join(f"  {value:.2f} x {name}" for name, value in row["ratios"].items())
        lines.append(f"{row['row']:<64} {rate:10.1f} {unit:<8} {memory}{ratios}")
    return "\n".join(lines) + "\n"


def ratios(row: Row, found: dict[str, Any], before: dict[tuple[Any, ...], float]) -> dict[str, Any]:
    """Against the other code that trains the same model on as large a batch."""
    rate = found.get("steps_per_second")
    if rate is None:
        return {}
    if row.who in ("plain", "pythae"):
        before[row[:4]] = rate
        return {}
    others = ((who, before.get((who, *row[1:4]))) for who in ("plain", "pythae"))
    return {who: rate / other for who, other in others if other}


def run(options: argparse.Namespace) -> None:
    end = time.monotonic() + options.seconds
    report: list[dict[str, Any]] = []
    known: dict[tuple[Any, ...], float] = {}
    rows = ROWS
    seconds, channels, images = 3.0, 32, ENCODED
    if options.rehearse:
        seconds, channels, images = 0.3, 2, 2000
        names = ("srvae", "vae", "factor_vae")
        rows = [Row("pythae", "vae", 3, 8), *(Row("plain", name, 3, 8) for name in names)]
        rows += [ours(name, 3, 8, step="auto") for name in names]
        rows.append(Row("encode", "vae", 3, 64))
        rows.append(Row("side by side", "vae", 3, 8, {**PLAIN, "processes": 2}))
    if DEVICE == "cuda":
        write_text(options.out / "profile.txt", "")
    for row in rows:
        if time.monotonic() > end - 3:
            print(f"no time left for {row}")
            break
        begun = time.monotonic()
        try:
            found = measure(row, channels, seconds, end - time.monotonic(), images)
        except Exception as error:  # the next row is worth having
            found = {"error": f"{type(error).__name__}: {error}"}
        found = {"row": str(row), **row._asdict(), **found, "took": time.monotonic() - begun}
        found["ratios"] = ratios(row, found, known)
        report.append(found)
        write_text(options.out / "speed.json", json.dumps(report, indent=1) + "\n")
        write_text(options.out / "speed.txt", show(report))
        print(show([found]), end="", flush=True)
        gc.collect()
        if DEVICE == "cuda":
            torch.cuda.empty_cache()
            if row == PROFILED:
                try:
                    profile(row, channels, options.out / "profile.txt")
                except Exception as error:
                    print(f"no profile: {type(error).__name__}: {error}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder")
    parser.add_argument("--seconds", type=float, default=200, help="for everything")
    parser.add_argument("--rehearse", action="store_true", help="a tiny table")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    parser.add_argument("--channels", type=int, default=32, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        row = Row(*json.loads(options.row))
        print(json.dumps(measure_steps(row, options.channels, options.seconds)))
        return
    run(options)


if __name__ == "__main__":
    main()
