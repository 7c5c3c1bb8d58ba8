"""The gender network as it is shipped."""
