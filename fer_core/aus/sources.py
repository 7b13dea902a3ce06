"""Where AU labels come from: what each data set publishes, and what programs estimated beside any of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pandas as pd

from fer_core.aus import ckplus, disfa, openface, pyfeat, rafce
from fer_core.aus.labels import AuLabels, Source, among
from fer_core.datasets.join_sets import prefixed
from fer_core.manifest import clip_frames, stills

ANNOTATED_KIND = "annotated"
# A data set that is not named here has no annotated AUs.
ANNOTATED: dict[str, Source] = {
    "standin": rafce.read_rafce,
    "rafce": rafce.read_rafce,
    "rafau": rafce.read_rafau,
    "ckplus": ckplus.read,
    "disfa": disfa.read,
}
ESTIMATED: dict[str, Source] = {openface.NAME: openface.read, pyfeat.NAME: pyfeat.read}
TITLES = {openface.NAME: "OpenFace", pyfeat.NAME: "Py-Feat"}
_NAMED = ("sample_id", "picture", "subject", "clip_id")


@dataclass(frozen=True)
class Part:
    """What a source says of one data set.

    Attributes:
        source: annotated, openface or pyfeat.
        rows: the data set's rows of the manifest, with the manifest's `sample_id`.
        labels: with the manifest's `sample_id`.
    """

    source: str
    rows: pd.DataFrame
    labels: AuLabels


def read_sources(
    names: Sequence[str], folder: Path, manifest: pd.DataFrame, confidence: float = openface.CONFIDENCE
) -> list[Part]:
    """Read every source of AU labels that exists, of every data set.

    Args:
        names: of the data sets, as `registry.names_of` gives them.
        folder: the published files of the one set, or the folder of several, each in a folder of its name.
        manifest: as align writes it.
        confidence: OpenFace's, below which a face is not known.

    Returns:
        In the order of the sources, then of the sets; none where a set has no files of a source.

    Raises:
        DataError: a file is faulty.
    """
    readers = {ANNOTATED_KIND: None, **ESTIMATED, openface.NAME: partial(openface.read, confidence=confidence)}
    found: list[Part] = []
    for source, reader in readers.items():
        for name in names:
            read = reader or ANNOTATED.get(name)
            alone = len(names) == 1
            rows = manifest if alone else manifest[manifest["source"] == name]
            labels = read(folder if alone else folder / name, rows if alone else _plain(rows, name)) if read else None
            if labels is not None:
                found.append(Part(source, rows, labels if alone else _renamed(labels, name)))
    return found


def unmatched(parts: Sequence[Part]) -> pd.DataFrame:
    """List what has no partner: labels without a row, and stills without a label.

    Pictures of the pool are left out, as no AU is ever joined to them; so are frames of clips, except where a source
    has labels for some frames of the set.

    Returns:
        Columns source, side (`label` or `picture`) and key: the label's as its source writes it, or a `sample_id`.
    """
    rows: list[tuple[str, str, str]] = []
    for part in parts:
        rows += [(part.source, "label", key) for key in part.labels.without_picture]
        known = part.labels.table.index
        if part.labels.intensities is not None:
            known = known.union(part.labels.intensities.index)
        frames = clip_frames(part.rows)
        wanted = stills(part.rows) if not among(frames["sample_id"], known).any() else part.rows
        bare = wanted.loc[~among(wanted["sample_id"], known) & (wanted["split"] != "pool"), "sample_id"]
        rows += [(part.source, "picture", str(key)) for key in bare]
    return pd.DataFrame(rows, columns=["source", "side", "key"], dtype="str")


def _plain(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return rows with the names that the set alone has."""
    return rows.assign(**{column: rows[column].str.removeprefix(f"{name}/") for column in _NAMED})


def _renamed(labels: AuLabels, name: str) -> AuLabels:
    intensities = labels.intensities
    return replace(
        labels,
        table=labels.table.set_axis(_index(labels.table, name)),
        intensities=None if intensities is None else intensities.set_axis(_index(intensities, name)),
        without_picture=tuple(f"{name}/{key}" for key in labels.without_picture),
    )


def _index(table: pd.DataFrame, name: str) -> pd.Index:
    return pd.Index(prefixed(pd.Series(table.index, dtype="str"), name), name="sample_id")
