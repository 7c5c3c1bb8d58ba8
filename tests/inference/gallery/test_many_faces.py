"""A hundred thousand faces in bounded memory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("lancedb", reason="needs the extra gallery")

ROOT = Path(__file__).resolve().parents[3]

MANY = """
import sys, time
from pathlib import Path
import numpy as np, pyarrow as pa
from enrolled import Colours
from facecom.inference.gallery import Gallery
from facecom.inference.gallery.rows import made_by_of
from facecom.inference.gallery.store import schema_of
from facecom.inference.search import nearest_people

def add(gallery):
    schema = schema_of(128, made_by_of(gallery.verifier.ensemble))
    rng = np.random.default_rng(0)
    for batch in range(100):
        faces = rng.normal(size=(1000, 128)).astype(np.float32)
        faces /= np.linalg.norm(faces, axis=1, keepdims=True)
        names = [f"p{batch * 500 + row // 2}" for row in range(1000)]
        columns = {"identity": names, "file": [f"/{name}/{row}.jpg" for row, name in enumerate(names)]}
        columns |= {name: np.zeros(1000) for name in schema.names[5:] if name not in ("added", "embedding")}
        columns |= {"size": [1] * 1000, "modified": [1] * 1000, "sha256": ["a" * 64] * 1000, "added": [0] * 1000}
        columns["embedding"] = list(faces)
        arrays = {name: pa.array(columns[name], schema.field(name).type) for name in schema.names}
        gallery.store.write(pa.table(arrays, schema=schema))
    gallery.store.tidy(False)
    assert len(gallery.people()) == 50_000

def search(gallery):
    known, people = gallery._all()
    rows, found = nearest_people(known.templates[::100], known.templates, people, 5)
    assert (people[rows[:, 0]] == people[::100]).all() and found[:, 0].max() < 1e-3

def remove(gallery):
    assert gallery.remove(*(f"p{number}" for number in range(500))) == 1000
    assert len(gallery.people()) == 49_500 and gallery.store.read(["file"]).num_rows == 99_000

def peak():
    # KiB of this process; getrusage would tell the parent's, whose peak a new process takes over.
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])

step, place = sys.argv[1], Path(sys.argv[2])
(place / "w").write_bytes(b"w")
gallery = Gallery(place / "people.lance", Colours(place / "w").verifier())
start, before = time.monotonic(), peak()
{"add": add, "search": search, "remove": remove}[step](gallery)
print(f"{step}: {time.monotonic() - start:.1f} s, peak {peak() // 1024} MiB, {before // 1024} of them before")
assert peak() < 1_000_000
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_a_hundred_thousand_faces(tmp_path):
    """Each step in a process of its own, as people do it."""
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    for step in ("add", "search", "remove"):
        command = [sys.executable, "-c", MANY, step, str(tmp_path)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        print(done.stdout)
        assert done.returncode == 0, done.stdout + done.stderr
