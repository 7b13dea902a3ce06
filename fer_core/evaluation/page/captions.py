"""What to see in each figure, in a sentence or two that the numbers write."""

from collections.abc import Mapping, Sequence

import numpy as np

from fer_core.evaluation.calibration import Reliability
from fer_core.evaluation.figures.words import gain_words, number, signed
from fer_core.evaluation.gains import BASELINE
from fer_core.evaluation.head import percent
from fer_core.evaluation.metrics import Integers
from fer_core.evaluation.page.content import Content, Row

_WORDS = ("None", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten", "Eleven", "Twelve")


def count(number: int) -> str:
    """Return a number that begins a sentence, as a word up to twelve."""
    return _WORDS[number] if 0 <= number < len(_WORDS) else str(number)


def ladder_caption(rows: Sequence[Row]) -> str:
    """Say how many rungs were kept, which of them gave most, and how many are sure."""
    rungs = [row for row in rows if row["view"] == "ladder" and row["kept"] is not None]
    if not rungs:
        return "No rung was tried."
    kept = [row for row in rungs if row["kept"]]
    said = f"{count(len(kept))} of {len(rungs)} rungs {'was' if len(kept) == 1 else 'were'} kept."
    if not kept:
        return said
    best = max(kept, key=lambda row: number(row, "gain"))
    sure = sum(row["gain_low"] > 0 for row in kept)
    said += f" The largest step up is **{best['title']}**, {gain_words(best)} points;"
    said += f" of the kept rungs' intervals {sure} of {len(kept)} {'lies' if sure == 1 else 'lie'} above 0."
    missed = [row for row in rungs if not row["kept"] and row["gain_low"] > 0]
    if missed:
        names = _listed([str(row["title"]) for row in missed])
        said += f" Not kept for their macro-F1 on validation, though more accurate on test faces: {names}."
    return said


def alone_caption(rows: Sequence[Row]) -> str:
    """Say which technique gives most alone, and how many of those that give something alone were kept."""
    alone = [row for row in rows if row["view"] == "alone" and row["gain"] is not None]
    if not alone:
        return "No technique was tried alone."
    best = max(alone, key=lambda row: row["gain"])
    helps = [row["technique"] for row in alone if row["gain_low"] > 0]
    harms = sum(row["gain_high"] < 0 for row in alone)
    rungs = {row["technique"]: row for row in rows if row["view"] == "ladder" and row["kept"] is not None}
    again = [name for name in helps if name in rungs]
    sure = sum(rungs[name]["gain_low"] > 0 for name in again)
    said = f"Alone, {len(helps)} of {len(alone)} techniques have an interval above 0, {harms} below. "
    said += f"The largest gain is **{best['title']}**, {gain_words(best)}."
    if again:
        said += f" Of the {len(again)} that help alone and are rungs too, {sure} help on top of the others as well."
    return said


def confusion_caption(confusion: Integers, classes: Sequence[str]) -> str:
    """Name the most frequent error of a confusion matrix (K, K), rows = truth."""
    errors = confusion.copy()
    np.fill_diagonal(errors, 0)
    if not errors.any():
        return "No test face was named wrongly."
    row, column = divmod(int(errors.argmax()), len(classes))
    total = int(confusion[row].sum())
    return (
        f"{int(errors.sum())} of {int(confusion.sum())} faces are named wrongly; the most frequent error is "
        f"**{classes[row]}** taken for **{classes[column]}**, {errors[row, column]} of {total}."
    )


def difference_caption(content: Content) -> str:
    """Say whose recall rose and fell most from the baseline to the end."""
    change = 100 * (content.recall(content.final) - content.recall(BASELINE))
    if content.final == BASELINE or not np.isfinite(change).any():
        return "Nothing stands above the baseline: nothing changed."
    up, down = int(np.nanargmax(change)), int(np.nanargmin(change))
    better, worse = int((change > 0).sum()), int((change < 0).sum())
    said = f"Recall rises in {better} classes and falls in {worse}."
    if better:
        said += f" It rises most in **{content.classes[up]}** ({signed(change[up], 0)} points)."
    if worse:
        said += f" It falls most in **{content.classes[down]}** ({signed(change[down], 0)} points)."
    return said


def recall_caption(content: Content) -> str:
    """Compare the mean recall of the larger half of the classes with the smaller's, before and after."""
    order = [k for k in np.argsort(-content.train_counts, kind="stable") if np.isfinite(content.recall(BASELINE)[k])]
    half = len(order) // 2
    if not half:
        return "Too few classes have test faces to compare large and small ones."
    means = {
        name: [percent(float(content.recall(name)[part].mean())) for part in (order[:half], order[-half:])]
        for name in (BASELINE, content.final)
    }
    (large, small), (large_end, small_end) = means[BASELINE], means[content.final]
    zero = [content.classes[k] for k in order if content.recall(content.final)[k] == 0]
    said = f"Mean recall of the {half} largest classes: {large} % → {large_end} %; of the {half} smallest: {small} % → "
    said += f"{small_end} %."
    return said + (f" Never recognised at the end: {_listed(zero)}." if zero else "")


def calibration_caption(before: Reliability, after: Reliability | None, temperature: float | None) -> str:
    """Say whether the final predictor is surer than right, and what temperature scaling does about it."""
    filled = before.count > 0
    sure = float(np.average(before.confidence[filled], weights=before.count[filled]))
    right = float(np.average(before.accuracy[filled], weights=before.count[filled]))
    tends = "is about as sure as it is right" if abs(sure - right) < 0.02 else ""
    tends = tends or f"is {'surer' if sure > right else 'less sure'} than it is right"
    said = f"At the end the predictor {tends}: mean confidence {percent(sure)} %, accuracy {percent(right)} %."
    if after is None or temperature is None:
        return said
    change = f"from {percent(before.error)} to {percent(after.error)} %"
    return said + f" Temperature {temperature:.2f}, fitted on validation, takes its calibration error {change}."


def learning_caption(histories: Mapping[str, Sequence[Row]], converged: Mapping[str, bool | None]) -> str:
    """Say how many runs were still improving at their last epoch, and where train and validation part most."""
    known = {name: epochs for name, epochs in histories.items() if epochs}
    if not known:
        return "No training run left a history."
    still = [name for name in known if converged.get(name) is False]
    said = (
        f"{count(len(still))} of {len(known)} runs {'was' if len(still) == 1 else 'were'} still improving at the last "
    )
    said += "epoch" + (f": {_listed(still)}." if still else ".")
    gaps = {}
    for name, epochs in known.items():
        last = epochs[-1]
        if last.get("train_accuracy") is not None and last.get("validation_accuracy") is not None:
            gaps[name] = 100 * (last["train_accuracy"] - last["validation_accuracy"])
    if gaps:
        widest = max(gaps, key=lambda name: gaps[name])
        said += f" Train and validation accuracy end furthest apart in **{widest}**: {signed(gaps[widest], 0)} points."
    return said


def cost_caption(rows: Sequence[Row]) -> str:
    """Name what gives most for a minute of training, and what costs most."""
    alone = [row for row in rows if row["view"] == "alone" and row["gain"] is not None]
    priced = [row for row in alone if row.get("gain_per_minute") is not None and row["gain_low"] > 0]
    if not alone:
        return "No technique was tried alone."
    free = [str(row["title"]) for row in alone if row["gain_low"] > 0 and not _seconds(row)]
    said = f"Without any training: {_listed(free)}. " if free else ""
    if priced:
        best = max(priced, key=lambda row: row["gain_per_minute"])
        said += f"Most for a minute of training: **{best['title']}**, {signed(best['gain_per_minute'])} points. "
    dear = max(alone, key=_seconds)
    return said + f"The dearest is **{dear['title']}**: {_seconds(dear):,.0f} s for {gain_words(dear)} points."


def _seconds(row: Row) -> float:
    return float((row["train_seconds"] or 0.0) + (row["pretrain_seconds"] or 0.0))


def _listed(names: Sequence[str], most: int = 6) -> str:
    """Return names as "a, b and c"; of more than `most`, the first and how many more."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
