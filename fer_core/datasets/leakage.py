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
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from fer_core.datasets.dataset import SAME_AS, SUBJECT_IN
from fer_core.datasets.duplicates import NEAR, SAME, Pairs, Seen, same_pictures
from fer_core.errors import DataError

SUBJECT, PICTURE, LABELS = "subject", "picture", "labels"
_RANK = {"test": 0, "validation": 1, "train": 2, "pool": 2}  # of two that leak, the higher goes
_SHOWN = 3  # pairs in an error
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
    pairs = same_pictures(Seen(seen.ids, seen.digests, seen.copies, seen.usable & usable))
    everything = [*_subjects(rows[usable]), *_pictures(rows, pairs)]
    conflicts, hidden = _conflicts(rows, pairs)
    table = pd.DataFrame([*everything, *conflicts], columns=list(COLUMNS))
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
    for subject, split in by_subject.items():
        of_subject = rows["subject"].eq(subject) & rows["split"].map(_RANK).gt(_RANK[split])
        for sample in rows.loc[of_subject, "sample_id"]:
            reasons.setdefault(sample, f"{SUBJECT_IN}{subject} is in {split}")
    new = rows["sample_id"].map(reasons)
    rows["drop_reason"] = rows["drop_reason"].astype(object).where(rows["drop_reason"].notna() | new.isna(), new)
    return rows


def _leaks(first: str, second: str) -> bool:
    return first != second and {first, second} != {"train", "pool"}


def _subjects(rows: pd.DataFrame) -> Iterator[dict[str, Any]]:
    known = rows[rows["subject"].notna()]
    several = known.groupby("subject")["split"].nunique()
    for subject in several[several > 1].index:
        example = known[known["subject"] == subject].groupby("split")["sample_id"].first()
        for first, second in combinations(sorted(example.index, key=lambda split: (_RANK[split], split)), 2):
            if _leaks(first, second):
                row = {"kind": SUBJECT, "subject": subject, "first": example[first], "first_split": first}
                yield row | {"second": example[second], "second_split": second}


def _pictures(rows: pd.DataFrame, pairs: Pairs) -> Iterator[dict[str, Any]]:
    split = rows["split"].to_numpy()
    for index in range(len(pairs.first)):
        if _leaks(split[pairs.first[index]], split[pairs.second[index]]):
            yield {"kind": PICTURE} | _pair(rows, pairs, index)


def _conflicts(rows: pd.DataFrame, pairs: Pairs) -> tuple[list[dict[str, Any]], int]:
    """Return the same pictures with two emotions, and how many more there are with a test picture among the two."""
    emotion = rows["emotion"].to_numpy(dtype=float, na_value=np.nan)
    one, other = emotion[pairs.first], emotion[pairs.second]
    # a frame has the class of its clip, a neutral first one too: a still of the same moment may say otherwise
    clip = rows["clip_id"].notna().to_numpy()
    alike = clip[pairs.first] == clip[pairs.second]
    differ = ~np.isnan(one) & ~np.isnan(other) & (one != other) & alike & ~_of_one_clip(rows, pairs)
    test = rows["split"].eq("test").to_numpy()
    secret = differ & (test[pairs.first] | test[pairs.second])
    found = []
    for index in np.flatnonzero(differ & ~secret):
        emotions = {"first_emotion": int(one[index]), "second_emotion": int(other[index])}
        found.append({"kind": LABELS} | _pair(rows, pairs, int(index)) | emotions)
    return found, int(secret.sum())


def _of_one_clip(rows: pd.DataFrame, pairs: Pairs) -> np.ndarray:
    """Mark the pairs of frames of one clip, which are alike by nature: (P,)."""
    clip = rows["clip_id"].fillna("").to_numpy(dtype=object)
    same: np.ndarray = (clip[pairs.first] == clip[pairs.second]) & (clip[pairs.first] != "")
    return same


def _pair(rows: pd.DataFrame, pairs: Pairs, index: int) -> dict[str, Any]:
    one, other = rows.iloc[int(pairs.first[index])], rows.iloc[int(pairs.second[index])]
    return {
        "first": one["sample_id"],
        "first_split": one["split"],
        "second": other["sample_id"],
        "second_split": other["split"],
        "exact": bool(pairs.exact[index]),
        "mirrored": bool(pairs.mirrored[index]),
        "bits": int(pairs.bits[index]),
        "correlation": round(float(pairs.correlation[index]), 4),
    }


def _told(row: pd.Series) -> str:
    ends = f"{row['first']} ({row['first_split']}) and {row['second']} ({row['second_split']})"
    return f"subject {row['subject']}: {ends}" if row["kind"] == SUBJECT else ends
