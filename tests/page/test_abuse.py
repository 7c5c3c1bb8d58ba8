"""What strangers may send to the page: it answers or refuses, and reads nothing but what was uploaded."""

import io
import json
import re
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from PIL import Image

from facecom import FaceVerifier, GenderPredictor
from facecom.page import answers, layout, serve
from facecom.synthetic import draw_person

pytest.importorskip("gradio", reason="needs the extra app")
httpx = pytest.importorskip("httpx")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Where uploads go, and beside it what nobody may see."""
    folder = tmp_path_factory.mktemp("page")
    Image.fromarray(draw_person(5, 0)[0]).save(folder / "secret.png")
    return folder


@pytest.fixture(scope="module")
def client(siamese_file, gender_file, place, tmp_path_factory):
    """An HTTP client of the page on random weights."""
    import gradio

    torch.set_num_threads(1)
    patch = pytest.MonkeyPatch()
    made = FaceVerifier(siamese_file, device="cpu", faces_only=True), GenderPredictor(gender_file)
    patch.setattr(answers, "verifier", lambda: made[0])
    patch.setattr(answers, "predictor", lambda: made[1])
    patch.setenv("GRADIO_TEMP_DIR", str(place / "uploads"))
    patch.setenv("NO_PROXY", "127.0.0.1")
    blocks = layout.page(tmp_path_factory.mktemp("examples"))
    _, url, _ = serve.launch(blocks, prevent_thread_lock=True, inbrowser=False, quiet=True)
    with httpx.Client(base_url=f"{url}gradio_api/", timeout=60, trust_env=False) as client:
        yield client
    gradio.close_all()
    patch.undo()


def png(seed=0, size=160):
    buffer = io.BytesIO()
    Image.fromarray(draw_person(5, seed)[0]).resize((size, size)).save(buffer, "PNG")
    return buffer.getvalue()


def upload(client, content, name="photo.png"):
    return client.post("upload", files={"files": (name, content)})


def ask(client, call, *data):
    """(event, what came with it) of a call."""
    return ask_raw(client, call, {"data": list(data)})


def ask_raw(client, call, body):
    begun = client.post(f"call/{call}", json=body)
    if begun.status_code != 200:
        return "refused", begun.text
    text = client.get(f"call/{call}/{begun.json()['event_id']}").text
    event = re.findall(r"^event: (\w+)$", text, re.MULTILINE)[-1]
    return event, text.rsplit("data: ", 1)[1].strip()


def photo(path, **more):
    return {"path": path, "meta": {"_type": "gradio.FileData"}, **more}


def test_a_photo_is_answered(client):
    (path,) = upload(client, png()).json()
    event, answer = ask(client, "gender", photo(path))
    assert event == "complete" and 0 <= json.loads(answer)[0]["p_female"] <= 1


@pytest.mark.parametrize(
    "content, name",
    [
        (b"I am no photo", "text.png"),
        (b"", "empty.png"),
        (png()[:300], "half.png"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "a.svg"),
        (b"#!/bin/sh\ntouch /tmp/ran", "run.sh"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0N \0\0N \x08\x02\0\0\0" + bytes(4), "claims.png"),
        (bytes(range(256)) * 40, "noise.jpg"),
    ],
)
def test_what_is_no_photo_is_refused(client, content, name):
    sent = upload(client, content, name)
    if sent.status_code == 200:
        event, answer = ask(client, "gender", photo(sent.json()[0]))
        assert event == "error" and "Traceback" not in answer
    (path,) = upload(client, png()).json()
    assert ask(client, "gender", photo(path))[0] == "complete"  # it goes on


@pytest.mark.parametrize("name", ["../../evil.png", "/etc/evil.png", "..\\..\\evil.png", "a\0b.png", "x" * 300 + ".png",
                                  ".", "two\nlines.png", "%2e%2e%2fevil.png"])  # fmt: skip
def test_names_lead_nowhere(client, place, name):
    before = {path for path in place.rglob("*") if place / "uploads" not in path.parents}
    sent = upload(client, png(), name)
    if sent.status_code == 200:
        for path in map(Path, sent.json()):
            assert (place / "uploads").resolve() in path.resolve().parents
    assert {path for path in place.rglob("*") if place / "uploads" not in path.parents} == before


def test_other_files_of_this_machine_are_not_read(client, place):
    secret = place / "secret.png"
    for path in (str(secret), "/etc/passwd", "/proc/self/environ", f"{place}/uploads/../secret.png", "../secret.png"):
        for entry in (photo(path), photo(path, url=f"file://{path}"), photo(f"file://{path}")):
            event, answer = ask(client, "gender", entry)
            assert event in ("error", "refused") and "root:" not in answer, path
        for route in ("file=", "file/", "stream/", "proxy="):
            found = client.get(f"{route}{path}")
            assert found.status_code >= 400 and b"root:" not in found.content and b"PNG" not in found.content


def test_other_servers_of_this_machine_are_not_asked(client):
    asked = []

    class Listener(threading.Thread):
        def run(self):
            while True:
                try:
                    asked.append(listening.accept()[0])
                except OSError:
                    return

    import socket

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.5)
        Listener(daemon=True).start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/photo.png"
        for entry in (photo(url), photo("x.png", url=url), {"url": url, "meta": {"_type": "gradio.FileData"}}):
            assert ask(client, "gender", entry)[0] in ("error", "refused")
    assert not asked


#: What is no photo, in a call's place for one.
NO_PHOTOS = (None, "text", 5, True, {}, [], {"path": 5}, {"path": None}, {"path": []}, [{"path": "x.png"}])


@pytest.mark.parametrize("call, inputs", [("gender", 1), ("faces", 1), ("identify", 1), ("verify", 2), ("enrol", 2)])
def test_calls_of_the_wrong_form(client, call, inputs):
    """Too few inputs, too many, and wrong ones in each place; it goes on afterwards."""
    (path,) = upload(client, png()).json()
    good = [photo(path), {"verify": photo(path), "enrol": "Ann"}.get(call)][:inputs]
    wrong = [[], [None] * 9, good[:-1], "text", None, 5, {"a": 1}]
    wrong += [[*good[:place], bad, *good[place + 1 :]] for place in range(inputs) for bad in NO_PHOTOS
              if call != "enrol" or place == 0]  # fmt: skip
    if call == "enrol":
        wrong += [[good[0], name] for name in (None, "", " \n")]
    for data in wrong:
        event, answer = ask(client, call, *data) if isinstance(data, list) else ask_raw(client, call, {"data": data})
        assert event in ("error", "refused") and "Traceback" not in answer, (data, answer)
    assert ask(client, "gender", photo(path))[0] == "complete"


@pytest.mark.parametrize("call", ["gender", "faces", "identify", "verify", "enrol"])
def test_requests_of_the_wrong_form(client, call):
    for content in (b"", b"{", b"[]", b"null", b"5", b'{"data": {}}', b'{"other": []}', b"\xff\xfe"):
        sent = client.post(f"call/{call}", content=content, headers={"Content-Type": "application/json"})
        assert sent.status_code >= 400 and "Traceback" not in sent.text, content


def test_an_upload_that_is_too_large_is_refused(client, place):
    before = size_of(place)
    sent = upload(client, bytes(serve.LARGEST_UPLOAD + (1 << 20)), "large.png")
    assert sent.status_code == 413 or "size" in sent.text
    assert size_of(place) < before + (1 << 20)


def size_of(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
def test_twenty_users_at_once(client):
    """Each sends a photo and asks, twenty at a time; from the second round on memory stays as it is."""

    def use(user):
        (path,) = upload(client, png(user % 5, 200 + user), f"user_{user}.png").json()
        assert ask(client, "gender", photo(path))[0] == "complete"
        assert ask(client, "verify", photo(path), photo(path))[0] == "complete"
        return user

    peaks = []
    with ThreadPoolExecutor(20) as users:
        for _ in range(4):
            assert sorted(users.map(use, range(20))) == list(range(20))
            peaks.append(resident())
    assert peaks[-1] - peaks[1] < 60, peaks


def resident():
    """MB of memory that this process has."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024
