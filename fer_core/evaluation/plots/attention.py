"""Where a model's attention looks, laid over faces; below it, where it was taught to look."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from fer_core.errors import DataError
from fer_core.evaluation.plots.style import GREY, picture

_COLOURS = "viridis"
_COLUMNS = 7
_SIDE = 1.45  # inches


def draw_attention(
    path: Path,
    faces: npt.NDArray[np.uint8],
    maps: npt.ArrayLike,
    names: Sequence[str],
    title: str,
    taught: npt.ArrayLike | None = None,
) -> None:
    """Draw each face, the map over it and, where given, the map that it was taught, to `path` (PNG).

    A map's cells stand as they are, not smoothed: they are all that the network told apart. All maps share one scale,
    from the smallest to the largest weight, as a gate may use little of 0..1.

    Args:
        path: of the picture.
        faces: (N, H, W, C), C = 1 or 3.
        maps: (N, h, w), the weight of each place.
        names: N words above the faces.
        title: of the picture.
        taught: (N, h', w') in 0..1, NaN where nothing was said, which is left uncoloured.

    Raises:
        DataError: no face, or the numbers differ.
    """
    weights = np.asarray(maps, dtype=np.float64)
    lengths = {len(faces), len(weights), len(names), len(faces if taught is None else np.asarray(taught))}
    if lengths != {len(faces)} or not len(faces):
        raise DataError(f"Expected as many maps and names as faces, at least one; got {sorted(lengths)}.")
    scale = Normalize(float(weights.min()), float(weights.max()))
    layers = [None, weights] if taught is None else [None, weights, np.asarray(taught, dtype=np.float64)]
    columns = min(_COLUMNS, len(faces))
    blocks = -(-len(faces) // columns)
    with picture(path, _SIDE * max(columns, 3) + 1.2, (_SIDE + 0.15) * len(layers) * blocks + 0.8) as figure:
        figure.suptitle(title, fontsize=12)
        grid = figure.subplots(len(layers) * blocks, columns, squeeze=False)
        for axes in grid.ravel():
            axes.set(xticks=[], yticks=[])  # not shown, but laid out: most of the time goes there
            axes.set_axis_off()
        for index, (face, name) in enumerate(zip(faces, names, strict=True)):
            block, column = divmod(index, columns)
            rows = [grid[block * len(layers) + layer, column] for layer in range(len(layers))]
            rows[0].set_title(name.replace("_", " ").replace(" ", "\n", 1), fontsize=8, loc="center")
            for axes, layer in zip(rows, layers, strict=True):
                _face(axes, face)
                if layer is weights:
                    _over(axes, weights[index], face.shape, scale)
                elif layer is not None:
                    _over(axes, np.ma.masked_invalid(layer[index]), face.shape, Normalize(0, 1))
        said = "Each face, and the weights of its places."
        if taught is not None:
            said = "Each face, the weights of its places, and where its annotated AUs act: what such places are taught."
        figure.supxlabel(said, fontsize=9, color=GREY)
        bar = figure.colorbar(ScalarMappable(scale, _COLOURS), ax=grid, shrink=0.6, label="weight of a place")
        bar.outline.set_edgecolor(GREY)


def _face(axes: Axes, face: npt.NDArray[np.uint8]) -> None:
    axes.imshow(face.repeat(3 // face.shape[-1], axis=-1))


def _over(axes: Axes, values: npt.ArrayLike, shape: tuple[int, ...], scale: Normalize) -> None:
    edges = (-0.5, shape[1] - 0.5, shape[0] - 0.5, -0.5)
    axes.imshow(values, cmap=_COLOURS, norm=scale, alpha=0.55, extent=edges, interpolation="nearest")
