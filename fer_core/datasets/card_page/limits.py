"""What these data cannot tell, in sentences that the counts write."""

import math

import numpy as np

from fer_core.datasets.card_page.content import KNOWN, Content
from fer_core.datasets.card_page.units import annotated
from fer_core.manifest import SPLITS, attribute_names, au_names
from fer_core.pages.histogram import short
from fer_core.pages.html import Markup, prose, tag

FEW = 20  # pictures of a class, or positives of an AU, below which little can be said of it
_PEOPLE = 30  # subjects below which a split says little about other people
_SMALL = 20.0  # px between the eyes below which mouth and brows are a few pixels
_NAMED = 12  # names written out


def limits(content: Content) -> list[str]:
    """Return the sentences; each is about something that is few, missing or doubtful in these data."""
    told = [_generated(content), _classes(content), *_small_splits(content), *_people(content), _votes(content)]
    told += [*_units(content), _pixels(content), _attributes(content), _leaks(content), _sources(content)]
    return [sentence for sentence in told if sentence]


def limits_list(content: Content) -> list[Markup]:
    """Return them as a list."""
    return [tag("ul", *(tag("li", prose(sentence)) for sentence in limits(content)), class_="notes")]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(f"**{name}**" for name in names[:_NAMED]) + more


def _generated(content: Content) -> str:
    return "Nothing about people: the faces are generated." if content.generated else ""


def _classes(content: Content) -> str:
    train, validation = (content.counts(split) for split in KNOWN)
    order = [int(k) for k in np.argsort(train, kind="stable") if train[k] < FEW]
    said = ""
    if order:
        named = _listed([f"{content.classes[k]} ({train[k]})" for k in order])
        said = f"How well a class of few pictures can be learnt: below {FEW} in train are {named}. "
    there = np.flatnonzero(validation)
    if len(there):
        small = int(there[validation[there].argmin()])
        step, name = 100 / int(validation[small]), content.classes[small]
        said += (
            f"Small steps of recall: of the smallest validation class, **{name}**, one picture is {step:.0f} points."
        )
    absent = [content.classes[k] for k in range(len(validation)) if not validation[k]]
    return said + (f" Nothing at all of classes without a validation picture: {_listed(absent)}." if absent else "")


def _small_splits(content: Content) -> list[str]:
    told = []
    for split in SPLITS[1:3]:
        number = len(content.labelled(split))
        if number:
            half = 100 * 1.96 * math.sqrt(0.25 / number)
            told.append(
                f"Differences of accuracy below about {half:.1f} points on the {number:,} {split} pictures: that is "
                "half of a 95 % interval at 50 % accuracy."
            )
    return told


def _people(content: Content) -> list[str]:
    told = []
    for split in SPLITS[1:3]:
        subjects = content.labelled(split)["subject"]
        if subjects.isna().all():
            return ["Whether results hold for other people: who is shown is not known, so splits may share people."]
        if subjects.nunique() < _PEOPLE:
            told.append(f"Much about other people: the {split} split shows {subjects.nunique()} of them.")
    return told


def _votes(content: Content) -> str:
    if content.told()["votes"].notna().any():
        return ""
    return "How sure its labels are: there are no votes, so a wrong label cannot be told from an unclear face."


def _units(content: Content) -> list[str]:
    names, train = au_names(content.table), content.labelled("train")
    if not names:
        return ["What the muscles do: there are no AU labels."]
    counts = {name: annotated(train, name)[1] for name in names}
    few = [f"{name} ({count})" for name, count in counts.items() if count < FEW]
    told = [f"How well rare AUs are found: below {FEW} active train faces are {_listed(few)}."] if few else []
    missing = float(train[names].isna().all(axis=1).mean()) if len(train) else 0.0
    if missing:
        told.append(f"The AUs of {100 * missing:.1f} % of the train pictures, which are not annotated.")
    if content.aus.get("weak"):
        told.append("Whether AUs are found: their labels are prototypes of the emotions.")
    return told


def _pixels(content: Content) -> str:
    if "inter_ocular" not in content.table:
        return ""
    distance = content.told()["inter_ocular"].to_numpy(np.float64, na_value=np.nan)
    known = distance[np.isfinite(distance)]
    small = int((known < _SMALL).sum())
    if not small:
        return ""
    share = f"{100 * small / len(known):.1f} % of the train and validation faces"
    return f"Fine wrinkles: {share} have fewer than {short(_SMALL)} px between the eyes."


def _attributes(content: Content) -> str:
    if attribute_names(content.table):
        return ""
    return "Whether all people are served alike: the set tells no attributes, such as age or skin."


def _leaks(content: Content) -> str:
    found = content.leakage
    if found is None:
        return "Whether test pictures stand in train as well: no leakage guard has run."
    if found.get("leaks") and found.get("policy") == "report":
        return f"An honest test score: {found['leaks']:,} leaks between the splits were left in."
    return ""


def _sources(content: Content) -> str:
    if len(content.sources) < 2:
        return ""
    return (
        "Whether a difference between classes is one of the faces: the sets differ in cameras, people and labellers, "
        "and a class may come mostly from one of them."
    )
