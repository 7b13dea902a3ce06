"""Each alarm rings for its failure and is silent one step before it."""

import re

import numpy as np
import pytest

from fer_core.evaluation import alarms
from fer_core.evaluation.metrics import scores

NAMES = [f"class {letter}" for letter in "abcdef"]
TRUTH = np.array([0] * 40 + [1] * 20 + [2] * 15 + [3] * 12 + [4] * 8 + [5] * 5)


def test_collapsed_to_the_majority_class():
    result = scores(TRUTH, np.zeros(100, int), 6)
    assert alarms.collapsed(result, 6) == ["collapsed: predicts 1 of 6 classes"]  # accuracy equals the share


def test_accuracy_below_the_majority_share():
    guess = np.where(np.arange(100) < 39, TRUTH, (TRUTH + 1) % 6)
    (text,) = alarms.collapsed(scores(TRUTH, guess, 6), 6)
    assert text == "collapsed: accuracy 39.0 % is below the majority share 40.0 %"


def test_a_third_of_the_classes_is_enough():
    assert alarms.collapsed(scores(TRUTH, np.minimum(TRUTH, 1), 6), 6) == []


def test_never_predicted_names_the_largest_with_their_support():
    guess = np.where(TRUTH == 2, 0, TRUTH)
    assert alarms.never_predicted(scores(TRUTH, guess, 6), NAMES) == ["never predicts class c (15)"]
    (text,) = alarms.never_predicted(scores(TRUTH, np.zeros(100, int), 6), NAMES)
    assert text == "never predicts class b (20), class c (15), class d (12) and 2 more"
    assert alarms.never_predicted(scores(TRUTH, TRUTH, 6), NAMES) == []


def test_a_class_without_test_pictures_is_not_missed():
    assert alarms.never_predicted(scores([0, 1], [0, 1], 6), NAMES) == []


@pytest.mark.parametrize(("f1", "rings"), [((0.0,), True), ((0.4, 0.0), True), ((0.01,), False)])
def test_dead_au_head(f1, rings):
    assert bool(alarms.dead_au_head(*f1)) is rings


def test_no_au_head_or_undefined_f1_is_not_dead():
    assert alarms.dead_au_head(None, float("nan")) == [] == alarms.dead_au_head()


@pytest.mark.parametrize(("train", "validation", "rings"), [(0.96, 0.52, True), (0.75, 0.5, False), (None, 0.5, False)])
def test_gap_above_25_points(train, validation, rings):
    found = alarms.overfitted(train, validation)
    assert bool(found) is rings
    if rings:
        assert found == ["train-validation gap 44 points (96 % against 52 %)"]


def test_not_converged_names_the_members():
    assert alarms.not_converged(False) == ["not converged"]
    assert alarms.not_converged(True) == alarms.not_converged(None) == []
    members = {"train/member-vit": False, "train/member-resnet": True}
    assert alarms.not_converged(False, members) == ["not converged: member-vit"]


def test_nan_in_history_or_predictions():
    fine = [{"epoch": 1, "train_loss": 1.0, "validation_loss": 1.0}]
    assert alarms.not_a_number(fine, np.zeros((2, 3))) == []
    broken = [*fine, {"epoch": 2, "train_loss": None, "validation_loss": 1.0}, {"epoch": 3, "train_loss": None}]
    assert alarms.not_a_number(broken, np.zeros((2, 3))) == ["train_loss is NaN from epoch 2 on"]
    values = np.zeros((4, 3))
    values[1:3, 0] = np.nan
    assert alarms.not_a_number([], values) == ["2 predictions are NaN"]
    assert alarms.not_a_number([], np.full((1, 2), -np.inf)) == []  # probability 0 is a number


@pytest.mark.parametrize(
    ("recipe", "told"),
    [
        ({"loss": "cb", "sampler": "weighted"}, "two imbalance corrections at once: sampler weighted and loss cb"),
        ({"loss": "logit_adjusted", "sampler": "balanced"}, "sampler balanced and loss logit_adjusted"),
        ({"loss": "ldam", "sampler": "square_root"}, "sampler square_root and loss ldam"),
        ({"loss": "ce", "sampler": "weighted", "drw": 0.8}, "sampler weighted and drw"),
        ({"loss": "balanced_softmax", "sampler": "none", "drw": 0.8}, "loss balanced_softmax and drw"),
        ({"loss": "cb", "sampler": "weighted", "meta": "meta_weight"}, "three .* loss cb and meta_weight"),
        ({"loss": "cb", "sampler": "none"}, None),
        ({"loss": "cb", "sampler": "none", "drw": 0.8}, None),
        ({"loss": "ldam", "sampler": "curriculum", "drw": 0.8}, None),
        ({"loss": "ce", "sampler": "weighted", "drw": None, "meta": "none"}, None),
        ({"loss": "focal", "sampler": "weighted", "meta": "maml"}, None),
        ({}, None),
    ],
)
def test_two_corrections(recipe, told):
    found = alarms.two_corrections(recipe)
    assert len(found) == (told is not None)
    assert told is None or re.search(told, found[0])


def test_collapsed_pretraining():
    def told(**end):
        return alarms.collapsed_pretraining([{"epoch": 1, "feature_deviation": 0.0}, {"epoch": 2, **end}], 4)

    healthy = {"feature_deviation": 0.5, "knn_uar": 0.3, "probe_uar": 0.2}
    assert told(**healthy) == told(**healthy | {"knn_uar": 0.2, "probe_uar": 0.3}) == [], "the last epoch counts"
    assert told(**healthy | {"feature_deviation": 0.0099}) == ["pretraining collapsed: features deviate by 0.0099"]
    assert told(**healthy | {"feature_deviation": None}) == ["pretraining collapsed: features deviate by None"]
    blind = ["pretraining learned nothing of the classes: kNN UAR 25.0 %, chance or less"]
    assert told(**healthy | {"knn_uar": 0.25, "probe_uar": 0.1}) == blind
    assert told(feature_deviation=0.5) == told(feature_deviation=0.5, knn_uar=None, probe_uar=None) == []
    assert alarms.collapsed_pretraining([], 4) == []


def split_of(*classes: tuple[int, int]):
    """Scores over classes that have (right, wrong) faces each; the wrong ones are taken for the next class."""
    truth = [k for k, (right, wrong) in enumerate(classes) for _ in range(right + wrong)]
    guess = [
        (k + (i >= right)) % len(classes) for k, (right, wrong) in enumerate(classes) for i in range(right + wrong)
    ]
    return scores(truth, guess, len(classes))


def test_splits_disagree():
    validation = split_of((300, 100), (150, 150), (20, 80))
    told = alarms.splits_disagree(validation, split_of((250, 150), (115, 185), (10, 90)))
    assert len(told) == 1
    assert told[0].startswith(
        "validation and test disagree beyond chance: accuracy 58.8 % against 46.9 %, p = 3e-07 within"
    )
    better = alarms.splits_disagree(split_of((250, 150), (115, 185), (10, 90)), validation)
    assert better[0].endswith(told[0].split(",")[1]), "better on test is as odd"
    assert alarms.splits_disagree(validation, split_of((280, 120), (138, 162), (16, 84))) == []


def test_another_mix_of_classes_is_no_disagreement():
    validation, test = split_of((320, 80), (20, 80)), split_of((80, 20), (80, 320))
    assert validation.accuracy - test.accuracy == pytest.approx(0.36)
    assert alarms.splits_disagree(validation, test) == []


@pytest.mark.parametrize(
    ("validation", "test"),
    [
        (scores([0] * 50, [0] * 50, 2), scores([1] * 50, [0] * 50, 2)),  # no class in common
        (scores([0] * 50, [0] * 50, 2), scores([0] * 50, [0] * 50, 2)),  # no mistake
        (scores([0] * 50, [0] * 50, 2), scores([], [], 2)),
        (scores([0], [0], 2), scores([0], [1], 2)),
    ],
)
def test_splits_that_cannot_be_compared_say_nothing(validation, test):
    with np.errstate(all="raise"):
        assert alarms.splits_disagree(validation, test) == []


def test_nan_in_any_term_of_the_loss():
    row = {"epoch": 4, "train_loss": 1.0, "emotion_loss": 1.0, "few_shot_loss": None}
    assert alarms.not_a_number([row], np.zeros((1, 2))) == ["few_shot_loss is NaN from epoch 4 on"]


def test_copied_faces():
    assert alarms.copied_faces({"state": "not_needed"}) == []
    assert alarms.copied_faces({"copies_features": 0.05, "copies_pixels": 0.01}) == []
    both = alarms.copied_faces({"copies_features": 0.051, "copies_pixels": 1.0})
    assert both == ["synthetic faces look copied: 100 % by pixels, 5 % by features"]
    assert alarms.copied_faces({"copies_features": float("nan"), "copies_pixels": None}) == []


def test_blind_identity():
    assert alarms.blind_identity([]) == alarms.blind_identity([{"verification_accuracy": None}]) == []
    assert alarms.blind_identity([{"verification_accuracy": 0.4}, {"verification_accuracy": 0.51}]) == []
    told = ["identity pretraining learned nothing: verification accuracy 50 %"]
    assert alarms.blind_identity([{"verification_accuracy": 0.9}, {"verification_accuracy": 0.5}]) == told


def test_unlike_faces():
    assert (
        alarms.unlike_faces({"state": "not_needed"}) == alarms.unlike_faces({"frechet": None, "frechet_floor": 1}) == []
    )
    assert alarms.unlike_faces({"frechet": 10.0, "frechet_floor": 1.0}) == []
    told = ["synthetic faces are unlike real ones: Fréchet distance 30.7 against 1.5"]
    assert alarms.unlike_faces({"frechet": 30.74, "frechet_floor": 1.47}) == told
