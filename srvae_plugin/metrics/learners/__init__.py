"""Learners that the metrics fit."""
