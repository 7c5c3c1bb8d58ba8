"""Train the Siamese network of Task B on folders of people.

python train.py                                   # data/Task_B beside this file, from the shipped encoder
python train.py --data_dir my_photos --epochs 20  # my_photos/train/<identity>/*.jpg, and val/ where there is one
python train.py --recipe published                # as the published solution was trained
"""

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from facecom import cli  # noqa: E402
from facecom.commands import training  # noqa: E402


def get_args_parser() -> argparse.ArgumentParser:
    return training.arguments("siamese", HERE, __doc__)


def main(args: argparse.Namespace) -> None:
    training.train(args, "siamese")


if __name__ == "__main__":
    cli.run(main, get_args_parser(), recipes=training.RECIPES["siamese"])
