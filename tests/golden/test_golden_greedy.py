"""Ensemble selection: by hand, as a naive transcription of Caruana et al. 2004 with scikit-learn's F1; honest."""

import numpy as np
import pytest
from ensemble_members import made_members
from sklearn.metrics import f1_score

from fer_core.ensemble import fit
from fer_core.ensemble import greedy as module
from fer_core.ensemble.combiner import FLOOR
from fer_core.ensemble.greedy import fit as fit_greedy


def score(probabilities, labels):
    """Macro-F1 of the classes that occur, then the mean log-likelihood."""
    present = np.unique(labels)
    f1 = f1_score(labels, probabilities.argmax(axis=1), labels=present, average="macro", zero_division=0)
    likelihood = [max(np.log(probabilities[i, label]), FLOOR) for i, label in enumerate(labels)]
    return round(f1, 12), round(float(np.mean(likelihood)), 12)


def naive(logs, labels, steps, first):
    """Section 2 of the paper: sorted initialisation (2.3), then selection with replacement (2.2), best of the path."""
    library = list(np.exp(logs))
    ranked = sorted(range(len(library)), key=lambda m: score(library[m], labels), reverse=True)
    starts = [ranked[:n] for n in range(1, min(first, len(ranked)) + 1)]
    bag = max(starts, key=lambda names: score(np.mean([library[m] for m in names], axis=0), labels))
    best, best_score = bag, score(np.mean([library[m] for m in bag], axis=0), labels)
    for _ in range(steps):
        trials = [[*bag, m] for m in range(len(library))]
        bag = max(trials, key=lambda names: score(np.mean([library[m] for m in names], axis=0), labels))
        reached = score(np.mean([library[m] for m in bag], axis=0), labels)
        if reached > best_score:
            best, best_score = bag, reached
    return np.array([best.count(m) / len(best) for m in range(len(library))])


@pytest.mark.parametrize("seed", range(4))
def test_a_naive_transcription_of_the_paper(seed, monkeypatch):
    monkeypatch.setattr(module, "STEPS", 12)
    logs, labels = made_members(60, skill=(1.2, 1.0, 0.8, 0.6, 0.4, 0.2, 0.0), seed=seed)
    weights = fit_greedy(logs, labels, 0).weights
    assert weights.tolist() == pytest.approx(naive(logs, labels, 12, 5).tolist())
    assert weights.sum() == pytest.approx(1)


def one_face_each(*rows):
    """Members' probabilities of the true class, two classes, labels all 0 but the last face's."""
    true = np.array(rows)
    p = np.stack([true, 1 - true], axis=2)
    p[:, -1] = p[:, -1, ::-1]
    return np.log(p), np.array([0] * (true.shape[1] - 1) + [1])


def test_a_member_is_picked_again_until_it_outweighs_by_hand():
    # a is right on faces 1, 2 and 4, by a little; b on face 3 alone, by much. It starts with a, the better one, and
    # a + b would be right on face 3 alone (0.475 of the others), so a comes again; then 2a + b is right on all four:
    # (2 · 0.6 + 0.35) / 3 = 0.517 and (2 · 0.443 + 0.9) / 3 = 0.595. More of a makes the labels likelier, as far as
    # face 3 stays right: a share s has 0.443 s + 0.9 (1 − s) > 0.5 there up to s = 0.4 / 0.457 = 0.8753
    logs, labels = one_face_each([0.6, 0.6, 0.443, 0.6], [0.35, 0.35, 0.9, 0.35])
    weights = fit_greedy(logs, labels, 0).weights
    assert 6 / 7 <= weights[0] < 0.4 / 0.457
    assert np.tensordot(weights, np.exp(logs), axes=1).argmax(axis=1).tolist() == labels.tolist()


def test_a_perfect_member_stays_alone_by_hand():
    logs, labels = one_face_each([0.9, 0.9, 0.9, 0.9], [0.2, 0.8, 0.3, 0.4])
    assert fit_greedy(logs, labels, 0).weights.tolist() == [1.0, 0.0]


def test_it_ends_no_worse_than_any_member_and_any_start():
    logs, labels = made_members(200, skill=(1.0, 0.9, 0.8, 0.1, 0.0, 0.0))
    weights = fit_greedy(logs, labels, 0).weights
    reached = score(np.tensordot(weights, np.exp(logs), axes=1), labels)
    assert all(reached >= score(np.exp(one), labels) for one in logs)
    picks = weights / weights[weights > 0].min()
    assert picks.sum() <= module.STEPS + module.FIRST + 1e-9


def test_good_members_in_a_library_of_noise_are_found():
    logs, labels = made_members(600, skill=(3.0, 2.5, *[0.0] * 18))
    fitted = fit("greedy", logs, labels)
    assert fitted.weights[:2].min() > 4 * fitted.weights[2:].max() and (fitted.weights[2:] == 0).sum() > 5
    reached = score(np.exp(fitted.cross_fitted), labels)
    assert reached > score(np.exp(fit("mean", logs, labels).cross_fitted), labels)
    assert reached > max(score(np.exp(one), labels) for one in logs)


def test_the_same_twice_whatever_the_seed():
    logs, labels = made_members(80)
    first = fit_greedy(logs, labels, 0).weights
    assert fit_greedy(logs, labels, 0).weights.tolist() == first.tolist()
    assert fit_greedy(logs, labels, 7).weights.tolist() == first.tolist()


def test_pure_noise_looks_good_to_the_selection_and_not_after_cross_fitting():
    generator = np.random.default_rng(0)
    logs = np.log(generator.dirichlet(np.ones(4), size=(30, 80)))
    labels = generator.integers(0, 4, 80)
    fitted = fit("greedy", logs, labels)
    in_sample = (fitted.predict(logs).argmax(axis=1) == labels).mean()
    honest = (fitted.cross_fitted.argmax(axis=1) == labels).mean()
    assert in_sample > 0.45 and honest < in_sample - 0.1
