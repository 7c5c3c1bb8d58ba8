"""`python -m facecom.inference.corpus`."""

from facecom import signals

if __name__ == "__main__":
    signals.end_in_one_line()  # while the rest is imported

from facecom import cli  # noqa: E402
from facecom.inference.corpus.command import get_args_parser, main  # noqa: E402

if __name__ == "__main__":
    cli.run(main, get_args_parser())
