"""Signs that a run went wrong, in a few words each: nothing may fail silently.

Each alarm answers a failure that once passed unnoticed: an AU head trained on zeros (AU-F1 0.0000), a loss that
collapsed to 8 % accuracy, 96.6 % on train beside 52 % on validation.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from fer_core.evaluation.metrics import Scores

GAP_POINTS = 25.0  # train minus validation accuracy above which a run is said to overfit
LEAST_DEVIATION = 0.01  # of self-supervised features; spread evenly they have about 1
COPIES = 0.05  # share of synthetic faces that look copied above which they are said to be; new ones have about 0.01
CHANCE = 0.001  # p below which validation and test are said to disagree: a road scores about 70 predictors
FAR = 10.0  # times the Fréchet distance of two halves of real faces above which synthetic ones are said to be unlike
_NAMES_SHOWN = 3
_LOSSES = (
    *("train_loss", "validation_loss", "emotion_loss", "au_loss"),
    *("au_intensity_loss", "few_shot_loss", "attention_loss"),
)
_CORRECTING_LOSSES = ("cb", "cb_focal", "ldam", "balanced_softmax", "logit_adjusted")
_CORRECTING_SAMPLERS = ("weighted", "balanced", "square_root")
_OWN_DRW = ("cb", "cb_focal", "ldam")  # losses whose papers' class weights come in late: one correction, not two


def collapsed(result: Scores, classes: int) -> list[str]:
    """Tell a predictor that knows less than the class counts do, or that answers with few classes only.

    Below the share of the largest true class, always answering with that class would be better.
    """
    if not result.n:
        return []
    share = float(result.support.max() / result.n)
    used = int((result.predicted > 0).sum())
    found = []
    if result.accuracy < share:
        found.append(
            f"collapsed: accuracy {100 * result.accuracy:.1f} % is below the majority share {100 * share:.1f} %"
        )
    if 3 * used < classes:
        found.append(f"collapsed: predicts {used} of {classes} classes")
    return found


def never_predicted(result: Scores, names: Sequence[str]) -> list[str]:
    """Name the classes that have pictures and are never predicted, the largest first, with their support."""
    missing = np.flatnonzero((result.support > 0) & (result.predicted == 0))
    if not missing.size:
        return []
    largest = sorted(missing.tolist(), key=lambda index: (-int(result.support[index]), index))
    shown = ", ".join(f"{names[index]} ({result.support[index]})" for index in largest[:_NAMES_SHOWN])
    more = f" and {len(largest) - _NAMES_SHOWN} more" if len(largest) > _NAMES_SHOWN else ""
    return [f"never predicts {shown}{more}"]


def dead_au_head(*f1: float | None) -> list[str]:
    """Tell an AU head that found nothing; `f1` are its mean AU-F1s (validation, test), None or NaN where undefined."""
    return ["dead AU head: AU-F1 is 0"] if any(value == 0 for value in f1) else []


def overfitted(train_accuracy: float | None, validation_accuracy: float | None) -> list[str]:
    """Tell a train accuracy more than 25 points above validation; both are fractions, None where unknown."""
    if train_accuracy is None or validation_accuracy is None:
        return []
    gap = 100 * (train_accuracy - validation_accuracy)
    if not gap > GAP_POINTS:
        return []
    return [
        f"train-validation gap {gap:.0f} points "
        f"({100 * train_accuracy:.0f} % against {100 * validation_accuracy:.0f} %)"
    ]


def splits_disagree(validation: Scores, test: Scores) -> list[str]:
    """Tell a predictor that is right more often on one split than on the other by more than chance explains.

    Recalls are compared class by class and joined by the Cochran-Mantel-Haenszel test (Mantel & Haenszel, Journal of
    the National Cancer Institute 1959; two-sided, without continuity correction), so another *mix* of classes in test
    rings nothing, though it moves accuracy: the two accuracies that are told hold the mix, the p does not. Classes that
    one of the splits lacks do not count. Faces are taken as independent; where a subject has several, p is too small.

    Choices (epoch, rungs, votes) were made on validation, which is then a little too good: a large difference says that
    they were made to its faces, or that the two splits are of different origin.
    """
    faces = validation.support + test.support
    both = (validation.support > 0) & (test.support > 0)
    right = [np.diagonal(split.confusion) for split in (validation, test)]
    hits, share = right[0] + right[1], validation.support[both] / faces[both]
    expected = (share * hits[both]).sum()
    spread = (share * (1 - share) * hits[both] * (faces - hits)[both] / (faces[both] - 1)).sum()
    if not spread > 0:
        return []
    p = 2 * float(norm.sf(abs(right[0][both].sum() - expected) / np.sqrt(spread)))
    if not p < CHANCE:
        return []
    return [
        f"validation and test disagree beyond chance: accuracy {100 * validation.accuracy:.1f} % against "
        f"{100 * test.accuracy:.1f} %, p = {p:.1g} within classes"
    ]


def not_converged(converged: bool | None, members: Mapping[str, bool | None] | None = None) -> list[str]:
    """Tell a run, or members of an ensemble (predictor -> converged), that still improved at the last epoch."""
    waiting = [name.removeprefix("train/") for name, state in (members or {}).items() if state is False]
    if waiting:
        return [f"not converged: {', '.join(waiting)}"]
    return ["not converged"] if converged is False else []


def not_a_number(history: Sequence[Mapping[str, Any]], log_probabilities: npt.ArrayLike) -> list[str]:
    """Tell a NaN in a loss of the history (null in its JSON) or in the predictions (N, K)."""
    found = []
    for epoch in history:
        lost = [key for key in _LOSSES if _is_nan(epoch, key)]
        if lost:
            found.append(f"{lost[0]} is NaN from epoch {epoch.get('epoch', '?')} on")
            break
    rows = int(np.isnan(np.asarray(log_probabilities, dtype=np.float64)).any(axis=-1).sum())
    if rows:
        found.append(f"{rows} predictions are NaN")
    return found


def two_corrections(recipe: Mapping[str, Any]) -> list[str]:
    """Tell a recipe that corrects the class imbalance more than once: by sampling, in the loss, by learned weights."""
    loss, sampler = recipe.get("loss"), recipe.get("sampler")
    found = [f"sampler {sampler}"] if sampler in _CORRECTING_SAMPLERS else []
    found += [f"loss {loss}"] if loss in _CORRECTING_LOSSES else []
    found += ["drw"] if recipe.get("drw") is not None and loss not in _OWN_DRW else []
    found += ["meta_weight"] if recipe.get("meta") == "meta_weight" else []
    if len(found) < 2:
        return []
    count = {2: "two", 3: "three", 4: "four"}[len(found)]
    return [f"{count} imbalance corrections at once: {', '.join(found[:-1])} and {found[-1]}"]


def collapsed_pretraining(history: Sequence[Mapping[str, Any]], classes: int) -> list[str]:
    """Tell a self-supervised pretraining (its epochs' rows) that ended with one feature for all, or features that
    know nothing of the `classes`. A loss that is not a number stops pretraining itself.
    """
    if not history:
        return []
    end = history[-1]
    spread = end.get("feature_deviation")
    if _is_nan(end, "feature_deviation") or (spread is not None and spread < LEAST_DEVIATION):
        return [f"pretraining collapsed: features deviate by {spread if spread is None else format(spread, '.4f')}"]
    knn, linear = end.get("knn_uar"), end.get("probe_uar")
    if knn is not None and linear is not None and max(knn, linear) <= 1 / classes:
        return [f"pretraining learned nothing of the classes: kNN UAR {100 * knn:.1f} %, chance or less"]
    return []


def blind_identity(history: Sequence[Mapping[str, Any]]) -> list[str]:
    """Tell an identity pretraining (its epochs' rows) that ended telling people apart no better than by chance."""
    found = history[-1].get("verification_accuracy") if history else None
    if found is None or found > 0.5:
        return []
    return [f"identity pretraining learned nothing: verification accuracy {100 * found:.0f} %"]


def copied_faces(quality: Mapping[str, Any]) -> list[str]:
    """Tell synthetic faces that are nearer to train faces than real ones are, by metrics/synthesis.json."""
    shares = {kind: quality.get(f"copies_{kind}") for kind in ("pixels", "features")}
    found = [f"{100 * share:.0f} % by {kind}" for kind, share in shares.items() if share is not None and share > COPIES]
    return [f"synthetic faces look copied: {', '.join(found)}"] if found else []


def unlike_faces(quality: Mapping[str, Any]) -> list[str]:
    """Tell synthetic faces that are far from real ones as a whole, by metrics/synthesis.json."""
    distance, floor = quality.get("frechet"), quality.get("frechet_floor")
    if distance is None or floor is None or not distance > FAR * floor:
        return []
    return [f"synthetic faces are unlike real ones: Fréchet distance {distance:.1f} against {floor:.1f}"]


def _is_nan(epoch: Mapping[str, Any], key: str) -> bool:
    return key in epoch and (epoch[key] is None or not np.isfinite(epoch[key]))
