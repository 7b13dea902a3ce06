"""The gains table in words: the cells that the terminal and the Markdown share, and reports/gains.md."""

from collections.abc import Mapping, Sequence
from typing import Any

from fer_core.evaluation.gains import BASELINE, Row
from fer_core.evaluation.head import MISSING, headline, percent, sentence

VIEWS = {
    "phase": "Phases",
    "alone": "Each technique alone, on the baseline",
    "ladder": "The ladder: each technique on top of those kept before it",
    "without": "Leave-one-out: what each technique adds to the ladder's recipe",
    "vote": "How members and views vote, against the best member and one view",
    "clip": "The clip track: models of several frames, on clips of their own",
}
_OWN_REFERENCE = ("vote", "clip", "without")  # views that the stills' baseline is no reference of


def gain_text(row: Row) -> str:
    """Return the gain and its interval in points, as in "+3.2 [0.4, 6.1]"."""
    if row["gain"] is None:
        return MISSING
    return f"{row['gain']:+.1f} [{row['gain_low']:.1f}, {row['gain_high']:.1f}]"


def seeds_text(row: Row) -> str:
    """Return how many seeds a row has and the standard deviation over seeds in points; the baseline's is marked.

    Example:
        >>> seeds_text({"seeds": 3, "seed_sd": 1.44, "seed_sd_of": "own"})
        '3, ±1.4'
        >>> seeds_text({"seeds": 1, "seed_sd": 1.44, "seed_sd_of": "baseline"})
        '1, ±1.4 (baseline)'
    """
    if row["seeds"] is None:
        return MISSING
    spread = "" if row["seed_sd"] is None else f", ±{row['seed_sd']:.1f}"
    return f"{row['seeds']}{spread}" + (" (baseline)" if row["seed_sd_of"] == "baseline" else "")


def p_text(row: Row) -> str:
    """Return McNemar's p and, in brackets, what it is after Holm's correction for the whole table."""
    if row["p_value"] is None:
        return MISSING
    corrected = "" if row["p_adjusted"] is None else f" ({row['p_adjusted']:.2g})"
    return f"{row['p_value']:.2g}{corrected}"


def claim_text(row: Row) -> str:
    """Return the claimed range in points: "10–20", "10" or "5+"."""
    low, high = row["claimed_low"], row["claimed_high"]
    if low is None:
        return MISSING
    return f"{low:g}+" if high is None else f"{low:g}" if low == high else f"{low:g}–{high:g}"


def score_text(row: Row, metric: str) -> str:
    """Return UAR or macro-F1 in percent, with an arrow where its own paired interval excludes 0."""
    low, high = row[f"{metric}_gain_low"], row[f"{metric}_gain_high"]
    arrow = "" if low is None else " ↑" if low > 0 else " ↓" if high < 0 else ""
    return percent(row[metric]) + arrow


def verdict_text(row: Row) -> str:
    """Return the verdict, with the reason of a row that does not apply."""
    return f"{row['verdict']}: {row['reason']}" if row["reason"] else str(row["verdict"])


def kept_text(row: Row) -> str:
    """Return whether a rung was kept by validation; nothing for other rows."""
    return {True: "yes", False: "no"}.get(row["kept"], "")


def seconds_text(row: Row) -> str:
    """Return the seconds of training, and of pretraining where there was any."""
    if row["train_seconds"] is None:
        return MISSING
    pretrain = row["pretrain_seconds"] or 0
    return f"{row['train_seconds']:.0f}" + (f" + {pretrain:.0f}" if pretrain >= 0.5 else "")


def title_text(row: Row) -> str:
    """Return the row's name for people."""
    title = str(row["title"])
    if row["view"] == "phase" and str(row["phase"]).isdigit() and not title.lower().startswith("phase"):
        return f"Phase {row['phase']}: {title}"
    return title


def markdown(
    rows: Sequence[Row],
    summary: Mapping[str, Any],
    road: Mapping[str, Any],
    notes: Sequence[str],
    more: Sequence[str] = (),
    extra: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """Return reports/gains.md: headline, notes, the tables, the lines of `more` sections, how to read them.

    `extra` has lines that follow a view's table, by the view.
    """
    lines = ["# What each technique gave", "", f"**{sentence(headline(summary, road).replace('->', '→'))}**", ""]
    lines += [f"- {note}" for note in notes]
    lines += [
        "",
        "![The ladder: accuracy after each technique, and its gain beside the claimed one](figures/ladder.svg)",
        "",
    ]
    baseline = next(row for row in rows if row["predictor"] == BASELINE and row["technique"] == "baseline")
    for view, title in VIEWS.items():
        part = [row for row in rows if row["view"] == view and row is not baseline]
        if not part and view in _OWN_REFERENCE:
            continue
        if view not in _OWN_REFERENCE:
            part.insert(0, baseline)
        header = [name for name in _COLUMNS if view in _ONLY.get(name, VIEWS) and view not in _NOT.get(name, ())]
        lines += [f"## {title}", "", line(header), line([_MARKS.get(name, "---:") for name in header])]
        lines += [line([_COLUMNS[name](row) for name in header]) for row in part]
        lines += ["", *(extra or {}).get(view, [])]
    return "\n".join([*lines, *more, _LEGEND])


_COLUMNS = {
    "Technique": title_text,
    "Accuracy %": lambda row: percent(row["accuracy"]),
    "UAR %": lambda row: score_text(row, "uar"),
    "Macro-F1 %": lambda row: score_text(row, "macro_f1"),
    "Gain, points [95 %]": gain_text,
    "Seeds, SD": seeds_text,
    "Claimed": claim_text,
    "Verdict": verdict_text,
    "p (Holm)": p_text,
    "Kept": kept_text,
    "Train s": seconds_text,
    "Points a minute": lambda row: MISSING if row["gain_per_minute"] is None else f"{row['gain_per_minute']:+.1f}",
    "ECE %": lambda row: f"{percent(row['ece'])} → {percent(row['ece_scaled'])}" if row["ece"] is not None else MISSING,
    "ms a face": lambda row: MISSING if row["milliseconds_per_face"] is None else f"{row['milliseconds_per_face']:.1f}",
    "Alarms": lambda row: "; ".join(row["alarms"]),
}
_ONLY = {"Kept": ("ladder",), "Points a minute": ("phase", "alone", "ladder")}  # columns of some views
_NOT = {"Train s": ("vote",)}
_MARKS = {"Technique": "---", "Verdict": ":---", "Kept": ":---:", "Alarms": ":---"}

_LEGEND = """## Reading the table

- **Accuracy** is the share of test pictures named rightly (WAR). **UAR** is the mean recall of the classes,
  **macro-F1** the mean of their F1, both over the classes present in the test split: small classes count as much as
  large ones.
  ↑ or ↓ marks a UAR or macro-F1 whose own paired 95 % interval of the change lies above or below 0.
- **Seeds, SD**: with how many seeds a row was trained, and the standard deviation of accuracy over seeds, in points. A
  row of one seed has none of its own: the baseline's stands there. Members and views are of each run's first seed.
- **Gain** is in points of accuracy over the row's reference, on the same pictures. A phase is measured against what
  stood before it, a technique alone against the baseline, a rung against the rungs kept before it.
- **Ceiling**, known of generated faces only: what the best decision reaches that is given a face's true AU
  intensities, its true AUs, or its AU labels. The gap that the ladder closes is the one to the first of them.
- **Claimed** is the gain in points that the roadmap promises; where it promises one for a whole section, it stands
  beside each technique of the section. Techniques beyond the roadmap carry no claim.
- **Verdict**: *harmful*, the interval lies below 0; *not distinguishable from 0*, it holds 0; otherwise it is compared
  with the claimed range: *below*, *above* or *compatible with the claim*; without a claim it is *above 0*.
- **p** is McNemar's exact test of the same comparison (of several seeds: twice the median of their p), in brackets
  after Holm's correction for all comparisons of the table.
- **Kept**: whether the rung stays on the ladder. This is decided on validation, never by test pictures: a rung goes
  when its macro-F1, over the classes of five or more validation pictures, is lower than that of what stands by more
  than one standard error of the difference (paired bootstrap).
- **Leave-one-out** (`leave_one_out: true`): all of the ladder's recipe against all of it but one technique.
- **Train s**: seconds of training beyond what the reference needed, + seconds of pretraining and of synthesis, what is
  shared counted once. **Points a minute**: the gain, divided by both.
- **ECE**: expected calibration error of the class probabilities (15 bins), before → after temperature scaling, which
  is fitted on validation.
- **ms a face**: milliseconds of prediction, all members and views together, on this machine; in rows of one view,
  of the picture alone.
- **Clip track**: one prediction a clip. Every model is compared with the track's baseline on the same clips.
- **Alarms**: signs that a run went wrong. "Not converged" means that it still improved at its last epoch.
"""


def line(cells: Sequence[str]) -> str:
    """Return one line of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
