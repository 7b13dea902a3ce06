"""One picture of the plan: its file, its annotated landmarks, and its truth on request."""

import numpy as np

from fer_core.standin.config import StandinConfig
from fer_core.standin.degrade import degrade
from fer_core.standin.expressions import Expression, draw_expression
from fer_core.standin.identity import person
from fer_core.standin.knobs import LANDMARK_ERROR
from fer_core.standin.layout import Planned
from fer_core.standin.random import stream
from fer_core.standin.render import project, render
from fer_core.standin.surface import build_surface
from fer_core.standin.view import draw_background, draw_view


def truth(config: StandinConfig, planned: Planned) -> Expression:
    """Recompute a picture's true votes and intensities, for ceilings; nothing of it is ever written."""
    return draw_expression(stream(config.seed, "expression", planned.index), planned.label)


def draw_picture(config: StandinConfig, planned: Planned) -> tuple[bytes, np.ndarray]:
    """Return the JPEG file of a picture and its five annotated landmarks `(5, 2)` in pixels."""
    me = person(config.seed, planned.person)
    rng = stream(config.seed, "scene", planned.index)
    view = draw_view(rng, config.scene, me.tone)
    background = draw_background(rng, view.width, view.height)
    surface = build_surface(me, truth(config, planned).intensity, view.attire, view.gaze)
    clean = render(surface, view, background)
    spoilt = degrade(clean, stream(config.seed, "degrade", planned.index), view.centre, view.unit)
    return spoilt, annotate(project(surface, view), stream(config.seed, "annotate", planned.index))


def annotate(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return landmarks as a human annotator would click them: off by LANDMARK_ERROR eye distances on average."""
    eye_distance = np.linalg.norm(points[1] - points[0])
    spread = LANDMARK_ERROR / np.sqrt(np.pi / 2)  # the mean of a 2-D normal distance is sqrt(pi / 2) spreads
    return points + spread * eye_distance * rng.standard_normal(points.shape)
