"""benchmarks/compare_folders.py: every difference that counts is found, and none that does not."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
if not BENCHMARKS.is_dir():
    pytest.skip("the source distribution has no benchmarks", allow_module_level=True)

with pytest.MonkeyPatch.context() as patched:
    patched.syspath_prepend(BENCHMARKS)
    import compare_checkouts
    import compare_folders

RESULTS = {"mig.uuid": "a", "mig.elapsed_time": 1.0, "mig.score": 0.5, "list": [1, float("nan")]}


@pytest.fixture
def sides(tmp_path):
    """Two equal folders, of which only what may differ does."""
    old, new = tmp_path / "old", tmp_path / "new"
    (old / "json").mkdir(parents=True)
    np.savez(old / "codes.npz", codes=np.arange(3))
    (old / "json/results.json").write_text(json.dumps(RESULTS | {"path": f"{old}/data"}))
    (old / "said.txt").write_text(f"trained in 1.5 s\n{old}/model\nscore 0.5\n")
    (old / "page.html").write_text("<p>2026-01-02 03:04, commit " + "0" * 40 + "</p>\n")
    shutil.copytree(old, new)
    changed = {"mig.uuid": "b", "mig.elapsed_time": 2.0, "path": f"{new}/data"}
    (new / "json/results.json").write_text(json.dumps(RESULTS | changed))
    (new / "said.txt").write_text(f"trained in 12.25 s\n{new}/model\nscore 0.5\n")
    (new / "page.html").write_text("<p>2027-11-12 13:14, commit " + "1" * 40 + "</p>\n")
    return old, new


def test_a_checkpoint_is_compared_by_its_content_without_its_seconds(sides):
    for side, seconds in zip(sides, (1.0, 2.0), strict=True):
        content = {"seconds": seconds, "model": {"w": torch.ones(3)}, "drawn": [np.arange(3), 7]}
        torch.save(content, side / "checkpoint.pt")
        digest = f"{int(seconds):064x}"
        (side / "manifest.sha256").write_text(f"{digest}  checkpoint.pt\n")
    assert differences(sides) == (6, [])
    content["model"]["w"][1] = 2
    torch.save(content, sides[1] / "checkpoint.pt")
    (said,) = differences(sides).different
    assert said.startswith("checkpoint.pt: model: w: ")


def differences(sides):
    old, new = sides
    return compare_folders.compare(old, new, {str(old): "<work>", str(new): "<work>"})


def test_times_names_and_places_are_no_difference(sides):
    assert differences(sides) == (4, [])


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("said.txt", "trained in 1 s\n<work>/model\nscore 0.6\n", "line 3: 'score 0.5' and 'score"),
        ("said.txt", "trained in 1 s\n<work>/model\n", "3 and 2 lines"),
        ("codes.npz", "x", "bytes that differ"),
        ("page.html", "<p>2027-11-12 13:14, commit </p>\n", "line 1"),
        ("more/extra.csv", "a\n", "only in new"),
    ],
)
def test_a_file_that_differs_is_named(sides, file, content, said):
    path = sides[1] / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(content.replace("<work>", str(sides[1])))
    (line,) = differences(sides).different
    assert line.startswith(file)
    assert said in line


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mig.uuid": "c", "mig.elapsed_time": 9.0}, None),
        ({"mig.score": 0.5 + 2e-16}, "mig.score: 0.5 and 0.5000000000000002"),
        ({"list": [1, 2.0]}, "list: [1] nan and 2.0"),
        ({"list": [1]}, "list: [1, nan] and [1]"),
        ({"more": 1}, "more only in new"),
    ],
)
def test_a_value_that_differs_is_named(sides, change, said):
    path = sides[1] / "json/results.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    found = differences(sides).different
    assert found == ([f"json/results.json: {said}"] if said else [])


def test_a_missing_file_is_named(sides):
    (sides[1] / "codes.npz").unlink()
    assert differences(sides).different == ["codes.npz: only in old"]


def test_every_packaged_study_is_run():
    packaged = {path.stem for path in (BENCHMARKS.parent / "gin/studies").glob("*.gin")}
    assert set(compare_checkouts.STUDIES) == packaged - {"disentanglement_lib"}  # has no grid


def test_a_command_that_failed_is_named_even_if_it_failed_on_both_sides(tmp_path, capsys):
    for side in ("old", "new"):
        (tmp_path / side / "printed").mkdir(parents=True)
        (tmp_path / side / "printed/run.txt").write_text("\nexit status 2\nno such file\n")
    assert compare_checkouts.report(tmp_path / "old", tmp_path / "new", []) == 2
    assert "old: run failed" in capsys.readouterr().out


def test_an_interpreter_of_another_checkout_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="is not there"):
        compare_checkouts.require_own(tmp_path, tmp_path / "python")
    with pytest.raises(SystemExit, match="does not run"):
        compare_checkouts.require_own(tmp_path, Path(sys.executable))
