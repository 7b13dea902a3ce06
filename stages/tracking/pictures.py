"""Confusion matrices as pictures, drawn once, and only for runs that are about to be written."""

from pathlib import Path

from stages.tracking.inputs import Inputs


class Pictures:
    """Draws into a folder of its own; matplotlib is imported when the first picture is wanted."""

    def __init__(self, inputs: Inputs, classes: list[str], folder: Path) -> None:
        self.inputs, self.classes, self.folder = inputs, classes, folder

    def confusion(self, predictor: str | None) -> Path | None:
        """Return the picture of a predictor's test confusion matrix; None where it was not scored."""
        test = self.inputs.runs.get(predictor or "", {}).get("test") or {}
        if predictor is None or "confusion" not in test:
            return None
        path = self.folder / predictor / "confusion.png"
        if not path.exists():
            from fer_core.evaluation.plots.confusion import draw_confusion

            heading = f"{predictor}: accuracy {100 * test['accuracy']:.1f} %"
            draw_confusion(path, test["confusion"], self.classes, heading)
        return path
