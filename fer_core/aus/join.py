"""Join AU labels to the manifest; the test split's go into a table of their own.

A parser that looked for "AU1" in a file that says "1" once trained a whole AU head on zeros, and nothing complained.
So an AU column without a positive among the train pictures is refused. The one exception are small subsets
(`limit`, a miniature), where a rare AU may truly be absent: below `ENOUGH` annotated train pictures such an AU
is left out of the run's vocabulary and a note says so. RAF-CE's rarest AU stands on 2.5 % of its faces, so 500
of them would all lack it three times in a million. A vocabulary that is empty altogether is always refused. Where the
sides of the face are kept, an AU is at fault that has no positive on any; a side alone may be rare and is left out.

Where the set has intensities they follow the labels, one column per AU of the vocabulary. Without annotations the
prototypes of the emotions can stand in as weak labels, for training only (`join_prototypes`).

All that is told is about stills. The AUs of a clip are annotated at its apex, if at all, and its first frame shows none
of them: frames of clips have AUs only from a source that names them one by one, and are neither covered nor missing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from fer_core.aus.combine import merge
from fer_core.aus.labels import AuLabels, among
from fer_core.aus.prototypes import prototype_aus
from fer_core.aus.sources import ANNOTATED_KIND, TITLES
from fer_core.aus.vocabulary import column, number_and_part, title
from fer_core.errors import DataError
from fer_core.manifest import INTENSITY

ENOUGH = 500
WEAK = "AU labels are weak: prototypes of the emotion (Du et al. 2014), not annotations"
REPLACED = "the set's own AU annotations were replaced by prototypes, as `au_labels: prototypes` asks"
ALONE = "AU intensities were not used: the set has no AU labels that they could stand beside"


@dataclass(frozen=True)
class Joined:
    """The manifest with AU columns, the test split's AUs, and what aus.json says."""

    manifest: pd.DataFrame
    test_aus: pd.DataFrame
    report: dict[str, Any]


def without_aus(manifest: pd.DataFrame, *notes: str) -> Joined:
    """Return the manifest as it is: the data set has no AU labels."""
    report = {"names": [], "intensities": [], "weak": False, "notes": list(notes)}
    return Joined(manifest, manifest.loc[[], ["sample_id"]], report)


def join_sources(
    manifest: pd.DataFrame, sources: Mapping[str, AuLabels], kinds: Sequence[str], classes: Sequence[str]
) -> Joined:
    """Join what `au_labels` names.

    Args:
        manifest: as align writes it.
        sources: as `combine.settled` returns them.
        kinds: the names in `au_labels`, the one that counts first in front.
        classes: names in the order of the class indices.

    Raises:
        DataError: an estimated source has no files, or as `join` and `join_prototypes`.
    """
    if "prototypes" in kinds:
        return join_prototypes(manifest, classes, replaced=ANNOTATED_KIND in sources)
    for kind in kinds:
        if kind in TITLES and kind not in sources:
            raise DataError(
                f"`au_labels` names {kind}, but there are no files of {TITLES[kind]}; expected {kind}/*.csv or "
                f"{kind}.csv beside the published files."
            )
    labels = merge(sources, kinds)
    if labels is None:
        return without_aus(manifest)
    if labels.table.columns.empty:
        return without_aus(manifest, ALONE)
    joined = join(manifest, labels)
    notes = _estimated(joined, sources, kinds)
    return replace(joined, report=joined.report | {"notes": [*notes, *joined.report["notes"]]})


def _estimated(joined: Joined, sources: Mapping[str, AuLabels], kinds: Sequence[str]) -> list[str]:
    """Return a note on the train pictures that have AUs from a program alone."""
    train = joined.manifest[_usable(joined.manifest, "train")]
    labelled = train[joined.report["names"]].notna().any(axis=1)
    by_people = sources[ANNOTATED_KIND].table if ANNOTATED_KIND in kinds and ANNOTATED_KIND in sources else None
    known = (
        among(train["sample_id"], by_people.index[by_people.notna().any(axis=1)]) if by_people is not None else False
    )
    count = int((labelled & ~(pd.Series(False, index=train.index) | known)).sum())
    titles = " and ".join(TITLES[kind] for kind in kinds if kind in TITLES)
    if not titles:
        return []
    return [f"AU labels of {count} of {int(labelled.sum())} train pictures are estimates of {titles}, not annotations"]


def join(manifest: pd.DataFrame, labels: AuLabels, enough: int = ENOUGH) -> Joined:
    """Add one column per AU to the manifest by `sample_id`, and one per AU whose intensities are known.

    An intensity column needs a value above 0 among the train pictures, or it is left out and a note says so.

    Args:
        manifest: as align writes it.
        labels: AU labels by `sample_id`, their sides settled. Intensities outside the vocabulary are counted and left
            out.
        enough: annotated train pictures from which an AU without a positive is a parser fault.

    Raises:
        DataError: no picture matches, none in train is annotated, or AU columns have no positive in train.
    """
    values = _by_sample(manifest, labels.table, labels, "AU label")
    train = values[_usable(manifest, "train")]
    annotated = int(train.notna().any(axis=1).sum())
    positives = (train == 1).sum()
    empty = [name for name in values.columns if positives[name] == 0]
    _refuse_empty(empty, list(values.columns), annotated, enough)

    names = [name for name in values.columns if name not in empty]
    values = values[names].astype(np.float32)
    strengths, about_strengths, notes = _strengths(manifest, labels, names)
    if empty:
        notes.insert(0, f"AU labels: {_left_out(empty)} {annotated} annotated train pictures")
    columns = pd.concat([values, strengths], axis=1)
    report = _report(manifest, values, empty, notes) | about_strengths
    report |= {
        "weak": False,
        "lines": labels.lines,
        "unannotated_lines": labels.unannotated,
        "odd_tokens": labels.odd,
        "outside_vocabulary": labels.outside,
    }
    return _locked_away(manifest, columns, report)


def join_prototypes(manifest: pd.DataFrame, classes: Sequence[str], replaced: bool = False) -> Joined:
    """Add weak AU labels: every train picture gets the prototype of its emotion.

    The vocabulary is the union of the classes' prototypes; what is not of the picture's own is 0. An AU of classes
    that no train picture shows is left out and a note says so. Validation, test, pool and clips stay null, so that
    no score is ever taken against labels that the emotion alone decides.

    Args:
        manifest: as align writes it.
        classes: names in the order of the class indices.
        replaced: whether annotations that the set has give way; a note says so.

    Raises:
        DataError: a class has no known prototype, or no train picture one with an AU.
    """
    prototypes = [set(prototype_aus(name)) for name in classes]
    vocabulary = sorted(set[int]().union(*prototypes))
    rows = np.array([[float(number in own) for number in vocabulary] for own in prototypes], np.float32)
    values = np.full((len(manifest), len(vocabulary)), np.nan, np.float32)
    train_stills = (manifest["split"] == "train") & manifest["clip_id"].isna()
    weak = (train_stills & manifest["emotion"].notna()).to_numpy()
    values[weak] = rows[manifest.loc[weak, "emotion"].to_numpy(np.int64)]
    table = pd.DataFrame(values, index=manifest.index, columns=[column(number) for number in vocabulary])

    train = table[_usable(manifest, "train")]
    empty = [name for name in table.columns if not (train[name] == 1).any()]
    if len(empty) == len(vocabulary):
        raise DataError(
            f"Expected train pictures of an emotion with AUs, for `au_labels: prototypes`; got {len(train)} usable "
            "train pictures without one."
        )
    table = table.drop(columns=empty)
    notes = [WEAK, *([REPLACED] if replaced else [])]
    if empty:
        notes.append(f"AU labels: {_left_out(empty)} {len(train)} train pictures")
    report = _report(manifest, table, empty, notes) | {"intensities": [], "weak": True}
    return _locked_away(manifest, table, report)


def _usable(manifest: pd.DataFrame, split: str) -> pd.Series:
    """Return which rows are usable stills of a split."""
    return (manifest["split"] == split) & manifest["drop_reason"].isna() & manifest["clip_id"].isna()


def _by_sample(manifest: pd.DataFrame, table: pd.DataFrame, labels: AuLabels, what: str) -> pd.DataFrame:
    """Bring the rows of a table (index: sample_id) into the manifest's order; NaN where it has none."""
    samples = manifest["sample_id"]
    if not among(samples, table.index).any():
        known = next(iter([*labels.without_picture, *table.index]), "nothing")
        raise DataError(f"No {what} belongs to a picture: labels name {known!r} .., pictures {samples.iloc[0]!r} ...")
    return table.reindex(samples).set_axis(manifest.index)


def _strengths(
    manifest: pd.DataFrame, labels: AuLabels, names: list[str]
) -> tuple[pd.DataFrame, dict[str, Any], list[str]]:
    """Return the intensity columns of the AUs `names`, what aus.json says of them, and notes."""
    table = labels.intensities
    if table is None:
        return pd.DataFrame(index=manifest.index), {"intensities": []}, []
    values = _by_sample(manifest, table, labels, "AU intensity")
    train = values[_usable(manifest, "train")]
    used = [name for name in names if name in values and (train[name] > 0).any()]
    empty = [name for name in names if name in values and name not in used]
    notes = [f"AU intensities: {', '.join(empty)} left out, none above 0 among train pictures"] if empty else []
    report = {
        "intensities": used,
        "intensity_coverage": float(train[used].notna().any(axis=1).mean()) if used else 0.0,
        "intensities_outside_vocabulary": {
            str(name): int(table[name].notna().sum()) for name in table.columns if name not in names
        },
    }
    strengths = values[used].astype(np.float32).rename(columns=lambda name: f"{name}{INTENSITY}")
    return strengths, report, notes


def _locked_away(manifest: pd.DataFrame, columns: pd.DataFrame, report: dict[str, Any]) -> Joined:
    """Put the columns into the manifest, except for the test stills', which go into a table of their own."""
    hidden = manifest["split"].isin(("test", "pool"))
    test = (manifest["split"] == "test") & manifest["clip_id"].isna()
    test_aus = pd.concat([manifest.loc[test, ["sample_id"]], columns[test]], axis=1).reset_index(drop=True)
    return Joined(pd.concat([manifest, columns.mask(hidden)], axis=1), test_aus, report)


def _left_out(empty: list[str]) -> str:
    return f"{', '.join(empty)} left out, no positive among"


def _refuse_empty(empty: list[str], names: list[str], annotated: int, enough: int) -> None:
    if annotated == 0:
        raise DataError("No train picture has AU labels: all are missing or null.")
    shown = {number_and_part(name)[0] for name in names if name not in empty}
    faulty = [name for name in empty if number_and_part(name)[0] not in shown]
    if len(empty) == len(names) or (faulty and annotated >= enough):
        raise DataError(
            f"{', '.join(faulty)}: no positive among {annotated} annotated train pictures. That is a fault of the "
            "label file or of its parser, not a rare AU."
        )


def _report(manifest: pd.DataFrame, values: pd.DataFrame, empty: list[str], notes: list[str]) -> dict[str, Any]:
    """Describe the labels of train and validation; of the test split nothing is told."""
    names = values.columns.tolist()
    coverage, positives = {}, {}
    for split in ("train", "validation"):
        rows = values[_usable(manifest, split)]
        coverage[split] = float(rows.notna().any(axis=1).mean()) if len(rows) else float("nan")
        positives[split] = {name: int((rows[name] == 1).sum()) for name in names}
    return {
        "names": names,
        "titles": {name: title(name) for name in names},
        "coverage": coverage,
        "null_share": 1.0 - coverage["train"],
        "positives": positives,
        "left_out": empty,
        "notes": notes,
    }
