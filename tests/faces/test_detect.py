"""Which of several faces is taken, and how boxes overlap: by hand."""

import numpy as np
import pytest

from fer_core.faces.boxes import iou, suppress
from fer_core.faces.canvas import crops, place
from fer_core.faces.detect import FITS_BOX, FITS_POINTS, Faces, central, nearest, no_faces

FIVE = np.array([[30.0, 40], [70, 40], [50, 60], [35, 80], [65, 80]])  # eyes 40 px apart


def shifted(x: float, y: float) -> np.ndarray:
    return FIVE + np.array([x, y])


def boxed(*boxes: list[float]) -> Faces:
    return Faces(np.array(boxes), np.ones(len(boxes)), np.zeros((len(boxes), 5, 2)))


def pointed(*points: np.ndarray) -> Faces:
    return Faces(np.zeros((len(points), 4)), np.ones(len(points)), np.stack(points))


def test_which_of_several_faces() -> None:
    middle, corner = [40.0, 40, 60, 60], [0.0, 0, 24, 24]
    assert central(boxed(corner, middle), 100, 100) == 1, "1.4 times the area, a quarter as central"
    assert central(boxed(middle, [0.0, 0, 60, 60]), 100, 100) == 1, "nine times the area, 0.6 times as central"
    aside = [90.0, 40, 110, 60]
    assert central(boxed(middle, aside), 100, 200) == 1, "in the middle of a wide picture"
    assert central(boxed(middle, aside), 200, 100) == 0, "outside a high one"
    assert central(boxed([-90.0, -90, -80, -80], [-300.0, 0, -200, 90]), 100, 100) == 0, "outside both count 0"


def test_the_face_that_fits_an_annotated_box() -> None:
    # IoU with the annotation: 50 / 150 = 1/3; 80 / 120 = 2/3; nothing shared
    faces = boxed([5.0, 0, 15, 10], [2.0, 0, 12, 10], [40.0, 40, 50, 50])
    assert nearest(faces, np.array([0.0, 0, 10, 10])) == 1
    assert nearest(boxed([5.0, 0, 15, 10]), np.array([0.0, 0, 10, 10])) == 0, "a third is enough"
    assert FITS_BOX < 1 / 3
    assert nearest(boxed([6.0, 0, 16, 10]), np.array([0.0, 0, 10, 10])) is None, "a quarter is not: 40 / 160"
    assert nearest(faces, np.array([200.0, 200, 210, 210])) is None
    assert nearest(faces, np.array([45.0, 45, 45, 45])) is None, "a box without area fits nothing"
    assert nearest(no_faces(), np.array([0.0, 0, 10, 10])) is None


def test_the_face_that_fits_annotated_points() -> None:
    near, far = shifted(0, 8), shifted(0, 12)  # 0.2 and 0.3 eye distances
    assert nearest(pointed(far, near, FIVE + 500), FIVE) == 1
    assert FITS_POINTS == 0.5
    assert nearest(pointed(shifted(19, 0)), FIVE) == 0
    assert nearest(pointed(shifted(21, 0)), FIVE) is None
    assert nearest(pointed(shifted(21, 0) * 3), FIVE * 3) is None, "eye distances, not pixels"
    assert nearest(pointed(np.full((5, 2), np.nan)), FIVE) is None
    assert nearest(no_faces(), FIVE) is None


def test_an_annotation_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(4,\) or \(5, 2\); got \(10,\)"):
        nearest(boxed([0.0, 0, 1, 1]), np.zeros(10))


def test_no_faces_has_the_shapes_of_faces() -> None:
    none = no_faces()
    assert len(none) == 0
    assert (none.boxes.shape, none.scores.shape, none.points.shape) == ((0, 4), (0,), (0, 5, 2))


def test_overlap_by_hand() -> None:
    one = np.array([0.0, 0, 10, 10])
    others = np.array([[0.0, 0, 10, 10], [5, 5, 15, 15], [10, 0, 20, 10], [2, 2, 4, 4], [30, 0, 20, 10]])
    assert iou(one, others).tolist() == pytest.approx([1, 25 / 175, 0, 0.04, 0]), "the last is inside out"
    assert iou(np.zeros(4), np.zeros(4)) == 0


def test_suppression_by_hand() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [0, 0, 10, 6], [0, 0, 4, 4], [20, 20, 30, 30]])
    scores = np.array([0.9, 0.8, 0.95, 0.7])
    # shares of the union: (0, 1) 0.6, (0, 2) 0.16, (1, 2) 0.27; of the smaller: (0, 2) and (1, 2) 1
    assert suppress(boxes, scores, 0.5).tolist() == [2, 0, 3]
    assert suppress(boxes, scores, 0.6).tolist() == [2, 0, 1, 3], "exactly as much is kept"
    assert suppress(boxes, scores, 0.7, of_smaller=True).tolist() == [2, 3]
    assert suppress(boxes, scores, 0.6, limit=2).tolist() == [2, 0]
    assert suppress(np.zeros((0, 4)), np.zeros(0), 0.5).tolist() == []


def test_a_crop_beyond_the_canvas_is_grey_there_and_keeps_its_shape() -> None:
    canvas = np.full((64, 64, 3), 200, np.uint8)
    cut = np.empty((2, 48, 48, 3), np.uint8)
    crops(canvas, np.array([[-24, 10, 24, 58], [8, 8, 56, 56]]), cut)
    assert (cut[0, :, :24] == 127).all() and (cut[0, :, 24:] == 200).all()
    assert (cut[1] == 200).all()


def test_a_picture_on_a_canvas_and_back() -> None:
    picture = np.full((20, 40, 1), 200, np.uint8)
    canvas = place(picture, 100, 0.1)  # 80 px are left for 40: twice as large, 10 px off the left, 30 off the top
    inside = canvas.pixels == 200
    assert inside[30:70, 10:90].all() and inside.sum() == 40 * 80 * 3
    edges = np.array([[10.0, 30.0], [90.0, 70.0]])
    assert canvas.back(edges).tolist() == [[-0.5, -0.5], [39.5, 19.5]], "a picture's edge is half a pixel off"
    narrow = place(np.full((100, 1, 3), 9, np.uint8), 64, 0.1)
    assert (narrow.pixels == 9).any(), "a side keeps a pixel at least"
