"""What metrics share: arguments and their checks, draws, bins, sources of randomness."""
