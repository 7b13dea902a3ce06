"""Each alarm of a training history rings for its failure and is silent one step before it."""

import pytest

from fer_core.evaluation.history_alarms import diverging, loss_terms_apart

ALL = {"emotion_loss": 1.0, "au_loss": 1.0, "au_intensity_loss": 1.0, "few_shot_loss": 1.0, "attention_loss": 1.0}
RECIPE = {"au_weight": 0.5, "au_intensity": 0.5, "few_shot_weight": 0.1, "attention_weight": 0.1}


def apart(recipe=None, **end):
    """What is told of a run whose last epoch had these terms; the epoch before was worse."""
    return loss_terms_apart([{"emotion_loss": 1.0, "au_loss": 1e-9}, end], RECIPE | (recipe or {}))


@pytest.mark.parametrize(
    ("name", "key", "weight"),
    [
        ("AU detection", "au_loss", 0.5),
        ("AU intensity", "au_intensity_loss", 0.25),
        ("few-shot", "few_shot_loss", 0.1),
        ("attention", "attention_loss", 0.1),
    ],
)
def test_a_term_a_hundred_times_too_small_or_too_large_is_named(name, key, weight):
    assert apart(emotion_loss=2.0, **{key: 0.0201 / weight}) == []
    assert apart(emotion_loss=2.0, **{key: 0.0199 / weight}) == [
        f"loss terms 101 times apart: emotion 2 against {name} 0.02"
    ]
    assert apart(emotion_loss=0.02, **{key: 1.99 / weight}) == []
    assert apart(emotion_loss=0.02, **{key: 2.02 / weight}) == [
        f"loss terms 101 times apart: {name} 2.02 against emotion 0.02"
    ]


def test_the_two_furthest_apart_are_told():
    assert apart(**ALL) == []
    (told,) = apart(**ALL | {"au_loss": 300.0, "attention_loss": 0.001, "few_shot_loss": 0.1})
    assert told == "loss terms 1500000 times apart: AU detection 150 against attention 0.0001"


def test_a_term_that_is_zero_teaches_nothing():
    assert apart(emotion_loss=1.5, au_loss=0.0) == ["loss terms infinitely apart: emotion 1.5 against AU detection 0"]
    assert apart(emotion_loss=0.0, au_loss=0.0) == []


def test_learned_weights_are_those_of_the_epoch():
    learned = {"au_weight": "uncertainty"}
    weights = {"emotion_task_weight": 2.0, "au_task_weight": 0.5}
    assert apart(learned, emotion_loss=1.0, au_loss=0.05, **weights) == []
    (told,) = apart(learned, emotion_loss=1.0, au_loss=0.03, **weights)
    assert told == "loss terms 133 times apart: emotion 2 against AU detection 0.015"
    (told,) = apart(learned, emotion_loss=1.0, au_loss=0.1, au_intensity_loss=0.03, **weights)
    assert "AU intensity 0.0075" in told
    assert apart(learned, emotion_loss=1.0, au_loss=1e-9) == [], "a weight that nobody wrote down is not known"


@pytest.mark.parametrize(
    ("recipe", "end"),
    [
        ({}, {"au_loss": 1e-9}),  # an old history without the emotion's term
        ({}, {"emotion_loss": 1.0}),
        ({}, {"emotion_loss": 1.0, "au_loss": None}),
        ({}, {"emotion_loss": float("nan"), "au_loss": 1e-9}),
        ({"attention_weight": 0.0}, {"emotion_loss": 1.0, "attention_loss": 1e-9}),  # left to itself, on purpose
        ({"au_intensity": 0.0}, {"emotion_loss": 1.0, "au_intensity_loss": 1e-9}),
        ({"au_weight": None}, {"emotion_loss": 1.0, "au_loss": 1e-9}),
    ],
)
def test_what_is_absent_unknown_or_switched_off_is_no_term(recipe, end):
    assert apart(recipe, **end) == []


def test_no_history_and_no_recipe():
    assert loss_terms_apart([], RECIPE) == [] == loss_terms_apart([ALL], {})


def history(train, validation=None, **columns):
    rows = [{"train_loss": value} for value in train]
    for key, values in {"validation_loss": validation, **columns}.items():
        for row, value in zip(rows, values or [], strict=False):
            row[key] = value
    return rows


@pytest.mark.parametrize(
    ("train", "rings"),
    [
        ([2.6, 1.5, 0.8, 1.4, 2.2, 3.0], True),
        ([2.6, 1.5, 0.8, 2.7, 2.6, 2.6, 2.6], True),  # blew up and stayed
        ([2.6, 1.6, 0.6, 1.09, 1.09, 1.09], False),  # 24.5 % of 2.0 given back
        ([2.6, 1.6, 0.6, 1.11, 1.11, 1.11], True),  # 25.5 %
        ([2.6, 1.5, 0.8, 3.0, 2.9, 0.9], False),  # came back
        ([2.6, 1.5, 0.8, 0.8, 3.0], False),  # one bad epoch at the end
        ([2.6, 0.5, 0.001, 0.005, 0.004, 0.006], False),  # overfitted: noise about nothing
        ([2.64, 2.65, 2.66, 2.65, 2.66], False),  # learns nothing, and loses nothing
        ([2.6, 3.5, 4.0, 5.0], True),  # never fell
        ([1.2, 0.1, -0.8, -0.2, -0.2, -0.2], True),  # learned task weights: a total below 0
        ([1.2, 0.1, -0.8, -0.7, -0.8, -0.7], False),
        ([2.6, 9.0, 9.0], False),  # too short to tell
        ([2.6, 1.5, 0.8, None, None, None, None], False),  # not a number: another alarm
    ],
)
def test_train_loss(train, rings):
    found = diverging(history(train), {})
    assert bool(found) is rings
    if rings:
        low = min(value for value in train if value is not None)
        assert found == [f"diverging: train loss ended at {train[-1]:.3g}, its lowest was {low:.3g}"]


@pytest.mark.parametrize(
    ("validation", "rings"),
    [
        ([2.6, 1.3, 1.2, 1.9, 3.0, 4.5], False),  # overfits
        ([2.6, 1.3, 1.2, 30.0, 300.0, 3000.0], True),
        ([2.6, 1.3, 1.2, 11.9, 12.5, 13.0], False),  # 9.9 times its lowest
        ([2.6, 1.3, 1.2, 12.1, 12.5, 13.0], True),
        ([2.6, 1.3, 1.2, 30.0, 1.4, 30.0], False),  # spikes
        ([0.6, 0.02, 0.02, 0.4, 0.5, 0.6], False),  # easy faces: certain of few mistakes
        ([0.1, 0.02, 0.02, 0.4, 0.5, 0.6], True),
    ],
)
def test_validation_loss(validation, rings):
    falling = [2.6, 1.4, 0.9, 0.5, 0.2, 0.1]
    found = diverging(history(falling, validation), {})
    assert [text.split(" ended")[0] for text in found] == (["diverging: validation loss"] if rings else [])


def test_a_curriculum_is_judged_from_the_epoch_on_that_shows_all_faces():
    train = [2.1, 1.2, 0.7, 1.2, 1.15, 1.1]
    shares = [0.3, 0.6, 0.8, 1.0, 1.0, 1.0]
    assert diverging(history(train), {}) != []
    assert diverging(history(train, curriculum_share=shares), {"sampler": "curriculum"}) == []
    worse = [*train[:4], 2.0, 3.0, 4.0, 5.0]
    assert diverging(history(worse, curriculum_share=[*shares, 1.0, 1.0]), {"sampler": "curriculum"}) != []


def test_class_weights_that_come_late_change_the_loss_and_are_no_divergence():
    train = [2.6, 1.5, 1.0, 0.8, 2.0, 1.8, 1.7, 1.6, 1.6, 1.5]
    assert diverging(history(train), {"drw": None}) != []
    assert diverging(history(train), {"drw": 0.4}) == []
    assert diverging(history([*train[:5], 2.2, 3.0, 4.0, 5.0, 5.0]), {"drw": 0.4}) != []
    assert diverging(history(train), {"drw": 1.0}) != [], "weights that never came change nothing"


def test_no_history():
    assert diverging([], {}) == []
