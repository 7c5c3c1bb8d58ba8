"""Where the page is served: ports that cannot be had are one line, before any network is loaded."""

import os
import socket

import pytest

from facecom import cli
from facecom.errors import FacecomError
from facecom.page import answers, serve


@pytest.fixture
def busy():
    """A port that another program listens at."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


@pytest.fixture(autouse=True)
def nothing_is_loaded(monkeypatch):
    def loaded():
        raise AssertionError("a network was loaded")

    monkeypatch.setattr(answers, "verifier", loaded)


def said(capsys, *flags):
    """(exit code, what was said) of the page's command."""
    with pytest.raises(SystemExit) as left:
        cli.run(serve.main, serve.arguments(""), [*flags, "--no-browser"])
    return left.value.code, capsys.readouterr().err


def test_a_port_that_is_taken_is_one_line(busy, capsys):
    line = f"error: --port {busy}: another program uses it: give another, or none for the first free one\n"
    assert said(capsys, "--port", str(busy)) == (2, line)


@pytest.mark.parametrize("port", ["99999999", "65536", "0", "-1"])
def test_a_number_that_is_no_port_is_one_line(port, capsys):
    assert said(capsys, f"--port={port}") == (2, f"error: --port {port}: must be from 1 to 65535\n")


def test_a_port_that_may_not_be_opened_is_one_line(monkeypatch):
    def refused(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(serve.socket.socket, "bind", refused)
    with pytest.raises(FacecomError, match="--port 80: no permission to open it: give another"):
        serve.check_port(80)


@pytest.mark.parametrize("port", [None, 7860])
def test_a_port_that_was_taken_meanwhile_is_one_line(port, monkeypatch, capsys):
    """So it is where none was given and all are taken."""

    def full(*_, **__):
        raise OSError("Cannot find empty port in range: 7860-7959.")

    for name, value in (("verifier", lambda: None), ("predictor", lambda: None)):
        monkeypatch.setattr(answers, name, value)
    for name, value in (("check_port", lambda port: None), ("page", lambda folder: None), ("launch", full)):
        monkeypatch.setattr(serve, name, value)
    for name in ("GRADIO_TEMP_DIR", "GRADIO_ANALYTICS_ENABLED"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    flags = [] if port is None else ["--port", str(port)]
    assert said(capsys, *flags) == (2, "error: no port is free for the page: end other pages, or give one by --port\n")
