"""The nearest faces among many millions, of which only those in the likely parts are looked at (LanceDB's IVF-PQ).

Embeddings are parted by k-means (inverted file, IVF), and within a part compared by a code of 32 bytes (product
quantisation, PQ: Jegou, Douze and Schmid, TPAMI 2011); of the candidates the embeddings themselves are read, so what is
said of a distance is exact, and what may be wrong is only that a neighbour is not among them. `results/search.csv` has
the share that is found, and in what time.
"""

import math
import os
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow

#: Rows from which on a gallery is given an index when it has grown: exact search reads every one for each batch.
WORTH_INDEX = 3_000_000

#: The fewest rows that k-means can part.
LEAST_ROWS = 256

#: Bytes of a code, where the embedding's length is a multiple.
CODE_BYTES = 32

#: Share of the parts that is looked at, and the fewest.
LOOKED_AT, FEWEST = 0.22, 20

#: Candidates whose embeddings are read, a neighbour wanted.
CANDIDATES = 10

#: Photos that k-means sees, a part, and its rounds.
SEEN, ROUNDS = 64, 25

#: Probes that are asked for together.
AT_ONCE = 64

NAME = "embedding_idx"


def parts_for(rows: int) -> int:
    """How many parts so many embeddings are parted into."""
    return max(1, min(round(math.sqrt(rows)), rows // 64))


def build(table) -> None:
    """Give a table of LanceDB an index of its column `embedding`, in place of an older one."""
    from lancedb.index import IvfPq

    os.environ.setdefault("LANCE_LOG", "error")
    size = table.schema.field("embedding").type.list_size
    code = next(bytes_ for bytes_ in (CODE_BYTES, 16, 8, 4, 2, 1) if size % bytes_ == 0)
    parts = parts_for(table.count_rows())
    config = IvfPq("l2", num_partitions=parts, num_sub_vectors=code, sample_rate=SEEN, max_iterations=ROUNDS)
    table.create_index("embedding", config=config, replace=True, name=NAME)


def is_indexed(table) -> bool:
    return any(index.name == NAME for index in table.list_indices())


def nearest(table, probes: np.ndarray, k: int, columns: list[str], share: float = LOOKED_AT) -> "list[pyarrow.Table]":
    """For each probe, float32 [P, D], the k nearest rows that are found, nearest first: `columns` and `embedding`.

    share: of the parts that are looked at. Rows that came after the index was built are all looked at.
    """
    looked_at = max(FEWEST, math.ceil(share * parts_for(table.count_rows())))
    found: list = []
    for start in range(0, len(probes), AT_ONCE):
        some = probes[start : start + AT_ONCE]
        query = table.search(some[0] if len(some) == 1 else list(some), vector_column_name="embedding")
        query = query.distance_type("l2").nprobes(looked_at).refine_factor(CANDIDATES).limit(k)
        rows = query.select([*columns, "embedding", "_distance"]).to_arrow()
        if len(some) == 1:
            found.append(rows)
            continue
        of = rows["query_index"].to_numpy()
        found += [rows.take(np.flatnonzero(of == number)) for number in range(len(some))]
    return found
