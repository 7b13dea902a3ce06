"""The roadmap's baseline on the set, over several seeds: the figure by which the difficulty was set."""

import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from benchmarks.standin.faces import Faces
from benchmarks.standin.training import face_set, fit, recipe
from fer_core.evaluation.metrics import scores
from fer_core.standin.published import CLASSES
from fer_core.training.predict import predict


def baseline(faces: Faces, seeds: Sequence[int], workers: int = 2) -> dict:
    """Train the baseline of params.yaml once per seed; validation accuracy, UAR and macro-F1 of each, in 0..1."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "faces.npz"
        np.savez(path, crops=faces.crops, labels=faces.labels, splits=faces.splits)
        with ProcessPoolExecutor(workers, get_context("spawn"), initializer=one_thread) as executor:
            rows = list(executor.map(_train, [path] * len(seeds), seeds))
    accuracy = [row["accuracy"] for row in rows]
    spread = float(np.std(accuracy, ddof=1)) if len(rows) > 1 else None
    return {"mean_accuracy": float(np.mean(accuracy)), "standard_deviation": spread, "seeds": rows}


def one_thread() -> None:
    """Let PyTorch use one core."""
    torch.set_num_threads(1)


def _train(path: Path, seed: int) -> dict[str, float]:
    stored = np.load(path)
    sets = {}
    for split in ("train", "validation"):
        rows = stored["splits"] == split
        sets[split] = face_set(stored["crops"][rows], stored["labels"][rows])
    trained = fit(recipe(seed), sets, f"baseline, seed {seed}")
    guess = {split: predict(trained.model.float(), found)[0].argmax(1).numpy() for split, found in sets.items()}
    score = {split: scores(sets[split].labels.numpy(), guess[split], len(CLASSES)) for split in sets}
    return {
        "seed": seed,
        "accuracy": score["validation"].accuracy,
        "uar": score["validation"].uar,
        "macro_f1": score["validation"].macro_f1,
        "train_accuracy": score["train"].accuracy,
        "best_epoch": trained.best_epoch,
        "seconds": round(trained.seconds),
    }
