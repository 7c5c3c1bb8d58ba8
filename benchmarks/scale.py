"""Several processes beside one, on this machine: results/scale.csv.

python benchmarks/scale.py --data_dir data/Task_B

`training`: `train.py` of Task B on --people people, alone (all cores as threads) and as one process a core under
`torchrun`; `corpus`: `facecom corpus` over their photos and copies, alone and with `--ray`. Each runs twice, over less
and over more (epochs, photos), in turn with the other; the rate is of what the longer does more, so that starting does
not count; `start` is what is left of the seconds of the shorter run. ratio: to the same work alone.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from facecom import cli  # noqa: E402
from facecom.data.folders import split_folders  # noqa: E402
from facecom.data.listing import folders_in  # noqa: E402
from facecom.errors import FacecomError  # noqa: E402
from facecom.evaluation import results  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]

LESS, MORE = 1, 3


def seconds(words: list, **variables: str) -> float:
    """How long a command takes. Raises FacecomError where it fails."""
    taken = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    environment = taken | {"PYTHONPATH": str(ROOT)} | variables
    start = time.perf_counter()
    done = subprocess.run([sys.executable, *map(str, words)], env=environment, capture_output=True, text=True)
    if done.returncode:
        raise FacecomError(f"{' '.join(map(str, words))}: {done.stderr.strip().splitlines()[-1]}")
    return time.perf_counter() - start


def training(folder: Path, run: Path, times: int, processes: int) -> float:
    launch = ["-m", "torch.distributed.run", f"--nproc_per_node={processes}", "--standalone"] if processes > 1 else []
    flags = ["--data_dir", folder, "--run_dir", run, "--output", run / "best.pt", "--epochs", times, "--no-adapt"]
    script = ROOT / "comsys-hackathon-taskB" / "train.py"
    return seconds([*launch, script, *flags, "--conditions", "simulate", "--quiet", "--patience", 99])


def corpus(folder: Path, run: Path, times: int, processes: int) -> float:
    photos = sorted(str(path) for pattern in ("train/*/*.jpg", "train/*/*/*.jpg") for path in folder.glob(pattern))
    listed = run.with_suffix(".txt")
    listed.write_text("\n".join(photos[: len(photos) * times // MORE]))
    flags = ["--list", listed, "--output", run, "--shard", 128, "--quiet"]
    return seconds(["-m", "facecom.inference.corpus", *flags, *(["--ray"] if processes > 1 else [])])


def main(args: argparse.Namespace) -> None:
    rows, cores = [], os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "data"
        (folder / "train").mkdir(parents=True)
        for person in folders_in(split_folders(args.data_dir, "B")[0])[: args.people]:
            (folder / "train" / person.name).symlink_to(person.resolve())
        photos = {
            "training": len(list(folder.glob("train/*/*.jpg"))),
            "corpus": len(list(folder.glob("train/*/*/*.jpg"))),
        }
        photos["corpus"] += photos["training"]
        for name, work in (("training", training), ("corpus", corpus)):
            if name not in args.work:
                continue
            took: dict[tuple[int, int], list[float]] = {}
            for turn in range(args.repeat):
                for times in (LESS, MORE):
                    for processes in (1, cores):
                        run = Path(place) / f"{name}-{processes}-{times}-{turn}"
                        took.setdefault((processes, times), []).append(work(folder, run, times, processes))
            alone = None
            for processes in (1, cores):
                less, more = min(took[processes, LESS]), min(took[processes, MORE])
                share = 1 if name == "training" else 1 / MORE
                rate = photos[name] * share * (MORE - LESS) / (more - less)
                alone = alone or rate
                row = {"work": name, "processes": processes, "cores": cores, "photos": photos[name]}
                row |= {
                    "photos_per_second": rate,
                    "ratio": rate / alone,
                    "start": less - photos[name] * share * LESS / rate,
                }
                print(row, took, flush=True)
                rows.append(row)
                results.write_rows(args.output, rows)


def get_args_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=cli.HelpFormatter)
    parser.add_argument("--data_dir", required=True, help="FACECOM Task B: train/ and val/")
    parser.add_argument("--people", type=int, default=120, help="how many of train/")
    parser.add_argument(
        "--work", nargs="+", choices=("training", "corpus"), default=["training", "corpus"], help="which"
    )
    parser.add_argument("--repeat", type=int, default=1, help="runs of each, of which the fastest counts")
    parser.add_argument("--output", type=Path, default=Path("results/scale.csv"), help="CSV file to write")
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
