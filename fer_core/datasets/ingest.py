"""Write what an adapter read, and lock the test truth away."""

import time
from dataclasses import replace
from pathlib import Path

import pandas as pd

from fer_core.choices import LEAKAGE
from fer_core.datasets import DATASETS
from fer_core.datasets.dataset import Dataset, card, check
from fer_core.datasets.duplicates import look
from fer_core.datasets.folds import Folds
from fer_core.datasets.leakage import dropped, find_leaks, note, refuse
from fer_core.datasets.store import read_pictures, write_pictures
from fer_core.errors import ConfigError, unknown_name
from fer_core.files import write_json, write_parquet, write_text
from fer_core.manifest import write_manifest

UNREADABLE = "picture missing or unreadable"


def read_dataset(data: str, folder: Path, limit: int | None, seed: int | None, folds: Folds | None = None) -> Dataset:
    """Read a data set by its name in `DATASETS`.

    Raises:
        ConfigError: the name, `limit`, `seed` or `folds` is not valid.
        DataError: the published files are missing or faulty.
    """
    if data not in DATASETS:
        raise unknown_name("data", data, DATASETS)
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ConfigError(f"Expected `seed` to be an integer from 0; got {seed!r}.")
    return DATASETS[data](folder, limit, seed, folds=folds)


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


def ingest(
    data: str,
    folder: Path,
    out: Path,
    limit: int | None,
    seed: int | None,
    *,
    folds: Folds | None = None,
    leakage: str = LEAKAGE[0],
) -> None:
    """Read the data set `data` from `folder` and write manifest, pictures, test truth, card and leaks into `out`.

    Args:
        data: its name in `DATASETS`.
        folder: the published files.
        out: leakage.csv and leakage.json are written there first of all, also where leaks are refused.
        limit: labelled pictures to keep, or None for all.
        seed: of the draw that `limit` makes, and of the folds.
        folds: take these instead of the published split.
        leakage: what is done about a subject or a picture in two splits: refuse, report or drop.

    Raises:
        ConfigError: an argument is not valid.
        DataError: the published files are missing or faulty, or leak.
    """
    if leakage not in LEAKAGE:
        raise unknown_name("leakage", leakage, LEAKAGE)
    dataset = read_dataset(data, folder, limit, seed, folds)
    lost = write_pictures(out / "pictures.parquet", dataset, f"ingest {data}")
    rows = dataset.rows.copy()
    new = rows["sample_id"].isin(lost) & rows["drop_reason"].isna()
    rows["drop_reason"] = rows["drop_reason"].astype(object).mask(new, UNREADABLE)
    start = time.perf_counter()
    leaks = find_leaks(rows, look(read_pictures(out / "pictures.parquet")))
    write_text(out / "leakage.csv", leaks.table.to_csv(index=False))
    seconds = round(time.perf_counter() - start, 1)
    write_json(out / "leakage.json", {**leaks.report, "policy": leakage, "title": dataset.title})
    print(
        f"leakage: {leaks.report['leaks']} between splits, {leaks.report['duplicates_within_a_split']} pairs of the "
        f"same picture within a split; looked for {seconds} s"
    )
    if leakage == "refuse":
        refuse(leaks, str(out / "leakage.csv"))
    if leakage == "drop":
        rows = dropped(rows, leaks)
    told = note(leaks) if leakage == "report" else []
    dataset = check(replace(dataset, rows=rows, notes=(*dataset.notes, *told)))

    open_rows, truth = split_truth(rows)
    write_manifest(out / "manifest.parquet", open_rows, "ingest", classes=len(dataset.labels.classes))
    write_parquet(out / "test_truth.parquet", truth)
    write_json(out / "card.json", card(dataset, data))
