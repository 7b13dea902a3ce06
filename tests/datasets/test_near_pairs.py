"""The search for likely pairs finds what comparing all pairs finds, and its parts are what they say."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from benchmarks.growth_cases import small_copies
from benchmarks.leakage import every_pair
from fer_core.datasets import near_pairs
from fer_core.datasets.duplicates import Seen, same_pictures


def seen_of(small: np.ndarray) -> Seen:
    return Seen([str(k) for k in range(len(small))], [""] * len(small), small, np.ones(len(small), bool))


def test_features_are_cosine_coefficients_and_mirroring_changes_their_signs() -> None:
    seen = seen_of(small_copies(5))
    copies = seen.copies()
    found = near_pairs.features(copies)
    coefficients = [cv2.dct(copy) for copy in copies]  # orthonormal too
    # (0, 1), (1, 0), then (0, 2), (1, 1), (2, 0)
    expected = [[c[0, 1], c[1, 0], c[0, 2], c[1, 1], c[2, 0]] for c in coefficients]
    assert np.allclose(found[:, :5], expected, atol=1e-5) and found.shape == (5, 24)
    turned = near_pairs.features(np.ascontiguousarray(copies[:, :, ::-1]))
    assert np.allclose(turned, near_pairs.mirrored(found, 32), atol=1e-5)
    assert np.allclose(turned[:, 0], -found[:, 0], atol=1e-5) and np.allclose(turned[:, 1], found[:, 1], atol=1e-5)


def test_no_pair_that_correlates_is_left_out_by_its_features() -> None:
    copies = seen_of(small_copies(400)).copies()
    i, j = np.triu_indices(400, 1)
    flat = copies.reshape(400, -1)
    same = np.einsum("ij,ij->i", flat[i], flat[j]) >= 0.8
    values = near_pairs.features(copies)
    near = near_pairs.close(values[i], values[j], 0.8)
    assert same.sum() >= 5 and near[same].all() and near.mean() < 0.1


def test_buckets_find_what_all_pairs_find(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = seen_of(small_copies(6000))
    whole = same_pictures(seen)
    monkeypatch.setattr(near_pairs, "EVERY", 100)
    monkeypatch.setattr(near_pairs, "_AT_ONCE", 5000)  # several parts
    found = same_pictures(seen)
    for name, values in vars(whole).items():
        assert np.array_equal(values, getattr(found, name)), name
    assert len(whole.first) > 150 and 50 < whole.mirrored.sum() < len(whole.first) - 50
    pairs = set(zip(whole.first.tolist(), whole.second.tolist(), strict=True))
    assert pairs <= every_pair(seen)


def test_a_bucket_larger_than_what_is_held_at_once_comes_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_pairs, "_AT_ONCE", 4)
    order, start, size = np.array([7, 3, 5, 1, 2]), np.array([0, 3, 1]), np.array([3, 0, 4])
    found = [
        (int(a), int(b)) for i, j in near_pairs._members(10, order, start, size) for a, b in zip(i, j, strict=True)
    ]
    assert found == [(10, 7), (10, 3), (10, 5), (12, 3), (12, 5), (12, 1), (12, 2)]


def test_copies_of_one_picture_beyond_the_limit_are_all_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_pairs, "EVERY", 10)
    small = np.repeat(small_copies(1), 60, axis=0)
    assert len(same_pictures(seen_of(small)).first) == 60 * 59 // 2


def test_no_usable_picture_is_no_pair() -> None:
    seen = seen_of(small_copies(3))
    assert len(same_pictures(replace(seen, usable=np.zeros(3, bool))).first) == 0
    assert len(same_pictures(seen_of(small_copies(0))).first) == 0
