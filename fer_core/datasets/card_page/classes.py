"""How many pictures, classes and people, split by split; of the test split only how large it is."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fer_core.datasets.card_page.content import KNOWN, Content
from fer_core.manifest import SPLITS, clip_frames, stills
from fer_core.pages.histogram import share_bar
from fer_core.pages.html import Child, Markup, prose, table, tag


def classes(content: Content) -> list[Markup]:
    """Return the counts by class of train and validation."""
    train, validation = (content.counts(split) for split in KNOWN)
    most = max(int(train.max(initial=0)), 1)
    rows: list[list[Child]] = []
    for name, one, other in zip(content.classes, train, validation, strict=True):
        share = 100 * one / max(int(train.sum()), 1)
        rows.append([name, share_bar(one / most), f"{one:,}", f"{share:.1f}", f"{other:,}"])
    rows.append(["all", "", f"{train.sum():,}", "", f"{validation.sum():,}"])
    header = ["Class", "", "Train", "Train, %", "Validation"]
    test = f"The test split has {len(content.labelled('test')):,} usable pictures; their labels are not looked at here."
    counted = table(header, rows, "Labelled pictures by class", names=2)
    return [tag("p", prose(balance(train, content.classes))), counted, tag("p", test)]


def balance(train: np.ndarray, titles: Sequence[str]) -> str:
    """Say how uneven the classes are, from their train pictures (K,) and names."""
    there = np.flatnonzero(train)
    if not len(there):
        return "No train picture has a class."
    large, small = int(train.argmax()), int(there[train[there].argmin()])
    said = f"The largest class, **{titles[large]}**, has {train[large]:,} train pictures, the smallest, "
    said += f"**{titles[small]}**, {train[small]:,} ({train[large] / train[small]:.0f} to 1)."
    shares = train[there] / train.sum()
    even = float(np.exp(-(shares * np.log(shares)).sum()))
    said += f" That is as uneven as {even:.1f} classes of one size."
    absent = [name for name, count in zip(titles, train, strict=True) if not count]
    return said + (f" Without a train picture: {', '.join(absent)}." if absent else "")


def beside(content: Content) -> list[Markup]:
    """Return splits, people and clips: a row per split."""
    rows: list[list[Child]] = []
    for split in SPLITS:
        own = content.table[content.table["split"] == split]
        if own.empty:
            continue
        usable = own[own["drop_reason"].isna()]
        pictures, frames = stills(usable), clip_frames(usable)
        people = pictures["subject"].dropna()
        each = people.value_counts()
        per = "–" if each.empty else f"{each.median():.0f}, at most {each.max():,}"
        of_whom = "–" if each.empty else f"{len(each):,}"
        without = f"{len(pictures) - len(people):,}"
        clips = frames["clip_id"].nunique()
        rows.append([split, f"{len(pictures):,}", of_whom, per, without, f"{clips:,}" if clips else "–"])
    header = ["Split", "Usable pictures", "Subjects", "Pictures of a subject", "Pictures without one", "Clips"]
    return [table(header, rows, "Pictures, people and clips"), tag("p", _shared(content.table))]


def _shared(rows: pd.DataFrame) -> str:
    known = rows[rows["subject"].notna() & rows["split"].isin(SPLITS[:3]) & rows["drop_reason"].isna()]
    if known.empty:
        return "Who is shown is not known, so the splits may share people, and results may flatter."
    pairs = known[["subject", "split"]].drop_duplicates()
    shared = pairs.loc[pairs["subject"].duplicated(), "subject"].nunique()
    if not shared:
        return "No subject stands in more than one of train, validation and test."
    return f"{shared:,} of the subjects stand in more than one of train, validation and test: results may flatter."
