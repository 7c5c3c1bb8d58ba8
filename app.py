"""A page in the browser: are two photos the same person, male or female, and what bad conditions do to the answer.

python app.py                   # http://127.0.0.1:7860, on this machine only

Photos stay on this machine: nothing is sent anywhere, and the page's working copies are deleted when it ends.
"""

import argparse
import html
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

import facecom
from facecom import cli
from facecom.conditions import DISTORTIONS, distort
from facecom.errors import FacecomError
from facecom.synthetic import draw_person

if TYPE_CHECKING:
    import gradio

CANNOT_TELL = "The face was not found well enough, or the photo is too bad."

#: Over the examples.
DRAWN = "Drawn people, to try the page. The networks know photos: expect wrong answers here"

#: Drawn people to click, (identity, photo) of `draw_person`: twice one person, two people, and one of each gender.
PAIRS = (((5, 0), (5, 3)), ((8, 0), (8, 2)), ((5, 0), (8, 1)), ((11, 0), (13, 1)))
SINGLES = ((5, 1), (8, 1), (11, 2), (14, 0))

#: Seconds after which the working copies of photos are deleted, and between looks for such.
KEEP = 600

CSS = """
.answer {border-left: 5px solid #9aa0a6; padding: .2em 0 .2em 1em}
.answer p {margin: .1em 0; font-size: 1rem}
.answer p:first-child {font-size: 1.4rem; font-weight: 600}
.sliders .form {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(min(45%, 220px), 1fr));
  background: var(--block-background-fill);
}
.yes {border-color: #188038} .no {border-color: #c5221f}
"""


@cache
def verifier() -> "facecom.FaceVerifier":
    # With a photo against its own copy the sliders shall show what is left of the face, not of the picture.
    return facecom.FaceVerifier(faces_only=True)


@cache
def predictor() -> "facecom.GenderPredictor":
    return facecom.GenderPredictor()


def distorted(photo: np.ndarray, severities: tuple[int, ...]) -> np.ndarray:
    """The photo through every condition whose severity is not 0, in the order of `DISTORTIONS`.

    photo: RGB uint8 [H, W, 3]; a large one is scaled down first, as the pipeline does.
    """
    from facecom.data.images import LONGEST_SIDE, shrink

    photo = shrink(photo, LONGEST_SIDE)
    for condition, severity in zip(DISTORTIONS, severities, strict=True):
        if severity:
            photo = distort(photo, condition, int(severity))
    return photo


def same_person(first: np.ndarray | None, second: np.ndarray | None, *severities: int) -> tuple[np.ndarray | None, str]:
    """(the second photo in the chosen conditions, the answer as HTML). Photos: RGB uint8 [H, W, 3] or None."""
    if second is None:
        return None, answer("", "Two photos, please", "Upload them, or click an example below.")
    second = distorted(second, severities)
    if first is None:
        return second, answer("", "One more photo, please", "Upload it, or click an example below.")
    found = verifier().verify(first, second)
    measure = f"distance {found.distance:.3f}; the same person up to {found.threshold:.3f}"
    if found.same is None:
        return second, answer("", "Cannot tell", CANNOT_TELL, f"Not to be relied on: {measure}")
    passing = f"At this threshold 1 in {1 / found.far:,.0f} strangers would pass." if found.far else ""
    kind, words = ("yes", "Same person") if found.same else ("no", "Not the same person")
    return second, answer(kind, words, measure, passing)


def gender_of(photo: np.ndarray | None, *severities: int) -> tuple[np.ndarray | None, np.ndarray | None, str]:
    """(photo in the chosen conditions, where the network looked, the answer as HTML). Photo: RGB uint8 [H, W, 3]."""
    from facecom.report import explain

    if photo is None:
        return None, None, answer("", "A photo, please", "Upload one, or click an example below.")
    photo = distorted(photo, severities)
    found = predictor().predict([photo]).iloc[0]
    looked_at = explain.explain_gender(predictor().ensemble, [photo])[0]
    face = "" if np.isnan(found.face_confidence) else f"face found with confidence {found.face_confidence:.2f}"
    if not found.gender:
        return photo, looked_at, answer("", "Cannot tell", CANNOT_TELL, face)
    probability = found.p_female if found.gender == "female" else 1 - found.p_female
    return photo, looked_at, answer("yes", found.gender.capitalize(), f"probability {probability:.3f}", face)


def answer(kind: str, words: str, *lines: str) -> str:
    """HTML of an answer. kind: `yes`, `no`, or empty for neither."""
    paragraphs = "".join(f"<p>{html.escape(line)}</p>" for line in (words, *lines) if line)
    return f'<div class="answer {kind}">{paragraphs}</div>'


def page(folder: Path) -> "gradio.Blocks":
    """The page. folder: where the drawn examples are put."""
    try:
        import gradio as gr
    except ImportError:
        raise FacecomError('the page needs the package gradio: pip install -e ".[app]"') from None
    examples = {seeds: example(folder, seeds) for seeds in (*SINGLES, *(seeds for pair in PAIRS for seeds in pair))}
    with gr.Blocks(analytics_enabled=False, title="facecom", delete_cache=(KEEP, KEEP)) as blocks:
        gr.Markdown("# facecom\nFaces in bad photos. Everything runs on this machine; photos are not kept.")
        with gr.Tab("Same person?"):
            with gr.Row():
                first, second = photo_input("First photo"), photo_input("Second photo")
                preview = photo_output("Second photo, made worse")
            result = gr.HTML(same_person(None, None)[1], padding=False)
            sliders = severity_sliders("Make the second photo worse")
            react([first, second, *sliders], same_person, [preview, result])
            gr.Examples([[examples[a], examples[b]] for a, b in PAIRS], [first, second], label=DRAWN)
        with gr.Tab("Gender"):
            with gr.Row():
                photo = photo_input("Photo")
                preview = photo_output("Made worse")
                looked_at = photo_output("Grad-CAM: what spoke for it")
            result = gr.HTML(gender_of(None)[2], padding=False)
            gr.Markdown("Gender as the data sets label it: binary, perceived from a photo.")
            sliders = severity_sliders("Make the photo worse")
            react([photo, *sliders], gender_of, [preview, looked_at, result])
            gr.Examples([[examples[seeds]] for seeds in SINGLES], [photo], label=DRAWN)
    return blocks


def photo_input(label: str) -> "gradio.Image":
    import gradio as gr

    return gr.Image(label=label, type="numpy", image_mode="RGB", sources=["upload", "webcam", "clipboard"], height=260)


def photo_output(label: str) -> "gradio.Image":
    import gradio as gr

    # Only this button: another would share the photo on the web.
    return gr.Image(label=label, interactive=False, buttons=["fullscreen"], height=260)


def severity_sliders(label: str) -> list["gradio.Slider"]:
    """A slider a condition, 0 (off) to 5."""
    import gradio as gr

    gr.Markdown(f"**{label}**: severity 0 (off) to 5")
    with gr.Row(elem_classes="sliders"):
        return [gr.Slider(0, 5, 0, step=1, label=name, min_width=140, buttons=[]) for name in DISTORTIONS]


def react(inputs: list, function, outputs: list) -> None:
    """Answer again whenever an input changes; of changes that come faster than answers only the last counts."""
    import gradio as gr

    gr.on(
        [one.change for one in inputs], function, inputs, outputs, trigger_mode="always_last", show_progress="hidden",
        api_visibility="private",
    )  # fmt: skip


def example(folder: Path, seeds: tuple[int, int]) -> str:
    path = folder / "drawn_{}_{}.png".format(*seeds)
    Image.fromarray(draw_person(*seeds)[0]).save(path)
    return str(path)


def launch(blocks: "gradio.Blocks", **options):
    """Serve the page on this machine alone, without fonts from the web and without a history in the browser."""
    import gradio as gr

    theme = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])
    return blocks.launch(
        server_name="127.0.0.1", share=False, theme=theme, css=CSS, footer_links=[], run_history=False,
        enable_monitoring=False, **options,
    )  # fmt: skip


def main(args: argparse.Namespace) -> None:
    verifier(), predictor()  # a missing network is said here, not in the browser
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        launch(page(Path(folder)), server_port=args.port, inbrowser=args.browser)


def get_args_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, help="of the page (default: the first free one from 7860 on)")
    parser.add_argument("--browser", action=argparse.BooleanOptionalAction, default=True, help="open it in a browser")
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
