"""The results tables of README.md, MODEL_CARD.md and docs/, generated from the committed CSV files between markers.

python benchmarks/tables.py            # write them
python benchmarks/tables.py --check    # fail when one is out of date (CI)

A table stands between `<!-- table: NAME -->` and `<!-- /table -->`. NAME is `finder`, a function under TABLES, or
`csv FILE column=value ...`: a small CSV file, its path relative to the repository, or those lines of it.
"""

import argparse
import csv
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from facecom import cli  # noqa: E402
from facecom.conditions import CONDITIONS, SIMULATED  # noqa: E402
from facecom.errors import FacecomError  # noqa: E402
from facecom.evaluation import results  # noqa: E402
from facecom.files import write_whole  # noqa: E402

FILES = ("README.md", "MODEL_CARD.md", "docs/**/*.md")
OURS, FACES_ALONE = "facecom", "facecom, faces alone"
MARKED = re.compile(r"(<!-- table: (.+?) -->\n).*?(<!-- /table -->)", re.DOTALL)

#: The six conditions of FACECOM that leave something of the face.
BAD = tuple(condition for condition in CONDITIONS if condition not in ("clean", "sunny"))

#: Lines of the summary: what it is called there, its names in accuracy.csv (of faces, of gender), and in speed.csv.
SUMMARY = (
    ("**facecom**", ("facecom", "facecom"), ""),
    ("facecom, two looks (`--mirror`)", ("facecom, photo and mirror image", ""), None),
    ("EdgeFace-XS, two looks, behind our face finder", ("EdgeFace-XS", ""), ", EdgeFace-XS"),
    ("MobileFaceNet, behind our face finder", ("mobilefacenet_ms1m_112", ""), ", MobileFaceNet"),
    ("published recipe, gender from our encoder", ("published recipe from our encoder",) * 2, ", published recipe"),
    ("untrained gradients", ("untrained gradients", ""), None),
)

Rows = dict[tuple[str, str, str, str, str], dict]


def summary(rows: Rows, speeds: dict[str, str]) -> str:
    """Ours beside what people know: TAR@FAR=1e-3 against other photos, gender, speed."""
    head = ["", "clean", "mean of six bad conditions", "rain", "gender, mean of six", "photos/s"]
    lines = []
    for label, (faces, gender_name), speed in SUMMARY:
        found = {name: align for name, align in embedders(rows) if name != faces or align in ("finder", "off")}
        face = (faces, found.get(faces, ""), "cross-photo")
        sex = (gender_name, "finder", "gender")
        cells = [
            mean(rows, face, ["clean"], "tar@far=1e-3"),
            mean(rows, face, BAD, "tar@far=1e-3"),
            mean(rows, face, ["rainy"], "tar@far=1e-3"),
            mean(rows, sex, BAD, "balanced_accuracy"),
        ]
        rate = speeds.get(f"files to embeddings{speed}")
        lines.append([label, *cells, f"{float(rate):.0f}" if rate else "-"])
    return results.markdown(head, [line for line in lines if set(line[1:]) != {"-"}])


def mean(rows: Rows, of: tuple[str, str, str], conditions: Sequence[str], metric: str) -> str:
    """The mean of a figure over conditions; a dash where one of them was not measured."""
    found = [rows.get((*of, condition, metric)) for condition in conditions]
    if not all(found):
        return "-"
    return results.figure({"metric": metric, "value": sum(row["value"] for row in found) / len(found)})


def side_by_side(rows: Rows) -> str:
    """TAR@FAR=1e-3 / rank-1 without the own photo, a column an embedder."""
    found = [e for e in embedders(rows) if e[0] != FACES_ALONE]  # differs on one photo twice only
    head = ["condition", *(f"{name}, align {align}" for name, align in found)]
    lines = [[condition, *(both(rows, e, condition) for e in found)] for condition in CONDITIONS]
    return results.markdown(head, lines)


def one_photo_twice(rows: Rows) -> str:
    """The published protocol beside the honest ones, a line an embedder, over all conditions."""
    head = ["embedder", "published accuracy", "cannot tell as not accepted", "rank-1, own photo in the gallery",
            "rank-1, own photo left out", "cross-photo TAR@FAR=1e-3"]  # fmt: skip
    lines = []
    for embedder in embedders(rows):
        always = (*embedder, "published", "all", "accuracy@rejected") not in rows  # it never says "cannot tell"
        figures = (
            ("published", "accuracy"),
            ("published", "accuracy" if always else "accuracy@rejected"),
            ("identification-own-photo", "rank1"),
            ("identification", "rank1"),
            ("cross-photo", "tar@far=1e-3"),
        )
        cells = (cell(rows, embedder, protocol, "all", metric) for protocol, metric in figures)
        lines.append([f"{embedder[0]}, align {embedder[1]}", *cells])
    return results.markdown(head, lines)


def verification(rows: Rows) -> str:
    """Our weights on Task B, per condition, with intervals."""
    figures = (
        ("cross-photo", "tar@far=1e-3"),
        ("cross-photo", "tar@far=1e-4"),
        ("cross-photo", "eer"),
        ("identification", "rank1"),
        ("identification", "rank5"),
        ("identification-own-photo", "rank1"),
        ("threshold-transfer", "far"),
        ("threshold-transfer", "tar"),
    )
    head = ["condition", "TAR@FAR=1e-3", "TAR@FAR=1e-4", "EER", "rank-1", "rank-5", "rank-1, own photo in",
            "FAR at the stored threshold", "TAR there", "genuine pairs, probes"]  # fmt: skip
    return per_condition(rows, head, figures, ("cross-photo", "auc"), ("identification", "rank1"))


def gender(rows: Rows) -> str:
    """Our weights on Task A, per condition, with intervals."""
    names = ("balanced_accuracy", "accuracy", "always_male", "macro_f1", "auc", "ece", "ece before", "accuracy male",
             "accuracy female", "accuracy second_opinion")  # fmt: skip
    head = ["condition", "balanced accuracy", "accuracy", "always `male`", "macro F1", "AUC", "calibration error",
            "before temperature", "men right", "women right", "accuracy, second labels", "photos"]  # fmt: skip
    return per_condition(rows, head, [("gender", name) for name in names], ("gender", "accuracy"))


def gender_side_by_side(rows: Rows) -> str:
    """Balanced accuracy per condition, a column a gender network."""
    found = embedders(rows, "gender")
    head = ["condition", *(f"{name}, align {align}" for name, align in found)]
    conditions = (*CONDITIONS, "all")
    lines = [[c, *(cell(rows, e, "gender", c, "balanced_accuracy", True) for e in found)] for c in conditions]
    return results.markdown(head, lines)


def gaps(rows: Rows) -> str:
    """Men and women apart, men less women, and strangers of the same gender, per condition, with intervals."""
    figures = (
        *(("cross-photo", f"tar@far=1e-3 {name}") for name in ("male", "female", "gap", "same gender")),
        ("identification", "rank1 gap"),
        ("gender", "accuracy gap"),
    )
    head = ["condition", "TAR@FAR=1e-3, men", "women", "men less women", "strangers of the same gender",
            "rank-1, men less women", "gender accuracy, men less women"]  # fmt: skip
    return per_condition(rows, head, figures)


def severities(rows: Rows) -> str:
    """TAR@FAR=1e-3 / rank-1 of our weights by simulated condition and severity."""
    levels = ("1", "2", "3", "4", "5")
    return sliced(rows, ["simulated", *levels], [(c, [f"{c}@{level}" for level in levels]) for c in SIMULATED])


def resolutions(rows: Rows) -> str:
    """TAR@FAR=1e-3 / rank-1 of our weights on clean photos made smaller."""
    found = {int(c[6:-2]) for *_, c, _ in rows if c.startswith("clean@")}
    sides = [f"clean@{side}px" for side in sorted(found, reverse=True)]
    return sliced(rows, ["longest side", *(side[6:] for side in sides)], [("clean", sides)])


TABLES = {
    function.__name__.replace("_", "-"): function
    for function in (
        side_by_side, one_photo_twice, verification, gender, gender_side_by_side, gaps, severities, resolutions
    )
}  # fmt: skip


def per_condition(rows: Rows, head: Sequence[str], figures: Sequence[tuple[str, str]], *counted) -> str:
    """Figures of our weights with intervals, and last the counts of the `counted` figures."""
    lines = []
    for condition in (*CONDITIONS, "all"):
        line = [condition]
        line += [cell(rows, ours(rows, protocol), protocol, condition, metric, True) for protocol, metric in figures]
        counts = [rows.get((*ours(rows, protocol), protocol, condition, metric)) for protocol, metric in counted]
        if counted:
            line.append(", ".join(f"{row['count']:,}" for row in counts if row))
        lines.append(line)
    return results.markdown(head, lines)


def sliced(rows: Rows, head: Sequence[str], lines: Sequence[tuple[str, list[str]]]) -> str:
    embedder = ours(rows, "cross-photo")
    found = [[name, *(both(rows, embedder, c) for c in conditions)] for name, conditions in lines]
    return results.markdown(head, found)


def both(rows: Rows, embedder: tuple[str, str], condition: str) -> str:
    tar = cell(rows, embedder, "cross-photo", condition, "tar@far=1e-3")
    return f"{tar} / {cell(rows, embedder, 'identification', condition, 'rank1')}"


def embedders(rows: Rows, protocol: str = "cross-photo") -> list[tuple[str, str]]:
    """(embedder, alignment) with rows of the protocol, ours first; not where people are left out."""
    found = dict.fromkeys((name, align) for name, align, p, *_ in rows if p == protocol and ", without " not in name)
    return sorted(found, key=lambda e: (e[0] != OURS, e))


def ours(rows: Rows, protocol: str) -> tuple[str, str]:
    found = [e for e in embedders(rows, protocol) if e[0] == OURS]
    return next((e for e in found if e[1] == "finder"), found[0] if found else (OURS, ""))


def cell(rows: Rows, embedder: tuple[str, str], protocol: str, condition: str, metric: str, interval=False) -> str:
    row = rows.get((*embedder, protocol, condition, metric))
    if row is None:
        return "-"
    text = results.figure(row)
    return f"{text} ({results.interval(row)})" if interval and results.interval(row) else text


def finder(path: Path) -> str:
    """The shipped face finder by condition, from the rows of `benchmarks/landmarks.py`."""
    rows = {
        (row["finder"], "", row["protocol"], row["condition"], row["metric"]): row
        for row in (results.read_rows(path) if path.is_file() else ())
    }
    head = ["condition", "error, one look", "failed", "error, steady", "failed",
            "failures among the 5 % of least confidence", "YuNet sees a face"]  # fmt: skip
    errors = ("error", "failed", "steady_error", "steady_failed")
    lines = []
    for condition in (*CONDITIONS, "all"):
        figures = (*(("shipped", name) for name in errors), ("shipped", "caught"), ("yunet", "seen"))
        cells = [cell(rows, (name, ""), "landmarks", condition, metric, True) for name, metric in figures]
        lines.append([condition, *cells])
    cells = [cell(rows, ("yunet mirrored", ""), "landmarks", "clean", name, True) for name in errors]
    lines.append(["clean, YuNet on the mirror image", *cells, "", ""])
    return results.markdown(head, lines)


def speeds_of(path: Path) -> dict[str, str]:
    """{measurement: photos per second}; empty without the file."""
    rows = csv.DictReader(path.read_text(encoding="utf-8").splitlines()) if path.is_file() else ()
    return {row["measurement"]: row["photos_per_second"] for row in rows}


def of_csv(path: Path, wanted: Sequence[str]) -> str:
    """The lines of a CSV file that have what is wanted, `column=value` or `column=value,value`. Raises FacecomError."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
        for column, _, values in (one.partition("=") for one in wanted):
            lines = [line for line in lines if line[column] in values.split(",")]
        head = [column for column in lines[0] if f"{column}={lines[0][column]}" not in wanted]
    except (OSError, ValueError, LookupError) as error:
        raise FacecomError(f"{path}: no CSV with {' '.join(wanted) or 'rows'}: correct the marker") from error
    return results.markdown(head, [[results.shortened(line[column]) for column in head] for line in lines])


def generated(text: str, root: Path, name: str) -> str:
    """The text with every table between markers made anew. Raises FacecomError for an unknown table."""
    rows = {
        (row["embedder"], row["align"], row["protocol"], row["condition"], row["metric"]): row
        for row in results.read_rows(root / "results" / "accuracy.csv")
    }

    def table(match: re.Match) -> str:
        kind = match[2].strip()
        if kind.startswith("csv "):
            path, *wanted = shlex.split(kind)[1:]
            return match[1] + of_csv(root / path, wanted) + match[3]
        if kind == "summary":
            return match[1] + summary(rows, speeds_of(root / "results" / "speed.csv")) + match[3]
        if kind == "finder":
            return match[1] + finder(root / "results" / "landmarks.csv") + match[3]
        if kind not in TABLES:
            raise FacecomError(f"{name}: no table {kind!r}: one of {', '.join(TABLES)}, finder, summary, or `csv FILE`")
        return match[1] + TABLES[kind](rows) + match[3]

    return MARKED.sub(table, text)


def main(args: argparse.Namespace) -> int:
    stale = []
    for path in sorted(path for pattern in FILES for path in args.root.glob(pattern)):
        name, text = path.relative_to(args.root).as_posix(), path.read_text(encoding="utf-8")
        new = generated(text, args.root, name)
        if new == text:
            continue
        stale.append(name)
        if not args.check:
            with write_whole(path) as file:
                file.write(new)
    if not stale:
        print("the tables are up to date")
    elif args.check:
        raise FacecomError(f"tables out of date in {', '.join(stale)}: run python benchmarks/tables.py")
    else:
        print(f"wrote the tables of {', '.join(stale)}")
    return 0


def get_args_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing, fail when something would change")
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
