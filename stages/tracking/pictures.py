"""A confusion matrix for every run, drawn in milliseconds and only for runs that are about to be written.

The report's pictures are for print and take half a second each; a first `track` would draw for half a minute.
"""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from stages.tracking.inputs import Inputs

_CELL = 34  # pixels
_INK, _GRID, _BLUE = (34, 34, 34), (230, 230, 230), (8, 48, 107)


class Pictures:
    """Draws into a folder of its own, each predictor once."""

    def __init__(self, inputs: Inputs, folder: Path) -> None:
        self.inputs, self.folder = inputs, folder

    def confusion(self, predictor: str | None) -> Path | None:
        """Return the picture of a predictor's test confusion matrix; None where it was not scored."""
        test = self.inputs.runs.get(predictor or "", {}).get("test") or {}
        if predictor is None or not test.get("confusion"):
            return None
        path = self.folder / predictor / "confusion.png"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            draw(test["confusion"], list(test["per_class"]), predictor).save(path)
        return path


def draw(confusion: list[list[int]], classes: list[str], title: str) -> Image.Image:
    """Draw counts (K, K), rows = truth; the deeper the blue, the larger the share of the true class."""
    font, heading = ImageFont.load_default(13), ImageFont.load_default(17)
    sums = [sum(row) for row in confusion]
    counted = enumerate(zip(classes, sums, strict=True), 1)
    names = [f"{index}  {name.replace('_', ' ')} ({n})" for index, (name, n) in counted]
    left = 24 + int(max(font.getlength(name) for name in names))
    top, size = 84, _CELL * len(classes)
    image = Image.new("RGB", (left + size + 24, top + size + 16), "white")
    pen = ImageDraw.Draw(image)
    pen.text((12, 12), title, _INK, heading)
    pen.text((12, 40), "rows: true class (test pictures), columns: predicted", _INK, font)
    for row, counts in enumerate(confusion):
        y = top + _CELL * row
        pen.text((12, y + _CELL / 2), names[row], _INK, font, anchor="lm")
        pen.text((left + _CELL * (row + 0.5), top - 6), str(row + 1), _INK, font, anchor="mb")
        for column, count in enumerate(counts):
            x = left + _CELL * column
            share = count / sums[row] if sums[row] else 0.0
            colour = tuple(round(255 + (blue - 255) * share) for blue in _BLUE)
            pen.rectangle((x, y, x + _CELL, y + _CELL), colour, _GRID)
            if count:
                ink = "white" if share > 0.5 else _INK
                pen.text((x + _CELL / 2, y + _CELL / 2), str(count), ink, font, anchor="mm")
    return image
