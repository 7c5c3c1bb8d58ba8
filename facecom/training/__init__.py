"""Training of both tasks: the loop, the two jobs, recipes, and what a run leaves in its folder."""
