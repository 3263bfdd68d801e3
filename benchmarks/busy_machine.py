"""Training steps per second beside busy loops, by number of threads and by how threads wait.

    python benchmarks/busy_machine.py

trains what `srvae-run --gin srvae_dsprites.gin --gin presets/quick.gin` does, for some seconds, the
first step not counted, each time in a process of its own and the arms in turn. Three arms: as many
threads as cores that spin while they wait (what torch's OpenMP does by itself), as many that sleep,
and `--threads 1`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ARMS = {
    "spinning": {},
    "passive": {"OMP_WAIT_POLICY": "passive"},
    "one thread": {"OMP_WAIT_POLICY": "passive", "OMP_NUM_THREADS": "1"},
}
_OPENMP = ("OMP_", "GOMP_", "KMP_", "MKL_")
TRAIN = """
import sys, time
from srvae_plugin.training import loop as train
from srvae_plugin.runs.pipeline import train_with_gin
folder, seconds = sys.argv[1], float(sys.argv[2])
update, ends = train.update_parameters, []
def counted(*given):
    update(*given)
    ends.append(time.monotonic())
    if len(ends) > 1 and ends[-1] - ends[0] > seconds:
        print((len(ends) - 1) / (ends[-1] - ends[0]), flush=True)
        sys.exit()
train.update_parameters = counted
train_with_gin(folder, gin_config_files=["srvae_dsprites.gin", "presets/quick.gin"])
"""
SPIN = "import os, sys\nwhile os.getppid() == int(sys.argv[1]): pass"
"""Ends with the process that started it, however that ends."""


def steps_per_second(environment: dict[str, str], seconds: float) -> float:
    """Train in a process of its own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_OPENMP)}
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", TRAIN, str(Path(folder) / "model"), str(seconds)],
            env=kept | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=True,
        )
    return float(done.stdout.split()[-1])


def measure(busy: int, seconds: float, repeat: int) -> dict[str, list[float]]:
    """Steps per second of every arm, in turn, beside so many busy loops."""
    loop_of_mine = [sys.executable, "-S", "-c", SPIN, str(os.getpid())]
    loops = [subprocess.Popen(loop_of_mine) for _ in range(busy)]
    found: dict[str, list[float]] = {arm: [] for arm in ARMS}
    try:
        for _ in range(repeat):
            for arm, environment in ARMS.items():
                found[arm].append(steps_per_second(environment, seconds))
                print(f"{busy} busy, {arm}: {found[arm][-1]:.3f} steps/s", file=sys.stderr)
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
    return found


def main() -> None:
    """Measure with and without busy loops, and print a table and JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 2], help="busy loops beside")
    parser.add_argument("--seconds", type=float, default=10, help="of a training")
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    for busy in options.busy:
        before = os.getloadavg()[0]
        found = measure(busy, options.seconds, options.repeat)
        medians = {arm: statistics.median(rates) for arm, rates in found.items()}
        print(f"{busy} busy loops, load average {before:.1f} before and {os.getloadavg()[0]:.1f}")
        for arm, rate in medians.items():
            ratio = rate / medians["spinning"]
            print(f"  {arm:<12}{rate:8.2f} steps/s {ratio:7.2f} of spinning", flush=True)
        print(json.dumps({arm: [round(r, 3) for r in rates] for arm, rates in found.items()}))


if __name__ == "__main__":
    main()
