"""What the `align` section of params.yaml may say."""

from dataclasses import dataclass, fields

from fer_core.errors import ConfigError, unknown_name
from fer_core.faces.detect import DETECTORS

ANNOTATED, WHOLE = "landmarks", "none"
CHOICES = ("auto", ANNOTATED, WHOLE, *DETECTORS)
CENTRAL, FITTING = "central", "annotated"
ARCFACE, TIGHT, BOX = "arcface", "tight", "box"
CROPS = (ARCFACE, TIGHT, BOX)
_FROM_A_FILE = ("yunet", "insightface")  # detectors that read `model`


@dataclass(frozen=True)
class AlignConfig:
    """How to align.

    Attributes:
        size: side of the crop in pixels.
        detector: auto, landmarks, none or a key of `fer_core.faces.detect.DETECTORS`.
        model: local model file of yunet, or folder of insightface; None where the detector needs none.
        face: which of several detected faces: central (large and near the middle), or annotated (the one that fits
            the annotated landmarks or box; central in a picture without annotation).
        crop: arcface or tight (five points onto that template), or box (a square around the face's box, not turned).
        zoom: scale of the template in the crop; 1 is the template's own, smaller shows more around the face.
        margin: of crop box, on each side, as share of the longer side of the face's box.
        max_dropped: largest share of pictures that may be lost, in 0..1.
    """

    size: int
    detector: str = "auto"
    model: str | None = None
    face: str = CENTRAL
    crop: str = ARCFACE
    zoom: float = 0.9
    margin: float = 0.1
    max_dropped: float = 0.02

    def __post_init__(self) -> None:
        for name, valid in (("detector", CHOICES), ("face", (CENTRAL, FITTING)), ("crop", CROPS)):
            if getattr(self, name) not in valid:
                raise unknown_name(f"align.{name}", getattr(self, name), valid)
        if isinstance(self.size, bool) or not isinstance(self.size, int) or self.size < 8:
            raise ConfigError(f"Expected `size` to be an integer from 8; got {self.size!r}.")
        for name, low, high in (("zoom", 0.1, 4.0), ("margin", -0.4, 4.0), ("max_dropped", 0.0, 1.0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise ConfigError(f"Expected `align.{name}` to be a number from {low} to {high}; got {value!r}.")
        if self.model is not None and not isinstance(self.model, str):
            raise ConfigError(f"Expected `align.model` to be a path, or null; got {self.model!r}.")
        if self.model is not None and self.detector not in _FROM_A_FILE:
            raise ConfigError(
                f"Expected `align.model` to be null with align.detector: {self.detector}, since only "
                f"{' and '.join(_FROM_A_FILE)} read a model; got {self.model!r}."
            )
        if self.face == FITTING and self.detector not in DETECTORS:
            raise ConfigError(
                f"Expected `align.face` to be {CENTRAL} with align.detector: {self.detector}, which finds no faces to "
                f"choose from; got {self.face!r}."
            )
        if self.detector == WHOLE and self.crop == TIGHT:
            raise ConfigError(
                f"Expected `align.crop` to be {BOX}, or {ARCFACE} for whole pictures, with align.detector: {WHOLE}, "
                f"which knows no five points; got {self.crop!r}."
            )


def read_config(section: object, size: object) -> AlignConfig:
    """Build the configuration from the `align` section of params.yaml and the profile's size.

    Raises:
        ConfigError: an unknown key, a value out of range, or values that exclude each other.
    """
    section = {} if section is None else section
    if not isinstance(section, dict):
        raise ConfigError(f"Expected `align` to hold keys; got {section!r}.")
    known = [field.name for field in fields(AlignConfig) if field.name != "size"]
    for key in section:
        if key not in known:
            raise unknown_name("key of align", key, known)
    return AlignConfig(size=size, **section)  # type: ignore[arg-type]
