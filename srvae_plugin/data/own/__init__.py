"""A user's own images and factors, from files or from Python."""
