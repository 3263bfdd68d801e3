"""What `srvae-evaluate --list` says of metrics, models, data sets and networks."""

import inspect

import pytest

from srvae_plugin.cli.evaluate import evaluate_main
from srvae_plugin.cli.listing import listing
from srvae_plugin.config import plugins


def block(text, name):
    """The lines of one entry."""
    lines = text.splitlines()
    start = next(k for k, line in enumerate(lines) if line.split()[:1] == [name])
    rest = lines[start + 1 :]
    end = next((k for k, line in enumerate(rest) if not line.startswith("      ")), len(rest))
    return " ".join(" ".join(lines[start : start + 1 + end]).split())


@pytest.mark.parametrize("kind", ["metrics", "models", "datasets"])
def test_every_plug_in_is_listed(kind):
    names = [line.split()[0] for line in listing(kind).splitlines()[1:] if line[2] != " "]
    assert names == plugins.names(kind)


def test_a_metric_has_its_scores_reference_and_arguments():
    text = listing("metrics")
    mcc = block(text, "mcc")
    assert "score: mcc_pearson (MCC (Pearson)), 0 to 1, higher is better" in mcc
    assert "arXiv:1605.06336" in mcc
    assert mcc.endswith("arguments: num_train=10000, batch_size=16")
    assert "r2_linear (R2 (linear)), 1 or less, higher is better" in block(text, "r2")
    assert "nrmse_test (DCI test error (regressors, NRMSE)), 0 or more, lower is" in text


def test_models_data_sets_and_networks_say_where_they_are_from():
    text = listing("all")
    assert "Kim & Mnih" in block(text, "factor_vae")
    assert "ICLR 2020 submission" in block(text, "sr_vae")
    assert "reading='paper'" in block(text, "sr_vae")
    assert "reference: Reed et al., 2015" in block(text, "cars3d")
    assert "base_channels=32" in block(text, "srvae_encoder")


def test_a_plug_in_that_says_nothing_is_listed_all_the_same(monkeypatch):
    def bare(ground_truth_data, representation_function, random_state, size=3):
        return {}

    found = dict(plugins.load().found, metrics={"bare": bare})
    monkeypatch.setattr(plugins, "load", lambda: plugins.Plugins(found, []))
    assert inspect.getdoc(bare) is None
    assert block(listing("metrics"), "bare") == "bare (it has no docstring) arguments: size=3"


def test_the_command_prints_one_kind(capsys):
    evaluate_main(["--list", "networks"])
    printed = capsys.readouterr().out
    assert printed == listing("networks") + "\n"
    with pytest.raises(SystemExit):
        evaluate_main(["--list", "pets"])
    assert "invalid choice: 'pets'" in capsys.readouterr().err
