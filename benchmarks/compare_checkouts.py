"""Whether two checkouts of this package leave the same files and scores: tiny runs of everything.

    python benchmarks/compare_checkouts.py OLD NEW [--python OLD_PYTHON NEW_PYTHON] [--part readme]

OLD and NEW are checkouts, each installed (`pip install --editable`) in a virtual environment of its
own: OLD/.venv and NEW/.venv, or the interpreters that --python names. Both run the README's
commands (part `readme`), one run of every packaged study (`studies`) and disentanglement_lib's own
gin files, where that package is installed (`dlib`), side by side, one core each. Then every file
that one of them left, and what the commands printed, is compared: compare_folders.py says which
keys and words may differ. The exit status is 1 if anything does.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from compare_folders import compare

LITTLE = [
    "model.training_steps = 4",
    "model.batch_size = 4",
    "model.eval_steps = 1",
    "model.log_every = 2",
    "model.checkpoint_every = 2",
]
NARROW = [
    "encoder.num_latent = 3",
    "srvae_encoder.base_channels = 4",
    "srvae_decoder.base_channels = 4",
]
FEW = [
    "factor_vae_score.num_variance_estimate = 100",
    "factor_vae_score.num_train = 30",
    "factor_vae_score.num_eval = 20",
    "factor_vae_score.batch_size = 8",
    "beta_vae_sklearn.num_train = 30",
    "beta_vae_sklearn.num_eval = 20",
    "prune_dims.threshold = 0.0",
    *(f"{name}.num_train = 100" for name in (
        "mig", "irs", "unsupervised_metrics", "infomec", "jemmig", "dcimig", "mig_sup", "fairness",
        "dci", "sap_score", "modularity_explicitness", "unified_scores", "med", "dci_es",
        "dci_regression")),
    *(f"{name}.num_test = 50" for name in (
        "dci", "sap_score", "modularity_explicitness", "unified_scores", "med", "dci_es",
        "dci_regression", "downstream_task", "reduced_downstream_task", "strong_downstream_task")),
    *(f"{name}.num_train = [60]" for name in (
        "downstream_task", "reduced_downstream_task", "strong_downstream_task")),
    "fairness.num_test_points_per_class = 10",
    "strong_downstream_task.n_experiment = 1",
    "dci_es.probe_sizes = [1, 2]",
    "dci_es.num_trees = 5",
    "infomec.num_neighbors = 3",
]  # fmt: skip
TEAPOTS = ["dataset.stored = False", "dataset.num_images = 300"]
FORMATS = ("onnx", "torchscript", "torch_export", "sklearn")
TABLES = ("npz", "parquet")
"""Of the codes of a whole data set: of 300 images here."""
MY_MODEL = """
import numpy as np
from sklearn.decomposition import PCA
from srvae_plugin import load_dataset

images = load_dataset("dsprites_full").sample_observations(200, np.random.RandomState(0))
pca = PCA(5, svd_solver="full").fit(images.reshape(200, -1))


def encode(observations):
    return pca.transform(observations.reshape(len(observations), -1))
"""
FROM_PYTHON = """
import numpy as np
import srvae_plugin
from srvae_plugin.metrics import compute_mig

data = srvae_plugin.load_dataset("dsprites_full")
codes = srvae_plugin.representation_function("readme/sr_vae")
print(compute_mig(data, codes, np.random.RandomState(0), num_train=100))
random = np.random.RandomState(0)
factors = random.randint(4, size=(200, 3))
np.savez("codes.npz", codes=factors + random.normal(size=(200, 3)) / 10, factors=factors)
"""
# The models of every study that it trains here, and what else a run of it needs.
STUDIES = {
    "ablation": '{"ResVAE": ["res_vae_dsprites.gin"]}',
    "ablation_quick": '{"SeqVAE": ["seq_vae_dsprites.gin"]}',
    "comparison_dsprites":
        '{"FactorVAE": ["factor_vae_dsprites.gin", "factor_vae.gamma = 35.0"]}',
    "comparison_dsprites_quick": '{"beta-VAE": ["vae_dsprites.gin", "vae.beta = 4.0"]}',
    "comparison_teapots":
        '{"SR-VAE": ["models/sr_vae.gin", "training/srvae_teapots.gin"]}',
    "comparison_teapots_quick":
        '{"VAE": ["models/vae.gin", "training/srvae_teapots.gin", "vae.beta = 4.0"]}',
    "datasets_quick": None,
    "evidence": '{"gaussian": ["srvae_dsprites.gin", "sr_vae.reading = \'paper-gaussian\'"]}',
    "evidence_batch64": '{"VAE": ["vae_dsprites.gin"]}',
    "evidence_short": '{"SeqVAE": ["seq_vae_dsprites.gin"]}',
    "evidence_teapots": '{"VAE": ["models/vae.gin", "training/srvae_teapots.gin"]}',
    "models_quick": '{"AnnealedVAE": ["annealed_vae_dsprites.gin"], '
                    '"beta-TCVAE": ["beta_tc_vae_dsprites.gin"], '
                    '"DIP-VAE-I": ["dip_vae_i_dsprites.gin"], '
                    '"DIP-VAE-II": ["dip_vae_ii_dsprites.gin"]}',
    "sensitivity": '{"VAE": ["vae_dsprites.gin", "vae.beta = 4.0"]}',
    "sensitivity_quick": '{"SR-VAE": ["srvae_dsprites.gin"]}',
    "sr_beta_vae": None,
    "sr_beta_vae_quick": None,
    "unsupervised_study_v1": None,
}  # fmt: skip
MORE = {
    "datasets_quick": ['study.datasets = {"color": ["dataset.name = \'color_dsprites\'"], '
                       '"dummy": ["dataset.name = \'dummy_data\'"]}'],
    "sr_beta_vae": ['study.models = {"SR-beta-VAE": ["sr_beta_vae_dsprites.gin"]}',
                    'study.grid = {"SR-beta-VAE": {"sr_vae.beta": [8.0]}}'],
    "sr_beta_vae_quick": ['study.models = {"SR-beta-VAE": ["sr_beta_vae_dsprites.gin"]}'],
    "unsupervised_study_v1": ["study.model_nums = [1800]"],
}  # fmt: skip
DLIB = """
import importlib.util, pathlib, sys
from srvae_plugin import evaluate_with_gin, postprocess_with_gin, train_with_gin

configs = pathlib.Path(importlib.util.find_spec("disentanglement_lib").origin).parent / "config"
study, tests = configs / "unsupervised_study_v1", configs / "tests"
out, bindings = pathlib.Path("dlib"), sys.argv[1:]
little = [line for line in bindings if line.startswith("model.")]
few = [line for line in bindings if not line.startswith("model.")]
sweep = importlib.import_module("disentanglement_lib.config.unsupervised_study_v1.sweep")
kinds = {}
for config in sweep.get_default_models():
    lines = sweep.h.to_bindings(config)
    kinds.setdefault(lines[0].partition("= ")[2].strip("'"), lines)
for kind, lines in kinds.items():
    train_with_gin(out / kind / "model", False, [study / "model_configs/shared.gin"],
                   [*lines, *little])
for kind in ("mean", "sampled"):
    postprocess_with_gin(out / "beta_vae/model", out / "beta_vae" / kind, False,
                         [study / f"postprocess_configs/{kind}.gin"])
for path in sorted((study / "metric_configs").glob("*.gin")):
    evaluate_with_gin(out / "beta_vae/mean", out / "beta_vae" / path.stem, False, [path], few)
train_with_gin(out / "train_test/model", False,
               [tests / "methods/unsupervised/train_test.gin"], ["model.eval_steps = 1"])
postprocess_with_gin(out / "train_test/model", out / "train_test/mean", False,
                     [tests / "postprocessing/postprocess_test_configs/mean.gin"])
for path in sorted((tests / "evaluation/evaluate_test_configs").glob("*.gin")):
    if path.stem not in ("reduced_downstream_task", "fairness"):  # ten seconds of trees
        evaluate_with_gin(out / "train_test/mean", out / "train_test" / path.stem, False, [path])
"""


class Command(NamedTuple):
    """One command, run in the side's folder; what it prints is kept as `printed/<name>.txt`."""

    name: str
    words: list[str]


def bind(bindings: list[str]) -> list[str]:
    return [word for binding in bindings for word in ("--bind", binding)]


def readme() -> Iterator[Command]:
    """The commands of the README, little ones."""
    run = ["srvae-run", "--threads", "1"]
    little, few = bind([*LITTLE, *NARROW]), ["--gin", "few.gin"]
    quick = ["--gin", "presets/quick.gin", *few, *little]
    sr_vae = [*run, "--gin", "srvae_dsprites.gin", *quick, "--output", "readme/sr_vae"]
    yield Command("run", sr_vae)
    yield Command("resume", [*sr_vae, "--resume"])
    other = bind(["sr_vae.beta = 4.0", "model.random_seed = 1"])
    yield Command("run-bound", [*run, "--gin", "srvae_dsprites.gin", *quick, *other,
                                "--output", "readme/sr_vae-1"])  # fmt: skip
    yield Command("run-vae", [*run, "--gin", "vae_dsprites.gin", *quick, "--output", "readme/vae"])
    yield Command("python", ["python", "-c", FROM_PYTHON])
    yield Command("verify", ["srvae-data", "verify", "dsprites_full"])
    yield Command(
        "sheet", ["srvae-data", "sheet", "color_dsprites", "--output", "readme/sheet/s.png"]
    )
    score = ["srvae-evaluate", "--threads", "1", "--gin", "metrics/all.gin", *few]
    yield Command("evaluate-run", [*score, "readme/vae", "--resume"])
    codes = ["--codes", "codes.npz", "--output", "readme/codes"]
    yield Command("evaluate-codes", ["srvae-evaluate", "--gin", "metrics/paper.gin", *few, *codes])
    data = bind(['dataset.name = "dsprites_full"'])
    function = ["--function", "my_model:encode", "--label", "PCA", "--seed", "0"]
    paper = ["srvae-evaluate", "--gin", "metrics/paper.gin", *few, *data]
    yield Command("evaluate-function", [*paper, *function, "--output", "readme/pca"])
    numbered = ["srvae-run", "--study", "unsupervised_study_v1", "--model-num", "300"]
    yield Command("study-list", [*numbered, "--list"])
    for form in FORMATS:
        yield Command(f"export-{form}", ["srvae-export", "readme/sr_vae", "--to", form])
    teapots = [*run, "--gin", "srvae_teapots.gin", *quick, *bind(TEAPOTS)]
    yield Command("run-teapots", [*teapots, "--output", "readme/teapots"])
    for form in TABLES:
        yield Command(f"export-{form}", ["srvae-export", "readme/teapots", "--to", form])
    onnx = ["--model", "readme/sr_vae/exports/mean/onnx/encoder.onnx"]
    yield Command("evaluate-onnx", [*paper, *onnx, "--output", "readme/onnx"])
    yield Command("published", ["srvae-report", "--published"])
    yield Command("report", ["srvae-report", "readme", "--output", "readme/report/page.html",
                             "--resamples", "100"])  # fmt: skip


def studies() -> Iterator[Command]:
    """The list of every packaged study, and one run of it or a few."""
    for name, models in STUDIES.items():
        study = ["srvae-study", "--gin", f"studies/{name}.gin"]
        if not name.startswith("unsupervised"):  # 12,600 runs
            yield Command(f"list-{name}", [*study, "--list"])
        chosen = [f"study.models = {models}"] if models else []
        chosen += MORE.get(name, [])
        if not name.startswith("unsupervised"):
            chosen += ["study.seeds = [0]"]
        chosen += TEAPOTS if "teapots" in name else []
        few = [line for line in FEW if line.split(".")[0] in _read_by(name)]
        width = NARROW if not name.startswith("unsupervised") else []
        words = bind([*chosen, *LITTLE, *width, *few])
        yield Command(name, [*study, "--threads", "1", "--jobs", "1", *words,
                             "--output", f"studies/{name}"])  # fmt: skip


def _read_by(study: str) -> set[str]:
    """The metrics of a study: a binding that nothing reads is an error."""
    if "teapots" in study:
        return {"dci_regression"}
    return {"factor_vae_score", "prune_dims", "dci", "mig", "sap_score"}


def dlib() -> Iterator[Command]:
    """disentanglement_lib's own gin files, in one process."""
    yield Command("dlib", ["python", "-c", DLIB, *LITTLE, *FEW])


PARTS = {"readme": readme, "studies": studies, "dlib": dlib}


def run_all(python: Path, place: Path, parts: list[str]) -> None:
    """Run the commands of some parts one after the other in a new folder."""
    for folder in ("printed", "readme/sheet", "readme/report", "studies"):
        (place / folder).mkdir(parents=True)
    (place / "few.gin").write_text("\n".join(FEW) + "\n")
    (place / "my_model.py").write_text(MY_MODEL)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "LOKY_MAX_CPU_COUNT": "1"}
    environment |= {"PYTHONPATH": str(place), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "100"}
    for part in parts:
        for command in PARTS[part]():
            program = str(python.parent / command.words[0])
            done = subprocess.run([program, *command.words[1:]], cwd=place, env=environment,
                                  capture_output=True, text=True)  # fmt: skip
            printed = f"{done.stdout}\nexit status {done.returncode}\n"
            if done.returncode:
                printed += "\n".join(done.stderr.splitlines()[-1:]) + "\n"
            (place / "printed" / f"{part}-{command.name}.txt").write_text(printed)


def require_own(checkout: Path, python: Path) -> None:
    """Exit with one line if an interpreter does not have that checkout installed."""
    ask = "import srvae_plugin; print(srvae_plugin.__file__)"
    if not python.is_file():
        sys.exit(f"{python} is not there: install {checkout} in a virtual environment; --python")
    found = subprocess.run([python, "-c", ask], cwd="/", capture_output=True, text=True).stdout
    if not Path(found.strip()).is_relative_to(checkout):
        sys.exit(f"{python} does not run {checkout}, but {found.strip() or 'no srvae_plugin'}: "
                 f"{python} -m pip install --editable {checkout}")  # fmt: skip


def groups(*places: Path) -> list[str]:
    """Folders to compare, relative: each run, each study, what was printed."""
    found = {"printed"}
    for place in places:
        for part in PARTS:
            found |= {
                str(p.relative_to(place))
                for p in (place / part).glob("*")
                if p.is_dir() and any(p.iterdir())
            }
    return sorted(found)


def failed(place: Path) -> list[str]:
    """Commands that did not end well: two equal failures would show nothing."""
    texts = {path.stem: path.read_text() for path in (place / "printed").glob("*.txt")}
    return sorted(name for name, text in texts.items() if "\nexit status 0\n" not in text)


def report(old: Path, new: Path, checkouts: list[Path]) -> int:
    """Print the table of runs; the number of differences and failures."""
    moved = {str(old): "<work>", str(new): "<work>"}
    moved |= {str(checkout): "<checkout>" for checkout in checkouts}
    wrong, files = 0, 0
    print(f"{'run':44}{'files':>7}{'different':>11}")
    for group in groups(old, new):
        found = compare(old / group, new / group, moved)
        print(f"{group:44}{found.files:7}{len(found.different):11}")
        print("".join(f"    {line}\n" for line in found.different), end="")
        wrong, files = wrong + len(found.different), files + found.files
    for side in (old, new):
        for name in failed(side):
            print(f"{side.name}: {name} failed, see {side}/printed/{name}.txt")
            wrong += 1
    print(f"{files} files compared, {wrong} differences or failures")
    return wrong


def main() -> None:
    """Read the command line, run both sides, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path, metavar="OLD")
    parser.add_argument("new", type=Path, metavar="NEW")
    parser.add_argument("--python", nargs=2, type=Path, metavar=("OLD_PYTHON", "NEW_PYTHON"))
    parser.add_argument("--part", action="append", choices=PARTS, help="default: all")
    parser.add_argument("--work", type=Path, help="a folder to make; default: a temporary one")
    arguments = parser.parse_args()
    checkouts = [checkout.resolve() for checkout in (arguments.old, arguments.new)]
    pythons = arguments.python or [checkout / ".venv/bin/python" for checkout in checkouts]
    for checkout, python in zip(checkouts, pythons, strict=True):
        require_own(checkout, python)
    work = (arguments.work or Path(tempfile.mkdtemp(prefix="compare-"))).resolve()
    sides = [work / "old", work / "new"]
    parts = arguments.part or list(PARTS)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run_all, pythons, sides, [parts, parts]))
    print(f"What they left is in {work}")
    sys.exit(1 if report(*sides, checkouts) else 0)


if __name__ == "__main__":
    main()
