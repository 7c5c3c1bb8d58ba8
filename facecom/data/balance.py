"""How an epoch is drawn and what each photo counts: many men and few women, or the other way round."""

import numpy as np
import pandas as pd

from facecom.data.folders import GENDERS

#: Share of the rarer gender from which on `auto` leaves the photos as they are.
BALANCED = 0.4


def settle(balance: str, table: pd.DataFrame) -> tuple[str, str]:
    """(undersample, weighted or none; a line that says what was found and what is done).

    table: columns `gender` and, if there are several, `source`: where little can be seen, a network answers what is
    more frequent where the photo comes from.
    """
    male, female = (int((table["gender"] == gender).sum()) for gender in GENDERS)
    found = f"balance: {male} photos of men, {female} of women"
    if balance == "auto":
        women = (table["gender"] == "female").groupby(sources(table)).mean()
        rarer = float(np.minimum(women, 1 - women).min()) if len(women) else 0.0
        balance = "none" if rarer >= BALANCED else "weighted"
        found += f", {'fewer than' if balance == 'weighted' else 'at least'} {BALANCED:.0%} are of the rarer gender"
        found += f" in {women.index[np.minimum(women, 1 - women).argmin()]}" if len(women) > 1 else ""
    does = {
        "none": "nothing is done",
        "weighted": "a photo counts the more, the rarer its gender",
        "undersample": f"{min(male, female)} of each are drawn",
    }
    return balance, f"{found}: {does[balance]}"


def draw_epoch(table: pd.DataFrame, balance: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of an epoch (int64 [N], not shuffled), and what each counts (float64 [N], 1 on average).

    Sources (column `source`, if any) are drawn in proportion to the square root of their size, so that a large one
    does not drown a small one; with one source each photo comes once. balance: `undersample` draws as many of each
    gender, `weighted` has both count the same in sum, in each source, `none` leaves them.
    """
    rng = np.random.default_rng(seed)
    rows = _from_sources(table, rng)
    female = (table["gender"].to_numpy()[rows] == "female").astype(int)
    count = np.bincount(female, minlength=2)
    if balance == "undersample" and count.min():
        rows = np.concatenate([rng.permutation(rows[female == gender])[: count.min()] for gender in (0, 1)])
    if balance != "weighted":
        return rows, np.ones(len(rows))
    source, _ = pd.factorize(sources(table).to_numpy()[rows])
    counts = np.zeros((source.max(initial=-1) + 1, 2))
    np.add.at(counts, (source, female), 1)
    both = counts.min(1) > 0
    return rows, np.where(both[source], counts.sum(1)[source] / (2 * counts[source, female]), 1.0)


def sources(table: pd.DataFrame) -> pd.Series:
    """Where each row comes from; one source where the table does not say."""
    return table["source"] if "source" in table else pd.Series("", index=table.index)


def _from_sources(table: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    rows = np.arange(len(table))
    if "source" not in table:
        return rows
    source = table["source"].to_numpy()
    names, sizes = np.unique(source, return_counts=True)
    drawn = []
    for name, share in zip(names, np.sqrt(sizes) / np.sqrt(sizes).sum(), strict=True):
        pool = rows[source[rows] == name]
        wanted = round(share * len(table))
        rounds = -(-wanted // len(pool))
        drawn.append(np.concatenate([rng.permutation(pool) for _ in range(rounds)])[:wanted])
    return np.concatenate(drawn)
