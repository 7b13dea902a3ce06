"""Can Action Units be read off the pictures? A network that has seen other people only reads them again.

The pipeline's own multi-task model learns the true units of another set (another seed: other people, other pictures,
its pool included) and reads the labelled faces of this one. Area under the ROC curve of every unit.
"""

from dataclasses import replace

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.standin.faces import Faces, draw
from benchmarks.standin.training import face_set, fit, recipe
from fer_core.standin.action_units import NAMES
from fer_core.standin.ceiling import PRESENT
from fer_core.standin.config import StandinConfig
from fer_core.standin.layout import plan
from fer_core.training.predict import predict

EPOCHS, AU_WEIGHT = 24, 20.0
BOUND = 0.85


def reread(faces: Faces, config: StandinConfig) -> dict[str, dict[str, float]]:
    """Return unit -> its area under the ROC curve and how many of the faces show it."""
    others = replace(config, seed=config.seed + 1, pool=4000, clips=0)
    learnt = draw(others, list(plan(others)))
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


def present(faces: Faces) -> np.ndarray:
    """Return which units are truly there, `(N, 22)`."""
    return faces.intensity.max(axis=2) >= PRESENT
