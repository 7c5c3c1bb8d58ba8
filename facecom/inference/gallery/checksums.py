"""A photo's checksum is that of the bytes that were looked at, or there is none: photos may change meanwhile.

The checksum is taken before, and afterwards the system is asked whether the file has changed since.
"""

import os
import stat
import time
from typing import NamedTuple

from facecom.files import sha256_of
from facecom.inference.gallery.store import State

#: Why a photo has no answer that came between the two.
CHANGED = "changed while it was looked at; run again"

#: Nanoseconds within which a second change may leave a file's times as the first did (FAT counts by two seconds).
TICK = 2_000_000_000


class Seen(NamedTuple):
    """A file before it is looked at. state: None where it cannot be read, or never ends (a pipe); mark: which file it
    is, and its times; young: whether it changed so shortly before that these may not show another change."""

    state: State | None
    mark: tuple[int, ...] = ()
    young: bool = False


def seen(file: str, before: State | None = None) -> Seen:
    """The file as it is now; before: what is known of it, whose checksum holds where size and time are the same."""
    try:
        status = os.stat(file)
        if not stat.S_ISREG(status.st_mode):
            return Seen(None)
        size, modified = status.st_size, status.st_mtime_ns
        young = time.time_ns() - max(modified, status.st_ctime_ns) < TICK
        if before is None or before[:2] != (size, modified):
            digest = sha256_of(file)
            before = before if before is not None and before[2] == digest else (size, modified, digest)
    except OSError:
        return Seen(None)
    return Seen(before, _mark(status), young)


def is_still(file: str, one: Seen) -> bool:
    """Whether the bytes that were looked at since `seen` are those of its checksum."""
    try:
        if one.state is None or _mark(os.stat(file)) != one.mark:
            return False
        return not one.young or sha256_of(file) == one.state[2]
    except OSError:
        return False


def _mark(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
