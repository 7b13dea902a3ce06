"""Class names, their order and the basic emotions behind them, per data set: the only place that knows.

RAF-CE: Li, Deng et al., the compound-expression set with AU labels; its vote vectors come from RAF-ML.
FER2013: Goodfellow et al., "Challenges in Representation Learning", ICONIP 2013.
FERPlus: Barsoum et al., "Training Deep Networks for Facial Expression Recognition with Crowd-Sourced Label
Distribution", ICMI 2016.
RAF-DB: Li, Deng, Du, "Reliable Crowdsourcing and Deep Locality-Preserving Learning for Expression Recognition in the
Wild", CVPR 2017; its 11 compound classes are among RAF-CE's, in the same order.
AffectNet: Mollahosseini, Hasani, Mahoor, IEEE TAC 2017. CK+: Lucey et al., CVPR Workshops 2010.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NEUTRAL = "neutral"
BASIC_EMOTIONS = ("surprise", "fear", "disgust", "happiness", "sadness", "anger")

_BASIC_OF_WORD = {
    "happily": "happiness",
    "sadly": "sadness",
    "fearfully": "fear",
    "angrily": "anger",
    "disgustedly": "disgust",
    "surprised": "surprise",
    "disgusted": "disgust",
    "fearful": "fear",
    "angry": "anger",
    "sad": "sadness",
}


@dataclass(frozen=True)
class LabelSet:
    """The labels of one data set.

    Attributes:
        classes: names in the order of the published class indices, 0 first.
        votes: names in the order of the published vote columns, or None where a set has no votes.
    """

    classes: tuple[str, ...]
    votes: tuple[str, ...] | None = None


RAFCE = LabelSet(
    classes=(
        "happily surprised",
        "happily disgusted",
        "sadly fearful",
        "sadly angry",
        "sadly surprised",
        "sadly disgusted",
        "fearfully angry",
        "fearfully surprised",
        "fearfully disgusted",
        "angrily surprised",
        "angrily disgusted",
        "disgustedly surprised",
        "happily fearful",
        "happily sad",
    ),
    votes=BASIC_EMOTIONS,
)
RAFDB = LabelSet(classes=(*BASIC_EMOTIONS, NEUTRAL))
RAFDB_COMPOUND = LabelSet(
    classes=tuple(name for name in RAFCE.classes[:12] if name != "fearfully disgusted"),
)
AFFECTNET = LabelSet(
    classes=(NEUTRAL, "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt"),
)
CKPLUS = LabelSet(
    classes=(NEUTRAL, "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise"),
)
FER2013 = LabelSet(classes=("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"))
FERPLUS = LabelSet(
    classes=("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"),
    votes=(
        *("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"),
        *("unknown", "NF"),  # NF: not a face
    ),
)


def from_card(card: Mapping[str, Any]) -> LabelSet:
    """Return the labels that a data set's card names."""
    votes = card["vote_names"]
    return LabelSet(tuple(card["classes"]), None if votes is None else tuple(votes))


_SAME = {
    "happy": "happiness",
    "joy": "happiness",
    "sad": "sadness",
    "angry": "anger",
    "surprised": "surprise",
    "disgusted": "disgust",
    "fearful": "fear",
    "afraid": "fear",
    "scared": "fear",
    "neutrality": NEUTRAL,
    "contemptuous": "contempt",
}


def canonical(name: str) -> str:
    """Return the name that this project uses for a class that others spell otherwise; an unknown one in small letters.

    Example:
        >>> canonical("Happy"), canonical("Happily_Surprised"), canonical("bored")
        ('happiness', 'happily surprised', 'bored')
    """
    words = " ".join(name.replace("_", " ").replace("-", " ").lower().split())
    return _SAME.get(words, words)


def basic_emotions(name: str) -> tuple[str, ...]:
    """Return the basic emotions of a class: two of a compound one, one of any other.

    Example:
        >>> basic_emotions("fearfully surprised"), basic_emotions("anger")
        (('fear', 'surprise'), ('anger',))
    """
    words = name.split()
    if len(words) == 1:
        return (name,)
    return tuple(_BASIC_OF_WORD[word] for word in words)


def compound_pair(name: str, columns: Sequence[str] = BASIC_EMOTIONS) -> tuple[int, int] | None:
    """Return the two of `columns` that a class is the compound of, or None where it is no such pair.

    Example:
        >>> compound_pair("sadly angry"), compound_pair("happiness"), compound_pair("very happy")
        ((4, 5), None, None)
    """
    found = [_BASIC_OF_WORD.get(word, "") for word in name.split()]
    if len(found) != 2 or found[0] == found[1] or not set(found) <= set(columns):
        return None
    return columns.index(found[0]), columns.index(found[1])


def why_not(target: str, card: Mapping[str, Any]) -> str | None:
    """Say why a data set does not allow a target (hard, votes or compound), or None where it does.

    Args:
        target: a value of the key `target`.
        card: with `votes` (are there any), `vote_names` (a list or None) and `classes`.

    Example:
        >>> why_not("votes", {"votes": False, "vote_names": None, "classes": ["anger"]})
        'no votes'
    """
    classes, columns = card["classes"], card["vote_names"] or BASIC_EMOTIONS
    are_pairs = all(compound_pair(name, columns) for name in classes)
    if target == "compound" and not are_pairs:
        return "its classes are not pairs of basic emotions"
    if target == "votes" and not card["votes"]:
        return "no votes"
    if target == "votes" and not (set(classes) <= set(columns) or are_pairs):
        return "its votes are on other emotions than its classes"
    return None
