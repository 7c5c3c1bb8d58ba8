"""Whatever happens in between: several processes, a kill, any sequence of changes."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from enrolled import Colours, counts, paint, paint_people

import facecom
from facecom.errors import FacecomError
from facecom.files import sha256_of
from facecom.inference.gallery.rows import made_by_of

pytest.importorskip("lancedb", reason="needs the extra gallery")

ROOT = Path(__file__).resolve().parents[3]


def enrolling(*words) -> subprocess.Popen:
    """A process that enrols when `go` says so."""
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    command = [sys.executable, str(ROOT / "tests" / "enrolled.py"), *map(str, words)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)


def go(*processes) -> None:
    """All at once, when all are ready."""
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()


def test_two_processes_at_once_lose_nothing(gallery, weights, tmp_path):
    """Each a folder of its own, then both the same."""
    both = paint_people(tmp_path / "both", 6, 3, seed=9)
    folders = [paint_people(tmp_path / f"folder{number}", 12, 3, seed=number) for number in range(2)]
    for number, folder in enumerate(folders):
        for person in sorted(folder.glob("p*")):
            person.rename(folder / f"{number}{person.name}")
    processes = [enrolling(gallery.path, weights, 0.002, folder, both) for folder in folders]
    go(*processes)
    for process in processes:
        assert process.communicate(timeout=60)[0].count("unreadable=[]") == 2 and process.returncode == 0
    assert gallery.store.read(["file"]).num_rows == len(gallery.store.index()) == (12 + 12 + 6) * 3
    names = {f"{number}p{person}" for number in range(2) for person in range(12)} | {f"p{n}" for n in range(6)}
    assert counts(gallery) == dict.fromkeys(names, 3)


@pytest.mark.parametrize("batches", [1, 20])
def test_after_a_kill_the_next_run_goes_on(gallery, network, weights, people, batches):
    paint_people(people, 20, 3)
    process = enrolling(gallery.path, weights, 0.01, people)
    go(process)
    while len(gallery.store.index()) < batches:
        assert process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = gallery.store.read(["file", "embedding"]).to_pandas()
    assert batches <= len(kept) < 60 and kept.file.is_unique
    found = gallery.add(people)
    assert (found.added, found.unchanged) == (60 - len(kept), len(kept)) and network.seen == found.added
    assert counts(gallery) == {f"p{person}": 3 for person in range(20)}
    assert gallery.search([str(people / "p7" / "1.png")], k=1).distance[0] == pytest.approx(0, abs=1e-6)


def test_any_sequence_of_changes_is_that_of_a_dictionary():
    hypothesis = pytest.importorskip("hypothesis")
    given = hypothesis.strategies
    names, files, shades = given.sampled_from(["ann", "bob", "o'carl"]), given.integers(0, 3), given.integers(0, 255)
    steps = given.one_of(
        given.tuples(given.just("add"), names, files, shades), given.tuples(given.just("remove"), names),
        given.tuples(given.just("search"), shades), given.tuples(given.just("open")),
    )  # fmt: skip

    @hypothesis.settings(max_examples=15, deadline=None, derandomize=True)
    @hypothesis.given(given.lists(steps, max_size=10))
    def check(steps):
        with tempfile.TemporaryDirectory() as folder:
            follow(Path(folder), steps)

    check()


def follow(folder: Path, steps) -> None:
    """Do the steps with a gallery and with a dictionary {name: {file: shade}}."""
    (folder / "weights").write_bytes(b"w")
    network = Colours(folder / "weights")
    gallery, truth = facecom.Gallery(folder / "people.lance", network.verifier()), {}
    for what, *step in steps:
        if what == "add":
            name, file, shade = step
            path = paint(folder / name / f"{file}.png", (shade, 255 - shade, 40))
            gallery.add([path], name=name)
            truth.setdefault(name, {})[file] = shade
        elif what == "remove" and step[0] in truth:
            assert gallery.remove(*step) == len(truth.pop(step[0]))
        elif what == "remove":
            with pytest.raises(FacecomError, match="nobody is called"):
                gallery.remove(*step)
        elif what == "open":
            gallery = facecom.Gallery(folder / "people.lance", network.verifier())
        elif truth:
            probe = paint(folder / "probe.png", (step[0], 255 - step[0], 40))
            own, *others = network.verifier().embed(
                [probe, *(folder / n / f"{f}.png" for n in truth for f in truth[n])]
            )
            whose = [name for name in truth for _ in truth[name]]
            best = pd.Series(np.linalg.norm(np.stack(others) - own, axis=1)).groupby(whose).min()
            found = gallery.search([probe], k=9).set_index("identity").distance
            assert found.to_dict() == pytest.approx(best.to_dict(), abs=1e-5)
        assert counts(gallery) == {name: len(files) for name, files in truth.items()}


def test_weights_that_were_changed_since_they_were_loaded_are_known_as_they_were(tmp_path, siamese_file):
    """A network trained anew under the same name has not made these embeddings."""
    weights = shutil.copy(siamese_file, tmp_path / "best.pt")
    verifier = facecom.FaceVerifier(weights)
    before = made_by_of(verifier.ensemble)["weights"]
    assert before == sha256_of(weights)
    with open(weights, "ab") as file:
        file.write(b"other weights")
    assert made_by_of(verifier.ensemble)["weights"] == before != sha256_of(weights)
