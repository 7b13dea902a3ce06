"""Align new pictures as those were that a model was trained on, by the alignment.json that came with it."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from fer_core.errors import ConfigError
from fer_core.faces.alignment import Alignment, model_hash, read_alignment
from fer_core.faces.cut import Cutter, Item
from fer_core.faces.detect import BATCH, DETECTORS, Detector

__all__ = ["Aligner", "Alignment", "read_alignment"]


class Aligner:
    """Cuts the faces of encoded pictures as stages.align does, with the same code.

    New pictures have no annotation. So of several faces the central one is cut, and an alignment by annotated points or
    boxes needs a detector in their place: one must be named, and its points are not quite the annotators'.

    Args:
        alignment: as read from alignment.json.
        detector: a key of DETECTORS; needed where the alignment has none of its own but needs one, else left out.
        model: the detector's model file or folder, if it needs one; it must be the one of the alignment.

    Raises:
        ConfigError: a detector is missing or not the alignment's, or the model is not the one that was used.
    """

    def __init__(self, alignment: Alignment, detector: str | None = None, model: Path | None = None) -> None:
        if detector is not None and detector not in DETECTORS:
            raise ConfigError(f"Expected `detector` to be one of {', '.join(sorted(DETECTORS))}; got {detector!r}.")
        if alignment.annotated and detector is None:
            raise ConfigError(
                f"The model's faces were cut by annotated {'points' if alignment.points else 'boxes'} (detector: "
                f"{alignment.detector}, crop: {alignment.crop}), which new pictures lack; expected a detector to be "
                f"named ({', '.join(sorted(DETECTORS))})."
            )
        if not alignment.annotated and detector not in (None, alignment.detector):
            raise ConfigError(
                f"Expected the detector {alignment.detector}, by which the model's faces were cut; got {detector!r}."
            )
        if alignment.model_sha256 is not None:
            if model is None or not model.exists():
                raise ConfigError(f"Expected the model {alignment.model} of {alignment.detector}; got {model}.")
            if model_hash(model) != alignment.model_sha256:
                raise ConfigError(f"Expected {model} to be the model {alignment.model} that was used; it differs.")
        name = detector or alignment.detector
        loaded: Detector | None = DETECTORS[name](model) if name in DETECTORS else None
        self.alignment = replace(alignment, detector=name)
        self._cutter = Cutter(self.alignment, loaded)

    def __call__(self, pictures: Sequence[bytes | None]) -> list[np.ndarray | str]:
        """Return for each encoded picture its crop, uint8 `(size, size, C)`, or the reason why there is none."""
        parts = [[Item(data) for data in pictures[at : at + BATCH]] for at in range(0, len(pictures), BATCH)]
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            return [cut.crop for part in pool.map(self._cutter, parts) for cut in part]
