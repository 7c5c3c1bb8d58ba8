"""From a network that knows people already: training on that forgets nothing, and adaptation without names."""
