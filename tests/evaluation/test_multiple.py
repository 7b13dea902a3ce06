"""Holm's correction by hand, with rows that were not tested; against statsmodels in tests/golden."""

import math

import pytest

from fer_core.errors import DataError
from fer_core.evaluation.multiple import holm


def test_hand_worked():
    """Sorted 0.01, 0.02, 0.03, 0.5: times 4, 3, 2, 1, none below the one before."""
    assert holm([0.5, 0.01, 0.03, 0.02]) == pytest.approx([0.5, 0.04, 0.06, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]


def test_rows_without_a_test_stay_and_are_not_counted():
    found = holm([None, 0.03, float("nan"), 0.02])
    assert found[0] is None and math.isnan(found[2])
    assert [found[1], found[3]] == [0.04, 0.04]
    assert holm([]) == [] and holm([None]) == [None] and holm([0.2]) == [0.2]


@pytest.mark.parametrize("wrong", [-0.1, 1.1])
def test_what_is_not_a_probability_is_refused(wrong):
    with pytest.raises(DataError, match=f"in 0..1; got {wrong}"):
        holm([0.5, wrong])
