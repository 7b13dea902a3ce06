"""Do the coder's labels have RAF-CE's frequencies? And the thresholds that make them so."""

import numpy as np
from scipy.optimize import minimize
from scipy.stats import norm

from fer_core.standin.action_units import AUS, NAMES
from fer_core.standin.coder import FALSE_ALARM, code
from fer_core.standin.config import StandinConfig
from fer_core.standin.expressions import draw_expressions
from fer_core.standin.published import AU_FREQUENCY, CLASSES, COUNTS, NULL_SHARE

DRAWS = 2000
"""Faces per class."""

NOISE = (0.08, 0.35)
"""Bounds of a coder's noise: surer than the first nobody is, and beyond the second a label says nothing."""


def frequencies(config: StandinConfig) -> dict:
    """Compare P(AU written | class), null share and AUs per face with the published ones, on 2,000 faces a class."""
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(len(CLASSES)), DRAWS)
    coded = code(rng, labels, draw_expressions(rng, labels, config.knobs).intensity)
    found = np.array([coded.units[(labels == k) & ~coded.null].mean(axis=0) for k in range(len(CLASSES))])
    gap = np.abs(found - AU_FREQUENCY)
    weight = np.array(COUNTS["train"]) / sum(COUNTS["train"])
    null = np.array([coded.null[labels == k].mean() for k in range(len(CLASSES))])
    return {
        "mean_absolute_difference": float(gap.mean()),
        "mean_absolute_difference_weighted_by_class": float((weight @ gap).mean()),
        "largest_difference": float(gap.max()),
        "where_largest": f"{NAMES[int(gap.max(axis=0).argmax())]} of {CLASSES[int(gap.max(axis=1).argmax())]}",
        "null_share_difference": float(np.abs(null - NULL_SHARE).mean()),
        "aus_per_face": float(weight @ found.sum(axis=1)),
        "aus_per_face_published": float(weight @ AU_FREQUENCY.sum(axis=1)),
    }


def fit_coder(config: StandinConfig) -> dict[int, tuple[float, float]]:
    """Return for every unit the threshold and the noise whose frequencies per class are nearest the published ones.

    Least squares over the classes. `coder.THRESHOLDS` holds what this gave at the standard difficulty, after its
    knobs were frozen; `python -m benchmarks.standin.frequencies` prints it.
    """
    rng = np.random.default_rng(2)
    labels = np.repeat(np.arange(len(CLASSES)), DRAWS)
    seen = draw_expressions(rng, labels, config.knobs).intensity.max(axis=2)
    fitted = {}
    for index, number in enumerate(AUS):
        shown = seen[:, index].reshape(len(CLASSES), DRAWS)

        def misfit(values: np.ndarray, index: int = index, shown: np.ndarray = shown) -> float:
            written = norm.cdf((shown - values[0]) / values[1]).mean(axis=1)
            return float(((written + FALSE_ALARM * (1 - written) - AU_FREQUENCY[:, index]) ** 2).sum())

        starts = [[start, 0.25] for start in (0.3, 0.6, 0.9, 1.2)]
        tried = [minimize(misfit, start, bounds=[(0.1, 1.6), NOISE], method="L-BFGS-B") for start in starts]
        best = min(tried, key=lambda found: found.fun)
        fitted[number] = (round(float(best.x[0]), 2), round(float(best.x[1]), 2))
    return fitted


if __name__ == "__main__":
    for unit, (threshold, noise) in fit_coder(StandinConfig()).items():
        print(f"    {unit}: ({threshold:.2f}, {noise:.2f}),")
