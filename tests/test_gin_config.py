import logging

import gin
import pytest

from srvae_plugin import gin_config, steps
from srvae_plugin.gin_config import ConfigError, configured, only

MODEL = ["model.model = @vae()", "vae.beta = 2.0", "encoder.num_latent = 3"]


def error_of(*bindings, files=()):
    with pytest.raises(ConfigError) as caught, configured(files, bindings):
        pass
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("binding", "parts"),
    [
        ("vea.beta = 1.0", ["vea.beta = 1.0", "did you mean 'vae'?"]),
        ("model.model = @sr_vea()", ["did you mean 'sr_vae'?"]),
        ("vae.btea = 1.0", ["no parameter 'btea'", "did you mean 'beta'?"]),
        ("model.batch_size = 'many'", ["model.batch_size = 'many'", "expected int"]),
        ("model.batch_size = 1.5", ["model.batch_size = 1.5", "expected int"]),
        ("vae.beta = [1", ["not closed"]),
        ("vae.beta =", ["vae.beta ="]),
        ("vae.beta", ["binding 'vae.beta'"]),
        ("betta = 4.0", ["betta", "read by nothing"]),
        ("dci.num_train = 0", ["dci.num_train = 0", "at least 1"]),
        ("downstream_task.num_train = [10, 0]", ["[10, 0]", "at least 1"]),
        ("import no_such_module_here", ["no_such_module_here"]),
    ],
)
def test_bad_binding_is_one_line_that_names_it(binding, parts):
    message = error_of(binding)
    for part in parts:
        assert part in message


def test_error_in_a_file_names_file_and_line(tmp_path):
    path = tmp_path / "study.gin"
    path.write_text("# a comment\nvae.beta = 1.0\n\nvae.bteta = 2.0\n")
    message = error_of(files=[path])
    assert f"{path}, line 4" in message
    assert "did you mean 'beta'?" in message


def test_missing_file_names_it_and_the_packaged_ones():
    message = error_of(files=["nowhere.gin"])
    assert "nowhere.gin" in message
    assert "srvae_dsprites.gin" in message


def test_packaged_files_are_found_by_name_from_any_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with configured(["srvae_dsprites.gin"]):
        assert gin.query_parameter("encoder.num_latent") == 10
        assert gin.query_parameter("dci.num_train") == 10000  # through its include


def test_includes_resolve_beside_the_including_file(tmp_path, caplog):
    (tmp_path / "base.gin").write_text("vae.beta = 3.0\n")
    (tmp_path / "top.gin").write_text("include 'base.gin'\n")
    with caplog.at_level(logging.DEBUG), configured([tmp_path / "top.gin"]):
        assert gin.query_parameter("vae.beta") == 3.0
    assert "not found" not in caplog.text


def test_every_packaged_file_parses():
    for path in gin_config.packaged_configs().rglob("*.gin"):
        with only([path]):
            pass


def test_later_bindings_win_and_the_former_state_returns():
    with configured(bindings=["vae.beta = 1.0"]):
        with configured(bindings=["vae.beta = 2.0", "vae.beta = 3.0"]):
            assert gin.query_parameter("vae.beta") == 3.0
        assert gin.query_parameter("vae.beta") == 1.0
        with only(bindings=["sr_vae.beta = 5.0"]):
            assert gin_config.bound("vae.beta") is None
        assert gin.query_parameter("vae.beta") == 1.0
    assert gin_config.bound("vae.beta") is None


def test_an_int_is_a_fine_float_and_references_are_left_alone():
    with configured(bindings=["vae.beta = 4", "encoder.encoder_fn = @conv_encoder"]):
        assert gin.query_parameter("vae.beta") == 4


def test_missing_bindings_are_named():
    with configured(bindings=MODEL), pytest.raises(ConfigError) as caught:
        steps.training_settings()
    assert "model.training_steps" in str(caught.value)
    assert "model.batch_size" in str(caught.value)
    with (
        configured(bindings=["model.model = @vae()"]),
        pytest.raises(ConfigError, match=r"vae\.beta"),
    ):
        steps.training_settings()


def test_a_macro_that_is_used_is_fine():
    with configured(bindings=["BETA = 4.0", "vae.beta = %BETA"]):
        assert gin_config.bound("vae.beta") is not None
