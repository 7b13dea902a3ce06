"""What can be reached at most, and how well that is known: the ceiling as its classifier sees more and more faces."""

import numpy as np

from benchmarks.standin.faces import Faces
from fer_core.standin.ceiling import measure_ceiling
from fer_core.standin.coder import code
from fer_core.standin.config import StandinConfig
from fer_core.standin.expressions import draw_expressions

DRAWS = (25_000, 100_000)


def ceilings(faces: Faces, config: StandinConfig) -> dict:
    """Return draws -> ceilings on the test split, and on 20 times as many faces of the same classes."""
    test = faces.splits == "test"
    labels, rng = faces.labels[test], np.random.default_rng(3)
    many = np.repeat(labels, 20)
    drawn = draw_expressions(rng, many, config.knobs).intensity
    mine = faces.intensity[test]
    found: dict = {"test split": {}, "expected": {}}
    for draws in DRAWS:
        for name, who, shown in (("test split", labels, mine), ("expected", many, drawn)):
            coded = code(np.random.default_rng(4), who, shown)
            found[name][str(draws)] = measure_ceiling(config.seed, config.knobs, who, shown, coded, draws)
    return found
