"""The sections with faces: those that the final predictor is surest about and wrong, and where attention looks."""

import base64
import io
from collections import Counter
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from PIL import Image

from fer_core.evaluation.metrics import Floats, Integers
from fer_core.evaluation.page.captions import count
from fer_core.evaluation.page.content import Content
from fer_core.pages.html import Markup, prose, section, tag

HARDEST = 24
_SIDE = 144  # px of a thumbnail, at most
_WIDTH = 1200  # px of a picture of attention, at most
_QUALITY = 85


def hardest(labels: Integers, logs: Floats, most: int = HARDEST) -> Integers:
    """Return the rows of the wrong answers that were given with the highest probability, surest first; at most `most`.

    Args:
        labels: (N,) true classes.
        logs: (N, K) log-probabilities; a row with a NaN has no answer and is left out.

    Example:
        >>> hardest(np.array([0, 1, 0]), np.log([[0.4, 0.6], [0.9, 0.1], [0.8, 0.2]])).tolist()
        [1, 0]
    """
    wrong = np.flatnonzero((logs.argmax(axis=1) != labels) & ~np.isnan(logs).any(axis=1))
    order = np.argsort(-logs[wrong].max(axis=1), kind="stable")
    return wrong[order][:most].astype(np.int64)


def hardest_section(content: Content) -> Markup:
    """Return the test faces that the final predictor is surest about and wrong, with what it took them for."""
    labels, logs, classes = content.truth.labels, content.logs[content.final], content.classes
    rows = hardest(labels, logs)
    if not len(rows):
        return section("hardest", "Hardest faces", tag("p", "No test face was named wrongly."))
    guesses, probabilities = logs.argmax(axis=1), np.exp(logs)
    wrong = int((guesses != labels).sum())
    least = probabilities[rows[-1]].max()
    (true, guess), often = Counter((int(labels[row]), int(guesses[row])) for row in rows).most_common(1)[0]
    said = (
        f"Of {wrong} test faces that `{content.final}` names wrongly, these {len(rows)} it is surest about: at least "
    )
    said += f"{100 * least:.0f} % each."
    if often > 1:
        said += f" {count(often)} of them are **{classes[true]}** taken for **{classes[guess]}**."
    items = []
    for row in rows:
        was, taken = classes[labels[row]], classes[guesses[row]]
        words = f"test face {content.truth.ids[row]}: {was}, taken for {taken}"
        picture = tag("img", src=jpeg(content.faces[row], _SIDE), alt=words, width=_SIDE, height=_SIDE, title=words)
        sure = f"taken for {taken}, {100 * probabilities[row].max():.0f} %"
        rest = f"; own class {100 * probabilities[row, labels[row]]:.1f} %"
        items.append(tag("li", picture, tag("b", was), tag("br"), sure, rest))
    return section("hardest", "Hardest faces", tag("p", prose(said)), tag("ul", *items, class_="faces"))


def attention_runs(names: Iterable[str], final_runs: Iterable[str], most: int = 4) -> list[str]:
    """Return the runs whose attention the page shows: of techniques alone, then of the end, then others.

    Example:
        >>> attention_runs(["alone-cbam", "ladder-vit", "member-vit"], ["member-vit"], most=2)
        ['alone-cbam', 'member-vit']
    """
    end = set(final_runs)
    return sorted(names, key=lambda name: (not name.startswith("alone-"), name not in end, name))[:most]


def attention_section(content: Content) -> Markup:
    """Return the maps that the report stage drew, or the sentence that there are none."""
    if not content.attention:
        none = "No run of this table has an attention that weighs places, so there are no maps."
        return section("attention", "Attention", tag("p", none))
    said = (
        "The yellower a place, the more it weighs; validation faces. Where a run was taught by AUs, the regions it was "
        f"taught stand in the row below. All runs' maps are in `{content.attention_folder}`."
    )
    figures = []
    for picture in content.attention:
        image = np.asarray(Image.open(io.BytesIO(picture.png)).convert("RGB"))
        alt = f"Attention maps of the run {picture.name} over validation faces"
        shown = tag("img", src=jpeg(image, _WIDTH), alt=alt)
        title = (content.runs.get(f"train/{picture.name}") or {}).get("test") or {}
        score = f", test accuracy {100 * title['accuracy']:.1f} %" if title.get("accuracy") is not None else ""
        figures.append(tag("figure", shown, tag("figcaption", prose(f"`{picture.name}`{score}"))))
    return section("attention", "Attention", tag("p", prose(said)), tag("div", *figures, class_="figures"))


def jpeg(image: npt.NDArray[np.uint8], largest: int) -> str:
    """Return an image (H, W, 3), or (H, W, 1) in grey, as a `data:` address, no side longer than `largest` px."""
    picture = Image.fromarray(np.ascontiguousarray(image[..., 0] if image.shape[-1] == 1 else image))
    picture.thumbnail((largest, largest))
    raw = io.BytesIO()
    picture.save(raw, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(raw.getvalue()).decode()}"
