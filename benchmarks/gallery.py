"""A large gallery that stays: seconds and memory of adding, searching and removing -> results/gallery.csv.

    python benchmarks/gallery.py --data_dir data/Task_B

The faces are simulated with the spread of real ones (`benchmarks/search.py`), five photos of each person, and come from
a corpus as `facecom corpus` writes it; the commands are those that a user runs, each in a process of its own:
`enrol a corpus` (`enroll.py --from`), `identify` (`test.py --gallery` on the clean photos of val/), `remove`
(`enroll.py --remove`, a thousand faces), and `enrol photos`, `enrol the same photos again` (`enroll.py --img_dir` on
2,000 photos of train/ and their copies). A row a step:
`step,gallery,faces,seconds,peak_memory_mb,threads,half,processor`; gallery: how many faces are in it before; seconds
with start-up.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import commands  # noqa: E402
from facecom import cli  # noqa: E402
from facecom.data.folders import split_folders, task_b_table  # noqa: E402
from facecom.evaluation import results  # noqa: E402

ENROLL = commands.ROOT / "comsys-hackathon-taskB" / "enroll.py"

#: Photos of a person; faces that are removed; photos that are enrolled twice.
EACH, REMOVED, TWICE = 5, 1000, 2000

#: Faces in a file of the corpus.
SHARD = 10_000


def person(number: int) -> str:
    return f"person_{number:06d}"


def write_corpus(folder: Path, count: int, data_dir: str) -> None:
    """Parquet files with `count` simulated faces, of `EACH` photos a person."""
    import pyarrow as pa
    import pyarrow.parquet

    from benchmarks import search
    from facecom.inference import ensemble
    from facecom.inference.corpus.rows import schema_of
    from facecom.inference.gallery.rows import made_by_of

    embeddings, people = search.real_embeddings(data_dir)
    simulated = search.Spread(embeddings, people).photos(count // EACH, EACH, seed=0)
    schema = schema_of(embeddings.shape[1], made_by_of(ensemble.load([], "siamese")))
    for photo, drawn in enumerate(simulated):
        for start in range(0, len(drawn), SHARD):
            part = drawn[start : start + SHARD]
            files = [f"/faces/{person(start + i)}/{photo}.jpg" for i in range(len(part))]
            known = {"file": files, "embedding": list(part), "face": [1] * len(part), "face_score": [0.9] * len(part)}
            known |= {"main": [True] * len(part), "told": [True] * len(part), "quality": [0.8] * len(part)}
            known |= {"size": [1] * len(part), "modified": [1] * len(part), "sha256": [name[-64:] for name in files]}
            columns = {field.name: pa.array(known.get(field.name, [None] * len(part)), field.type) for field in schema}
            pyarrow.parquet.write_table(pa.table(columns, schema), folder / f"faces-{photo}-{start:08d}.parquet")


def photos_of(data_dir: Path, count: int, folder: Path) -> None:
    """Links photos and their copies, a folder a person."""
    table = task_b_table(split_folders(data_dir, "B")[0])
    for row in table.head(count).itertuples():
        link = folder / row.identity / Path(row.path).name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(Path(row.path).resolve())


def steps(args: argparse.Namespace, place: Path) -> Iterator[tuple[str, int, int, list]]:
    """(step, faces in the gallery before, faces it is about, command)."""
    corpus, photos, probes = (place / name for name in ("corpus", "photos", "probes"))
    for folder in (corpus, photos, probes):
        folder.mkdir()
    # In a process of its own: a command's peak memory would begin with that of the process that starts it.
    commands.run([__file__, "--data_dir", args.data_dir, "--faces", args.faces, "--corpus", corpus])
    photos_of(args.data_dir, TWICE, photos)
    val = task_b_table(split_folders(args.data_dir, "B")[1])
    clean = val[val["condition"] == "clean"]
    for row in clean.itertuples():
        (probes / Path(row.path).name).symlink_to(Path(row.path).resolve())
    machine = ["--device", "cpu", "--quiet"]
    large, small = place / "large", place / "small"
    yield "enrol a corpus", 0, args.faces, [ENROLL, "--gallery", large, "--from", corpus, *machine]
    identify = [commands.TEST_B, "--gallery", large, "--img_dir", probes, "--output", place / "who.csv"]
    yield "identify", args.faces, len(clean), [*identify, *machine]
    gone = [person(number) for number in range(REMOVED // EACH)]
    yield "remove", args.faces, REMOVED, [ENROLL, "--gallery", large, "--remove", *gone, *machine]
    again = [ENROLL, "--gallery", small, "--img_dir", photos, *machine]
    yield "enrol photos", 0, TWICE, again
    yield "enrol the same photos again", TWICE, TWICE, again


def main(args: argparse.Namespace) -> None:
    if args.corpus:
        return write_corpus(args.corpus, args.faces, args.data_dir)
    rows = []
    with tempfile.TemporaryDirectory() as place:
        for step, gallery, faces, argv in steps(args, Path(place)):
            seconds, memory = commands.run(argv)
            row = {"step": step, "gallery": gallery, "faces": faces, "seconds": round(seconds, 2)}
            row |= {"peak_memory_mb": round(memory), "threads": os.cpu_count()}
            rows.append(row | {"half": "bfloat16" if cli.cpu_has_bf16() else "none", "processor": commands.processor()})
            print(*rows[-1].values(), flush=True)
    results.write_rows(args.output, rows)
    print(f"wrote {args.output}")


def get_args_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", type=Path, required=True, help="FACECOM Task B: train/ and val/")
    parser.add_argument("--faces", type=int, default=100_000, help="in the large gallery (default: 100000)")
    parser.add_argument("--corpus", type=Path, help="for this script itself: write the corpus here")
    parser.add_argument("--output", default="results/gallery.csv", help="CSV file to write")
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
