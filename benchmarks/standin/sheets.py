"""Contact sheets: what the faces look like, by class, by Action Unit, by skin tone, spoilt, and moving."""

import base64
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np

from fer_core.faces.pixels import decode, warp
from fer_core.faces.similarity import similarity, template
from fer_core.standin.action_units import AUS, INDEX, NAMES
from fer_core.standin.clips import draw_clip, plan_clips
from fer_core.standin.config import StandinConfig
from fer_core.standin.identity import person
from fer_core.standin.layout import Planned, attributes, plan
from fer_core.standin.picture import draw_clean, draw_picture
from fer_core.standin.published import CLASSES
from fer_core.standin.random import stream
from fer_core.standin.render import project, render
from fer_core.standin.surface import build_surface
from fer_core.standin.traits import BINS
from fer_core.standin.view import draw_background, draw_view, rotation

SIDE, ROW = 80, 12
PEOPLE = 6

Sheet = tuple[str, list[tuple[str, list[np.ndarray]]]]
"""Title, and rows of (name, pictures); every picture uint8 `(SIDE, SIDE, 3)`."""


def sheets(config: StandinConfig) -> list[Sheet]:
    """Draw all sheets."""
    labelled = [planned for planned in plan(config) if planned.split != "pool"]
    clean = replace(config, scene=320)

    def of_class(k: int) -> list[Planned]:
        return [planned for planned in labelled if planned.label == k][:ROW]

    def of_bin(attribute: str, value: str) -> list[Planned]:
        mine = [p for p in labelled if attributes(config, p.person, p.yaw)[attribute] == value]
        return mine[:ROW]

    crop: Callable[[Planned], np.ndarray] = lambda planned: _clean_crop(clean, planned)  # noqa: E731
    spoilt: Callable[[Planned], np.ndarray] = lambda planned: _spoilt_crop(config, planned)  # noqa: E731
    return [
        ("Classes, before anything spoils the picture", [(CLASSES[k], [crop(p) for p in of_class(k)]) for k in _CLASS]),
        ("Classes, as training sees them", [(CLASSES[k], [spoilt(p) for p in of_class(k)]) for k in _CLASS]),
        ("One Action Unit at full strength", [("at rest", _portraits(config, None, 0)), *_units(config)]),
        ("Skin tones", [(v, [spoilt(p) for p in of_bin("skin", v)]) for v in BINS["skin"]]),
        ("Poses", [(value, [spoilt(planned) for planned in of_bin("pose", value)]) for value in BINS["pose"]]),
        ("Scenes, as published", _scenes(config, labelled)),
        ("Clips", [_clip(config, number) for number in range(8)]),
    ]


_CLASS = range(len(CLASSES))


def html_of(sheet: Sheet) -> str:
    """Return a sheet as HTML, its pictures inside."""
    title, rows = sheet
    lines = [f"<h2>{title}</h2>", "<table>"]
    for name, pictures in rows:
        strip = np.hstack(pictures) if pictures else np.zeros((SIDE, SIDE, 3), np.uint8)
        data = cv2.imencode(".jpg", strip[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])[1].tobytes()
        source = base64.b64encode(data).decode()
        lines.append(f'<tr><th>{name}</th><td><img alt="{name}" src="data:image/jpeg;base64,{source}"></td></tr>')
    return "\n".join([*lines, "</table>"])


def _clean_crop(config: StandinConfig, planned: Planned) -> np.ndarray:
    picture, _, points = draw_clean(config, planned)
    return _crop((picture * 255).astype(np.uint8), points)


def _spoilt_crop(config: StandinConfig, planned: Planned) -> np.ndarray:
    data, points = draw_picture(config, planned)
    picture = decode(data, False)
    return np.zeros((SIDE, SIDE, 3), np.uint8) if picture is None else _crop(picture, points)


def _crop(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    return warp(picture, similarity(points[None].astype(np.float64), template(SIDE, 0.9))[0], SIDE)


def _units(config: StandinConfig) -> list[tuple[str, list[np.ndarray]]]:
    both = [(name, _portraits(config, number, 1.0)) for name, number in zip(NAMES, AUS, strict=True)]
    return both


def _portraits(config: StandinConfig, unit: int | None, level: float) -> list[np.ndarray]:
    """Draw people who look into the camera and move one unit."""
    intensity = np.zeros((len(AUS), 2), np.float32)
    if unit is not None:
        intensity[INDEX[unit]] = level
        if unit in (26, 27):
            intensity[INDEX[25]] = 0.8  # an open jaw parts the lips
    faces = []
    for number in range(PEOPLE):
        me, rng = person(config.seed, 10 * number), stream(config.seed, "scene", 10 * number)
        view = draw_view(rng, 320, me.tone, 0.0, config.knobs)
        view = replace(view, rotation=rotation(0.0, 0.02, 0.0), gaze=np.zeros(2))
        surface = build_surface(me, intensity, view.attire, view.gaze, config.knobs)
        picture = render(surface, view, draw_background(rng, view.width, view.height))
        faces.append(_crop((picture * 255).astype(np.uint8), project(surface, view)))
    return faces


def _scenes(config: StandinConfig, planned: list[Planned]) -> list[tuple[str, list[np.ndarray]]]:
    rows = []
    for start in range(0, 4 * ROW, ROW):
        row = []
        for one in planned[start : start + ROW]:
            picture = decode(draw_picture(config, one)[0], False)
            if picture is not None:
                height, width = picture.shape[:2]
                room = max(height, width)
                square = np.full((room, room, 3), 255, np.uint8)
                square[:height, :width] = picture
                row.append(cv2.resize(square, (SIDE, SIDE), interpolation=cv2.INTER_AREA))
        rows.append(("", row))
    return rows


def _clip(config: StandinConfig, number: int) -> tuple[str, list[np.ndarray]]:
    clip = plan_clips(config)[number]
    frames = [decode(data, False) for data in draw_clip(config, clip).frames]
    shown = [cv2.resize(frame, (SIDE, SIDE)) for frame in frames if frame is not None]
    return CLASSES[clip.label], shown
