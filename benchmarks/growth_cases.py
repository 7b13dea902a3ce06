"""The cases of `benchmarks.growth`: each prepares its input of N made-up rows and returns what is timed.

A third of the people are known, with about 20 pictures each; the others' pictures stand alone. Pictures are small
smooth fields whose low frequencies vary as much as those of faces; one in thirty is another's copy, mirrored or with
a little noise.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from fer_core.aus.agreement import about_sources
from fer_core.aus.combine import settled
from fer_core.aus.join import join_sources
from fer_core.aus.sources import read_sources, unmatched
from fer_core.aus.vocabulary import RAFCE
from fer_core.datasets.dataset import Dataset, card, check
from fer_core.datasets.duplicates import SIDE, Seen, look
from fer_core.datasets.folds import Folds, deal
from fer_core.datasets.hold_out import hold_out
from fer_core.datasets.ingest import split_truth
from fer_core.datasets.leakage import dropped, find_leaks, note
from fer_core.datasets.limit import limit_rows
from fer_core.datasets.rows import make_rows
from fer_core.datasets.store import ROWS_PER_GROUP, read_pictures
from fer_core.errors import DataError
from fer_core.faces import align
from fer_core.faces.alignment import alignment
from fer_core.faces.config import AlignConfig
from fer_core.faces.cut import Cut, Item
from fer_core.faces.rejects import write_rejects
from fer_core.labels import LabelSet
from fer_core.manifest import read_manifest, write_manifest

CLASSES = tuple(f"class {k}" for k in range(7))
SMALL = 8  # px of a crop in align's bookkeeping: it is the rows that cost, not the pixels
OPENFACE = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)
Run = Callable[[], object]


def table(rows: int, seed: int = 0) -> pd.DataFrame:
    """Return a manifest of `rows` stills as ingest has it before the test labels are locked away."""
    rng = np.random.default_rng(seed)
    names = np.char.add("p", np.char.zfill(np.arange(rows).astype(str), 7)).astype(object)
    known = rng.random(rows) < 1 / 3
    person = rng.integers(0, max(rows // 60, 3), rows)
    # a person is of one split, but for one in a hundred
    lot = np.where(
        rng.random(rows) < 0.01 / 20, rng.integers(0, 10, rows), np.where(known, person, rng.integers(0, 10, rows)) % 10
    )
    table = make_rows([{"sample_id": "x"}] * 0).reindex(range(rows))
    table["sample_id"], table["picture"] = names, names + ".jpg"
    table["split"] = np.array(["train"] * 7 + ["validation"] + ["test"] * 2, dtype=object)[lot]
    people = pd.Series(np.char.add("s", person.astype(str)).astype(object), dtype="str")
    table["subject"] = people.where(known)
    table["emotion"] = pd.Series(rng.integers(0, len(CLASSES), rows), dtype="Int16")
    votes = rng.dirichlet(np.ones(len(CLASSES)), 64).astype(np.float32)
    points = rng.uniform(0, 48, (64, 10)).astype(np.float32)
    table["votes"] = [votes[k % 64] for k in range(rows)]
    table["landmarks"] = [points[k % 64] for k in range(rows)]
    return table.assign(source="drawn")


def small_copies(rows: int, seed: int = 1) -> np.ndarray:
    """Draw grey pictures, uint8 `(rows, 32, 32)`; one in thirty is the copy of an earlier one, half of these mirrored.

    Their cosine coefficients fall with the frequency as those of FER2013's faces do: about 1 / (1 + k + l).
    """
    rng = np.random.default_rng(seed)
    side, waves = np.arange(SIDE), np.arange(8)
    basis = np.cos(np.pi * (side[:, None] + 0.5) * waves / SIDE).astype(np.float32)
    size = 1 / (1 + waves[:, None] + waves).astype(np.float32)
    out = np.empty((rows, SIDE, SIDE), np.uint8)
    for start in range(0, rows, 4096):
        count = min(4096, rows - start)
        some = basis @ (rng.standard_normal((count, 8, 8), np.float32) * size) @ basis.T
        out[start : start + count] = np.clip(128 + 30 * some, 0, 255)
    copies = np.flatnonzero(rng.random(rows) < 1 / 30)
    copies = copies[copies > 0]
    for row, source in zip(copies, (rng.random(len(copies)) * copies).astype(int), strict=True):
        picture = out[source, :, :: -1 if rng.random() < 0.5 else 1]
        out[row] = np.clip(picture + rng.normal(0, 4, picture.shape), 0, 255)
    return out


def ingest_case(rows: int, folder: Path) -> Run:
    """Ingest's tables: an adapter's records to rows, the truth taken out, the card, the manifest written and read."""
    kept = table(rows).drop(columns=["drop_reason", "box", "clip_id", "frame", "source"])
    records: list[dict[str, Any]] = kept.to_dict("records")  # type: ignore[assignment]

    def run() -> None:
        made = make_rows(records)
        made.insert(1, "source", "drawn")
        dataset = check(Dataset(made, lambda: iter(()), "drawn", LabelSet(CLASSES, CLASSES)))
        open_rows, truth = split_truth(made)
        write_manifest(folder / "manifest.parquet", open_rows, "ingest", classes=len(CLASSES))
        card(dataset, "drawn")
        if len(read_manifest(folder / "manifest.parquet")) != rows or truth.empty:
            raise DataError("Expected every row to come back.")

    return run


def splits_case(rows: int, folder: Path) -> Run:
    """Ingest's splits: a part of train held out, and five folds; by subject, stratified; and a limit of a half."""
    made = table(rows)
    published = made.assign(split=made["split"].replace("validation", "train"))

    def run() -> None:
        hold_out(published, 0.15, 0)
        deal(made, Folds(5, 0), 0)
        limit_rows(made, rows // 2, 0)

    return run


def look_case(rows: int, folder: Path) -> Run:
    """Look at encoded pictures for the leakage guard; 1,000 small files in turn."""
    files = [cv2.imencode(".png", picture)[1].tobytes() for picture in small_copies(1000)]
    names = table(rows)["sample_id"].tolist()

    def batches() -> Iterator[list[tuple[str, bytes | None]]]:
        for start in range(0, rows, ROWS_PER_GROUP):
            yield [(names[k], files[k % 1000]) for k in range(start, min(start + ROWS_PER_GROUP, rows))]

    return lambda: look(batches())


def leakage_case(rows: int, folder: Path) -> Run:
    """Find subjects and pictures in two splits, list them, and leave them out."""
    made = table(rows)
    seen = Seen(made["sample_id"].tolist(), [f"{k:024d}" for k in range(rows)], small_copies(rows), np.ones(rows, bool))

    def run() -> None:
        leaks = find_leaks(made, seen)
        (folder / "leakage.csv").write_text(leaks.table.to_csv(index=False), encoding="utf-8")
        note(leaks)
        dropped(made, leaks)

    return run


class Stub:
    """Stands in for align's cutter: one picture in a hundred is lost, and nothing is decoded."""

    def __init__(self, *_: object) -> None:
        self._crop = np.zeros((SMALL, SMALL, 1), np.uint8)
        self._points = np.arange(10.0).reshape(5, 2)

    def __call__(self, items: list[Item]) -> list[Cut]:
        """Return what a cutter would."""
        return [
            Cut("no face was found")
            if item.data == b"lost"
            else Cut(self._crop, self._points, self._points, 0.9, 1, 48, 48, 5.0)
            for item in items
        ]


def align_case(rows: int, folder: Path) -> Run:
    """Align's bookkeeping: row groups read, chunks and crops written, taken up again, the manifest and the rejects."""
    made = split_truth(table(rows))[0]
    write_manifest(folder / "in.parquet", made, "ingest", classes=len(CLASSES))
    pictures = folder / "pictures.parquet"
    schema = pa.schema({"sample_id": pa.string(), "bytes": pa.binary()})
    with pq.ParquetWriter(pictures, schema, compression="none") as writer:
        for start in range(0, rows, ROWS_PER_GROUP):
            names = made["sample_id"].iloc[start : start + ROWS_PER_GROUP].tolist()
            data = [b"lost" if (start + k) % 100 == 50 else b"a picture" for k in range(len(names))]
            writer.write_table(pa.table({"sample_id": names, "bytes": data}, schema=schema))
    del made
    align.Cutter = Stub  # type: ignore[misc, assignment]

    def run() -> None:
        manifest = read_manifest(folder / "in.parquet")
        how = alignment(AlignConfig(SMALL, "landmarks"), manifest, True)
        for _ in range(2):  # the second finds all of it done
            done = align.Pass(manifest, read_pictures(pictures), how, None, folder / "work")
        write_rejects(folder / "rejects.csv", done.table)
        done.refuse_losses(0.05)
        write_manifest(folder / "manifest.parquet", done.table, "align")
        done.move(folder / "faces.npy")

    return run


def aus_case(rows: int, folder: Path) -> Run:
    """Join AUs of a label file and of OpenFace's table, a line a picture in each."""
    made = split_truth(table(rows))[0]
    rng = np.random.default_rng(2)
    own = ["+".join(map(str, rng.choice(RAFCE, 3, replace=False))) for _ in range(499)] + ["null"]
    names = made["sample_id"].tolist()
    with (folder / "RAFCE_AUlabel.txt").open("w", encoding="utf-8") as file:
        file.writelines(f"{name}.jpg {own[k % 500]}\n" for k, name in enumerate(names))
    head = ["picture", "confidence", *(f"AU{n:02d}_r" for n in OPENFACE), *(f"AU{n:02d}_c" for n in OPENFACE)]
    cells = [
        ",".join(["0.98", *(f"{x:.2f}" for x in rng.uniform(0, 5, 17)), *map(str, rng.integers(0, 2, 17))])
        for _ in range(500)
    ]
    with (folder / "openface.csv").open("w", encoding="utf-8") as file:
        file.write(",".join(head) + "\n")
        file.writelines(f"{name}.jpg,{cells[k % 500]}\n" for k, name in enumerate(names))

    def run() -> None:
        parts = read_sources(["rafce"], folder, made)
        sources = settled(parts, "folded")
        joined = join_sources(made, sources, ["annotated", "openface"], CLASSES)
        about_sources(made, sources)
        unmatched(parts)
        if not joined.report["names"]:
            raise DataError("Expected AUs to be joined.")

    return run


def load_case(rows: int, folder: Path) -> Run:
    """The table part of loading faces: crops of one pixel."""
    from fer_core.training.faces import load_faces  # noqa: PLC0415  PyTorch: seconds that the other cases need not wait

    made = split_truth(table(rows))[0].assign(crop_index=np.arange(rows, dtype=np.int32))
    made["aligned_landmarks"] = made["landmarks"]
    rng = np.random.default_rng(3)
    names = [f"AU{number}" for number in RAFCE]
    values = rng.integers(0, 2, (rows, len(names))).astype(np.float32)
    made = pd.concat([made, pd.DataFrame(values, columns=names)], axis=1)
    np.save(folder / "faces.npy", np.zeros((rows, 1, 1, 1), np.uint8))
    return lambda: [load_faces(made, folder / "faces.npy", [split], names) for split in ("train", "validation", "test")]


CASES: dict[str, Callable[[int, Path], Run]] = {
    "ingest": ingest_case,
    "splits": splits_case,
    "look": look_case,
    "leakage": leakage_case,
    "align": align_case,
    "aus": aus_case,
    "load": load_case,
}
