"""Write what an adapter read, and lock the test truth away."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from fer_core.datasets import DATASETS
from fer_core.datasets.dataset import Dataset, card, check
from fer_core.datasets.store import write_pictures
from fer_core.errors import ConfigError, unknown_name
from fer_core.files import write_json, write_parquet
from fer_core.manifest import write_manifest

UNREADABLE = "picture missing or unreadable"


def read_dataset(data: str, folder: Path, limit: int | None, seed: int | None) -> Dataset:
    """Read a data set by its name in `DATASETS`.

    Raises:
        ConfigError: the name, `limit` or `seed` is not valid.
        DataError: the published files are missing or faulty.
    """
    if data not in DATASETS:
        raise unknown_name("data", data, DATASETS)
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ConfigError(f"Expected `seed` to be an integer from 0; got {seed!r}.")
    return DATASETS[data](folder, limit, seed)


def split_truth(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Take the test split's emotion and votes out of the rows.

    Returns:
        The rows with nulls there, and the table (sample_id, emotion, votes) of labelled test rows.
    """
    test = rows["split"] == "test"
    truth = rows.loc[test & rows["emotion"].notna(), ["sample_id", "emotion", "votes"]].reset_index(drop=True)
    open_rows = rows.copy()
    open_rows["emotion"] = open_rows["emotion"].mask(test)
    open_rows["votes"] = open_rows["votes"].astype(object).where(~test, None)
    return open_rows, truth


def ingest(data: str, folder: Path, out: Path, limit: int | None, seed: int | None) -> None:
    """Read the data set `data` from `folder` and write manifest, pictures, test truth and card into `out`."""
    dataset = read_dataset(data, folder, limit, seed)
    lost = write_pictures(out / "pictures.parquet", dataset, f"ingest {data}")
    rows = dataset.rows.copy()
    new = rows["sample_id"].isin(lost) & rows["drop_reason"].isna()
    rows["drop_reason"] = rows["drop_reason"].astype(object).mask(new, UNREADABLE)
    dataset = check(replace(dataset, rows=rows))

    open_rows, truth = split_truth(rows)
    write_manifest(out / "manifest.parquet", open_rows, "ingest", classes=len(dataset.labels.classes))
    write_parquet(out / "test_truth.parquet", truth)
    write_json(out / "card.json", card(dataset, data))
