"""The face finder: five landmarks and a confidence."""
