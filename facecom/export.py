"""`python -m facecom.export`: see `facecom/models/export.py`."""

from facecom import signals

if __name__ == "__main__":
    signals.end_in_one_line()  # while the rest is imported

from facecom import cli  # noqa: E402
from facecom.models.export import export, get_args_parser, main  # noqa: E402

__all__ = ["export"]

if __name__ == "__main__":
    cli.run(main, get_args_parser())
