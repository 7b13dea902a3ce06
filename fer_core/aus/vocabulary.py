"""FACS: what each Action Unit is, which half of the face it moves, and the 22 that RAF-CE annotates.

Ekman, Friesen, "Facial Action Coding System", 1978; Ekman, Friesen, Hager, 2002.
"""

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

# L left, R right; T top, B bottom: the upper or lower lip alone.
LATERALITY = "LRTB"
_OTHER_SIDE = {"L": "R", "R": "L"}


def column(number: int) -> str:
    """Return the manifest's column of an AU.

    Example:
        >>> column(12)
        'AU12'
    """
    return f"AU{number}"


def mirrored(name: str) -> str:
    """Return the column that an AU's column becomes in a mirror.

    No source writes columns with a side yet; one that does names them as FACS writes a unilateral AU, number first.

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
