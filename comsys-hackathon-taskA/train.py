"""Train the gender network of Task A on folders `male/` and `female/`.

python train.py                                   # data/Task_A beside this file, from the shipped encoder
python train.py --data_dir my_photos --extra_data heads.parquet more_photos
python train.py --conditions_from ../comsys-hackathon-taskB/data/Task_B/train    # real bad conditions beside simulated
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
    return training.arguments("gender", HERE, __doc__)


def main(args: argparse.Namespace) -> None:
    training.train(args, "gender")


if __name__ == "__main__":
    cli.run(main, get_args_parser(), recipes=training.RECIPES["gender"])
