"""The pictures of a video, one every so many seconds."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from facecom.errors import FacecomError

#: Endings of files that are taken for videos.
VIDEO_TYPES = frozenset(
    (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".mts", ".3gp", ".wmv")
)

EXTRA = 'videos need the package av: pip install "facecom[video]"'


def is_video(path: str | os.PathLike) -> bool:
    """Whether a file is called like a video."""
    return Path(path).suffix.lower() in VIDEO_TYPES and Path(path).is_file()


def pictures(path: str | os.PathLike, every: float) -> Iterator[tuple[float, np.ndarray]]:
    """(time in seconds from the beginning, RGB uint8 [H, W, 3], turned as the file says), in order of time: the first
    picture, and each that comes at least `every` seconds after the one before.

    Raises FacecomError without the extra `video`, and for a file that is no video; a damaged one ends early with as
    many pictures as could be read, but none at all is an error.
    """
    try:
        import av
    except ImportError:
        raise FacecomError(f"{path}: {EXTRA}") from None
    try:
        with av.open(os.fspath(path)) as file:
            if not file.streams.video:
                raise FacecomError(f"{path}: holds no moving pictures")
            stream = file.streams.video[0]
            stream.thread_type = "AUTO"
            yield from _spaced(_decoded(file, path), float(stream.average_rate or 25), every)
    except av.error.FFmpegError as error:
        raise FacecomError(f"{path}: no video that can be read ({error.strerror})") from None


def _decoded(file, path) -> Iterator:
    """The frames of a file up to its end or to where it is damaged. Raises FacecomError where that is the beginning."""
    import av

    count = 0
    try:
        for frame in file.decode(video=0):
            count += 1
            yield frame
    except av.error.FFmpegError as error:
        if not count:
            raise FacecomError(f"{path}: no picture of it can be read ({error.strerror})") from None
    if not count:
        raise FacecomError(f"{path}: holds no pictures")


def _spaced(frames: Iterator, rate: float, every: float) -> Iterator[tuple[float, np.ndarray]]:
    begin = due = None
    for number, frame in enumerate(frames):
        time = number / rate if frame.time is None else frame.time
        begin = time if begin is None else begin
        if due is None or time >= due - 1e-6:
            due = time + every
            yield time - begin, np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
