import numpy as np
import pytest

from fer_core.errors import ConfigError
from fer_core.standin import StandinConfig
from fer_core.standin.layout import attributes, counts, head_turns, plan
from fer_core.standin.published import COUNTS, SPLITS
from fer_core.standin.traits import BINS, pose_bin, traits


@pytest.fixture(scope="module")
def default():
    return plan(StandinConfig())


def test_scale_one_has_the_published_counts(default):
    totals = {split: sum(picture.split == split for picture in default) for split in (*SPLITS, "pool")}
    assert totals == {"train": 2709, "validation": 931, "test": 909, "pool": 4000}
    for split in SPLITS:
        found = np.bincount([picture.label for picture in default if picture.split == split], minlength=14)
        assert tuple(found) == COUNTS[split]


def test_every_class_survives_the_smallest_scale():
    smallest = counts(StandinConfig(scale=1e-6))
    assert set(smallest["train"]) == {2}
    assert set(smallest["validation"]) == set(smallest["test"]) == {1}


def test_people_never_cross_splits_and_the_pool_has_enough_of_them(default):
    people = {split: {p.person for p in default if p.split == split} for split in (*SPLITS, "pool")}
    assert sum(map(len, people.values())) == len(set.union(*people.values()))
    assert len(people["pool"]) >= 500
    times = np.unique([p.person for p in default if p.split == "pool"], return_counts=True)[1]
    assert times.min() >= 3


def test_names_and_streams_are_unique(default):
    assert len({picture.path for picture in default}) == len({picture.index for picture in default}) == len(default)


def test_the_pool_does_not_change_the_labelled_pictures(default):
    without = plan(StandinConfig(pool=0))
    assert without == default[: len(without)]


def test_class_is_independent_of_index_and_person(default):
    """Permutation tests: the observed spread of a class's mean place lies within what shuffling gives."""
    labelled = [picture for picture in default if picture.split == "train"]
    labels = np.array([picture.label for picture in labelled])
    rng = np.random.default_rng(0)
    for place in (np.arange(len(labels)), np.array([picture.person for picture in labelled])):

        def spread(values, place=place):
            means = np.array([place[values == k].mean() for k in range(14)])
            return (np.bincount(values) * (means - place.mean()) ** 2).sum()

        shuffled = [spread(rng.permutation(labels)) for _ in range(200)]
        assert spread(labels) <= np.quantile(shuffled, 0.995)


def test_a_person_shows_several_classes(default):
    classes: dict[int, set[int]] = {}
    for picture in default:
        classes.setdefault(picture.person, set()).add(picture.label)
    assert np.mean([len(found) for found in classes.values()]) > 2.5


def shares(pictures, config, name):
    """Share of every bin among the pictures."""
    found = [attributes(config, p.person, p.yaw)[name] for p in pictures]
    return np.array([found.count(value) / len(found) for value in BINS[name]])


def test_every_bin_has_pictures(default):
    for name in BINS:
        found = shares(default, StandinConfig(), name)
        assert found.sum() == pytest.approx(1) and found.min() > 0.03, (name, found)


@pytest.mark.parametrize("name", BINS)
def test_attributes_are_balanced_across_classes(default, name):
    """In every class the shares lie far nearer the split's than a draw by chance would let them."""
    config, surprise = StandinConfig(), []
    for split in SPLITS:
        pictures = [p for p in default if p.split == split]
        expected = shares(pictures, config, name)
        for label in range(14):
            mine = [p for p in pictures if p.label == label]
            chance = np.sqrt(expected * (1 - expected) / len(mine))
            surprise += list(np.abs(shares(mine, config, name) - expected) / chance)
    assert np.mean(surprise) < 0.5  # 0.8 if drawn by chance
    assert np.max(surprise) < 3


def test_head_turns_are_normal_in_every_class():
    yaw = head_turns(np.random.default_rng(0), np.repeat([0, 1], [400, 40]), 1.0)
    for part in (yaw[:400], yaw[400:]):
        assert abs(part.mean()) < 0.02 and part.std() == pytest.approx(0.26, rel=0.06)
    assert np.abs(head_turns(np.random.default_rng(0), np.zeros(4000, int), 3.0)).max() <= 0.75


def test_words_for_traits_by_hand():
    assert [pose_bin(np.radians(angle)) for angle in (0, -11, 13, -24, 26)] == [
        "frontal", "frontal", "turned", "turned", "half-profile",
    ]  # fmt: skip
    found = [traits(0, number) for number in range(300)]
    for one in found:
        words = one.bins()
        assert words["skin"] == BINS["skin"][int(one.tone)]
        assert (words["beard"] == "yes") == (one.beard > 0 or one.moustache > 0)
        if one.female or one.child:
            assert words["beard"] == "no"
        assert (words["age"] == "child") == one.child
    assert len({(one.tone, one.age) for one in found}) > 290


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"scale": 0}, "scale"),
        ({"scale": -1.0}, "scale"),
        ({"scale": float("nan")}, "scale"),
        ({"scale": "big"}, "scale"),
        ({"pool": -1}, "pool"),
        ({"pool": 1.5}, "pool"),
        ({"scene": 40}, "scene"),
        ({"seed": -1}, "seed"),
        ({"seed": True}, "seed"),
        ({"clips": -8}, "clips"),
        ({"ceiling_draws": 2.5}, "ceiling_draws"),
        ({"difficulty": "standrad"}, "difficulty"),
        ({"difficulty": None}, "difficulty"),
        ({"pictures_per_person": 0}, "pictures_per_person"),
    ],
)
def test_bad_values_are_refused_by_name(change, key):
    with pytest.raises(ConfigError, match=f"standin.{key}"):
        StandinConfig(**change)


def test_too_few_people_are_refused():
    with pytest.raises(ConfigError, match="at least 2 people"):
        plan(StandinConfig(scale=0.01, pictures_per_person=50))
