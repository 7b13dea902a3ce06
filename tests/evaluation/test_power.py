"""The detectable gain: by hand, back through Connor's formula, and by the exact power of the exact test."""

import math

import numpy as np
import pytest
from scipy.stats import binom, norm

from fer_core.errors import DataError
from fer_core.evaluation.paired import mcnemar
from fer_core.evaluation.power import detectable_gain


@pytest.mark.parametrize(
    ("n", "discordant", "power", "alpha"),
    [(909, 0.3, 0.8, 0.05), (909, 0.02, 0.8, 0.05), (60, 0.5, 0.9, 0.05), (5000, 1.0, 0.6, 0.01)],
)
def test_connors_formula_gives_the_faces_back(n, discordant, power, alpha):
    gain = detectable_gain(n, discordant, power, alpha) / 100
    z = norm.ppf([1 - alpha / 2, power])
    needed = (z[0] * math.sqrt(discordant) + z[1] * math.sqrt(discordant - gain**2)) ** 2 / gain**2
    assert needed == pytest.approx(n, rel=1e-9)


def test_hand_worked():
    """δ = √0.3 · (1.96 · √909 + 0.8416 · √(909 + 0.7083 - 3.8415)) / (909 + 0.7083), by pocket calculator."""
    assert detectable_gain(909, 0.3) == pytest.approx(5.083, abs=2e-3)


def exact_power(n: int, discordant: float, gain: float, alpha: float = 0.05) -> float:
    """The chance that the exact test rejects: over the discordant faces, and over those the candidate wins."""
    counts = np.arange(n + 1)
    weights = binom.pmf(counts, n, discordant)
    power = 0.0
    for m in counts[weights > 1e-10]:
        wins = np.arange(m + 1)
        p_values = np.minimum(1.0, 2 * binom.cdf(np.minimum(wins, m - wins), m, 0.5))
        share = (discordant + gain) / (2 * discordant)
        power += weights[m] * binom.pmf(wins, m, share)[p_values <= alpha].sum()
    return float(power)


@pytest.mark.parametrize(
    ("n", "discordant"), [(60, 0.3), (60, 0.5), (300, 0.1), (300, 0.3), (909, 0.02), (909, 0.3), (2000, 0.3)]
)
def test_the_exact_test_finds_it_in_three_of_four_tries_or_more(n, discordant):
    gain = detectable_gain(n, discordant) / 100
    assert 0.75 <= exact_power(n, discordant, gain) <= 0.8
    assert exact_power(n, discordant, 0.7 * gain) < 0.6


def test_the_power_of_the_tables_own_test_by_simulation():
    n, discordant = 300, 0.2
    gain = detectable_gain(n, discordant) / 100
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(1500):
        draw = rng.random(n)
        only_new = draw < (discordant + gain) / 2
        only_old = ~only_new & (draw < discordant)
        found += mcnemar(~only_old, ~only_new)[0] < 0.05
    assert found / 1500 == pytest.approx(exact_power(n, discordant, gain), abs=0.04)


def test_more_faces_show_less_and_more_disagreement_hides_more():
    gains = [detectable_gain(n, 0.3) for n in (50, 200, 909, 5000)]
    assert gains == sorted(gains, reverse=True)
    assert detectable_gain(909, 0.1) < detectable_gain(909, 0.3) < detectable_gain(909, 0.6)
    assert detectable_gain(909, 0.3, power=0.9) > detectable_gain(909, 0.3) < detectable_gain(909, 0.3, alpha=0.01)


@pytest.mark.parametrize(("n", "discordant"), [(0, 0.3), (909, 0.0), (3, 0.5), (5, 1.0), (909, 0.005), (12, 0.5)])
def test_where_no_gain_can_be_found_it_is_nan(n, discordant):
    assert math.isnan(detectable_gain(n, discordant))


def test_no_gain_is_larger_than_the_disagreement():
    found = [(d, detectable_gain(60, d)) for d in np.linspace(0.01, 1, 100)]
    assert all(math.isnan(gain) or gain <= 100 * d for d, gain in found)


@pytest.mark.parametrize("wrong", [{"n": -1}, {"discordant": 1.2}, {"power": 0.5}, {"power": 1}, {"alpha": 0}])
def test_what_is_out_of_range_is_refused(wrong):
    with pytest.raises(DataError, match="Expected"):
        detectable_gain(**{"n": 909, "discordant": 0.3} | wrong)
