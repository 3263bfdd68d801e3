"""Data sets with known factors of variation: one file per data set, no dependence on torch."""
