"""The Action Units that make up an emotion: weak labels for faces whose AUs nobody annotated.

Basic and compound emotions: Du, Tao & Martinez, "Compound facial expressions of emotion", PNAS 2014, table 1: the AUs
that more than 70 % of 230 people showed when they posed the emotion. Their variants (AU6 in happiness ...) are left
out. EMFACS (Ekman & Friesen, 1983) and the FACS Investigator's Guide list more AUs and alternatives of an emotion.

What that table lacks:
    contempt                      EMFACS: AU12 and AU14 of one side (sides are folded here as in the labels)
    neutral                       no AU
    happily fearful, happily sad  the union of both basic emotions' AUs

A prototype is what a pose shows, not what a face in the wild does: in RAF-CE's own annotations 49 % of the AUs that a
prototype claims are there, and 57 % of those annotated (of the prototypes' AUs) are claimed. So weak labels may teach,
and never score: see `join.join_prototypes`.
"""

from fer_core.errors import DataError
from fer_core.labels import basic_emotions

PROTOTYPES: dict[str, tuple[int, ...]] = {
    "happiness": (12, 25),
    "sadness": (4, 15),
    "fear": (1, 4, 20, 25),
    "anger": (4, 7, 24),
    "surprise": (1, 2, 25, 26),
    "disgust": (9, 10, 17),
    "happily surprised": (1, 2, 12, 25),
    "happily disgusted": (10, 12, 25),
    "sadly fearful": (1, 4, 20, 25),
    "sadly angry": (4, 15),
    "sadly surprised": (1, 4, 25, 26),
    "sadly disgusted": (4, 10),
    "fearfully angry": (4, 20, 25),
    "fearfully surprised": (1, 2, 5, 20, 25),
    "fearfully disgusted": (1, 4, 10, 20, 25),
    "angrily surprised": (4, 25, 26),
    "angrily disgusted": (4, 10, 17),
    "disgustedly surprised": (1, 2, 5, 10),
    "contempt": (12, 14),
    "neutral": (),
}


def prototype_aus(class_name: str) -> tuple[int, ...]:
    """Return the AU numbers of an emotion, ascending; a compound that the table lacks has those of both its emotions.

    Args:
        class_name: as `fer_core.labels` spells it.

    Raises:
        DataError: neither the table nor the rule for compounds knows the class.

    Example:
        >>> prototype_aus("sadly angry"), prototype_aus("happily sad")
        ((4, 15), (4, 12, 15, 25))
    """
    if class_name in PROTOTYPES:
        return PROTOTYPES[class_name]
    try:
        first, second = basic_emotions(class_name)
        return tuple(sorted({*PROTOTYPES[first], *PROTOTYPES[second]}))
    except (KeyError, ValueError):  # a word that is no emotion; one word, or three
        raise DataError(
            f"`au_labels: prototypes` knows the AUs of {', '.join(PROTOTYPES)} and of two basic emotions together; got "
            f"the class {class_name!r}. Use `au_labels: annotated`."
        ) from None
