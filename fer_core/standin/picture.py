"""One picture of the plan: its file, its annotated landmarks, and its truth on request."""

import numpy as np

from fer_core.standin.config import StandinConfig
from fer_core.standin.degrade import degrade
from fer_core.standin.expressions import draw_expressions
from fer_core.standin.identity import person
from fer_core.standin.knobs import LANDMARK_ERROR
from fer_core.standin.layout import Planned
from fer_core.standin.random import stream
from fer_core.standin.render import project, render
from fer_core.standin.surface import build_surface
from fer_core.standin.view import View, draw_background, draw_view


def truth(config: StandinConfig, label: int, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Recompute the true votes `(6,)` and intensities `(22, 2)` of the picture, or clip, with this random stream."""
    drawn = draw_expressions(stream(config.seed, "expression", index), np.array([label]), config.knobs)
    return drawn.votes[0], drawn.intensity[0]


def draw_picture(
    config: StandinConfig, planned: Planned, intensity: np.ndarray | None = None
) -> tuple[bytes, np.ndarray]:
    """Return the JPEG file of a picture and its five annotated landmarks `(5, 2)` in pixels; see `draw_clean`."""
    clean, view, points = draw_clean(config, planned, intensity)
    damage, grain = stream(config.seed, "degrade", planned.index), stream(config.seed, "grain", planned.index)
    spoilt = degrade(clean, damage, grain, view.centre, view.unit, config.knobs)
    return spoilt, annotate(points, stream(config.seed, "annotate", planned.index))


def draw_clean(
    config: StandinConfig, planned: Planned, intensity: np.ndarray | None = None
) -> tuple[np.ndarray, View, np.ndarray]:
    """Return a picture before anything spoils it, its view and its true landmarks.

    Args:
        config: of the set.
        planned: the picture.
        intensity: `(22, 2)` to show instead of the picture's own.

    Returns:
        `(height, width, 3)` sRGB in 0..1, the view, and `(5, 2)` pixels.
    """
    me = person(config.seed, planned.person)
    rng = stream(config.seed, "scene", planned.index)
    view = draw_view(rng, config.scene, me.tone, planned.yaw, config.knobs)
    background = draw_background(rng, view.width, view.height)
    if intensity is None:
        _, intensity = truth(config, planned.label, planned.index)
    surface = build_surface(me, intensity, view.attire, view.gaze, config.knobs)
    return render(surface, view, background), view, project(surface, view)


def annotate(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return landmarks as a human annotator would click them: off by LANDMARK_ERROR eye distances on average."""
    eye_distance = np.linalg.norm(points[1] - points[0])
    spread = LANDMARK_ERROR / np.sqrt(np.pi / 2)  # the mean of a 2-D normal distance is sqrt(pi / 2) spreads
    return points + spread * eye_distance * rng.standard_normal(points.shape)
