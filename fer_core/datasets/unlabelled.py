"""Pictures that lie among those of a set but have no label: counted in a note, never taken in silently."""

from collections.abc import Container, Mapping
from pathlib import Path

from fer_core.datasets.lines import picture_key
from fer_core.datasets.pictures import pictures_in


def note(files: Mapping[str, Path], labelled: Container[str], label_file: str) -> list[str]:
    """Return a note on the pictures without a label, or none where all have one.

    Looks where the labelled pictures were found; `0001.jpg` and `0001_aligned.jpg` are one picture.

    Args:
        files: picture key -> file of the labelled pictures that are there.
        labelled: the keys that have a label.
        label_file: its name, for the note.
    """
    places = sorted({path.parent for path in files.values()})
    keys = {picture_key(path.name) for place in places for path in pictures_in(place)}
    bare = sorted(key for key in keys if key not in labelled)
    return [f"{len(bare)} pictures have no line in {label_file} and are left out, such as {bare[0]}"] if bare else []
