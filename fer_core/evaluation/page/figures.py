"""The figures of the page: each drawn once, for the page and for a file of its own."""

from collections.abc import Mapping, Sequence

import numpy as np

from fer_core.evaluation.calibration import Reliability, reliability, scaled
from fer_core.evaluation.figures.alone_ladder import alone_versus_ladder
from fer_core.evaluation.figures.calibration import calibration_figure
from fer_core.evaluation.figures.confusion import confusion_figure, difference_figure
from fer_core.evaluation.figures.cost import cost_figure
from fer_core.evaluation.figures.ladder import ladder_figure
from fer_core.evaluation.figures.learning import learning_figure
from fer_core.evaluation.figures.recall import recall_by_size
from fer_core.evaluation.gains import BASELINE
from fer_core.evaluation.head import data_notes
from fer_core.evaluation.page import captions
from fer_core.evaluation.page.content import Content, Row


def draw(content: Content) -> dict[str, tuple[str, str]]:
    """Return figure -> (SVG text, its caption); the names are those of the files in reports/figures."""
    rows, classes, final = content.rows, content.classes, content.final
    note = " ".join(data_notes(content.road, content.card)[:1])  # a figure travels alone
    drawn = {
        "ladder": (ladder_figure(rows, content.summary.get("ceiling_accuracy"), note), captions.ladder_caption(rows)),
        "alone": (alone_versus_ladder(rows, note), captions.alone_caption(rows)),
    }
    first = content.confusion(BASELINE)
    last = content.confusion(final)
    drawn["confusion-baseline"] = (
        confusion_figure(first, classes, "The baseline's answers", note),
        captions.confusion_caption(first, classes),
    )
    if final != BASELINE:
        caption = captions.confusion_caption(last, classes)
        drawn["confusion-final"] = (confusion_figure(last, classes, "The answers at the end", note), caption)
        changed = difference_figure(last, first, classes, note=note)
        drawn["confusion-difference"] = (changed, captions.difference_caption(content))
    recalls = {"baseline": content.recall(BASELINE)} | ({"final": content.recall(final)} if final != BASELINE else {})
    by_size = recall_by_size(recalls, first.sum(axis=1), content.train_counts, classes, note)
    drawn["recall"] = (by_size, captions.recall_caption(content))
    drawn["calibration"] = _calibration(content, note)
    for name, histories in _learning(content.histories).items():
        converged = {run: content.runs.get(f"train/{run}", {}).get("converged") for run in histories}
        curves = learning_figure(histories, converged, note)
        drawn[name] = (curves, captions.learning_caption(histories, converged))
    drawn["cost"] = (cost_figure(rows, note), captions.cost_caption(rows))
    return drawn


def _calibration(content: Content, note: str) -> tuple[str, str]:
    """Draw baseline and final as they are, and the final after temperature scaling where it has a temperature."""
    curves = {"Baseline": _curve(content, BASELINE, None)}
    final = curves["Baseline"]
    if content.final != BASELINE:
        final = curves["Final"] = _curve(content, content.final, None)
    temperature = content.runs[content.final].get("temperature")
    after = None
    if temperature is not None:
        name = f"{'Final' if content.final != BASELINE else 'Baseline'}, temperature {temperature:.2f}"
        after = curves[name] = _curve(content, content.final, temperature)
    return calibration_figure(curves, note), captions.calibration_caption(final, after, temperature)


def _curve(content: Content, predictor: str, temperature: float | None) -> Reliability:
    logs = content.logs[predictor]
    known = ~np.isnan(logs).any(axis=1)  # a row with a NaN has no answer
    logs = logs[known] if temperature is None else scaled(logs[known], temperature)
    return reliability(content.truth.labels[known], logs)


def _learning(histories: Mapping[str, Sequence[Row]]) -> dict[str, dict[str, Sequence[Row]]]:
    """Part the runs: baseline and techniques alone, and what was trained for the ladder; the baseline is in both."""
    first = {name: epochs for name, epochs in histories.items() if name == "baseline"}
    alone = {name: epochs for name, epochs in histories.items() if name.startswith("alone-")}
    rest = {name: epochs for name, epochs in histories.items() if name not in first and name not in alone}
    return {"learning": first | alone} | ({"learning-ladder": first | rest} if rest else {})
