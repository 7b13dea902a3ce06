import json
from pathlib import Path

import numpy as np
import pytest

from fer_core.datasets.registry import names_of
from fer_core.errors import ConfigError
from fer_core.labels import BASIC_EMOTIONS, FERPLUS, RAFCE, basic_emotions

STATISTICS = Path(__file__).parents[2] / ".." / "shared" / "data" / "rafce_labels" / "statistics.json"


def test_every_compound_class_has_two_basic_emotions_and_no_two_are_alike() -> None:
    pairs = [frozenset(basic_emotions(name)) for name in RAFCE.classes]
    assert all(len(pair) == 2 and pair <= set(BASIC_EMOTIONS) for pair in pairs)
    assert len(set(pairs)) == 14


@pytest.mark.skipif(not STATISTICS.is_file(), reason="RAF-CE's statistics are not beside the repository")
def test_a_compound_class_is_its_two_most_voted_emotions_in_the_real_votes() -> None:
    means = json.loads(STATISTICS.read_text())["mean_vote_vector"]
    for name in RAFCE.classes:
        top = np.argsort(means[name])[-2:]
        assert {BASIC_EMOTIONS[k] for k in top} == set(basic_emotions(name)), name


def test_ferplus_votes_begin_with_its_classes() -> None:
    assert FERPLUS.votes is not None
    assert FERPLUS.votes[:8] == FERPLUS.classes


def test_an_unknown_set_is_refused_with_the_nearest_and_a_set_that_stands_twice() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'fer2013'"):
        names_of("fer2031")
    with pytest.raises(ConfigError, match="Expected `data` to be one of"):
        names_of("rafce+")
    with pytest.raises(ConfigError, match="each set once"):
        names_of("rafce+rafce")
