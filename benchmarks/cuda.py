"""The tests that need a CUDA device, and the speed there, in five minutes: results/cuda.csv.

python benchmarks/cuda.py                                   # on drawn people
python benchmarks/cuda.py --img_dir data/Task_B/val

A row a test (`outcome`: passed, failed, skipped; `seconds`) and a row a measurement of `speed.py --device cuda` (its
rate in `photos_per_second`), each with the name of the card. Exit code 1 where a test failed; without a device it says
so and writes nothing.
"""

import argparse
import csv
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from facecom import cli  # noqa: E402
from facecom.errors import FacecomError  # noqa: E402
from facecom.evaluation import results  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]


def tests(seconds: float) -> list[dict]:
    """A row a test. Raises FacecomError where none was run in time."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "tests.xml"
        words = ["-m", "pytest", "-q", "-m", "cuda", "tests/test_cuda.py", f"--junitxml={report}"]
        try:
            subprocess.run([sys.executable, *words], cwd=ROOT, timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            raise FacecomError(f"the tests took longer than {seconds:.0f} seconds: give --minutes more") from None
        if not report.is_file():
            raise FacecomError('pytest did not run: pip install -e ".[test]"')
        return rows_of(report)


def rows_of(report: Path) -> list[dict]:
    """A row a test of JUnit's XML."""
    rows = []
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        ways = [child.tag for child in case]
        outcome = "failed" if {"failure", "error"} & set(ways) else "skipped" if "skipped" in ways else "passed"
        rows.append({"what": case.get("name"), "outcome": outcome, "seconds": float(case.get("time", 0))})
    return rows


def speeds(img_dir: Path | None, photos: int, seconds: float) -> list[dict]:
    """A row a measurement of speed.py. Raises FacecomError where it fails or takes longer."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "speed.csv"
        words = [ROOT / "benchmarks" / "speed.py", "--device", "cuda", "--photos", photos, "--repeat", 1]
        words += ["--output", output, *(["--img_dir", img_dir] if img_dir else [])]
        try:
            subprocess.run([sys.executable, *map(str, words)], timeout=seconds, check=True)
        except subprocess.TimeoutExpired:
            raise FacecomError(f"speed.py took longer than {seconds:.0f} seconds: give fewer --photos") from None
        except subprocess.CalledProcessError as error:
            raise FacecomError(f"speed.py ended with exit code {error.returncode}: its own line says why") from None
        with open(output, newline="", encoding="utf-8") as file:
            return [{"what": row["measurement"], "photos_per_second": row.get("photos_per_second")}
                    for row in csv.DictReader(file)]  # fmt: skip


def main(args: argparse.Namespace) -> int:
    import torch

    cli.pick_device("cuda")
    ends = time.monotonic() + 60 * args.minutes
    card = {"card": torch.cuda.get_device_name(), "torch": torch.__version__, "cuda": torch.version.cuda}
    empty = dict.fromkeys(("what", "outcome", "seconds", "photos_per_second"))
    found = [empty | row | card for row in tests(ends - time.monotonic())]
    results.write_rows(args.output, found)
    found += [empty | row | card for row in speeds(args.img_dir, args.photos, max(1, ends - time.monotonic()))]
    results.write_rows(args.output, found)
    print(f"wrote {args.output} ({len(found)} rows)")
    return int(any(row["outcome"] == "failed" for row in found))


def get_args_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=cli.HelpFormatter)
    parser.add_argument("--img_dir", type=Path, help="folder of photos to measure on (default: drawn people)")
    parser.add_argument("--photos", type=int, default=1024, help="how many, repeated where there are fewer")
    parser.add_argument("--minutes", type=float, default=5, help="after which it stops")
    parser.add_argument("--output", type=Path, default=Path("results/cuda.csv"), help="CSV file to write")
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
