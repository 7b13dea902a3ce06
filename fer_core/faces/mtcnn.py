"""MTCNN: three small networks, one after another, that find faces and five points in each.

Zhang, Zhang, Li, Qiao, "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks", IEEE
Signal Processing Letters 2016. The networks and their weights come from the package facenet-pytorch; what leads
from one to the next is here, because the package's own loop ties the pictures of a batch together (a face's points
move with its neighbours', and all must be of one size), and squeezes a face at the picture's edge into a square
instead of padding it. Here every picture is scaled, up or down, into a square canvas with an empty border: pictures
of any size go through the networks together, faces of few pixels are not missed, and the first network's window
never reaches over the edge.

`SEARCHES` are tried in turn on the pictures in which none has found a face yet, which must be at least a seventh of
the picture's longer side for the first two, a twentieth for the last. Share of faces found by the first, by two, by
all three:
    547 generated pictures, 120-160 px on the longer side  99.5  99.8  99.8 %
    the same as tight grey crops of 48 px, like FER2013's  82.4  89.9  90.1 %
    a third of them, each in a picture four times as wide  96.2  96.2  98.4 %
    100 pictures of noise                                   0     0     0   %
Points were 0.10 to 0.11 eye distances (median) from the annotated ones, mean over the five.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import torch
from torchvision.ops import nms

from fer_core.errors import ConfigError
from fer_core.faces.boxes import suppress
from fer_core.faces.canvas import crops, place
from fer_core.faces.detect import Faces, no_faces

_STEP = 0.709  # from one size of the pyramid to the next: half the area
_PROPOSE, _REFINE, _POINTS = 12, 24, 48  # sides in pixels of what the three networks look at
_STRIDE = 2  # of the first network
_SMALLEST = 4.0  # pixels of the canvas; boxes below hold no picture
_MOST = 256  # candidates per picture and network, so that memory is bounded
_PIXELS = 80_000, 60_000, 60_000  # that a network takes at once on a CPU: what it leaves of them stays in the cache
_ON_GPU = 100  # times as many there


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

    def faces(self, pictures: Sequence[np.ndarray]) -> list[Faces]:
        """Find all faces in some pictures.

        Args:
            pictures: uint8 `(H, W, C)` each, C = 1 grey or 3 RGB, of any size. Memory grows with their number.

        Returns:
            The faces of each, see `Faces`. They are those of the picture alone, beyond the rounding of the networks.
        """
        found = [no_faces() for _ in pictures]
        for search in self._searches:
            left = [k for k, faces in enumerate(found) if not len(faces)]
            if not left:
                break
            placed = [place(pictures[k], search.canvas, search.border) for k in left]
            with torch.inference_mode():
                boxes, scores, points, of = self._cascade([canvas.pixels for canvas in placed], search)
            for at, (k, canvas) in enumerate(zip(left, placed, strict=True)):
                own = of == at
                # the networks count points by centres, as pictures do: the canvas's first pixel is 0, its edge 0.5 off
                corners, five = canvas.back(boxes[own].reshape(-1, 2, 2)), canvas.back(points[own] + 0.5)
                found[k] = Faces(corners.reshape(-1, 4), scores[own], five)
        return found

    def _cascade(self, canvases: list[np.ndarray], search: Search) -> tuple[np.ndarray, ...]:
        """Return boxes (in edges), scores, points (in centres) in pixels of the canvases, and each one's canvas."""
        boxes, of = self._propose(canvases, search)
        if not len(boxes):
            return np.zeros((0, 4)), np.zeros(0), np.zeros((0, 5, 2)), of
        cut, boxes = _cut(canvases, boxes, of, _REFINE)
        move, sure = self._run(1, cut)
        boxes, of, move, score = _where(sure[:, 1] > search.scores[1], boxes, of, move, sure[:, 1])
        boxes, of, move = (x[_suppress(boxes, score, of, 0.7)] for x in (boxes, of, move))
        boxes, of = _inside(_square(_moved(boxes, move)), of, search.canvas)
        if not len(boxes):
            return np.zeros((0, 4)), np.zeros(0), np.zeros((0, 5, 2)), of
        cut, boxes = _cut(canvases, boxes, of, _POINTS)
        move, five, sure = self._run(2, cut)
        boxes, of, move, five, score = _where(sure[:, 1] > search.scores[2], boxes, of, move, five, sure[:, 1])
        sides = (boxes[:, 2:] - boxes[:, :2])[:, None]
        points = boxes[:, None, :2] + sides * five.reshape(-1, 2, 5).transpose(0, 2, 1)  # x0 .. x4, y0 .. y4
        boxes = _moved(boxes, move)
        kept = _each(of, lambda rows: suppress(boxes[rows], score[rows], 0.7, of_smaller=True, limit=_MOST))
        return boxes[kept], score[kept].astype(np.float64), points[kept], of[kept]

    def _propose(self, canvases: list[np.ndarray], search: Search) -> tuple[np.ndarray, np.ndarray]:
        """Slide the first network over the canvases in sizes from the smallest face to the whole.

        Each size is made of the one before, half its area: that takes a sixth of the time and finds as many faces.

        Returns:
            Squares `(F, 4)` and which canvas each is of, `(F,)`, ascending.
        """
        found: list[tuple[np.ndarray, ...]] = []
        scale, levels = _PROPOSE / search.smallest, canvases
        while (side := round(search.canvas * scale)) >= _PROPOSE:
            levels = [cv2.resize(c, (side, side), interpolation=cv2.INTER_AREA) for c in levels]
            small = np.stack(levels)
            move, sure = self._run(0, small)
            of, y, x = np.nonzero(sure[:, 1] > search.scores[0])
            at = np.stack([x, y, x, y], 1) * float(_STRIDE) + np.array([0, 0, _PROPOSE, _PROPOSE])
            score = sure[of, 1, y, x]
            kept = _suppress(at, score, of, 0.5)  # in whole pixels: exactly half is half
            found.append((at[kept] * (search.canvas / side), of[kept], move[of, :, y, x][kept], score[kept]))
            scale *= _STEP
        boxes, of, move, score = (np.concatenate(every) for every in zip(*found, strict=True))
        order = np.argsort(of, kind="stable")
        boxes, of, move, score = (x[order] for x in (boxes, of, move, score))
        kept = _suppress(boxes, score, of, 0.7)
        return _inside(_square(_moved(boxes[kept], move[kept])), of[kept], search.canvas)

    def _run(self, which: int, pictures: np.ndarray) -> list[np.ndarray]:
        """Run one network on uint8 `(B, S, S, 3)`, B >= 1; returns float32."""
        network, side = self._networks[which], pictures.shape[1]
        step = max(1, _PIXELS[which] * (1 if self._device == "cpu" else _ON_GPU) // side**2)
        parts = []
        for start in range(0, len(pictures), step):
            batch = torch.from_numpy(pictures[start : start + step]).to(self._device).permute(0, 3, 1, 2)
            parts.append(network(batch.float().sub_(127.5).div_(128)))  # permuted, it is channels_last
        return [torch.cat(part).cpu().numpy() for part in zip(*parts, strict=True)]


def _cut(canvases: list[np.ndarray], boxes: np.ndarray, of: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut squares out of the canvases that they are of; return `(F, size, size, 3)` and the squares in whole pixels."""
    boxes = np.round(boxes).astype(int)
    out = np.empty((len(boxes), size, size, 3), np.uint8)
    for k, rows in _groups(of):
        crops(canvases[k], boxes[rows], out[rows])
    return out, boxes.astype(np.float64)


def _groups(of: np.ndarray) -> Iterator[tuple[int, slice]]:
    """Yield which canvas and its rows, where `of` ascends."""
    starts = np.flatnonzero(np.diff(of, prepend=-1))
    for start, end in pairwise([*starts.tolist(), len(of)]):
        yield int(of[start]), slice(start, end)


def _each(of: np.ndarray, choose: Callable[[slice], np.ndarray]) -> np.ndarray:
    """Choose rows of each canvas on its own; `choose` returns their numbers among those of the canvas."""
    return np.concatenate([np.zeros(0, int), *(rows.start + choose(rows) for _, rows in _groups(of))])


def _suppress(boxes: np.ndarray, scores: np.ndarray, of: np.ndarray, most: float) -> np.ndarray:
    """Do as `suppress` does, canvas by canvas; row numbers, ascending in `of`. Compiled: there are hundreds."""
    lines, sure = torch.from_numpy(boxes), torch.from_numpy(scores.astype(np.float64))
    return _each(of, lambda rows: nms(lines[rows], sure[rows], most)[:_MOST].numpy())


def _where(good: np.ndarray, *columns: np.ndarray) -> list[np.ndarray]:
    return [column[good] for column in columns]


def _moved(boxes: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Move the four edges of boxes by shares of their sides."""
    return boxes + by * np.tile(boxes[:, 2:] - boxes[:, :2], 2)


def _square(boxes: np.ndarray) -> np.ndarray:
    """Return squares around the same centres, as large as the longer side."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    return np.hstack([centre - half, centre + half])


def _inside(boxes: np.ndarray, of: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Leave out boxes that are degenerate, reach far beyond the canvas or miss it."""
    wide = boxes[:, 2] - boxes[:, 0]
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    good = (wide >= _SMALLEST) & (wide <= 2 * side) & np.all((middle > 0) & (middle < side), axis=1)
    return boxes[good], of[good]
