"""Training on faces in memory, with the pipeline's own loop and the default's recipe."""

import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from fer_core.config import Params, load_params
from fer_core.labels import RAFCE
from fer_core.recipe import Recipe, resolve
from fer_core.standin.action_units import NAMES
from fer_core.training.epochs import Trained
from fer_core.training.faces import FaceSet
from fer_core.training.loop import train

PROFILE = "demo"


def read_params() -> Params:
    """Return params.yaml of the repository, checked."""
    return load_params(yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8")))


def recipe(seed: int, **changes: Any) -> Recipe:
    """Return the baseline's recipe in the default profile, with some keys changed."""
    params = read_params()
    return resolve(asdict(params.choices) | changes, params.profiles[PROFILE], seed)


def face_set(crops: np.ndarray, labels: np.ndarray, units: np.ndarray | None = None) -> FaceSet:
    """Return faces as the loop takes them; `units` `(N, 22)` are 0 or 1."""
    count = len(labels)
    aus = np.zeros((count, 0)) if units is None else units
    return FaceSet(
        ids=[str(k) for k in range(count)],
        pixels=torch.from_numpy(np.ascontiguousarray(crops)),
        labels=torch.from_numpy(labels.astype(np.int64)),
        aus=torch.from_numpy(aus.astype(np.float32)),
        landmarks=torch.full((count, 5, 2), float("nan")),
        subjects=torch.full((count,), -1),
        votes=torch.zeros(count, 0),
        intensities=torch.full(aus.shape, float("nan")),
        au_names=() if units is None else NAMES,
    )


def fit(chosen: Recipe, sets: Mapping[str, FaceSet], title: str) -> Trained:
    """Train on `train`, choose the epoch on `validation`; nothing is kept on disk."""
    with tempfile.TemporaryDirectory() as work:
        return train(chosen, dict(sets), RAFCE, None, Path(work), title)
