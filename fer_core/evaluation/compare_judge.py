"""Compares the same predictor of two experiments: both sides' answers before one judge, equal answers only once."""

from collections.abc import Iterable, Mapping, Sequence

from fer_core.evaluation.compare_faces import Pair, Track
from fer_core.evaluation.metrics import Integers
from fer_core.evaluation.paired import Comparison, Judge


class Duels:
    """Judges pairs; a run that a change did not touch answers alike on both sides, and is resampled once.

    Example:
        >>> import numpy as np
        >>> old, new = {"m": np.array([0, 0])}, {"m": np.array([0, 1])}
        >>> pair = Pair("still", ("m",), ("m",))
        >>> duels = Duels({"still": Track(np.array([0, 1]), None, (old, new))}, [pair], classes=2, resamples=100)
        >>> duels.compare(pair).accuracy.value, duels.same(pair)
        (50.0, False)
    """

    def __init__(
        self, tracks: Mapping[str, Track], pairs: Iterable[Pair], classes: int, resamples: int, seed: int = 0
    ) -> None:
        """Resample the answers of all `pairs`, on the same draws within a track."""
        self._tracks = tracks
        self._names: dict[tuple[str, int, str], str] = {}  # track, side, predictor -> the first with its answers
        answers: dict[str, dict[str, Integers]] = {track: {} for track in tracks}
        seen: dict[tuple[str, bytes], str] = {}
        self._seeds: dict[str, dict[str, Sequence[str]]] = {track: {} for track in tracks}
        for pair in pairs:
            for side, trainings in enumerate((pair.a, pair.b)):
                for name in trainings:
                    values = tracks[pair.track].answers[side][name]
                    first = seen.setdefault((pair.track, values.tobytes()), f"{'ab'[side]}:{name}")
                    answers[pair.track].setdefault(first, values)
                    self._names[pair.track, side, name] = first
                self._seeds[pair.track][_key(side, trainings)] = self._of(pair.track, side, trainings)
        self._judges = {
            name: Judge(track.labels, answers[name], classes, track.clusters, resamples, seed, self._seeds[name])
            for name, track in tracks.items()
        }

    def compare(self, pair: Pair) -> Comparison:
        """Return B against A: gains are B minus A, in points."""
        return self._judges[pair.track].compare(_key(1, pair.b), _key(0, pair.a))

    def scores(self, pair: Pair, metrics: Iterable[str]) -> tuple[dict[str, float], dict[str, float]]:
        """Return the `metrics` of A and of B, fractions."""
        judge, names = self._judges[pair.track], (_key(0, pair.a), _key(1, pair.b))
        found = [{metric: judge.score(name, metric).value for metric in metrics} for name in names]
        return found[0], found[1]

    def same(self, pair: Pair) -> bool:
        """Whether both sides gave the same answers to all faces."""
        _, a, b = self.answers(pair)
        return a == b

    def answers(self, pair: Pair) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
        """Return what is equal for two pairs with equal answers on both sides: names of those seen first."""
        return pair.track, self._of(pair.track, 0, pair.a), self._of(pair.track, 1, pair.b)

    def faces(self, pair: Pair) -> int:
        """Return how many faces a pair was compared on."""
        return len(self._tracks[pair.track].labels)

    def _of(self, track: str, side: int, trainings: Iterable[str]) -> tuple[str, ...]:
        return tuple(self._names[track, side, name] for name in trainings)


def _key(side: int, trainings: Sequence[str]) -> str:
    return f"{'ab'[side]} {' '.join(trainings)}"
