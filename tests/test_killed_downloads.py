"""A download and the unpacking of an archive, killed at any moment: nothing is half there, and the next goes on."""

import contextlib
import http.server
import multiprocessing
import os
import sys
import time
import zipfile

import pytest
from forks import forked, moments, seconds

from facecom.data import archive, fetch

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks and kills as Linux has them")

CONTENT = os.urandom(1 << 21)


class Slow(http.server.BaseHTTPRequestHandler):
    """A server of one file that takes its time and goes on where it is asked to."""

    def do_GET(self):
        asked = self.headers.get("Range")
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        end = start >= len(CONTENT)
        self.send_response(416 if end else 206 if asked else 200)
        self.send_header("Content-Range", f"bytes {'*' if end else f'{start}-{len(CONTENT) - 1}'}/{len(CONTENT)}")
        self.send_header("Content-Length", str(len(CONTENT) - start if not end else 0))
        self.end_headers()
        for place in range(start, len(CONTENT), 1 << 17):
            self.wfile.write(CONTENT[place : place + (1 << 17)])
            time.sleep(0.02)

    def log_message(self, *args):
        pass

    def handle(self):
        try:
            super().handle()
        except OSError:  # the other side was killed
            pass


@contextlib.contextmanager
def serving():
    """The address of a server in a process of its own: in a fork of one with threads their locks may be held."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        process = multiprocessing.get_context("fork").Process(target=server.serve_forever, daemon=True)
        process.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/file"
    finally:
        process.kill()
        process.join()


def test_a_download_killed_twenty_times_comes_whole(tmp_path, monkeypatch):
    """Before each of the first steps of the file system, then at twenty random moments of a whole download, each time
    over again or from where the last was killed. What was there before stays as it was."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    folder, kills, parts = tmp_path / "cut", 0, set()
    path, older = folder / "file.bin", folder / "older.bin"
    with serving() as url:

        def get(place):
            fetch.fetch(url, place, "do without", quiet=True)

        assert forked(lambda: get(older)) == 0
        before = {one: one.read_bytes() for one in folder.iterdir()}
        takes = seconds(lambda: get(tmp_path / "whole.bin"))
        hows = [{"die_at": step} for step in range(1, 6)]
        hows += [{"die_after": moment} for moment in moments(takes) + moments(takes, 200)]
        for number, how in enumerate(hows):
            if kills == 20:
                break
            if number % 2 or path.exists():
                for left in folder.glob("file.bin*"):
                    left.unlink()
            kills += forked(lambda: get(path), **how) == 137 and "die_after" in how
            assert not path.exists() or path.read_bytes() == CONTENT
            part = folder / "file.bin.part"
            if part.exists():
                assert CONTENT.startswith(part.read_bytes())
                parts.add(part.stat().st_size)
            assert all(one.read_bytes() == content for one, content in before.items())
        get(path)
    assert kills == 20 and len(parts) > 5 and path.read_bytes() == CONTENT
    assert sorted(os.listdir(folder)) == ["file.bin", "file.bin.json", "older.bin", "older.bin.json"]


def test_unpacking_killed_before_every_step(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for number in range(20):
            file.writestr(f"Task_B/{('train', 'val')[number % 2]}/Ann/{number}.jpg", os.urandom(1000))
    target, kills = tmp_path / "data" / "Task_B", 0
    for step in range(1, 40):
        code = forked(lambda: archive.unpack(tmp_path / "a.zip", target, "B", quiet=True), die_at=step)
        if target.exists() and any(target.iterdir()):
            assert sum(path.is_file() for path in target.rglob("*")) == 20
            break
        kills += code == 137
    assert kills >= 3
    assert [path.name for path in target.parent.iterdir()] == ["Task_B"]


def test_unpacking_killed_at_twenty_random_moments(tmp_path):
    """The folder is whole, or not there; what was unpacked before, and the archive, stay as they were."""
    path, contents = tmp_path / "a.zip", {f"train/Ann/{number}.jpg": os.urandom(3000) for number in range(150)}
    contents["val/Bo/1.jpg"] = b"photo"
    with zipfile.ZipFile(path, "w") as file:
        for name, content in contents.items():
            file.writestr(f"Task_B/{name}", content)
    target, packed, kills, halves = tmp_path / "data" / "Task_B", path.read_bytes(), 0, set()

    def unpack(place):
        archive.unpack(path, place, "B", quiet=True)

    def found(folder):
        return {one.relative_to(folder).as_posix(): one.read_bytes() for one in folder.rglob("*") if one.is_file()}

    unpack(tmp_path / "data" / "older")
    takes = seconds(lambda: unpack(tmp_path / "whole"))
    tried = iter(moments(takes) + moments(takes, 200))
    while kills < 20:
        archive.shutil.rmtree(target, ignore_errors=True)
        code = forked(lambda: unpack(target), die_after=next(tried))
        assert code in (0, 137)
        kills += code == 137
        assert found(target) == contents if target.exists() else code == 137
        halves.add(len(found(target.with_name(".Task_B.part"))))
        assert path.read_bytes() == packed and found(tmp_path / "data" / "older") == contents
    assert len(halves) > 5, halves  # or no kill came in between
    archive.shutil.rmtree(target, ignore_errors=True)
    unpack(target)
    assert found(target) == contents
    assert sorted(os.listdir(target.parent)) == ["Task_B", "older"]
