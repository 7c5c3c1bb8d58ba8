"""Male or female? Writes a CSV of answers, and scores where the folders say who is which.

python test.py --sample                                        drawn people, to check the installation
python test.py --img_dir photos                                a flat folder: a row a photo
python test.py --img_dir data/Task_A/val                       male/ and female/: scores too
python test.py --img_dir data/Task_A/val --conditions_from data/Task_B/val    scores per condition
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
from facecom.commands import gender  # noqa: E402

HERE = Path(__file__).resolve().parent


def get_args_parser() -> argparse.ArgumentParser:
    return gender.arguments(__doc__)


def main(args: argparse.Namespace) -> int:
    return gender.main(args, HERE)


if __name__ == "__main__":
    cli.run(main, get_args_parser(), last=True)
