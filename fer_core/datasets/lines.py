"""Label files with one `NAME rest` per line: read alike whatever editor saved them, every fault named."""

from collections.abc import Callable, Container, Iterable
from pathlib import Path
from typing import NamedTuple, TypeVar

from fer_core.errors import DataError

T = TypeVar("T")


class Line(NamedTuple):
    """One line of a label file: its number from 1, the text, the name and what follows the name."""

    number: int
    text: str
    name: str
    rest: str


def picture_key(name: str) -> str:
    """Return the part of a picture's name that identifies it in every file of its set.

    Example:
        >>> picture_key("0001_aligned.jpg"), picture_key("0001.JPG"), picture_key("0001")
        ('0001', '0001', '0001')
    """
    stem = name.rsplit("/", 1)[-1]
    if "." in stem:
        stem = stem.rsplit(".", 1)[0]
    return stem.removesuffix("_aligned")


def read_lines(path: Path, key: Callable[[str], str] = picture_key) -> list[Line]:
    """Read a label file; a byte-order mark, Windows line ends, trailing spaces and blank lines are accepted.

    Args:
        path: the file.
        key: of a name; no two lines may have the same one.

    Raises:
        DataError: the file is missing, empty or not text, a line has no value, or a name stands twice.
    """
    lines: list[Line] = []
    seen: dict[str, int] = {}
    for number, raw in enumerate(read_text(path).splitlines(), start=1):
        text = raw.strip()
        if not text:
            continue
        name, _, rest = text.partition(" ") if " " in text else text.partition("\t")
        if not rest.strip():
            raise bad_line(path, number, text, "a name, a space and a value")
        line = Line(number, text, name, rest.strip())
        if key(name) in seen:
            first = seen[key(name)]
            raise DataError(f"{path}, line {number}: {name!r} stands already in line {first}.")
        seen[key(name)] = number
        lines.append(line)
    if not lines:
        raise DataError(f"{path} is empty.")
    return lines


def read_values(
    path: Path, parse: Callable[[str], T], expected: str, key: Callable[[str], str] = picture_key
) -> dict[str, T]:
    """Read a label file into key -> value, in the file's order.

    Args:
        path: the file.
        parse: turns the text after the name into a value; raises ValueError when it does not parse.
        expected: what a line should hold, for the error.
        key: of a name; the picture's by default.

    Raises:
        DataError: as `read_lines`, and with file, line and text when a value does not parse.
    """
    values: dict[str, T] = {}
    for line in read_lines(path, key):
        try:
            values[key(line.name)] = parse(line.rest)
        except ValueError:
            raise bad_line(path, line.number, line.text, expected) from None
    return values


def read_text(path: Path) -> str:
    """Read UTF-8 text with or without a byte-order mark; raises DataError naming the file."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path} does not exist.") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8.") from None


def require_lines(path: Path, lines: Container[str], wanted: Iterable[str], what: str) -> None:
    """Raise DataError where a label file has no line for a name; `what` is "picture" or "clip"."""
    absent = [name for name in dict.fromkeys(wanted) if name not in lines]
    if absent:
        raise DataError(f"{path} has no line for {what} {absent[0]} ({len(absent)} {what}s like it).")


def bad_line(path: Path, number: int, text: str, expected: str) -> DataError:
    """Build the error for a line that does not parse."""
    shown = text if len(text) <= 80 else text[:77] + "..."
    return DataError(f"{path}, line {number}: expected {expected}; got {shown!r}.")


def require_files(folder: Path, names: Iterable[str], also: str = "") -> None:
    """Check that the published files are there.

    Raises:
        DataError: the folder or a file is missing; says which files are expected where.
    """
    names = list(names)
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        state = "does not exist" if not folder.is_dir() else f"lacks {', '.join(missing)}"
        if folder.is_dir() and not any(folder.iterdir()):
            state = "is empty"
        raise DataError(f"{folder} {state}; expected there, as published: {', '.join(names)}{also}.")
