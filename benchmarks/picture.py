"""The pictures of the documents: drawn people, so that no real person is shown.

python benchmarks/picture.py            # -> docs/answers.png, docs/conditions.png

What is written under a photo of `answers.png` is what the shipped weights say of it.
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

#: (identity, photo) of each row of `conditions.png`, and its name: the first two rows are one person.
ROWS = (((5, 0), "Ann"), ((5, 3), "Ann"), ((8, 1), "Bob"))

#: The people of `answers.png`: identities of `draw_person`. Photo 0 of each is known, photo 3 is asked about.
PEOPLE = {"Ann": 5, "Bob": 8, "Carl": 14}

CELL, GAP, LABEL, SIDE, FOOT = 104, 4, 44, 224, 46  # pixels

GREEN, RED, GREY, INK = (24, 128, 56), (197, 34, 31), (110, 116, 122), (40, 40, 40)


def conditions_picture() -> np.ndarray:
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


def answers_picture() -> np.ndarray:
    """RGB uint8 [H, W, 3]: three people with boxes and names, a photo in rain, a photo in glare, and the answers."""
    import facecom
    from facecom.faces.alignment import TEMPLATE, similarity

    verifier = facecom.FaceVerifier(device="cpu")
    known = {name: [draw_person(number, 0)[0]] for name, number in PEOPLE.items()}
    photos = [draw_person(number, 3)[0] for number in PEOPLE.values()]
    first = next(iter(PEOPLE))
    rain, glare = distort(photos[0], "rainy", 3, seed=1), distort(photos[0], "sunny", 5, seed=1)
    asked = [*photos, rain, glare]
    table = verifier.identify(asked, known)
    landmarks = next(iter(verifier.ensemble.aligners.values()))(asked).landmarks
    sheet = np.full((SIDE + FOOT, len(asked) * SIDE + 2 * 16, 3), 255, np.uint8)
    for column, (photo, row) in enumerate(zip(asked, table.itertuples(), strict=True)):
        left = column * SIDE + 16 * max(0, column - len(photos) + 1)
        shown = cv2.resize(photo, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        told = row.same is True or row.same is False or str(row.same) in ("True", "False")
        colour = GREY if not told else GREEN if row.same else RED
        matrix = similarity(TEMPLATE, landmarks[column] * (SIDE / photo.shape[1]))
        corners = np.array([[0, 16], [112, 16], [112, 112], [0, 112]]) @ matrix[:, :2].T + matrix[:, 2]
        cv2.polylines(shown, [np.round(corners).astype(np.int32)], True, colour, 2, cv2.LINE_AA)
        sheet[:SIDE, left : left + SIDE] = shown
        words = "cannot tell" if not told else row.identity if row.same else f"not {first}, Bob or Carl"
        write(sheet, words, (left + 6, SIDE + 20), colour, 0.6)
        write(sheet, f"distance {row.distance:.2f}, limit {verifier.threshold:.2f}", (left + 6, SIDE + 38))
        print(f"{column}: {words}, distance {row.distance:.3f}")
    return sheet


def write(sheet: np.ndarray, text: str, place: tuple[int, int], colour=INK, size: float = 0.45) -> None:
    cv2.putText(sheet, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)


def main(args: argparse.Namespace) -> None:
    for name, picture in (("answers", answers_picture()), ("conditions", conditions_picture())):
        _, data = cv2.imencode(".png", picture[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])
        args.output.mkdir(parents=True, exist_ok=True)
        with write_whole(args.output / f"{name}.png", "wb") as file:
            file.write(data.tobytes())
        print(f"wrote {args.output / name}.png")


def get_args_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / "docs", help="folder to write into")
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
