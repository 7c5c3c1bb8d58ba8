"""The one exception that a user is meant to read: scripts print it as one line and exit non-zero."""


class FacecomError(Exception):
    """A clear line that names the file or flag and the remedy."""
