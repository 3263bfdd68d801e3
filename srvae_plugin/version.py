"""The version, apart so that the build can read it without importing torch."""

__all__ = []


__version__ = "0.2.0"
