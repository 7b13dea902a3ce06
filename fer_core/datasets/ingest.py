"""Write what an adapter read, and lock the test truth away."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from fer_core.choices import LEAKAGE
from fer_core.datasets.classes import OWN, Rule, check_rule, to_common
from fer_core.datasets.dataset import Dataset, Published, card, check
from fer_core.datasets.duplicates import look
from fer_core.datasets.folds import Folds, deal, folds_of, told
from fer_core.datasets.hold_out import hold_out
from fer_core.datasets.join_sets import join_sets
from fer_core.datasets.leakage import dropped, find_leaks, note, refuse
from fer_core.datasets.limit import limit_rows
from fer_core.datasets.registry import DATASETS, names_of, title_of
from fer_core.datasets.store import read_pictures, write_pictures
from fer_core.errors import ConfigError, DataError, unknown_name
from fer_core.files import write_json, write_parquet, write_text
from fer_core.manifest import OWNED, SPLITS, attribute_names, write_manifest

UNREADABLE = "picture missing or unreadable"


@dataclass(frozen=True)
class Reading:
    """What params.yaml says of how a set is read.

    Attributes:
        limit: labelled pictures to keep, or None for all.
        seed: of the draw that `limit` makes, of `hold_out` and of the folds.
        folds: take these instead of the published split.
        classes: what is done to the classes; see `fer_core.datasets.classes`.
        hold_out: share of train that becomes validation where a set publishes none.
        sets: options of the sets, by their names.
    """

    limit: int | None = None
    seed: int = 0
    folds: Folds | None = None
    classes: Rule = OWN
    hold_out: float = 0.15
    sets: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise ConfigError(f"Expected `seed` to be an integer from 0; got {self.seed!r}.")
        check_rule(self.classes)
        if not isinstance(self.sets, Mapping):
            raise ConfigError(f"Expected `sets` to hold options by the names of sets; got {self.sets!r}.")
        for name in self.sets:
            if name not in DATASETS:
                raise unknown_name("key of sets", name, DATASETS)


def reading_of(params: Mapping[str, Any]) -> Reading:
    """Build it from params.yaml; keys that are not there, but `seed`, have their defaults."""
    own = {key: params[key] for key in ("limit", "classes", "hold_out") if key in params}
    own["seed"] = params.get("seed")
    return Reading(**own, folds=folds_of(dict(params)), sets=params.get("sets") or {})


def read_dataset(data: str, folder: Path, reading: Reading) -> Dataset:
    """Read a data set, or several joined by `+`, by the names in `DATASETS`.

    Args:
        data: the name or names. Each of several lies in a folder of its own name below `folder`.
        folder: the published files.
        reading: how.

    Raises:
        ConfigError: a name or a value of `reading` is not valid.
        DataError: the published files are missing or faulty, or the set has no split and no `folds`.
    """
    names = names_of(data)
    places = [folder / name for name in names] if len(names) > 1 else [folder]
    parts: list[tuple[str, Published]] = []
    for name, place in zip(names, places, strict=True):
        if len(names) > 1 and not place.is_dir():
            raise DataError(
                f"{place} does not exist: several sets lie together in one folder. With each in data/raw/<name>, "
                f"`fer combine {' '.join(names)}` makes it."
            )
        entry = DATASETS[name]
        part = entry.read(place, reading.sets.get(name) or {})
        parts.append((entry.info.title, _with_split(part, entry.info.title, reading)))
    whole = join_sets(names, to_common(parts, reading.classes))
    if not whole.rows["emotion"].notna().any():
        raise DataError(
            f"{title_of(data)} has no emotion labels, so it cannot be learnt from alone; join it to a set that has "
            "some, as in `data: rafce+disfa`."
        )
    rows = deal(limit_rows(whole.rows, reading.limit, reading.seed), reading.folds, reading.seed)
    notes = list(whole.notes)
    if reading.folds is None:
        notes = [*whole.split_notes, *notes]
    else:
        notes = [*told(reading.folds, published=bool(whole.rows["split"].isin(SPLITS[:3]).any())), *notes]
    if whole.standin and whole.standin["ceiling"]:
        notes += _about_ceiling(whole.rows, rows, reading.folds is not None)
    rows.insert(list(OWNED["ingest"]).index("source"), "source", rows.pop("source"))
    dataset = Dataset(
        rows=rows[[*OWNED["ingest"], *attribute_names(rows)]],
        pictures=partial(whole.pictures, rows),
        title=title_of(data),
        labels=whole.labels,
        aus=whole.aus,
        intensities=whole.intensities,
        notes=tuple(notes),
        standin=whole.standin,
    )
    return check(dataset)


def _with_split(part: Published, title: str, reading: Reading) -> Published:
    """Hold validation out of train where it must be, and refuse a set without a split of its own."""
    if reading.folds is not None:
        return part
    rows, notes = hold_out(part.rows, reading.hold_out, reading.seed)
    labelled = rows["emotion"].notna()
    bare = labelled & rows["split"].isna()
    if bare.any():
        why = "".join(f"; {text}" for text in part.split_notes)
        raise DataError(
            f"{title} has no split of its own ({int(bare.sum())} of {int(labelled.sum())} labelled pictures have "
            f"none{why}). For a set without a split, set `folds: 5` in params.yaml."
        )
    return replace(part, rows=rows, split_notes=(*part.split_notes, *notes))


def _about_ceiling(published: pd.DataFrame, rows: pd.DataFrame, dealt: bool) -> list[str]:
    if dealt:
        return ["the ceiling is that of the published test split, not of this fold"]
    if (rows["split"] == "test").sum() < (published["split"] == "test").sum():
        return ["the ceiling is that of the whole test split, of which `limit` keeps a part"]
    return []


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
    reading: Reading,
    *,
    leakage: str = LEAKAGE[0],
) -> None:
    """Read the data set `data` from `folder` and write manifest, pictures, test truth, card and leaks into `out`.

    Args:
        data: its name in `DATASETS`, or several joined by `+`.
        folder: the published files.
        out: leakage.csv and leakage.json are written there first of all, also where leaks are refused.
        reading: how they are read.
        leakage: what is done about a subject or a picture in two splits: refuse, report or drop.

    Raises:
        ConfigError: an argument is not valid.
        DataError: the published files are missing or faulty, or leak.
    """
    if leakage not in LEAKAGE:
        raise unknown_name("leakage", leakage, LEAKAGE)
    dataset = read_dataset(data, folder, reading)
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
