"""The options of `table`: which column says what, checked before a row is read."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fer_core.datasets.options import read_options
from fer_core.datasets.safe_paths import relative
from fer_core.errors import ConfigError, DataError, unknown_name
from fer_core.labels import canonical
from fer_core.manifest import ATTRIBUTE

BOX_FORMS = ("xywh", "ltrb")
DEFAULTS: dict[str, Any] = {
    "file": "labels.csv",
    "folder": ".",
    "picture": "picture",
    "label": "label",
    "split": None,
    "subject": None,
    "clip": None,
    "frame": None,
    "box": None,
    "box_form": "xywh",
    "landmarks": None,
    "votes": None,
    "attributes": (),
    "classes": None,
}


@dataclass(frozen=True)
class Mapped:
    """What the options say.

    Attributes:
        file: the table, relative to the set's folder.
        folder: where the pictures' paths start, relative to it; "" is the folder itself.
        picture: the column of paths.
        label: the column of classes, or None where there is none.
        split: the column of splits, or None; so `subject`, `clip` and `frame`.
        box: four columns, or none; `box_form` says what they are.
        landmarks: ten columns, or none.
        votes: class -> column, in the order of the vote columns.
        attributes: column of the manifest -> column of the table.
        classes: the classes in their order, or None: as found.
        class_of: label -> class, where labels are numbers or words of their own; else empty.
    """

    file: str
    folder: str
    picture: str
    label: str | None
    split: str | None
    subject: str | None
    clip: str | None
    frame: str | None
    box: tuple[str, ...]
    box_form: str
    landmarks: tuple[str, ...]
    votes: Mapping[str, str]
    attributes: Mapping[str, str]
    classes: tuple[str, ...] | None
    class_of: Mapping[str, str]

    def columns(self) -> dict[str, str]:
        """Return the columns that are read, each with the option that names it."""
        single = ("picture", "label", "split", "subject", "clip", "frame")
        named = {getattr(self, option): option for option in single if getattr(self, option)}
        named |= dict.fromkeys(self.box, "box") | dict.fromkeys(self.landmarks, "landmarks")
        return {
            **named,
            **dict.fromkeys(self.votes.values(), "votes"),
            **dict.fromkeys(self.attributes.values(), "attributes"),
        }


def read_mapping(options: Mapping[str, Any] | None, header: Sequence[str] | None = None) -> Mapped:
    """Check the options.

    Args:
        options: the keys of `sets.table`.
        header: the table's columns where they are known: then all that the options name must be there, but for
            `label` at its default where there are votes.

    Raises:
        ConfigError: names the option, what was expected and what came.
    """
    given = read_options("table", options, DEFAULTS)
    names: dict[str, Any] = {key: _name(key, given[key], key not in ("file", "folder", "picture")) for key in _SINGLE}
    votes = _votes(given["votes"])
    if votes and header is not None and names["label"] == DEFAULTS["label"] not in header:
        names["label"] = None
    if (names["clip"] is None) != (names["frame"] is None):
        raise _bad("clip", "to be given together with `frame`, or neither", (names["clip"], names["frame"]))
    if given["box_form"] not in BOX_FORMS:
        raise unknown_name("sets.table.box_form", given["box_form"], BOX_FORMS)
    classes, class_of = _classes(given["classes"])
    mapped = Mapped(
        **{**names, "file": _place("file", names["file"]), "folder": _place("folder", names["folder"])},
        box=_several("box", given["box"], 4),
        box_form=given["box_form"],
        landmarks=_several("landmarks", given["landmarks"], 10),
        votes=votes,
        attributes=_attributes(given["attributes"]),
        classes=classes,
        class_of=class_of,
    )
    for column, option in mapped.columns().items() if header is not None else ():
        if column not in (header or ()):
            raise unknown_name(f"sets.table.{option}", column, header or ())
    return mapped


_SINGLE = ("file", "folder", "picture", "label", "split", "subject", "clip", "frame")


def _bad(option: str, expected: str, got: object) -> ConfigError:
    return ConfigError(f"Expected `sets.table.{option}` {expected}; got {got!r}.")


def _name(option: str, value: object, optional: bool) -> str | None:
    if value is None and optional:
        return None
    if not isinstance(value, str) or not value.strip():
        raise _bad(option, "to be a name" + (" or null" if optional else ""), value)
    return value.strip()


def _place(option: str, name: str | None) -> str:
    if option == "folder" and name in (".", "./"):
        return ""
    try:
        return relative(name or "", option)
    except DataError:
        raise _bad(option, "to lie inside the set's folder", name) from None


def _several(option: str, value: object, count: int) -> tuple[str, ...]:
    if value is None:
        return ()
    names = value if isinstance(value, list | tuple) else []
    if len(names) != count or not all(isinstance(name, str) and name for name in names) or len(set(names)) < count:
        raise _bad(option, f"to be null or a list of {count} columns", value)
    return tuple(names)


def _votes(value: object) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or len(value) < 2 or not all(isinstance(c, str) and c for c in value.values()):
        raise _bad("votes", "to be null or two classes or more, each with its column", value)
    votes = {canonical(str(name)): column for name, column in value.items()}
    if len(votes) < len(value) or len(set(votes.values())) < len(votes):
        raise _bad("votes", "to name each class and each column once", value)
    return votes


def _attributes(value: object) -> dict[str, str]:
    names = value if isinstance(value, list | tuple) else [None] if value is not None else []
    if not all(isinstance(name, str) and re.search("[A-Za-z0-9]", name) for name in names):
        raise _bad("attributes", "to be a list of columns", value)
    found = {ATTRIBUTE + re.sub("[^a-z0-9]+", "_", str(name).lower()).strip("_"): str(name) for name in names}
    if len(found) < len(names):
        raise _bad("attributes", "to be columns whose names differ in letters and digits", value)
    return found


def _classes(value: object) -> tuple[tuple[str, ...] | None, dict[str, str]]:
    if value is None:
        return None, {}
    text = "to be null, a list of classes in the order of their numbers, or a class for each label"
    if isinstance(value, Mapping):
        if not value or not all(isinstance(name, str) and name.strip() for name in value.values()):
            raise _bad("classes", text, value)
        class_of = {str(label).strip(): canonical(name) for label, name in value.items()}
        return tuple(dict.fromkeys(class_of.values())), class_of
    names = value if isinstance(value, list | tuple) else []
    if not names or not all(isinstance(name, str) and name.strip() for name in names):
        raise _bad("classes", text, value)
    classes = tuple(canonical(name) for name in names)
    if len(set(classes)) < len(classes):
        raise _bad("classes", "to name each class once", value)
    return classes, {str(number): name for number, name in enumerate(classes)}
