"""The page's HTTP interface, called as another program does."""

import numpy as np
import pytest
import torch
from PIL import Image

from facecom import FaceVerifier, GenderPredictor
from facecom.page import answers, layout, serve
from facecom.synthetic import draw_person

pytest.importorskip("gradio", reason="needs the extra app")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for name, seeds in (("ann", (5, 0)), ("bob", (8, 1))):
        Image.fromarray(draw_person(*seeds)[0]).resize((900, 900)).save(folder / f"{name}.png")
    return {name: str(folder / f"{name}.png") for name in ("ann", "bob")}


@pytest.fixture(scope="module")
def client(siamese_file, gender_file, tmp_path_factory):
    """A client of the page, which runs on random weights and finds faces by the shipped finder."""
    import gradio
    from gradio_client import Client

    torch.set_num_threads(1)
    patch = pytest.MonkeyPatch()
    made = (FaceVerifier(siamese_file, align="finder", device="cpu"), GenderPredictor(gender_file, align="finder"))
    patch.setattr(answers, "verifier", lambda: made[0])
    patch.setattr(answers, "predictor", lambda: made[1])
    patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("gradio")))
    blocks = layout.page(tmp_path_factory.mktemp("examples"))
    _, url, _ = serve.launch(blocks, prevent_thread_lock=True, inbrowser=False, quiet=True)
    yield Client(url, verbose=False)
    gradio.close_all()
    patch.undo()


@pytest.fixture
def ask(client, photos):
    from gradio_client import handle_file

    def ask(call, *inputs):
        return client.predict(*(handle_file(photos[i]) if i in photos else i for i in inputs), api_name=f"/{call}")

    return ask


def test_verify(ask, photos):
    found = ask("verify", "ann", "bob")
    expected = answers.verifier().verify(photos["ann"], photos["bob"])
    assert found["distance"] == pytest.approx(expected.distance, abs=1e-3)
    assert (found["threshold"], found["far"], found["same"]) == (0.8, 0.001, expected.same)


def test_enrolled_people_are_identified(ask):
    assert ask("enrol", "bob", "Bob") == {"people": {"Bob": 1}}
    assert ask("enrol", "ann", " Ann ") == {"people": {"Ann": 1, "Bob": 1}}
    found = ask("identify", "ann")
    assert found["identity"] == "Ann" and found["distance"] == pytest.approx(0, abs=1e-3) and found["same"] is True


def test_a_name_is_asked_for(ask):
    with pytest.raises(Exception, match="a photo and a name"):
        ask("enrol", "ann", "  ")


def test_gender(ask, photos):
    found = ask("gender", "ann")
    expected = answers.predictor().predict([photos["ann"]]).iloc[0]
    assert found["p_female"] == pytest.approx(expected.p_female, abs=1e-3)
    assert found["gender"] == (expected.gender or None) and 0 <= found["face_confidence"] <= 1


def test_faces_are_in_pixels_of_the_photo(ask):
    (face,) = ask("faces", "ann")
    landmarks = np.array(face["landmarks"])
    low, high = np.array([face["x"], face["y"]]), np.array([face["x"] + face["width"], face["y"] + face["height"]])
    assert landmarks.shape == (5, 2) and (landmarks > low).all() and (landmarks < high).all()
    drawn = draw_person(5, 0)[1] * (900 / draw_person(5, 0)[0].shape[0])
    assert np.abs(landmarks - drawn).mean() < 30
    assert 0 <= face["confidence"] <= 1


def test_every_call_is_documented(client):
    import httpx

    paths = httpx.get(f"{client.src}gradio_api/openapi.json").json()["paths"]
    for call in ("verify", "identify", "gender", "faces", "enrol"):
        assert any(path.endswith(f"/{call}") for path in paths), call
