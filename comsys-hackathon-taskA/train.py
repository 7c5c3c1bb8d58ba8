"""Train the gender network of Task A on folders `male/` and `female/`.

python train.py                                   # data/Task_A beside this file, from the shipped encoder
python train.py --data_dir my_photos --extra_data heads.parquet more_photos
python train.py --conditions_from ../comsys-hackathon-taskB/data/Task_B/train    # real bad conditions beside simulated
python train.py --recipe published                # as the published solution was trained
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
from facecom.commands import training  # noqa: E402

HERE = Path(__file__).resolve().parent


def get_args_parser() -> argparse.ArgumentParser:
    return training.arguments("gender", HERE, __doc__)


def main(args: argparse.Namespace) -> None:
    training.train(args, "gender")


if __name__ == "__main__":
    cli.run(main, get_args_parser(), recipes=training.RECIPES["gender"])
