"""Start the page on this machine.

Photos stay on this machine: nothing is sent anywhere, and the page's working copies are deleted when it ends.
"""

import argparse
import errno
import os
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from facecom.errors import FacecomError
from facecom.page import answers
from facecom.page.layout import CSS, page

if TYPE_CHECKING:
    import gradio


#: Bytes of a photo at most: several times what cameras and telephones write.
LARGEST_UPLOAD = 64 << 20

HIGHEST_PORT = 65535

#: The page is for this machine alone.
ADDRESS = "127.0.0.1"


def launch(blocks: "gradio.Blocks", **options):
    """Serve the page on this machine alone, without fonts from the web and without a history in the browser."""
    import gradio as gr

    theme = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])
    return blocks.launch(
        server_name=ADDRESS, share=False, theme=theme, css=CSS, footer_links=["api"], run_history=False,
        enable_monitoring=False, max_file_size=LARGEST_UPLOAD, **options,
    )  # fmt: skip


def check_port(port: int | None) -> None:
    """Raises FacecomError for a port that is none, that is taken, or that this user may not open."""
    if port is None:
        return
    if not 1 <= port <= HIGHEST_PORT:
        raise FacecomError(f"--port {port}: must be from 1 to {HIGHEST_PORT}")
    try:
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does: one that ended may linger
            tried.bind((ADDRESS, port))
    except OSError as error:
        reasons = {errno.EADDRINUSE: "another program uses it", errno.EACCES: "no permission to open it"}
        reason = reasons.get(error.errno or 0, str(error.strerror))
        raise FacecomError(f"--port {port}: {reason}: give another, or none for the first free one") from error


def main(args: argparse.Namespace) -> None:
    check_port(args.port)
    answers.verifier(), answers.predictor()  # a missing network is said here, not in the browser
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        try:
            launch(page(Path(folder)), server_port=args.port, inbrowser=args.browser)
        except OSError as error:
            if "empty port" not in str(error):
                raise
            raise FacecomError("no port is free for the page: end other pages, or give one by --port") from error


def arguments(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--port", type=int, help="of the page (default: the first free one from 7860 on)")
    parser.add_argument("--browser", action=argparse.BooleanOptionalAction, default=True, help="open it in a browser")
    return parser
