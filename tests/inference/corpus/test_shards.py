"""Which photos are looked at, and how they are cut into shards."""

import os

import numpy as np
import pytest

from facecom.errors import FacecomError
from facecom.inference.corpus.run import read_about
from facecom.inference.corpus.shards import Photos, cut, name_of, photos_of, write_todo


def names(count):
    return [f"/photos/{number:05}.jpg" for number in range(count)]


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_each_photo_lies_in_one_shard_of_about_that_size(size):
    shards = list(cut(names(4000), size))
    assert [photo for shard in shards for photo in shard] == names(4000)
    sizes = np.array([len(shard) for shard in shards])
    assert sizes.max() <= 4 * size and sizes[:-1].min() >= max(1, size // 4)
    assert sizes[:-1].mean() == pytest.approx(size, rel=0.25)


def test_a_photo_more_changes_one_shard_and_not_those_behind_it():
    before = {tuple(shard) for shard in cut(names(3000), 50)}
    after = {tuple(shard) for shard in cut(sorted([*names(3000), "/photos/01000b.jpg"]), 50)}
    assert len(before) > 40 and len(before - after) <= 2 and len(after - before) <= 2


def test_a_shard_is_called_after_names_sizes_and_times(tmp_path):
    photo = tmp_path / "a.jpg"
    photo.write_bytes(b"1")
    first = name_of([str(photo)])
    assert first == name_of([str(photo)]) != name_of([str(photo), "s3://there/b.jpg"])
    os.utime(photo, ns=(0, 1))
    assert name_of([str(photo)]) != first


def test_what_is_to_be_done_can_be_read_shard_by_shard(tmp_path):
    photos = [*names(40), "/photos/new\nline.jpg", "/photos/\udcff.jpg"]
    todo, known, count = write_todo(tmp_path / "todo", photos, 10, set())
    assert count == 42 and {shard.name for shard in todo} == known
    assert [photo for shard in todo for photo in photos_of(tmp_path / "todo", shard)] == photos
    rest, again, _ = write_todo(tmp_path / "todo", photos, 10, {todo[0].name})
    assert again == known and [shard.name for shard in rest] == [shard.name for shard in todo[1:]]


def test_a_folder_is_walked_to_its_end(tmp_path):
    for name in ("b/c/3.jpg", "a/2.png", "1.jpeg", "b/note.txt", ".hidden/4.jpg", "b/.5.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "b" / "up").symlink_to(tmp_path)
    photos = Photos(tmp_path)
    assert list(photos) == [str(tmp_path / name) for name in ("1.jpeg", "a/2.png", "b/c/3.jpg")]
    assert dict(photos.ignored) == {".txt": 1} and list(photos) == list(photos)
    assert dict(photos.ignored) == {".txt": 1}  # of the last pass, not of all


def test_a_list_names_paths_and_urls(here):
    (here / "list.txt").write_text("\ufeffa.jpg\n\n  s3://bucket/b c.jpg \n", encoding="utf-8")
    assert list(Photos(listed=here / "list.txt")) == [str(here / "a.jpg"), "s3://bucket/b c.jpg"]
    with pytest.raises(FacecomError, match="nowhere: no such folder"):
        Photos(here / "nowhere")
    with pytest.raises(FacecomError, match="nowhere.txt: no such file"):
        Photos(listed=here / "nowhere.txt")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_lists_as_editors_save_them(encoding, tmp_path):
    listed = tmp_path / "list.txt"
    listed.write_bytes("/p/é 1.jpg\r\n\r\n  s3://b/c.jpg \r\n".encode(encoding))
    assert list(Photos(listed=listed)) == ["/p/é 1.jpg", "s3://b/c.jpg"]


def test_a_list_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff\xe0\0\x10JFIF\0")
    with pytest.raises(FacecomError, match="a.jpg: no text: --list wants a text file"):
        list(Photos(listed=tmp_path / "a.jpg"))


@pytest.mark.parametrize("content", ["[]", '{"photos": "many"}', "{", "3", ""])
def test_what_made_a_corpus_is_no_guess(content, tmp_path):
    (tmp_path / "_corpus.json").write_text(content)
    with pytest.raises(FacecomError, match="_corpus.json: cannot be read: choose another --output"):
        read_about(tmp_path)
