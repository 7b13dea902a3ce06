"""RAF-DB: faces in the wild with one of 7 basic emotions (15,339 pictures) or one of 11 compound ones (3,954).

Li, Deng, Du, "Reliable Crowdsourcing and Deep Locality-Preserving Learning for Expression Recognition in the Wild",
CVPR 2017. In `basic/` and, alike, in `compound/`:

    EmoLabel/list_patition_label.txt       train_00001.jpg 5   (their spelling) the name begins with the split;
                                           test_0001.jpg 1     labels from 1, in the order of `labels.RAFDB`
    Image/original/train_00001.jpg         the picture as found
    Image/aligned/train_00001_aligned.jpg  the publishers' crop, 100 x 100
    Annotation/manual/, boundingbox/       optional; see `rafdb_annotation`

Taken too: what is in `basic/` directly in the folder, the label file without its folder, list_partition_label.txt,
aligned.zip unpacked inside Image/aligned (Image/aligned/aligned), and the form that is passed around on Kaggle:

    train_labels.csv, test_labels.csv      image,label, then train_00001_aligned.jpg,5 ..
    DATASET/train/5/                       train_00001_aligned.jpg ..: DATASET/<split>/<label>/

No validation split is published: the core holds one out. Without pictures of RAF-DB at hand, all this is taken from
public programs that read the set; Annotation/auto (37 points found by a program) is not read. So is not the file of
the votes of about 40 people, as no program was found that shows its name and its lines.
"""

import csv
import io
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from fer_core.datasets import rafdb_annotation, unlabelled
from fer_core.datasets.dataset import NO_PICTURE, Info, Published
from fer_core.datasets.lines import bad_line, picture_key, read_lines, read_text, require_files
from fer_core.datasets.options import read_options
from fer_core.datasets.pictures import find, read_pictures
from fer_core.datasets.rows import make_rows
from fer_core.datasets.safe_paths import walk_pictures
from fer_core.errors import DataError
from fer_core.labels import RAFDB, RAFDB_COMPOUND, LabelSet

LABEL_FILES = ("list_patition_label.txt", "list_partition_label.txt")
BASIC, COMPOUND = "basic", "compound"
CSVS, CSV_PICTURES = ("train_labels.csv", "test_labels.csv"), "DATASET"
_NAME = re.compile(r"(train|test)_\d+(_aligned)?(\.\w+)?", re.ASCII)
_PAGE = "whdeng.cn/RAF/model1.html"
_OBTAIN = "By a request from an academic address, as the page says; the pictures may not be passed on."
_VERIFIED = "made-up files in the published form, from public programs that read them"

INFO = Info(
    title="RAF-DB",
    page=_PAGE,
    files=(
        "basic/EmoLabel/list_patition_label.txt",
        "basic/Image/original/train_00001.jpg .. or basic/Image/aligned/train_00001_aligned.jpg ..",
        "basic/Annotation/manual/, basic/Annotation/boundingbox/ (optional)",
        "or train_labels.csv, test_labels.csv and DATASET/train/1/train_00001_aligned.jpg ..",
    ),
    obtain=_OBTAIN,
    marks=(
        "basic/EmoLabel/list_pa*tition_label.txt",
        "EmoLabel/list_pa*tition_label.txt",
        "list_pa*tition_label.txt",
        "DATASET/train/7",
    ),
    verified=_VERIFIED,
)
COMPOUND_INFO = Info(
    title="RAF-DB (compound)",
    page=_PAGE,
    files=(
        "compound/EmoLabel/list_patition_label.txt",
        "compound/Image/original/ or compound/Image/aligned/",
        "compound/Annotation/manual/, compound/Annotation/boundingbox/ (optional)",
    ),
    obtain=_OBTAIN,
    marks=("compound/EmoLabel/list_pa*tition_label.txt",),
    verified=_VERIFIED,
)


class _Found(NamedTuple):
    """The label file (for notes), picture key -> class index, key -> file, whether these are crops, notes."""

    label_file: str
    emotion: dict[str, int]
    files: dict[str, Path]
    crops: bool
    notes: list[str]


def read(folder: Path, options: Mapping[str, Any]) -> Published:
    """Read the basic emotions.

    Originals are taken where landmarks are there and no fewer of them than of the aligned pictures, else those.

    Args:
        folder: what holds `basic/`, or what it holds.
        options: none.

    Returns:
        `sample_id` is the name without its ending (`train_00001`). Landmarks (viewer's left eye, right eye, nose,
        left and right corner of the mouth) and box are in pixels of the originals; with aligned pictures they are
        null. `attr_gender`, `attr_race` and `attr_age` as `rafdb_annotation` names them.

    Raises:
        ConfigError: there are options.
        DataError: a file is missing, a line does not parse (file, line, text), files contradict each other.
    """
    read_options("rafdb", options, {})
    return _read(folder, BASIC, RAFDB)


def read_compound(folder: Path, options: Mapping[str, Any]) -> Published:
    """Read the compound emotions; as `read`, with `compound/` for `basic/` (the folder may be a link to RAF-DB's)."""
    read_options("rafdb_compound", options, {})
    return _read(folder, COMPOUND, RAFDB_COMPOUND)


def _read(folder: Path, part: str, labels: LabelSet) -> Published:
    root, label_file = _label_file(folder, part)
    notes: list[str] = []
    annotation = rafdb_annotation.folders(root)
    if label_file is None:
        found = _from_csv(folder, labels)
    else:
        emotion = _labels(label_file, labels, own_folder=root != folder)
        files, crops = _pictures(root, list(emotion), originals_first=annotation.manual is not None)
        shown = label_file.relative_to(folder).as_posix()
        found = _Found(shown, emotion, files, crops, unlabelled.note(files, emotion, shown))
    faces = rafdb_annotation.read(annotation, list(found.emotion))
    if annotation.manual and found.crops:
        notes.append(
            "the landmarks were not used: they are those of the originals, and the aligned pictures were taken"
        )
    where = next(iter(found.files.values())).parent if found.files else root / "Image" / "aligned"
    ending = "_aligned.jpg" if found.crops or not found.files else ".jpg"
    rows = make_rows(
        {
            "sample_id": key,
            "picture": found.files.get(key, where / (key + ending)).relative_to(folder).as_posix(),
            "split": key.partition("_")[0],
            "emotion": label,
            "landmarks": None if found.crops else faces.landmarks.get(key),
            "box": None if found.crops else faces.boxes.get(key),
            "drop_reason": None if key in found.files else NO_PICTURE,
            **faces.attributes.get(key, {}),
        }
        for key, label in found.emotion.items()
    )
    return Published(
        rows=rows,
        pictures=partial(read_pictures, found.files),
        labels=labels,
        notes=(*notes, *faces.notes, *found.notes),
    )


def _label_file(folder: Path, part: str) -> tuple[Path, Path | None]:
    """Return the folder of the part and its label file; None where there are the two csv files instead."""
    for root in (folder / part, folder):
        for place in (root / "EmoLabel", root):
            for name in LABEL_FILES:
                if (place / name).is_file():
                    return root, place / name
    if part == BASIC and any((folder / name).is_file() for name in CSVS):
        require_files(folder, CSVS, f" and {CSV_PICTURES}/train/1/train_00001_aligned.jpg ..")
        return folder, None
    expected = f"{part}/EmoLabel/{LABEL_FILES[0]}"
    also = f", and {part}/Image/original/ or {part}/Image/aligned/"
    require_files(folder, (expected,), also if part == COMPOUND else f"{also} (or {', '.join(CSVS)}, {CSV_PICTURES}/)")
    raise DataError(f"{folder} lacks {expected}.")


def _labels(path: Path, labels: LabelSet, own_folder: bool) -> dict[str, int]:
    """Return picture key -> class index, from 0, in the file's order."""
    count, names = len(labels.classes), "train_00001.jpg or test_0001.jpg"
    emotion = {}
    for line in read_lines(path):
        if not _NAME.fullmatch(line.name):
            raise bad_line(path, line.number, line.text, f"the name of a picture such as {names}, a space and a label")
        if not line.rest.isascii() or not line.rest.isdigit() or not 1 <= int(line.rest) <= count:
            raise bad_line(path, line.number, line.text, f"a label from 1 to {count}")
        emotion[picture_key(line.name)] = int(line.rest) - 1
    basic = len(RAFDB.classes)
    if count > basic and not own_folder and max(emotion.values()) < basic:
        raise DataError(
            f"{path}: expected labels from 1 to {count}, but none is above {basic}, as if these were the basic "
            f"emotions; put the others into {COMPOUND}/, or set `data: rafdb`."
        )
    return emotion


def _pictures(root: Path, wanted: list[str], originals_first: bool) -> tuple[dict[str, Path], bool]:
    """Find the pictures as `find` does, also where an archive was unpacked inside a folder of its own name."""
    for place in (root, root / "Image" / "aligned", root / "Image" / "original"):
        files, crops = find(place, wanted, originals_first)
        if files:
            return files, crops
    return {}, True


def _from_csv(folder: Path, labels: LabelSet) -> _Found:
    emotion: dict[str, int] = {}
    for name, split in zip(CSVS, ("train", "test"), strict=True):
        emotion |= _read_csv(folder / name, split, len(labels.classes))
    there, notes = walk_pictures(folder / CSV_PICTURES) if (folder / CSV_PICTURES).is_dir() else ([], [])
    by_key = {picture_key(path.name): path for path in reversed(there)}
    files = {key: by_key[key] for key in emotion if key in by_key}
    for key, path in files.items():
        split = key.partition("_")[0]
        if path.parent.name.isdigit() and path.parent.name != str(emotion[key] + 1):
            raise DataError(
                f"{folder / f'{split}_labels.csv'}: {key} has the label {emotion[key] + 1}, but its picture lies in "
                f"{path.parent.relative_to(folder).as_posix()}."
            )
    bare = sorted(set(by_key) - set(emotion))
    if bare:
        notes = [*notes, f"{len(bare)} pictures have no line in {CSVS[0]} or {CSVS[1]}, such as {bare[0]}"]
    return _Found(CSVS[0], emotion, files, True, notes)


def _read_csv(path: Path, split: str, count: int) -> dict[str, int]:
    reader = csv.reader(io.StringIO(read_text(path), newline=""))
    header = [name.strip().lower() for name in next(reader, [])]
    if not {"image", "label"} <= set(header):
        raise DataError(f"{path}, line 1: expected the columns image,label; got {','.join(header)!r}.")
    at = header.index("image"), header.index("label")
    emotion: dict[str, int] = {}
    seen: dict[str, int] = {}
    for fields in reader:
        cells = [cell.strip() for cell in fields]
        if not any(cells):
            continue
        line, text = reader.line_num, ",".join(cells)
        name, label = (cells[k] if k < len(cells) else "" for k in at)
        if not _NAME.fullmatch(name) or not name.startswith(f"{split}_"):
            raise bad_line(path, line, text, f"the name of a picture such as {split}_00001_aligned.jpg")
        if not label.isascii() or not label.isdigit() or not 1 <= int(label) <= count:
            raise bad_line(path, line, text, f"a label from 1 to {count}")
        key = picture_key(name)
        if key in seen:
            raise DataError(f"{path}, line {line}: {name!r} stands already in line {seen[key]}.")
        seen[key], emotion[key] = line, int(label) - 1
    if not emotion:
        raise DataError(f"{path} has a header but no rows.")
    return emotion
