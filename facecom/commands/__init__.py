"""What the scripts share: flags, and how a run begins and ends."""
