"""The original package beyond its metrics, unmodified, in a process of its own on stand-ins.

    answer = original_package.run("studies", names=["fairness_study_v1"])

TensorFlow is stood in for as in `oracle`; TensorFlow Hub by TorchScript: where the original loads
the module `<folder>/tfhub`, `<folder>/tfhub/pytorch_model.pt` is loaded. Everything else (gin
files, sweeps, steps, result files, `dlib_reproduce` itself) is the original's own code.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
import types
import warnings
from pathlib import Path

import numpy as np
import oracle

REPRODUCE = Path(sys.executable).with_name("dlib_reproduce")


def run(command, **arguments):
    """The answer of one of the functions below, from a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__], input=json.dumps([command, arguments]), capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"the original failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def import_steps(*names):
    """Modules of the original, such as "evaluation.evaluate"; changes sys.modules for good."""
    oracle.import_original("mig")
    root = Path(importlib.util.find_spec("disentanglement_lib").origin).parent
    resources = types.ModuleType("pkg_resources")  # not in today's setuptools any more
    vars(resources).update(
        resource_filename=lambda package, path: str(root / path),
        resource_listdir=lambda package, path: os.listdir(root / path),
        resource_isdir=lambda package, path: (root / path).is_dir(),
    )
    hub = types.ModuleType("tensorflow_hub")
    vars(hub)["eval_function_for_module"] = _torchscript
    copy_tree = functools.partial(shutil.copytree, dirs_exist_ok=True)
    vars(sys.modules["distutils"])["dir_util"] = types.SimpleNamespace(copy_tree=copy_tree)
    sys.modules |= {"pkg_resources": resources, "tensorflow_hub": hub}
    sys.modules["imageio"] = types.ModuleType("imageio")
    return [importlib.import_module(f"disentanglement_lib.{name}") for name in names]


@contextlib.contextmanager
def _torchscript(module_path):
    import torch

    module = torch.jit.load(os.path.join(module_path, "pytorch_model.pt"))

    def call(inputs, signature, as_dict):
        assert (signature, as_dict) == ("representation", True)
        images = torch.from_numpy(np.asarray(inputs["images"], np.float32))
        with torch.no_grad():
            return {"default": module(images).numpy()}

    yield call


def studies(names):
    """Bindings of every model of these studies."""
    (reproduce,) = import_steps("config.reproduce")
    found = {}
    for name in names:
        study = reproduce.STUDIES[name]
        sweep = sys.modules[type(study).__module__]
        sweep.get_config = functools.cache(sweep.get_config)  # else it is made for each number
        found[name] = [study.get_model_config(i)[0] for i in range(len(sweep.get_config()))]
    return found


def pipeline(name, number):
    """What `dlib_reproduce` hands to each step: [step, target, gin files, bindings]."""
    import_steps("config.reproduce")
    calls = []

    def step(kind):
        module = types.ModuleType(kind)

        def record(*arguments):
            target, _, files, bindings = arguments[-4:]
            calls.append([kind, target, files, bindings])

        vars(module)[f"{kind}_with_gin"] = record
        return module

    visualize = types.ModuleType("visualize_model")
    vars(visualize)["visualize"] = lambda *arguments: None
    places = {
        "methods.unsupervised.train": step("train"),
        "postprocessing.postprocess": step("postprocess"),
        "evaluation.evaluate": step("evaluate"),
        "visualize.visualize_model": visualize,
    }
    for place, module in places.items():
        parent, _, attribute = f"disentanglement_lib.{place}".rpartition(".")
        setattr(importlib.import_module(parent), attribute, module)
        sys.modules[f"disentanglement_lib.{place}"] = module
    sys.argv = ["dlib_reproduce", f"--study={name}", f"--model_num={number}"]
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(sys.stderr):
        runpy.run_path(str(REPRODUCE), run_name="__main__")
    return calls


def evaluate(source, outputs):
    """Score the representation in a folder: outputs is [[target, gin files, bindings], ...]."""
    (module,) = import_steps("evaluation.evaluate")
    for target, files, bindings in outputs:
        module.evaluate_with_gin(source, target, False, files, bindings)


def aggregate(pattern, output):
    """The original's table of many runs, and what it reads back."""
    import multiprocessing

    multiprocessing.set_start_method("fork")  # its workers need the stand-ins too
    (module,) = import_steps("utils.aggregate_results")
    module.aggregate_results_to_json(pattern, output)
    table = module.load_aggregated_json_results(output)
    return json.loads(table.to_json(orient="records"))


def score_our_objects(run_dir, dataset, metrics, bindings):
    """The original's metric functions on our data set and representation function as they are."""
    import gin

    functions = {name: oracle.import_original(name)[1] for name in metrics}
    gin.parse_config(bindings)  # before ours share their names
    import srvae_plugin

    data = srvae_plugin.load_dataset(dataset)
    representation = srvae_plugin.representation_function(run_dir)
    found = {}
    for name, function in functions.items():
        scores = function(data, representation, np.random.RandomState(0))
        found[name] = {key: float(value) for key, value in scores.items()}
    return found


def both_in_one_process(source, target, files, bindings, full):
    """Our step with the original imported and configured: its scores and what gin holds then."""
    import gin

    import_steps("evaluation.evaluate")
    import srvae_plugin
    from srvae_plugin.config import gin_files
    from srvae_plugin.runs import pipeline

    theirs = "disentanglement_lib.evaluation.metrics.mig.mig.num_train"
    gin.parse_config(f"{theirs} = 7")
    answer = {
        "short": srvae_plugin.evaluate_with_gin(source, f"{target}/short", False, files, bindings),
        "full": srvae_plugin.evaluate_with_gin(source, f"{target}/full", False, None, full),
    }
    with gin_files.configured(bindings=["mig.num_train = 8"]):
        names = ("mig.num_train", "srvae_plugin.mig.num_train", theirs)
        answer["inside"] = [gin.query_parameter(name) for name in names]
    answer["afterwards"] = gin.query_parameter(theirs)
    with gin_files.configured(bindings=[f"evaluation.evaluation_fn = @{theirs[:-10]}"]):
        try:
            pipeline.run_plan()
        except ValueError as error:
            answer["their metric"] = str(error)
    for name, bindings in {"gin": ["mig.num_train = 8"], "both": ["twice.x = 1"]}.items():
        try:
            if name == "gin":
                gin.parse_config(bindings)
            else:
                for module in ("one", "other"):
                    gin.register("twice", module=module)(lambda x=0: x)
                with gin_files.configured(bindings=bindings):
                    pass
        except (KeyError, ValueError) as error:
            answer[name] = f"{type(error).__name__}: {error}"
    answer["theirs by its short name"] = gin.query_parameter(theirs)
    return answer


def short_names(ours_first):
    """What short names mean to gin itself with both libraries imported, in either order."""
    import gin

    def ours():
        importlib.import_module("srvae_plugin.config.plugins").load()

    if ours_first:
        ours()
    (theirs,) = import_steps("evaluation.metrics.factor_vae")
    import_steps("evaluation.evaluate")
    if not ours_first:
        ours()
    from srvae_plugin.config import gin_files
    from srvae_plugin.metrics.factor_vae import prune_dims

    path = importlib.util.find_spec("disentanglement_lib").origin
    study = Path(path).parent / "config/unsupervised_study_v1/metric_configs"
    files = sorted(str(file) for file in study.glob("*.gin"))
    failed = []
    for file in files:
        gin.clear_config()
        try:
            gin.parse_config_file(file)
            gin.config_str()
        except (KeyError, ValueError) as error:
            failed.append(f"{file}: {error}")
    gin.clear_config()
    gin.parse_config(["prune_dims.threshold = 0.5"])
    variances = np.array([0.01, 1.0])
    answer = {
        "read": len(files),
        "failed": failed,
        "theirs": theirs._prune_dims(variances).tolist(),
        "ours": gin.get_configurable(prune_dims)(variances).tolist(),
        "written": gin.operative_config_str(),
    }
    with gin_files.configured(bindings=["prune_dims.threshold = 0.0"]):
        answer["ours inside"] = gin.get_configurable(prune_dims)(variances).tolist()
        answer["theirs inside"] = theirs._prune_dims(variances).tolist()
        answer["written inside"] = gin.operative_config_str()
    answer["bound afterwards"] = gin.query_parameter("prune_dims.threshold")
    return answer


def picture_numbers(seed):
    """What the original's pictures are made of, for random arguments."""
    import matplotlib.pyplot as plt

    names = ("visualize_util", "visualize_scores", "dendrogram")
    util, scores, dendrogram = import_steps(*(f"visualize.{name}" for name in names))
    stream = np.random.RandomState(seed)
    answer = {"cycle_factor": [], "cycle_gaussian": [], "cycle_interval": [], "matrices": []}
    for _ in range(20):
        size, frames = int(stream.randint(1, 9)), int(stream.randint(1, 12))
        start, low, width = (float(x) for x in stream.uniform(-1, 1, 3) + np.array([0, -2, 4]))
        asked = {
            "cycle_factor": (int(stream.randint(size)), size, frames),
            "cycle_gaussian": (start, frames, low, width),
            "cycle_interval": (start, frames, low, low + width),
        }
        for name, arguments in asked.items():
            found = getattr(util, name)(*arguments)
            answer[name].append([arguments, found.tolist()])
    answer["best_num_rows"] = [util.best_num_rows(n) for n in range(1, 60)]
    images = stream.uniform(size=(7, 3, 4, 1))
    answer["images"] = images.tolist()
    grid = util.padded_grid(list(images), padding_px=2)
    answer["padded"] = util.pad_around(grid, 1).tolist()
    for shape in [(3, 4), (5, 2), (2, 6)]:
        matrix = np.round(stream.uniform(size=shape), 2)
        with tempfile.TemporaryDirectory() as folder:
            merges = dendrogram.dendrogram_plot(matrix, f"{folder}/x", list("abcde")[: shape[0]])
        plt.close("all")
        at = [
            [float(t), int(scores.precision(matrix, t)), int(scores.recall(matrix, t))]
            for t in (0.1, 0.5, 0.9)
        ]
        merges = {key: float(value) for key, value in merges.items()}
        answer["matrices"].append({"matrix": matrix.tolist(), "merges": merges, "at": at})
    return answer


def training_batches(codes, sizes):
    """Votes of the FactorVAE score and points of the beta-VAE score, as they are drawn."""
    from metric_cases import IndexGrid, LookUp

    factor_vae, _ = oracle.import_original("factor_vae_score")
    beta_vae, _ = oracle.import_original("beta_vae_sklearn")
    data, function = IndexGrid(sizes), LookUp(np.array(codes))
    variances = np.var(codes, axis=0, ddof=1)
    votes = factor_vae._generate_training_batch(
        data, function, 8, 20, np.random.RandomState(0), variances, variances >= 0.0
    )
    drawn = beta_vae._generate_training_batch(data, function, 8, 20, np.random.RandomState(0))
    return [votes.tolist(), *(part.tolist() for part in drawn)]


def call_functions(calls):
    """What functions of the original's modules return; lists of numbers are given as arrays."""

    def plain(value):
        if isinstance(value, dict):
            return {key: plain(each) for key, each in value.items()}
        if isinstance(value, tuple | list):
            return [plain(each) for each in value]
        return np.asarray(value).tolist()

    modules = dict(zip(calls, import_steps(*calls), strict=True))
    return {
        name: plain(getattr(modules[where], name)(*map(np.array, arguments)))
        for where, functions in calls.items()
        for name, arguments in functions.items()
    }


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    asked, given = json.load(sys.stdin)
    print(json.dumps(globals()[asked](**given)))
