"""Train the gender network of Task A on folders `male/` and `female/`.

python train.py                                   # data/Task_A beside this file, from the shipped encoder
python train.py --data_dir my_photos --extra_data heads.parquet more_photos
python train.py --conditions_from ../comsys-hackathon-taskB/data/Task_B/train    # real bad conditions beside simulated
python train.py --recipe published                # as the published solution was trained
"""

import argparse
import sys
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from facecom import cli  # noqa: E402
from facecom.errors import FacecomWarning  # noqa: E402
from facecom.training import recipes  # noqa: E402

BEST = "best_convnext_gender_model.pth"


def get_args_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[recipes.training_arguments("gender", HERE / "data" / "Task_A", BEST), cli.shared_arguments()],
    )
    group = parser.add_argument_group("Task A")
    group.add_argument(
        "--conditions_from",
        type=Path,
        metavar="DIR",
        help="a split of Task B, such as data/Task_B/train: the distorted copies of the training photos train too",
    )
    group.add_argument("--lr", type=float, help="learning rate of the backbone (default: %(default)s)")
    group.add_argument(
        "--head_lr", type=float, help="learning rate of the classifier on top of it (default: %(default)s)"
    )
    group.add_argument("--gamma", type=float, default=2.0, help="focus of the focal loss on hard photos")
    group.add_argument("--smoothing", type=float, default=0.1, help="label smoothing, for some labels are wrong")
    group.add_argument(
        "--balance",
        choices=recipes.BALANCES,
        default="auto",
        help="of men and women: draw as many of each, weigh the rarer, or nothing; auto looks at the counts",
    )
    # Flags of 0.1.0, so that old commands and args.yaml files still run.
    group.add_argument("--glare", type=int, help=argparse.SUPPRESS)
    group.add_argument("--collages", type=int, help=argparse.SUPPRESS)
    parser.set_defaults(**recipes.GENDER["facecom"])
    return parser


def main(args: argparse.Namespace) -> None:
    if args.glare or args.collages:
        warnings.warn(
            "--glare and --collages are of version 0.1.0 and do nothing any more", FacecomWarning, stacklevel=1
        )
    from facecom.training.gender import GenderJob  # here, so that --help is instant
    from facecom.training.loop import run

    best = run(GenderJob, recipes.resolve(args, "gender"))
    print(f"best epoch {best['epoch']}: {args.output}")


if __name__ == "__main__":
    cli.run(main, get_args_parser(), recipes=recipes.GENDER)
