"""The console command `facecom`, as a shell calls it."""

import json
import os
import subprocess
import sys

import pandas as pd
import pytest
import torch

from facecom.commands import main

torch.set_num_threads(1)
QUICK = ["--device", "cpu", "--quiet", "--no-amp", "--workers", "0"]


def call(*argv):
    """Exit code of `facecom ...`."""
    with pytest.raises(SystemExit) as left:
        main.main([str(word) for word in argv])
    return left.value.code or 0


def said(capsys):
    """What stdout holds, as JSON: nothing else may be there."""
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def photos(flat):
    return sorted(flat.iterdir())


def test_without_a_command_it_says_what_there_is(capsys):
    assert call() == 0
    out = capsys.readouterr().out
    for command in main.COMMANDS:
        assert f"facecom {' '.join(command.words)}" in out or f" {command.words[0]} " in out
    assert call("recognise") == 2


@pytest.mark.parametrize("command", main.COMMANDS, ids=lambda command: " ".join(command.words))
def test_every_command_has_an_example_and_explains_its_flags(command, capsys):
    assert call(*command.words, "--help") == 0
    assert f"facecom {' '.join(command.words)}" in capsys.readouterr().out
    if command.words != ("export",):
        assert f"    facecom {' '.join(command.words)}" in main.parser_of(command).description
    assert not [action.dest for action in main.parser_of(command)._actions if not action.help]


def test_verify_says_it_in_words_and_as_json(photos, siamese_file, capsys):
    flags = ["verify", photos[0], photos[0], "--weights", siamese_file, *QUICK]
    assert call(*flags) == 0
    assert capsys.readouterr().out.startswith(
        "the same person\ndistance 0.000, the same person up to 0.800; 1 in 1,000"
    )
    assert call(*flags, "--json") == 0
    found = said(capsys)
    assert found["same"] is True and found["distance"] == pytest.approx(0, abs=1e-6)
    assert (found["threshold"], found["far"], found["first"]) == (0.8, 0.001, str(photos[0]))


def test_a_bad_path_is_one_line(here, siamese_file, photos, capsys):
    assert call("verify", photos[0], "none.jpg", "--weights", siamese_file, *QUICK) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: none.jpg") and error.count("\n") == 1
    assert call("gender", "none.jpg", *QUICK) == 2
    assert capsys.readouterr().err == "error: none.jpg: no such file: name photos, or one folder\n"


def test_photos_are_identified_one_by_one_or_by_the_folder(here, photos, flat, sample_b, siamese_file, capsys):
    flags = ["--gallery", sample_b / "val", "--weights", siamese_file, *QUICK]
    assert call("identify", *photos[:2], *flags, "--json") == 0
    answers = said(capsys)["answers"]
    assert [row["filename"] for row in answers] == [str(path) for path in photos[:2]]
    assert set(row["same"] for row in answers) <= {True, False, None}
    assert list(here.iterdir()) == []  # nobody asked for a file
    assert call("identify", flat, *flags) == 0
    table = pd.read_csv("submission.csv")
    assert table.filename.tolist() == [path.name for path in photos]
    assert table.identity[:2].tolist() == [row["identity"] for row in answers]


def test_gender_of_photos_names_what_it_left_out(here, photos, gender_file, capsys):
    (here / "no_photo.jpg").write_text("not a photo")
    assert call("gender", photos[0], "no_photo.jpg", "--weights", gender_file, "--json", *QUICK) == 0
    found = said(capsys)
    assert [row["filename"] for row in found["answers"]] == [str(photos[0])]
    assert 0 <= found["answers"][0]["p_female"] <= 1
    assert found["skipped"][0]["filename"] == "no_photo.jpg" and found["skipped"][0]["reason"]


def test_report_of_a_folder_of_people(here, sample_b, siamese_file, capsys):
    assert call("report", "siamese", sample_b / "val", "--weights", siamese_file, "--json", *QUICK) == 0
    found = said(capsys)
    assert (here / found["report"]).is_file()
    rank1 = [row for row in found["metrics"] if row["protocol"] == "identification" and row["metric"] == "rank1"]
    assert rank1 and all(0 <= row["value"] <= 1 for row in rank1 if row["value"] is not None)


@pytest.mark.parametrize(("task", "sample"), [("siamese", "sample_b"), ("gender", "sample_a")])
def test_training_takes_the_scripts_flags(here, task, sample, request, capsys):
    tiny = "--backbone test_convnext --img_size 32 --align fixed --init none --epochs 1 --batch_size 2".split()
    assert call("train", task, "--data_dir", request.getfixturevalue(sample), *tiny, "--json", *QUICK) == 0
    found = said(capsys)
    assert (here / found["weights"]).is_file() and found["best"]["epoch"] == 1


def test_export_writes_onnx(here, siamese_file, capsys):
    pytest.importorskip("onnxscript", reason="needs the extra export")
    assert call("export", "--task", "siamese", "--weights", siamese_file, "--output", "it.onnx", "--json") == 0
    assert (here / "it.onnx").is_file() and said(capsys)["differences"]["embedding"] < 1e-3


def test_tab_completes_commands_and_flags(tmp_path):
    pytest.importorskip("argcomplete", reason="needs the extra completion")

    def completed(line):
        out = tmp_path / "out"
        env = os.environ | {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_STDOUT_FILENAME": str(out), "COMP_LINE": line}
        env |= {"COMP_POINT": str(len(line)), "_ARGCOMPLETE_IFS": "\n"}
        subprocess.run([sys.executable, "-c", "from facecom.commands.main import main; main()"], env=env, check=True)
        return out.read_text().split("\n")

    assert {"verify", "identify", "gender", "train", "report"} <= {word.strip() for word in completed("facecom ")}
    assert "--gallery" in [word.strip() for word in completed("facecom identify --ga")]
    assert "siamese" in [word.strip() for word in completed("facecom train sia")]


def test_help_does_not_wait_for_torch():
    code = "import sys\nfrom facecom.commands import main\nmain.tree()\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
