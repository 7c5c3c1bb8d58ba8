"""What a person reads: the HTML report, its plots, and what the network looked at."""
