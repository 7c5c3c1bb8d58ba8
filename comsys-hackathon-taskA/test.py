"""Male or female? Writes a CSV of answers, and scores where the folders say who is which.

python test.py --sample                                        drawn people, to check the installation
python test.py --img_dir photos                                a flat folder: a row a photo
python test.py --img_dir data/Task_A/val                       male/ and female/: scores too
python test.py --img_dir data/Task_A/val --conditions_from data/Task_B/val    scores per condition
"""

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from facecom import cli  # noqa: E402
from facecom.commands import gender  # noqa: E402


def get_args_parser() -> argparse.ArgumentParser:
    return gender.arguments(__doc__)


def main(args: argparse.Namespace) -> int:
    return gender.main(args, HERE)


if __name__ == "__main__":
    cli.run(main, get_args_parser())
