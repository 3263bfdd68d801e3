"""Configuration: gin files and plug-ins."""

import srvae_plugin.registry  # noqa: F401  (before anything of ours registers a name)
