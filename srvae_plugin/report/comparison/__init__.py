"""What the numbers of a report say: statistics over seeds, pairs, published scores, verdicts."""
