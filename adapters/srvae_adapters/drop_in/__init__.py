"""disentanglement_lib's module names, answered by srvae_plugin: no TensorFlow, faster metrics.

    import srvae_adapters.drop_in
    srvae_adapters.drop_in.install()                # `import disentanglement_lib...` is ours now
    srvae_adapters.drop_in.install("evaluation")    # for a copy of its folder `evaluation`

or, without a change to the script:

    python -m srvae_adapters.drop_in script.py ...
    python -m srvae_adapters.drop_in --name evaluation script.py ...

Signatures, order of arguments, layouts such as (num_codes, num_points), result keys and gin names
are disentanglement_lib's. A module that is not here raises ImportError, which says what is.
"""

from srvae_adapters.drop_in.finder import install, uninstall

__all__ = ["install", "uninstall"]
