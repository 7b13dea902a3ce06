"""The report's figures: what they show, where it stands, and that they can stand in a page or alone."""

import copy
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from scipy.stats import binomtest

from fer_core.errors import DataError
from fer_core.evaluation.figures.alone_ladder import alone_versus_ladder
from fer_core.evaluation.figures.calibration import calibration_figure
from fer_core.evaluation.figures.confusion import confusion_figure, difference_figure
from fer_core.evaluation.figures.cost import cost_figure
from fer_core.evaluation.figures.labels import placed
from fer_core.evaluation.figures.ladder import ladder_figure
from fer_core.evaluation.figures.learning import learning_figure
from fer_core.evaluation.figures.recall import recall_by_size, wilson
from fer_core.evaluation.figures.svg import DARK, VARIABLES
from fer_core.evaluation.figures.words import gain_words, number, signed

SVG = "{http://www.w3.org/2000/svg}"
CLASSES = ["happily surprised", "sadly_angry", "a<b> & $c$"]
COUNTS = [[8, 2, 0], [1, 4, 5], [0, 0, 0]]


@dataclass(frozen=True)
class Bins:
    confidence: Any
    accuracy: Any
    count: Any


def row(technique: str, view: str, accuracy: float | None, gain: float | None, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"technique": technique, "view": view, "title": technique.upper(), "phase": None}
    found |= {"accuracy": accuracy, "gain": gain, "kept": None, "claimed_low": None, "claimed_high": None}
    found |= {"applicable": accuracy is not None, "train_seconds": None, "pretrain_seconds": None}
    for key, value, half in (("accuracy", accuracy, 0.02), ("gain", gain, 2.0)):
        found |= {f"{key}_low": None if value is None else value - half}
        found |= {f"{key}_high": None if value is None else value + half}
    return found | more


ROWS = [
    row("baseline", "ladder", 0.5, None),
    row("phase 1", "phase", 0.6, 10.0, phase=1, claimed_low=10, claimed_high=20, title="Phase 1: quick wins"),
    row("phase 2", "phase", None, None, phase=2, title="Phase 2"),
    row("a", "alone", 0.55, 5.0, claimed_low=3, claimed_high=8, train_seconds=10.0),
    row("b", "alone", 0.40, -10.0, claimed_low=5, train_seconds=60.0, pretrain_seconds=40.0),
    row("c", "alone", 0.51, 1.0, train_seconds=1000.0),
    row("d", "alone", 0.58, 8.0, train_seconds=0.0),
    row("e", "alone", None, None),
    row("a", "ladder", 0.55, 5.0, phase=1, kept=True, claimed_low=3, claimed_high=8),
    row("b", "ladder", 0.45, -10.0, phase=1, kept=False, claimed_low=5),
    row("c", "ladder", 0.60, 5.0, phase=1, kept=True),
    row("e", "ladder", None, None, phase=2),
]
HISTORY: list[dict[str, Any]] = [
    {"epoch": n, "train_accuracy": n / 10, "validation_macro_f1": n / 20} for n in range(1, 9)
]
CURVE = Bins([0.2, math.nan, 0.9], [0.5, math.nan, 0.8], [30, 0, 70])

FIGURES: dict[str, Callable[[], str]] = {
    "ladder": lambda: ladder_figure(ROWS, 0.99, note="of generated faces"),
    "alone-ladder": lambda: alone_versus_ladder(ROWS),
    "confusion": lambda: confusion_figure(COUNTS, CLASSES, "Baseline"),
    "difference": lambda: difference_figure(COUNTS, COUNTS[::-1], CLASSES),
    "recall": lambda: recall_by_size(
        {"old": [0.8, 0.4, math.nan], "new": [0.5, 0.9, math.nan]}, [10, 10, 0], [9, 90, 1], CLASSES
    ),
    "calibration": lambda: calibration_figure({"old": CURVE, "new": CURVE}),
    "learning": lambda: learning_figure({"baseline": HISTORY, "x": HISTORY}, {"x": False}),
    "cost": lambda: cost_figure(ROWS),
}
EMPTY: dict[str, Callable[[], str]] = {
    "ladder": lambda: ladder_figure([], None),
    "ladder of the baseline": lambda: ladder_figure(ROWS[:1], math.nan),
    "ladder without numbers": lambda: ladder_figure([row("baseline", "ladder", None, None)], None),
    "alone-ladder": lambda: alone_versus_ladder([]),
    "alone-ladder without numbers": lambda: alone_versus_ladder([row("e", "alone", None, None)]),
    "confusion": lambda: confusion_figure([], [], ""),
    "confusion without pictures": lambda: confusion_figure([[0, 0], [0, 0]], ["a", "b"], "x"),
    "confusion of one class": lambda: confusion_figure([[3]], ["a"], "x"),
    "confusion of many classes": lambda: confusion_figure(np.eye(40), ["a long name of a class " * 2] * 40, "x"),
    "difference": lambda: difference_figure([], [], []),
    "difference without pictures": lambda: difference_figure([[0, 0], [0, 0]], [[1, 0], [0, 1]], ["a", "b"]),
    "recall": lambda: recall_by_size({}, [], [], []),
    "recall of nobody": lambda: recall_by_size({}, [3], [3], ["a"]),
    "recall unknown": lambda: recall_by_size({"new": [math.nan]}, [0], [0], ["a"]),
    "calibration": lambda: calibration_figure({}),
    "calibration without pictures": lambda: calibration_figure({"x": Bins([math.nan], [math.nan], [0])}),
    "learning": lambda: learning_figure({}, {}),
    "learning of no epoch": lambda: learning_figure({"baseline": [], "x": []}, {"x": None}),
    "learning of one epoch": lambda: learning_figure({"x": HISTORY[:1]}),
    "learning without numbers": lambda: learning_figure({"x": [{"epoch": 1, "validation_macro_f1": None}]}),
    "cost": lambda: cost_figure([]),
    "cost of nothing": lambda: cost_figure([row("d", "alone", 0.5, 1.0, gain_low=None)]),
}
ALL = {**FIGURES, **{f"empty: {name}": figure for name, figure in EMPTY.items()}}


def texts(svg: str) -> list[str]:
    return ["".join(element.itertext()) for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def text_place(svg: str, words: str) -> tuple[float, float]:
    """The x and y of the one text that begins so."""
    root = ElementTree.fromstring(svg)
    (found,) = [e for e in root.iter(f"{SVG}text") if "".join(e.itertext()).startswith(words)]
    return float(found.get("x", "nan")), float(found.get("y", "nan"))


def tipped(svg: str, start: str) -> ElementTree.Element:
    """The one group whose tip begins so."""
    root = ElementTree.fromstring(svg)
    (found,) = [g for g in root.iter(f"{SVG}g") if (g.findtext(f"{SVG}title") or "").startswith(start)]
    return found


def mark(svg: str, start: str) -> tuple[float, float]:
    (use,) = tipped(svg, start).iter(f"{SVG}use")
    return float(use.get("x", "nan")), float(use.get("y", "nan"))


def filled(svg: str, start: str) -> bool:
    (use,) = tipped(svg, start).iter(f"{SVG}use")
    return "fill: var(--paper" not in use.get("style", "")


def strength(svg: str, start: str) -> float:
    (path,) = tipped(svg, start).iter(f"{SVG}path")
    return float(re.search(r"opacity: ([\d.]+)", path.get("style", ""))[1])  # type: ignore[index]


@pytest.mark.parametrize("name", ALL)
def test_a_figure_is_scalable_named_and_themed(name: str) -> None:
    svg = ALL[name]()
    root = ElementTree.fromstring(svg)
    assert root.tag == f"{SVG}svg"
    assert svg.startswith("<svg ") and svg.endswith("</svg>\n")
    assert root.get("role") == "img"
    assert root.get("width") == "100%" and root.get("height") is None
    assert re.fullmatch(r"0 0 420 \d+", root.get("viewBox", ""))
    assert root.find(f"{SVG}title") is not None
    assert root.findtext(f"{SVG}desc"), "says in words what is drawn"
    assert not set(root.itertext()) & {"nan"} and "nan" not in " ".join(texts(svg)).split()
    assert "NaN" not in svg
    body = svg.replace(root.findtext(f"{SVG}style") or "", "")
    unthemed = re.sub(r"var\(--[a-z]+, #[0-9A-F]{6}\)", "", body)
    assert not re.findall(r"#[0-9a-fA-F]{6}\b", unthemed), "every colour is a variable"
    assert "DejaVu" not in svg and "<metadata" not in svg and "<image" not in svg
    assert "*{" not in svg, "no rule that reaches beyond the figure"
    for element in root.iter(f"{SVG}text"):
        assert "fill: var(--" in element.get("style", ""), "black text would vanish on dark paper"


@pytest.mark.parametrize("name", FIGURES)
def test_same_numbers_same_bytes_whatever_the_user_set(name: str) -> None:
    first = FIGURES[name]()
    with mpl.rc_context({"font.size": 30, "svg.fonttype": "path", "lines.linewidth": 9, "axes.facecolor": "red"}):
        assert FIGURES[name]() == first
    assert not re.search(r"20\d\d-\d\d-\d\d", first)


def test_ids_are_the_figures_own_and_lead_somewhere() -> None:
    seen: set[str] = set()
    figures = [figure() for figure in FIGURES.values()] + [confusion_figure(np.eye(3), CLASSES, "Baseline")]
    for svg in figures:
        ids = re.findall(r'\bid="([^"]+)"', svg)
        assert len(ids) == len(set(ids))
        assert not seen & set(ids), "figures of one page do not share ids"
        seen |= set(ids)
        used = re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', svg)
        labels = re.search(r'aria-labelledby="([^"]+)"', svg)[1].split()  # type: ignore[index]
        assert {one or other for one, other in used} | set(labels) == set(ids)


def test_light_and_dark_name_the_same_variables() -> None:
    assert set(VARIABLES.values()) == set(DARK)
    assert set(DARK) == {"ink", "grey", "light", "faint", "paper", "blue", "orange", "green", "vermilion", "purple"}


def test_names_are_texts_even_with_signs_of_markup() -> None:
    found = texts(confusion_figure(COUNTS, CLASSES, "Baseline"))
    assert "a<b> & $c$ (0)" in found and "sadly angry (10)" in found and "Baseline" in found


def test_ladder_stands_where_the_kept_rungs_are() -> None:
    svg = ladder_figure(ROWS, None)
    x = {name: mark(svg, f"{name.upper()}: ")[0] for name in ("baseline", "a", "b", "c")}
    assert x["a"] - x["baseline"] == pytest.approx(x["c"] - x["a"], abs=0.02), "5 points each"
    assert x["baseline"] - x["b"] == pytest.approx(x["a"] - x["baseline"], abs=0.02), "5 points less"
    y = [mark(svg, f"{name.upper()}: ")[1] for name in ("baseline", "a", "b", "c")]
    assert y == sorted(y)
    assert [filled(svg, f"{name.upper()}: ") for name in ("baseline", "a", "b", "c")] == [True, True, False, True]
    paths = ElementTree.fromstring(svg).iter(f"{SVG}path")
    thick = [path.get("d", "") for path in paths if "stroke-width: 2;" in path.get("style", "")]
    steps = [float(place) for place in re.findall(r"[ML] ?([\d.]+)", max(thick, key=len))]
    turns = [place for place, before in zip(steps, [None, *steps[:-1]], strict=True) if place != before]
    assert turns == [x["baseline"], x["a"], x["c"]], "past b, which was not kept, and past e, which was not applicable"


def test_what_was_not_kept_leaves_the_level_as_it_was() -> None:
    after = row("e", "ladder", None, None, claimed_low=5, claimed_high=10)
    svg = ladder_figure(
        [*ROWS[:1], row("a", "ladder", 0.6, 10.0, kept=True), row("b", "ladder", 0.5, -10.0, kept=False), after]
    )
    level = mark(svg, "A: ")[0]
    paths = list(ElementTree.fromstring(svg).iter(f"{SVG}path"))
    thick = [path.get("d", "") for path in paths if "stroke-width: 2;" in path.get("style", "")]
    steps = [float(place) for place in re.findall(r"[ML] ?([\d.]+)", max(thick, key=len))]
    assert max(steps) == steps[-1] == level
    unit = (level - mark(svg, "B: ")[0]) / 10
    corners = [
        re.findall(r"-?[\d.]+", path.get("d", "")) for path in paths if "stroke-width: 0.6" in path.get("style", "")
    ]
    assert any(float(corner[0]) == pytest.approx(level + 5 * unit, abs=0.03) for corner in corners), "claimed over it"


def test_ladder_tells_gains_claims_and_what_was_not_applicable() -> None:
    found = texts(ladder_figure(ROWS, None, note="of generated faces"))
    assert "+5.0 [3.0, 7.0]" in found and "−10.0 [−12.0, −8.0]" in found
    assert "+10.0 [8.0, 12.0]; claimed 10–20" in found
    assert "not applicable" in found and "not applicable; no claim" in found
    assert any("of generated faces" in line for line in found)


def test_a_far_ceiling_does_not_squeeze_the_ladder() -> None:
    def span(svg: str) -> float:
        return mark(svg, "C: ")[0] - mark(svg, "B: ")[0]

    far, near, none = (ladder_figure(ROWS, ceiling) for ceiling in (0.999, 0.64, None))
    assert span(far) == span(none)
    assert "ceiling 99.9 →" in texts(far) and "ceiling 64.0" in texts(near)
    assert not any("ceiling" in words for words in texts(none))


def test_a_ladders_interval_lies_over_the_level_before() -> None:
    """Gain +5 [3, 7] over 50 %: the whisker spans 53..57 %, in the units that the marks at 50 and 55 % give."""
    svg = ladder_figure(ROWS, None)
    start, here = mark(svg, "BASELINE: ")[0], mark(svg, "A: ")
    unit = (here[0] - start) / 5
    ends = [start + 3 * unit, start + 7 * unit]
    root = ElementTree.fromstring(svg)
    same = [float(use.get("x", "nan")) for use in root.iter(f"{SVG}use") if use.get("y") == f"{here[1]:g}"]
    assert [any(abs(x - end) < 0.03 for x in same) for end in ends] == [True, True]


def test_alone_and_ladder_are_sorted_by_the_gain_alone() -> None:
    svg = alone_versus_ladder(ROWS)
    heights = {name: text_place(svg, name.upper())[1] for name in "abcde"}
    assert sorted(heights, key=heights.__getitem__) == ["d", "a", "c", "b", "e"]
    assert mark(svg, "A, alone")[0] == pytest.approx(mark(svg, "A, ladder")[0])
    assert not filled(svg, "B, ladder") and filled(svg, "B, alone")


def test_confusion_colours_by_the_share_of_the_row() -> None:
    svg = confusion_figure(COUNTS, CLASSES, "Baseline")
    full = strength(confusion_figure([[3]], ["a"], "x"), "a, taken")
    assert strength(svg, "happily surprised, taken for happily surprised: 8 (80 %)") == pytest.approx(0.8 * full)
    assert strength(svg, "sadly_angry, taken for happily surprised: 1 (10 %)") == pytest.approx(0.1 * full)
    numbers = [words for words in texts(svg) if words.isdigit()]
    assert sorted(numbers) == ["1", "2", "4", "5", "8"], "cells of 0 are empty"


def test_difference_is_in_points_of_the_row() -> None:
    before, after = [[5, 5], [0, 10]], [[8, 2], [2, 18]]
    svg = difference_figure(after, before, ["a", "b"])
    numbers = [words for words in texts(svg) if re.fullmatch(r"[+−]\d+", words)]
    assert sorted(numbers) == ["+10", "+30", "−10", "−30"]
    assert strength(svg, "a, taken for a") == pytest.approx(3 * strength(svg, "b, taken for b"), rel=1e-3)
    assert "--blue" in ElementTree.tostring(tipped(svg, "a, taken for a"), encoding="unicode")
    assert "--vermilion" in ElementTree.tostring(tipped(svg, "a, taken for b"), encoding="unicode")
    assert not [words for words in texts(difference_figure(after, after, ["a", "b"])) if re.fullmatch(r"[+−]?0", words)]


def test_one_picture_does_not_set_the_scale_of_differences() -> None:
    before, after = [[5, 5], [1, 0]], [[8, 2], [0, 1]]
    svg = difference_figure(after, before, ["a", "b"])
    assert strength(svg, "a, taken for a: +30") == strength(svg, "b, taken for b: +100")


def test_recall_stands_by_size_and_value() -> None:
    svg = FIGURES["recall"]()
    names = ["sadly angry", "happily surprised", "a<b> & $c$"]
    assert [text_place(svg, name)[1] for name in names] == sorted(text_place(svg, name)[1] for name in names)
    x = [mark(svg, f"{who}: ")[0] for who in ("sadly_angry, old", "happily surprised, new", "sadly_angry, new")]
    assert (x[1] - x[0]) / 10 == pytest.approx((x[2] - x[1]) / 40, abs=0.01), "40, 50 and 90 %"
    assert "no test pictures" in texts(svg) and "90 train, 10 test" in texts(svg)


@pytest.mark.parametrize(("right", "n"), [(0, 10), (10, 10), (3, 7), (90, 194), (1, 1)])
def test_wilson_is_scipys(right: int, n: int) -> None:
    expected = binomtest(right, n).proportion_ci(method="wilson")
    assert wilson(right / n, n) == pytest.approx((expected.low, expected.high), abs=1e-7)
    assert all(math.isnan(end) for end in wilson(math.nan, 0))


def test_calibration_error_is_weighted_by_count() -> None:
    """0.3 · |0.5 − 0.2| + 0.7 · |0.8 − 0.9| = 0.16."""
    svg = calibration_figure({"new": CURVE})
    assert "new: ECE 16.0 points" in texts(svg)
    low, high = mark(svg, "new: 20 %"), mark(svg, "new: 90 %")
    assert (low[1] - high[1]) / (high[0] - low[0]) == pytest.approx(30 / 70, abs=1e-3), "both axes have one scale"
    assert "unknown" in " ".join(texts(calibration_figure({"x": Bins([math.nan], [math.nan], [0])})))


def test_bins_of_few_pictures_are_hollow_and_not_connected() -> None:
    few = Bins([0.2, 0.5, 0.9], [1.0, 0.5, 0.8], [9, 30, 70])
    svg = calibration_figure({"new": few})
    assert [filled(svg, f"new: {sure} %") for sure in (20, 50, 90)] == [False, True, True]


def test_learning_shows_what_there_is() -> None:
    plain = learning_figure({"baseline": HISTORY, "x": HISTORY}, {"x": True})
    assert "not converged" not in texts(plain) and "shown by the curriculum" not in texts(plain)
    assert "not converged" in texts(learning_figure({"x": HISTORY}, {"x": False}))
    assert "the baseline's macro-F1" in texts(plain)
    assert "the baseline's macro-F1" not in texts(learning_figure({"x": HISTORY}))
    shown = [{**epoch, "curriculum_share": 0.5} for epoch in HISTORY]
    assert "shown by the curriculum" in texts(learning_figure({"x": shown}))
    probes: list[dict[str, Any]] = [{"epoch": n, "knn_uar": 0.5, "probe_uar": None} for n in (-1, 0)]
    assert "UAR, kNN on features" in texts(learning_figure({"x": probes + HISTORY}))


def test_a_lost_epoch_is_a_gap_and_longer_runs_have_longer_axes() -> None:
    lost = copy.deepcopy(HISTORY)
    lost[3]["validation_macro_f1"] = None
    whole, broken = (
        [path.get("d", "") for path in tipped_all(learning_figure({"x": history}))] for history in (HISTORY, lost)
    )
    assert sum(d.count("M") for d in broken) == sum(d.count("M") for d in whole) + 1
    assert {"8", "30"} <= set(texts(learning_figure({"x": HISTORY, "y": [{"epoch": n} for n in (1, 30)]})))


def tipped_all(svg: str) -> list[ElementTree.Element]:
    groups = [g for g in ElementTree.fromstring(svg).iter(f"{SVG}g") if g.find(f"{SVG}title") is not None]
    return [path for g in groups for path in g.iter(f"{SVG}path")]


def test_cost_is_logarithmic_and_knows_pretraining_and_no_training() -> None:
    svg = cost_figure(ROWS)
    x = {name: mark(svg, f"{name.upper()}: ")[0] for name in "abcd"}
    assert x["b"] - x["a"] == pytest.approx(x["c"] - x["b"], abs=0.02), "10, 60 + 40, 1000 s"
    assert x["d"] < x["a"], "what costs nothing stands left of all"
    assert "0" in texts(svg)
    assert "E" not in texts(svg), "without a gain there is nothing to show"


def test_labels_neither_cover_each_other_nor_the_marks() -> None:
    points = [(100.0, 100.0), (100.0, 100.0), (108.0, 97.0), (200.0, 100.0)]
    boxes = placed(points, [(80.0, 14.0)] * 4, (0, 0, 300, 200))
    for index, (left, bottom, right, top) in enumerate(boxes):
        assert left >= 0 and bottom >= 0 and right <= 300 and top <= 200
        for x, y in points:
            assert not (left < x + 5 and right > x - 5 and bottom < y + 5 and top > y - 5)
        for other in boxes[index + 1 :]:
            assert not (left < other[2] and right > other[0] and bottom < other[3] and top > other[1])
    assert placed([], [], (0, 0, 1, 1)).shape == (0, 4)


@pytest.mark.parametrize(
    ("value", "words"), [(1.25, "+1.2"), (-3.0, "−3.0"), (0.0, "0.0"), (-0.04, "0.0"), (0.04, "0.0"), (-10.06, "−10.1")]
)
def test_signs(value: float, words: str) -> None:
    assert signed(value) == words


def test_what_is_missing_is_said_so() -> None:
    assert gain_words({"gain": None, "applicable": False}) == "not applicable"
    assert gain_words({}) == "–"
    assert gain_words({"gain": 2.0, "gain_low": None}) == "+2.0"
    assert math.isnan(number({"x": math.inf}, "x")) and math.isnan(number({}, "x"))


def test_wrong_shapes_are_told() -> None:
    with pytest.raises(DataError, match=r"3 x 3 classes; got \(2, 2\)"):
        confusion_figure(np.eye(2), CLASSES, "x")
    with pytest.raises(DataError, match="1 values of support, one a class; got 2"):
        recall_by_size({"new": [0.5]}, [1, 2], [3], ["a"])
