"""The page: its tabs, their inputs and what reacts to what."""

from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from facecom.conditions import DISTORTIONS
from facecom.errors import FacecomError
from facecom.page import api
from facecom.page.answers import gender_of, same_person
from facecom.page.people import Known, everybody, introduce, listed
from facecom.synthetic import draw_person

if TYPE_CHECKING:
    import gradio

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
.faces {border-collapse: collapse; margin: .3em 0}
.faces td, .faces th {
  text-align: left; padding: .2em 1.2em .2em 0 !important; border: 0 !important;
  border-bottom: 1px solid #9aa0a6 !important;
}
.faces caption {text-align: left; font-weight: 600}
.yes {border-color: #188038} .no {border-color: #c5221f}
"""


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
        with gr.Tab("Everybody"):
            everybody_tab()
        api.endpoints()
    return blocks


def everybody_tab() -> None:
    """Every face of a photo, and the people whom this session knows."""
    import gradio as gr

    people = gr.State(Known)
    with gr.Row():
        group = photo_input("Group photo", min_width=320)
        shown = photo_output("Who is on it", min_width=320)
    result = gr.HTML(everybody(None, Known())[1], padding=False)
    gr.Markdown("**Who is who?** A photo and a name each; they are known until this page is closed or loaded again.")
    with gr.Row():
        portrait = photo_input("Photo of one person")
        with gr.Column():
            name = gr.Textbox(label="Name", max_length=100)
            add = gr.Button("Remember", variant="primary")
            known = gr.HTML(listed(Known()), padding=False)
    react([group], everybody, [shown, result], people)
    told = gr.on(
        [add.click, name.submit], introduce, [portrait, name, people], [people, name, known], show_progress="hidden",
        api_visibility="private",
    )  # fmt: skip
    told.then(everybody, [group, people], [shown, result], show_progress="hidden", api_visibility="private")


def photo_input(label: str, **more) -> "gradio.Image":
    import gradio as gr

    return gr.Image(
        label=label, type="numpy", image_mode="RGB", sources=["upload", "webcam", "clipboard"], height=260, **more
    )


def photo_output(label: str, **more) -> "gradio.Image":
    import gradio as gr

    # Only this button: another would share the photo on the web.
    return gr.Image(label=label, interactive=False, buttons=["fullscreen"], height=260, **more)


def severity_sliders(label: str) -> list["gradio.Slider"]:
    """A slider a condition, 0 (off) to 5."""
    import gradio as gr

    gr.Markdown(f"**{label}**: severity 0 (off) to 5")
    with gr.Row(elem_classes="sliders"):
        return [gr.Slider(0, 5, 0, step=1, label=name, min_width=140, buttons=[]) for name in DISTORTIONS]


def react(inputs: list, function, outputs: list, *more) -> None:
    """Answer again whenever an input changes; of changes that come faster than answers only the last counts. more:
    inputs whose changes are not waited for."""
    import gradio as gr

    gr.on(
        [one.change for one in inputs], function, [*inputs, *more], outputs, trigger_mode="always_last",
        show_progress="hidden", api_visibility="private",
    )  # fmt: skip


def example(folder: Path, seeds: tuple[int, int]) -> str:
    path = folder / "drawn_{}_{}.png".format(*seeds)
    Image.fromarray(draw_person(*seeds)[0]).save(path)
    return str(path)
