from dataclasses import replace

import cv2
import numpy as np
import pytest

from fer_core.standin.action_units import AUS, INDEX
from fer_core.standin.identity import person
from fer_core.standin.knobs import knobs_of
from fer_core.standin.layout import plan
from fer_core.standin.picture import annotate, draw_picture, truth
from fer_core.standin.random import stream
from fer_core.standin.render import project, render
from fer_core.standin.surface import build_surface
from fer_core.standin.view import draw_background, draw_view, rotation

UNIT, SIZE = 50.0, 144
KNOBS = knobs_of("standard")
CENTRE = np.array([72.0, 62.0])

BROWS, EYES, NOSE, MOUTH = (-0.75, 0.14, 0.75), (-0.45, 0.45, 0.85), (-0.40, 0.75, 0.60), (0.10, 1.35, 0.85)
REGION = {
    **dict.fromkeys((1, 2, 4), BROWS),
    **dict.fromkeys((5, 6, 7, 43), EYES),
    9: (-0.50, 0.85, 0.80),
    10: (NOSE[0], 0.85, 0.80),
    **dict.fromkeys((14, 15, 16, 17, 18, 20, 22, 23, 24, 25), MOUTH),
    12: (-0.15, 1.10, 0.95),
    **dict.fromkeys((26, 27), (0.10, 1.60, 1.00)),
}
"""Where a unit may move pixels, in head units: top, bottom, half-width."""


def still(number: int = 11):
    """A person in a plain frontal view, without glasses, long hair or beard."""
    me = replace(person(1, number), glasses=False, hair_style=0, hair_volume=0.0, beard=0.0, moustache=0.0)
    view = draw_view(stream(1, "scene", number), SIZE, me.tone, 0.0, KNOBS)
    view = replace(
        view, width=SIZE, height=SIZE, unit=UNIT, centre=CENTRE, rotation=rotation(0, 0, 0), gaze=np.zeros(2)
    )
    return me, replace(view, perspective=0.0)


def draw(me, view, intensity):
    surface = build_surface(me, intensity, view.attire, view.gaze, KNOBS)
    return render(surface, view, np.full((SIZE, SIZE, 3), 0.4, np.float32)), surface


@pytest.mark.parametrize("number", AUS)
def test_a_unit_moves_its_region_and_nothing_else(number):
    me, view = still()
    rest, full = np.zeros((22, 2), np.float32), np.zeros((22, 2), np.float32)
    if number == 24:  # pressing shows on lips that have some height
        me = replace(me, upper_lip=0.06, lower_lip=0.08)
    full[INDEX[number]] = 1.0
    change = np.abs(draw(me, view, full)[0] - draw(me, view, rest)[0]).mean(-1)
    top, bottom, half = REGION[number]
    y, x = (np.mgrid[:SIZE, :SIZE] + 0.5 - CENTRE[::-1, None, None]) / UNIT
    inside = (y > top) & (y < bottom) & (np.abs(x) < half)
    assert change[inside].max() > 0.10
    assert change[inside].sum() > 0.95 * change.sum()
    assert change[~inside].mean() < 0.002


def test_one_sided_smile_moves_one_side():
    me, view = still()
    rest, left = np.zeros((22, 2), np.float32), np.zeros((22, 2), np.float32)
    left[INDEX[12], 0] = 1.0
    change = np.abs(draw(me, view, left)[0] - draw(me, view, rest)[0]).mean(-1)
    assert change[:, : SIZE // 2].sum() > 5 * change[:, SIZE // 2 :].sum()


def test_mouth_corner_landmarks_follow_the_smile():
    me, view = still()
    rest, smile = np.zeros((22, 2), np.float32), np.zeros((22, 2), np.float32)
    smile[INDEX[12]] = 1.0
    before, after = (project(draw(me, view, intensity)[1], view) for intensity in (rest, smile))
    assert (after[3:, 1] < before[3:, 1] - 2).all()  # up
    assert after[4, 0] - after[3, 0] > before[4, 0] - before[3, 0] + 2  # apart
    np.testing.assert_allclose(after[:3], before[:3], atol=0.6)


def test_landmarks_lie_on_the_features():
    """Eyes are where white and iris are; the mouth's row is redder than the skin around it."""
    me, view = still()
    picture, surface = draw(me, view, np.zeros((22, 2), np.float32))
    points = project(surface, view)
    assert points[0, 0] < points[1, 0] and points[3, 0] < points[4, 0]  # viewer's left first
    for x, y in points[:2].round().astype(int):
        assert picture[y - 2 : y + 3, x - 4 : x + 5].mean(-1).std() > 0.10
    expected = CENTRE + UNIT * np.array([[-0.325, 0], [0.325, 0], [0, 0.29], [-0.255, 0.575], [0.255, 0.575]])
    assert np.abs(points - expected).max() < 0.10 * UNIT


def test_a_picture_depends_on_its_own_index_only(tiny):
    pictures = plan(tiny)
    chosen = [pictures[k] for k in (0, 5, 40, len(pictures) - 1)]
    forward = [draw_picture(tiny, picture) for picture in chosen]
    for picture, (data, points) in zip(reversed(chosen), reversed(forward), strict=True):
        again, points_again = draw_picture(tiny, picture)
        assert again == data
        np.testing.assert_array_equal(points_again, points)
    assert len({data for data, _ in forward}) == len(chosen)


def test_another_seed_gives_other_pictures(tiny):
    picture = plan(tiny)[0]
    assert draw_picture(replace(tiny, seed=4), picture)[0] != draw_picture(tiny, picture)[0]


def test_skin_and_hair_belong_to_the_person():
    one, other = person(1, 5), person(1, 6)
    person.cache_clear()
    again = person(1, 5)
    np.testing.assert_array_equal(one.textures.skin, again.textures.skin)
    np.testing.assert_array_equal(one.skin, again.skin)
    assert np.abs(one.textures.skin - other.textures.skin).max() > 0.5


def test_truth_can_be_recomputed(tiny):
    picture = plan(tiny)[3]
    first, second = (truth(tiny, picture.label, picture.index) for _ in range(2))
    for one, again in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, again)
    assert first[0].shape == (6,) and first[1].shape == (22, 2)


def test_annotators_err_by_four_percent_of_the_eye_distance():
    points = np.array([[30, 40], [70, 40], [50, 60], [38, 75], [62, 75]], float)
    errors = [np.linalg.norm(annotate(points, stream(1, "annotate", k)) - points, axis=1) for k in range(400)]
    assert np.mean(errors) / 40 == pytest.approx(0.04, rel=0.06)


def test_faces_are_well_exposed_in_every_skin_tone():
    """The median cheek brightness of many pictures lies in the middle range for light and dark skin alike."""
    levels: dict[bool, list[float]] = {True: [], False: []}
    for number in range(40):
        me = person(1, number)
        view = draw_view(stream(1, "scene", number), 96, me.tone, 0.0, KNOBS)
        background = draw_background(stream(1, "degrade", number), view.width, view.height)
        surface = build_surface(me, np.zeros((22, 2), np.float32), view.attire, view.gaze, KNOBS)
        points = project(surface, view)
        x, y = np.clip((0.5 * (points[2] + points[3])).round().astype(int), 1, [view.width - 2, view.height - 2])
        levels[me.tone > 3].append(float(render(surface, view, background)[y - 1 : y + 2, x - 1 : x + 2].mean()))
    assert 0.20 < np.median(levels[True]) < np.median(levels[False]) < 0.90


def test_the_whole_face_is_in_the_picture_and_off_centre(tiny):
    centres = []
    for picture in plan(tiny)[:40]:
        data, points = draw_picture(tiny, picture)
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        height, width = pixels.shape[:2]
        assert max(height, width) <= tiny.scene
        assert (points > 0).all() and (points < [width, height]).all()
        centres.append(points.mean(0) / [width, height])
    assert np.std(centres, axis=0).min() > 0.03


def test_difficulty_reaches_the_pixels_and_nothing_of_the_plan(tiny):
    """A hard picture shows the same person in the same place, spoilt more."""
    easy, hard = (replace(tiny, difficulty=name) for name in ("easy", "hard"))
    assert [p.person for p in plan(easy)] == [p.person for p in plan(hard)]
    for one, other in zip(plan(easy)[:5], plan(hard)[:5], strict=True):
        assert draw_picture(easy, one)[0] != draw_picture(hard, other)[0]


def test_people_differ_in_how_much_a_unit_shows():
    """`person_gain` 0 leaves the intensities as they are; above it, two people smile differently wide."""
    smile = np.zeros((22, 2), np.float32)
    smile[INDEX[12]] = 0.6

    def widths(gain: float) -> list[float]:
        found = []
        for number in (11, 12, 13):
            me, view = still(number)
            me = replace(me, mouth_width=0.25, asymmetry=np.zeros((8, 2)), rest=np.zeros(6))
            knobs = replace(KNOBS, person_gain=gain)
            points = build_surface(me, smile, view.attire, view.gaze, knobs).points
            found.append(float(points[4, 0] - points[3, 0]))
        return found

    assert np.ptp(widths(0.0)) < 1e-6 < np.ptp(widths(0.3))
