"""Adapters that carry srvae_plugin representations to other tools."""
