"""Our metrics against the original code: stored values, and the code itself where installed."""

import functools
import json
import zlib
from importlib.metadata import version
from pathlib import Path

import numpy as np
import oracle
import pytest
from metric_cases import (
    GRIDS,
    REPRESENTATIONS,
    CachedLookUp,
    IndexGrid,
    LookUp,
    cases,
    original_run,
)

from srvae_plugin import metrics

GOLDEN = json.loads((Path(__file__).parent / "data" / "golden_metrics.json").read_text())
OURS = {
    "factor_vae_score": metrics.compute_factor_vae,
    "dci": metrics.compute_dci,
    "mig": metrics.compute_mig,
    "sap_score": metrics.compute_sap,
}
EXACT = 1e-12
# Trees and support vectors are scikit-learn's; another version may break ties differently.
OTHER_SKLEARN = {"dci": 0.03, "sap_score": 5e-3}


@functools.cache
def codes_of(grid, representation):
    return REPRESENTATIONS[representation](GRIDS[grid])


def ours(grid, codes, metric, seed, settings, cached=True):
    data = IndexGrid(GRIDS[grid])
    function = CachedLookUp(codes, data) if cached else LookUp(codes)
    return OURS[metric](data, function, np.random.RandomState(seed), **settings)


def assert_same(scores, original, tolerance=EXACT):
    original = {key: value for key, value in original.items() if key != "seconds"}
    assert {key: scores[key] for key in original} == pytest.approx(
        original, rel=tolerance, abs=tolerance
    )


def golden_cases():
    seen: dict[str, int] = {}
    found = []
    for entry in GOLDEN["entries"]:
        name = f"{entry['grid']}-{entry['representation']}-{entry['metric']}"
        seen[name] = seen.get(name, 0) + 1
        quick = entry["grid"] == "tiny" and entry["representation"] in (
            "noisy_factors",
            "collapsed",
        )
        slow = entry["metric"] == "dci" and not quick
        marks = [pytest.mark.slow] if slow else []
        found.append(pytest.param(entry, id=f"{name}-{seen[name]}", marks=marks))
    return found


@pytest.mark.parametrize("entry", golden_cases())
def test_stored_values_of_the_original(entry):
    codes = codes_of(entry["grid"], entry["representation"])
    assert zlib.crc32(codes.tobytes()) == entry["codes_crc32"], "not the codes that were scored"
    scores = ours(entry["grid"], codes, entry["metric"], entry["seed"], entry["settings"])
    same_sklearn = version("scikit-learn") == GOLDEN["made_with"]["scikit-learn"]
    tolerance = EXACT if same_sklearn else OTHER_SKLEARN.get(entry["metric"], EXACT)
    assert_same(scores, entry["scores"], tolerance)


@pytest.mark.skipif(
    bool(oracle.MISSING),
    reason=f"the original is not installed: {', '.join(oracle.MISSING)} missing "
    "(pip install --no-deps disentanglement-lib==1.5, and absl-py, six)",
)
@pytest.mark.parametrize(
    ("grid", "representation", "dtype"),
    [
        ("dsprites", "noisy_factors", np.float32),
        ("cars3d", "linear_mix", np.float64),
        ("tiny", "dead_latents", np.float32),
        ("tiny", "linear_mix", np.float16),
    ],
)
def test_the_original_itself(grid, representation, dtype):
    codes = codes_of(grid, representation).astype(dtype)
    asked = cases(seed=42, dci=representation == "dead_latents")
    originals = oracle.scores(codes, GRIDS[grid], [original_run(*case) for case in asked])
    for case, original in zip(asked, originals, strict=True):
        # Without the cache, which gives what the cache gives, as the original calls it.
        assert_same(ours(grid, codes, *case, cached=False), original)
