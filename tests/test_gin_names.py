"""One short name of two libraries, in gin's registry: a library of this file's own beside ours."""

import itertools
import types

import gin
import pytest

from srvae_plugin.metrics.factor_vae import prune_dims
from srvae_plugin.registry import gin_names

_NUMBER = itertools.count()


@pytest.fixture
def name():
    """A short name that nothing has."""
    return f"shared_{next(_NUMBER)}"


def register(module, name):
    function = types.FunctionType((lambda x=0: x).__code__, {}, name, (0,))
    gin.register(name, module=module)(function)
    return gin.get_configurable(function)


@pytest.mark.parametrize("order", [("srvae_plugin", "other.lib"), ("other.lib", "srvae_plugin")])
def test_a_short_name_means_the_others_but_among_ours(name, order):
    functions = {module: register(module, name) for module in order}
    gin.bind_parameter(f"{name}.x", 1)
    assert (functions["other.lib"](), functions["srvae_plugin"]()) == (1, 0)
    assert gin.config_str().count(f"\n{name}.x = 1") == 1
    gin.clear_config()
    with gin_names.ours_first():
        gin.bind_parameter(f"{name}.x", 2)
        assert f"\n{name}.x = 2" in gin.config_str()
    assert (functions["other.lib"](), functions["srvae_plugin"]()) == (0, 2)
    assert f"\nsrvae_plugin.{name}.x = 2" in gin.config_str()


def test_full_names_mean_what_they_say(name):
    functions = {module: register(module, name) for module in ("other.lib", "srvae_plugin")}
    gin.parse_config([f"other.lib.{name}.x = 1", f"srvae_plugin.{name}.x = 2"])
    assert (functions["other.lib"](), functions["srvae_plugin"]()) == (1, 2)


def test_two_others_stay_ambiguous(name):
    for module in ("one", "two", "srvae_plugin"):
        register(module, name)
    with pytest.raises(KeyError, match="Ambiguous selector"):
        gin.bind_parameter(f"{name}.x", 1)
    with gin_names.ours_first():
        gin.bind_parameter(f"{name}.x", 1)


def test_a_name_that_one_library_has_is_as_in_gin(name):
    function = register("other.lib", name)
    for shown in (name, f"lib.{name}", f"other.lib.{name}"):
        gin.bind_parameter(f"{shown}.x", 3)
        assert function() == 3
    assert f"\n{name}.x = 3" in gin.config_str()
    with pytest.raises(ValueError, match="No configurable matching"):
        gin.bind_parameter("nothing_of_that_name.x", 1)


def test_an_alias_means_ours_until_another_registers_it(name):
    assert gin.get_configurable(prune_dims)
    gin_names.alias(f"copied.folder.{name}", "prune_dims")
    for shown in (f"copied.folder.{name}", f"folder.{name}", name):
        gin.bind_parameter(f"{shown}.threshold", 0.25)
        assert gin.query_parameter("srvae_plugin.prune_dims.threshold") == 0.25
        gin.clear_config()
    function = register("copied.folder", name)
    gin.bind_parameter(f"copied.folder.{name}.x", 1)
    assert function() == 1


def test_an_alias_of_what_is_not_registered_is_no_name(name):
    gin_names.alias(f"copied.folder.{name}", "nothing_of_that_name")
    with pytest.raises(ValueError, match="No configurable matching"):
        gin.bind_parameter(f"{name}.x", 1)
