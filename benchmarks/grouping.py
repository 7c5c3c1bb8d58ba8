"""How well a folder's faces are sorted into people.

    python benchmarks/grouping.py --data_dir data/Task_B        # -> results/grouping.csv

A row a figure: `split,photos,method,share,metric,value,count`. Chosen on the people of train/ who are held back from
training, reported on val/. `clean`: clean photos of people with several; `copies`: all photos and their copies but
glare. method: `average`, `complete` linkage up to `share` of the stored operating point's distance, or `hdbscan`.
metric: `b-cubed`, `b-cubed precision`, `b-cubed recall`, `pairwise` (F1), `groups`; count: photos.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from facecom import cli  # noqa: E402
from facecom.data.folders import split_folders, task_b_table  # noqa: E402
from facecom.data.holdback import hold_back  # noqa: E402
from facecom.evaluation import clustering, results  # noqa: E402
from facecom.inference import ensemble, pipeline  # noqa: E402
from facecom.inference.verifier import decide_at  # noqa: E402

SHARES = (0.9, 0.95, 1.0, 1.05, 1.1, 1.15, 1.2)


def grouped(embeddings: np.ndarray, method: str, distance: float) -> np.ndarray:
    """int [N], 1, 2, ..., 0 for none."""
    from sklearn.cluster import HDBSCAN, AgglomerativeClustering

    if method == "hdbscan":
        return HDBSCAN(min_cluster_size=2, copy=True).fit_predict(embeddings.astype(float)) + 1
    clustering_ = AgglomerativeClustering(n_clusters=None, distance_threshold=distance, linkage=method)
    return clustering_.fit_predict(embeddings.astype(float)) + 1


def parts_of(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """{name: bool [N]}, which rows belong to each set of photos."""
    clean = (table.condition == "clean").to_numpy()
    several = table.identity.map(table[clean].groupby("identity").size()).fillna(0).to_numpy() > 1
    return {"clean": clean & several, "copies": (table.condition != "sunny").to_numpy()}


def main(args) -> None:
    siamese = ensemble.load(args.weights, "siamese")
    limit = decide_at(siamese)["threshold"]
    train, val = split_folders(args.data_dir, "B")
    rows = []
    for split, table in (("held back", hold_back(task_b_table(train))[1]), ("val", task_b_table(val))):
        table = table.reset_index(drop=True)
        table = table[table.condition != "sunny"].reset_index(drop=True)
        answers, _ = pipeline.collect(table.path.to_list(), siamese)
        told = siamese.can_tell(answers.confidence, answers.quality) & np.isfinite(answers.outputs).all(1)
        for name, part in parts_of(table).items():
            truth = table.identity.to_numpy()[part]
            for method, share in [(m, s) for m in ("average", "complete") for s in SHARES] + [("hdbscan", 0.0)]:
                people = np.zeros(part.sum(), np.int64)
                sure = told[part]
                people[sure] = grouped(answers.outputs[part][sure], method, share * limit)
                precision, recall, f1 = clustering.b_cubed(truth, people)
                found = {"b-cubed": f1, "b-cubed precision": precision, "b-cubed recall": recall}
                found |= {"pairwise": clustering.pairwise(truth, people)[2]}
                found |= {"groups": len(np.unique(people[people > 0]))}
                row = {"split": split, "photos": name, "method": method, "share": share}
                rows += [row | {"metric": m, "value": float(v), "count": len(truth)} for m, v in found.items()]
                print(split, name, method, share, {m: round(float(v), 3) for m, v in found.items()}, flush=True)
    results.write_rows(args.output, rows)


def get_args_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=cli.HelpFormatter)
    parser.add_argument("--data_dir", required=True, help="FACECOM Task B: train/ and val/")
    parser.add_argument("--weights", nargs="*", default=[], help="encoder (default: the shipped one)")
    parser.add_argument("--output", default="results/grouping.csv", help="CSV file to write")
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
