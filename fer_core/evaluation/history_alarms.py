"""Signs in a training run's history that it went wrong: loss terms far apart, losses that grow.

A history is one row an epoch, as `fer_core.training.loop` writes it; a recipe is the run's own.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fer_core.choices import UNCERTAINTY

APART = 100.0  # times; the smaller of two loss terms then hardly moves a weight
GIVEN_BACK = 0.25  # share of what the train loss had gained, above which a run is said to diverge
LEAST_RISE = 0.1  # of the lowest train loss: a run that learns nothing hovers, and gained nothing to give back
BLOWN_UP = 10.0  # times the lowest validation loss
_LAST = 3  # epochs that all must show it: one bad epoch is no trend


def loss_terms_apart(history: Sequence[Mapping[str, Any]], recipe: Mapping[str, Any]) -> list[str]:
    """Tell two terms of the training loss that are more than 100 times apart at the last epoch.

    The terms are means over the epoch times their weights: emotion; AU detection (`au_weight`, or the weights of that
    epoch where they are learned); AU intensity (times `au_intensity` too); few-shot episodes; attention. A term that
    the history lacks, that is not a number, or whose weight is 0 is left out.
    """
    if not history:
        return []
    end = history[-1]
    au = recipe.get("au_weight") or 0.0
    learned = au == UNCERTAINTY
    au_weight = end.get("au_task_weight") if learned else au
    intensity = None if au_weight is None else au_weight * (recipe.get("au_intensity") or 0.0)
    weights = {
        "emotion": ("emotion_loss", end.get("emotion_task_weight") if learned else 1.0),
        "AU detection": ("au_loss", au_weight),
        "AU intensity": ("au_intensity_loss", intensity),
        "few-shot": ("few_shot_loss", recipe.get("few_shot_weight")),
        "attention": ("attention_loss", recipe.get("attention_weight")),
    }
    terms = {
        name: weight * float(end[key])
        for name, (key, weight) in weights.items()
        if weight and end.get(key) is not None and np.isfinite(end[key])
    }
    if len(terms) < 2:
        return []
    low, high = min(terms, key=lambda name: terms[name]), max(terms, key=lambda name: terms[name])
    if not terms[high] > APART * terms[low]:
        return []
    times = f"{terms[high] / terms[low]:.0f} times" if terms[low] > 0 else "infinitely"
    return [f"loss terms {times} apart: {high} {terms[high]:.3g} against {low} {terms[low]:.2g}"]


def diverging(history: Sequence[Mapping[str, Any]], recipe: Mapping[str, Any]) -> list[str]:
    """Tell a run whose training undid itself: its train loss, or its validation loss, ended far above its lowest.

    Train: in each of the last 3 epochs the loss was above the lowest by more than a quarter of what had been gained
    since the first epoch, and by more than a tenth of the lowest. Epochs whose loss is of another kind than the last
    one's do not count: those of a curriculum that did not show all faces yet, those before `drw`'s class weights.

    Validation: in each of the last 3 epochs the loss was above 10 times its lowest and above twice the first epoch's.
    The validation loss of a run that overfits rises too, as it grows certain of its mistakes, but by a factor below
    that; the train-validation gap tells it.

    Epochs without a finite loss are for `fer_core.evaluation.alarms.not_a_number`.
    """
    found = []
    losses = _finite(_alike(history, recipe), "train_loss")
    if len(losses) > _LAST:
        low, end = min(losses), min(losses[-_LAST:])
        if end - low > max(GIVEN_BACK * (losses[0] - low), LEAST_RISE * abs(low)):
            found.append(f"diverging: train loss ended at {losses[-1]:.3g}, its lowest was {low:.3g}")
    losses = _finite(history, "validation_loss")
    if len(losses) > _LAST:
        low, end = min(losses), min(losses[-_LAST:])
        if end > max(BLOWN_UP * low, 2 * losses[0]):
            found.append(f"diverging: validation loss ended at {losses[-1]:.3g}, its lowest was {low:.3g}")
    return found


def _alike(history: Sequence[Mapping[str, Any]], recipe: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the epochs whose train loss is of the same faces and the same class weights as the last one's."""
    switch = (recipe.get("drw") or 0.0) * len(history)
    rows = [row for index, row in enumerate(history) if index >= switch] or list(history)
    return [row for row in rows if row.get("curriculum_share", 1.0) >= 1.0]


def _finite(history: Sequence[Mapping[str, Any]], key: str) -> list[float]:
    return [float(row[key]) for row in history if row.get(key) is not None and np.isfinite(row[key])]
