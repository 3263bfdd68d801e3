"""Pictures of trained models and of data sets."""
