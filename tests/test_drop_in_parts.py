"""Parts of metrics that research code imports by name, against the original's own."""

import importlib

import numpy as np
import original_package
import pytest

STREAM = np.random.RandomState(0)
MATRIX = STREAM.uniform(size=(5, 3))
CODES, TEST_CODES = STREAM.normal(size=(2, 5, 200))
FACTORS, TEST_FACTORS = STREAM.randint(4, size=(2, 3, 200))
ROWS = [FACTORS.T, CODES.T]
METRICS = "evaluation.metrics"
PARTS = {
    f"{METRICS}.dci": ("metric_parts", {
        "disentanglement_per_code": [MATRIX], "completeness_per_factor": [MATRIX],
        "completeness": [MATRIX],
    }),
    f"{METRICS}.sap_score": ("metric_parts", {"compute_avg_diff_top_two": [MATRIX]}),
    f"{METRICS}.modularity_explicitness": ("metric_parts", {
        "modularity": [MATRIX],
        "explicitness_per_factor": [CODES, FACTORS[0], TEST_CODES, TEST_FACTORS[0]],
    }),
    f"{METRICS}.irs": ("metric_parts", {"scalable_disentanglement_score": ROWS}),
    f"{METRICS}.unified_scores": ("unified_parts", {
        "aggregation_dci": [MATRIX, FACTORS], "aggregation_mig": [MATRIX, FACTORS],
        "aggregation_sap": [MATRIX, FACTORS], "aggregation_modularity": [MATRIX, FACTORS],
    }),
    f"{METRICS}.utils": ("evaluation_utils", {
        "normalize_data": [CODES], "discrete_entropy": [FACTORS],
        "discrete_mutual_info": [FACTORS, FACTORS],
    }),
    "visualize.visualize_util": ("pictures", {
        "padded_stack": [STREAM.uniform(size=(3, 4, 5, 1))],
        "add_below": [STREAM.uniform(size=(12, 8, 3))],
    }),
}  # fmt: skip
NAMES = [(place, name) for place, (_, parts) in PARTS.items() for name in parts]


@pytest.fixture(scope="module")
def originals():
    calls = {
        place: {name: [np.asarray(each).tolist() for each in given] for name, given in of.items()}
        for place, (_, of) in PARTS.items()
    }
    return original_package.run("call_functions", calls=calls)


@pytest.mark.parametrize(("place", "name"), NAMES)
def test_a_part_is_the_originals(originals, place, name):
    module, parts = PARTS[place]
    found = getattr(importlib.import_module(f"srvae_adapters.drop_in.{module}"), name)(*parts[name])
    expected = originals[name]
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        found, expected = list(found.values()), list(expected.values())
    pairs = (
        zip(found, expected, strict=True)
        if isinstance(found, tuple | list)
        else [(found, expected)]
    )
    for one, other in pairs:
        np.testing.assert_allclose(one, other, atol=1e-7)
