"""Runs test files of disentanglement_lib's package, unmodified, under the drop-in.

    python tests/dlib_own_tests.py evaluation/metrics/mig_test.py ...

Prints a JSON object on the last line: by "file:Class.test", "" or why it failed, and the seconds.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
import traceback
import unittest
import warnings
from pathlib import Path

import srvae_adapters.drop_in


class Outcome(unittest.TestResult):
    def __init__(self, file):
        super().__init__()
        self.file, self.found, self.seconds = file, {}, {}

    def name(self, test):
        return f"{self.file}:{test.id().partition('.')[2]}"

    def startTest(self, test):  # noqa: N802  (unittest's names)
        super().startTest(test)
        self.begun = time.perf_counter()

    def stopTest(self, test):  # noqa: N802
        self.seconds[self.name(test)] = round(time.perf_counter() - self.begun, 2)

    def addSuccess(self, test):  # noqa: N802
        self.found.setdefault(self.name(test), "")

    def addError(self, test, error):  # noqa: N802
        self.found[self.name(test)] = traceback.format_exception(*error)[-1]
        traceback.print_exception(*error)

    addFailure = addError  # noqa: N815


def run(package, file):
    import gin

    gin.clear_config()
    spec = importlib.util.spec_from_file_location(Path(file).stem, package / file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    outcome = Outcome(file)
    try:
        spec.loader.exec_module(module)
    except ImportError as error:
        return {f"{file}:": str(error)}, {}
    unittest.defaultTestLoader.loadTestsFromModule(module).run(outcome)
    return outcome.found, outcome.seconds


def main():
    package = Path(importlib.util.find_spec("disentanglement_lib").origin).parent
    srvae_adapters.drop_in.install()
    import tensorflow_stand_in
    from absl import flags

    tensorflow_stand_in.install()
    flags.FLAGS(["tests"])
    warnings.simplefilter("ignore")
    found, seconds = {}, {}
    for file in sys.argv[1:]:
        some, took = run(package, file)
        found |= some
        seconds |= took
    print(json.dumps({"found": found, "seconds": seconds}))


if __name__ == "__main__":
    main()
