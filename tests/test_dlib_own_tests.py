"""disentanglement_lib 1.5's own test files, unmodified, from its package, under the drop-in.

Every test passes but those of `NOT_APPLICABLE`. What takes longer is marked slow.
"""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import oracle
import pytest

HERE = Path(__file__).parent
pytestmark = pytest.mark.skipif(bool(oracle.MISSING), reason=f"needs {', '.join(oracle.MISSING)}")

NOT_APPLICABLE = {
    "evaluation/abstract_reasoning/relational_layers_test.py:": "abstract reasoning's layers",
    "evaluation/abstract_reasoning/reason_test.py:": "abstract reasoning",
    "utils/convolute_hub_test.py:": "joins TensorFlow Hub modules",
    "data/ground_truth/util_test.py:UtilTest.test_tfdata": "TensorFlow's iterator in a graph",
}
PASSED = {
    "data/ground_truth/util_test.py": 1,
    "evaluation/metrics/beta_vae_test.py": 1,
    "evaluation/metrics/dci_test.py": 15,
    "evaluation/metrics/factor_vae_test.py": 2,
    "evaluation/metrics/irs_test.py": 3,
    "evaluation/metrics/mig_test.py": 3,
    "evaluation/metrics/modularity_explicitness_test.py": 9,
    "evaluation/metrics/sap_score_test.py": 3,
    "evaluation/metrics/unified_scores_test.py": 5,
    "evaluation/metrics/unsupervised_metrics_test.py": 4,
    "evaluation/metrics/utils_test.py": 4,
    "evaluation/metrics/fairness_test.py": 3,
    "evaluation/metrics/strong_downstream_task_test.py": 2,
    "evaluation/evaluate_test.py": 12,
    "methods/shared/architectures_test.py": 5,
    "methods/shared/optimizers_test.py": 4,
    "methods/unsupervised/train_test.py": 13,
    "methods/unsupervised/vae_test.py": 20,
    "postprocessing/postprocess_test.py": 2,
    "utils/results_test.py": 5,
    "visualize/dendrogram_test.py": 5,
    "visualize/visualize_dataset_test.py": 1,
    "visualize/visualize_model_test.py": 2,
    "visualize/visualize_scores_test.py": 13,
    "visualize/visualize_util_test.py": 4,
}
"""Number of tests that pass in each file that can be imported."""
SLOW = (
    "evaluation/evaluate_test.py",
    "evaluation/metrics/fairness_test.py:FairnessTest.test_metric",
    "evaluation/metrics/modularity_explicitness_test.py:ModularityExplicitnessTest.test_bad_metric",
    "evaluation/metrics/strong_downstream_task_test.py:StrongDownstreamTaskTest.test_task",
    "evaluation/metrics/unified_scores_test.py:UnifiedScoreTest.test_duplicated_latent_space_dci",
    "evaluation/metrics/unified_scores_test.py:UnifiedScoreTest.test_metric_dci",
    "methods/unsupervised/train_test.py",
    "methods/unsupervised/vae_test.py:VaeTest.test_total_correlation1",  # ten gigabytes
    "visualize/visualize_dataset_test.py",
    "visualize/visualize_model_test.py",
)
"""Beginnings of the names of tests that take seconds each."""


def outcomes(only=(), without=()):
    """What became of each test, by name: "" or why it failed."""
    files = {name.partition(":")[0] for name in (*PASSED, *NOT_APPLICABLE)}
    if only:
        files = {name.partition(":")[0] for name in only}
    asked = {"files": sorted(files), "only": only, "without": without}
    done = subprocess.run(
        [sys.executable, str(HERE / "dlib_own_tests.py")],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])["found"]


def passed(found):
    """Number of tests that passed, by file."""
    names = [name for name, why in found.items() if not why]
    return {file: sum(name.startswith(f"{file}:") for name in names) for file in PASSED}


def test_the_table_has_every_test_file():
    package = Path(importlib.util.find_spec("disentanglement_lib").origin).parent
    files = {str(path.relative_to(package)) for path in package.rglob("*_test.py")}
    assert len(files) == 28
    assert files == {name.partition(":")[0] for name in (*PASSED, *NOT_APPLICABLE)}


def test_its_own_tests_pass():
    found = outcomes(without=SLOW)
    failed = {name: why for name, why in found.items() if why}
    assert failed.keys() == NOT_APPLICABLE.keys(), failed
    whole = {file: number for file, number in PASSED.items() if not file_of_slow(file)}
    assert {file: passed(found)[file] for file in whole} == whole


def file_of_slow(file):
    return any(name.startswith(file) for name in SLOW)


@pytest.mark.slow
def test_its_slow_tests_pass():
    found = outcomes(only=SLOW)
    assert {name: why for name, why in found.items() if why} == {}
    both = found | outcomes(only=[f for f in PASSED if file_of_slow(f)], without=SLOW)
    assert passed(both) == PASSED | {f: 0 for f in PASSED if not file_of_slow(f)}
