"""The ceiling: what the best decision reaches that knows the faces' true Action Units, but not their class.

The class is drawn first, then votes, then intensities; the best decision is the class with the highest posterior.
That has no closed form, so a classifier learns it from very many drawn faces. It is a lower bound of the optimum,
close to it with enough draws: `python -m benchmarks.standin` shows how it grows with their number.
"""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, f1_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fer_core.standin.coder import Codings, code
from fer_core.standin.expressions import draw_expressions
from fer_core.standin.knobs import Knobs
from fer_core.standin.published import CLASSES
from fer_core.standin.random import stream

PRESENT = 0.25
"""Intensity from which a unit counts as truly present: FACS' B, "slight", on five steps A to E."""


def measure_ceiling(
    seed: int, knobs: Knobs, labels: np.ndarray, intensity: np.ndarray, coded: Codings, draws: int
) -> dict[str, dict[str, float]]:
    """Return accuracy and macro-F1, in 0..1, of the best decisions on the given faces.

    Args:
        seed: of the draws that are learnt from.
        knobs: how the faces were drawn.
        labels: `(N,)` classes of the faces; their shares are the prior of the draws.
        intensity: `(N, 22, 2)` their true intensities.
        coded: what the coder wrote of them.
        draws: faces to learn from.

    Returns:
        For what is known of a face ("intensities", "aus": which units are truly present, "labels": the coder's)
        `accuracy` and `macro_f1` (over the classes among `labels`).
    """
    rng = stream(seed, "ceiling")
    prior = np.bincount(labels, minlength=len(CLASSES)) / len(labels)
    learnt = rng.choice(len(CLASSES), draws, p=prior)
    drawn = draw_expressions(rng, learnt, knobs).intensity
    seen, asked = known(drawn, code(rng, learnt, drawn)), known(intensity, coded)
    found = {}
    for name, features in seen.items():
        batch = min(1024, draws)
        network = MLPClassifier((128, 128), batch_size=batch, learning_rate_init=0.003, max_iter=12, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a fixed number of passes, on purpose
            model = make_pipeline(StandardScaler(), network).fit(features, learnt)
        guess = model.predict(asked[name])
        found[name] = {
            "accuracy": float(accuracy_score(labels, guess)),
            "macro_f1": float(f1_score(labels, guess, labels=np.unique(labels), average="macro", zero_division=0)),
        }
    return found


def known(intensity: np.ndarray, coded: Codings) -> dict[str, np.ndarray]:
    """Return what each ceiling is given of N faces, as feature tables.

    Args:
        intensity: `(N, 22, 2)`.
        coded: the coder's labels; a face that was not coded shows zeros and a flag.
    """
    units = coded.units & ~coded.null[:, None]
    return {
        "intensities": intensity.reshape(len(intensity), -1),
        "aus": (intensity.max(axis=2) >= PRESENT).astype(np.float32),
        "labels": np.column_stack([units, coded.null]).astype(np.float32),
    }
