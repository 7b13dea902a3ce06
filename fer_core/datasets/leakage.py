"""Nothing of the test split, or of validation, may be known elsewhere: the same person or the same picture.

A leak is a subject, or a picture (see `duplicates`), that stands in two splits. Train pictures in the pool are none:
both are learned from. Validation and test pictures in the pool are: self-supervised and identity pretraining would see
them. The same picture with two emotions is no leak but a fault of the labels; it is listed, and where one of the two is
a test picture only counted, because a list of such pairs would tell test labels.

What to do about leaks is the caller's choice: `refuse` them, `note` them, or take the rows out (`dropped`). That last
one also takes out all pictures of a subject that stands in a higher split, so the counts of train may fall by much more
than there are leaks listed.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, groupby
from operator import itemgetter
from typing import Any

import numpy as np
import pandas as pd

from fer_core.datasets.dataset import SAME_AS, SUBJECT_IN
from fer_core.datasets.duplicates import NEAR, SAME, Pairs, Seen, same_pictures
from fer_core.errors import DataError

SUBJECT, PICTURE, LABELS = "subject", "picture", "labels"
_RANK = {"test": 0, "validation": 1, "train": 2, "pool": 2}  # of two that leak, the higher goes
_SHOWN = 3  # pairs in an error
Columns = Mapping[str, list[Any]]
COLUMNS = (
    *("kind", "first", "first_split", "second", "second_split", "subject", "exact", "mirrored", "bits", "correlation"),
    *("first_emotion", "second_emotion"),
)


@dataclass(frozen=True)
class Leaks:
    """What was found: `table` with the columns `COLUMNS`, one row a pair; `report`, counts for leakage.json.

    In rows of kind "subject" the two pictures are an example each; emotions stand in rows of kind "labels" only.
    """

    table: pd.DataFrame
    report: dict[str, Any]

    @property
    def leaking(self) -> pd.DataFrame:
        """The rows that are leaks: subjects and pictures, not labels."""
        return self.table[self.table["kind"] != LABELS]


def find_leaks(rows: pd.DataFrame, seen: Seen) -> Leaks:
    """Look for subjects and pictures in two splits, and for pictures with two emotions.

    Args:
        rows: the manifest's ingest columns with all labels; rows with a `drop_reason` are left out.
        seen: of the pictures, in the order of the rows.
    """
    usable = rows["drop_reason"].isna().to_numpy()
    pairs = same_pictures(replace(seen, usable=seen.usable & usable))
    conflicts, hidden = _conflicts(rows, pairs)
    table = _table([_subjects(rows[usable]), _pictures(rows, pairs), conflicts])
    within = _of_one_clip(rows, pairs)
    split = rows["split"].to_numpy()
    same_split = ~within & (split[pairs.first] == split[pairs.second])
    ends = table[["first_split", "second_split"]].to_numpy(dtype=object)
    of = [f"{kind}: {', '.join(sorted(pair))}" for kind, pair in zip(table["kind"], ends, strict=True)]
    report = {
        "pictures": len(rows),
        "leaks": int((table["kind"] != LABELS).sum()),
        "subjects": int((table["kind"] == SUBJECT).sum()),
        "duplicates": int((table["kind"] == PICTURE).sum()),
        "exact_duplicates": int(table.loc[table["kind"] == PICTURE, "exact"].sum()),
        "duplicates_within_a_split": int(same_split.sum()),
        "label_conflicts": int((table["kind"] == LABELS).sum()),
        "label_conflicts_with_test": hidden,
        "by_splits": dict(sorted(Counter(of).items())),
        "hash_bits": NEAR,
        "least_correlation": SAME,
    }
    return Leaks(table, report)


def refuse(leaks: Leaks, where: str) -> None:
    """Raise a DataError that counts the leaks, shows the first and says `where` all of them are listed."""
    found = leaks.leaking
    if found.empty:
        return
    examples = [_told(row) for _, row in found.head(_SHOWN).iterrows()]
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    raise DataError(
        f"Expected no subject and no picture in two splits; found {leaks.report['subjects']} subjects and "
        f"{leaks.report['duplicates']} pairs of the same picture: {'; '.join(examples)}{more}. All are listed in "
        f"{where}. In params.yaml, `leakage: drop` leaves out those that are not in test, and `leakage: report` goes "
        "on as it is."
    )


def note(leaks: Leaks) -> list[str]:
    """Return the sentences for the head of every table made from data that leak; none where nothing does."""
    said = []
    if subjects := leaks.leaking.loc[leaks.leaking["kind"] == SUBJECT, "subject"].nunique():
        said.append(f"{subjects} subjects stand in more than one split: test results may flatter")
    if pictures := leaks.report["duplicates"]:
        said.append(f"{pictures} pairs of the same picture stand in two splits: test results may flatter")
    conflicts = leaks.report["label_conflicts"] + leaks.report["label_conflicts_with_test"]
    if conflicts:
        said.append(f"{conflicts} pairs of the same picture have different emotions")
    return said


def dropped(rows: pd.DataFrame, leaks: Leaks) -> pd.DataFrame:
    """Return the rows with a `drop_reason` for everything that leaks and is not in test.

    Of two pictures, and of all pictures of a subject, those in train and the pool go before those in validation, and
    these before test.
    """
    rows = rows.copy()
    reasons: dict[str, str] = {}
    by_subject: dict[str, str] = {}
    for row in leaks.leaking.to_dict("records"):
        kept, lost = sorted(("first", "second"), key=lambda end: _RANK[row[f"{end}_split"]])
        if row["kind"] == PICTURE:
            reasons.setdefault(row[lost], f"{SAME_AS}{row[kept]} in {row[f'{kept}_split']}")
        else:
            split = row[f"{kept}_split"]
            if _RANK[split] < _RANK.get(by_subject.get(row["subject"], ""), 9):
                by_subject[row["subject"]] = split
    highest = rows["subject"].astype(object).map(by_subject)
    of_subject = rows["split"].map(_RANK).gt(highest.map(_RANK))
    leaking = (rows.loc[of_subject, "sample_id"], rows.loc[of_subject, "subject"], highest[of_subject])
    for sample, subject, split in zip(*leaking, strict=True):
        reasons.setdefault(sample, f"{SUBJECT_IN}{subject} is in {split}")
    new = rows["sample_id"].map(reasons)
    rows["drop_reason"] = rows["drop_reason"].astype(object).where(rows["drop_reason"].notna() | new.isna(), new)
    return rows


def _leaks(first: str, second: str) -> bool:
    return first != second and {first, second} != {"train", "pool"}


def _table(parts: Sequence[Columns]) -> pd.DataFrame:
    """Put the rows of several kinds below one another; what a kind does not say is null."""
    sizes = [len(part["kind"]) for part in parts]
    columns = {
        name: [
            value
            for part, size in zip(parts, sizes, strict=True)
            for value in (part[name] if name in part else [np.nan] * size)
        ]
        for name in COLUMNS
    }
    return pd.DataFrame(columns, dtype=None if sum(sizes) else object)


def _subjects(rows: pd.DataFrame) -> Columns:
    known = rows.loc[rows["subject"].notna(), ["subject", "split", "sample_id"]]
    examples = known.drop_duplicates(["subject", "split"])
    several = examples[examples["subject"].duplicated(keep=False)]
    found: list[tuple[str, str, str, str, str]] = []
    key = sorted((subject, _RANK[split], split, sample) for subject, split, sample in several.to_numpy(dtype=object))
    for subject, group in groupby(key, key=itemgetter(0)):
        for (_, _, first, one), (_, _, second, other) in combinations(group, 2):
            if _leaks(first, second):
                found.append((subject, one, first, other, second))
    names = ("subject", "first", "first_split", "second", "second_split")
    columns: Columns = {name: [row[k] for row in found] for k, name in enumerate(names)}
    return {"kind": [SUBJECT] * len(found), **columns}


def _pictures(rows: pd.DataFrame, pairs: Pairs) -> Columns:
    # the pool is as train is: see `_leaks`
    learnt = rows["split"].replace("pool", "train").to_numpy(dtype=object)
    return _listed(PICTURE, rows, pairs, np.flatnonzero(learnt[pairs.first] != learnt[pairs.second]))


def _conflicts(rows: pd.DataFrame, pairs: Pairs) -> tuple[Columns, int]:
    """Return the same pictures with two emotions, and how many more there are with a test picture among the two."""
    emotion = rows["emotion"].to_numpy(dtype=float, na_value=np.nan)
    one, other = emotion[pairs.first], emotion[pairs.second]
    # a frame has the class of its clip, a neutral first one too: a still of the same moment may say otherwise
    clip = rows["clip_id"].notna().to_numpy()
    alike = clip[pairs.first] == clip[pairs.second]
    differ = ~np.isnan(one) & ~np.isnan(other) & (one != other) & alike & ~_of_one_clip(rows, pairs)
    test = rows["split"].eq("test").to_numpy()
    secret = differ & (test[pairs.first] | test[pairs.second])
    told = np.flatnonzero(differ & ~secret)
    emotions = {"first_emotion": one[told].astype(int).tolist(), "second_emotion": other[told].astype(int).tolist()}
    return {**_listed(LABELS, rows, pairs, told), **emotions}, int(secret.sum())


def _of_one_clip(rows: pd.DataFrame, pairs: Pairs) -> np.ndarray:
    """Mark the pairs of frames of one clip, which are alike by nature: (P,)."""
    clip = rows["clip_id"].fillna("").to_numpy(dtype=object)
    same: np.ndarray = (clip[pairs.first] == clip[pairs.second]) & (clip[pairs.first] != "")
    return same


def _listed(kind: str, rows: pd.DataFrame, pairs: Pairs, index: np.ndarray) -> Columns:
    """Return the columns of some pairs, `index` (M,)."""
    sample, split = (rows[name].to_numpy(dtype=object) for name in ("sample_id", "split"))
    first, second = pairs.first[index], pairs.second[index]
    return {
        "kind": [kind] * len(index),
        "first": sample[first].tolist(),
        "first_split": split[first].tolist(),
        "second": sample[second].tolist(),
        "second_split": split[second].tolist(),
        "exact": pairs.exact[index].tolist(),
        "mirrored": pairs.mirrored[index].tolist(),
        "bits": pairs.bits[index].tolist(),
        "correlation": [round(value, 4) for value in pairs.correlation[index].tolist()],
    }


def _told(row: pd.Series) -> str:
    ends = f"{row['first']} ({row['first_split']}) and {row['second']} ({row['second_split']})"
    return f"subject {row['subject']}: {ends}" if row["kind"] == SUBJECT else ends
