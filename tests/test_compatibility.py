"""What users of 0.1.0 have keeps working: names, commands, flags, weight files. `fixtures/` was written by 0.1.0."""

import json
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from scripts import module_of, run

from facecom.models import loading

ROOT = Path(__file__).resolve().parent.parent
FIXTURES = Path(__file__).resolve().parent / "fixtures"

#: Flags of version 0.1.0, as its parsers had them.
MACHINE = "--align --amp --batch_size --detector_model --device --no-amp --output --quiet --recipe --seed --workers"
TEST = f"{MACHINE} --explain --img_dir --report --sample --strict --train_dir --weights"
TRAIN = (
    f"{MACHINE} --allow_overlap --backbone --conditions --config --data_dir --epochs --extra_data --frame --img_size "
    "--init --lr --patience --pool --resume --run_dir --weight_decay"
)
FLAGS = {
    "comsys-hackathon-taskA/test.py": f"{TEST} --conditions_from --labels --normalize",
    "comsys-hackathon-taskB/test.py": f"{TEST} --baseline --faces_only --far --gallery --nearest --pairs",
    "comsys-hackathon-taskA/train.py": f"{TRAIN} --balance --collages --conditions_from --gamma --glare --head_lr "
    "--smoothing",
    "comsys-hackathon-taskB/train.py": f"{TRAIN} --margin",
    "facecom/export.py": "--output --task --weights",
    "app.py": "--browser --no-browser --port",
}
DATA_FLAGS = "--archive --sample --quiet"


def crops() -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)


def answers_of_0_1_0(name: str) -> list[np.ndarray]:
    return [np.array(part) for part in json.loads((FIXTURES / "answers.json").read_text())[name]]


@pytest.mark.parametrize("script", FLAGS)
def test_every_flag_is_still_taken(script):
    missing = set(FLAGS[script].split()) - set(module_of(ROOT / script).get_args_parser()._option_string_actions)
    assert not missing


@pytest.mark.parametrize("task", "AB")
def test_the_download_commands_take_their_flags(task):
    from facecom.commands import download

    here = ROOT / f"comsys-hackathon-task{task}"
    assert set(DATA_FLAGS.split()) <= set(download.data_arguments(task, here)._option_string_actions)
    assert "--quiet" in download.weights_arguments(task, here)._option_string_actions


def test_public_names():
    import facecom
    from facecom.conditions import CONDITIONS, Distort, distort

    for name in ("FaceVerifier", "Verification", "GenderPredictor", "FacecomError"):
        assert isinstance(getattr(facecom, name), type)
    photo = np.full((32, 32, 3), 128, np.uint8)
    for name in CONDITIONS[1:]:
        assert distort(photo, name, 3, seed=1).shape == photo.shape
    assert Distort(p=1.0)(image=photo)["image"].shape == photo.shape


def test_the_light_modules_load_no_network():
    """Names, distortions and figures may be used without waiting for torch."""
    code = "import sys, facecom.conditions.distortions, facecom.evaluation.metrics; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_python_m_facecom_export(tmp_path):
    pytest.importorskip("onnxscript")
    words = ["--task", "gender", "--weights", str(FIXTURES / "gender_0.1.0.pt"), "--output", str(tmp_path / "g.onnx")]
    done = subprocess.run(
        [sys.executable, "-m", "facecom.export", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    exported = loading.load(tmp_path / "g.onnx", "gender").forward(crops())
    assert exported[0] == pytest.approx(answers_of_0_1_0("gender_0.1.0.pt")[0], abs=1e-4)


@pytest.mark.parametrize("name", ["siamese_0.1.0.pt", "siamese_0.1.0.onnx", "gender_0.1.0.pt"])
def test_weight_files_answer_as_before(name):
    if name.endswith(".onnx"):
        pytest.importorskip("onnxruntime")
    member = loading.load(FIXTURES / name, name.split("_")[0])
    found = member.forward(crops())
    expected = answers_of_0_1_0(name)
    assert len(found) == len(expected)
    assert found[0][..., :6] == pytest.approx(expected[0], abs=2e-5)  # an embedding's first numbers; probabilities
    if member.task == "siamese":
        assert found[1] == pytest.approx(expected[1], abs=2e-5)  # quality
        assert [(p["far"], p["threshold"]) for p in member.operating_points] == [(1e-3, 1.1), (1e-4, 1.0)]
        assert member.limits == {"face_confidence": 0.2, "quality": 0.3}
    else:
        assert member.operating_points[0]["threshold"] == 0.45
        assert member.limits == {"face_confidence": 0.2}


def test_what_an_old_gender_file_adds_for_white_is_still_added():
    found = loading.load(FIXTURES / "gender_0.1.0.pt", "gender").forward(np.full((1, 64, 64, 3), 255, np.uint8))
    assert found[0] == pytest.approx(answers_of_0_1_0("gender_0.1.0.pt white")[0], abs=2e-5)


def test_an_old_weight_file_is_a_start_for_training(sample_a, here):
    flags = ["--data_dir", sample_a, "--init", FIXTURES / "gender_0.1.0.pt", "--epochs", "1", "--workers", "0"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert run("A", *flags, "--glare", "3", "--collages", "12", "--allow_overlap", script="train") == 0
    assert (here / "weights" / "best_convnext_gender_model.pth").is_file()


@pytest.mark.parametrize("task, weights", [("A", "gender_0.1.0.pt"), ("B", "siamese_0.1.0.pt")])
def test_the_test_scripts_take_old_weights(task, weights, sample_a, sample_b, here):
    folder = {"A": sample_a, "B": sample_b}[task] / "val"
    extra = ["--faces_only"] if task == "B" else []
    assert run(task, "--img_dir", folder, "--weights", FIXTURES / weights, "--workers", "0", *extra) == 0
    assert (here / "submission.csv").is_file()


def test_a_run_that_0_1_0_began_is_refused_in_one_line(sample_a, here, capsys):
    folder = here / "runs" / "old"
    folder.mkdir(parents=True)
    shutil.copy(FIXTURES / "gender_0.1.0.pt", folder / "last.pt")
    flags = ["--data_dir", sample_a, "--run_dir", folder, "--resume", "--backbone", "test_convnext", "--init", "none"]
    assert run("A", *flags, "--img_size", "64", "--pool", "map", "--workers", "0", script="train") != 0
    said = capsys.readouterr().err.strip().splitlines()
    assert len([line for line in said if "last.pt" in line and "start anew with another --run_dir" in line]) == 1
    assert not any("Traceback" in line for line in said)
    assert (folder / "last.pt").read_bytes() == (FIXTURES / "gender_0.1.0.pt").read_bytes()
