"""What a user is meant to read: one exception, with which scripts exit non-zero, and one warning."""


class FacecomError(Exception):
    """A clear line that names the file or flag and the remedy."""


class FacecomWarning(UserWarning):
    """Something that is left out or done otherwise than one may think; scripts print it as one line and go on."""
