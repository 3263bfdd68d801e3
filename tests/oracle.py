"""Scores by the original code: disentanglement_lib's own metric modules, unmodified.

They import TensorFlow 1 and an old gin, and register `mig`, `dci`, ... in gin as we do. So they run
in a process of their own, on stand-ins for what they import:

    scores = oracle.scores(codes, sizes, [{"metric": "mig", "seed": 0, "bindings": [...]}])

Needs `pip install --no-deps disentanglement-lib==1.5` and its imports absl-py and six.
"""

from __future__ import annotations

import glob
import importlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
import types
import warnings

import numpy as np

FUNCTIONS = {
    "factor_vae_score": ("factor_vae", "compute_factor_vae"),
    "dci": ("dci", "compute_dci"),
    "mig": ("mig", "compute_mig"),
    "sap_score": ("sap_score", "compute_sap"),
}
NEEDED = ("disentanglement_lib", "absl", "six")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]


def scores(codes, sizes, runs):
    """The original's result of each run, with `seconds` added.

    Args:
        codes: (observation, latent) code of each observation of an IndexGrid.
        sizes: number of values of each factor.
        runs: dicts of `metric` (gin name), `seed`, `bindings` (lines of gin) and, for DCI,
            `seed_trees`: seed the trees by the numbers that follow the sampling.
    """
    with tempfile.TemporaryDirectory() as folder:
        table = os.path.join(folder, "codes.npy")
        np.save(table, codes)
        request = json.dumps({"codes": table, "sizes": list(sizes), "runs": runs})
        done = subprocess.run(
            [sys.executable, __file__], input=request, capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise RuntimeError(f"the original failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def import_original(metric: str):
    """The original's module and function of a metric; changes gin and sys.modules for good."""
    import gin

    if "gin.tf" not in sys.modules:
        configurable = gin.configurable

        def renamed(name=None, blacklist=None, whitelist=None, **others):
            return configurable(name, denylist=blacklist, allowlist=whitelist, **others)

        gin.configurable, gin.tf = renamed, gin
        tensorflow = types.ModuleType("tensorflow.compat.v1")
        vars(tensorflow)["gfile"] = types.SimpleNamespace(
            GFile=open, Open=open, Exists=os.path.exists, IsDirectory=os.path.isdir,
            MakeDirs=os.makedirs, ListDirectory=os.listdir, Glob=glob.glob,
        )  # fmt: skip
        sys.modules |= {"gin.tf": gin, "tensorflow.compat.v1": tensorflow}
        for parent in ("tensorflow", "tensorflow.compat"):
            sys.modules[parent] = types.ModuleType(parent)
        vars(sys.modules["tensorflow.compat"])["v1"] = tensorflow
        vars(np)["float_"] = np.float64
    module_name, function = FUNCTIONS[metric]
    module = importlib.import_module(f"disentanglement_lib.evaluation.metrics.{module_name}")
    return module, getattr(module, function)


def _seeded_trees(random_state, num_factors):
    from sklearn.ensemble import GradientBoostingClassifier

    def seeds():
        # Runs up to here at the first tree, when all points have been drawn.
        yield from random_state.randint(2**31 - 1, size=num_factors)

    unused = seeds()
    return lambda: GradientBoostingClassifier(random_state=int(next(unused)))


def _run(run, data, representation_function):
    import gin

    module, function = import_original(run["metric"])
    gin.clear_config()
    gin.parse_config(run.get("bindings", []))
    random_state = np.random.RandomState(run["seed"])
    if run["metric"] == "dci":
        from sklearn import ensemble

        trees = ensemble.GradientBoostingClassifier
        if run.get("seed_trees"):
            trees = _seeded_trees(random_state, data.num_factors)
        module.ensemble = types.SimpleNamespace(GradientBoostingClassifier=trees)
    start = time.perf_counter()
    result = function(data, representation_function, random_state)
    result = {key: float(value) for key, value in result.items()}
    return result | {"seconds": time.perf_counter() - start}


if __name__ == "__main__":
    from metric_cases import IndexGrid, LookUp

    warnings.simplefilter("ignore")
    asked = json.load(sys.stdin)
    grid, function = IndexGrid(asked["sizes"]), LookUp(np.load(asked["codes"]))
    print(json.dumps([_run(run, grid, function) for run in asked["runs"]]))
