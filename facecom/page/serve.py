"""Start the page on this machine.

Photos stay on this machine: nothing is sent anywhere, and the page's working copies are deleted when it ends.
"""

import argparse
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from facecom.page import answers
from facecom.page.layout import CSS, page

if TYPE_CHECKING:
    import gradio


#: Bytes of a photo at most: several times what cameras and telephones write.
LARGEST_UPLOAD = 64 << 20


def launch(blocks: "gradio.Blocks", **options):
    """Serve the page on this machine alone, without fonts from the web and without a history in the browser."""
    import gradio as gr

    theme = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])
    return blocks.launch(
        server_name="127.0.0.1", share=False, theme=theme, css=CSS, footer_links=["api"], run_history=False,
        enable_monitoring=False, max_file_size=LARGEST_UPLOAD, **options,
    )  # fmt: skip


def main(args: argparse.Namespace) -> None:
    answers.verifier(), answers.predictor()  # a missing network is said here, not in the browser
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        launch(page(Path(folder)), server_port=args.port, inbrowser=args.browser)


def arguments(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--port", type=int, help="of the page (default: the first free one from 7860 on)")
    parser.add_argument("--browser", action=argparse.BooleanOptionalAction, default=True, help="open it in a browser")
    return parser
