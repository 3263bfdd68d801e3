"""Models: one paper, one file."""
