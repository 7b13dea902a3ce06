"""FACS: what each Action Unit is, which half of the face it moves, and the 22 that RAF-CE annotates.

Ekman, Friesen, "Facial Action Coding System", 1978; Ekman, Friesen, Hager, 2002.

A column is `AU12`, or `AU12L`, `AU22B`, `AU18TR` where only a part of the face is meant: number first, then the lip
(T top, B bottom), then the side of the person (L left, R right).
"""

import re

UPPER_FACE = {
    1: "inner brow raiser",
    2: "outer brow raiser",
    4: "brow lowerer",
    5: "upper lid raiser",
    6: "cheek raiser",
    7: "lid tightener",
    41: "lid droop",
    42: "slit",
    43: "eyes closed",
    44: "squint",
    45: "blink",
    46: "wink",
}
LOWER_FACE = {
    8: "lips toward each other",
    9: "nose wrinkler",
    10: "upper lip raiser",
    11: "nasolabial deepener",
    12: "lip corner puller",
    13: "sharp lip puller",
    14: "dimpler",
    15: "lip corner depressor",
    16: "lower lip depressor",
    17: "chin raiser",
    18: "lip pucker",
    19: "tongue show",
    20: "lip stretcher",
    21: "neck tightener",
    22: "lip funneler",
    23: "lip tightener",
    24: "lip pressor",
    25: "lips part",
    26: "jaw drop",
    27: "mouth stretch",
    28: "lip suck",
    29: "jaw thrust",
    30: "jaw sideways",
    31: "jaw clencher",
    32: "lip bite",
    33: "cheek blow",
    34: "cheek puff",
    35: "cheek suck",
    36: "tongue bulge",
    37: "lip wipe",
    38: "nostril dilator",
    39: "nostril compressor",
}
NAMES = UPPER_FACE | LOWER_FACE

# The AUs that RAF-CE marks on at least 2 % of its faces; its others stand on fewer than 40 of 4,549.
RAFCE = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 16, 17, 18, 20, 22, 23, 24, 25, 26, 27, 43)

# Those that about 2 % of CK+'s 593 peaks or more show (Lucey et al. 2010; not counted on the files themselves).
CKPLUS = (1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 16, 17, 20, 23, 24, 25, 26, 27, 38, 39)
# All that DISFA annotates.
DISFA = (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26)

# L left, R right; T top, B bottom: the upper or lower lip alone.
LATERALITY = "LRTB"
_OTHER_SIDE = {"L": "R", "R": "L"}
_OPPOSITE = _OTHER_SIDE | {"T": "B", "B": "T"}
_WORDS = {"T": "upper lip", "B": "lower lip", "L": "left", "R": "right"}
_COLUMN = re.compile(r"AU([1-9]\d?)([TB]?[LR]?)")


def column(number: int, part: str = "") -> str:
    """Return the manifest's column of an AU, or of its part.

    Example:
        >>> column(12), column(18, "BL")
        ('AU12', 'AU18BL')
    """
    return f"AU{number}{part}"


def number_and_part(name: str) -> tuple[int, str]:
    """Return an AU's number and the part of the face that its column is of, "" for all of it.

    Raises:
        ValueError: the name is no AU's column.

    Example:
        >>> number_and_part("AU12"), number_and_part("AU18BL")
        ((12, ''), (18, 'BL'))
    """
    match = _COLUMN.fullmatch(name)
    if not match:
        raise ValueError(name)
    return int(match[1]), match[2]


def title(name: str) -> str:
    """Return in words what an AU's column is.

    Example:
        >>> title("AU12"), title("AU18BL")
        ('lip corner puller', 'lip pucker, lower lip, left')
    """
    number, part = number_and_part(name)
    return ", ".join([NAMES[number], *(_WORDS[letter] for letter in part)])


def overlap(part: str, other: str) -> bool:
    """Return whether two parts of a face have a piece in common: T and B, or L and R, have none.

    Example:
        >>> overlap("", "L"), overlap("L", "R"), overlap("T", "L"), overlap("BL", "B"), overlap("BL", "TL")
        (True, False, True, True, False)
    """
    return not any(_OPPOSITE[letter] in other for letter in part)


def mirrored(name: str) -> str:
    """Return the column that an AU's column becomes in a mirror.

    Example:
        >>> mirrored("AU12L"), mirrored("AU12")
        ('AU12R', 'AU12')
    """
    return name[:-1] + _OTHER_SIDE.get(name[-1], name[-1]) if name else name


def both_sides(name: str) -> str:
    """Return an AU's column without its side.

    Example:
        >>> both_sides("AU12L"), both_sides("AU12")
        ('AU12', 'AU12')
    """
    return name.rstrip(LATERALITY)
