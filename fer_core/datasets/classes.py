"""Bring the classes of one or several data sets to a common set, as `classes` in params.yaml says.

    own        as published; several sets must then have the same classes in the same order
    basic      the single emotions. A compound class becomes the one of its two emotions that has more votes; without
               votes, or with equally many, it belongs to none
    compound   the pairs of two emotions; single emotions belong to none
    votes      like `basic`, and every picture gets votes over the single emotions: its own, all on its emotion, or a
               half on each of its two
    {positive: [happiness, surprise], ...}   classes of one's own, with the names that each takes in

A picture that belongs to none keeps its row, with a `drop_reason`; how many is noted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from fer_core.datasets.dataset import Published
from fer_core.errors import ConfigError, unknown_name
from fer_core.labels import BASIC_EMOTIONS, NEUTRAL, LabelSet, canonical, compound_pair

OWN, BASIC, COMPOUND, VOTES = "own", "basic", "compound", "votes"
RULES = (OWN, BASIC, COMPOUND, VOTES)
SINGLE = (*BASIC_EMOTIONS, NEUTRAL, "contempt")
OUTSIDE = "its class is none of the common ones: "  # how the drop_reason begins

Rule = str | Mapping[str, Sequence[str]]


def check_rule(rule: object) -> Rule:
    """Check `classes` of params.yaml.

    Raises:
        ConfigError: it is neither a rule's name nor classes with the names that they take in, each in one of them.
    """
    if isinstance(rule, str):
        if rule not in RULES:
            raise unknown_name("classes", rule, RULES)
        return rule
    if not isinstance(rule, Mapping) or len(rule) < 2:
        raise ConfigError(f"Expected `classes` to be one of {', '.join(RULES)}, or two classes or more; got {rule!r}.")
    seen: dict[str, str] = {}
    for name, members in rule.items():
        if not isinstance(name, str) or not isinstance(members, Sequence) or isinstance(members, str) or not members:
            raise ConfigError(f"Expected `classes.{name}` to list the classes that it takes in; got {members!r}.")
        for member in members:
            if canonical(str(member)) in seen:
                raise ConfigError(f"`classes` has {member!r} in {seen[canonical(str(member))]!r} and in {name!r}.")
            seen[canonical(str(member))] = name
    return rule


def to_common(parts: Sequence[tuple[str, Published]], rule: Rule) -> list[tuple[str, Published]]:
    """Return the sets with the same labels.

    Args:
        parts: (title, set) in their order.
        rule: as `check_rule` returns it.

    Returns:
        The same sets with `emotion` and `votes` in the common order, and notes on what is left out.

    Raises:
        ConfigError: `own` with sets of different classes, or a class of one's own takes in a name that no set has.
    """
    if rule == OWN:
        # a set without classes, all of it in the pool, goes with any
        first, classes = next(((t, p.labels.classes) for t, p in parts if p.labels.classes), (parts[0][0], ()))
        for title, part in parts:
            if part.labels.classes not in (classes, ()):
                raise ConfigError(
                    f"{first} and {title} have different classes; set `classes` to {BASIC}, {COMPOUND}, {VOTES} "
                    "or to classes of your own."
                )
        return _with_common_votes([(t, replace(p, labels=LabelSet(classes, p.labels.votes))) for t, p in parts])
    if rule == VOTES:
        parts = [(title, _voted(part)) for title, part in _with_common_votes(parts, SINGLE)]
    named = [_new_names(part, rule) for _, part in parts]
    common = _in_order({name for names in named for name in names.dropna()}, rule, parts)
    out: list[tuple[str, Published]] = []
    for (title, part), names in zip(parts, named, strict=True):
        rows = part.rows.copy()
        lost = rows["emotion"].notna() & names.isna()
        old = _class_names(part)
        free = lost & rows["drop_reason"].isna()
        rows["drop_reason"] = rows["drop_reason"].astype(object).mask(free, OUTSIDE + old.fillna("").astype(str))
        rows["drop_reason"] = rows["drop_reason"].astype("str").where(rows["drop_reason"].notna())
        rows["emotion"] = names.map({name: k for k, name in enumerate(common)}).astype("Int16")
        told = [] if not free.any() else [_told(old[free], int(free.sum()), title)]
        labels = LabelSet(tuple(common), part.labels.votes)
        out.append((title, replace(part, rows=rows, labels=labels, notes=(*part.notes, *told))))
    return _with_common_votes(out)


def _class_names(part: Published) -> pd.Series:
    return part.rows["emotion"].map(lambda k: part.labels.classes[int(k)], na_action="ignore").astype(object)


def _new_names(part: Published, rule: Rule) -> pd.Series:
    """Return the name of each row's common class, None where it has none."""
    names = _class_names(part)
    if isinstance(rule, Mapping):
        of = {canonical(str(member)): name for name, members in rule.items() for member in members}
        return names.map(lambda name: of.get(canonical(name)), na_action="ignore").astype(object)
    plain = names.map(canonical, na_action="ignore").astype(object)
    if rule == COMPOUND:
        return plain.where(plain.map(lambda name: compound_pair(name) is not None, na_action="ignore").fillna(False))
    single = plain.where(plain.isin(SINGLE))
    pairs = plain.map(lambda name: compound_pair(name, BASIC_EMOTIONS), na_action="ignore")
    votes = part.rows["votes"]
    columns = part.labels.votes or ()
    for row in np.flatnonzero(pairs.notna().to_numpy() & votes.notna().to_numpy()).tolist():
        two = [BASIC_EMOTIONS[k] for k in pairs.iloc[row]]
        shares = [float(votes.iloc[row][columns.index(name)]) if name in columns else 0.0 for name in two]
        if shares[0] != shares[1]:
            single.iloc[row] = two[int(np.argmax(shares))]
    return single


def _voted(part: Published) -> Published:
    """Give every labelled row votes over `SINGLE`: its own, or what its class says."""
    rows, votes = part.rows.copy(), part.rows["votes"].tolist()
    of_class: dict[int, np.ndarray | None] = {}
    for k, name in enumerate(part.labels.classes):
        pair = compound_pair(canonical(name), SINGLE) or (
            (SINGLE.index(canonical(name)),) if canonical(name) in SINGLE else None
        )
        vector = np.zeros(len(SINGLE), np.float32)
        if pair:
            vector[list(pair)] = 1 / len(pair)
        of_class[k] = vector if pair else None
    for row, label in enumerate(rows["emotion"]):
        if not isinstance(votes[row], np.ndarray) and not pd.isna(label):
            votes[row] = of_class[int(label)]
    rows["votes"] = pd.Series(votes, index=rows.index, dtype=object)
    return replace(part, rows=rows)


def _with_common_votes(
    parts: Sequence[tuple[str, Published]], columns: Sequence[str] | None = None
) -> list[tuple[str, Published]]:
    """Give all sets the same vote columns: `columns`, or all that occur; a set without votes keeps none.

    Votes on other columns than `columns` are taken out and the rest made shares again; without any left there are none.
    """
    known = [part.labels.votes for _, part in parts if part.labels.votes]
    if columns is None and len(set(known)) <= 1:
        common = known[0] if known else None
        return [(title, replace(part, labels=LabelSet(part.labels.classes, common))) for title, part in parts]
    common = tuple(columns or dict.fromkeys(name for names in known for name in names))
    out: list[tuple[str, Published]] = []
    for title, part in parts:
        old, rows = part.labels.votes or (), part.rows.copy()
        take = np.array([[float(a == b) for b in common] for a in old], np.float32).reshape(len(old), len(common))
        rows["votes"] = pd.Series([_shares(value, take) for value in rows["votes"]], index=rows.index, dtype=object)
        out.append((title, replace(part, rows=rows, labels=LabelSet(part.labels.classes, common))))
    return out


def _shares(votes: object, take: np.ndarray) -> np.ndarray | None:
    if not isinstance(votes, np.ndarray | list):
        return None
    moved = np.asarray(votes, np.float32) @ take
    return moved / moved.sum() if moved.sum() > 0 else None


def _in_order(found: set[str], rule: Rule, parts: Sequence[tuple[str, Published]]) -> list[str]:
    if isinstance(rule, Mapping):
        absent = [name for name in rule if name not in found]
        if absent:
            have = dict.fromkeys(name for _, part in parts for name in part.labels.classes)
            raise ConfigError(
                f"Expected `classes.{absent[0]}` to take in a class that has pictures; got {list(rule[absent[0]])}. "
                f"There are {', '.join(have)}."
            )
        return list(rule)
    if not found:
        raise ConfigError(f"`classes: {rule}` leaves no class of {' and '.join(title for title, _ in parts)}.")
    if rule == COMPOUND:
        return list(
            dict.fromkeys(name for _, part in parts for name in map(canonical, part.labels.classes) if name in found)
        )
    return [name for name in SINGLE if name in found]


def _told(names: pd.Series, count: int, title: str) -> str:
    tally = names.value_counts()
    listed = ", ".join(f"{name} {number}" for name, number in tally.items())
    return f"{count} pictures of {title} belong to none of the common classes: {listed}"
