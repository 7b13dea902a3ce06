"""The data card: how many pictures of each class and split, how often each AU, what is missing, what leaks."""

import math
import re

import numpy as np

from fer_core.evaluation.head import data_notes
from fer_core.evaluation.page.content import Content
from fer_core.evaluation.synthesis_lines import synthesis_lines
from fer_core.pages.html import Child, Markup, prose, section, table, tag
from fer_core.pages.leaks import leaks

MISSING = "–"


def data_section(content: Content) -> Markup:
    """Return the data card."""
    notes = (tag("li", prose(note)) for note in data_notes(content.road, content.card))
    left = [tag("h3", "Classes"), tag("p", prose(_balance(content))), _classes(content)]
    left += [tag("h3", "Beside the labelled faces"), _beside(content)]
    if content.leakage is not None:
        left += [tag("h3", "Leaks between the splits"), *leaks(content.leakage)]
    right = [tag("h3", "Action Units"), *_units(content)]
    both = tag("div", tag("div", *left), tag("div", *right), class_="figures")
    return section("data", "Data card", tag("ul", *notes, class_="notes"), both)


def _balance(content: Content) -> str:
    counts, names = content.train_counts, content.classes
    large, small = int(counts.argmax()), int(counts.argmin())
    if not counts[small]:
        return f"**{names[small]}** has no train picture; the largest class, **{names[large]}**, has {counts[large]}."
    return (
        f"The largest class, **{names[large]}**, has {counts[large]:,} train pictures, the smallest, "
        f"**{names[small]}**, {counts[small]:,}: {counts[large] / counts[small]:.0f} to 1."
    )


def _classes(content: Content) -> Markup:
    counts = content.card["counts"]
    test = np.bincount(content.truth.labels, minlength=len(content.classes))
    most = max(int(content.train_counts.max()), 1)
    rows: list[list[Child]] = []
    for place, name in enumerate(content.classes):
        train = int(content.train_counts[place])
        cells = (f"{number:,}" for number in (train, counts["validation"][name], int(test[place])))
        rows.append([name, _share(train / most), *cells])
    sums = [sum(counts[split].values()) for split in ("train", "validation")]
    rows.append(["all", "", *(tag("b", f"{number:,}") for number in (*sums, int(test.sum())))])
    return table(["Class", "", "Train", "Validation", "Test"], rows, "Labelled pictures by class and split", names=2)


def _units(content: Content) -> list[Markup]:
    aus, truth = content.aus, content.truth
    names = list(aus["names"])
    if not names:
        return [tag("p", "This set has no AU labels.")]
    coverage = ", ".join(f"{split} {100 * share:.1f} %" for split, share in aus["coverage"].items())
    said = f"Annotated: {coverage}; the rest are null, which is “not annotated”, never “not active”."
    if aus.get("weak"):
        said += " These labels are prototypes of the emotions, not annotations."
    labels = {split: sum(content.card["counts"][split].values()) for split in ("train", "validation")}
    rows: list[list[Child]] = []
    for name in names:
        shares = []
        for split, pictures in labels.items():
            annotated = pictures * aus["coverage"].get(split, math.nan)
            positives = aus["positives"].get(split, {}).get(name)
            shares.append(math.nan if positives is None or not annotated > 0 else positives / annotated)
        values = truth.aus[:, truth.au_names.index(name)] if name in truth.au_names else np.array([])
        known = values[~np.isnan(values)]
        shares.append(float((known > 0).mean()) if len(known) else math.nan)
        cells = (MISSING if math.isnan(share) else f"{100 * share:.1f}" for share in shares)
        title = aus.get("titles", {}).get(name, "")
        rows.append([name, title, _share(0.0 if math.isnan(shares[0]) else shares[0]), *cells])
    header = ["AU", "Name", "", "Train %", "Validation %", "Test %"]
    found = [tag("p", said), table(header, rows, "How often an AU is active, of the annotated faces", names=3)]
    odd = {"odd tokens, read by the rule for them": aus.get("odd_tokens"), "left out": aus.get("left_out")}
    odd["outside the vocabulary"] = aus.get("outside_vocabulary")
    told = "; ".join(f"{what}: {', '.join(map(str, which))}" for what, which in odd.items() if which)
    return [*found, *([tag("p", f"{told}.")] if told else [])]


def _beside(content: Content) -> Markup:
    card = content.card
    pool, clips = card.get("pool") or 0, card.get("clip_counts") or {}
    items: list[Child] = [f"Unlabelled pool for pretraining: {pool:,} faces." if pool else "No unlabelled pool."]
    told = ", ".join(f"{split} {number:,}" for split, number in clips.items())
    items.append(f"Clips: {told}." if card.get("clips") and told else "No clips.")
    names = {"votes": "votes", "identities": "identities", "landmarks": "landmarks", "intensities": "AU intensities"}
    there = [word for key, word in names.items() if card.get(key)]
    lacks = [word for key, word in names.items() if not card.get(key)]
    items.append(f"Published with it: {', '.join(there) or 'nothing more'}; without: {', '.join(lacks) or 'nothing'}.")
    if content.truth.dropped:
        items.append(f"Test pictures without a crop, which are not scored: {content.truth.dropped:,}.")
    for line in synthesis_lines(content.synthesis):
        if line.startswith("- "):
            plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", line[2:])  # its links lead out of the page
            items.append(prose(f"Synthetic: {plain}"))
    return tag("ul", *(tag("li", item) for item in items), class_="notes")


def _share(share: float) -> Markup:
    bar = tag("span", "", class_="share", style=f"width:{max(1, round(90 * share))}px", aria_hidden="true")
    return tag("div", bar, class_="tracks")
