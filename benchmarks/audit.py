"""What is wrong with a data set: people, files and look-alikes on both sides, doubtful labels -> results/audit.csv.

    python benchmarks/audit.py --data_dir data/Task_B --labels gender.csv
    python benchmarks/audit.py --data_dir data/Task_B --labels gender.csv --edgeface edgeface_xs_q.pt
    python benchmarks/audit.py --data_dir data/Task_B --onnx mobilefacenet.onnx --align yunet --detector_model FILE

A row a finding: `kind,train,val,detail` (`facecom.data.audit`). Faces are compared by the shipped weights, or by any
other embedder: the better the judge, the more it finds.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from facecom import cli  # noqa: E402
from facecom.data import folders  # noqa: E402
from facecom.data.images import CROP_SIZE  # noqa: E402
from facecom.errors import FacecomError  # noqa: E402
from facecom.evaluation import split_audit  # noqa: E402
from facecom.files import write_whole  # noqa: E402
from facecom.models.onnx import foreign  # noqa: E402
from facecom.models.published import IMAGENET_MEAN, IMAGENET_STD  # noqa: E402


def embedder(args: argparse.Namespace):
    """The ensemble that the flags name."""
    from facecom.inference import ensemble

    device = cli.pick_device(args.device)
    options = {"detector_model": args.detector_model, "device": device, "amp": cli.pick_amp(args.amp, device)}
    if args.onnx:
        return ensemble.Ensemble([foreign(args.onnx, IMAGENET_MEAN, IMAGENET_STD)], args.align, **options)
    if args.edgeface:
        return ensemble.Ensemble([edgeface(args.edgeface)], args.align, **options)
    return ensemble.load([args.weights], "siamese", align=args.align, **options)


def edgeface(path: str):
    """EdgeFace, which looks at each face and its mirror image, as the library runs networks."""
    from facecom.models.loading import Runner
    from pretraining.targets.teachers import of_both, open_teacher

    look = open_teacher(path)

    def forward(crops):
        return of_both(look, crops), np.full(len(crops), np.nan, np.float32)

    return Runner("siamese", Path(path), forward, {"size": CROP_SIZE, "align": "finder"})


def main(args: argparse.Namespace) -> None:
    splits = folders.split_folders(args.data_dir, "B")
    if splits[1] is None:
        raise FacecomError(f"{args.data_dir}: no folder `val` to compare `train` with")
    tables = [folders.task_b_table(folder) for folder in splits]
    labels = split_audit.read_labels(args.labels) if args.labels else None
    options = {"batch_size": args.batch_size, "workers": args.workers, "progress": None if args.quiet else "photos"}
    found = split_audit.audit_splits(*tables, embedder(args), labels, **options)
    print(f"{len(tables[0]):,} and {len(tables[1]):,} files")
    for kind, count in found["kind"].value_counts().items():
        print(f"{count:6,}  {kind}")
    if found.empty:
        print("nothing found")
    with write_whole(args.output, newline="") as file:
        found.to_csv(file, index=False)
    print(f"wrote {args.output}")


def get_args_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, parents=[cli.shared_arguments()]
    )
    group = parser.add_argument_group("audit")
    group.add_argument("--data_dir", type=Path, required=True, help="Task B: holds train/ and val/")
    group.add_argument("--labels", help="CSV of two versions of the gender: split,file,gender,second_opinion")
    group.add_argument("--weights", help="checkpoint that compares faces (default: the shipped one)")
    group.add_argument("--onnx", help="an ONNX face embedder instead (112 px, ImageNet mean and std)")
    group.add_argument("--edgeface", metavar="FILE", help="the state dict of an EdgeFace instead")
    group.add_argument("--batch_size", type=int, default=64, help="photos that the network sees at once")
    group.add_argument("--output", type=Path, default=Path("results/audit.csv"), help="CSV file to write")
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
