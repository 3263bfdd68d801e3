"""Configuration: gin files and plug-ins."""
