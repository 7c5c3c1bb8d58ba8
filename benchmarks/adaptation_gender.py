"""What training Task A on one's own camera does for other people -> results/adaptation_gender.csv.

    python benchmarks/adaptation_gender.py --faces faces.parquet

People of CelebA whom neither shipped network has seen, through two cameras that nothing was trained on
(`pretraining/choosing/cameras.py`): `infrared` and `tight`. `train.py` runs as a user would run it, on `male/` and
`female/` of 40, 120 and 240 people; the figures are those of 200 others. A row a figure:
`domain,people,photos,way,metric,value,low,high,count`. Ways: shipped, calibrated (`--epochs 0`: temperature and
threshold), trained (as `train.py` does by itself).
"""

import argparse
import io
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from facecom import cli  # noqa: E402
from facecom.commands import training  # noqa: E402
from facecom.data.folders import GENDERS  # noqa: E402
from facecom.data.holdback import is_held_back  # noqa: E402
from facecom.evaluation import protocols  # noqa: E402
from facecom.evaluation.results import write_rows  # noqa: E402
from facecom.inference.gender import GenderPredictor  # noqa: E402
from facecom.training import recipes  # noqa: E402
from pretraining.choosing.cameras import infrared, tight  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]

CAMERAS = {"infrared": infrared, "tight": tight}

#: People to train on, people who judge, photos of each at most.
PEOPLE, JUDGES, PHOTOS = (40, 120, 240), 200, 6

#: Share of CelebA's people that the shipped networks have not seen (`pretraining/targets/people.py`).
UNSEEN = 0.05

METRICS = ("balanced_accuracy", "accuracy male", "accuracy female", "auc", "ece")


def unseen_people(faces: Path) -> pd.DataFrame:
    """[image, identity, gender, photo] of people of both genders in an order of chance."""
    table = pd.read_parquet(faces)
    table = table[(table["source"] == "celeba") & table["gender"].isin(GENDERS)]
    table = table[table["identity"].map({name: is_held_back(name, UNSEEN) for name in table["identity"].unique()})]
    table = table.groupby("identity").head(PHOTOS)
    photo = table["identity"] + "_" + table.groupby("identity").cumcount().add(1).astype(str).str.zfill(4)
    order = np.random.default_rng(0).permutation(sorted(table["identity"].unique()))
    place = {name: number for number, name in enumerate(order)}
    return table.assign(photo=photo, place=table["identity"].map(place)).sort_values(["place", "photo"])


def write_photos(table: pd.DataFrame, camera, folder: Path) -> pd.DataFrame:
    """The crops as a camera sees them, in `<gender>/<photo>.png`. Returns the table with their `path`."""
    rng, paths = np.random.default_rng(0), []
    for row in table.itertuples():
        crop = np.asarray(Image.open(io.BytesIO(row.image)).convert("RGB"))
        path = folder / row.gender / f"{row.photo}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), camera(crop, rng)[:, :, ::-1])
        paths.append(str(path))
    return table.drop(columns="image").assign(path=paths, condition="clean")


def trained(way: str, folder: Path, args: argparse.Namespace) -> Path:
    """The weights that train.py makes of a folder."""
    output = folder / f"{way}.pth"
    flags = ["--data_dir", folder, "--run_dir", folder / way, "--output", output, "--quiet", "--workers", "0"]
    epochs = 0 if way == "calibrated" else args.epochs
    flags += [] if epochs is None else ["--epochs", epochs]
    parser = training.arguments("gender", ROOT, "")
    training.train(cli.parse(parser, [str(flag) for flag in flags], recipes.GENDER), "gender")
    return output


def judged(weights: Path | None, table: pd.DataFrame) -> list[dict]:
    """The judges' figures at the weights' own threshold; nobody is left out as "cannot tell"."""
    predictor = GenderPredictor(*[weights] if weights else [], workers=0)
    p_female = predictor.predict(table["path"].tolist())["p_female"].to_numpy()
    rows = protocols.gender(table.reset_index(drop=True), p_female, predictor.threshold)
    return [row for row in rows if row["metric"] in METRICS and row["condition"] == "clean"]


def main(args: argparse.Namespace) -> None:
    people, found = unseen_people(args.faces), []
    for domain in args.domains:
        with tempfile.TemporaryDirectory() as place:
            table = write_photos(people, CAMERAS[domain], Path(place) / "photos")
            most = table["place"].max() + 1 - JUDGES
            judges = table[table["place"] >= most]
            found += [{"domain": domain, "people": 0, "photos": 0, "way": "shipped"} | r for r in judged(None, judges)]
            for number in args.people:
                own = table[table["place"] < number]
                folder = Path(place) / f"of{number}"
                for row in own.itertuples():
                    link = folder / "train" / row.gender / Path(row.path).name
                    link.parent.mkdir(parents=True, exist_ok=True)
                    link.symlink_to(row.path)
                for way in args.ways:
                    about = {"domain": domain, "people": number, "photos": len(own), "way": way}
                    found += [about | row for row in judged(trained(way, folder, args), judges)]
        shown = pd.DataFrame([row for row in found if row["domain"] == domain])
        print(shown.pivot(index=["people", "way"], columns="metric", values="value").round(3).to_string(), flush=True)
    write_rows(args.output, [{k: v for k, v in r.items() if k not in ("protocol", "condition")} for r in found])
    print(f"wrote {args.output}")


def get_args_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True, help="table of aligned crops (parquet)")
    parser.add_argument("--domains", nargs="+", choices=CAMERAS, default=list(CAMERAS), help="which cameras")
    parser.add_argument("--people", nargs="+", type=int, default=PEOPLE, help="how many to train on")
    ways = ("calibrated", "trained")
    parser.add_argument("--ways", nargs="+", choices=ways, default=ways, help="which ways to train")
    parser.add_argument("--epochs", type=int, help="at most (default: what train.py takes)")
    parser.add_argument("--output", default="results/adaptation_gender.csv", help="CSV file to write")
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
