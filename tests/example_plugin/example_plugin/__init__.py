"""A complete plug-in package: a model, a data set and a metric of somebody else."""
