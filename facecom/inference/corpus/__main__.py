"""`python -m facecom.inference.corpus`."""

from facecom import cli
from facecom.inference.corpus.command import get_args_parser, main

if __name__ == "__main__":
    cli.run(main, get_args_parser())
