import gc

import pytest

from facecom.commands import gender, testing


@pytest.mark.parametrize(("asked", "batch_size"), [([], 64), (["--batch_size", "5"], 5)])
def test_photos_at_once(asked, batch_size, tmp_path, capsys):
    args = gender.arguments("").parse_args(["--device", "cpu", "--output", str(tmp_path / "out.csv"), *asked])
    _, options = testing.set_up(args, "gender", tmp_path)
    assert options["batch_size"] == batch_size
    assert gc.isenabled() and gc.get_freeze_count()  # off while libraries are imported, and only then
