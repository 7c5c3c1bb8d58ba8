"""Task A's `test.py`: male or female?"""

import argparse
from pathlib import Path

from facecom import cli
from facecom.commands import testing
from facecom.errors import FacecomError


def main(args: argparse.Namespace, here: Path) -> int:
    """Exit code. here: the folder beside which `weights/` and `test_data/` are looked for."""
    from facecom.data.folders import photo_folder

    args.img_dir = photo_folder(args.img_dir or here / "test_data", "A")
    if not args.sample:
        return answer(args, here)
    with testing.sample("A") as folder:
        return answer(argparse.Namespace(**vars(args) | {"img_dir": folder, "conditions_from": None}), here)


def answer(args: argparse.Namespace, here: Path) -> int:
    from facecom.data import folders
    from facecom.inference import gender, submission

    testing.refuse_beside_all_faces(args)
    testing.refuse_pictures_among_photos(args)
    # A wrong folder is said before the network is loaded.
    photos = getattr(args, "photos", None)
    table = folders.listed_table(photos).assign(gender="") if photos else folders.task_a_table(args.img_dir)
    if not table.gender.all() and (args.report or args.conditions_from):
        flag = "--report" if args.report else "--conditions_from"
        raise FacecomError(f"{flag}: scores need to know the gender: give --img_dir a folder of male/ and female/")
    copies = folders.labelled_copies(table, args.conditions_from) if args.conditions_from else None
    network, options = testing.set_up(args, "gender", here, args.normalize)
    threshold = gender.threshold_of(network)
    print(f"female from a probability of {threshold:.3f} on")
    if args.faces == "all":
        from facecom.inference import faces

        return testing.finish(args, faces.write_gender_faces(table, network, threshold, args.output, **options))
    written = submission.write_genders(table, network, threshold, args.output, **options)
    if table.gender.all():
        written.skipped += score(args, table, written.values, copies, network, threshold, options)
    code = testing.finish(args, written)
    if args.explain:
        from facecom.report import explain

        p_female = written.values[:, 0]  # type: ignore[index]
        explain.write_genders(args.explain, network, table.assign(p_female=p_female), threshold)
        print(f"wrote {args.explain / 'explain.csv'} and its pictures")
    return code


def score(args, table, values, copies, network, threshold, options) -> list[tuple[str, str]]:
    """Scores of the photos and their copies; returns (file, reason) of the copies that could not be read."""
    import numpy as np
    import pandas as pd

    from facecom.evaluation import protocols, scoring
    from facecom.inference import gender, pipeline
    from facecom.report import build

    skipped = []
    if copies is not None:
        answers, unread = pipeline.collect(copies.path.to_list(), network, **options)
        skipped = [(copies.file.iloc[row], reason) for row, reason in unread]
        verdict = gender.verdicts(answers, network, threshold)
        table = pd.concat([table, copies], ignore_index=True)
        values = np.concatenate([values, np.stack([answers.outputs, verdict], 1)])
    p_female, verdict = values.T
    rows = protocols.gender(table, p_female, threshold, unsure=np.isnan(verdict), seed=args.seed)
    scoring.show(rows, args.report)
    print(f"\n{scoring.confusion(table.gender, verdict)}\n")
    if args.report:
        weights = f"Weights: {network.describe()}."
        audit = testing.audited(args, table, "gender")
        path = build.write_gender_report(
            args.report, rows, table, p_female, verdict, threshold, weights=weights, drawn=args.sample, audit=audit
        )
        print(f"wrote {path}")
    return skipped


def arguments(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[testing.arguments(), cli.shared_arguments()],
    )
    group = parser.add_argument_group("Task A")
    group.add_argument("--conditions_from", type=Path, metavar="DIR", help="a split of Task B: the distorted copies of "
                       "the same photos there are judged too, per condition")  # fmt: skip
    group.add_argument("--labels", type=Path, metavar="CSV", help="with --train_dir: two versions of the labels, "
                       "split,file,gender,second_opinion; the report lists where they differ")  # fmt: skip
    group.add_argument("--normalize", action="store_true", help="published weights: normalise photos as their training "
                       "did and their own test did not")  # fmt: skip
    # For few photos, starting processes takes longer than they save: None lets the pipeline decide.
    parser.set_defaults(workers=None)
    return parser
