"""gin's registry of names, which all libraries of a process share."""

import srvae_plugin.registry.gin_names  # noqa: F401
