"""What was decided about alignment, complete: it makes the crops, and travels with the models trained on them.

A model sees faces as they were cut for it. Published models lost ten points of accuracy on faces that another tool had
aligned, so `alignment.json` stands beside the crops and goes with the weights; `fer_core.faces.saved` cuts by it.
"""

import hashlib
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from fer_core.errors import ConfigError, DataError
from fer_core.faces.config import ANNOTATED, ARCFACE, BOX, CENTRAL, CROPS, FITTING, TIGHT, WHOLE, AlignConfig
from fer_core.faces.detect import DETECTORS
from fer_core.faces.similarity import template
from fer_core.files import read_json, write_json
from fer_core.manifest import stills

VERSION = 1  # of alignment.json and of what its keys mean
RESIZED = "whole"  # the crop of pictures that come cropped: all of each


@dataclass(frozen=True)
class Alignment:
    """One way to align, without anything left to choose.

    Attributes:
        detector: landmarks (annotated points), none (annotated boxes, or whole pictures) or a key of DETECTORS.
        face: central or annotated; see `AlignConfig`.
        crop: arcface, tight, box or whole.
        zoom: of the templates.
        margin: of the box.
        size: side of the crop in pixels.
        grey: whether crops have one channel instead of three.
        model: name of the detector's model file or folder, None where it has none.
        model_sha256: of its content.
        points: the five points' targets in pixels of the crop; None with crop box or whole.
        version: `VERSION`.
    """

    detector: str
    face: str
    crop: str
    zoom: float
    margin: float
    size: int
    grey: bool
    model: str | None = None
    model_sha256: str | None = None
    points: tuple[tuple[float, float], ...] | None = None
    version: int = VERSION

    @property
    def annotated(self) -> bool:
        """Whether it needs annotated points or boxes, which a new picture lacks."""
        return self.detector == ANNOTATED or (self.detector == WHOLE and self.crop == BOX)


def resolve(config: AlignConfig, manifest: pd.DataFrame) -> tuple[str, str]:
    """Resolve `auto`.

    Landmarks where so few stills lack them that the stage would not fail; else the annotated boxes where the same holds
    for them; else whole pictures. With crop: box, boxes come first. Frames of clips have no say in it: optional clips
    change nothing of the stills. Those without landmarks are dropped.

    Returns:
        The detector and the crop of an `Alignment`.
    """
    if config.detector == WHOLE:
        return WHOLE, BOX if config.crop == BOX else RESIZED
    if config.detector != "auto":
        return config.detector, config.crop
    usable = stills(manifest[manifest["drop_reason"].isna()])

    def have(column: str) -> bool:
        return column in usable and bool(usable[column].notna().mean() >= 1 - config.max_dropped)

    if config.crop != BOX and have("landmarks"):
        return ANNOTATED, config.crop
    return WHOLE, BOX if have("box") else RESIZED


def alignment(config: AlignConfig, manifest: pd.DataFrame, grey: bool) -> Alignment:
    """Return the alignment of a manifest's pictures.

    Raises:
        ConfigError: `align.model` does not exist.
    """
    detector, crop = resolve(config, manifest)
    model = Path(config.model) if config.model else None
    if model and not model.exists():
        raise ConfigError(f"Expected `align.model` to name a file or folder; {model} does not exist.")
    points = template(config.size, config.zoom, crop) if crop in (ARCFACE, TIGHT) else None
    return Alignment(
        detector=detector,
        face=config.face,
        crop=crop,
        zoom=config.zoom,
        margin=config.margin,
        size=config.size,
        grey=grey,
        model=model.name if model else None,
        model_sha256=model_hash(model) if model else None,
        points=None if points is None else tuple((float(x), float(y)) for x, y in points),
    )


def model_hash(model: Path) -> str:
    """Return the SHA-256 of a file, or of the names and contents of a folder's files; hidden ones do not count."""
    digest = hashlib.sha256()
    files = sorted(path for path in model.rglob("[!.]*") if path.is_file()) if model.is_dir() else [model]
    for path in files:
        if model.is_dir():
            digest.update(path.relative_to(model).as_posix().encode() + b"\0")
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def write_alignment(path: Path, value: Alignment) -> None:
    """Write alignment.json; the file is whole or absent."""
    write_json(path, asdict(value))


def read_alignment(path: Path) -> Alignment:
    """Read alignment.json.

    Raises:
        DataError: the file is missing, broken, of another version, or holds other keys or values.
    """
    held = read_json(path)
    if not isinstance(held, dict):
        raise DataError(f"{path}: expected the keys of an alignment; got {type(held).__name__}.")
    if held.get("version") != VERSION:
        raise DataError(f"{path}: expected version {VERSION}; got {held.get('version')!r}.")
    known = {field.name for field in fields(Alignment)}
    for key in sorted(known ^ set(held)):
        raise DataError(f"{path}: the key `{key}` {'is missing' if key in known else 'is not known'}.")
    _check(path, held)
    if held["points"] is not None:
        held["points"] = tuple((float(x), float(y)) for x, y in held["points"])
    return Alignment(**held)


def _check(path: Path, held: dict[str, Any]) -> None:
    """Refuse values that no `Alignment` has; they would end in a wrong crop."""
    points = held["points"]
    five = isinstance(points, list) and len(points) == 5 and all(_numbers(xy, 2) for xy in points)
    rules = {
        "detector": held["detector"] in (ANNOTATED, WHOLE, *DETECTORS),
        "face": held["face"] in (CENTRAL, FITTING),
        "crop": held["crop"] in (*CROPS, RESIZED),
        "zoom": _numbers([held["zoom"]], 1),
        "margin": _numbers([held["margin"]], 1),
        "size": isinstance(held["size"], int) and held["size"] >= 8,
        "grey": isinstance(held["grey"], bool),
        "model": isinstance(held["model"], str | None),
        "model_sha256": isinstance(held["model_sha256"], str | None),
        "points": five if held["crop"] in (ARCFACE, TIGHT) else points is None,
    }
    for key, right in rules.items():
        if not right:
            raise DataError(f"{path}: the value of `{key}` is not valid; got {held[key]!r}.")


def _numbers(values: object, count: int) -> bool:
    if not isinstance(values, list) or len(values) != count:
        return False
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
