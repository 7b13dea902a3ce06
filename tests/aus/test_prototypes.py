from pathlib import Path

import numpy as np
import pytest

from fer_core.aus.prototypes import PROTOTYPES, prototype_aus
from fer_core.aus.rafce import read_file
from fer_core.aus.vocabulary import NAMES
from fer_core.datasets.lines import read_values
from fer_core.errors import DataError
from fer_core.labels import AFFECTNET, CKPLUS, FER2013, FERPLUS, RAFCE, RAFDB, RAFDB_COMPOUND

REAL = Path(__file__).parents[2] / ".." / "shared" / "data" / "rafce_labels"


def test_every_class_of_every_set_has_a_prototype() -> None:
    for labels in (RAFCE, RAFDB, RAFDB_COMPOUND, AFFECTNET, CKPLUS, FER2013, FERPLUS):
        for name in labels.classes:
            aus = prototype_aus(name)
            assert list(aus) == sorted(set(aus)) and set(aus) <= set(NAMES)
            assert bool(aus) == (name != "neutral")


def test_the_published_table() -> None:
    """Du, Tao & Martinez 2014, table 1: the largest, the smallest, and two classes alike there."""
    assert prototype_aus("fearfully surprised") == (1, 2, 5, 20, 25)
    assert prototype_aus("sadly disgusted") == (4, 10)
    assert prototype_aus("fear") == prototype_aus("sadly fearful") == (1, 4, 20, 25)
    assert prototype_aus("disgustedly surprised") == (1, 2, 5, 10)
    assert prototype_aus("contempt") == (12, 14), "EMFACS: one-sided, and sides are folded"


def test_a_compound_that_the_table_lacks_is_the_union_of_both() -> None:
    lacking = set(RAFCE.classes) - set(PROTOTYPES)
    assert lacking == {"happily fearful", "happily sad"}
    assert prototype_aus("happily fearful") == (1, 4, 12, 20, 25)
    assert prototype_aus("happily sad") == (4, 12, 15, 25)


@pytest.mark.parametrize("name", ["bored", "very happy", "Happiness", "unknown", "angry sad surprised", ""])
def test_an_unknown_class_names_the_key(name: str) -> None:
    with pytest.raises(DataError, match=f"`au_labels: prototypes` knows .* got the class '{name}'"):
        prototype_aus(name)


@pytest.mark.skipif(not REAL.is_dir(), reason="the real RAF-CE label files are not beside the repository")
def test_prototypes_agree_with_what_people_annotated() -> None:
    """Of 51 pairs of class and AU, 44 are more frequent in the class than over all; with wrong classes, 21 to 28."""
    aus = read_file(REAL / "RAFCE_AUlabel.txt").table
    emotion = read_values(REAL / "RAFCE_emolabel.txt", int, "a class index")
    of_class = aus.groupby(np.array([emotion[key] for key in aus.index])).mean()
    more = of_class.gt(aus.mean())

    def agreeing(shift: int) -> int:
        return sum(
            bool(more.loc[(k + shift) % len(RAFCE.classes), f"AU{number}"])
            for k, name in enumerate(RAFCE.classes)
            for number in prototype_aus(name)
        )

    assert sum(len(prototype_aus(name)) for name in RAFCE.classes) == 51
    assert agreeing(0) >= 42
    assert max(agreeing(shift) for shift in range(1, 14)) <= 30
