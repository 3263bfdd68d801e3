"""Which observations are drawn: with labels, in pairs, held out, or not in all combinations."""
