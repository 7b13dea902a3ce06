"""What a face's labels allow at best: the accuracy of a classifier that is given the AUs or votes, never the picture.

A random forest (Breiman, "Random Forests", Machine Learning 2001) learns the class from the coders' AU labels, or from
the annotators' votes, of train and validation, and is read on test. How few faces a leaf may hold is chosen by the
trees' out-of-bag votes: the same AUs stand beside several classes, and trees grown out learn that noise. A model that
sees the AUs in the face, and nothing else, can hardly be better. On RAF-CE the AUs give about 50 %, and the votes, by
which the class was defined, about 98 %.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

import numpy as np
from scipy.stats import binomtest
from sklearn.ensemble import RandomForestClassifier

from fer_core.aus.rafce import read_file
from fer_core.datasets import values
from fer_core.datasets.lines import read_values, require_lines
from fer_core.datasets.rafce import AUS, EMOTION, PARTITION, VOTES
from fer_core.errors import DataError
from fer_core.evaluation.metrics import Floats, Integers, scores
from fer_core.labels import RAFCE

TREES = 500
LEAVES = (1, 2, 3, 5, 8)  # faces that a leaf holds at least, tried in this order
_TREES_TO_CHOOSE = 200
KINDS = {"AU labels": AUS, "votes": VOTES}


@dataclass(frozen=True)
class LabelCeiling:
    """What one kind of label allows.

    Attributes:
        features: "AU labels" or "votes"; "largest class" is the answer without any.
        n_features: how many numbers a face has.
        n_train: faces of train and validation that have them.
        n_test: faces of test that have them.
        left_out: faces without (AUs: `null`), in all splits.
        accuracy: fraction, mean over the seeds.
        accuracy_low: of Wilson's 95 % interval of that mean, by the number of test faces.
        accuracy_high: its other end.
        accuracy_sd: standard deviation over the seeds, None with one seed.
        uar: fraction, mean over the seeds and the classes present in test.
        macro_f1: likewise.
        classes_present: classes among the test faces.
        leaf: faces that a leaf holds at least; None without a forest.
        seeds: how many forests.
    """

    features: str
    n_features: int
    n_train: int
    n_test: int
    left_out: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    accuracy_sd: float | None
    uar: float
    macro_f1: float
    classes_present: int
    leaf: int | None
    seeds: int


def label_ceilings(folder: Path, seeds: Sequence[int] = range(5), trees: int = TREES) -> list[LabelCeiling]:
    """Return the largest class' share, then what AUs allow, then votes; a kind whose file is not there is left out.

    Args:
        folder: holds RAFCE_emolabel.txt, RAFCE_partition.txt and at least one of RAFCE_AUlabel.txt and
            rafml_distribution.txt; no pictures are needed.
        seeds: of the forests.
        trees: a forest has.

    Raises:
        DataError: a file is missing (says which, and where it comes from), a line does not parse, a picture has no
            class or split, or no face of train or test has such labels.
    """
    _require(folder)
    emotion = read_values(folder / EMOTION, values.class_index, values.A_CLASS)
    split = read_values(folder / PARTITION, values.split, values.A_SPLIT)
    require_lines(folder / PARTITION, split, emotion, "picture")
    require_lines(folder / EMOTION, emotion, split, "picture")
    truth = {name: (emotion[name], split[name] == "test") for name in emotion}
    found = [_ceiling("largest class", {name: np.empty(0) for name in truth}, truth, seeds, trees, folder / PARTITION)]
    for kind, file in KINDS.items():
        if (folder / file).is_file():
            features = _read_aus(folder / file) if file == AUS else _read_votes(folder / file)
            found.append(_ceiling(kind, features, truth, seeds, trees, folder / file))
    return found


def text_table(rows: Sequence[LabelCeiling]) -> str:
    """Return the rows as a table of at most 100 columns, with what it means below."""
    head = (
        f"{'from':<14}{'numbers':>8}{'train':>7}{'test':>6}  {'accuracy % [95 %]':<21}{'SD':>5}{'UAR %':>8}{'F1 %':>7}"
    )
    lines = [head + f"{'left out':>10}"]
    for row in rows:
        accuracy = f"{_percent(row.accuracy)} [{_percent(row.accuracy_low)}, {_percent(row.accuracy_high)}]"
        spread = "–" if row.accuracy_sd is None else f"{100 * row.accuracy_sd:.2f}"
        line = f"{row.features:<14}{row.n_features:>8}{row.n_train:>7}{row.n_test:>6}  {accuracy:<21}{spread:>5}"
        lines.append(line + f"{_percent(row.uar):>8}{_percent(row.macro_f1):>7}{row.left_out:>10}")
    many = max(row.seeds for row in rows)
    lines += [
        "",
        "Random forests on labels alone, learnt on train and validation, read on test.",
        f"Means and SD (points) over {many} seed{'s' if many > 1 else ''}.",
        "Interval: Wilson's, by the number of test faces. Left out: faces without such labels.",
    ]
    return "\n".join(lines)


def _require(folder: Path) -> None:
    """Check that there is something to learn from and something to learn."""
    missing = [name for name in (EMOTION, PARTITION) if not (folder / name).is_file()]
    if missing or not any((folder / name).is_file() for name in KINDS.values()):
        lacks = ", ".join(missing) if missing else " and ".join(KINDS.values())
        state = f"lacks {lacks}" if folder.is_dir() else "does not exist"
        raise DataError(
            f"{folder} {state}; expected there, as RAF-CE publishes them: {EMOTION}, {PARTITION}, and {AUS} or "
            f"{VOTES}. RAF-CE is given on request, see data/raw/README.md; no pictures are needed."
        )


def _read_aus(path: Path) -> dict[str, Floats]:
    """Return the AUs of each annotated picture, (22,) of 0 and 1; sides are folded."""
    table = read_file(path).table.dropna()
    return dict(zip(table.index, table.to_numpy(np.float64), strict=True))


def _read_votes(path: Path) -> dict[str, Floats]:
    return {
        name: shares.astype(np.float64) for name, shares in read_values(path, values.votes, values.SIX_VOTES).items()
    }


def _ceiling(
    kind: str,
    features: Mapping[str, Floats],
    truth: Mapping[str, tuple[int, bool]],
    seeds: Sequence[int],
    trees: int,
    file: Path,
) -> LabelCeiling:
    """Learn from the faces that have `features`, (F,) each, and read on those of test."""
    names = [name for name in truth if name in features]
    labels = np.array([truth[name][0] for name in names], np.int64)
    test = np.array([truth[name][1] for name in names], bool)
    for part, what in ((~test, "train or validation"), (test, "test")):
        if not part.any():
            raise DataError(f"{file}: expected {kind} of faces in {what}; got none.")
    known = np.stack([features[name] for name in names])
    count = len(RAFCE.classes)
    leaf = best_leaf(known[~test], labels[~test], trees, seeds[0]) if known.shape[1] else None
    if leaf:
        forests = [_forest(trees, leaf, seed).fit(known[~test], labels[~test]) for seed in seeds]
        guesses = [np.asarray(forest.predict(known[test]), np.int64) for forest in forests]
    else:
        guesses = [np.full(int(test.sum()), np.bincount(labels[~test], minlength=count).argmax())]
    found = [scores(labels[test], guess, count) for guess in guesses]
    accuracy, n = mean(each.accuracy for each in found), int(test.sum())
    ends = binomtest(round(accuracy * n), n).proportion_ci(method="wilson")
    return LabelCeiling(
        features=kind,
        n_features=known.shape[1],
        n_train=int((~test).sum()),
        n_test=n,
        left_out=len(truth) - len(names),
        accuracy=accuracy,
        accuracy_low=float(ends.low),
        accuracy_high=float(ends.high),
        accuracy_sd=stdev(each.accuracy for each in found) if len(found) > 1 else None,
        uar=mean(each.uar for each in found),
        macro_f1=mean(each.macro_f1 for each in found),
        classes_present=found[0].classes_present,
        leaf=leaf,
        seeds=len(found),
    )


def best_leaf(known: Floats, labels: Integers, trees: int = TREES, seed: int = 0) -> int:
    """Return the one of `LEAVES` with the highest out-of-bag accuracy, the smallest of several; no test face is seen.

    `known` is (N, F), `labels` (N,).
    """
    right = {}
    for leaf in LEAVES:
        forest = _forest(min(trees, _TREES_TO_CHOOSE), leaf, seed, oob_score=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # with few trees some faces are in every bag
            right[leaf] = float(forest.fit(known, labels).oob_score_)
    return max(right, key=lambda leaf: right[leaf])


def _forest(trees: int, leaf: int, seed: int, oob_score: bool = False) -> RandomForestClassifier:
    return RandomForestClassifier(trees, min_samples_leaf=leaf, random_state=seed, oob_score=oob_score, n_jobs=-1)


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f}"
