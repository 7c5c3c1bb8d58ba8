"""The page: its functions, and the page itself in a headless browser where there is one."""

import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from facecom import FaceVerifier, GenderPredictor
from facecom.conditions import DISTORTIONS, distort
from facecom.page import answers, layout, serve
from facecom.synthetic import draw_person

OFF = (0,) * len(DISTORTIONS)


@pytest.fixture
def app(siamese_file, gender_file, monkeypatch):
    """The page's answers on random weights."""
    torch.set_num_threads(1)
    verifier, predictor = (
        FaceVerifier(siamese_file, device="cpu", faces_only=True),
        GenderPredictor(gender_file, align="finder"),
    )
    monkeypatch.setattr(answers, "verifier", lambda: verifier)
    monkeypatch.setattr(answers, "predictor", lambda: predictor)
    return answers


@pytest.fixture(scope="module")
def ann():
    return draw_person(5, 0)[0]


@pytest.fixture(scope="module")
def bob():
    return draw_person(8, 1)[0]


def test_sliders_distort_in_turn(app, ann):
    np.testing.assert_array_equal(app.distorted(ann, OFF), ann)
    severities = [0] * len(DISTORTIONS)
    severities[DISTORTIONS.index("foggy")], severities[DISTORTIONS.index("noisy")] = 2, 4
    np.testing.assert_array_equal(app.distorted(ann, severities), distort(distort(ann, "foggy", 2), "noisy", 4))
    assert max(app.distorted(np.zeros((3000, 2000, 3), np.uint8), OFF).shape) == 640


def test_the_same_photo_is_the_same_person_at_a_stated_rate(app, ann):
    preview, said = app.same_person(ann, ann, *OFF)
    np.testing.assert_array_equal(preview, ann)
    assert "<p>Same person</p>" in said and "distance 0.000" in said
    assert "1 in 1,000 strangers would pass" in said


def test_what_lies_beyond_the_threshold_is_not(app, ann, bob):
    app.verifier().threshold = 1e-6
    _, said = app.same_person(ann, bob, *OFF)
    distance = app.verifier().verify(ann, bob).distance
    assert "<p>Not the same person</p>" in said and f"distance {distance:.3f}" in said


def test_the_second_photo_is_the_one_that_is_made_worse(app, ann):
    severities = [5 * (name == "sunny") for name in DISTORTIONS]
    preview, said = app.same_person(ann, ann, *severities)
    np.testing.assert_array_equal(preview, distort(ann, "sunny", 5))
    assert f"distance {app.verifier().verify(ann, preview).distance:.3f}" in said
    assert "distance 0.000" not in said


def test_a_bad_photo_is_cannot_tell(app, ann):
    app.verifier().ensemble.members[0].limits["quality"] = 1.1
    assert "<p>Cannot tell</p>" in app.same_person(ann, ann, *OFF)[1]


@pytest.mark.parametrize("photos", [(None, None), (True, None), (None, True)])
def test_a_missing_photo_is_asked_for(app, ann, photos):
    _, said = app.same_person(*(ann if photo else None for photo in photos), *OFF)
    assert "please" in said and "distance" not in said


def test_gender_with_its_probability_and_where_the_network_looked(app, ann):
    pytest.importorskip("pytorch_grad_cam", reason="needs the package grad-cam")
    preview, looked_at, said = app.gender_of(ann, *OFF)
    np.testing.assert_array_equal(preview, ann)
    assert looked_at.shape == (224, 224, 3) and looked_at.dtype == np.uint8
    found = app.predictor().predict([ann]).iloc[0]
    probability = found.p_female if found.gender == "female" else 1 - found.p_female
    assert f"<p>{found.gender.capitalize()}</p>" in said and f"probability {probability:.3f}" in said
    app.predictor().ensemble.members[0].limits["face_confidence"] = 1.1
    assert "<p>Cannot tell</p>" in app.gender_of(ann, *OFF)[2]
    assert app.gender_of(None, *OFF)[:2] == (None, None)


def test_screen_readers_know_every_input_and_hear_every_answer(app, tmp_path):
    """Whatever is seen and waits for somebody has a label or words; answers are announced."""
    pytest.importorskip("gradio", reason="needs the package gradio")
    parts = [one["props"] for one in layout.page(tmp_path).config["components"]]
    kinds = {"image", "textbox", "slider", "button"}
    seen = [props for props in parts if props.get("visible", True) and props.get("name") in kinds]
    assert len(seen) >= 2 * len(DISTORTIONS) + 9
    assert all(props.get("label") or props.get("value") for props in seen)
    assert all('role="status"' in said for said in (app.same_person(None, None)[1], app.gender_of(None)[2]))


def test_in_a_browser(app, ann, bob, tmp_path, monkeypatch):
    """Upload, answer, slider, example, the other tab; no console error, and not a byte to another machine."""
    gradio = pytest.importorskip("gradio", reason="needs the package gradio")
    pytest.importorskip("pytorch_grad_cam", reason="needs the package grad-cam")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs chromium")
    for name, photo in (("ann", ann), ("bob", bob)):
        Image.fromarray(photo).save(tmp_path / f"{name}.png")
    blocks = layout.page(tmp_path)
    _, url, _ = serve.launch(blocks, prevent_thread_lock=True, inbrowser=False, quiet=True)
    try:
        with playwright.sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page()
            page.set_default_timeout(120_000)
            problems, hosts = [], set()
            page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.on("request", lambda request: hosts.add(re.sub(r"^(\w+://[^/:]*).*", r"\1", request.url)))
            page.goto(url)
            use_the_page(page, playwright.expect, tmp_path)
            browser.close()
    finally:
        gradio.close_all()
    assert not problems
    assert {host for host in hosts if host.startswith(("http", "ws"))} == {"http://127.0.0.1"}


def use_the_page(page, expect, folder):
    files = page.locator("input[type=file]")
    files.nth(0).set_input_files(folder / "ann.png")
    expect(page.get_by_text("One more photo, please").or_(page.get_by_text("Two photos, please"))).to_be_visible()
    files.nth(1).set_input_files(folder / "ann.png")
    expect(page.get_by_text("Same person", exact=True)).to_be_visible()
    expect(page.get_by_text("distance 0.000")).to_be_visible()
    page.get_by_label("number input for sunny").first.fill("5")
    page.keyboard.press("Tab")
    expect(page.get_by_text("distance 0.000")).to_have_count(0)
    page.get_by_role("tab", name="Gender").click()
    page.locator(".gallery-item:visible").first.click()
    expect(page.get_by_text("probability")).to_be_visible()
    page.get_by_role("tab", name="Everybody").click()
    files = page.locator("[role=tabpanel]:visible input[type=file]")
    files.nth(0).set_input_files(folder / "ann.png")
    expect(page.get_by_text("1 face, from the left")).to_be_visible()
    files.nth(1).set_input_files(folder / "ann.png")
    page.get_by_label("Name").fill("Ann")
    page.get_by_role("button", name="Remember").click()
    expect(page.get_by_text("1 known")).to_be_visible()
    expect(page.get_by_role("cell", name="Ann")).to_be_visible()
