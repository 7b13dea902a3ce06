"""Names that a label file gives stay inside the data set's folder, and a walk over folders always ends."""

import os
import re
from pathlib import Path

from fer_core.errors import DataError

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")  # of the pictures that are read

_SUSPECT = re.compile(r"^[/~]|^[A-Za-z]:|\\|\.\.|\0|//|(^|/)\.(/|$)")


def relative(name: str, where: str) -> str:
    """Return the name of a file as a plain path below the set's folder, with `/` between its parts.

    Judged by the text alone: data folders are often links, and what a link inside them points to is the user's own
    doing. A label file made on Windows may have `\\` between the parts.

    Args:
        name: as the label file gives it.
        where: the file and the line or row, for the error.

    Raises:
        DataError: the name is empty, is absolute, has a drive letter, or leaves the folder by `..`.

    Example:
        >>> relative("train/../a.jpg", "labels.csv, line 2"), relative("a\\\\b.jpg", "labels.csv, line 2")
        ('a.jpg', 'a/b.jpg')
    """
    if name and not _SUSPECT.search(name):
        return name
    plain = name.replace("\\", "/")
    refused = re.match("$|[/~]|[A-Za-z]:", plain) is not None or "\0" in plain
    parts: list[str] = []
    for part in plain.split("/"):
        if part == "..":
            refused = refused or not parts
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    if refused or not parts:
        raise DataError(f"{where}: expected the name of a file inside the data set's folder; got {name!r}.")
    return "/".join(parts)


def inside(folder: Path, name: str, where: str) -> Path:
    """Return the path of a file that a label file names, relative to `folder`; see `relative`.

    Raises:
        DataError: the name leaves the folder.
    """
    return folder / relative(name, where)


def without_ending(path: str) -> str:
    """Return the path without the ending of its last part.

    Example:
        >>> without_ending("a.b/c.d.jpg"), without_ending("a.b/c")
        ('a.b/c.d', 'a.b/c')
    """
    head, dot, ending = path.rpartition(".")
    return head if dot and "/" not in ending else path


def walk_pictures(folder: Path) -> tuple[list[Path], list[str]]:
    """Return the picture files below a folder, sorted by path, and notes on what was left out.

    Hidden files and folders are no part of a set. Links to folders are followed after all real folders, and only to
    folders that were not read before and do not hold `folder` itself: every folder is read once, so loops end.

    Raises:
        DataError: a folder cannot be read, or the name of a picture is not UTF-8 text.
    """
    found: list[str] = []
    notes: list[str] = []
    dead = 0
    seen = {str(parent) for parent in Path(os.path.realpath(folder)).parents}
    folders, links = [str(folder)], list[str]()
    while folders or links:
        place = folders.pop() if folders else links.pop(0)
        real = os.path.realpath(place)
        if real in seen:
            notes.append(f"the link {os.path.relpath(place, folder)} was not followed: its folder is read already")
            continue
        seen.add(real)
        for entry in _entries(place):
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                (links if entry.is_symlink() else folders).append(entry.path)
            elif entry.name.lower().endswith(ENDINGS):
                dead += not entry.is_file()
                found += [_text(entry.path)] if entry.is_file() else []
        links.sort()
    if dead:
        notes.append(f"{dead} files named as pictures are none: links that lead nowhere")
    return [Path(path) for path in sorted(found)], notes


def _entries(place: str) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(place) as entries:
            return list(entries)
    except OSError as error:
        raise DataError(f"{place} cannot be read: {error.strerror}.") from None


def _text(path: str) -> str:
    try:
        path.encode()
    except UnicodeEncodeError:
        raise DataError(f"Expected names of pictures in UTF-8; got {os.fsencode(path)!r}.") from None
    return path
