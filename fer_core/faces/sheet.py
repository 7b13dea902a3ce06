"""The contact sheet `reports/align.html`: what alignment did, to look at before a GPU hour is spent.

One HTML file that needs no network and no other file, of less than 3 MB however many the pictures: it shows a sample
and the worst, never all. Test faces are shown without their labels, which alignment does not know.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from fer_core.errors import DataError
from fer_core.faces.config import AlignConfig
from fer_core.faces.sheet_parts import MEASURES, drawn_from, mean_face, spread, with_landmarks, worst
from fer_core.files import write_text
from fer_core.manifest import SPLITS
from fer_core.pages.frame import frame
from fer_core.pages.histogram import histogram
from fer_core.pages.html import Child, Markup, facts, figures, prose, section, tag
from fer_core.pages.html import table as _table
from fer_core.pages.rejects import by_reason, reason
from fer_core.pages.thumbnails import grid, of_file, thumbnail, tile

Thumbnails = Callable[[list[str]], dict[str, bytes]]

SAMPLE, WORST, SEVERAL, REJECTS = 24, 12, 24, 60  # of each split, of each measure, of all, of all
_SEED = 9  # of what is drawn: the same data give the same page


def write_sheet(
    path: Path, table: pd.DataFrame, faces: np.ndarray, thumbnails: Thumbnails, config: AlignConfig
) -> None:
    """Write the contact sheet.

    Args:
        path: the HTML file; whole or absent.
        table: the manifest as align writes it.
        faces: uint8 (N, S, S, C), C is 1 or 3, rows as `crop_index` says; may be memory-mapped. Only what is shown is
            read, and a sample for the mean faces.
        thumbnails: sample_ids -> encoded pictures as published, of those that there are; called once, with at most
            `REJECTS` ids.
        config: how was aligned.

    Raises:
        DataError: the manifest names crops that `faces` does not hold.
    """
    highest = table["crop_index"].max()
    if pd.notna(highest) and highest >= len(faces):
        raise DataError(f"The manifest names crop {highest}, faces.npy holds {len(faces)}; align must run again.")
    random = np.random.default_rng(_SEED)
    table = table.reset_index(drop=True)
    rejects = table[table["drop_reason"].notna()]
    sections = [
        ("how", "How", _how(config, faces)),
        ("counts", "Counts", _counts(table, rejects)),
        ("sample", "Sample", _sample(table, faces, random)),
        ("mean", "Mean faces", _means(table, faces, random)),
        ("worst", "Worst", _worst(table, faces)),
        ("quality", "Quality", _quality(table)),
        ("several", "Several faces", _several(table, faces)),
        ("rejects", "Rejects", _rejects(rejects, thumbnails)),
    ]
    footer = tag(
        "p",
        prose(
            "Made by `stages.align`; it needs no network and no other file. It shows faces of the data: "
            "it goes where they may go, and no further."
        ),
    )
    write_text(path, frame("Aligned faces", _head(table, rejects, faces), sections, footer))


def _head(table: pd.DataFrame, rejects: pd.DataFrame, faces: np.ndarray) -> Markup:
    crops = int(table["crop_index"].notna().sum())
    share = f"{100 * len(rejects) / max(len(table), 1):.2f} % of all pictures"
    side = f"{faces.shape[1]} × {faces.shape[2]} px, {'grey' if faces.shape[3] == 1 else 'RGB'}"
    several = int((table["faces"] > 1).sum())
    ran = "no detector ran" if table["faces"].isna().all() else "in these pictures one face was chosen"
    told = [("Pictures", f"{len(table):,}", ", ".join(sorted(table["source"].astype(str).unique())))]
    told += [("Crops", f"{crops:,}", side), ("Rejects", f"{len(rejects):,}", share)]
    told.append(("Several faces", f"{several:,}", ran))
    return Markup(tag("h1", "How the faces were aligned") + facts(*told))


def _how(config: AlignConfig, faces: np.ndarray) -> Markup:
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    rows = [[name, "–" if value is None else str(value)] for name, value in values.items()]
    rows.append(["channels", str(faces.shape[3])])
    said = prose("The section `align` of params.yaml, and the profile's size.")
    return section("how", "How it was aligned", tag("p", said), _table(["Key", "Value"], rows, "Alignment", 2))


def _counts(table: pd.DataFrame, rejects: pd.DataFrame) -> Markup:
    splits = [split for split in SPLITS if (table["split"] == split).any()]
    rows: list[list[Child]] = []
    for split in [*splits, "all"]:
        part = table if split == "all" else table[table["split"] == split]
        frames, lost = int(part["clip_id"].notna().sum()), int(part["drop_reason"].notna().sum())
        crops = int(part["crop_index"].notna().sum())
        rows.append([split, *(f"{n:,}" for n in (len(part), frames, crops, lost)), f"{100 * lost / len(part):.2f}"])
    header = ["Split", "Pictures", "of these, frames of clips", "Crops", "Rejects", "Rejects, %"]
    found = [_table(header, rows, "Pictures by split")]
    if rejects.empty:
        found.append(tag("p", "No picture was rejected."))
    else:
        found.append(by_reason(rejects, "Rejects by reason and split"))
    return section("counts", "Counts", *found)


def _sample(table: pd.DataFrame, faces: np.ndarray, random: np.random.Generator) -> Markup:
    parts: list[Markup] = []
    for split in SPLITS:
        own = table[(table["split"] == split) & table["crop_index"].notna()]
        stills = own[own["clip_id"].isna()]
        own = own if stills.empty else stills
        if own.empty:
            continue
        shown = drawn_from(own, SAMPLE, random)
        title = f"{split}: {len(shown)} of {len(own):,}"
        parts += [tag("h3", title), grid(*(_face(row, faces, points=True) for _, row in shown.iterrows()))]
    said = "Drawn at random. The points are the eyes, the nose and the corners of the mouth, where they are known."
    return section("sample", "A sample of the crops", tag("p", said), *parts)


def _means(table: pd.DataFrame, faces: np.ndarray, random: np.random.Generator) -> Markup:
    tiles = []
    for split in SPLITS:
        index = table.loc[(table["split"] == split) & table["crop_index"].notna(), "crop_index"].to_numpy(np.int64)
        if not len(index):
            continue
        face, number = mean_face(faces, index, random)
        words = f"mean of {number:,} crops"
        address = thumbnail(with_landmarks(face, None), side=160, most=12_000)
        tiles.append(tile(address, f"{split}: {words}", tag("b", split), words))
    said = "Eyes and mouth are sharp where alignment did its work, and in the same place in every split."
    return section("mean", "Mean faces", tag("p", said), grid(*tiles))


def _worst(table: pd.DataFrame, faces: np.ndarray) -> Markup:
    parts: list[Markup] = []
    for measure in MEASURES:
        rows = worst(table, measure, WORST)
        if rows.empty:
            continue
        tiles = (_face(row, faces, measure.written(float(row[measure.column]))) for _, row in rows.iterrows())
        parts += [tag("h3", measure.faces), grid(*tiles)]
    said = f"The {WORST} worst by each measure, its value below; of a clip its worst frame only."
    if not parts:
        said = "No measure of quality is known of these crops."
    return section("worst", "The worst", tag("p", said), *parts)


def _quality(table: pd.DataFrame) -> Markup:
    crops = table[table["crop_index"].notna()]

    def values(column: str) -> np.ndarray:
        return crops[column].to_numpy(np.float64, na_value=np.nan)

    drawn = [histogram(values(measure.column), measure.title, measure.unit) for measure in MEASURES]
    side = np.fmin(values("picture_width"), values("picture_height"))
    drawn += [histogram(side, "Shorter side of the picture", " px"), histogram(values("faces"), "Faces found")]
    return section("quality", "Quality of all crops", figures(*drawn))


def _several(table: pd.DataFrame, faces: np.ndarray) -> Markup:
    if table["faces"].isna().all():
        return section("several", "Several faces", tag("p", "No detector ran, so faces were not counted."))
    found = table[(table["faces"] > 1) & table["crop_index"].notna()]
    if found.empty:
        return section("several", "Several faces", tag("p", "The detector found no picture with several faces."))
    order = found["faces"].astype("float64").sort_values(ascending=False, kind="stable").index
    shown = found.loc[order[:SEVERAL]]
    said = f"In {len(found):,} pictures the detector found more than one face. These {len(shown)} have most; is it the "
    tiles = (_face(row, faces, f"{int(row['faces'])} faces") for _, row in shown.iterrows())
    return section("several", "Several faces", tag("p", said + "right one that was cut out?"), grid(*tiles))


def _rejects(rejects: pd.DataFrame, thumbnails: Thumbnails) -> Markup:
    if rejects.empty:
        return section("rejects", "Rejects", tag("p", "No picture was rejected."))
    shown = spread(rejects.assign(drop_reason=rejects["drop_reason"].map(reason)), REJECTS).index
    rows = rejects.loc[shown]
    pictures = thumbnails(rows["sample_id"].astype(str).tolist())
    tiles = []
    for _, row in rows.iterrows():
        name, data = str(row["sample_id"]), pictures.get(str(row["sample_id"]))
        small = of_file(data)
        size = f"{small.width} × {small.height} px" if small else f"{len(data):,} bytes" if data else "no picture"
        words = f"{name}: {row['drop_reason']}"
        below = (tag("b", str(row["drop_reason"])), name, f"{row['split']}, {size}")
        tiles.append(tile(small.address if small else None, words, *below))
    more = len(rejects) - len(rows)
    said = f"{len(rejects):,} pictures have no crop" + (
        f"; {len(rows)} are shown, {more:,} more are not." if more else "."
    )
    said += (
        " All of them are listed in `data/align/rejects.csv`. Pictures as published; “not shown”: it does not decode."
    )
    return section("rejects", "Rejects", tag("p", prose(said)), grid(*tiles))


def _face(row: pd.Series, faces: np.ndarray, value: str = "", points: bool = False) -> Markup:
    crop = np.asarray(faces[int(row["crop_index"])])
    address = thumbnail(with_landmarks(crop, row["aligned_landmarks"] if points else None))
    name = str(row["sample_id"])
    below: list[Child] = [tag("b", value), f"{name} ({row['split']})"] if value else [name]
    return tile(address, f"{name}, {row['split']}{', ' + value if value else ''}", *below)
