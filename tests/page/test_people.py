"""Every face of a photo on the page, and who is known to a session."""

import numpy as np
import pytest
import torch

from facecom import FaceVerifier, GenderPredictor
from facecom.errors import FacecomError
from facecom.faces.detect import boxes_of, overlaps
from facecom.page import answers, people
from facecom.page.people import Known
from facecom.synthetic import draw_person, draw_scene

PLACES = {3: (10, 20), 4: (250, 200), 5: (480, 30)}


@pytest.fixture(scope="module")
def scene():
    """Three drawn people before a landscape."""
    scene = np.kron(draw_scene("landscape", 3)[:160, :180], np.ones((3, 4, 1), np.uint8))
    for number, (x, y) in PLACES.items():
        scene[y : y + 224, x : x + 224] = draw_person(number, 0)[0]
    return scene


@pytest.fixture
def app(siamese_file, gender_file, monkeypatch):
    torch.set_num_threads(1)
    made = (FaceVerifier(siamese_file, align="finder", device="cpu"), GenderPredictor(gender_file, align="finder"))
    monkeypatch.setattr(answers, "verifier", lambda: made[0])
    monkeypatch.setattr(answers, "predictor", lambda: made[1])
    return made[0]


def test_everybody_has_a_box_and_those_who_are_known_a_name(app, scene):
    known = Known()
    faces = people.faces_of(scene, known)
    truth = boxes_of(np.array([draw_person(number, 0)[1] + place for number, place in PLACES.items()]))
    places = [int(overlaps(box, np.array([face.box for face in faces])).argmax()) for box in truth]
    assert places == sorted(places)  # from the left
    assert all(face.name is None and np.isnan(face.distance) for face in faces)

    # Whom random weights take for whom says nothing: the face itself is known, and the limit is close.
    known.names, known.embeddings = ["Ann"], [app.ensemble([cut(scene, faces[places[1]])]).outputs[0]]
    app.threshold = 2.0
    assert all(face.name == "Ann" for face in people.faces_of(scene, known) if face.told)
    app.threshold = -1.0
    assert all(face.name is None for face in people.faces_of(scene, known))


def cut(scene, face):
    x, y, width, height = face.box.astype(int)
    return np.ascontiguousarray(scene[max(0, y) : y + height, max(0, x) : x + width])


def test_boxes_are_in_pixels_of_the_photo_that_was_given(app, scene, monkeypatch):
    monkeypatch.setattr(people, "LONGEST_SIDE_FACES", 480)  # below the scene's 720
    truth = boxes_of(np.array([draw_person(number, 0)[1] + place for number, place in PLACES.items()]))
    found = np.array([face.box for face in people.faces_of(scene, Known())])
    assert all(overlaps(box, found).max() > 0.4 for box in truth)


def test_picture_and_table_say_the_same(app, scene):
    picture, said = people.everybody(scene, Known())
    assert picture.shape == scene.shape and picture.dtype == np.uint8
    faces = people.faces_of(scene, Known())
    assert said.count("<tr><td>") == len(faces) and "Nobody is known yet" in said
    assert said.count('<th scope="col">') == 4
    for face in faces:
        x, y, width, height = face.box.round().astype(int)
        edge = y + height // 2, slice(max(0, x - 1), x + 3)
        assert (picture[edge] != scene[edge]).any()


def test_nobody_and_nothing(app):
    assert people.everybody(None, Known())[0] is None
    picture, said = people.everybody(np.full((240, 320, 3), 90, np.uint8), Known())
    assert picture.shape == (240, 320, 3) and "No face found" in said


def test_nobody_is_remembered_by_a_photo_that_cannot_be_told(app):
    known = Known()
    app.ensemble.members[0].limits["face_confidence"] = 0.3
    with pytest.raises(FacecomError, match="no face that can be told"):
        known.enrol(draw_scene("wall", 3), "Ann")
    assert known.people() == {}
    assert known.enrol(draw_person(5, 0)[0], "Ann") == {"people": {"Ann": 1}}


def test_names_are_text(app):
    known = Known()
    known.names, known.embeddings = ["<b>Ann</b>"], [np.zeros(128, np.float32)]
    face = people.Face(np.float32([0, 0, 10, 10]), "<b>Ann</b>", 0.5, True, "female", 0.9)
    assert "&lt;b&gt;Ann" in people._row(1, face) and "<b>" not in people.listed(known)


def test_a_session_remembers_until_it_is_full(app, monkeypatch):
    ann = draw_person(5, 0)[0]
    known, name, said = people.introduce(ann, " Ann ", Known())
    assert (known.names, name) == (["Ann"], "") and "1 known" in said and "Ann" in said
    assert "Ann (2 photos)" in people.introduce(ann, "Ann", known)[2]
    assert people.introduce(None, "Bob", known)[1:] == ("Bob", answers.answer("no", "a photo and a name, please"))
    monkeypatch.setattr(people, "MOST_KNOWN", 2)
    with pytest.raises(FacecomError, match="2 photos are known already"):
        known.enrol(ann, "Ann")
    assert known.identify(ann)["identity"] == "Ann" and known.identify(ann)["distance"] == pytest.approx(0, abs=1e-3)
