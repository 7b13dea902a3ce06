"""Members of an ensemble, made up: as arrays, and as classifiers that scikit-learn can join."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin


def made_members(
    samples: int = 150, classes: int = 4, skill: tuple[float, ...] = (2.0, 1.0, 0.4), seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities (M, N, K) of members of different skill, and labels (N,) in which every class occurs."""
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.arange(samples) % classes)
    logits = generator.normal(size=(len(skill), samples, classes))
    for member, strength in enumerate(skill):
        logits[member, np.arange(samples), labels] += strength
    return logits - np.log(np.exp(logits).sum(axis=2, keepdims=True)), labels


class Told(ClassifierMixin, BaseEstimator):
    """A classifier that was told its probabilities (N, K) of the samples; X holds row numbers, (N, 1)."""

    def __init__(self, probabilities: Any = None) -> None:
        self.probabilities = probabilities

    def fit(self, X: Any, y: Any) -> "Told":
        self.classes_ = np.arange(self.probabilities.shape[1])
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        found: np.ndarray = self.probabilities[np.asarray(X)[:, 0]]
        return found

    def predict(self, X: Any) -> np.ndarray:
        return self.predict_proba(X).argmax(axis=1)
