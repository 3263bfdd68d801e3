"""Run a command and say the most memory that it and its children held at once.

    python benchmarks/peak_memory.py srvae-evaluate RUN_DIR --gin metrics/all.gin

Resident memory of all processes, looked at every second; pages that they share count for each.
Linux only.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from pathlib import Path


def family(pid: int) -> set[int]:
    """The process and all that it and its threads started, as far as they still run."""
    found = {pid}
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in children.read_text().split():
                found |= family(int(child))
    return found


def resident_bytes(pid: int) -> int:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return 1024 * int(line.split()[1])
    return 0


def main() -> None:
    begun, peak = time.monotonic(), 0
    process = subprocess.Popen(sys.argv[1:])
    while process.poll() is None:
        peak = max(peak, sum(map(resident_bytes, family(process.pid))))
        time.sleep(1)
    seconds = time.monotonic() - begun
    print(f"status {process.returncode}, {seconds:.0f} s, at most {peak / 1e9:.2f} GB at once")
    sys.exit(process.returncode)


if __name__ == "__main__":
    main()
