"""Runs test files of disentanglement_lib's package, unmodified, under the drop-in.

    echo '{"files": ["evaluation/metrics/dci_test.py"], "only": [], "without": []}' | \
        python tests/dlib_own_tests.py

`only` and `without` are beginnings of tests' names. Prints a JSON object on the last line: by
"file:Class.test", "" or why it failed, and the seconds.
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

    def startTest(self, test):
        super().startTest(test)
        self.begun = time.perf_counter()

    def stopTest(self, test):
        self.seconds[self.name(test)] = round(time.perf_counter() - self.begun, 2)

    def addSuccess(self, test):
        self.found.setdefault(self.name(test), "")

    def addError(self, test, error):
        self.found[self.name(test)] = traceback.format_exception(*error)[-1]
        traceback.print_exception(*error)

    addFailure = addError


def chosen(suite, outcome, asked):
    """The tests that are asked for; `test_session` is TensorFlow's, no test."""
    for part in suite:
        if isinstance(part, unittest.TestSuite):
            yield from chosen(part, outcome, asked)
            continue
        name = outcome.name(part)
        wanted = not asked["only"] or name.startswith(tuple(asked["only"]))
        left_out = name.startswith(tuple(asked["without"])) or name.endswith(".test_session")
        if wanted and not left_out:
            yield part


def run(package, file, asked):
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
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    unittest.TestSuite(chosen(suite, outcome, asked)).run(outcome)
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
    asked = json.load(sys.stdin)
    for file in asked["files"]:
        some, took = run(package, file, asked)
        found |= some
        seconds |= took
    print(json.dumps({"found": found, "seconds": seconds}))


if __name__ == "__main__":
    main()
