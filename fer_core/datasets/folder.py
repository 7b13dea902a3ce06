"""Pictures in one folder per class, as most collections are shared and most people keep their own.

    train/happy/anything.jpg      a folder per split (train, val, test ... in any case), in it one per class
    happy/anything.jpg            or without a split; `folds` then deals one
    pool/anything.jpg             optional pictures without a label (also unlabelled/)

Folders inside a class folder belong to the class. One folder around all of it, as archives have it, is no level.
"""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from fer_core.datasets.dataset import Info, Published
from fer_core.datasets.options import read_options
from fer_core.datasets.pictures import read_pictures
from fer_core.datasets.rows import make_rows
from fer_core.datasets.safe_paths import ENDINGS, walk_pictures, without_ending
from fer_core.datasets.split_words import split_of
from fer_core.errors import ConfigError, DataError
from fer_core.labels import LabelSet, canonical

POOL = "pool"
LAYOUT = "<split>/<class>/*.jpg (splits train, val, test) or <class>/*.jpg"

INFO = Info(
    title="Folders of pictures",
    page="docs/data.md",
    files=(
        "train/happy/*.jpg, test/happy/*.jpg ..: one folder per split, in it one per class",
        "or happy/*.jpg ..: one folder per class",
    ),
    obtain="Your own pictures.",
    marks=tuple(f"{place}*{end}" for ending in ENDINGS for end in (ending, ending.upper()) for place in ("*/", "*/*/")),
    verified="made-up folders",
)


class Member(NamedTuple):
    """One picture: its file, its path relative to the set's folder, its split, and the name of its class's folder."""

    file: Path
    path: str
    split: str | None
    label: str | None

    @property
    def sample_id(self) -> str:
        """The path without its ending."""
        return without_ending(self.path)


def read(folder: Path, options: Mapping[str, Any]) -> Published:
    """Read a folder of class folders; the classes are in the order of their folders' names.

    Args:
        folder: where they lie.
        options: `subject_pattern`, a regular expression with one group that finds the subject in a picture's path.

    Raises:
        ConfigError: an option is not known or valid, or the pattern matches no picture.
        DataError: there are no class folders, or two of the same name.
    """
    pattern = _pattern(read_options("folder", options, {"subject_pattern": None})["subject_pattern"])
    members, notes = members_of(folder)
    classes = tuple(dict.fromkeys(canonical(name) for name in sorted({m.label for m in members if m.label})))
    return published(members, LabelSet(classes), notes, pattern)


def members_of(folder: Path) -> tuple[list[Member], list[str]]:
    """Find the pictures of class folders and of the pool, sorted by path, and say what was left out.

    Raises:
        DataError: the folder is missing or has no class folders, folders contradict each other, or two pictures have
            the same path but for the ending.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} does not exist; expected there: {LAYOUT}.")
    files, notes = walk_pictures(folder)
    paths = [file.relative_to(folder).as_posix() for file in files]
    parts = [tuple(path.split("/")) for path in paths]
    depth = _depth(parts)
    tops = sorted({part[depth] for part in parts if len(part) > depth + 1})
    words = {top: split for top in tops if (split := split_of(top))}
    by_split = any(split != POOL for split in words.values())
    if by_split:
        _check_splits(folder, tops, words)
    members: list[Member] = []
    loose = 0
    for file, path, part in zip(files, paths, parts, strict=True):
        below = part[depth:-1]
        split = words.get(below[0]) if below else None
        labels = below[1:] if by_split else below
        if split == POOL:
            members.append(Member(file, path, POOL, None))
        elif not by_split and len(labels) > 1 and split_of(labels[1]):
            raise DataError(
                f"{folder}: expected {LAYOUT}; got a folder of a split, {labels[1]!r}, inside {labels[0]!r}."
            )
        elif labels:
            members.append(Member(file, path, split, labels[0]))
        else:
            loose += 1
    if not any(member.label for member in members):
        raise DataError(f"{folder} has no class folders with pictures; expected there: {LAYOUT}.")
    if loose:
        notes.append(f"{loose} pictures lie beside the class folders and were left out")
    _check_names(folder, members)
    return members, notes


def published(
    members: Sequence[Member], labels: LabelSet, notes: Sequence[str], pattern: re.Pattern[str] | None = None
) -> Published:
    """Lay the pictures out as a data set; every member's class is one of `labels`."""
    index = {name: k for k, name in enumerate(labels.classes)}
    subjects = [_subject(pattern, member.path) for member in members]
    notes, unknown = list(notes), subjects.count(None)
    if pattern and unknown == len(members):
        raise ConfigError(
            f"Expected `subject_pattern` to match the paths of pictures; {pattern.pattern!r} matches none, such as "
            f"{members[0].path!r}."
        )
    if pattern and unknown:
        notes.append(f"`subject_pattern` finds no subject in the paths of {unknown} of {len(members)} pictures")
    rows = make_rows(
        {
            "sample_id": member.sample_id,
            "picture": member.path,
            "split": member.split,
            "subject": subject,
            "emotion": index[canonical(member.label)] if member.label else None,
        }
        for member, subject in zip(members, subjects, strict=True)
    )
    files = {member.sample_id: member.file for member in members}
    return Published(rows, partial(read_pictures, files), labels, notes=tuple(notes))


def _depth(parts: Sequence[tuple[str, ...]]) -> int:
    """Return how many folders lie around everything."""
    depth = 0
    while any(len(part) > depth + 2 for part in parts):
        tops = {part[depth] for part in parts if len(part) > depth + 1}
        if len(tops) > 1 or split_of(next(iter(tops))):
            break
        depth += 1
    return depth


def _check_splits(folder: Path, tops: Sequence[str], words: Mapping[str, str]) -> None:
    for top in tops:
        if top not in words:
            raise DataError(
                f"{folder}: expected folders of splits (train, val, test, pool) only, as {next(iter(words))!r} is one; "
                f"got {top!r}."
            )
    seen: dict[str, str] = {}
    for top, split in words.items():
        if split in seen:
            raise DataError(f"{folder}: the folders {seen[split]!r} and {top!r} both mean the split {split}.")
        seen[split] = top


def _check_names(folder: Path, members: Sequence[Member]) -> None:
    classes: dict[tuple[str | None, str], str] = {}
    samples: dict[str, str] = {}
    for member in members:
        if member.label:
            first = classes.setdefault((member.split, canonical(member.label)), member.label)
            if first != member.label:
                raise DataError(
                    f"{folder}: the folders {first!r} and {member.label!r} are both of the class "
                    f"{canonical(member.label)!r}; expected one."
                )
        other = samples.setdefault(member.sample_id, member.path)
        if other != member.path:
            raise DataError(f"{folder}: {other} and {member.path} differ in the ending only; expected one of them.")


def _pattern(text: object) -> re.Pattern[str] | None:
    if text is None:
        return None
    try:
        pattern = re.compile(text) if isinstance(text, str) else None
    except re.error:
        pattern = None
    if pattern is None or pattern.groups != 1:
        raise ConfigError(
            "Expected `sets.folder.subject_pattern` to be null or a regular expression with one group, as "
            f"'(s[0-9]+)_'; got {text!r}."
        )
    return pattern


def _subject(pattern: re.Pattern[str] | None, path: str) -> str | None:
    found = pattern.search(path) if pattern else None
    return (found.group(1) or None) if found else None
