"""Standard output whose reader may leave, or that is full or closed."""

import contextlib
import os
import sys
from collections.abc import Iterator

from facecom.errors import FacecomError
from facecom.files import write_error


class _Patient:
    """A stream of text that shows what it has no letters for by numbers, takes no notice when its reader has left, and
    notes in `failed` that it cannot be written otherwise (a full disk): what follows goes nowhere."""

    def __init__(self, stream):
        self.stream, self.failed = stream, None

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        try:
            self._try(self.stream.write, text)
        except UnicodeEncodeError:  # a name that is no text, or a terminal that knows few letters
            known = self.stream.encoding
            self._try(self.stream.write, text.encode(known, "backslashreplace").decode(known))
        return len(text)

    def flush(self) -> None:
        self._try(self.stream.flush)

    def _try(self, call, *args) -> None:
        try:
            call(*args)
        except OSError as error:
            if not isinstance(error, BrokenPipeError):
                self.failed = error
            with open(os.devnull, "w") as nowhere:  # or Python complains again when it ends
                os.dup2(nowhere.fileno(), self.stream.fileno())


@contextlib.contextmanager
def reader_may_leave() -> Iterator[None]:
    """Who reads standard output through a pipe may leave meanwhile (`| head`): what is printed then goes nowhere, as it
    does where the stream is closed (`>&-`). Where it cannot be written for want of room, the work is done all the same;
    raises FacecomError afterwards."""
    _open_streams()
    usual = sys.stdout
    patient = _Patient(usual)
    sys.stdout = patient  # type: ignore[assignment]
    try:
        yield
    except SystemExit as ended:  # after `--help`; of another code the reason has been said
        patient.flush()
        if ended.code or not patient.failed:
            raise
    finally:
        patient.flush()
        sys.stdout = usual
    if patient.failed:
        raise FacecomError(write_error("standard output", patient.failed))


def _open_streams() -> None:
    """Whatever of standard input, output and errors is closed leads nowhere, and not into the next file that is
    opened, which would take its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (until the end)
