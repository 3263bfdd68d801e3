"""What somebody who has read only the README types, and what is said where it is not right."""

import re
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import srvae_plugin as sv
from srvae_plugin.cli import evaluate, report, run
from srvae_plugin.data.own.from_python import as_data
from srvae_plugin.runs.directory import RunDirectory
from srvae_plugin.runs.run import _prepare

FACTORS = np.argwhere(np.ones((20, 20)))
IMAGES = np.zeros((400, 20, 20), np.float32)
IMAGES[np.arange(400), FACTORS[:, 0], FACTORS[:, 1]] = 1


class Encoder(nn.Module):
    """A module that says where the pixel is, in whatever form `output` gives it."""

    def __init__(self, output):
        super().__init__()
        self.output = output

    def forward(self, images):
        place = images.flatten(1).argmax(1)
        return self.output(images, torch.stack([place // 20, place % 20], dim=1))


class InDictionaries:
    """A torch Dataset; disent's has its image in a tuple, as one of the images it has drawn."""

    def __init__(self, item):
        self.item = item

    def __len__(self):
        return len(IMAGES)

    def __getitem__(self, index):
        return self.item(IMAGES[index, None])


def line_of(main, arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    return capsys.readouterr().err


def test_help_begins_with_everything_there_is():
    words = set(sv.__doc__.replace(",", " ").replace(";", " ").replace(".", " ").split())
    assert {name for name in sv.__all__ if name != "__version__"} <= words


def test_an_encoder_of_pythae_is_scored_as_the_codes_that_it_holds():
    def as_pythae(images, codes):
        return OrderedDict(embedding=codes, log_covariance=0 * codes)

    data = IMAGES, FACTORS
    plain = sv.score(Encoder(lambda images, codes: codes), data, ["mig"])
    assert sv.score(Encoder(as_pythae), data, ["mig"]) == plain
    assert plain["mig"]["discrete_mig"] > 0.4


@pytest.mark.parametrize(
    "output",
    [lambda images, codes: (images, codes), lambda images, codes: images, lambda i, c: c[0]],
)
def test_a_model_whose_first_output_are_no_codes_is_told_to_give_its_encoder(output):
    with pytest.raises(ValueError, match=r"first output is of shape \(.*\), for 64 images.*enco"):
        sv.score(Encoder(output), (IMAGES, FACTORS), ["mig"])


def test_tables_show_scores_and_not_the_points_they_took(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.savez("codes.npz", codes=FACTORS.astype(np.float32), factors=FACTORS)
    metrics = ["--bind", 'run.metrics = ["mig", "reduced_downstream_task"]']
    with pytest.raises(SystemExit) as stopped:
        evaluate.evaluate_main(["--codes", "codes.npz", *metrics])  # 10,000 points to train on
    assert stopped.value.code == evaluate.NOT_ALL_SCORED
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    assert rows == [
        ["codes", "mig", "discrete_mig", "1.0000"],
        ["codes", "mig", "num_factors_scored", "2"],
    ]
    report.report_main(["scores", "--output", "page.html"])
    assert "1 run of 1 model: " in capsys.readouterr().out


def test_a_file_in_the_place_of_a_run(tmp_path, capsys):
    np.savez(tmp_path / "codes.npz", codes=FACTORS)
    said = line_of(evaluate.evaluate_main, [str(tmp_path / "codes.npz")], capsys)
    assert "but a file: a table of codes is scored with --codes" in said
    with pytest.raises(ValueError, match="but a file: a table of codes is scored"):
        sv.load_run(tmp_path / "codes.npz")


def test_an_unfinished_run_is_scored_once_it_is_finished(tmp_path):
    directory = RunDirectory(tmp_path / "a")
    directory.model.files.checkpoint.parent.mkdir(parents=True)
    directory.model.files.checkpoint.touch()
    with pytest.raises(ValueError, match="a is not finished: the command that made it continues"):
        directory.kinds()


def test_resume_says_where_it_finds_nothing(tmp_path, caplog):
    with caplog.at_level("INFO", logger="srvae_plugin"):
        _prepare(RunDirectory(tmp_path / "new"), "", resume=True, overwrite=False)
    assert "new has nothing to continue from: starting at step 0" in caplog.text


def test_a_binding_without_quotes(capsys):
    typed = ["--gin", "srvae_dsprites.gin", "--bind", "sr_vae.beta", "=", "4.0"]
    said = line_of(run.run_main, typed, capsys)
    assert "unrecognized arguments: = 4.0 (a binding takes quotes: --bind '" in said


@pytest.mark.parametrize(
    "item",
    [
        lambda image: {"x_targ": (image,)},  # of disent
        lambda image: {"x": (image,), "x_targ": (1 - image,)},  # what its transforms made of it
        lambda image: {"image": image, "label": 3},
    ],
)
def test_a_dataset_of_dictionaries(item):
    rows = np.arange(5)
    made = as_data(InDictionaries(item)).observations_at(rows)
    assert np.array_equal(made[..., 0], IMAGES[rows])


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (lambda image: {"picture": image}, "dictionary with picture; expected .* it has none"),
        (lambda image: {"x_targ": (image, image)}, "with x_targ; expected one .* it has 2 images"),
    ],
)
def test_a_dictionary_without_one_image(item, said):
    with pytest.raises(ValueError, match=said):
        as_data(InDictionaries(item))


@pytest.mark.parametrize("page", ["README.md", "docs/scoring.md", "docs/runs.md"])
def test_a_run_that_ends_with_scores_is_scored_again_with_an_option_that_allows_it(page):
    text = (Path(__file__).parents[1] / page).read_text(encoding="utf-8")
    lines = re.findall(r"^srvae-evaluate runs/\S+ (?!--diagnose).*$", text, re.MULTILINE)
    assert lines or page == "docs/runs.md"
    for line in (*lines, re.search(r"srvae-evaluate runs/seed3 --gin.*", evaluate.EXAMPLES)[0]):
        assert "--overwrite" in line or "--resume" in line, line
