"""A small report as one object, for the tests of the page: names that HTML could trip over, gaps, all verdicts."""

from typing import Any

import numpy as np

from fer_core.evaluation.gains import KEYS, verdict
from fer_core.evaluation.page.content import Content
from fer_core.evaluation.predictions import Truth

NASTY = '<b>&"'  # a class of this name must not become HTML
CLASSES = ["glad", NASTY, "sad"]
BASELINE = [[6, 2, 0], [3, 1, 0], [1, 0, 0]]  # 7 of 13 right
LEAKAGE = {  # as ingest leaves it where nothing leaks
    **{"pictures": 10949, "leaks": 0, "subjects": 0, "duplicates": 0, "exact_duplicates": 0, "by_splits": {}},
    **{"duplicates_within_a_split": 2, "label_conflicts": 0, "label_conflicts_with_test": 0, "policy": "refuse"},
}
FINAL = [[7, 1, 0], [1, 3, 0], [0, 1, 0]]  # 10 of 13 right


def row(technique: str, view: str, gain: tuple[float, float, float] | None, **more: Any) -> dict[str, Any]:
    """A row of metrics/gains.json: `gain` is (value, low, high), or None for a row that has none."""
    found: dict[str, Any] = dict.fromkeys(KEYS)
    found |= {"technique": technique, "title": f"The {technique}", "view": view, "predictor": f"train/{technique}"}
    found |= {"applicable": True, "alarms": [], "n_test": 13, "verdict": "reference", "train_seconds": 60.0}
    if gain is not None:
        value, low, high = gain
        found |= {"gain": value, "gain_low": low, "gain_high": high, "reference": "train/baseline"}
        found |= {"verdict": verdict(low, high, more.get("claimed_low"), more.get("claimed_high")), "accuracy": 0.5}
        found |= {"p_value": 0.03, "p_adjusted": 0.06, "gain_per_minute": value, "pretrain_seconds": 0.0}
    return found | more


def rows() -> list[dict[str, Any]]:
    """Baseline, a phase, four techniques alone (one not applicable), two rungs, a vote."""
    none = {"applicable": False, "verdict": "not applicable", "reason": "no votes", "train_seconds": None}
    return [
        row("baseline", "ladder", None, accuracy=7 / 13, seeds=3, seed_sd=1.44, seed_sd_of="own", p_value=None),
        row("phase 1", "phase", (23.1, 5.0, 41.0), title="quick wins", phase=1, claimed_low=10, claimed_high=10),
        row("vit", "alone", (-11.4, -15.3, -7.6), claimed_low=5, claimed_high=12, accuracy=0.4),
        row("loss", "alone", (9.5, 5.0, 14.0), claimed_low=2, claimed_high=4, accuracy=0.633, alarms=["never <sad>"]),
        row("tta", "alone", (1.0, -1.0, 3.0), train_seconds=0.0, gain_per_minute=None, accuracy=0.55, p_adjusted=1.0),
        row("votes", "alone", None, **none),
        row("loss", "ladder", (23.1, 5.0, 41.0), kept=True, phase=1, accuracy=10 / 13),
        row("vit", "ladder", (2.0, 1.0, 3.0), kept=False, phase=1),
        row("mean", "vote", (0.5, -1.0, 2.0)),
    ]


def entry(confusion: list[list[int]], temperature: float | None = None) -> dict[str, Any]:
    """An entry of metrics/runs.json."""
    counts = np.array(confusion)
    recall = np.diag(counts) / counts.sum(axis=1)
    classes = {name: {"recall": recall[k], "support": int(counts[k].sum())} for k, name in enumerate(CLASSES)}
    test = {"accuracy": np.trace(counts) / counts.sum(), "confusion": confusion, "per_class": classes, "n": 13}
    return {"state": "done", "temperature": temperature, "converged": False, "test": test, "alarms": []}


def answers(confusion: list[list[int]], sure: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels (N,) and log-probabilities (N, 3) that give this confusion matrix; every answer has `sure`."""
    labels, guesses = [], []
    for true, counts in enumerate(confusion):
        for guess, number in enumerate(counts):
            labels += [true] * number
            guesses += [guess] * number
    probabilities = np.full((len(labels), 3), (1 - sure) / 2)
    probabilities[np.arange(len(labels)), guesses] = sure
    return np.array(labels), np.log(probabilities)


def content(**changes: Any) -> Content:
    """The whole report; `changes` replace parts of it."""
    labels, first = answers(BASELINE, 0.8)
    _, last = answers(FINAL, 0.9)
    aus = np.array([[1.0], [0.0], [np.nan], [0.0]] + [[0.0]] * 9)
    truth = Truth("test", [f"t{i:02d}" for i in range(13)], labels, None, aus, ["AU12"], 2)
    summary = {"baseline_accuracy": 7 / 13, "baseline_uar": 0.33, "baseline_macro_f1": 0.3, "final_accuracy": 10 / 13}
    summary |= {"final_uar": 0.5, "final_macro_f1": 0.4, "final_gain": 23.1, "final_gain_low": 5.0}
    summary |= {"final_gain_high": 41.0, "rungs_kept": 1, "alarmed": 1, "n_test": 13, "baseline_seeds": 3}
    summary |= {"baseline_seed_sd": 1.44, "detectable_gain": 12.5, "ceiling_accuracy": None}
    techniques = {name: {"title": f"The {name}"} for name in ("loss", "vit")}
    phases = {"1": {"title": "quick wins", "from": 55, "to": 65, "claimed": [10, 10]}}
    road = {"data": "standin", "profile": "demo", "seed": 0, "phases": phases, "techniques": techniques}
    road |= {"baseline": {"loss": "ce"}, "notes": ["generated faces, not people"]}
    counts = {"train": dict(zip(CLASSES, (40, 20, 4), strict=True)), "test": 13}
    counts["validation"] = dict(zip(CLASSES, (6, 3, 1), strict=True))
    card = {"title": "Made-up faces", "classes": CLASSES, "counts": counts, "notes": road["notes"], "clips": False}
    units = {"names": ["AU12"], "titles": {"AU12": "lip corner puller"}, "coverage": {"train": 0.5, "validation": 1.0}}
    units["positives"] = {"train": {"AU12": 8}, "validation": {"AU12": 1}}
    epochs = [{"epoch": e, "train_accuracy": 0.4 * e, "validation_accuracy": 0.3 * e} for e in (1, 2)]
    epochs = [epoch | {"validation_macro_f1": 0.2} for epoch in epochs]
    faces = np.random.default_rng(0).integers(0, 256, (13, 16, 16, 3)).astype(np.uint8)
    whole = {
        "rows": rows(),
        "summary": summary,
        "runs": {"train/baseline": entry(BASELINE), "train/loss": entry(FINAL, 1.5)},
        "slices": [],
        "synthesis": {"state": "not_needed"},
        "road": road,
        "states": {
            "loss": {"kept": True, "applicable": True, "recipe": {"loss": "cb"}},
            "vit": {"kept": False, "applicable": True, "recipe": {"loss": "cb"}},
        },
        "card": card,
        "aus": units,
        "leakage": None,
        "truth": truth,
        "final": "train/loss",
        "logs": {"train/baseline": first, "train/loss": last},
        "faces": faces,
        "histories": {"baseline": epochs, "alone-loss": epochs, "ladder-loss": epochs},
        "attention": [],
        "attention_folder": "reports/attention/",
        "environment": {"Python": "3.11", "Git commit": "unknown"},
        "notes": ["Generated faces, not people.", "Minimum detectable gain: **12.5 points**."],
    }
    return Content(**(whole | changes))
