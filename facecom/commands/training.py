"""What both `train.py` do: the flags of a task, and its run."""

import argparse
import warnings
from pathlib import Path

from facecom import cli
from facecom.errors import FacecomWarning
from facecom.training import recipes

#: The weights that a run leaves in `weights/`.
BEST = {"gender": "best_convnext_gender_model.pth", "siamese": "best_siamese_convnext.pt"}

#: Where the data of a task lie, below `data/`.
FOLDER = {"gender": "Task_A", "siamese": "Task_B"}

RECIPES: dict[str, dict[str, dict]] = {"gender": recipes.GENDER, "siamese": recipes.SIAMESE}


def arguments(task: str, here: Path, description: str) -> argparse.ArgumentParser:
    """task: `gender` or `siamese`; here: the folder whose `data/` is trained on by default."""
    shared = recipes.training_arguments(task, here / "data" / FOLDER[task], BEST[task])
    parser = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[shared, cli.shared_arguments()],
    )
    {"gender": _gender_arguments, "siamese": _siamese_arguments}[task](parser)
    parser.set_defaults(**RECIPES[task]["facecom"])
    return parser


def _gender_arguments(parser: argparse.ArgumentParser) -> None:
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


def _siamese_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("Task B")
    for name, meaning in (("lr", "learning rate"), ("margin", "distance that two people are pushed apart to")):
        known, new = recipes.FROM_ENCODER[name], recipes.FROM_NOTHING[name]
        default = f"(default: {known} from the shipped encoder or a checkpoint, {new} from imagenet or none)"
        group.add_argument(f"--{name}", type=float, help=f"{meaning} {default}")
    group.add_argument(
        "--adapt",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="first adapt the network to the training people in closed form, in seconds; --epochs 0 does only that",
    )
    group.add_argument(
        "--layers",
        choices=("all", "top"),
        default="all",
        help="what learns in a network that knows people: all, earlier layers the slower, or the projection alone",
    )
    group.add_argument(
        "--guard", type=Path, metavar="DIR", help="identity folders of other origin: shows what training costs there"
    )


def train(args: argparse.Namespace, task: str) -> dict:
    """Runs it and says where the best weights are; returns the figures of the best epoch."""
    if getattr(args, "glare", None) or getattr(args, "collages", None):
        warnings.warn(
            "--glare and --collages are of version 0.1.0 and do nothing any more", FacecomWarning, stacklevel=1
        )
    from facecom.training import distributed  # here, so that --help is instant
    from facecom.training.finetuning import unlabelled
    from facecom.training.gender import GenderJob
    from facecom.training.loop import run
    from facecom.training.siamese import SiameseJob

    job = GenderJob if task == "gender" else SiameseJob
    with distributed.joined(args.device):
        args = recipes.resolve(args, task)
        loose = unlabelled.folder_of(args.data_dir) if task == "siamese" else None
        best = unlabelled.run(args, loose) if loose else run(job, args)
        print(f"best epoch {best['epoch']}: {args.output}")
    return best
