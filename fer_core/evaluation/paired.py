"""Is one predictor better than another on the same pictures? Paired bootstrap of the gain, and McNemar's exact test.

McNemar, Psychometrika 1947: of the pictures on which exactly one of the two is right, each is right equally often under
the null hypothesis, so the number of one's wins is binomial(discordant pictures, 1/2).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from fer_core.errors import DataError
from fer_core.evaluation.intervals import RESAMPLES, interval, resampled_scores
from fer_core.evaluation.metrics import Floats, Integers, scores

METRICS = ("accuracy", "uar", "macro_f1", "uar_common", "macro_f1_common")


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval; points (hundredths) for gains, fractions for scores."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """A candidate against a reference: gains in points, McNemar's p, and the pictures that one alone got right.

    `seeds` pairs of trainings were compared: gains are means over them, and so are `only_candidate` and
    `only_reference`, the pictures that one of the two alone got right.
    """

    accuracy: Interval
    uar: Interval
    macro_f1: Interval
    uar_common: Interval
    macro_f1_common: Interval
    p_value: float
    only_candidate: float
    only_reference: float
    seeds: int


class Judge:
    """Compares predictors, all scored on the same draws of the same pictures.

    A predictor that was trained with several seeds stands for all of them: its scores are means over its seeds, and it
    is compared with another seed by seed, as far as both have them. The p of several pairs is twice their median, at
    most 1, which is valid however they depend on each other (Rueschendorf, Advances in Applied Probability 1982;
    Meinshausen, Meier & Buehlmann, JASA 2009).

    Example:
        >>> judge = Judge([0, 1, 1, 0], {"a": [0, 0, 0, 0], "b": [0, 1, 1, 0]}, classes=2, resamples=200)
        >>> judge.compare("b", "a").accuracy.value, judge.compare("b", "a").p_value
        (50.0, 0.5)
    """

    def __init__(
        self,
        labels: npt.ArrayLike,
        predictions: Mapping[str, npt.ArrayLike],
        classes: int,
        clusters: Integers | None = None,
        resamples: int = RESAMPLES,
        seed: int = 0,
        seeds: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Score `predictions` (name -> (N,) classes) against `labels` (N,).

        `seeds` names, for a predictor, all predictors that stand for it, itself first; others stand for themselves.
        """
        truth = np.asarray(labels, dtype=np.int64)
        self._seeds = seeds or {}
        self._right = {name: np.asarray(values) == truth for name, values in predictions.items()}
        self._scores = {name: scores(truth, values, classes) for name, values in predictions.items()}
        self._draws = resampled_scores(truth, predictions, classes, clusters, resamples, seed)

    def score(self, predictor: str, metric: str) -> Interval:
        """Return a predictor's `metric` (one of `METRICS`) as a fraction with its interval."""
        names = self._names(predictor)
        value = float(np.mean([getattr(self._scores[name], metric) for name in names]))
        return Interval(value, *interval(self._draw(names, metric)))

    def compare(self, candidate: str, reference: str) -> Comparison:
        """Return the gain of `candidate` over `reference` in points, with intervals and McNemar's p."""
        pairs = list(zip(self._names(candidate), self._names(reference), strict=False))
        left, right = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        gains = {}
        for metric in METRICS:
            value = np.mean([getattr(self._scores[a], metric) - getattr(self._scores[b], metric) for a, b in pairs])
            draws = self._draw(left, metric) - self._draw(right, metric)
            gains[metric] = Interval(100 * float(value), *interval(100 * draws))
        tests = [mcnemar(self._right[a], self._right[b]) for a, b in pairs]
        p_value = tests[0][0] if len(tests) == 1 else min(1.0, 2 * float(np.median([test[0] for test in tests])))
        wins, losses = (float(np.mean([test[side] for test in tests])) for side in (1, 2))
        return Comparison(**gains, p_value=p_value, only_candidate=wins, only_reference=losses, seeds=len(pairs))

    def _names(self, predictor: str) -> Sequence[str]:
        return self._seeds.get(predictor) or (predictor,)

    def _draw(self, names: Sequence[str], metric: str) -> Floats:
        """Return the metric in each draw, (B,), as the mean over predictors."""
        draws: Floats = np.mean([getattr(self._draws[name], metric) for name in names], axis=0)
        return draws


class Judges:
    """Several judges, each of the predictors whose names begin with its key and "/"; "" is of all others.

    Clips and pictures have other truths, and no predictor of one is compared with one of the other.
    """

    def __init__(self, judges: Mapping[str, Judge]) -> None:
        self._judges = dict(judges)

    def add(self, key: str, judge: Judge) -> None:
        """Take another judge in."""
        self._judges[key] = judge

    def score(self, predictor: str, metric: str) -> Interval:
        """Return what the predictor's judge says; see `Judge.score`."""
        return self._of(predictor).score(predictor, metric)

    def compare(self, candidate: str, reference: str) -> Comparison:
        """Return what the judge of both says; see `Judge.compare`.

        Raises:
            DataError: they were not measured on the same samples.
        """
        if self._of(candidate) is not self._of(reference):
            raise DataError(f"{candidate} and {reference} were measured on other samples and cannot be compared.")
        return self._of(candidate).compare(candidate, reference)

    def _of(self, predictor: str) -> Judge:
        key = predictor.partition("/")[0]
        return self._judges.get(key, self._judges[""])


def mcnemar(candidate_right: npt.ArrayLike, reference_right: npt.ArrayLike) -> tuple[float, int, int]:
    """Return the two-sided exact p, and how many pictures the candidate alone and the reference alone got right.

    Both arguments are (N,) booleans over the same pictures. Without a discordant picture p is 1.

    Example:
        >>> mcnemar([True, True, False], [True, False, False])
        (1.0, 1, 0)
    """
    candidate, reference = np.asarray(candidate_right, bool), np.asarray(reference_right, bool)
    wins, losses = int((candidate & ~reference).sum()), int((reference & ~candidate).sum())
    p_value = float(binomtest(wins, wins + losses, 0.5).pvalue) if wins + losses else 1.0
    return p_value, wins, losses
