"""Predict with a trained run on pictures that nobody prepared: their faces are cut as the model's own were.

A run's folder holds all of it: recipe.yaml, weights.safetensors, labels.json (what its answers mean) and alignment.json
(how its faces were cut). Another alignment costs published models some ten points.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from fer_core.errors import DataError
from fer_core.faces.alignment import read_alignment
from fer_core.faces.saved import Aligner
from fer_core.files import read_json, read_yaml
from fer_core.labels import from_card
from fer_core.recipe import Recipe
from fer_core.training.runs import load_run

BATCH = 256


class Predictor:
    """A trained run, ready for pictures.

    Attributes:
        classes: names in the order of the probabilities.
        au_names: columns of the AU probabilities; empty for a run without an AU head.

    Args:
        run: the run's folder, as data/train/baseline.
        detector: finds the faces where the run's own were cut by annotated points; see `Aligner`.
        model: the detector's local model file, if it needs one.

    Raises:
        ConfigError: a detector is missing or not the run's.
        DataError: the folder is not that of a trained run.
    """

    def __init__(self, run: Path, detector: str | None = None, model: Path | None = None) -> None:
        if not (run / "weights.safetensors").is_file():
            raise DataError(f"Expected {run} to be the folder of a trained run, with weights.safetensors; it has none.")
        told = read_json(run / "labels.json")
        alignment = read_alignment(run / "alignment.json")
        recipe = Recipe.from_dict(read_yaml(run / "recipe.yaml"))
        self.classes: list[str] = told["classes"]
        self.au_names: list[str] = told["au_names"] if recipe.has_au_head else []
        self._align = Aligner(alignment, detector, model)
        channels = 1 if alignment.grey else 3
        weights = run / "weights.safetensors"
        self._model = load_run(recipe, weights, channels, from_card(told), len(told["au_names"])).eval()

    def __call__(self, pictures: Sequence[bytes | None]) -> list[tuple[np.ndarray, np.ndarray] | str]:
        """Return for each encoded picture its probabilities, or the reason why there are none.

        Returns:
            (class probabilities `(K,)`, AU probabilities `(A,)`), float32, or a text such as "no face found".
        """
        crops = self._align(pictures)
        found = [k for k, crop in enumerate(crops) if not isinstance(crop, str)]
        answers: list[tuple[np.ndarray, np.ndarray] | str] = [crop if isinstance(crop, str) else "" for crop in crops]
        device = next(self._model.parameters()).device
        for start in range(0, len(found), BATCH):
            part = found[start : start + BATCH]
            faces = torch.from_numpy(np.stack([np.asarray(crops[k]) for k in part])).to(device)
            with torch.inference_mode():
                output = self._model(faces.permute(0, 3, 1, 2).float().div_(255))
            classes = output.logits.float().softmax(1).cpu().numpy()
            aus = np.zeros((len(part), 0), np.float32)
            if output.au_logits is not None:
                aus = output.au_logits.float().sigmoid().cpu().numpy()
            for k, emotion, au in zip(part, classes, aus, strict=True):
                answers[k] = (emotion, au)
        return answers
