"""Can Action Units be read off the pictures? A network that has seen other people only reads them again.

The pipeline's own multi-task model learns the true units of other people (another seed's), who move every unit in at
least an eighth of their pictures, and reads the labelled faces of this set. Area under the ROC curve of every unit.
"""

from dataclasses import replace

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.standin.faces import Faces, draw
from benchmarks.standin.training import face_set, fit, recipe
from fer_core.standin.action_units import NAMES
from fer_core.standin.ceiling import PRESENT
from fer_core.standin.config import StandinConfig
from fer_core.standin.expressions import limit
from fer_core.standin.layout import Planned, plan
from fer_core.standin.picture import truth
from fer_core.training.predict import predict

EPOCHS, AU_WEIGHT = 24, 20.0
ADDED = 0.12
"""Share of the learnt faces that show a unit beyond those of their class."""

BOUND = 0.85


def reread(faces: Faces, config: StandinConfig) -> dict[str, dict[str, float]]:
    """Return unit -> its area under the ROC curve and how many of the faces show it."""
    others = replace(config, seed=config.seed + 1, pool=4000, clips=0)
    planned = list(plan(others))
    learnt = draw(others, planned, intensity=_enriched(others, planned))
    chosen = recipe(0, au_weight=AU_WEIGHT, sampler="none", epochs=EPOCHS)
    mine = faces.splits == "validation"
    sets = {
        "train": face_set(learnt.crops, learnt.labels, present(learnt)),
        "validation": face_set(faces.crops[mine], faces.labels[mine], present(faces)[mine]),
    }
    model = fit(chosen, sets, "read Action Units").model.float()
    truth = present(faces)
    _, found = predict(model, face_set(faces.crops, faces.labels, truth))
    if found is None:
        raise ValueError("the model has no AU head")
    return {
        name: {"auc": float(roc_auc_score(truth[:, k], found[:, k])), "faces": int(truth[:, k].sum())}
        for k, name in enumerate(NAMES)
    }


def _enriched(config: StandinConfig, planned: list[Planned]) -> np.ndarray:
    """Return the faces' intensities with units added at random, `(N, 22, 2)`: rare ones are learnt as well."""
    rng = np.random.default_rng(config.seed)
    own = np.stack([truth(config, one.label, one.index)[1] for one in planned])
    added = np.where(rng.random(own.shape[:2]) < ADDED, rng.uniform(PRESENT, 1, own.shape[:2]), 0)
    level = limit(np.maximum(own.max(axis=2), added))
    share = own / np.maximum(own.max(axis=2, keepdims=True), 1e-6)  # sides as they were; both where there were none
    return level[..., None] * np.where(own.max(axis=2, keepdims=True) > 0, share, 1.0)


def present(faces: Faces) -> np.ndarray:
    """Return which units are truly there, `(N, 22)`."""
    return faces.intensity.max(axis=2) >= PRESENT
