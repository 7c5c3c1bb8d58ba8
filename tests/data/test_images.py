import errno
import os

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from facecom.data import folders, images
from facecom.data.images import longest_side, shrink
from facecom.errors import FacecomError
from facecom.synthetic import draw_person

RAMP = np.arange(48, dtype=np.uint8).reshape(4, 4, 3) * 5


def save(image, path, **kwargs):
    image.save(path, **kwargs)
    return path


def test_rgb_is_read_as_it_is(tmp_path):
    path = save(Image.fromarray(RAMP), tmp_path / "a.png")
    photo = images.read_photo(path)
    assert photo.dtype == np.uint8 and photo.flags.writeable
    np.testing.assert_array_equal(photo, RAMP)


def test_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the top of the scene is at the right of the stored picture
    path = save(Image.fromarray(RAMP), tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(images.read_photo(path), np.rot90(RAMP, -1))


def test_16_bit_grey_is_scaled(tmp_path):
    grey = np.array([[0, 257, 32768], [65535, 25700, 128]], np.uint16)
    path = save(Image.fromarray(grey), tmp_path / "a.png")
    expected = np.array([[0, 1, 128], [255, 100, 0]], np.uint8)
    np.testing.assert_array_equal(images.read_photo(path), np.repeat(expected[..., None], 3, 2))


def test_32_bit_grey_is_scaled_where_it_must_be(tmp_path):
    for values, expected in (([0, 128, 255], [0, 128, 255]), ([0, 257, 65535], [0, 1, 255])):
        path = save(Image.fromarray(np.array([values], np.int32)), tmp_path / "a.tif")
        np.testing.assert_array_equal(images.read_photo(path)[0, :, 0], expected)


def test_a_colour_that_stands_for_transparent_shows_mid_grey(tmp_path):
    rgb = np.array([[[255, 0, 0], [0, 255, 0]]], np.uint8)
    path = save(Image.fromarray(rgb), tmp_path / "a.png", transparency=(255, 0, 0))
    np.testing.assert_array_equal(images.read_photo(path)[0], [[128, 128, 128], [0, 255, 0]])


def test_transparent_pixels_show_mid_grey(tmp_path):
    rgba = np.array([[[255, 0, 0, 0], [255, 0, 0, 255], [0, 0, 0, 128]]], np.uint8)
    path = save(Image.fromarray(rgba), tmp_path / "a.png")
    photo = images.read_photo(path)
    np.testing.assert_array_equal(photo[0, :2], [[128, 128, 128], [255, 0, 0]])
    np.testing.assert_allclose(photo[0, 2], 64, atol=1)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "CMYK", "RGBX"])
def test_other_modes_become_rgb(tmp_path, mode):
    image = Image.new("RGB", (6, 5), (255, 255, 255)).convert(mode)
    path = save(image, tmp_path / ("a.tif" if mode in ("CMYK", "RGBX") else "a.png"))
    np.testing.assert_array_equal(images.read_photo(path), np.full((5, 6, 3), 255, np.uint8))


def test_cmyk_jpeg(tmp_path):
    path = save(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), tmp_path / "a.jpg", quality=95)
    red = images.read_photo(path)[8, 8].astype(int)
    assert red[0] > 240 and red[1] < 15 and red[2] < 15


def test_palette_with_transparency(tmp_path):
    image = Image.new("P", (2, 1), 0)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    path = save(image, tmp_path / "a.png", transparency=0)
    np.testing.assert_array_equal(images.read_photo(path)[0], [[128, 128, 128], [200, 100, 50]])


def test_what_is_no_photo_is_one_line_with_its_name(tmp_path):
    whole = save(Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)), tmp_path / "w.jpg")
    (tmp_path / "cut.jpg").write_bytes(whole.read_bytes()[:1500])
    (tmp_path / "text.jpg").write_text("I am no photo, I only look like one.")
    (tmp_path / "empty.jpg").write_bytes(b"")
    cases = {
        "cut.jpg": "truncated or damaged",
        "text.jpg": "not an image",
        "empty.jpg": "an empty file",
        "missing.jpg": "no such file",
        ".": "a folder, not a photo",
    }
    for name, reason in cases.items():
        with pytest.raises(FacecomError, match=reason) as caught:
            images.read_photo(tmp_path / name)
        assert str(caught.value).startswith(f"{tmp_path / name}: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize("cut", range(0, 700, 50))
def test_a_png_cut_anywhere_is_one_line(tmp_path, cut):
    whole = save(Image.fromarray(np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8)), tmp_path / "w.png")
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:cut])
    with pytest.raises(FacecomError, match="cut.png"):
        images.read_photo(tmp_path / "cut.png")


@pytest.mark.parametrize("kind", ["jfif", "mpo", "jp2", "ppm", "tga", "avif", "heic", "heif", ""])
def test_photos_of_all_kinds_are_read(kind, tmp_path):
    """Written by Pillow, and found in the folder: by their endings, or without one by their content."""
    pillow_heif.register_heif_opener()
    formats = {"jfif": "JPEG", "mpo": "MPO", "jp2": "JPEG2000", "heic": "HEIF", "heif": "HEIF", "": "JPEG"}
    picture = Image.fromarray(draw_person(3, 0, 96)[0])
    path = tmp_path / f"photo{'.' if kind else ''}{kind}"
    picture.save(path, format=formats.get(kind, kind.upper()))
    assert folders.flat_table(tmp_path)["file"].tolist() == [path.name]
    difference = np.abs(images.read_photo(path).astype(int) - np.asarray(picture))
    assert difference.mean() < 6


def test_a_large_photo_is_scaled_down_before_it_waits_in_a_batch():
    small = shrink(np.zeros((3000, 1500, 3), np.uint8), 640)
    assert small.shape == (640, 320, 3)
    assert shrink(small, 640) is small


def test_a_detector_of_small_faces_sees_more():
    assert longest_side("yunet") > longest_side("finder") == longest_side("off") == 640


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EMFILE])
def test_a_photo_that_the_system_does_not_give_out(number, tmp_path, monkeypatch):
    """It need not be damaged: a drive in the network that went is no reason to throw photos away."""

    def refuse(path, flags):
        raise OSError(number, os.strerror(number), path)

    path = tmp_path / "a.png"
    Image.new("RGB", (8, 8)).save(path)
    monkeypatch.setattr(images, "without_waiting", refuse)
    with pytest.raises(FacecomError) as caught:
        images.read_photo(path)
    assert str(caught.value) == f"{path}: the disk does not give it out ({os.strerror(number).lower()})"
