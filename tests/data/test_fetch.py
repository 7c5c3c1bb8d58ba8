import http.server
import json
import os
import threading
from types import SimpleNamespace

import pytest

from facecom.commands import download
from facecom.data import fetch
from facecom.errors import FacecomError

CONTENT = bytes(range(256)) * 4096  # 1 MB


class Handler(http.server.BaseHTTPRequestHandler):
    """A server of one file that keeps to Range and If-Range, and can break the connection."""

    def do_GET(self):
        state = self.server.state
        state.requests.append(dict(self.headers))
        if self.path != "/file":
            self.send_error(404)
            return
        start = 0
        asked = self.headers.get("Range")
        if asked and state.ranges and self.headers.get("If-Range") in (None, state.etag):
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(state.content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(state.content)}")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(state.content) - 1}/{len(state.content)}")
        else:
            self.send_response(200)
        body = state.content[start:]
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", state.etag)
        self.end_headers()
        self.wfile.write(body[: state.stop_after])
        self.close_connection = True

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.state = SimpleNamespace(content=CONTENT, etag='"1"', ranges=True, stop_after=None, requests=[])
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        running.state.url = f"http://127.0.0.1:{running.server_port}/file"
        yield running.state
        running.shutdown()
        thread.join()


def fetched(server, path, **kwargs):
    return fetch.fetch(server.url, path, "do without", **kwargs)


def test_a_file_comes_whole_with_its_record(server, tmp_path):
    path = tmp_path / "new" / "file.bin"
    assert fetched(server, path) is True
    assert path.read_bytes() == CONTENT
    record = json.loads((tmp_path / "new" / "file.bin.json").read_text())
    assert record == {
        "url": server.url,
        "size": 1 << 20,
        "sha256": "fbbab289f7f94b25736c58be46a994c441fd02552cc6022352e3d86d2fab7c83",
    }
    assert sorted(os.listdir(path.parent)) == ["file.bin", "file.bin.json"]


def test_a_second_run_asks_nobody_and_changes_nothing(server, tmp_path):
    path = tmp_path / "file.bin"
    fetched(server, path)
    before = [(p.name, p.stat().st_mtime_ns) for p in sorted(tmp_path.iterdir())]
    server.requests.clear()
    assert fetched(server, path) is False
    assert server.requests == []
    assert [(p.name, p.stat().st_mtime_ns) for p in sorted(tmp_path.iterdir())] == before


def test_a_broken_connection_goes_on_where_it_stopped(server, tmp_path):
    path = tmp_path / "file.bin"
    server.stop_after = 300_000
    with pytest.raises(FacecomError, match="run again to go on"):
        fetched(server, path)
    assert not path.exists() and (tmp_path / "file.bin.part").stat().st_size == 300_000
    server.stop_after = None
    assert fetched(server, path) is True
    assert server.requests[-1]["Range"] == "bytes=300000-" and server.requests[-1]["If-Range"] == '"1"'
    assert path.read_bytes() == CONTENT
    assert sorted(os.listdir(tmp_path)) == ["file.bin", "file.bin.json"]


def test_a_file_that_changed_meanwhile_comes_anew(server, tmp_path):
    server.stop_after = 300_000
    with pytest.raises(FacecomError):
        fetched(server, tmp_path / "file.bin")
    server.stop_after, server.content, server.etag = None, CONTENT[::-1], '"2"'
    fetched(server, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT[::-1]


def test_a_server_without_ranges_starts_anew(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(b"half")
    server.ranges = False
    fetched(server, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("left", [CONTENT, CONTENT + b"too much"])
def test_a_complete_or_overlong_part(server, tmp_path, left):
    (tmp_path / "file.bin.part").write_bytes(left)
    fetched(server, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_file_that_changed_on_disk_is_reported(server, tmp_path):
    path = tmp_path / "file.bin"
    fetched(server, path)
    path.write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(FacecomError, match="file.bin: no longer the file that was downloaded; remove it"):
        fetched(server, path)


def test_another_file_than_the_first_time_is_refused(server, tmp_path):
    path = tmp_path / "file.bin"
    fetched(server, path)
    path.unlink()
    server.content = CONTENT[::-1]
    with pytest.raises(FacecomError, match="not the file that was first downloaded"):
        fetched(server, path)
    assert os.listdir(tmp_path) == ["file.bin.json"]


def test_errors_are_one_line_with_the_remedy(server, tmp_path):
    server.url += "-not"
    with pytest.raises(FacecomError, match="the server answers 404 Not Found; do without"):
        fetched(server, tmp_path / "file.bin")
    with pytest.raises(FacecomError, match="no connection .*; run again to go on, or do without") as caught:
        fetch.fetch("http://127.0.0.1:1/", tmp_path / "file.bin", "do without")
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_a_web_page_is_no_file(server, tmp_path):
    server.content = b"\n<!DOCTYPE html><title>Sign in</title>"
    with pytest.raises(FacecomError, match="web page instead of the file"):
        fetched(server, tmp_path / "file.bin")
    assert not (tmp_path / "file.bin").exists() and not (tmp_path / "file.bin.part").exists()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full to write to")
def test_a_full_disk_is_one_line_and_leaves_nothing(server, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "open", lambda path, mode: open("/dev/full", mode), raising=False)
    with pytest.raises(FacecomError, match="cannot write .*file.bin: the disk is full"):
        fetched(server, tmp_path / "file.bin")
    assert os.listdir(tmp_path) == []


def test_gdown_fetches_resumes_and_fails_in_one_line(server, tmp_path):
    def gdown(path):
        return fetch._gdown(server.url, path, "do without", quiet=True)

    path = tmp_path / "file.bin"
    server.stop_after = 700_000
    with pytest.raises(FacecomError, match="the connection broke; run again to go on"):
        gdown(path)
    assert not path.exists()
    server.stop_after = None
    assert gdown(path) is True
    assert 0 < int(server.requests[-1]["Range"].removeprefix("bytes=").rstrip("-")) <= 700_000
    assert path.read_bytes() == CONTENT
    assert sorted(os.listdir(tmp_path)) == ["file.bin", "file.bin.json"]
    assert gdown(path) is False
    server.url += "-not"
    with pytest.raises(FacecomError, match="the server answers 404 Not Found; do without"):
        gdown(tmp_path / "other")


def test_google_drive_out_of_reach(monkeypatch, tmp_path):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    with pytest.raises(FacecomError, match="no connection; run again to go on, or do without"):
        fetch.fetch_google_drive("some-id", tmp_path / "file.bin", "do without")


QUOTA = b"""<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title></head><body>
<p class="uc-error-caption">Sorry, you can't view or download this file at this time.</p>
<p class="uc-error-subcaption">Too many users have viewed or downloaded this file recently.</p></body></html>"""


def test_googles_quota_page_is_no_file(server, tmp_path):
    """gdown #342, #391: with the status 200, in place of the file."""
    server.content = QUOTA
    with pytest.raises(FacecomError, match="a web page instead of the file|does not hand it out") as caught:
        fetch._gdown(server.url, tmp_path / "a.zip", "do without", quiet=True)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "a.zip").exists() and not (tmp_path / "a.zip.part").exists()


def test_download_weights(server, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(download, "SIAMESE_WEIGHTS_URL", server.url)
    args = download.weights_arguments("B", tmp_path).parse_args([])
    download.download_weights(args, "B")
    path = tmp_path / "weights" / "published_siamese_convnext.pt"
    assert path.read_bytes() == CONTENT
    said = capsys.readouterr().out
    assert f"downloaded {path}" in said and "opencv_zoo" in said and "MIT" in said
    download.download_weights(args, "B")
    assert "is there already, nothing to do" in capsys.readouterr().out


def test_what_is_not_a_file_is_never_replaced(server, tmp_path):
    (tmp_path / "kept").write_text("mine")
    (tmp_path / "file.bin.part").symlink_to(tmp_path / "kept")
    with pytest.raises(FacecomError, match="file.bin.part: something other than a file is there"):
        fetched(server, tmp_path / "file.bin")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FacecomError, match="pipe: something other than a file is there"):
        fetched(server, tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "new.bin")
    assert fetched(server, tmp_path / "link") is True
    assert (tmp_path / "link").is_symlink() and (tmp_path / "new.bin").read_bytes() == CONTENT
    assert (tmp_path / "kept").read_text() == "mine"
