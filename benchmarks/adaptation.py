"""What training on one's own people does for others of the same camera -> results/adaptation.csv.

    python benchmarks/adaptation.py --data_dir data/Task_B --faces faces.parquet
    python benchmarks/adaptation.py --data_dir data/Task_B --faces faces.parquet --domains tight --people 60

Three domains, made here, of people whom the shipped encoder has not seen (FACECOM's: whom it has partly seen, to train
on; the judges are unseen):
- `infrared`: crops of CelebA through a night camera of our own making: red channel, lifted shadows, a bright middle,
  sensor noise, darker every other line, JPEG;
- `tight`: crops of Families in the Wild cut to the face itself, without hair and chin;
- `copies`: FACECOM's own distorted copies, glare left out.

`train.py` runs as a user would run it, on folders of 10, 30 and 60 people; the figures are those of other people.
A row a figure: `domain,people,photos,way,metric,value,low,high,count`; `far@threshold` and `tar@threshold`: what passes
at the threshold that the weights bring along. Ways: shipped, nameless (`--epochs 0` on the photos without folders of
people), adapted (`--epochs 0`), trained (as `train.py` does by itself), and unguarded (as before version 0.2.0: random
pairs, no adaptation, no anchor, every epoch that seems better is kept).
"""

import argparse
import hashlib
import io
import sys
import tempfile
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
import pandas as pd
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from facecom import cli  # noqa: E402
from facecom.commands import training  # noqa: E402
from facecom.data.augmentation import eval_transform  # noqa: E402
from facecom.data.folders import split_folders, task_b_table  # noqa: E402
from facecom.data.holdback import group_of, is_held_back  # noqa: E402
from facecom.evaluation import protocols  # noqa: E402
from facecom.evaluation.results import write_rows  # noqa: E402
from facecom.faces.aligner import Aligner  # noqa: E402
from facecom.faces.crops import Crops, load_crops  # noqa: E402
from facecom.models import checkpoint, mirror  # noqa: E402
from facecom.training import preparation, recipes  # noqa: E402
from facecom.training.finetuning import unlabelled  # noqa: E402
from facecom.training.samples import evaluation_batches  # noqa: E402
from facecom.training.siamese import SiameseJob  # noqa: E402
from pretraining.choosing.cameras import infrared, tight  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]

#: People to train on, and the most photos of each; of ten people only five each.
PEOPLE, MOST_PHOTOS, FEW_PHOTOS = (10, 30, 60), 30, 5

#: People who judge, at most.
JUDGES = 150

DOMAINS, WAYS = ("infrared", "tight", "copies"), ("nameless", "adapted", "trained", "unguarded")

METRICS = ("tar@far=1e-3", "tar@far=1e-4", "eer", "auc")

#: What `protocols.threshold_transfer` calls what passes at the first threshold, and what it is called here.
AT_THRESHOLD = {"far": "far@threshold", "tar": "tar@threshold"}

#: Share of the people of the encoder's crops that it has not seen (`pretraining/targets/people.py`).
UNSEEN = 0.05


def unseen_crops(faces: Path, source: str, camera, folder: Path) -> pd.DataFrame:
    """Writes the crops of people of a source whom the encoder has not seen, through a camera: [path, identity]."""
    table = pd.read_parquet(faces)
    table = table[(table["source"] == source) & (table["identity"] != "")]
    unseen = {name: is_held_back(group_of(name, source), UNSEEN) for name in table["identity"].unique()}
    table = table[table["identity"].map(unseen)]
    rows, rng = [], np.random.default_rng(0)
    for number, row in enumerate(table.itertuples()):
        crop = np.asarray(Image.open(io.BytesIO(row.image)).convert("RGB"))
        path = folder / row.identity / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), camera(crop, rng)[:, :, ::-1])
        rows.append({"path": str(path), "identity": row.identity})
    return pd.DataFrame(rows)


def several(table: pd.DataFrame) -> list[str]:
    """People of two photos at least, in an order of chance."""
    photos = table.drop_duplicates(["identity", "photo"]) if "photo" in table else table
    count = photos["identity"].value_counts()
    return np.random.default_rng(0).permutation(sorted(count.index[count >= 2])).tolist()


def parted(domain: str, args, folder: Path) -> tuple[pd.DataFrame, list[str], pd.DataFrame]:
    """(photos to train on [path, identity], people to train on, photos of the judges)."""
    if domain == "copies":
        table = task_b_table(split_folders(args.data_dir, "B")[0])
        table = table[table["condition"] != "sunny"]
        unseen = table["identity"].map({name: is_held_back(name, 0.1) for name in table["identity"].unique()})
        judges = several(table[unseen])
        return table[~unseen], several(table[~unseen]), table[unseen & table["identity"].isin(judges)]
    source, camera = {"infrared": ("celeba", infrared), "tight": ("fiw", tight)}[domain]
    table = unseen_crops(args.faces, source, camera, folder / "photos")
    people = several(table)
    half = min(max(PEOPLE), len(people) // 2)
    judges = table[table["identity"].isin(people[half : half + JUDGES])]
    judges = judges.assign(photo=[Path(path).stem for path in judges["path"]], condition="clean")
    return table, people[:half], judges


def training_folder(table: pd.DataFrame, people: list[str], most: int, folder: Path) -> int:
    """Links the photos of these people as `train/<number>/` (who is held back follows from names, and these were
    chosen by theirs); returns how many there are."""
    count, number = 0, {name: f"person_{place:03d}" for place, name in enumerate(people)}
    for name, own in table[table["identity"].isin(people)].groupby("identity"):
        for path in own["path"].head(most):
            distorted = Path(path).parent.name == "distortion"
            target = folder / "train" / number[name] / ("distortion" if distorted else "") / Path(path).name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(Path(path).resolve())
            count += 1
    return count


#: The crop of every photo that the finder has looked at, by a hash of its bytes: the same photos come again and again.
KNOWN: dict[str, np.ndarray] = {}


def crops_once(table: pd.DataFrame, aligner, **options) -> tuple[pd.DataFrame, Crops]:
    """`load_crops`, but no photo is looked at twice (all with one aligner: that of the shipped encoder)."""
    names = np.array([hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in table["path"]])
    table = table.reset_index(drop=True)
    new = table[[name not in KNOWN for name in names]].drop_duplicates("path")
    if len(new):
        read, crops = load_crops(new, aligner, **options)
        assert len(read) == len(new), "photos that cannot be read"
        KNOWN.update(zip(names[new.index], crops.array, strict=True))
    landmarks = np.full((len(table), 5, 2), np.nan, np.float32)  # not needed where the crops are there
    array = np.stack([KNOWN[name] for name in names])
    return table, Crops(table["path"].tolist(), landmarks, aligner, array)


def remember(path: Path | None) -> None:
    """The crops that an earlier run has kept."""
    if path and path.is_file():
        with np.load(path) as kept:
            KNOWN.update(zip(kept["names"].tolist(), kept["crops"], strict=True))


def keep(path: Path | None) -> None:
    if path:
        np.savez(path, names=list(KNOWN), crops=list(KNOWN.values()))


def without_names(folder: Path) -> Path:
    """Links the photos of `training_folder` into one folder, without names."""
    loose = folder / "loose"
    loose.mkdir(exist_ok=True)
    for number, path in enumerate(sorted((folder / "train").rglob("*.*"))):
        link = loose / f"{number}{path.suffix}"
        if not link.is_symlink():
            link.symlink_to(path.resolve())
    return loose


def trained(way: str, folder: Path, args) -> Path:
    """The weights that train.py makes of a folder."""
    output = folder / f"{way}.pt"
    data = without_names(folder) if way == "nameless" else folder
    flags = ["--data_dir", data, "--run_dir", folder / way, "--output", output, "--quiet", "--workers", "0"]
    epochs = 0 if way in ("nameless", "adapted") else args.epochs
    flags += [] if epochs is None else ["--epochs", str(epochs)]
    flags += ["--no-adapt", "--lr", "1e-5"] if way == "unguarded" else []
    parser = training.arguments("siamese", ROOT, "")
    settings = cli.parse(parser, [str(flag) for flag in flags], recipes.SIAMESE)
    with (
        mock.patch.object(preparation, "load_crops", crops_once),
        mock.patch.object(unlabelled, "load_crops", crops_once),
    ):
        with mock.patch.object(SiameseJob, "REMEMBERS", way != "unguarded"):
            training.train(settings, "siamese")
    return output


def judged(weights: Path | None, table: pd.DataFrame) -> list[dict]:
    """Cross-photo figures of the judges, all conditions pooled."""
    loaded = checkpoint.load(weights, "siamese")
    size, mean, std, align, frame = (loaded.preprocessing[name] for name in ("size", "mean", "std", "align", "frame"))
    table, crops = crops_once(table, Aligner(align, size, frame=frame), workers=1, quiet=True)
    found = []
    with torch.inference_mode():
        for (x,) in evaluation_batches(crops, eval_transform(size, mean, std)):
            found.append(mirror.embed(loaded.model, x, loaded.preprocessing["mirror"])[0].numpy())
    embeddings = np.concatenate(found)
    rows = protocols.cross_photo(table, embeddings, conditions=["all"])
    rows = [row for row in rows if row["metric"] in METRICS]
    # Every photo with every other, whatever its condition.
    passing = protocols.threshold_transfer(table.assign(condition="clean"), embeddings, loaded.operating_points[:1])
    return rows + [row | {"metric": AT_THRESHOLD[row["metric"]]} for row in passing]


def with_earlier(output: str, found: list[dict]) -> list[dict]:
    """The rows of the file that this run has not measured again, and this run's, in the order of the domains."""
    if not Path(output).is_file():
        return found
    key = lambda row: (row["domain"], int(row["people"]), row["way"])  # noqa: E731
    new = {key(row) for row in found}
    kept = [row for row in pd.read_csv(output).to_dict("records") if key(row) not in new]
    order = ("shipped", *WAYS)
    place = lambda row: (DOMAINS.index(row["domain"]), int(row["people"]), order.index(row["way"]))  # noqa: E731
    return sorted(kept + found, key=place)


def main(args: argparse.Namespace) -> None:
    remember(args.crops)
    found = []
    for domain in args.domains:
        with tempfile.TemporaryDirectory() as place:
            table, people, judges = parted(domain, args, Path(place))
            about = {"domain": domain, "people": 0, "photos": 0, "way": "shipped"}
            found += [about | row for row in judged(None, judges)]
            for number in args.people:
                folder = Path(place) / f"of{number}"
                most = FEW_PHOTOS if number == min(PEOPLE) else MOST_PHOTOS
                photos = training_folder(table, people[:number], most, folder)
                for way in args.ways:
                    about = {"domain": domain, "people": number, "photos": photos, "way": way}
                    found += [about | row for row in judged(trained(way, folder, args), judges)]
            shown = pd.DataFrame([row for row in found if row["domain"] == domain])
            print(
                shown.pivot(index=["people", "way"], columns="metric", values="value").round(3).to_string(), flush=True
            )
    keep(args.crops)
    rows = [{k: v for k, v in row.items() if k not in ("protocol", "condition")} for row in found]
    write_rows(args.output, with_earlier(args.output, rows))
    print(f"wrote {args.output}")


def add_data_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data_dir", type=Path, required=True, help="FACECOM Task B")
    parser.add_argument("--faces", type=Path, required=True, help="table of aligned crops (parquet)")
    parser.add_argument("--domains", nargs="+", choices=DOMAINS, default=DOMAINS, help="which of the domains")
    parser.add_argument("--crops", type=Path, help="file that keeps the crops for the next run (.npz)")
    parser.add_argument("--epochs", type=int, help="at most (default: what train.py takes)")


def get_args_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_data_flags(parser)
    parser.add_argument("--people", nargs="+", type=int, choices=PEOPLE, default=PEOPLE, help="how many to train on")
    parser.add_argument(
        "--ways", nargs="+", choices=WAYS, default=("nameless", "adapted", "trained"), help="which ways to train"
    )
    parser.add_argument(
        "--output", default="results/adaptation.csv", help="CSV file to write; rows of other runs stay in it"
    )
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
