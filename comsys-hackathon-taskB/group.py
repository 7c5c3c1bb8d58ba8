"""Whose photos are these? Sorts the faces of a folder into people; the photos stay where they are.

python group.py --img_dir photos                             groups.csv: filename,face,person,distance,...
python group.py --img_dir photos --report sheet              and a contact sheet, a row a person
python group.py --img_dir photos --gallery people            people/<name>/*.jpg are known by name, others by number
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from facecom import signals  # noqa: E402

if __name__ == "__main__":
    signals.end_in_one_line()  # while the rest is imported

import argparse  # noqa: E402
from pathlib import Path  # noqa: E402

from facecom import cli  # noqa: E402
from facecom.commands import group  # noqa: E402

HERE = Path(__file__).resolve().parent


def get_args_parser() -> argparse.ArgumentParser:
    return group.arguments(__doc__)


def main(args: argparse.Namespace) -> int:
    return group.main(args, HERE)


if __name__ == "__main__":
    cli.run(main, get_args_parser(), last=True)
