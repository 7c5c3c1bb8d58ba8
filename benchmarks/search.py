"""How fast the nearest people are found among very many, and how many of them: results/search.csv.

python benchmarks/search.py --data_dir data/Task_B
python benchmarks/search.py --data_dir data/Task_B --rows 100000 --ways facecom faiss

The embeddings are simulated, with the real ones' spread: of all clean photos of train/, the shipped network's
embeddings give the mean, the covariance between people (of their means) and within them (of what differs from these);
a person is drawn from the first, three photos of each from the second, so wide that half of the pairs of one person are
as near as half of the real ones, scaled to unit length. A probe is one more photo of somebody. The rows `genuine` and
`impostor` say how far apart the photos are of one person and of two, real and simulated (median; a tenth lies below
`low`, a tenth above `high`).

Ways: `facecom` (`facecom/inference/search.py`), `numpy` (all products in blocks, and a partial sort), `faiss` (its flat
index), all exact, and `ivf-pq` (a gallery's index of LanceDB). together: seconds for all probes at once; alone: for one
that comes by itself, median; recall: share of the five nearest (of the exact ways) that are found; made: seconds to
build. The same threads for all.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from facecom import cli  # noqa: E402
from facecom.data.folders import split_folders, task_b_table  # noqa: E402
from facecom.evaluation import results  # noqa: E402
from facecom.inference import ensemble, pipeline, search  # noqa: E402
from facecom.inference.gallery import approximate  # noqa: E402

K, PHOTOS_EACH = 5, 3

#: Probes that are asked for one by one.
ALONE = 50

#: Probes that `numpy` is asked, which takes minutes for more.
SLOW = 100

#: Shares of the parts that `ivf-pq` looks at.
SHARES = (0.04, 0.08, approximate.LOOKED_AT)


class Spread:
    """Embeddings as a network gives them. embeddings: float32 [N, D]; people: int [N], whose each is."""

    def __init__(self, embeddings: np.ndarray, people: np.ndarray):
        counts = np.bincount(people)
        means = np.stack([np.bincount(people, column) for column in embeddings.T], 1) / counts[:, None]
        several = counts[people] > 1
        apart = (embeddings - means[people])[several]
        freedom = several.sum() - (counts > 1).sum()
        within = apart.T @ apart / freedom
        # The means of few photos spread by what differs within people, too.
        between = np.cov(means.T) - within * (1 / counts).mean()
        self.mean, self.width = means.mean(0), embeddings.shape[1]
        self.between, self.within = root(between), root(within)
        self.within *= self._share_within(np.median(genuine(embeddings, people)))

    def _share_within(self, median: float) -> float:
        """What the spread within people is to be multiplied by, so that half of the pairs of one person lie as near as
        half of the real ones: a few bad photos make the covariance, and nobody is as far apart as they are."""
        whole, people = self.within, np.tile(np.arange(600), 2)

        def is_too_far(share):
            self.within = whole * share
            return np.median(genuine(np.concatenate(list(self.photos(600, 2, 2))), people)) > median

        low, high = 0.0, 2.0
        for _ in range(12):
            low, high = (low, (low + high) / 2) if is_too_far((low + high) / 2) else ((low + high) / 2, high)
        self.within = whole
        return high

    def photos(self, people: int, each: int, seed: int) -> Iterator[np.ndarray]:
        """`each` photos of every person, float32 [people, D] at a time. The same seed gives the same people."""
        rng = np.random.default_rng(seed)
        centres = draw(rng, people, self.between) + self.mean
        for number in range(each):
            own = np.random.default_rng([seed, number + 1])  # [seed, 0] would be `seed` itself
            drawn = (centres + draw(own, people, self.within)).astype(np.float32)
            yield drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def draw(rng: np.random.Generator, count: int, root: np.ndarray) -> np.ndarray:
    return rng.standard_normal((count, len(root)), dtype=np.float32) @ root.astype(np.float32)


def root(covariance: np.ndarray) -> np.ndarray:
    """The symmetric square root; what is below nothing counts as nothing."""
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T


def real_embeddings(data_dir: str) -> tuple[np.ndarray, np.ndarray]:
    table = task_b_table(split_folders(data_dir, "B")[0])
    table = table[table.condition == "clean"]
    answers, _ = pipeline.collect(table.path.to_list(), ensemble.load([], "siamese"))
    good = np.isfinite(answers.outputs).all(1)
    return answers.outputs[good], np.unique(table.identity.to_numpy(str)[good], return_inverse=True)[1]


def genuine(embeddings: np.ndarray, people: np.ndarray) -> np.ndarray:
    """Distances of all pairs of photos of one person."""
    return pairs(embeddings, people)[0]


def pairs(embeddings: np.ndarray, people: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distances of all pairs of photos of one person, and of two."""
    apart = np.sqrt(np.maximum(2 - 2 * embeddings @ embeddings.T, 0))[np.triu_indices(len(people), 1)]
    same = (people[:, None] == people)[np.triu_indices(len(people), 1)]
    return apart[same], apart[~same]


def fidelity(kind: str, embeddings: np.ndarray, people: np.ndarray) -> Iterator[dict]:
    """Rows of how far apart photos of one person and of two are."""
    for name, found in zip(("genuine", "impostor"), pairs(embeddings, people), strict=True):
        low, middle, high = np.quantile(found, (0.1, 0.5, 0.9))
        yield blank(f"{kind} {name}") | {"rows": len(people), "low": low, "median": middle, "high": high}


def blank(way: str) -> dict:
    names = (
        "rows",
        "probes",
        "threads",
        "parts",
        "together",
        "cpu",
        "alone",
        "recall",
        "made",
        "low",
        "median",
        "high",
    )
    return {"way": way} | dict.fromkeys(names)


def by_numpy(probes: np.ndarray, gallery: np.ndarray, block: int = 4) -> np.ndarray:
    """All products in blocks of 4 million, and a partial sort of each: int [P, K]."""
    found = []
    for start in range(0, len(probes), block):
        alike = probes[start : start + block] @ gallery.T
        best = np.argpartition(-alike, K - 1, axis=1)[:, :K]
        found.append(np.take_along_axis(best, np.argsort(-np.take_along_axis(alike, best, 1), 1), 1))
    return np.concatenate(found)


def exact_ways(gallery: np.ndarray, threads: int) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    import faiss

    faiss.omp_set_num_threads(threads)
    flat = faiss.IndexFlatIP(gallery.shape[1])
    flat.add(gallery)
    block = max(1, (1 << 22) // len(gallery))
    return {
        "faiss": lambda probes: flat.search(probes, K)[1],
        "facecom": lambda probes: search.nearest(probes, gallery, K)[0],
        "numpy": lambda probes: by_numpy(probes, gallery, block),
    }


def measured(way: str, ask: Callable, probes: np.ndarray, truth: np.ndarray | None, repeat: int) -> tuple[dict, list]:
    """(a row, the neighbours that were found)."""
    together, cpu, alone, found = [], [], [], None
    for _ in range(repeat):
        start, busy = time.perf_counter(), time.process_time()
        found = ask(probes)
        together.append(time.perf_counter() - start)
        cpu.append(time.process_time() - busy)
    for number in range(min(ALONE, len(probes))):
        start = time.perf_counter()
        ask(probes[number : number + 1])
        alone.append(time.perf_counter() - start)
    recall = None if truth is None else shared(found, truth)
    figures = {"together": min(together), "cpu": min(cpu), "alone": statistics.median(alone), "recall": recall}
    return blank(way) | {"probes": len(probes)} | figures, found


def shared(found, truth: np.ndarray) -> float:
    return float(np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found, truth.tolist(), strict=True)]))


def by_index(gallery: np.ndarray, folder: str):
    """(the table of LanceDB with its index, seconds that the index took)."""
    import lancedb
    import pyarrow as pa

    table = None
    for start in range(0, len(gallery), 100_000):
        part = gallery[start : start + 100_000]
        column = pa.FixedSizeListArray.from_arrays(pa.array(part.ravel()), gallery.shape[1])
        rows = pa.table({"row": np.arange(start, start + len(part)), "embedding": column})
        table = lancedb.connect(folder).create_table("faces", rows) if table is None else table
        if start:
            table.add(rows)
    start = time.perf_counter()
    approximate.build(table)
    return table, time.perf_counter() - start


def main(args: argparse.Namespace) -> None:
    from threadpoolctl import threadpool_limits

    embeddings, people = real_embeddings(args.data_dir)
    spread = Spread(embeddings, people)
    few = np.concatenate(list(spread.photos(600, PHOTOS_EACH, 1)))
    rows = [*fidelity("real", embeddings, people), *fidelity("simulated", few, np.tile(np.arange(600), PHOTOS_EACH))]
    count = args.rows // PHOTOS_EACH
    *photos, others = spread.photos(count, PHOTOS_EACH + 1, 0)
    gallery, probes = np.concatenate(photos), others[np.random.default_rng(0).permutation(count)[: args.probes]]
    del photos, others
    about = {"rows": len(gallery), "threads": args.threads}
    truth = None
    with threadpool_limits(args.threads):
        for way, ask in exact_ways(gallery, args.threads).items():
            if way in args.ways or truth is None:
                asked = probes[:SLOW] if way == "numpy" else probes
                row, found = measured(way, ask, asked, None if truth is None else truth[: len(asked)], args.repeat)
                truth = found if truth is None else truth
                rows.append(row | about)
                print(way, row["together"], row["cpu"], row["alone"], row["recall"], flush=True)
                results.write_rows(args.output, rows)
    if "ivf-pq" in args.ways:
        with tempfile.TemporaryDirectory() as folder:
            table, made = by_index(gallery, folder)
            for share in SHARES:

                def ask(asked, share=share):
                    return [found["row"].to_pylist() for found in approximate.nearest(table, asked, K, ["row"], share)]

                row, _ = measured("ivf-pq", ask, probes, truth, 1)
                rows.append(row | about | {"parts": share, "made": made})
                print("ivf-pq", share, row["together"], row["cpu"], row["alone"], row["recall"], made, flush=True)
                results.write_rows(args.output, rows)


def get_args_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=cli.HelpFormatter)
    parser.add_argument("--data_dir", required=True, help="FACECOM Task B: train/ and val/")
    parser.add_argument("--rows", type=int, default=1_000_000, help="photos in the gallery")
    parser.add_argument("--probes", type=int, default=1000, help="photos that are looked for")
    parser.add_argument("--ways", nargs="+", default=["facecom", "numpy", "ivf-pq"], help="beside faiss: which ways")
    parser.add_argument("--threads", type=int, default=2, help="of every way")
    parser.add_argument(
        "--repeat", type=int, default=2, help="runs, of which the fastest counts: others use the machine"
    )
    parser.add_argument("--output", type=Path, default=Path("results/search.csv"), help="CSV file to write")
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
