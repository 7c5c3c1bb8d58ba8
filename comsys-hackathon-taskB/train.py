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
from facecom.training import recipes  # noqa: E402

BEST = "best_siamese_convnext.pt"


def get_args_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[recipes.training_arguments("siamese", HERE / "data" / "Task_B", BEST), cli.shared_arguments()],
    )
    group = parser.add_argument_group("Task B")
    for name, meaning in (("lr", "learning rate"), ("margin", "distance that two people are pushed apart to")):
        known, new = recipes.FROM_ENCODER[name], recipes.FROM_NOTHING[name]
        default = f"(default: {known} from the shipped encoder or a checkpoint, {new} from imagenet or none)"
        group.add_argument(f"--{name}", type=float, help=f"{meaning} {default}")
    parser.set_defaults(**recipes.SIAMESE["facecom"])
    return parser


def main(args: argparse.Namespace) -> None:
    from facecom.training.loop import run
    from facecom.training.siamese import SiameseJob  # here, so that --help is instant

    best = run(SiameseJob, recipes.resolve(args, "siamese"))
    print(f"best epoch {best['epoch']}: {args.output}")


if __name__ == "__main__":
    cli.run(main, get_args_parser(), recipes=recipes.SIAMESE)
