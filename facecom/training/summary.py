"""What training did for its user: the network as it came, adapted, and fine-tuned, on people it was not trained on."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from facecom.evaluation import protocols
from facecom.evaluation.results import interval

#: Figures shown, by protocol; all conditions of the photos pooled.
SHOWN = (("cross-photo", "tar@far=1e-3"), ("cross-photo", "tar@far=1e-4"), ("identification", "rank1"),
         ("cross-photo", "eer"))  # fmt: skip

TITLES = {"held": "held back", "val": "val", "guard": "guard"}

#: The network at its three ages, in order.
STAGES = ("shipped", "adapted", "fine-tuned")


def summary(tables: Mapping[str, pd.DataFrame], stages: Mapping[str, Mapping[str, np.ndarray]]) -> list[str]:
    """Lines of a table: a stage and a set of photos a row.

    tables: by the names of `TITLES`; stages: embeddings float [N, D] of each, by `STAGES`.
    """
    lines = ["what training did (95 % intervals over people):"]
    lines.append(f"  {'':<10} {'':<10} " + " ".join(f"{metric:<22}" for _, metric in SHOWN) + " genuine")
    for name, table in tables.items():
        for stage in STAGES:
            if name in stages.get(stage, {}):
                lines.append(f"  {TITLES[name]:<10} {stage:<10} {_figures(table, stages[stage][name])}")
    return lines


def _figures(table: pd.DataFrame, embeddings: np.ndarray) -> str:
    rows = protocols.cross_photo(table, embeddings, conditions=["all"])
    rows += protocols.identification(table, embeddings, conditions=["all"])
    found = {(row["protocol"], row["metric"]): row for row in rows}
    shown = []
    for key in SHOWN:
        row = found.get(key)
        shown.append("-" if row is None or np.isnan(row["value"]) else f"{row['value']:.3f} ({interval(row)})")
    genuine = found.get(SHOWN[0], {}).get("count", 0)
    return " ".join(f"{text:<22}" for text in shown) + f" {genuine:,}"
