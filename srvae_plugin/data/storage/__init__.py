"""How observations are stored and read."""
