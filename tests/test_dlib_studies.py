"""disentanglement_lib's numbered studies: ours against the original's own lists and pipeline."""

import functools
import json
import subprocess
import sys
from pathlib import Path

import oracle
import original_package
import pytest

from srvae_plugin.cli.run import run_main
from srvae_plugin.config import gin_files
from srvae_plugin.config.text import gin_dict
from srvae_plugin.runs import pipeline  # noqa: F401
from srvae_plugin.study import numbered
from srvae_plugin.study.numbered import STUDIES, NumberedModel

live = pytest.mark.skipif(bool(oracle.MISSING), reason=f"needs {', '.join(oracle.MISSING)}")
TENSORFLOW_ONLY = {"use_locking", "name"}
OPTION = "modularity_explicitness.one_vs_rest"  # ours; False is what the original does
SMALL = ["model.training_steps = 2", "model.eval_steps = 1", "model.batch_size = 4"]
SMALL += ["run.pictures = False", "mig.num_train = 200", "unsupervised_metrics.num_train = 100"]
TWO = "run.metrics = ['mig', 'unsupervised/unsupervised_metrics']"


def study_run(*arguments, bindings=()):
    """Run in this process; return the exit status."""
    flags = [flag for binding in bindings for flag in ("--bind", binding)]
    try:
        run_main([*map(str, arguments), *flags])
    except SystemExit as stop:
        return stop.code
    return 0


def bound_in(files, bindings=()):
    """All that gin binds as text, without the steps' own settings."""
    import gin

    with gin_files.only(files, bindings):
        found = gin_dict(gin.config_str())
    own = ("run.", "evaluation.", "postprocess.", "dataset.")
    return {key: value for key, value in found.items() if not key.startswith(own)}


@functools.cache
def original_pipeline(name):
    """A model's number, and what the original's pipeline hands to each step for it."""
    number = {"unsupervised_study_v1": 420, "abstract_reasoning_study_v1": 179}.get(name, 0)
    return number, original_package.run("pipeline", name=name, number=number)


@live
def test_every_model_has_the_originals_bindings():
    theirs = original_package.run("studies", names=list(STUDIES))
    models = {"unsupervised_study_v1": 12600, "fairness_study_v1": 12600}
    models |= {"abstract_reasoning_study_v1": 360}
    assert {name: len(bindings) for name, bindings in theirs.items()} == models
    for name, study in STUDIES.items():
        assert [study.model_bindings(i) for i in range(study.num_models)] == theirs[name]


@live
@pytest.mark.parametrize("name", STUDIES)
def test_the_pipeline_gives_each_step_what_the_original_gives_it(name):
    number, calls = original_pipeline(name)
    model = NumberedModel(name, number)
    (train, *others) = calls
    # The first `model.name` there, that of the file, gives way to the method's.
    assert train[3] == ["model.name = 'shared'", *model.bindings()[: len(train[3]) - 1]]
    assert len(others) == 2 + 2 * len(model.study.metrics)
    settings = []
    for kind in numbered.REPRESENTATIONS:
        settings.append([f"postprocessed/{kind}", *model.postprocess(kind)])
    for kind in numbered.REPRESENTATIONS:
        for metric in sorted(model.study.metrics):
            settings.append([f"metrics/{kind}/{metric}", *model.evaluation(kind, metric)])
    for (step, target, files, bindings), (place, function, _, ours) in zip(
        others, settings, strict=True
    ):
        assert target == f"output/{name}/{number}/{place}"
        assert list(ours[:2]) == bindings
        text = Path(files[0]).read_text()
        key = "postprocess.postprocess_fn" if step == "postprocess" else "evaluation.evaluation_fn"
        assert gin_dict(text)[key] == f"@{function}"


@live
@pytest.mark.parametrize("name", STUDIES)
def test_settings_are_those_of_the_originals_files(name):
    """File by file: every value it binds, and no other."""
    _, calls = original_pipeline(name)
    theirs = bound_in(calls[0][2])
    theirs = {k: v for k, v in theirs.items() if k.rpartition(".")[2] not in TENSORFLOW_ONLY}
    assert bound_in([numbered.MODEL_FILE]) == theirs
    model = NumberedModel(name, 0)
    compared = 0
    for step, target, files, _ in calls:
        if step == "evaluate":
            choice = model.evaluation(*target.split("/")[-2:])
            ours = bound_in(choice.files, choice.bindings)
            # Scoped bindings of our file serve runs that are not of a study.
            ours = {key: value for key, value in ours.items() if "/" not in key}
            assert ours.pop(OPTION, "False") == "False"
            assert ours == bound_in(files)
            compared += 1
    assert compared == 2 * len(model.study.metrics)


def test_the_seeds_are_the_pipelines():
    """As published with the study; the live test has them all."""
    seeds = STUDIES["unsupervised_study_v1"].seeds()
    assert list(seeds.items())[:4] == [
        ("mean", 2357136044),
        ("sampled", 2546248239),
        ("mean/beta_vae_sklearn", 3071714933),
        ("mean/dci", 3626093760),
    ]
    assert len(seeds) == 20


def test_a_model_runs_by_its_number(tmp_path):
    """Model 300 is a FactorVAE; its results have the originals' folders, names and seeds."""
    output = tmp_path / "run"
    command = ["--study", "unsupervised_study_v1", "--model-num", "300", "--output", output]
    assert study_run(*command, bindings=[*SMALL, TWO]) == 0
    assert {p.name for p in output.iterdir()} >= {"model", "postprocessed", "metrics"}
    trained = gin_dict((output / "model/results/gin/train.gin").read_text())
    assert trained["model.model"] == "@factor_vae()"
    assert trained["model.name"] == "'factor_vae'"
    assert trained["model.model_num"] == "300"
    assert trained["factor_vae.gamma"] == "10.0"
    assert trained["model.training_steps"] == "2"
    seeds = STUDIES["unsupervised_study_v1"].seeds()
    for kind in ("mean", "sampled"):
        assert {p.name for p in (output / "metrics" / kind).iterdir()} == {"mig", "unsupervised"}
        for name, function in {"mig": "mig", "unsupervised": "unsupervised_metrics"}.items():
            folder = output / "metrics" / kind / name / "results"
            merged = json.loads((folder / "aggregate/evaluation.json").read_text())
            assert merged["evaluation_config.evaluation.evaluation_fn"] == f"@{function}"
            assert merged["evaluation_config.evaluation.name"] == f"'{name}'"
            seed = seeds[f"{kind}/{name}"]
            assert merged["evaluation_config.evaluation.random_seed"] == str(seed)
            assert merged["evaluation_config.discretizer.num_bins"] == "20"
            assert merged["postprocess_config.postprocess.random_seed"] == str(seeds[kind])
            assert merged["postprocess_config.postprocess.name"] == f"'{kind}'"
            assert merged["evaluation_config.dataset.name"] == "'dsprites_full'"
    made = (output / "metrics/mean/mig/results/aggregate/evaluation.json").stat().st_mtime_ns
    assert study_run(*command, "--resume", bindings=[*SMALL, TWO]) == 0
    kept = (output / "metrics/mean/mig/results/aggregate/evaluation.json").stat().st_mtime_ns
    assert kept == made


def test_a_factor_vae_trains_as_long_as_the_originals():
    """Its 300,000 steps are the updates of both networks together; see `FactorVAE`."""
    assert "model.training_steps = 150000" in NumberedModel("unsupervised_study_v1", 300).bindings()
    for number in (0, 299, 600):
        bindings = NumberedModel("unsupervised_study_v1", number).bindings()
        assert not any("training_steps" in binding for binding in bindings)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--study", "unsupervised_study"], "did you mean 'unsupervised_study_v1'?"),
        (["--study", "udr"], "known: unsupervised_study_v1, fairness_study_v1"),
        (["--study", "fairness_study_v1"], "needs --model-num 0 .. 12599"),
        (["--study", "fairness_study_v1", "--model-num", "12600"], "has the models 0 .. 12599"),
        (["--study", "abstract_reasoning_study_v1", "--model-num", "360"], "models 0 .. 359"),
        (["--study", "fairness_study_v1", "--model-num", "-1"], "--model-num -1"),
        (["--gin", "vae_dsprites.gin", "--model-num", "1"], "go with --study"),
        (["--gin", "vae_dsprites.gin", "--list"], "go with --study"),
        (["--gin", "vae_dsprites.gin", "--study", "fairness_study_v1"], "not allowed with"),
        ([], "--gin --study is required"),
    ],
)
def test_what_cannot_be_run_says_why(arguments, part, capsys):
    assert study_run(*arguments) == 2
    assert part in capsys.readouterr().err.splitlines()[-1]


def test_metrics_are_those_of_the_study(tmp_path, capsys):
    command = ["--study", "unsupervised_study_v1", "--model-num", "0"]
    for metrics in (["irs"], ["mig", "factor_vae_score"]):
        bindings = [*SMALL, f"run.metrics = {metrics}"]
        assert study_run(*command, "--output", tmp_path / "run", bindings=bindings) == 2
        line = capsys.readouterr().err.splitlines()[-1]
        assert f"has no '{metrics[-1]}'" in line
        assert "factor_vae_metric" in line
    assert not (tmp_path / "run").exists()


def test_the_list_says_what_there_is(capsys):
    assert study_run("--study", "unsupervised_study_v1", "--list") == 0
    text = capsys.readouterr().out
    assert "models 0 .. 12599 = 7 data sets x 6 methods x 6 values x 50 seeds" in text
    assert "factor_vae.gamma 10, 20, 30, 40, 50, 100" in text
    assert study_run("--study", "unsupervised_study_v1", "--list", "--model-num", "12599") == 0
    text = capsys.readouterr().out
    for part in ("dataset.name = 'shapes3d'", "annealed_vae.c_max = 100.0", "random_seed = 49"):
        assert part in text
    assert "sampled/unsupervised" in text


def test_models_of_abstract_dsprites_can_run(tmp_path, capsys):
    assert study_run("--study", "abstract_reasoning_study_v1", "--list") == 0
    text = capsys.readouterr().out
    assert "models 0 .. 359 = 2 data sets" in text
    assert "data sets  shapes3d, abstract_dsprites\n" in text
    command = ["--study", "abstract_reasoning_study_v1", "--model-num", "180"]
    assert study_run(*command, "--output", tmp_path / "run", bindings=[*SMALL, TWO]) == 0
    scores = json.loads(
        (tmp_path / "run/metrics/mean/mig/results/json/evaluation_results.json").read_text()
    )
    assert scores["num_factors_scored"] == 6


def test_listing_needs_no_torch():
    code = (
        "import sys; from srvae_plugin.cli.run import run_main; "
        "run_main(['--study', 'fairness_study_v1', '--list']); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
