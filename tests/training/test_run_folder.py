"""The folder of a run: what is in it already is nobody's to replace."""

import pytest

from facecom.errors import FacecomError
from facecom.training.run_folder import WRITTEN, open_run


def test_a_new_folder_and_one_with_other_files_are_taken(tmp_path):
    (tmp_path / "notes.txt").touch()
    (tmp_path / "args.yaml").touch()  # of a run that was cut before its first checkpoint
    assert open_run(tmp_path, False) is None and open_run(tmp_path / "new", False) is None


@pytest.mark.parametrize("name", WRITTEN)
def test_files_of_others_are_not_replaced(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(FacecomError, match=f"holds {name} already.*: choose another --run_dir"):
        open_run(tmp_path, False)
    assert (tmp_path / name).read_text() == "mine"


def test_a_run_goes_on_or_is_refused(tmp_path, capsys):
    assert open_run(tmp_path, True) is None and "nothing to resume" in capsys.readouterr().out
    (tmp_path / "last.pt").touch()
    assert open_run(tmp_path, True) == tmp_path / "last.pt"
    with pytest.raises(FacecomError, match="--resume goes on with it"):
        open_run(tmp_path, False)
