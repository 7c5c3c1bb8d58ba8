"""Result rows by what they are about, for the tests of protocols."""

import pandas as pd


def figures(rows: list[dict]) -> dict[tuple[str, str], float]:
    return {(row["condition"], row["metric"]): row["value"] for row in rows}


def counts(rows: list[dict]) -> dict[tuple[str, str], int]:
    return {(row["condition"], row["metric"]): row["count"] for row in rows}


def assert_same(rows: list[dict], others: list[dict]):
    pd.testing.assert_frame_equal(pd.DataFrame(rows), pd.DataFrame(others))
