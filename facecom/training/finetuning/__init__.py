"""Training on from a network that knows people already, so that it forgets nothing."""
