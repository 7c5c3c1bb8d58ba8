"""The console command `facecom`: what the scripts do, from any folder.

facecom verify ann.jpg unknown.jpg        the same person?
facecom identify photos --gallery people  who of these people is on each photo?
facecom enroll people                     remember them: identify photos --gallery people.lance
facecom gender photos                     male or female?
facecom group photos                      whose photos are these?
facecom corpus photos --output faces      every face of very many photos, as Parquet files
facecom train siamese --data_dir people   train on one's own photos
facecom report siamese people             every score of a folder of people, as one HTML file
facecom export --task siamese --output siamese.onnx
facecom serve                             a page in the browser

`facecom COMMAND --help` lists the flags. `--json` prints the answers for other programs.
Completion of flags by Tab: pip install "facecom[completion]", then  eval "$(register-python-argcomplete facecom)"
"""

import argparse
import contextlib
import csv
import json
import math
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facecom import cli
from facecom.commands import enroll, gender, group, recognition, training, verify
from facecom.inference.corpus import command as corpus
from facecom.inference.people.clips import is_video
from facecom.models import export
from facecom.page import serve

#: Where `weights/`, `data/` and `test_data/` are looked for: here.
HERE = Path()


@dataclass(frozen=True)
class Command:
    """words: what calls it; help: one line; parser: makes its flags; main: prints what people read and returns an exit
    code, what `--json` prints, or both; rows: whether it writes a CSV at `--output`, whose rows `--json` prints."""

    words: tuple[str, ...]
    help: str
    parser: Callable[[], argparse.ArgumentParser]
    main: Callable[[argparse.Namespace], Any]
    rows: bool = False
    recipes: Mapping | None = None
    json: bool = True


def identify_arguments() -> argparse.ArgumentParser:
    parser = with_photos(recognition.arguments(
        "Who is on each photo?\n\n"
        "    facecom identify photos --gallery people     people/<name>/*.jpg are known\n"
        "    facecom identify a.jpg b.jpg --gallery people\n"
        "    facecom identify clip.mp4 --gallery people   who comes, from when to when\n"
        "    facecom identify people                      each photo among the others, and scores\n"
        "    facecom identify --pairs pairs.csv           image1,image2: the same person?"
    ))  # fmt: skip
    return parser


def gender_arguments() -> argparse.ArgumentParser:
    return with_photos(gender.arguments(
        "Male or female, as the data sets label it: perceived from a photo.\n\n"
        "    facecom gender photos                        a folder\n"
        "    facecom gender a.jpg b.jpg --json"
    ))  # fmt: skip


def group_arguments() -> argparse.ArgumentParser:
    parser = group.arguments(
        "Whose photos are these? A folder's faces into people; the photos stay where they are.\n\n"
        "    facecom group photos --report sheet          groups.csv, and a contact sheet\n"
        "    facecom group photos --gallery people        people/<name>/*.jpg are known by name"
    )
    parser.add_argument("photos", nargs="?", type=Path, help="the folder (as --img_dir)")
    return parser


def enroll_arguments() -> argparse.ArgumentParser:
    parser = enroll.arguments(
        "Known people, in a gallery that stays: each photo is looked at once.\n\n"
        "    facecom enroll people                        people/<name>/*.jpg, into people.lance\n"
        "    facecom enroll ann.jpg --name Ann            one person's photo, or folder\n"
        "    facecom enroll --list\n"
        "    facecom enroll --remove Ann\n"
        "    facecom identify photos --gallery people.lance"
    )
    parser.add_argument("photos", nargs="?", type=Path, help="the folder or photo (as --img_dir)")
    return parser


def add_people(args: argparse.Namespace) -> tuple[int, dict]:
    args.img_dir = args.photos or args.img_dir
    return enroll.main(args, HERE)


def sort_photos(args: argparse.Namespace) -> int:
    args.img_dir = args.photos or args.img_dir
    return group.main(args, HERE)


def with_photos(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("photos", nargs="*", type=Path, help="photos, or one folder of them (as --img_dir)")
    return parser


def report_arguments(task: str) -> argparse.ArgumentParser:
    what = {"siamese": (recognition, "people/<name>/*.jpg"), "gender": (gender, "people/male/*.jpg, people/female/")}
    module, layout = what[task]
    parser = with_photos(module.arguments(
        f"Every score of a folder that says who is who ({layout}): report.html and metrics.csv.\n\n"
        f"    facecom report {task} people --report report"
    ))  # fmt: skip
    parser.set_defaults(report=Path("report"))
    return parser


def answer(module, args: argparse.Namespace) -> int:
    if len(args.photos) == 1 and (args.photos[0].is_dir() or is_video(args.photos[0])):
        args.img_dir, args.photos = args.photos[0], []
    elif args.photos:
        args.img_dir = Path()  # what they are named from
    return module.main(args, HERE)


def report(module, args: argparse.Namespace) -> dict | int:
    """What `--json` prints: the rows of metrics.csv."""
    code = answer(module, args)
    return code or {"report": str(args.report / "report.html"), "metrics": rows_of(args.report / "metrics.csv")}


def train(task: str, args: argparse.Namespace) -> dict:
    return {"weights": str(args.output), "best": training.train(args, task)}


COMMANDS = (
    Command(("verify",), "do two photos show the same person?", verify.arguments, verify.main),
    Command(("identify",), "who is on each photo?", identify_arguments, lambda args: answer(recognition, args), True),
    Command(("enroll",), "remember people in a gallery that stays", enroll_arguments, add_people),
    Command(("gender",), "male or female?", gender_arguments, lambda args: answer(gender, args), True),
    Command(("group",), "whose photos are these?", group_arguments, sort_photos, True),
    Command(("corpus",), "every face of very many photos, as Parquet files", corpus.get_args_parser, corpus.main),
    *(
        Command(
            ("train", task),
            f"train the {task} network on one's own photos",
            lambda task=task: training.arguments(task, HERE, f"Train the {task} network.\n\n    facecom train {task} "
                                                             "--data_dir people --epochs 20"),
            lambda args, task=task: train(task, args),
            recipes=training.RECIPES[task],
        )
        for task in ("siamese", "gender")
    ),
    *(
        Command(
            ("report", task),
            f"every score of the {task} network on a folder that says who is who",
            lambda task=task: report_arguments(task),
            lambda args, module=module: report(module, args),
        )
        for task, module in (("siamese", recognition), ("gender", gender))
    ),
    Command(("export",), "a checkpoint as an ONNX file", export.get_args_parser, export.main),
    Command(("serve",), "a page in the browser, on this machine only",
            lambda: serve.arguments("A page in the browser, on this machine only.\n\n    facecom serve --port 7860"),
            serve.main, json=False),
)  # fmt: skip


def main(argv: Sequence[str] | None = None, last: bool = False) -> None:
    """Entry point: leaves the process, as `cli.run` does. last: see there."""
    argv = list(sys.argv[1:] if argv is None else argv)
    with contextlib.suppress(ImportError):  # without it, Tab completes nothing
        import argcomplete

        argcomplete.autocomplete(tree())
    for command in COMMANDS:
        count = len(command.words)
        if tuple(argv[:count]) == command.words:
            cli.run(lambda args, c=command: run(c, args), parser_of(command), argv[count:], command.recipes, last)
    cli.run(lambda args: 2, tree(), argv or ["--help"])  # says what there is, or what is wrong


def parser_of(command: Command) -> argparse.ArgumentParser:
    parser = command.parser()
    parser.prog = " ".join(("facecom", *command.words))
    if command.json:
        parser.add_argument("--json", action="store_true", help="print the answers as JSON, all else to stderr")
    return parser


def tree() -> argparse.ArgumentParser:
    """All commands as one parser: for `--help` and for completion."""
    top = argparse.ArgumentParser(prog="facecom", description=__doc__, formatter_class=cli.HelpFormatter)
    places: dict[tuple[str, ...], argparse._SubParsersAction] = {
        (): top.add_subparsers(metavar="COMMAND", required=True)
    }
    for command in COMMANDS:
        *above, last = command.words
        for depth in range(1, len(command.words)):
            words = command.words[:depth]
            if words not in places:
                group = places[words[:-1]].add_parser(words[-1], help="of the siamese or the gender network")
                places[words] = group.add_subparsers(metavar="TASK", required=True)
        flags = parser_of(command)
        places[tuple(above)].add_parser(
            last, help=command.help, description=flags.description, parents=[flags], add_help=False
        )
    return top


def run(command: Command, args: argparse.Namespace) -> int:
    """Exit code of a command; with `--json` its answers go to stdout and what people read to stderr."""
    if not getattr(args, "json", False):
        return code_of(command.main(args))
    with tempfile.TemporaryDirectory() as folder:
        if command.rows and args.output in (Path("submission.csv"), Path("groups.csv")):
            args.output = Path(folder) / args.output  # nobody asked for a file
        with contextlib.redirect_stdout(sys.stderr):
            found = command.main(args)
        code = code_of(found)
        found = found[1] if isinstance(found, tuple) else found
        if command.rows:
            skipped = Path(f"{args.output}.skipped.csv")
            found = {"answers": rows_of(args.output), "skipped": rows_of(skipped) if skipped.exists() else []}
    print(json.dumps(plain(found), indent=2))
    return code


def code_of(found: Any) -> int:
    """The exit code in what a command's `main` returns."""
    found = found[0] if isinstance(found, tuple) else found
    return found if isinstance(found, int) else 0


def rows_of(path: Path) -> list[dict]:
    """A CSV as JSON has it: numbers as numbers, empty as null, `same` as true or false."""
    with open(path, newline="", encoding="utf-8") as file:
        return [{name: value_of(name, text) for name, text in row.items()} for row in csv.DictReader(file)]


def value_of(name: str, text: str) -> str | float | bool | None:
    if text == "":
        return None
    if name == "same":
        return text == "1"
    if name in TEXTS:
        return text
    try:
        return float(text) if "." in text or "e" in text else int(text)
    except ValueError:
        return text


#: Columns that are text even where they look like a number.
TEXTS = frozenset(
    ("filename", "person", "image1", "image2", "identity", "gender", "reason", "protocol", "condition", "metric")
)


def plain(value: Any) -> Any:
    """Numbers that JSON does not have (NaN) as null, numpy's as Python's, paths as text."""
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value
