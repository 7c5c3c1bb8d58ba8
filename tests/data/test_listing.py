import pytest
from PIL import Image

from facecom.data import folders, images
from facecom.errors import FacecomError, FacecomWarning


def save(image, path, **kwargs):
    image.save(path, **kwargs)
    return path


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


def test_photos_beside_male_and_female_are_named(tmp_path):
    touch(tmp_path, "male/a_1.jpg", "female/b_1.jpg", "unsure/c_1.jpg", "d.jpg")
    with pytest.warns(
        FacecomWarning, match="2 photos lie beside male/ and female/ and will be left out, such as d.jpg"
    ):
        assert len(folders.task_a_table(tmp_path)) == 2


def test_files_that_this_pillow_cannot_read_are_photos_too(tmp_path):
    (tmp_path / "a.jxl").write_bytes(b"JXL and more")
    assert folders.flat_table(tmp_path)["file"].tolist() == ["a.jxl"]
    with pytest.raises(FacecomError, match="JXL cannot be read here; save it as JPEG"):
        images.read_photo(tmp_path / "a.jxl")


def test_what_is_no_photo_is_counted_by_kind(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    for name in ("b.txt", "c.txt", "d.mp4", "notes", ".hidden", "Thumbs.db"):
        (tmp_path / name).write_text("x")
    (tmp_path / "__MACOSX").mkdir()
    with pytest.warns(FacecomWarning, match=r"ignored: 2 \.txt, 1 \.mp4, 1 without an ending"):
        assert folders.flat_table(tmp_path)["file"].tolist() == ["a.png"]
    assert folders.layout(tmp_path) == "flat"
