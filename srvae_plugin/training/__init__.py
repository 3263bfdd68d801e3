"""What a training step needs on a GPU: captured steps, data on the device, deferred checks."""
