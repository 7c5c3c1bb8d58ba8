"""Task B's test.py with a report and workers, and enroll.py, killed at any moment: nothing is half there."""

import csv
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from forks import forked, moments, seconds
from scripts import ROOT, rows_of, run

from facecom import files

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks and kills as Linux has them"),
]

#: Of test.py with a report, which takes seconds each time, and of enroll.py.
KILLS, ENROLMENTS_KILLED = 4, 20


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def is_whole(path):
    """Whether a file of the results can be read from end to end."""
    content = path.read_bytes()
    if path.suffix == ".csv":
        rows = list(csv.reader(content.decode().splitlines()))
        assert content.endswith(b"\n") and len({len(row) for row in rows}) == 1, path
    elif path.suffix == ".html":
        assert content.rstrip().endswith(b"</html>"), path
    else:
        assert path.suffix == ".png" and content.endswith(b"IEND\xaeB`\x82"), path


def names_in(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def wait_for_orphans(folder):
    """Workers whose reader was killed end by themselves; until then they hold what it was writing."""
    until = time.monotonic() + 30
    for path in folder.rglob(f"{files.PREFIX}*"):
        free = False
        while not free and time.monotonic() < until:
            with open(path, "rb") as file:
                free = files._lock(file)
            time.sleep(0.05)
        assert free, path


def test_an_answer_with_a_report_killed_again_and_again(sample_b, siamese_file, tmp_path):
    def test(folder):
        flags = ["--img_dir", sample_b / "val", "--weights", siamese_file, "--workers", 2, "--no-amp"]
        assert run("B", *flags, "--output", folder / "out.csv", "--report", folder / "report") == 0

    test(tmp_path / "whole")  # here: what it imports, the forked need not
    began = time.monotonic()
    assert forked(lambda: test(tmp_path / "again")) == 0
    takes = time.monotonic() - began
    cut, rng, kills = tmp_path / "cut", random.Random(0), 0
    for attempt in range(4 * KILLS):
        how = {"die_at": 1 + 2 * attempt} if attempt < KILLS // 3 else {"die_after": rng.uniform(0.1, 0.95) * takes}
        code = forked(lambda: test(cut), **how)
        assert code in (0, 137)
        kills += code == 137
        for path in cut.rglob("*"):
            if path.is_file() and not path.name.startswith("."):
                is_whole(path)
        if kills >= KILLS:
            break
    assert kills >= KILLS
    wait_for_orphans(cut)
    assert forked(lambda: test(cut)) == 0
    assert rows_of(cut / "out.csv") == rows_of(tmp_path / "whole" / "out.csv")
    assert names_in(cut) == names_in(tmp_path / "whole")


def test_an_answer_killed_at_twenty_random_moments(sample_b, siamese_file, tmp_path):
    """An older answer stays until the new one is whole; the same command then ends as if nothing had happened."""

    def test(folder):
        flags = ["--img_dir", sample_b / "val", "--weights", siamese_file, "--workers", 0, "--no-amp"]
        assert run("B", *flags, "--output", folder / "out.csv") == 0

    test(tmp_path / "whole")  # here: what it imports, the forked need not
    takes = seconds(lambda: test(tmp_path / "again"))
    truth, older = (tmp_path / "whole" / "out.csv").read_text(), "an older result\n"
    cut, kills, tried = tmp_path / "cut", 0, iter(moments(takes) + moments(takes, 200))
    cut.mkdir()
    while kills < 20:
        (cut / "out.csv").write_text(older)
        code = forked(lambda: test(cut), die_after=next(tried))
        assert code in (0, 137)
        kills += code == 137
        found = (cut / "out.csv").read_text()
        assert found == truth or (code == 137 and found == older)
    assert forked(lambda: test(cut)) == 0
    assert (cut / "out.csv").read_text() == truth and names_in(cut) == names_in(tmp_path / "whole")


def enrol_and_kill(weights, people, folder):
    """In a process of its own, which has imported LanceDB and never used it: its threads do not live on in a fork.
    Prints how often enroll.py was killed, and how many photos it listed each time."""
    import lancedb  # noqa: F401

    from facecom.commands import enroll  # noqa: F401
    from facecom.inference.gallery import Gallery
    from facecom.models import checkpoint, loading, networks  # noqa: F401

    torch.set_num_threads(1)

    def enrol(gallery):
        flags = ["--img_dir", people, "--weights", weights, "--no-amp", "--workers", 0, "--batch_size", 1]
        assert run("B", *flags, "--gallery", gallery, script="enroll") == 0

    def count(gallery):
        (folder / "count").write_text(str(int(Gallery(gallery).people().photos.sum())))

    def versions():
        return {path.name for path in (folder / "cut.lance").glob("faces.lance/_versions/*.manifest")}

    kills, there, cut = 0, [0], folder / "cut.lance"
    for attempt in range(3 * ENROLMENTS_KILLED):
        before, more = versions(), 1 + attempt % 3
        code = forked(lambda: enrol(cut), die_when=lambda old=before, more=more: len(versions() - old) >= more)
        assert code in (0, 137), code
        kills += code == 137
        (folder / "count").write_text("0")
        assert not cut.exists() or forked(lambda: count(cut)) == 0
        there.append(int((folder / "count").read_text()))
        assert there[-1] >= there[-2]
        if kills >= ENROLMENTS_KILLED:
            break
        if code == 0:  # nobody is left to enrol
            os.rename(cut, folder / f"done{attempt}.lance")
            there.append(0)
    assert forked(lambda: enrol(cut)) == 0 and forked(lambda: count(cut)) == 0
    there.append(int((folder / "count").read_text()))
    print(json.dumps({"kills": kills, "there": there}))


def test_an_enrolment_of_photos_killed_again_and_again(sample_b, siamese_file, tmp_path):
    pytest.importorskip("lancedb", reason="needs the extra gallery")
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    words = [sys.executable, "-W", "ignore", __file__, siamese_file, sample_b / "val", tmp_path]
    done = subprocess.run([*map(str, words)], env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["kills"] >= ENROLMENTS_KILLED and told["there"][-1] == 12
    assert any(0 < count < 12 for count in told["there"]), told  # or no kill came in between
    assert {path.name for path in (tmp_path / "cut.lance").iterdir()} == {"faces.lance", "lock"}


if __name__ == "__main__":
    enrol_and_kill(*map(Path, sys.argv[1:]))
