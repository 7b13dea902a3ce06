"""A run of supervised training: epoch after epoch, resumable, the best one chosen by validation macro-F1."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from torch import Tensor, nn

from fer_core.progress import Bar
from fer_core.training.checkpoint import Checkpoint
from fer_core.training.distributed import from_first, is_first

Model = TypeVar("Model", bound=nn.Module)


class Resumable(Protocol):
    """What a run changes, apart from its history."""

    @property
    def evaluated(self) -> nn.Module:
        """The model that is validated and kept: the trained one, or the average of its weights."""

    def state_dict(self) -> dict[str, Any]:
        """Return all that a resumed run needs, tensors and plain values."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a state again."""


@dataclass
class Trained(Generic[Model]):
    """A finished run: the model with its best epoch's weights, and how it got there."""

    model: Model
    history: list[dict[str, Any]]
    best_epoch: int
    seconds: float


def run_epochs(
    model: Model,
    learner: Resumable,
    epochs: int,
    work: Path,
    title: str,
    train: Callable[[int], dict[str, float]],
    validate: Callable[[], dict[str, float]],
) -> Trained[Model]:
    """Train the epochs that are missing, from the checkpoint in `work` if an earlier process left one there.

    Args:
        model: what is trained; it ends with the weights of the best epoch.
        learner: of the model.
        epochs: how many, fewer where the loss is no longer a number.
        work: folder of this very run's checkpoints.
        title: shown with the progress.
        train: trains one epoch, counted from 0, and returns its figures, `train_loss` among them.
        validate: returns the figures of the learner's evaluated model, `validation_macro_f1` among them.
    """
    checkpoint = Checkpoint(work)
    history: list[dict[str, Any]] = []
    best: dict[str, Tensor] = {}
    seconds = 0.0
    if state := from_first(checkpoint.load() if is_first() else None):
        learner.load_state_dict(state["learner"])
        history, best, seconds = state["history"], state["best"], state["seconds"]
    with Bar(title, epochs, "epoch") as bar:
        bar.skip(len(history))
        while not _is_over(history, epochs):
            start = time.perf_counter()
            row = train(len(history)) | validate()
            row |= {"seconds": round(time.perf_counter() - start, 3)}
            if not best or row["validation_macro_f1"] > max(old["validation_macro_f1"] for old in history):
                best = {key: value.detach().cpu().clone() for key, value in learner.evaluated.state_dict().items()}
            history.append({"epoch": len(history) + 1, **row})
            seconds += time.perf_counter() - start
            if is_first() and (checkpoint.is_due or _is_over(history, epochs)):
                learned = learner.state_dict()
                checkpoint.save({"learner": learned, "history": history, "best": best, "seconds": seconds})
            bar.advance(loss=row["train_loss"], macro_f1=row["validation_macro_f1"])
    model.load_state_dict(best)
    top = max(range(len(history)), key=lambda i: (history[i]["validation_macro_f1"], -i))
    return Trained(model, history, best_epoch=top + 1, seconds=seconds)


def _is_over(history: list[dict[str, Any]], epochs: int) -> bool:
    """Return whether a run ends: a loss that is not a number stays so, and more epochs would only cost time."""
    return len(history) == epochs or (bool(history) and not np.isfinite(history[-1]["train_loss"]))


def converged(history: list[dict[str, Any]], window: int = 3, points: float = 1.0) -> bool | None:
    """Return whether validation macro-F1 had stopped rising: the last `window` epochs against those before.

    None when there are fewer than two windows of epochs.
    """
    if len(history) < 2 * window:
        return None
    curve = [row["validation_macro_f1"] for row in history]
    return bool(np.mean(curve[-window:]) - np.mean(curve[-2 * window : -window]) <= points / 100)
