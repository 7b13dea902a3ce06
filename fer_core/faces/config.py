"""What the `align` section of params.yaml may say."""

from dataclasses import dataclass, fields

from fer_core.errors import ConfigError, unknown_name
from fer_core.faces.detect import DETECTORS

ANNOTATED, WHOLE = "landmarks", "none"
CHOICES = ("auto", ANNOTATED, WHOLE, *DETECTORS)


@dataclass(frozen=True)
class AlignConfig:
    """How to align.

    Attributes:
        size: side of the crop in pixels.
        detector: auto, landmarks, none or a key of `fer_core.faces.detect.DETECTORS`.
        zoom: scale of the template in the crop; 1 is ArcFace's, smaller shows more around the face.
        max_dropped: largest share of pictures that may be lost, in 0..1.
    """

    size: int
    detector: str = "auto"
    zoom: float = 0.9
    max_dropped: float = 0.02

    def __post_init__(self) -> None:
        if self.detector not in CHOICES:
            raise unknown_name("align.detector", self.detector, CHOICES)
        if isinstance(self.size, bool) or not isinstance(self.size, int) or self.size < 8:
            raise ConfigError(f"Expected `size` to be an integer from 8; got {self.size!r}.")
        for name, low, high in (("zoom", 0.1, 4.0), ("max_dropped", 0.0, 1.0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise ConfigError(f"Expected `align.{name}` to be a number from {low} to {high}; got {value!r}.")


def read_config(section: object, size: object) -> AlignConfig:
    """Build the configuration from the `align` section of params.yaml and the profile's size.

    Raises:
        ConfigError: an unknown key or a value out of range.
    """
    section = {} if section is None else section
    if not isinstance(section, dict):
        raise ConfigError(f"Expected `align` to hold keys; got {section!r}.")
    known = [field.name for field in fields(AlignConfig) if field.name != "size"]
    for key in section:
        if key not in known:
            raise unknown_name("key of align", key, known)
    return AlignConfig(size=size, **section)  # type: ignore[arg-type]
