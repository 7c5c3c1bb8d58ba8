"""The download scripts from end to end, where the server sends something else than the file: nothing of it stays."""

import io
import runpy
import signal
import sys
import urllib.request
from email.message import Message

import pytest
import requests
from scripts import ROOT

#: Google's pages in place of a file, all with the status 200 (gdown #342, #391).
PAGES = {
    "quota": b"""<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title></head><body>
<p class="uc-error-caption">Sorry, you can't view or download this file at this time.</p>
<p class="uc-error-subcaption">Too many users have viewed or downloaded this file recently.</p></body></html>""",
    "sign in": b"\n\n<html><head><title>Google Drive: Sign-in</title></head><body>Sign in to go on</body></html>",
    "with a byte order mark": "\ufeff<!DOCTYPE html><html lang='de'><title>Zu viele Zugriffe – später</title>".encode(),
    "a service's error": b'{"error": {"code": 403, "message": "Quota exceeded"}}',
    "empty": b"",
}

SCRIPTS = {
    "data of A": ("comsys-hackathon-taskA", "download_data.py", "data/Task_A"),
    "data of B": ("comsys-hackathon-taskB", "download_data.py", "data/Task_B"),
    "weights of A": ("comsys-hackathon-taskA", "download_weights.py", "weights"),
    "weights of B": ("comsys-hackathon-taskB", "download_weights.py", "weights"),
}


REMEDIES = {
    "data": "give a copy on this disk by --archive FILE, or draw people by --sample",
    "weights": "test.py works without it, on the weights that facecom ships",
}


def script(name, folder, monkeypatch):
    """Exit code of a download script whose results go into `folder`."""
    room, file, output = SCRIPTS[name]
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.setattr(sys, "argv", [file, "--output", str(folder / output), "--quiet"])
    monkeypatch.setattr(sys, "path", [*sys.path])
    try:
        with pytest.raises(SystemExit) as left:
            runpy.run_path(str(ROOT / room / file), run_name="__main__")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return left.value.code or 0


@pytest.fixture
def answers(monkeypatch):
    """A function that makes every server answer with these bytes and 200; what was asked is its attribute `asked`."""

    def answer(content, kind="text/html; charset=utf-8", disposition=None):
        headers = {"Content-Type": kind, "Content-Length": str(len(content))}
        if disposition:
            headers["Content-Disposition"] = disposition

        def send(self, request, **options):
            answer.asked.append(request.url)
            response = requests.Response()
            response.status_code, response.reason, response.url, response.request = 200, "OK", request.url, request
            response.headers.update(headers)
            response.raw = io.BytesIO(content)
            return response

        def urlopen(request, timeout=None):
            answer.asked.append(request.full_url)
            message = Message()
            for name, value in headers.items():
                message[name] = value
            response = urllib.request.addinfourl(io.BytesIO(content), message, request.full_url, 200)
            return response

        monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
        monkeypatch.setattr(urllib.request, "urlopen", urlopen)

    answer.asked = []
    return answer


@pytest.mark.parametrize("attached", [None, 'attachment; filename="it.zip"'], ids=["plain", "attached"])
@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_page_in_place_of_the_file_leaves_nothing(name, page, attached, answers, tmp_path, monkeypatch, capsys):
    """attached: as Google marks a file that is to be saved: then the page itself would be."""
    answers(PAGES[page], disposition=attached)
    assert script(name, tmp_path, monkeypatch) == 2
    assert answers.asked
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: https://") and err.count("\n") == 1
    assert err.endswith(REMEDIES[name.split()[0]] + "\n") and len(err) < 400
    if page == "quota" and not attached and name != "weights of B":
        assert "(Too many users have viewed or downloaded this file recently); try tomorrow, or in a browser" in err
    assert not list(tmp_path.iterdir())


def test_after_a_page_the_file_comes(answers, tmp_path, monkeypatch, capsys):
    """Of the page nothing is remembered, its checksum least of all."""
    answers(PAGES["quota"])
    assert script("weights of B", tmp_path, monkeypatch) == 2
    answers(b"PK\x03\x04" + bytes(1000), "application/octet-stream")
    assert script("weights of B", tmp_path, monkeypatch) == 0
    path = tmp_path / "weights" / "published_siamese_convnext.pt"
    assert path.stat().st_size == 1004 and f"downloaded {path}" in capsys.readouterr().out
    kept = path.read_bytes()
    path.unlink()
    answers(PAGES["quota"])
    assert script("weights of B", tmp_path, monkeypatch) == 2  # the checksum of the file stays
    answers(kept, "application/octet-stream")
    assert script("weights of B", tmp_path, monkeypatch) == 0


@pytest.mark.parametrize("name", ["data of A", "data of B"])
@pytest.mark.parametrize("content", [b"PK\x03\x04" + bytes(1000), bytes(range(256))], ids=["cut short", "another kind"])
def test_what_is_no_archive_is_said(name, content, answers, tmp_path, monkeypatch, capsys):
    answers(content, "application/octet-stream", 'attachment; filename="it.zip"')
    assert script(name, tmp_path, monkeypatch) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {tmp_path}/data/Comys_Hackathon5.zip: ") and err.count("\n") == 1
    assert not (tmp_path / "data" / f"Task_{name[-1]}").exists()
