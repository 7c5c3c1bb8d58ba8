"""Which weights are shipped: judged on held-back people, brought to scale, with their thresholds and limits."""
