"""MTCNN: three small networks, one after another, that find faces and five points in each.

Zhang, Zhang, Li, Qiao, "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks", IEEE
Signal Processing Letters 2016. The networks and their weights come from the package facenet-pytorch; what leads
from one to the next is here, because the package's own loop ties the pictures of a batch together (a face's points
move with its neighbours'), and squeezes a face at the picture's edge into a square instead of padding it.

Every picture is scaled, up or down, into a square canvas with an empty border: the networks miss faces of few pixels,
and the first one's window never reaches over the edge. `SEARCHES` are tried in turn until one finds a face, which
must be at least a seventh of the picture's longer side for the first two, a twentieth for the last. Share of faces
found by the first, by two, by all three:
    564 generated pictures, 95-160 px on the longer side   98.8  99.5  99.5 %
    the same as tight grey crops of 48 px, like FER2013's  93.8  96.1  96.6 %
    a third of them, each in a picture four times as wide  94.7  95.2  96.8 %
    450 pictures of noise                                   0     0     0.4 %
Points were 0.10 to 0.12 eye distances (median) from the annotated ones, mean over the five.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from fer_core.errors import ConfigError

_GREY = 127  # becomes about 0 in the networks' range
_STEP = 0.709  # from one size of the pyramid to the next: half the area
_PROPOSE, _REFINE, _POINTS = 12, 24, 48  # sides in pixels of what the three networks look at
_STRIDE = 2  # of the first network
_SMALLEST = 4.0  # pixels of the canvas; boxes below hold no picture
_MOST = 256  # candidates per network, so that memory is bounded


@dataclass(frozen=True)
class Search:
    """One way to look for faces.

    Attributes:
        canvas: side in pixels of the square that every picture is scaled into, up or down.
        border: share of the canvas left empty on each side.
        smallest: side of the smallest face looked for, in pixels of the canvas.
        scores: what a candidate must exceed after each of the three networks, in 0..1.
    """

    canvas: int
    border: float
    smallest: float
    scores: tuple[float, float, float] = (0.6, 0.7, 0.7)


SEARCHES = (
    Search(256, 0.1, 30),
    Search(256, 0.25, 20, (0.5, 0.6, 0.6)),
    Search(512, 0.1, 20, (0.6, 0.7, 0.9)),
)


def load(device: str | None = None) -> "Mtcnn":
    """Load the networks.

    Args:
        device: None is the GPU where there is one, else the CPU.

    Raises:
        ConfigError: facenet-pytorch is not installed.
    """
    try:
        from facenet_pytorch import ONet, PNet, RNet  # noqa: PLC0415  an optional package
    except ImportError:
        raise ConfigError(
            "`align.detector: mtcnn` needs the package facenet-pytorch, which is not installed; run "
            '`pip install -e ".[mtcnn]"`.'
        ) from None
    return Mtcnn((PNet(), RNet(), ONet()), device or ("cuda" if torch.cuda.is_available() else "cpu"))


class Mtcnn:
    """The cascade. Safe to call from several threads.

    Args:
        networks: the three networks in their order.
        device: where they compute.
        searches: ways to look, tried in turn until one finds a face.
    """

    def __init__(
        self,
        networks: tuple[torch.nn.Module, torch.nn.Module, torch.nn.Module],
        device: str,
        searches: tuple[Search, ...] = SEARCHES,
    ) -> None:
        # channels_last: pooling, most of the time otherwise, takes a tenth of it
        self._networks = [n.eval().to(device).to(memory_format=torch.channels_last) for n in networks]
        self._device, self._searches = device, searches

    def faces(self, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Find all faces in a picture.

        Args:
            picture: uint8 `(H, W, C)`, C = 1 grey or 3 RGB.

        Returns:
            Boxes `(F, 4)` as left, top, right, bottom, scores `(F,)` in 0..1 and points `(F, 5, 2)` as x, y, viewer's
            left first; float64, in pixels of the picture whose centres are whole numbers. F may be 0.
        """
        boxes, scores, points = _nothing()
        for search in self._searches:
            canvas, scale, shift = place(picture, search)
            with torch.inference_mode():
                boxes, scores, points = self._cascade(canvas, search)
            if len(boxes):
                # x of the canvas lies (x - shift + 0.5) / scale - 0.5 in the picture
                back = (points - shift + 0.5) / scale - 0.5
                return ((boxes.reshape(-1, 2, 2) - shift) / scale - 0.5).reshape(-1, 4), scores, back
        return boxes, scores, points

    def _cascade(self, canvas: np.ndarray, search: Search) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return boxes (in edges), scores and points (in centres) in pixels of the canvas."""
        boxes = self._propose(canvas, search)
        if len(boxes):
            cut, boxes = crops(canvas, boxes, _REFINE)
            move, sure = self._run(1, cut)
            boxes, score, move = (x[sure[:, 1] > search.scores[1]] for x in (boxes, sure[:, 1], move))
            kept = suppress(boxes, score, 0.7)
            boxes = _inside(_square(_moved(boxes[kept], move[kept])), len(canvas))
        if not len(boxes):
            return _nothing()
        cut, boxes = crops(canvas, boxes, _POINTS)
        move, five, sure = self._run(2, cut)
        boxes, score, move, five = (x[sure[:, 1] > search.scores[2]] for x in (boxes, sure[:, 1], move, five))
        sides = (boxes[:, 2:] - boxes[:, :2])[:, None]
        points = boxes[:, None, :2] + sides * five.reshape(-1, 2, 5).transpose(0, 2, 1)  # x0 .. x4, y0 .. y4
        boxes = _moved(boxes, move)
        kept = suppress(boxes, score, 0.7, of_smaller=True)
        return boxes[kept], score[kept], points[kept]

    def _propose(self, canvas: np.ndarray, search: Search) -> np.ndarray:
        """Slide the first network over the canvas in sizes from the smallest face to the whole; `(F, 4)` squares."""
        found: list[np.ndarray] = []
        scale = _PROPOSE / search.smallest
        while (side := round(len(canvas) * scale)) >= _PROPOSE:
            move, sure = self._run(0, cv2.resize(canvas, (side, side), interpolation=cv2.INTER_AREA)[None])
            y, x = np.nonzero(sure[0, 1] > search.scores[0])
            at = np.stack([x, y, x, y], 1) * _STRIDE + np.array([0, 0, _PROPOSE, _PROPOSE])
            boxes, score = at * (len(canvas) / side), sure[0, 1, y, x]
            kept = suppress(boxes, score, 0.5)
            found.append(np.hstack([boxes, score[:, None], move[0][:, y, x].T])[kept])
            scale *= _STEP
        every = np.concatenate([*found, np.zeros((0, 9))])
        every = every[suppress(every[:, :4], every[:, 4], 0.7)]
        return _inside(_square(_moved(every[:, :4], every[:, 5:])), len(canvas))

    def _run(self, which: int, pictures: np.ndarray) -> list[np.ndarray]:
        """Run one network on uint8 `(B, S, S, 3)`."""
        batch = torch.from_numpy(pictures).to(self._device).permute(0, 3, 1, 2)  # is channels_last
        return [out.cpu().numpy().astype(np.float64) for out in self._networks[which]((batch.float() - 127.5) / 128)]


def place(picture: np.ndarray, search: Search) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scale a picture into the middle of a grey square.

    Returns:
        The canvas uint8 `(S, S, 3)`, its scale `(2,)` and the shift `(2,)`: a corner at x stands at x * scale + shift.
    """
    height, width = picture.shape[:2]
    ratio = search.canvas * (1 - 2 * search.border) / max(height, width)
    size = max(1, round(width * ratio)), max(1, round(height * ratio))
    how = cv2.INTER_AREA if ratio < 1 else cv2.INTER_CUBIC
    scaled = cv2.resize(picture, size, interpolation=how).reshape(size[1], size[0], -1)
    left, top = (search.canvas - size[0]) // 2, (search.canvas - size[1]) // 2
    canvas = np.full((search.canvas, search.canvas, 3), _GREY, np.uint8)
    canvas[top : top + size[1], left : left + size[0]] = scaled  # one channel fills all three
    return canvas, np.array(size) / np.array([width, height]), np.array([left, top], np.float64)


def crops(canvas: np.ndarray, boxes: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut squares out of a canvas, grey where they reach beyond it.

    Returns:
        uint8 `(F, size, size, 3)` and the boxes, rounded to the whole pixels that were cut.
    """
    boxes = np.round(boxes).astype(int)
    room = max(0, -int(boxes.min()), int(boxes.max()) - len(canvas))
    wide = cv2.copyMakeBorder(canvas, room, room, room, room, cv2.BORDER_CONSTANT, value=(_GREY,) * 3)
    out = np.empty((len(boxes), size, size, 3), np.uint8)
    for k, (x0, y0, x1, y1) in enumerate(boxes + room):
        how = cv2.INTER_AREA if x1 - x0 > size else cv2.INTER_LINEAR
        cv2.resize(wide[y0:y1, x0:x1], (size, size), dst=out[k], interpolation=how)
    return out, boxes.astype(np.float64)


def suppress(boxes: np.ndarray, scores: np.ndarray, most: float, of_smaller: bool = False) -> np.ndarray:
    """Keep the surest of boxes that overlap by more than `most`.

    Args:
        boxes: `(F, 4)`.
        scores: `(F,)`.
        most: largest overlap of boxes that are kept, as share of their union, in 0..1.
        of_smaller: take the share of the smaller box instead.

    Returns:
        Row numbers of those kept, surest first.

    Example:
        >>> suppress(np.array([[0, 0, 2, 2], [0, 0, 2, 3], [5, 5, 6, 6]]), np.array([0.5, 0.9, 0.7]), 0.6).tolist()
        [1, 2]
    """
    order = np.argsort(-scores, kind="stable")
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    kept: list[int] = []
    while len(order) and len(kept) < _MOST:
        first, rest = order[0], order[1:]
        kept.append(int(first))
        low = np.maximum(boxes[first, :2], boxes[rest, :2])
        high = np.minimum(boxes[first, 2:], boxes[rest, 2:])
        shared = np.clip(high - low, 0, None).prod(axis=1)
        whole = np.minimum(area[first], area[rest]) if of_smaller else area[first] + area[rest] - shared
        order = rest[shared <= most * whole]
    return np.array(kept, int)


def _moved(boxes: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Move the four edges of boxes by shares of their sides."""
    return boxes + by * np.tile(boxes[:, 2:] - boxes[:, :2], 2)


def _square(boxes: np.ndarray) -> np.ndarray:
    """Return squares around the same centres, as large as the longer side."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    return np.hstack([centre - half, centre + half])


def _inside(boxes: np.ndarray, side: int) -> np.ndarray:
    """Leave out boxes that are degenerate, reach far beyond the canvas or miss it."""
    wide = boxes[:, 2] - boxes[:, 0]
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    good = (wide >= _SMALLEST) & (wide <= 2 * side) & np.all((middle > 0) & (middle < side), axis=1)
    return boxes[good]


def _nothing() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.zeros((0, 4)), np.zeros(0), np.zeros((0, 5, 2))
