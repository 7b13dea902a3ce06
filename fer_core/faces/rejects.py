"""What alignment lost: the list of it, the limit to it, and the pictures as published to look at."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from fer_core.errors import DataError
from fer_core.faces.config import ANNOTATED, WHOLE
from fer_core.faces.reasons import NO_FACE, NO_MATCH
from fer_core.files import replacing
from fer_core.progress import note

COLUMNS = ["sample_id", "source", "picture", "split", "drop_reason"]


def write_rejects(path: Path, table: pd.DataFrame) -> None:
    """Write every dropped row of a manifest, whichever stage dropped it, as CSV; the file is whole or absent."""
    with replacing(path) as temporary:
        table.loc[table["drop_reason"].notna(), COLUMNS].to_csv(temporary, index=False)


def refuse_losses(before: pd.DataFrame, after: pd.DataFrame, absent: int, most: float, detector: str) -> None:
    """Raise DataError where too many of the stills were lost, or all.

    Args:
        before: the manifest as ingest wrote it.
        after: the same after alignment.
        absent: stills that ingest had dropped because there is no file; they count as lost.
        most: largest share that may be lost, in 0..1.
        detector: what found the faces.
    """
    wanted = before["drop_reason"].isna() & before["clip_id"].isna()
    reasons = after.loc[wanted, "drop_reason"]
    new = reasons[reasons.notna()]
    lost, total = len(new) + absent, len(reasons) + absent
    if lost <= most * total and len(new) < len(reasons):
        return
    example = f"; the first is {after.loc[new.index[0], 'sample_id']}: {new.iloc[0]}" if len(new) else ""
    advice = ""
    if faceless := int(new.isin([NO_FACE, NO_MATCH]).sum()):
        advice = (
            f" In {faceless} of them {detector} found no face: raise align.max_dropped to go on without "
            f"them, or set align.detector to {ANNOTATED} or {WHOLE}."
        )
    raise DataError(
        f"{lost} of {total} pictures were lost ({lost / total:.1%}), more than align.max_dropped = "
        f"{most:g} allows{example}.{advice}"
    )


def note_lost_frames(before: pd.DataFrame, after: pd.DataFrame) -> None:
    """Say how many frames of clips were lost; they make their clip shorter and stop nothing."""
    frames = after[before["drop_reason"].isna() & before["clip_id"].notna()]
    lost = frames[frames["drop_reason"].notna()]
    if len(lost):
        first = f"{lost['sample_id'].iloc[0]}: {lost['drop_reason'].iloc[0]}"
        note(f"align: {len(lost)} of {len(frames)} frames of clips were lost; the first is {first}")


def published(path: Path) -> Callable[[list[str]], dict[str, bytes]]:
    """Return what looks up encoded pictures in pictures.parquet, by sample_id; those without a file are left out."""

    def look_up(samples: list[str]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        with pq.ParquetFile(path, pre_buffer=False) as file:
            for group in range(file.num_row_groups):
                names = file.read_row_group(group, columns=["sample_id"])["sample_id"].to_pylist()
                rows = np.flatnonzero(np.isin(names, samples))
                if len(rows):
                    held = file.read_row_group(group, columns=["bytes"])["bytes"]
                    found |= {names[row]: held[int(row)].as_py() for row in rows if held[int(row)].is_valid}
        return found

    return look_up
