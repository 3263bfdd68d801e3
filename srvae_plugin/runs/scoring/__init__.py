"""Scores of a run, of any function or of a table of codes, metric by metric; their diagnosis."""
