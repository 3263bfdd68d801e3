"""Scores by the original code: disentanglement_lib's own metric modules, unmodified.

They import TensorFlow 1 and an old gin, and register `mig`, `dci`, ... in gin as we do. So they run
in a process of their own, on stand-ins for what they import:

    scores = oracle.scores(codes, sizes, [{"metric": "mig", "seed": 0, "bindings": [...]}])

Needs `pip install --no-deps disentanglement-lib==1.5` and its imports absl-py and six.
"""

from __future__ import annotations

import functools
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
    "beta_vae_sklearn": ("beta_vae", "compute_beta_vae_sklearn"),
    "dci": ("dci", "compute_dci"),
    "mig": ("mig", "compute_mig"),
    "sap_score": ("sap_score", "compute_sap"),
    "modularity_explicitness": ("modularity_explicitness", "compute_modularity_explicitness"),
    "irs": ("irs", "compute_irs"),
    "unsupervised_metrics": ("unsupervised_metrics", "unsupervised_metrics"),
    "downstream_task": ("downstream_task", "compute_downstream_task"),
    "reduced_downstream_task": ("reduced_downstream_task", "compute_reduced_downstream_task"),
    "strong_downstream_task": ("strong_downstream_task", "compute_strong_downstream_task"),
    "fairness": ("fairness", "compute_fairness"),
    "unified_scores": ("unified_scores", "compute_unified_scores"),
    "mig_validation": ("mig", "compute_mig_on_fixed_data"),
    "sap_score_validation": ("sap_score", "compute_sap_on_fixed_data"),
    "dci_validation": ("dci", "compute_dci_on_fixed_data"),
    "unified_score_validation": ("unified_scores", "compute_unified_score_on_fixed_data"),
}
NEEDED = ("disentanglement_lib", "absl", "six")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]


def scores(codes, sizes, runs):
    """The original's result of each run, with `seconds` added; `error` if it failed.

    Args:
        codes: (observation, latent) code of each observation of an IndexGrid.
        sizes: number of values of each factor.
        runs: dicts of `metric` (gin name), `seed`, `bindings` (lines of gin) and, if wanted,
            `seed_trees`: seed the trees by the numbers that follow the sampling;
            `one_vs_rest`: logistic regression as it was in scikit-learn 0.20;
            `num_points`: for metrics of fixed data, how many points to draw.
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
        sys.modules["simplejson"] = json
        # Not in Python 3.12 any more.
        sys.modules["distutils"] = types.ModuleType("distutils")
        vars(sys.modules["distutils"])["dir_util"] = None
        _stub_plots()
    module_name, function = FUNCTIONS[metric]
    module = importlib.import_module(f"disentanglement_lib.evaluation.metrics.{module_name}")
    return module, getattr(module, function)


def _stub_plots():
    """Stand-ins for what only draws: seaborn, and the two functions of pandas that are used."""

    class Table(np.ndarray):
        def reset_index(self):
            return self

        def to_numpy(self):
            return np.asarray(self, dtype=object)

    def melt(table, id_vars):
        rows, columns = table.shape
        return np.array(
            [(i, k, table[i, k]) for k in range(columns) for i in range(rows)], dtype=object
        ).view(Table)

    sys.modules["seaborn"] = types.ModuleType("seaborn")
    sys.modules["pandas"] = types.ModuleType("pandas")
    vars(sys.modules["pandas"]).update(
        DataFrame=lambda matrix: np.asarray(matrix).view(Table), melt=melt
    )
    drawing = importlib.import_module("disentanglement_lib.visualize.visualize_scores")
    nothing = dict.fromkeys(("heat_square", "plot_recovery_vs_independent"), lambda *a, **k: None)
    vars(drawing).update(nothing)
    dendrogram = importlib.import_module("disentanglement_lib.visualize.dendrogram")
    # It draws; not in SciPy 1.18 any more.
    vars(dendrogram.hierarchy).setdefault("_plot_dendrogram", lambda *a, **k: None)
    # Both modules hold them now; scikit-learn must not take them for the real ones.
    del sys.modules["seaborn"], sys.modules["pandas"]


class _Untrained:
    """Stands for trees where only the order of random numbers matters."""

    def fit(self, codes, labels):
        self.label, self.feature_importances_ = labels[0], np.zeros(codes.shape[1])

    def predict(self, codes):
        return np.full(len(codes), self.label)


def _trees(factory):
    """Makes the original's boosted trees come from `factory(module, count)`."""
    for name in ("dci", "utils"):
        module = importlib.import_module(f"disentanglement_lib.evaluation.metrics.{name}")
        counter = iter(range(10**9))
        make = functools.partial(lambda name, counter: factory(name, next(counter)), name, counter)
        module.ensemble = types.SimpleNamespace(GradientBoostingClassifier=make)


def _seed_trees(run, data, call):
    """Seed the trees of each factor by the numbers that follow the sampling, as we do."""
    from sklearn.ensemble import GradientBoostingClassifier

    if "num_points" in run:
        random_state = np.random.RandomState(0)
    else:
        _trees(lambda module, count: _Untrained())
        random_state = np.random.RandomState(run["seed"])
        call(random_state)
    seeds = random_state.randint(2**31 - 1, size=data.num_factors)
    # Fits of the strong task: one of each factor, then several of each in turn.
    experiments = run.get("experiments", 0)
    turn = list(range(data.num_factors))
    turn += [k for k in range(data.num_factors) for _ in range(experiments)]

    def factory(module, count):
        return GradientBoostingClassifier(random_state=int(seeds[turn[count % len(turn)]]))

    _trees(factory)


def _original_trees():
    from sklearn.ensemble import GradientBoostingClassifier

    _trees(lambda module, count: GradientBoostingClassifier())


def _one_vs_rest():
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    return OneVsRestClassifier(LogisticRegression(solver="liblinear"))


def _arguments(run, data, representation_function, random_state):
    if "num_points" not in run:
        return data, representation_function, random_state
    factors, observations = data.sample(run["num_points"], random_state)
    return observations, factors.T, representation_function


def _call(function, run, data, representation_function, random_state):
    # The strong task takes its interventions from numpy's global state: ours are seeded so.
    np.random.seed(np.random.RandomState(run["seed"]).randint(2**31 - 1))
    arguments = _arguments(run, data, representation_function, random_state)
    if run["metric"] == "unified_scores":
        # The merges of factors are only reported where they are drawn, too.
        data.factor_names = [str(k) for k in range(data.num_factors)]
        with tempfile.TemporaryDirectory() as folder:
            return function(*arguments, artifact_dir=folder)
    return function(*arguments)


def _run(run, data, representation_function):
    import gin

    module, function = import_original(run["metric"])
    gin.clear_config()
    gin.parse_config(run.get("bindings", []))
    call = functools.partial(_call, function, run, data, representation_function)
    if run.get("seed_trees"):
        _seed_trees(run, data, call)
    else:
        _original_trees()
    if run["metric"] == "modularity_explicitness":
        from sklearn import linear_model

        plain = linear_model.LogisticRegression
        chosen = _one_vs_rest if run.get("one_vs_rest") else plain
        module.linear_model = types.SimpleNamespace(LogisticRegression=chosen)
    start = time.perf_counter()
    try:
        result = call(np.random.RandomState(run["seed"]))
    except (ValueError, IndexError) as error:
        return {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
    result = {key: float(np.real(value)) for key, value in result.items()}
    return result | {"seconds": time.perf_counter() - start}


if __name__ == "__main__":
    from metric_cases import IndexGrid, LookUp

    warnings.simplefilter("ignore")
    asked = json.load(sys.stdin)
    grid, function = IndexGrid(asked["sizes"]), LookUp(np.load(asked["codes"]))
    print(json.dumps([_run(run, grid, function) for run in asked["runs"]]))
