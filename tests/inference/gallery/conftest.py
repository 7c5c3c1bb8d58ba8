"""An empty gallery of a network that knows colours, and four people of three photos to enrol."""

import pytest
from enrolled import Colours, paint_people

import facecom


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "weights.pt"
    path.write_bytes(b"weights")
    return path


@pytest.fixture
def network(weights):
    return Colours(weights)


@pytest.fixture
def gallery(tmp_path, network):
    return facecom.Gallery(tmp_path / "people.lance", network.verifier())


@pytest.fixture
def people(tmp_path):
    return paint_people(tmp_path / "people", 4, 3)
