"""The picture of the README: drawn people, so that no real person is shown, in all eight conditions.

python benchmarks/picture.py            # -> docs/conditions.png
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from facecom import cli  # noqa: E402
from facecom.conditions import CONDITIONS, distort  # noqa: E402
from facecom.files import write_whole  # noqa: E402
from facecom.synthetic import draw_person  # noqa: E402

#: (identity, photo) of each row, and what is written before it: the first two rows are one person.
ROWS = (((5, 0), "Ann"), ((5, 3), "Ann"), ((8, 1), "Bob"))

CELL, GAP, LABEL = 104, 4, 44  # pixels


def picture() -> np.ndarray:
    """RGB uint8 [H, W, 3]: a row a photo, a column a condition."""
    step = CELL + GAP
    sheet = np.full((LABEL // 2 + len(ROWS) * step, LABEL + len(CONDITIONS) * step, 3), 255, np.uint8)
    for column, condition in enumerate(CONDITIONS):
        write(sheet, condition, (LABEL + column * step + 2, 15))
    for row, (seeds, name) in enumerate(ROWS):
        top = LABEL // 2 + row * step
        write(sheet, name, (2, top + CELL // 2))
        photo, _ = draw_person(*seeds)
        for column, condition in enumerate(CONDITIONS):
            copy = cv2.resize(distort(photo, condition, 3, seed=row), (CELL, CELL), interpolation=cv2.INTER_AREA)
            left = LABEL + column * step
            sheet[top : top + CELL, left : left + CELL] = copy
    return sheet


def write(sheet: np.ndarray, text: str, place: tuple[int, int]) -> None:
    cv2.putText(sheet, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (40, 40, 40), 1, cv2.LINE_AA)


def main(args: argparse.Namespace) -> None:
    _, data = cv2.imencode(".png", picture()[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])
    args.output.parent.mkdir(parents=True, exist_ok=True)
    with write_whole(args.output, "wb") as file:
        file.write(data.tobytes())
    print(f"wrote {args.output}")


def get_args_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "conditions.png", help="PNG file to write")
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
