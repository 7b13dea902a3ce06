"""How people call the splits, in the names of folders and in tables."""

SPLIT_OF_WORD = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "development"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
    **dict.fromkeys(("pool", "unlabelled", "unlabeled"), "pool"),
}


def split_of(word: str) -> str | None:
    """Return the split that a word means, whatever its case, or None.

    Example:
        >>> split_of("Valid"), split_of("happy")
        ('validation', None)
    """
    return SPLIT_OF_WORD.get(word.strip().lower())
