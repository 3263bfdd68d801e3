"""What a training step costs, against plain PyTorch, pythae and what the machine can do.

    python benchmarks/training.py --json training.json
    python benchmarks/training.py --pythae PYTHON --steps 30
    python benchmarks/training.py --grid    # or --check

Every contender has a process of its own, so that memory and settings of the process are its own
too; they take their steps in turn, one at a time, so that a busy moment slows all alike:

srvae          our SR-VAE in `srvae_plugin.training.loop.train`, which is handed the batch
srvae_plain    the paper's Algorithms 1 and 2 written down in plain PyTorch
vae            our VAE (beta = 1), likewise; "d x vae" is its step times the number of latents d
vae_in_a_row   d steps of our VAE
pythae         pythae's VAE: what its trainer does with a batch
pythae_loader  pythae's VAE: its trainer's `train_step`, which puts the batch together as well
matmul         a product of two 2048 x 2048 matrices, and hence the floor: the time that the
               multiplications of the layers, forward and backward, take at the rate of this product

PYTHON is an interpreter that has torch and pythae (`pip install torch pythae`); without it these
two rows are left out. Peak memory is the most a process held, less that after its imports.

`--check` compares srvae with srvae_plain: gradients, and the loss of `--check-steps` updates.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import training_contenders
from training_contenders import CONTENDERS, MATMUL
from training_plain import Settings, step_flops

GRID = [(latents, batch) for latents in (5, 10, 32) for batch in (16, 64, 256)]
GRID_CONTENDERS = ["srvae", "srvae_plain", "vae", "matmul"]
Seconds = dict[str, list[float]]


class Worker:
    """A contender in a process of its own."""

    def __init__(self, name: str, settings: Settings, threads: int, python: str):
        command = [python, training_contenders.__file__, name, *map(str, (*settings, threads))]
        self.name = name
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  (closed with the worker)
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=self._errors, text=True, bufsize=1
        )

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
        self._errors.close()

    def answer(self, request: str = "") -> str:
        """Send a line and wait for one; exit with what the worker had to say if it died."""
        with contextlib.suppress(BrokenPipeError):
            if request:
                print(request, file=self._process.stdin)
        line = self._process.stdout.readline()  # type: ignore[union-attr]
        if not line:
            self._errors.seek(0)
            sys.exit(f"{self.name} failed:\n{self._errors.read()[-3000:]}")
        return line


def measure(
    names: list[str], settings: Settings, steps: int, warm_up: int, threads: int, pythae: str | None
) -> tuple[Seconds, dict[str, dict[str, Any]]]:
    """Seconds of each contender's steps, and what each process says of itself at its end."""
    seconds: Seconds = {name: [] for name in names}
    with contextlib.ExitStack() as stack:
        workers = []
        for name in names:
            python = (pythae or "") if name.startswith("pythae") else sys.executable
            workers.append(stack.enter_context(Worker(name, settings, threads, python)))
        for worker in workers:
            worker.answer()
        for step in range(warm_up + steps):
            for worker in workers:
                # The threads of the one before spin a moment before they sleep.
                time.sleep(0.02)
                taken = float(worker.answer("step"))
                if step >= warm_up:
                    seconds[worker.name].append(taken)
        return seconds, {worker.name: json.loads(worker.answer("end")) for worker in workers}


def medians(seconds: Seconds, settings: Settings) -> dict[str, float]:
    """Median seconds of a step, "d x vae" and the two floors among the rows."""
    rows = {name: statistics.median(taken) for name, taken in seconds.items()}
    if "vae" in rows:
        rows["d x vae"] = settings.latents * rows["vae"]
    if "matmul" in rows:
        rate = 2 * MATMUL**3 / rows["matmul"]
        flops = step_flops(settings)
        rows |= {f"{name} floor": count / rate for name, count in flops.items()}
    return rows


def report_of(settings: Settings, seconds: Seconds, said: dict[str, Any]) -> dict[str, Any]:
    """All that was found, as JSON takes it."""
    found = medians(seconds, settings)
    rows: dict[str, dict[str, Any]] = {name: {"median": median} for name, median in found.items()}
    for name, row in rows.items():
        row["ratios"] = {to: row["median"] / found[to] for to in ("srvae", "vae") if to in found}
        row |= said.get(name, {})
        if name in seconds:
            row["seconds"] = seconds[name]
    report: dict[str, Any] = {"settings": settings._asdict(), "rows": rows}
    if "matmul" in found:
        report["flops"] = step_flops(settings)
        report["flops_per_second"] = 2 * MATMUL**3 / found["matmul"]
    return report


def show(report: dict[str, Any]) -> None:
    rows = report["rows"]
    print(f"{'':<14}{'ms a step':>11}{'fastest':>10}{'/ srvae':>9}{'/ vae':>8}{'peak MB':>9}")
    for name, row in rows.items():
        if name == "matmul":
            continue
        fastest = f"{min(row['seconds']) * 1e3:.1f}" if "seconds" in row else ""
        peak = f"{row['peak_bytes'] / 1e6:.0f}" if "peak_bytes" in row else ""
        ratios = {to: f"{ratio:.2f}" for to, ratio in row["ratios"].items()}
        print(
            f"{name:<14}{row['median'] * 1e3:>11.1f}{fastest:>10}{ratios.get('srvae', ''):>9}"
            f"{ratios.get('vae', ''):>8}{peak:>9}"
        )
    if "flops" in report:
        counts = ", ".join(f"{name} {n / 1e9:.1f}" for name, n in report["flops"].items())
        print(f"GFLOP a step: {counts}; matmul {report['flops_per_second'] / 1e9:.0f} GFLOP/s")


def show_grid(reports: list[dict[str, Any]]) -> None:
    names = [name for name in reports[0]["rows"] if name != "matmul"]
    print("ms a step (peak MB)\n" + f"{'d':>3}{'batch':>6}" + "".join(f"{n:>18}" for n in names))
    for report in reports:
        line = f"{report['settings']['latents']:>3}{report['settings']['batch']:>6}"
        for name in names:
            row = report["rows"][name]
            peak = f" ({row['peak_bytes'] / 1e6:.0f})" if "peak_bytes" in row else ""
            line += f"{row['median'] * 1e3:.1f}{peak}".rjust(18)
        print(line)


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value}: expected at least 1")
    return value


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default, meaning in (
        ("latents", 10, "latents, d"),
        ("batch", 64, "images in a batch"),
        ("channels", 32, "width of the first convolution; 32 is the paper's"),
        ("steps", 15, "timed steps of each contender"),
        ("grid-steps", 3, "timed steps of each contender at each point of the grid"),
        ("check-steps", 200, "updates that --check compares"),
    ):
        parser.add_argument(f"--{name}", type=positive, default=default, help=meaning)
    parser.add_argument("--threads", type=positive, help="threads of torch (default: torch's own)")
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, help="default: all")
    parser.add_argument("--pythae", metavar="PYTHON", help="interpreter that has pythae and torch")
    parser.add_argument("--json", type=Path, help="write everything there too")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--grid", action="store_true", help="d = 5, 10, 32 by batch 16, 64, 256")
    mode.add_argument("--check", action="store_true", help="compare results instead of times")
    options = parser.parse_args()
    if options.pythae and not shutil.which(options.pythae):
        parser.error(f"--pythae {options.pythae}: expected the path of a Python interpreter")
    options.names = options.contenders or (GRID_CONTENDERS if options.grid else list(CONTENDERS))
    return options


def cpu() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure, print, and return the report."""
    if not options.pythae and any(name.startswith("pythae") for name in options.names):
        print("pythae is left out: give --pythae the path of a Python that has it")
        options.names = [name for name in options.names if not name.startswith("pythae")]
    if not options.names:
        sys.exit("no contender is left")

    def point(latents: int, batch: int, steps: int, warm_up: int) -> dict[str, Any]:
        settings = Settings(latents, batch, options.channels)
        found = measure(
            options.names, settings, steps, warm_up, options.threads or 0, options.pythae
        )
        return report_of(settings, *found)

    if options.grid:
        reports = [point(latents, batch, options.grid_steps, 1) for latents, batch in GRID]
        show_grid(reports)
        return {"grid": reports}
    report = point(options.latents, options.batch, options.steps, 2)
    show(report)
    return report


def main() -> None:
    options = arguments()
    if options.check:
        from training_check import check

        if options.threads:
            torch.set_num_threads(options.threads)
        settings = Settings(options.latents, options.batch, options.channels)
        report = check(settings, options.check_steps)
    else:
        report = run(options)
    if options.json:
        from srvae_plugin.files import replacing

        report |= {"cpu": cpu(), "torch": torch.__version__}
        with replacing(options.json) as temporary:
            temporary.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
