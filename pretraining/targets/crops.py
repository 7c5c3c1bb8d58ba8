"""Aligned crops and their teacher embeddings, packed once so that training only reads arrays.

    python -m pretraining.targets.crops --faces faces.parquet --heads heads.parquet --data_dir data/Task_B/train \
        --apart_from data/Task_B/val --teacher edgeface_xs_q.pt edgeface_xxs_q.pt --weights 2 1 \
        --detector_model yunet.onnx --output crops

Writes `crops.npy` (RGB uint8 [N, 112, 112, 3]), `teacher.npy` (float16 [N, D], unit length: what the teachers say of
the photo and its mirror image together), `people.csv` (a row a crop: `identity,group,gender,source,file`) and
`left_out.csv`. `group` is what must not be split between training and held-back people: the family, or the identity
itself; both are empty where nobody knows, and `file` is where the crop did not come out of a whole photo.
"""

import argparse
import io
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from facecom import cli
from facecom.data.holdback import group_of
from facecom.faces.alignment import align
from facecom.faces.yunet import detect, open_detector
from pretraining.photos import head_photos
from pretraining.targets.teachers import teacher_embeddings

#: Cosine of two teacher embeddings above which two photos may well be of one person.
RESEMBLES = 0.40

COLUMNS = ("identity", "group", "gender", "source", "file")

PHOTO_TYPES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}


def crops_of_table(path: Path):
    """Rows of a table of aligned crops (`image` WebP or JPEG bytes, `identity`, `gender`, `source`)."""
    import pyarrow.parquet

    table = pyarrow.parquet.ParquetFile(path)
    for batch in table.iter_batches(2048):
        for row in batch.to_pylist():
            crop = np.asarray(Image.open(io.BytesIO(row["image"])).convert("RGB"))
            source = row.get("source") or path.stem
            yield crop, (row["identity"], group_of(row["identity"], source), row.get("gender") or "", source, "")


def crops_of_folder(folder: Path, detector):
    """Aligned crops of the clean photos of identity folders; a photo without a face is left out."""
    for person in sorted(p for p in folder.iterdir() if p.is_dir()):
        for file in sorted(p for p in person.iterdir() if p.suffix.lower() in PHOTO_TYPES):
            photo = cv2.imread(str(file))
            if photo is None:
                continue
            photo = photo[:, :, ::-1]
            landmarks, _, _ = detect(photo, detector)
            if landmarks is not None:
                yield align(photo, landmarks), (person.name, person.name, "", folder.name, f"{person.name}/{file.name}")


def crops_of_heads(path: Path):
    """Aligned crops of a table of head photos with landmarks (`framings.head_photos`); nobody knows who they are."""
    for number, photo in enumerate(head_photos(path)):
        yield align(photo.image, photo.landmarks), ("", "", "", path.stem, f"{number}")


def who_resembles(embeddings: np.ndarray, others: np.ndarray, rows: list) -> pd.DataFrame:
    """Whom to leave out: a row a photo that is too near to one of the others, `row,cosine,identity,source,file`, and
    all other photos of the same person after it.

    embeddings: float32 [N, D]; others: float32 [M, D], unit; rows: those of `people.csv`, N of them.
    """
    cosines = np.concatenate([(part @ others.T).max(1) for part in np.array_split(embeddings, len(rows) // 4096 + 1)])
    table = pd.DataFrame(rows, columns=COLUMNS).assign(row=range(len(rows)), cosine=cosines.round(3))
    near = table["cosine"] > RESEMBLES
    people = set(zip(table["source"][near], table["identity"][near], strict=True))
    of_them = [bool(i) and (s, i) in people for s, i in zip(table["source"], table["identity"], strict=True)]
    found = table[near | np.array(of_them, bool)]
    return found.sort_values("cosine", ascending=False)[["row", "cosine", "identity", "source", "file"]]


def gather(args) -> tuple[np.ndarray, list]:
    """(crops, rows of `people.csv`): the tables, then the heads, then the folders."""
    sources = [crops_of_table(Path(table)) for table in args.faces]
    sources += [crops_of_heads(Path(table)) for table in args.heads]
    detector = open_detector(args.detector_model) if args.data_dir else None
    sources += [crops_of_folder(Path(folder), detector) for folder in args.data_dir]
    found = [pair for source in sources for pair in tqdm(source, mininterval=10)]
    return np.stack([crop for crop, _ in found]), [row for _, row in found]


def main(args):
    output = Path(args.output)
    output.mkdir(parents=True, exist_ok=True)
    crops, rows = gather(args)
    embeddings = teacher_embeddings(crops, args.teacher, args.weights)
    if args.apart_from:
        found = [crop for crop, _ in crops_of_folder(Path(args.apart_from), open_detector(args.detector_model))]
        out = who_resembles(embeddings, teacher_embeddings(np.stack(found), args.teacher, args.weights), rows)
        print(f"{len(out)} photos of people who resemble someone in {args.apart_from} are left out")
        out.to_csv(output / "left_out.csv", index=False)
        kept = np.setdiff1d(np.arange(len(rows)), out["row"])
        crops, rows, embeddings = crops[kept], [rows[i] for i in kept], embeddings[kept]
    np.save(output / "crops.npy", crops)
    np.save(output / "teacher.npy", embeddings.astype(np.float16))
    pd.DataFrame(rows, columns=COLUMNS).to_csv(output / "people.csv", index=False)


def get_args_parser():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--faces", nargs="*", default=[], help="parquet tables of aligned crops")
    parser.add_argument("--heads", nargs="*", default=[], help="parquet tables of head photos with landmarks")
    parser.add_argument("--data_dir", nargs="*", default=[], help="folders of identity folders: the clean photos")
    parser.add_argument("--apart_from", help="identity folders to be tested on: who resembles them is left out")
    parser.add_argument("--teacher", required=True, nargs="+", help="EdgeFace's .pt, or ONNX face embedders")
    parser.add_argument("--weights", nargs="+", type=float, help="what each teacher counts, default: evenly")
    parser.add_argument("--detector_model", help="YuNet ONNX file, for --data_dir and --apart_from")
    parser.add_argument("--output", default="crops")
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
