"""Tests of significance against statsmodels and SciPy: McNemar, Holm, Cochran-Mantel-Haenszel, the paired bootstrap."""

import numpy as np
import pytest
from scipy.stats import bootstrap, chi2
from statsmodels.stats.contingency_tables import StratifiedTable
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests

from fer_core.evaluation import alarms
from fer_core.evaluation.metrics import scores
from fer_core.evaluation.multiple import holm
from fer_core.evaluation.paired import Judge, mcnemar


@pytest.mark.parametrize(("n", "left", "right"), [(300, 0.6, 0.6), (300, 0.7, 0.55), (40, 0.5, 0.7), (9, 0.4, 0.6)])
def test_mcnemar_equals_statsmodels(n, left, right):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        candidate, reference = rng.random(n) < left, rng.random(n) < right
        table = [[(candidate & reference).sum(), (candidate & ~reference).sum()]]
        table += [[(~candidate & reference).sum(), (~candidate & ~reference).sum()]]
        p_value, wins, losses = mcnemar(candidate, reference)
        assert p_value == pytest.approx(statsmodels_mcnemar(table, exact=True).pvalue, rel=1e-9)
        assert [wins, losses] == [table[0][1], table[1][0]]


@pytest.mark.parametrize("count", [1, 2, 7, 60])
def test_holm_equals_statsmodels(count):
    rng = np.random.default_rng(count)
    p_values = np.concatenate([rng.random(count) ** 4, [0.0, 1.0, 0.02, 0.02]])  # extremes and ties
    expected = multipletests(p_values, method="holm")[1]
    np.testing.assert_allclose(holm(p_values.tolist()), expected, rtol=1e-12)


def test_the_paired_interval_of_a_gain_in_accuracy_equals_scipy():
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 4, 500)
    old = np.where(rng.random(500) < 0.5, labels, rng.integers(0, 4, 500))
    new = np.where(rng.random(500) < 0.4, labels, old)
    found = Judge(labels, {"new": new, "old": old}, classes=4, resamples=10_000).compare("new", "old").accuracy

    def gain(left, right, axis):
        return 100 * (left.mean(axis=axis) - right.mean(axis=axis))

    expected = bootstrap(
        ((new == labels).astype(float), (old == labels).astype(float)),
        gain,
        paired=True,
        method="percentile",
        n_resamples=10_000,
        rng=np.random.default_rng(5),
    ).confidence_interval
    # 10,000 draws know the ends of an interval 6 points wide to about 0.1 point
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.3)


@pytest.mark.parametrize("drop", [0.0, 0.1, 0.25])
def test_the_disagreement_of_splits_equals_statsmodels(drop, monkeypatch):
    rng = np.random.default_rng(8)
    splits = []
    for count, mix, right in ((400, [0.5, 0.3, 0.15, 0.05], 0.6), (300, [0.2, 0.3, 0.3, 0.2], 0.6 - drop)):
        labels = rng.choice(4, size=count, p=mix)
        splits.append(scores(labels, np.where(rng.random(count) < right, labels, (labels + 1) % 4), 4))
    tables = []
    for k in range(4):
        hits = [int(split.confusion[k, k]) for split in splits]
        tables.append([[hits[0], splits[0].support[k] - hits[0]], [hits[1], splits[1].support[k] - hits[1]]])
    statistic = StratifiedTable(tables).test_null_odds(correction=False).statistic
    expected = float(chi2.sf(statistic, 1))  # their own p is 1 - cdf, which cancels
    # it rings just above the expected p, and not just below
    monkeypatch.setattr(alarms, "CHANCE", expected * (1 + 1e-9))
    assert len(alarms.splits_disagree(*splits)) == 1
    monkeypatch.setattr(alarms, "CHANCE", expected * (1 - 1e-9))
    assert alarms.splits_disagree(*splits) == []
