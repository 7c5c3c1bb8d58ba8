"""How well a folder's faces are sorted into people: a row a way of sorting, in results/grouping.csv.

python benchmarks/grouping.py --data_dir data/Task_B
python benchmarks/grouping.py --data_dir data/Task_B --faces faces.parquet     also people of another source

data: `held back` (people of train/ whom no training sees; here the method and its share are chosen), `val`, or
`fiw`: that source's held-back people in a parquet table of aligned crops, up to --people of them. photos: `clean` of
people with several, or `copies`: all photos and their copies but glare. method: `average`, `complete` linkage and
`rounds` (what sorts many faces: average linkage of squares) up to `share` of the stored operating point, which is
`threshold`; or `hdbscan`, which has none. count: photos; people: true ones; groups: found. A face that cannot be told
counts as a person of its own.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from facecom import cli  # noqa: E402
from facecom.data.folders import split_folders, task_b_table  # noqa: E402
from facecom.data.holdback import hold_back  # noqa: E402
from facecom.errors import FacecomError  # noqa: E402
from facecom.evaluation import clustering, results  # noqa: E402
from facecom.inference import ensemble, pipeline  # noqa: E402
from facecom.inference.people import grouping  # noqa: E402
from facecom.inference.verifier import decide_at  # noqa: E402

SHARES = (0.9, 0.95, 1.0, 1.05, 1.1, 1.15, 1.2)

WAYS = [(method, share) for method in ("average", "complete", "rounds") for share in SHARES] + [("hdbscan", np.nan)]

#: (data, photos, whose they are: str [N], embeddings float32 [N, D], which can be told: bool [N]).
Part = tuple[str, str, np.ndarray, np.ndarray, np.ndarray]


def grouped(embeddings: np.ndarray, method: str, distance: float) -> np.ndarray:
    """int [N], 1, 2, ..., 0 for none."""
    from sklearn.cluster import HDBSCAN, AgglomerativeClustering

    if method == "hdbscan":
        return HDBSCAN(min_cluster_size=2, copy=True).fit_predict(embeddings.astype(float)) + 1
    if method == "rounds":
        return grouping.in_rounds(embeddings, distance) + 1
    linkage = AgglomerativeClustering(n_clusters=None, distance_threshold=distance, linkage=method)
    return linkage.fit_predict(embeddings.astype(float)) + 1


def several(identity: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """bool [N]: photos of people with two at least among those `counted`, bool [N]."""
    names, counts = np.unique(identity[counted], return_counts=True)
    return np.isin(identity, names[counts > 1])


def facecom_parts(siamese: ensemble.Ensemble, data_dir: str) -> Iterator[Part]:
    train, val = split_folders(data_dir, "B")
    if val is None:
        raise FacecomError(f"{data_dir}: holds no val/: what is chosen on train/ is judged there")
    for split, table in (("held back", hold_back(task_b_table(train))[1]), ("val", task_b_table(val))):
        table = table[table.condition != "sunny"].reset_index(drop=True)
        answers, _ = pipeline.collect(table.path.to_list(), siamese)
        told = siamese.can_tell(answers.confidence, answers.quality) & np.isfinite(answers.outputs).all(1)
        identity, clean = table.identity.to_numpy(), (table.condition == "clean").to_numpy()
        for name, part in (("clean", clean & several(identity, clean)), ("copies", np.ones(len(table), bool))):
            yield split, name, identity[part], answers.outputs[part], told[part]


def fiw_part(siamese: ensemble.Ensemble, path: str, people: int) -> Part:
    """Aligned crops of `people` with several photos at most, of families that no training sees."""
    from torch.utils.data import Subset

    from facecom.training.tables import open_extra, parted

    if len(siamese.members) > 1:
        raise FacecomError("--faces: aligned crops are for one network: give one --weights")
    table, crops = open_extra(path, "B", next(iter(siamese.aligners.values())), quiet=True)
    rows = np.flatnonzero(((table.source == "fiw") & (table.name != "")).to_numpy())
    if not len(rows):
        raise FacecomError(f"{path}: no people of the source fiw in it")
    _, (held, crops) = parted(table.iloc[rows].reset_index(drop=True), Subset(crops, rows.tolist()))
    identity = held.identity.to_numpy(str)
    names = np.unique(identity[several(identity, np.ones(len(held), bool))])
    chosen = np.flatnonzero(np.isin(identity, np.random.default_rng(0).permutation(names)[:people]))
    looks = [siamese.members[0].forward(crops[int(row)][None]) for row in chosen]
    embeddings, quality = (np.concatenate(column) for column in zip(*looks, strict=True))
    return "fiw", "clean", identity[chosen], embeddings, siamese.can_tell(np.full(len(chosen), np.nan), quality)


def judged(part: Part, limit: float) -> Iterator[dict]:
    """A row a way of sorting these photos."""
    data, photos, truth, embeddings, told = part
    for method, share in WAYS:
        people = np.zeros(len(truth), np.int64)
        people[told] = grouped(embeddings[told], method, share * limit)
        row = {"data": data, "photos": photos, "method": method, "share": share, "threshold": share * limit}
        row |= {"count": len(truth), "people": len(np.unique(truth)), "groups": len(np.unique(people[people > 0]))}
        for name, score in (("pairwise", clustering.pairwise), ("b-cubed", clustering.b_cubed)):
            figures = zip(("precision", "recall", "f1"), score(truth, people), strict=True)
            row |= {f"{name} {figure}": float(value) for figure, value in figures}
        yield row


def main(args: argparse.Namespace) -> None:
    siamese = ensemble.load(args.weights, "siamese")
    limit = decide_at(siamese)["threshold"]
    parts = [*facecom_parts(siamese, args.data_dir)]
    if args.faces:
        parts.append(fiw_part(siamese, args.faces, args.people))
    rows = [row for part in parts for row in judged(part, limit)]
    results.write_rows(args.output, rows)
    for row in rows:
        if row["share"] == grouping.SHARE or row["method"] == "hdbscan":
            print(*(f"{value:.3f}" if isinstance(value, float) else value for value in row.values()))


def get_args_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=cli.HelpFormatter)
    parser.add_argument("--data_dir", required=True, help="FACECOM Task B: train/ and val/")
    parser.add_argument("--faces", metavar="FILE", help="parquet table of aligned crops: image, identity, source")
    parser.add_argument("--people", type=int, default=300, help="most people of it")
    parser.add_argument("--weights", nargs="*", default=[], help="encoder (default: the shipped one)")
    parser.add_argument("--output", default="results/grouping.csv", help="CSV file to write")
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
