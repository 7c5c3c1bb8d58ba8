"""Whole commands against each other, by turns, so that the ratio counts and not the machine's mood.

python benchmarks/commands.py --img_dir data/Task_B/val
python benchmarks/commands.py --img_dir data/Task_B/val --onnx mobilefacenet.onnx --detector_model yunet.onnx \\
    --edgeface edgeface_xs_q.pt
python benchmarks/commands.py --img_dir data/Task_B/val --only "one photo" "memory" --memory 1000 10000
ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 OPENBLAS_CORETYPE=Haswell python benchmarks/commands.py ...

The last as on a processor without AVX-512 and bfloat16, as far as the libraries can be held to it.

A row a measurement: `measurement,against,photos,seconds,other_seconds,ratio,peak_memory_mb,threads,half,processor`:
seconds and memory of the command's process (or of the work alone, where `against` is a loop in memory), median of
`--repeat` turns; ratio: median of other_seconds / seconds, turn by turn; half: half precision the processor is fast at.

`scores of a folder`: Task B's test.py on identity folders, answers and all protocols with intervals, against the
published recipe; the bare forward passes of our two networks on pictures in memory; two looks at each face instead of
one; MobileFaceNet behind YuNet, one photo at a time; EdgeFace-XS behind our finder. `one photo`: Task A's
test.py, cold. `memory`: Task A's test.py on links to these photos. `training`: an epoch of Task B's train.py on drawn
people, after one that is not counted. `own people`: Task B's train.py on 60 people of train/ beside --img_dir, at most
30 photos of each: adaptation alone, and as it does by itself. Rows of other measurements stay in the file.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from facecom import cli  # noqa: E402
from facecom.errors import FacecomError  # noqa: E402
from facecom.evaluation import results  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
TEST_A, TEST_B = (ROOT / f"comsys-hackathon-task{task}" / "test.py" for task in "AB")
TRAIN_B = ROOT / "comsys-hackathon-taskB" / "train.py"

BATCH = 64

#: People to train on, and photos of each at most.
OWN_PEOPLE, OWN_PHOTOS = 60, 30


def run(argv: list) -> tuple[float, float]:
    """(seconds, peak memory in MB of the largest of its processes) of a command that must succeed. Raises FacecomError
    with the last line it wrote where it fails."""
    start = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen([sys.executable, *map(str, argv)], stdout=said, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        if status:
            said.seek(0)
            lines = said.read().decode(errors="replace").strip().splitlines() or [""]
            raise FacecomError(f"{argv[0]}: failed: {lines[-1]}")
    return seconds, usage.ru_maxrss / 1024


def inner(what: str, args) -> list:
    """The command that does one of `WORK` in a process of its own."""
    argv = [__file__, "--img_dir", args.img_dir, "--inner", what]
    for flag in ("onnx", "detector_model", "edgeface"):
        argv += [f"--{flag}", getattr(args, flag)] if getattr(args, flag) else []
    return argv


def photos(args) -> list[str]:
    from facecom.data import folders

    return folders.any_table(args.img_dir).path.to_list()


def passes(args) -> Callable:
    """The forward passes that a photo costs, on pictures in memory: the finder's first, the encoder's as stored; by as
    many threads as `test.py` has."""
    import numpy as np

    from facecom.faces import finder
    from facecom.inference import ensemble, pipeline
    from facecom.threads import side_by_side

    made = ensemble.load([], "siamese", amp=half())
    network = finder._shipped_finder("cpu")
    pictures = [np.zeros((network.img_size, network.img_size, 3), np.uint8)] * BATCH
    crops = np.zeros((BATCH, *[made.members[0].preprocessing["size"]] * 2, 3), np.uint8)
    count = len(photos(args)) // BATCH + 1

    def both(_: int) -> None:
        finder.look(network, pictures, amp=half())
        made.members[0].forward(crops)

    return lambda: list(side_by_side(both, range(count), pipeline.default_workers()))


def mobilefacenet(args) -> Callable:
    """As people use it: one photo after the other."""
    import numpy as np

    from facecom.data.images import read_photo
    from facecom.faces.aligner import Aligner
    from facecom.models.onnx import foreign
    from facecom.models.published import IMAGENET_MEAN, IMAGENET_STD

    member, aligner = foreign(args.onnx, IMAGENET_MEAN, IMAGENET_STD), Aligner("yunet", 112, args.detector_model)
    return lambda: np.concatenate([member.forward(aligner([read_photo(path)]).crops)[0] for path in photos(args)])


def edgeface(args) -> Callable:
    """Behind our finder, in batches, photo and mirror image as in the tables of accuracy."""
    from facecom.data.images import read_photo
    from facecom.faces.aligner import Aligner
    from pretraining.targets.teachers import of_both, open_teacher

    look, aligner = open_teacher(args.edgeface, amp=half() is not None), Aligner("finder", 112, amp=half())
    paths = photos(args)

    def work():
        for start in range(0, len(paths), BATCH):
            of_both(look, aligner([read_photo(path) for path in paths[start : start + BATCH]]).crops)

    return work


#: Work that is measured without start-up: its process prints the seconds of a run after a first, small one.
WORK = {"passes": passes, "mobilefacenet": mobilefacenet, "edgeface": edgeface}


def half():
    return cli.pick_amp(True, cli.pick_device("cpu"))


def seconds_of(argv: list) -> tuple[float, float]:
    """As `run`, of an `inner` command: the seconds that it says."""
    found = subprocess.run([sys.executable, *map(str, argv)], capture_output=True, text=True, cwd=ROOT)
    if found.returncode:
        raise FacecomError(f"{argv[-1]}: failed: {(found.stderr.strip().splitlines() or [''])[-1]}")
    return float(found.stdout.split()[-1]), float("nan")


def by_turns(name: str, against: str, ours: Callable, other: Callable | None, count: int, args) -> dict:
    """A row: two commands by turns, `--repeat` times."""
    turns = []
    for _ in range(args.repeat):
        seconds, memory = ours()
        turns.append((seconds, other()[0] if other else float("nan"), memory))
    mine, theirs, memory = (statistics.median(column) for column in zip(*turns, strict=True))
    row = {"measurement": name, "against": against, "photos": count, "seconds": round(mine, 2)}
    row |= {"other_seconds": round(theirs, 2) if other else ""}
    row |= {"ratio": round(statistics.median(b / a for a, b, _ in turns), 3) if other else ""}
    row |= {"peak_memory_mb": round(memory) if memory == memory else "", "threads": os.cpu_count()}
    # Not by torch: a child's peak memory would begin with this process's own.
    row |= {"half": "bfloat16" if cli.cpu_has_bf16() else "none", "processor": processor()}
    print(*row.values(), flush=True)
    return row


def processor() -> str:
    """Which vector instructions the processor has, as far as they matter here, and what PyTorch is held to."""
    try:
        flags = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return "unknown"
    held = f", held to {held}" if (held := os.environ.get("ATEN_CPU_CAPABILITY")) else ""
    return " ".join(flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags) + held


def folder_rows(args, place: Path):
    count = len(photos(args))
    test = [TEST_B, "--img_dir", args.img_dir, "--output", place / "b.csv", "--quiet", "--device", "cpu"]
    name = "scores of a folder"

    def whole(*flags):
        return lambda: run([*test, *flags])

    yield by_turns(name, "the published recipe", whole(), whole("--recipe", "published"), count, args)
    yield by_turns(name, "two looks at each face (--mirror)", whole(), whole("--mirror"), count, args)
    yield by_turns(name, "bare forward passes", whole(), lambda: seconds_of(inner("passes", args)), count, args)
    if args.onnx and args.detector_model:
        theirs = inner("mobilefacenet", args)
        yield by_turns(name, "MobileFaceNet behind YuNet", whole(), lambda: seconds_of(theirs), count, args)
    if args.edgeface:
        theirs = inner("edgeface", args)
        yield by_turns(name, "EdgeFace-XS behind our finder", whole(), lambda: seconds_of(theirs), count, args)


def one_photo_rows(args, place: Path):
    test = [TEST_A, "--img_dir", photos(args)[0], "--output", place / "a.csv", "--quiet", "--device", "cpu"]
    yield by_turns("one photo", "", lambda: run(test), None, 1, args)


def memory_rows(args, place: Path):
    paths = photos(args)
    for count in args.memory:
        folder = place / str(count)
        folder.mkdir()
        for number in range(count):
            (folder / f"{number:06d}.jpg").symlink_to(Path(paths[number % len(paths)]).resolve())
        test = [TEST_A, "--img_dir", folder, "--output", place / "m.csv", "--quiet", "--device", "cpu"]
        yield by_turns("memory", "", lambda argv=test: run(argv), None, count, argparse.Namespace(repeat=1))


def training_rows(args, place: Path):
    from facecom.synthetic import write_sample

    write_sample(place / "drawn", people=24, photos=2)

    def epochs(*flags):
        """Seconds of one epoch: of two less those of one."""
        train = [TRAIN_B, "--data_dir", place / "drawn", "--quiet", "--device", "cpu", "--no-adapt", *flags]
        train += ["--run_dir", place / "run", "--output", place / "weights.pt", "--workers", "0", "--patience", "9"]
        once, _ = run([*train, "--epochs", "1"])
        twice, memory = run([*train, "--epochs", "2"])
        return max(twice - once, 1e-3), memory

    count = len(list((place / "drawn" / "train").rglob("*.jpg")))
    published = lambda: epochs("--recipe", "published", "--init", "none")  # noqa: E731
    yield by_turns("training, an epoch", "the published recipe", epochs, published, count, args)


def own_people_rows(args, place: Path):
    from facecom.data.folders import DISTORTED, task_b_table

    table = task_b_table(args.img_dir.resolve().parent / "train")
    most = table["identity"].value_counts().index[:OWN_PEOPLE]
    if len(most) < OWN_PEOPLE:
        raise FacecomError(f"{args.img_dir.parent}: its train/ holds fewer than {OWN_PEOPLE} people")
    chosen = table[table["identity"].isin(most)].groupby("identity").head(OWN_PHOTOS)
    for row in chosen.itertuples():
        folder = place / "train" / row.identity / ("" if row.condition == "clean" else DISTORTED)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / Path(row.path).name).symlink_to(row.path)
    train = [TRAIN_B, "--data_dir", place, "--quiet", "--device", "cpu"]
    train += ["--output", place / "weights.pt", "--run_dir"]
    count, once = len(chosen), argparse.Namespace(repeat=1)
    yield by_turns(
        "own people, adaptation", "", lambda: run([*train, place / "adapted", "--epochs", "0"]), None, count, once
    )
    yield by_turns("own people, training", "", lambda: run([*train, place / "run"]), None, count, once)


ROWS = {
    "folder": folder_rows,
    "one photo": one_photo_rows,
    "memory": memory_rows,
    "training": training_rows,
    "own people": own_people_rows,
}


def main(args: argparse.Namespace) -> None:
    if args.inner:
        work = WORK[args.inner](args)
        start = time.perf_counter()
        work()
        print(time.perf_counter() - start)
        return
    rows: list[dict] = []
    earlier = pd.read_csv(args.output, keep_default_na=False).to_dict("records") if args.output.is_file() else []
    for name in args.only:
        with tempfile.TemporaryDirectory() as place:
            for row in ROWS[name](args, Path(place)):
                rows.append(row)
                results.write_rows(args.output, with_earlier(earlier, rows))


def with_earlier(earlier: list[dict], rows: list[dict]) -> list[dict]:
    """The rows that this run has not measured again, on this kind of processor, and this run's."""
    key = lambda row: tuple(str(row[name]) for name in ("measurement", "against", "processor"))  # noqa: E731
    new = {key(row) for row in rows}
    return [row for row in earlier if key(row) not in new] + rows


def get_args_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--img_dir", type=Path, required=True, help="FACECOM's Task B val: a folder a person")
    parser.add_argument("--onnx", help="MobileFaceNet, an ONNX file for aligned 112 px crops")
    parser.add_argument("--detector_model", help="YuNet, an ONNX file")
    parser.add_argument("--edgeface", help="EdgeFace-XS, a state dict")
    parser.add_argument("--only", nargs="+", choices=ROWS, default=list(ROWS), help="what to measure (default: all)")
    parser.add_argument("--memory", nargs="+", type=int, default=[1000, 10000], help="photos (default: 1000 10000)")
    parser.add_argument("--repeat", type=int, default=3, help="turns, of which the median counts (default: 3)")
    parser.add_argument("--inner", choices=WORK, help="for this script itself: do this work and print its seconds")
    parser.add_argument("--output", type=Path, default=Path("results/commands.csv"), help="CSV file to write")
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
