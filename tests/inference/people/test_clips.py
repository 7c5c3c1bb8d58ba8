"""Pictures of a clip that is written here."""

from fractions import Fraction

import numpy as np
import pytest

from facecom.errors import FacecomError
from facecom.inference.people.clips import is_video, pictures

av = pytest.importorskip("av")


def write_clip(path, frames, rate=10):
    """An MPEG-4 file of RGB uint8 frames [N, H, W, 3]."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=Fraction(rate))
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], "yuv420p"
        for frame in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame))))
        file.mux(stream.encode())
    return path


@pytest.fixture
def clip(tmp_path):
    """25 frames of 64 x 96, each 8 brighter than the one before, ten a second."""
    return write_clip(tmp_path / "clip.mp4", [np.full((64, 96, 3), 8 * number, np.uint8) for number in range(25)])


@pytest.mark.parametrize(
    ("every", "expected"), [(0.5, [0, 0.5, 1, 1.5, 2]), (0.1, np.arange(25) / 10), (0.25, np.arange(0, 2.5, 0.3))]
)
def test_a_picture_every_so_many_seconds(clip, every, expected):
    times, frames = zip(*pictures(clip, every), strict=True)
    assert times == pytest.approx(expected, abs=1e-3)
    assert all(frame.shape == (64, 96, 3) and frame.dtype == np.uint8 for frame in frames)
    # The brightness tells which frame it is; the coding is not exact.
    assert [frame.mean() for frame in frames] == pytest.approx([80 * time for time in expected], abs=6)


def test_a_clip_cut_short_gives_what_can_be_read(clip, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (25, 64, 96, 3), np.uint8)
    path = write_clip(tmp_path / "clip.avi", noise)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert 0 < len(list(pictures(path, 0.1))) < 25


@pytest.mark.parametrize("content", [b"", b"text, no clip", b"\0" * 5000])
def test_what_is_no_clip_is_refused_by_name(tmp_path, content):
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(FacecomError, match="clip.mp4: no video that can be read"):
        list(pictures(path, 0.5))


def test_sound_alone_is_refused(tmp_path):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        file.mux(stream.encode(frame))
        file.mux(stream.encode())
    with pytest.raises(FacecomError, match="sound.mp4: holds no moving pictures"):
        list(pictures(path, 0.5))


def test_a_video_is_a_file_with_a_videos_ending(clip, tmp_path):
    (tmp_path / "folder.mp4").mkdir()
    assert is_video(clip)
    assert not is_video(tmp_path / "folder.mp4")
    assert not is_video(tmp_path / "gone.mp4")
    assert not is_video(tmp_path)
