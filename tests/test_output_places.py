"""`--output` that is no plain file, from end to end: devices, pipes and links, of both commands that write one."""

import os
import stat
import sys
import threading

import pytest
import torch
from cuts import train
from scripts import rows_of, run

from facecom.models import checkpoint

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="devices and pipes as Unix has them")


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def answer(here, flat, siamese_file):
    """Answers pairs of five photos and a broken one into a file of this name; the plain table as text."""
    (here / "photos").mkdir()
    for path in flat.iterdir():
        (here / "photos" / path.name).symlink_to(path)
    (here / "photos" / "broken.jpg").write_bytes(b"I am no photo")

    def call(output):
        assert run("B", "--img_dir", "photos", "--weights", siamese_file, "--workers", 0, "--output", output) == 0

    call("plain.csv")
    call.whole = (here / "plain.csv").read_text()
    assert len(rows_of("plain.csv")) == 10 and len(rows_of("plain.csv.skipped.csv")) == 1
    return call


def test_an_output_to_nowhere(answer, here, capfd):
    """A device like /dev/null, which itself is not risked."""
    try:
        os.mknod("null", stat.S_IFCHR | 0o666, os.stat("/dev/null").st_rdev)
        open("null", "wb").close()
    except OSError:
        pytest.skip("only root makes devices, and not in every container")
    before = os.stat("null")
    capfd.readouterr()
    answer("null")
    assert stat.S_ISCHR(os.stat("null").st_mode) and os.stat("null").st_ino == before.st_ino
    assert capfd.readouterr().err.startswith("left out: broken.jpg: ")
    assert sorted(os.listdir()) == ["null", "photos", "plain.csv", "plain.csv.skipped.csv"]


def test_an_output_behind_a_link(answer, here, capfd):
    """The link stays, and leads to the new table; the list of those left out lies beside the link."""
    (here / "there").mkdir()
    (here / "there" / "table").write_text("an older result\n")
    (here / "link").symlink_to("there/table")
    capfd.readouterr()
    answer("link")
    assert (here / "link").is_symlink() and (here / "there" / "table").read_text() == answer.whole
    assert not capfd.readouterr().err
    assert [row["filename"] for row in rows_of("link.skipped.csv")] == ["broken.jpg"]
    assert os.listdir("there") == ["table"]


def test_an_output_into_a_pipe(answer, here, capfd):
    os.mkfifo("fifo")
    got = []
    reader = threading.Thread(target=lambda: got.append((here / "fifo").read_text()), daemon=True)
    reader.start()
    capfd.readouterr()
    answer("fifo")
    reader.join(timeout=10)
    assert got == [answer.whole] and stat.S_ISFIFO(os.stat("fifo").st_mode)
    said = capfd.readouterr().err
    assert said.startswith("left out: broken.jpg: ") and said.count("\n") == 1
    assert not os.path.exists("fifo.skipped.csv")


@pytest.mark.slow
def test_weights_behind_a_link(sample_b, tmp_path):
    """Training follows the link, too."""
    (tmp_path / "w").mkdir()
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "weights.pt").write_bytes(b"older weights")
    (tmp_path / "w" / "best.pt").symlink_to("../there/weights.pt")
    train("B", sample_b, tmp_path, "--epochs", 1)
    assert (tmp_path / "w" / "best.pt").is_symlink() and not (tmp_path / "there" / "weights.pt").is_symlink()
    assert checkpoint.read(tmp_path / "there" / "weights.pt")["epoch"] == 1
    assert os.listdir(tmp_path / "w") == ["best.pt"] and os.listdir(tmp_path / "there") == ["weights.pt"]
