"""Diagnoses name the defects that were planted, and no other; what they predict comes true."""

import json
from functools import cache

import numpy as np
import pytest
from planted_codes import (
    MIXTURES,
    NAMES,
    ONE_DEFECT,
    base,
    copied_with_noise,
    dead_nearly,
    missing_and_split,
    rotated_pair,
    rotated_scrambled,
    rotated_unequal,
    split_one_hot,
    told_together_only,
    turned,
)  # fmt: skip

import srvae_plugin as sv
from srvae_plugin import metrics
from srvae_plugin.cli.evaluate import evaluate_main
from srvae_plugin.metrics.diagnosis import KINDS, diagnose_codes
from srvae_plugin.metrics.diagnosis.causes import Cause, Causes
from srvae_plugin.metrics.diagnosis.points import points_of
from srvae_plugin.metrics.diagnosis.words import what_then

LONG = (split_one_hot, told_together_only, dead_nearly, rotated_unequal, copied_with_noise,
        rotated_scrambled, missing_and_split)  # fmt: skip
PLANTED = [
    pytest.param(plant, id=plant.__name__, marks=[pytest.mark.slow] if plant in LONG else [])
    for plant in (*ONE_DEFECT, *MIXTURES)
]


@cache
def diagnosed(plant, seed=0):
    planted = plant(seed)
    found = diagnose_codes(
        planted.codes, planted.factors, names=NAMES, metrics=["mig", "dcimig"], seed=seed
    )
    return planted, found


def named(found):
    return {(one.kind, one.factors) for one in found.findings}


@pytest.mark.parametrize("plant", PLANTED)
def test_the_planted_defect_is_named_and_none_other(plant):
    planted, found = diagnosed(plant)
    assert named(found) == planted.found
    assert len(found.findings) == len(planted.found)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 6))
@pytest.mark.parametrize("plant", [*ONE_DEFECT, *MIXTURES], ids=lambda plant: plant.__name__)
def test_the_planted_defect_is_named_on_other_draws(plant, seed):
    planted, found = diagnosed(plant, seed)
    assert named(found) == planted.found


@pytest.mark.parametrize("plant", PLANTED)
def test_predicted_scores_are_those_of_the_mended_codes(plant):
    planted, found = diagnosed(plant)
    assert found.scores["MIG"] == metrics.mig(planted.codes, planted.factors)["discrete_mig"]
    for one in found.findings:
        if one.codes is None:
            assert one.kind == "not encoded"
            assert one.scores == {}
            continue
        again = metrics.mig(one.codes, planted.factors)["discrete_mig"]
        assert one.scores["MIG"] == again
        assert one.scores["DCIMIG"] == metrics.dcimig(one.codes, planted.factors)["dcimig"]
    if planted.sound is not None:
        sound = metrics.mig(planted.sound, planted.factors)["discrete_mig"]
        assert found.mended["MIG"] == pytest.approx(sound, abs=0.03)


def unaligned(codes, sound):
    """Largest angle between latents and those of the sound codes, as a correlation missed."""
    both = np.abs(np.corrcoef(codes.T, sound.T)[: codes.shape[1], codes.shape[1] :])
    return 1 - both.max(axis=0).min()


@pytest.mark.parametrize("degrees", [15, 45, 70])
def test_a_rotation_is_undone_to_the_axes_it_came_from(degrees):
    _, factors, codes = base(3)
    made = turned(codes, [0, 2], degrees)
    (one,) = diagnose_codes(made, factors, metrics=["mig"]).findings
    assert one.latents == ("z0", "z2")
    assert unaligned(one.codes, codes) < 0.005 < unaligned(made, codes)


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.4, 0.8])
def test_nothing_is_said_of_aligned_codes(noise):
    for seed in range(2):
        _, factors, codes = base(seed, noise)
        assert diagnose_codes(codes, factors, metrics=["mig"], seed=seed).findings == []


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.0, 0.05, 0.3, 0.8])
def test_nothing_is_said_of_aligned_codes_on_twenty_seeds(noise):
    for seed in range(20):
        _, factors, codes = base(seed, noise)
        assert diagnose_codes(codes, factors, metrics=["mig"], seed=seed).findings == []


def test_aligned_codes_of_bent_or_scaled_latents_are_sound():
    _, factors, codes = base(1)
    bent = np.stack([np.exp(codes[:, 0] / 3), codes[:, 1] ** 3, 1000 * codes[:, 2]], axis=1)
    assert diagnose_codes(bent, factors, metrics=["mig"]).findings == []


def test_random_codes_encode_nothing():
    random, factors, _ = base(0)
    found = diagnose_codes(
        random.normal(size=(len(factors), 4)), factors, metrics=["mig"], names=NAMES
    )
    assert named(found) == {("not encoded", (name,)) for name in NAMES} | {("noise", ())}


def test_a_trace_of_a_factor_is_said_to_be_more_than_chance():
    random = np.random.RandomState(0)
    factors = random.randint(5, size=(4000, 2))
    codes = factors + 0.1 * random.normal(size=(4000, 2))
    codes[:, 1] = 0.2 * factors[:, 1] + random.normal(size=4000)
    (trace,) = diagnose_codes(codes, factors, metrics=["mig"], names=["a", "b"]).findings
    assert trace.factors == ("b",)
    assert trace.measured.endswith("under the 5 % that would count")
    (nothing,) = diagnose_codes(codes[:, :1], factors, metrics=["mig"], names=["a", "b"]).findings
    assert "no more than chance would (p = 0." in nothing.measured


def test_random_codes_of_a_small_grid_are_not_known_by_heart():
    random, factors, _ = base(0)
    cells = np.unique(factors, axis=0, return_inverse=True)[1].reshape(-1)
    codes = random.normal(size=(cells.max() + 1, 4))[cells]  # one code per combination
    found = diagnose_codes(codes, factors, metrics=["mig"], names=NAMES)
    assert named(found) >= {("not encoded", (name,)) for name in NAMES}


def test_dependent_factors_are_noted():
    _, factors, codes = base(0)
    factors[:, 1] = np.minimum(factors[:, 0] // 2, 4)
    (note,) = diagnose_codes(codes, factors, metrics=["mig"], names=NAMES).notes
    assert note.startswith("a and b depend on each other in the data (100%")


def test_words_and_fractions_are_taken_as_they_are():
    pandas = pytest.importorskip("pandas")
    _, factors, codes = base(2)
    frame = pandas.DataFrame(
        {"shape": np.array(list("vwxyz"))[factors[:, 1]], "size": codes[:, 0] + 0.0}
    )
    found = diagnose_codes(codes[:, [0, 1]], frame, metrics=["mig", "mcc"])
    assert found.factors == ["shape", "size"]
    assert found.findings == []
    assert "MCC (Pearson)" not in found.scores  # words have no correlation
    assert any("size: continuous" in note for note in found.notes)


def test_two_bent_factors_in_the_same_latents_are_read_together():
    random = np.random.RandomState(0)
    factors = random.randint(9, size=(1500, 2))
    (a, b), noise = (factors - 4).T, random.normal(size=(2, 1500))
    codes = np.stack([np.abs(a) + 0.25 * b + 0.3 * noise[0], np.abs(b) + 0.8 * noise[1]], axis=1)
    found = diagnose_codes(codes, factors, names=["a", "b"], metrics=["mig"])
    assert [(one.kind, one.factors) for one in found.findings] == [("non-linear", ("a", "b"))]
    assert found.findings[0].measured.count("a large probe tells") == 2
    assert found.findings[0].codes.shape == (1500, 2)


def test_a_cause_is_undone_after_all_that_made_its_latents():
    _, factors, codes = base()
    column, streams = codes[:, 0], np.random.RandomState(0)
    points = points_of(codes, factors, NAMES, (), (5000, streams))
    work = Causes({f"z{k}": column + k for k in range(3)}, points.factors, 0, streams)
    work.add(Cause("split", ("a",), ("z0",), "", "w", ("z0",), {"m0": column}))
    work.add(Cause("dead", (), ("z2",), "", "w", ("z2",)))
    work.add(Cause("split", ("b",), ("z1",), "", "w", ("z1",), {"m1": column}))
    work.add(Cause("mixed", ("a", "b"), ("m0", "m1"), "", "w", ("m0", "m1"), {"both": column}))
    assert list(work.with_mended(3)) == ["z2", "both"]
    assert list(work.with_mended(2)) == ["z0", "z2", "m1"]
    assert [cause.needs for cause in work.found] == [(), (), (), (0, 2)]


def test_a_finding_after_others_is_compared_with_what_came_before():
    one = {"scores": {"MIG": 0.5}, "what_if": "they were merged"}
    record = {"scores": {"MIG": 0.1}, "findings": [{"scores": {"MIG": 0.2}}] * 3}
    expected = {
        (): "MIG .10 -> .50 if they were merged",
        (1,): "MIG .20 -> .50 if they were merged, once 2 is undone",
        (0, 2): "MIG .50 if they were merged, once 1 and 3 are undone",
    }
    for after, words in expected.items():
        assert what_then(one | {"after": list(after)}, record) == words
    assert what_then(one | {"after": None}, record) == expected[()]  # as older versions wrote it


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"codes": np.zeros((50, 2)), "factors": np.zeros((50, 2), int)}, "at least 200"),
        ({"factors": np.zeros((800, 2), int)}, "none varies"),
        ({"metrics": ["udr"]}, "no 'udr' here"),
        ({"unordered": ["d"]}, "no factor is called 'd'"),
        ({"names": ["a"]}, "got 1 for 3"),
        ({"names": ["a", "b", "a"]}, "expected different names"),
        ({"num_points": 50}, "num_points must be an integer of at least 200, got 50"),
        ({"num_points": 0}, "num_points must be an integer of at least 200, got 0"),
    ],
)
def test_what_cannot_be_diagnosed_is_one_line(change, said):
    planted = rotated_pair()
    given = {"codes": planted.codes, "factors": planted.factors, "names": None} | change
    with pytest.raises(ValueError, match=said):
        diagnose_codes(given.pop("codes"), given.pop("factors"), **given)


@pytest.fixture(scope="module")
def report():
    planted = rotated_pair()
    return sv.diagnose(planted.codes, planted.factors, names=NAMES, metrics=["mig"])


def test_it_is_readable_and_a_table_and_a_picture(report):
    text = repr(report)
    assert "1. rotated: a, b in z0, z1" in text
    assert "MIG .35 -> .96 if latents z0 and z1 were unrotated" in text
    frame = report.to_frame()
    assert frame["found"].tolist() == ["rotated", "rotated", "sound"]
    assert frame["factor"].tolist() == NAMES
    written = [text.get_text() for text in report.figure().axes[0].texts]
    assert f"{report.record['shares'][2][2]:.2f}" in written


def test_perfect_codes_are_said_to_be_so():
    _, factors, codes = base(0, 0.0)
    assert "Nothing is wrong" in repr(sv.diagnose(codes, factors, metrics=["mig"]))


def test_a_function_of_images_is_diagnosed_like_its_codes():
    factors = np.argwhere(np.ones((4, 4, 16)))
    images = np.zeros((256, 8, 16), np.float32)
    for k in range(3):
        images[np.arange(256), k, factors[:, k]] = 1
    turn = np.linalg.qr(np.random.RandomState(0).normal(size=(3, 3)))[0]

    def encode(batch):
        found = np.stack([batch[:, k, :, 0].argmax(axis=1) for k in range(3)], axis=1)
        return (found / [1.1, 1.1, 4.6]) @ turn

    found = sv.diagnose(encode, (images, factors), metrics=["mig"])
    assert [one["kind"] for one in found.findings] == ["rotated"]


def test_every_kind_has_words():
    planted = {kind for plant in [*ONE_DEFECT, *MIXTURES] for kind, _ in plant().found}
    assert planted == set(KINDS)


def test_codes_are_diagnosed_from_the_shell(tmp_path, monkeypatch, capsys):
    planted = rotated_pair()
    monkeypatch.chdir(tmp_path)
    np.savez("codes.npz", codes=planted.codes, factors=planted.factors,
             factor_names=np.array(NAMES))  # fmt: skip
    evaluate_main(["--codes", "codes.npz", "--diagnose"])
    assert "rotated: a, b in z0, z1" in capsys.readouterr().out
    kept = json.loads((tmp_path / "scores/codes/diagnosis.json").read_text())
    assert kept["findings"][0]["kind"] == "rotated"
    with pytest.raises(SystemExit):
        evaluate_main(["--codes", "codes.npz", "--diagnose"])
    assert "diagnosis.json exists: --resume shows it" in capsys.readouterr().err
    evaluate_main(["--codes", "codes.npz", "--diagnose", "--resume"])
    assert "rotated: a, b in z0, z1" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        evaluate_main(["--codes", "codes.npz", "--diagnose", "--gin", "metrics/all.gin"])
    assert "leave --gin out" in capsys.readouterr().err
