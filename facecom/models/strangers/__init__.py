"""Weight files from strangers: read without running or waiting for anything; one line says why one cannot be read."""

import os
import pickle
import re
import stat
import warnings
import zipfile
from typing import Any

import torch

from facecom.data.archive import refuse_swollen
from facecom.errors import FacecomError
from facecom.files import without_waiting
from facecom.models import published

#: How the files begin that torch.save wrote before it wrote zip files: a pickle of this number.
MAGIC = 0x1950A86A20F9469CFC6C.to_bytes(10, "little")


def content_of(path: str | os.PathLike) -> Any:
    """What torch.save wrote there: plain values and tensors. Raises FacecomError for anything else."""
    refuse_unreadable(path)
    refuse_swollen(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks on foreign pickles: an error follows anyway
            with torch.serialization.safe_globals(published.NUMPY_VALUES):
                return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes make an unpickler raise anything at all
        raise FacecomError(f"{path}: {_why(path, error)}") from error


def refuse_unreadable(path: str | os.PathLike) -> None:
    """Raises FacecomError where no file can be read. What is no file is not opened: a pipe would be waited for."""
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISREG(mode):
            with open(path, "rb", opener=without_waiting):
                return
    except FileNotFoundError:
        raise FacecomError(f"{path}: no such weight file: check the path") from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        reason = getattr(error, "strerror", None) or error
        raise FacecomError(f"{path}: cannot be read ({reason}): check the path and its permissions") from error
    if stat.S_ISDIR(mode):
        raise FacecomError(f"{path}: that is a folder: give the weight file in it")
    kind = "pipe" if stat.S_ISFIFO(mode) else "socket" if stat.S_ISSOCK(mode) else "device"
    raise FacecomError(f"{path}: that is a {kind}, not a file: save the weights as a file and give that")


def _why(path: str | os.PathLike, error: Exception) -> str:
    """What is wrong with a file that torch would not load, and what to do."""
    names = _names(path)
    if any(name.endswith("/constants.pkl") for name in names):  # by this torch itself tells them
        return "a TorchScript program, which could run code, and was not loaded: save its state_dict by torch.save"
    if isinstance(error, pickle.UnpicklingError):
        # 149 begins the pickles of protocol 4 and later, which torch.save does not write unless told to; of other
        # bytes that are no opcodes (a text file) nothing can be said.
        late = "operand 149" in str(error)
        if late and (protocol := _protocol(path, names)):
            return f"saved with pickle protocol {protocol}, which is not read here: save it with torch.save's default"
        if late or re.search("unsupported (?!operand)", str(error), re.IGNORECASE):
            named = re.search(r"GLOBAL (\S+)", str(error))
            what = f" ({named[1]})" if named else ""
            return (
                f"holds more than weights{what} and could run code when loaded; it was not loaded: "
                "save its plain state_dict instead"
            )
    return "not a weight file, or a damaged one: fetch it again or give another"


def _names(path: str | os.PathLike) -> list[str]:
    """The names in a zip file, none where it is none."""
    try:
        with zipfile.ZipFile(path) as file:
            return file.namelist()
    except Exception:  # damaged bytes make zipfile raise anything at all
        return []


def _protocol(path: str | os.PathLike, names: list[str]) -> int | None:
    """The pickle protocol that torch.save was told to use; None for a file that it did not write."""
    try:
        name = next((name for name in names if name.endswith("/data.pkl")), None)
        if name:
            with zipfile.ZipFile(path) as file, file.open(name) as member:
                start = member.read(2)
        else:
            with open(path, "rb") as plain:
                start = plain.read(64)
            if MAGIC not in start:
                return None
    except Exception:  # damaged bytes make zipfile raise anything at all
        return None
    return start[1] if start[:1] == pickle.PROTO and len(start) > 1 else None
