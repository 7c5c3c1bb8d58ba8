"""Aligned crops and their teacher embeddings, packed once so that training only reads arrays.

    python -m pretraining.encoder.crops --faces faces.parquet --heads heads.parquet --data_dir data/Task_B/train \
        --apart_from data/Task_B/val --teacher mobilefacenet.onnx --detector_model yunet.onnx --output crops

Writes `crops.npy` (RGB uint8 [N, 112, 112, 3]), `teacher.npy` (float32 [N, 2, D], unit length; the photo and its
mirror image) and `people.csv` (a row a crop: `identity,group,gender,source,file`; `group` is what must not be split
between training and held-back people: the family, or the identity itself; both are empty where nobody knows, and `file`
is where the crop did not come out of a whole photo).
"""

import argparse
import csv
import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from tqdm import tqdm

from facecom import cli
from facecom.data.holdback import group_of
from facecom.faces.alignment import align
from facecom.faces.yunet import detect, open_detector
from pretraining.photos import head_photos

#: Cosine of two teacher embeddings above which two photos may well be of one person: of the 9,500 head photos 40 come
#: so near to a photo of FACECOM val, and five of the nearest six are of that very person.
RESEMBLES = 0.45

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


def teacher_embeddings(crops: np.ndarray, teacher: str) -> np.ndarray:
    """float32 [N, 2, D], unit length: the embedding of each crop and of its mirror image.

    A thread a core runs one photo at a time: published face models often have a batch of one in their graph, and
    on a CPU this is as fast as batches.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(teacher, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    mean = np.array([0.485, 0.456, 0.406], np.float32)
    std = np.array([0.229, 0.224, 0.225], np.float32)

    def embed(crop):
        photo = (crop / np.float32(255) - mean) / std
        both = np.stack([photo, photo[:, ::-1]]).transpose(0, 3, 1, 2)
        found = np.concatenate([session.run(None, {name: np.ascontiguousarray(one[None])})[0] for one in both])
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return np.stack(list(tqdm(threads.map(embed, crops), total=len(crops), desc="teacher", mininterval=10)))


def apart_from(embeddings: np.ndarray, others: np.ndarray) -> np.ndarray:
    """bool [N]: who resembles none of the others. embeddings: float32 [N, 2, D]; others: float32 [M, 2, D], unit."""
    mine, theirs = (both.sum(1) / np.linalg.norm(both.sum(1), axis=1, keepdims=True) for both in (embeddings, others))
    return (mine @ theirs.T).max(1) <= RESEMBLES


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
    embeddings = teacher_embeddings(crops, args.teacher)
    if args.apart_from:
        found = [crop for crop, _ in crops_of_folder(Path(args.apart_from), open_detector(args.detector_model))]
        apart = apart_from(embeddings, teacher_embeddings(np.stack(found), args.teacher))
        kept = np.flatnonzero(apart | np.array([row[0] != "" for row in rows]))
        print(f"{len(rows) - len(kept)} heads resemble someone in {args.apart_from} and are left out")
        crops, rows, embeddings = crops[kept], [rows[i] for i in kept], embeddings[kept]
    np.save(output / "crops.npy", crops)
    np.save(output / "teacher.npy", embeddings)
    with open(output / "people.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["identity", "group", "gender", "source", "file"])
        writer.writerows(rows)


def get_args_parser():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--faces", nargs="*", default=[], help="parquet tables of aligned crops")
    parser.add_argument("--heads", nargs="*", default=[], help="parquet tables of head photos with landmarks")
    parser.add_argument("--data_dir", nargs="*", default=[], help="folders of identity folders: the clean photos")
    parser.add_argument("--apart_from", help="identity folders to be tested on: heads that resemble them are left out")
    parser.add_argument("--teacher", required=True, help="ONNX face embedder, 112 px RGB crops, ImageNet mean and std")
    parser.add_argument("--detector_model", help="YuNet ONNX file, for --data_dir and --apart_from")
    parser.add_argument("--output", default="crops")
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
