"""A contact sheet of grouped faces: one HTML file, a row a person, pictures inside it."""

import base64
import html
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from facecom.data.images import read_photo
from facecom.errors import FacecomError
from facecom.files import write_whole

#: Side of a picture in pixels, most pictures of a person, most people.
SIDE, MOST_FACES, MOST_PEOPLE = 96, 24, 500

STYLE = """body{font:16px/1.4 system-ui,sans-serif;margin:1rem;color:#1a1a1a;background:#fff}
section{border-top:1px solid #ccc;padding:.5rem 0}h2{font-size:1.1rem;margin:.2rem 0;overflow-wrap:anywhere}
.faces{display:flex;flex-wrap:wrap;gap:4px}img{width:96px;height:96px;object-fit:cover;border-radius:4px}
@media(prefers-color-scheme:dark){body{color:#eee;background:#161616}section{border-color:#444}}"""


def write(folder: str | Path, faces: pd.DataFrame) -> Path:
    """Write `folder/groups.html`. faces: a row a face in the order to show, `path`, `filename`, `person` (empty: cannot
    be told), `x`, `y`, `width`, `height` (NaN: the whole photo). Raises FacecomError where it cannot be written."""
    path = Path(folder) / "groups.html"
    told = faces[faces.person != ""]
    groups = list(told.groupby("person", sort=False))
    shown = groups[:MOST_PEOPLE]
    rows = [section(f"Person {name}" if str(name).isdigit() else str(name), part) for name, part in shown]
    if len(groups) > MOST_PEOPLE:
        rows.append(f"<p>… and {len(groups) - MOST_PEOPLE:,} more people.</p>")
    rest = faces[faces.person == ""]
    if len(rest):
        rows.append(section("Cannot tell", rest))
    lead = f"{len(faces):,} faces, {len(groups):,} people. The photos are where they were."
    with write_whole(path) as file:
        file.write(
            '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            f"<title>Whose photos are these?</title><style>{STYLE}</style><h1>Whose photos are these?</h1>"
            f"<p>{lead}</p>{''.join(rows)}</html>\n"
        )
    return path


def section(title: str, faces: pd.DataFrame) -> str:
    """The row of a person, HTML."""
    count = len(faces)
    pictures = "".join(picture(face, title) for face in faces.head(MOST_FACES).itertuples())
    more = f"<p>… and {count - MOST_FACES:,} more</p>" if count > MOST_FACES else ""
    words = f"{html.escape(title)} ({count:,} {'face' if count == 1 else 'faces'})"
    return f'<section><h2>{words}</h2><div class="faces">{pictures}</div>{more}</section>'


def picture(face, title: str) -> str:
    """An `img` of a face's box with a margin, or of the middle of its photo."""
    words = html.escape(f"{title}: {face.filename}", quote=True)
    try:
        photo = read_photo(face.path)
    except FacecomError as error:  # it was there a minute ago
        return f"<p>{words}: {html.escape(str(error).removeprefix(f'{face.path}: '))}</p>"
    height, width = photo.shape[:2]
    if np.isnan(face.x):
        side = min(height, width)
        left, top = (width - side) // 2, (height - side) // 2
    else:
        side = max(1, int(1.5 * face.width))
        left, top = int(face.x - 0.25 * face.width), int(face.y - 0.3 * face.height)
    matrix = np.array([[SIDE / side, 0, -left * SIDE / side], [0, SIDE / side, -top * SIDE / side]])
    small = cv2.warpAffine(photo, matrix, (SIDE, SIDE), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    _, data = cv2.imencode(".jpg", small[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])
    source = base64.b64encode(data.tobytes()).decode()
    return f'<img loading="lazy" alt="{words}" title="{words}" src="data:image/jpeg;base64,{source}">'
