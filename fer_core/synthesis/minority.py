"""Faces for the classes that have too few: a GAN trained on the train faces, and what it makes of them."""

from pathlib import Path
from typing import NamedTuple

import torch

from fer_core.synthesis.config import GanConfig
from fer_core.synthesis.sample import as_faces, missing_faces, synthesise
from fer_core.synthesis.train import Synthesiser, train_gan
from fer_core.training.device import derived_seed
from fer_core.training.faces import FaceSet


class Minority(NamedTuple):
    """The trained GAN, and the faces that it made, class by class."""

    synthesiser: Synthesiser
    faces: FaceSet


def minority_faces(
    faces: FaceSet, classes: int, config: GanConfig, *, seed: int, work: Path, title: str = "synthesise"
) -> Minority:
    """Train a GAN on `faces` and raise every class that has fewer than `config.per_class` of them to that number.

    Args:
        faces: of the train split and of no other.
        classes: K.
        config: the settings.
        seed: everything random is derived from it.
        work: folder of the checkpoint; a killed run goes on from there and ends with the same bytes.
        title: what the progress bar says.

    Raises:
        DataError, ConfigError: see `train_gan`.
    """
    synthesiser = train_gan(faces, classes, config, seed=seed, work=work, title=title)
    counts = torch.bincount(faces.labels[faces.labels >= 0].cpu(), minlength=classes)
    pixels, labels = synthesise(synthesiser, missing_faces(counts, config.per_class), derived_seed(seed, 6))
    return Minority(synthesiser, as_faces(pixels, labels, faces))
