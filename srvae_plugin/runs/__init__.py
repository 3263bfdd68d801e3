"""A run and its scores: train, represent, evaluate, and the folders that hold the results."""
