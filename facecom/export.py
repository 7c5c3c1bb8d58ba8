"""`python -m facecom.export`: see `facecom/models/export.py`."""

from facecom import cli
from facecom.models.export import export, get_args_parser, main

__all__ = ["export"]

if __name__ == "__main__":
    cli.run(main, get_args_parser())
