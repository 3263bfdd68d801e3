import logging
import sys

import gin
import pytest

from srvae_plugin.config import gin_files
from srvae_plugin.config.gin_files import ConfigError, configured, only
from srvae_plugin.runs import pipeline
from srvae_plugin.study import definition  # noqa: F401  (it registers `study`)

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
        ("betta = 4.0", ["betta", "never used"]),
        ("dci.num_train = 0", ["dci.num_train = 0", "at least 1"]),
        ("downstream_task.num_train = [10, 0]", ["[10, 0]", "at least 1"]),
        ("import no_such_module_here", ["no_such_module_here", "working directory"]),
        ("disentanglement_lib.vae.beta = 1.0", ["write 'vae'"]),
        ("model.model = 'vae'", ["did you mean @vae()?"]),
        # The shell has eaten the quotes.
        ("dataset.name=npz", ["""--bind 'dataset.name = "npz"'"""]),
        ("dataset.path=data.npz", ["""--bind 'dataset.path = "data.npz"'"""]),
        ("dataset.path=/data/x.npz", ["""--bind 'dataset.path = "/data/x.npz"'"""]),
        ("dataset.path=~/my data.npz", ["""--bind 'dataset.path = "~/my data.npz"'"""]),
        ("dataset.path=C:\\x.npz", ["""--bind 'dataset.path = "C:\\\\x.npz"'"""]),
        ("sr_vae.reading=paper-logit", ["""--bind 'sr_vae.reading = "paper-logit"'"""]),
        ("model.device=cuda:0", ["""--bind 'model.device = "cuda:0"'"""]),
        ("run.metrics=[mig]", ["""--bind 'run.metrics = ["mig"]'"""]),
        ("run.metrics=[mig, trees/dci]", ["""--bind 'run.metrics = ["mig", "trees/dci"]'"""]),
        ("run.metrics=mig,dci", ["""--bind 'run.metrics = ["mig", "dci"]'"""]),
        ("model.model=vae", ["--bind 'model.model = @vae()'"]),
        ("model.model=vae()", ["--bind 'model.model = @vae()'"]),
        ("encoder.encoder_fn=fc_encoder", ["--bind 'encoder.encoder_fn = @fc_encoder'"]),
        ("run.pictures=false", ["--bind 'run.pictures = False'"]),
        ("run.pictures=no", ["--bind 'run.pictures = False'"]),
        ("dataset.path=none", ["--bind 'dataset.path = None'"]),
    ],
)
def test_bad_binding_is_one_line_that_names_it(binding, parts):
    message = error_of(binding)
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("line", "better"),
    [
        ("dataset.name = npz  # mine", 'dataset.name = "npz"'),
        ("run.metrics = [mig]", 'run.metrics = ["mig"]'),
        ("run.pictures = false", "run.pictures = False"),
    ],
)
def test_a_bare_word_in_a_file_names_the_line_and_what_to_write(tmp_path, line, better):
    path = tmp_path / "mine.gin"
    path.write_text(f"vae.beta = 1.0\n{line}\n")
    message = error_of(files=[path])
    assert message.startswith(f"{path}, line 2: {line.partition(' #')[0].strip()}: ")
    assert message.endswith(f": {better}")
    assert "object at" not in message


def test_error_in_a_file_names_file_and_line(tmp_path):
    path = tmp_path / "study.gin"
    path.write_text("# a comment\nvae.beta = 1.0\n\nvae.bteta = 2.0\n")
    message = error_of(files=[path])
    assert f"{path}, line 4" in message
    assert "did you mean 'beta'?" in message


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("srvae_dsprite.gin", "srvae_dsprites.gin"),
        ("quick.gin", "presets/quick.gin"),
        ("metric/papper.gin", "metrics/paper.gin"),
        ("gin/all.gin", "metrics/all.gin"),
        ("mine/study.gin", "mine/studie.gin"),
        ("nowhere.gin", None),
    ],
)
def test_missing_file_names_it_and_the_nearest(name, near, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "studie.gin").touch()
    message = error_of(files=[name])
    assert repr(name) in message
    assert f"did you mean {near!r}?" in message if near else "did you mean" not in message
    assert len(message) < 300


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
    for path in gin_files.packaged_configs().rglob("*.gin"):
        with only([path]):
            pass


def test_later_bindings_win_and_the_former_state_returns():
    with configured(bindings=["vae.beta = 1.0"]):
        with configured(bindings=["vae.beta = 2.0", "vae.beta = 3.0"]):
            assert gin.query_parameter("vae.beta") == 3.0
        assert gin.query_parameter("vae.beta") == 1.0
        with only(bindings=["sr_vae.beta = 5.0"]):
            assert gin_files.bound("vae.beta") is None
        assert gin.query_parameter("vae.beta") == 1.0
    assert gin_files.bound("vae.beta") is None


def test_an_int_is_a_fine_float_and_references_are_left_alone():
    with configured(bindings=["vae.beta = 4", "encoder.encoder_fn = @conv_encoder"]):
        assert gin.query_parameter("vae.beta") == 4


def test_missing_bindings_are_named():
    with configured(bindings=MODEL), pytest.raises(ConfigError) as caught:
        pipeline.training_settings()
    assert "model.training_steps" in str(caught.value)
    assert "model.batch_size" in str(caught.value)
    with (
        configured(bindings=["model.model = @vae()"]),
        pytest.raises(ConfigError, match=r"vae\.beta"),
    ):
        pipeline.training_settings()


def test_a_macro_that_is_used_is_fine():
    with configured(bindings=["BETA = 4.0", "vae.beta = %BETA"]):
        assert gin_files.bound("vae.beta") is not None


def test_an_unread_macro_of_a_file_is_said_once_and_a_typed_one_refused(tmp_path, caplog):
    path = tmp_path / "mine.gin"
    path.write_text("B = 4.0\nUNUSED = 1\nvae.beta = %B\n")
    for _ in range(2):
        with configured([path], ["vae.beta = 2.0"]):
            assert gin_files.bound("vae.beta") == 2.0
    (said,) = [r.message for r in caplog.records]
    assert f"{path}: B, UNUSED" in said
    with configured([path], ["B = 3.0"]):
        assert gin.query_parameter("B/macro.value") == 3.0
    with (
        pytest.raises(ConfigError, match=r"B = \.\.\. is never used"),
        configured([path], ["B = 3.0", "vae.beta = 2.0"]),
    ):
        pass


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_read_over(tmp_path, encoding):
    path = tmp_path / "windows.gin"
    path.write_text("# é\r\nvae.beta = 3.0\r\n", encoding=encoding)
    with configured([path]):
        assert gin_files.bound("vae.beta") == 3.0


def test_what_is_no_text_or_includes_itself_is_one_line(tmp_path):
    path = tmp_path / "mine.gin"
    path.write_bytes(b"# \xe9\nvae.beta = 3.0\n")
    assert f"{path}: not UTF-8 text" in error_of(files=[path])
    path.write_text("include 'mine.gin'\n")
    assert "includes itself" in error_of(files=[path])
    path.write_text("include 'none.gin'\n")
    assert "included file 'none.gin' not found" in error_of(files=[path])


def test_an_include_means_the_file_beside_it_whatever_was_read_before(tmp_path):
    for name, beta in (("a", 1.0), ("b", 2.0)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "base.gin").write_text(f"vae.beta = {beta}\n")
        (tmp_path / name / "top.gin").write_text("include 'base.gin'\n")
    for name, beta in (("a", 1.0), ("b", 2.0)):
        with configured([tmp_path / name / "top.gin"]):
            assert gin_files.bound("vae.beta") == beta


def test_a_single_file_or_binding_needs_no_list(tmp_path):
    path = tmp_path / "mine.gin"
    path.write_text("vae.beta = 3.0\n")
    for file in (path, str(path)):
        with configured(file, "sr_vae.beta = 2.0"):
            assert gin_files.bound("vae.beta") == 3.0
            assert gin_files.bound("sr_vae.beta") == 2.0


def test_auto_never_erases_a_name():
    """As 44 of disentanglement_lib's files have it."""
    for bindings in (
        ["dataset.name = 'npz'", "dataset.name = 'auto'"],
        ["dataset.name = 'auto'", "dataset.name = 'npz'"],
    ):
        with configured(bindings=bindings):
            assert gin_files.bound("dataset.name") == "npz"
    with configured(bindings=["dataset.name = 'auto'"]):
        assert gin_files.bound("dataset.name") is None


def test_files_of_two_models_are_refused_unless_a_binding_says_which(tmp_path):
    files = ["vae_dsprites.gin", "srvae_teapots.gin"]
    message = error_of(files=files)
    for part in (*files, "@vae()", "@sr_vae()", "--bind"):
        assert part in message
    with configured(files, ["model.model = @vae()"]):
        assert gin_files.reference_name(gin_files.bound("model.model")) == "vae"
    mine = tmp_path / "mine.gin"
    mine.write_text("include 'srvae_dsprites.gin'\nmodel.model = @vae()\nvae.beta = 1.0\n")
    for same in ([mine], ["vae_dsprites.gin", mine], ["srvae_dsprites.gin", "presets/quick.gin"]):
        with configured(same):
            pass


def test_modules_beside_the_file_or_in_the_working_directory_are_found(tmp_path, monkeypatch):
    for name, folder in (("beside_the_gin", "files"), ("in_the_folder", "work")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{name}.py").write_text(
            f"import gin\n@gin.register\ndef {name}_fn(size=1):\n    return size\n"
        )
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(sys, "path", list(sys.path))
    path = tmp_path / "files" / "mine.gin"
    path.write_text("import beside_the_gin\nbeside_the_gin_fn.size = 2\n")
    with configured([path], ["import in_the_folder", "in_the_folder_fn.size = 3"]):
        assert gin_files.bound("beside_the_gin_fn.size") == 2
        text = gin.config_str()
    assert "import beside_the_gin" in text
    recorded = tmp_path / "recorded.gin"
    recorded.write_text(text)
    with configured([recorded], recorded=True):  # imported by this process already
        assert gin_files.bound("in_the_folder_fn.size") == 3


def test_a_recorded_file_imports_nothing_and_says_what_to_add(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "planted.py").write_text("import gin\ngin.register(lambda: 1, name='x')\nraise 1")
    path = tmp_path / "train.gin"
    for line in ("vae.beta = 1.0", "planted_fn.size = 1"):
        path.write_text(f"import planted\n\n{line}\n")
        with (
            pytest.raises(ConfigError, match="add --import planted"),
            configured([path], recorded=True),
        ):
            pass
    assert "planted" not in sys.modules
