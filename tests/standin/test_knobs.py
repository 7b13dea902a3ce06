from dataclasses import asdict

import numpy as np
import pytest

from fer_core.errors import ConfigError
from fer_core.standin.ceiling import known, measure_ceiling
from fer_core.standin.coder import Codings, code
from fer_core.standin.config import read_config
from fer_core.standin.expressions import draw_expressions
from fer_core.standin.knobs import DIFFICULTIES, knobs_of
from fer_core.standin.random import stream

EASIER_WHEN_LARGER = {"vote_concentration", "weakest"}


def test_difficulty_shifts_every_knob_the_same_way():
    easy, standard, hard = (asdict(knobs_of(name)) for name in DIFFICULTIES)
    for name in standard:
        low, middle, high = (values[name] for values in (easy, standard, hard))
        assert low > middle > high if name in EASIER_WHEN_LARGER else low < middle < high, name


def test_an_unknown_difficulty_is_told_with_the_nearest():
    with pytest.raises(ConfigError, match="easy, hard, standard; got 'hrad'"):
        knobs_of("hrad")


def faces(name: str, count: int = 1200):
    labels = np.random.default_rng(1).integers(0, 14, count)
    intensity = draw_expressions(np.random.default_rng(2), labels, knobs_of(name)).intensity
    return labels, intensity, code(np.random.default_rng(3), labels, intensity)


def test_knowing_more_lifts_the_ceiling():
    found = measure_ceiling(0, knobs_of("standard"), *faces("standard"), draws=12_000)
    accuracy = {name: scores["accuracy"] for name, scores in found.items()}
    assert accuracy["intensities"] > accuracy["aus"] + 0.03 > accuracy["labels"] + 0.2
    assert accuracy["labels"] > 0.3
    assert all(0 <= score <= 1 for scores in found.values() for score in scores.values())


def test_the_ceiling_knows_nothing_but_what_it_is_given():
    """Classes that have nothing to do with the faces are not guessed better than by their shares."""
    labels, intensity, coded = faces("standard")
    shuffled = np.random.default_rng(5).permutation(labels)
    found = measure_ceiling(0, knobs_of("standard"), shuffled, intensity, coded, draws=4000)
    assert all(scores["accuracy"] < 0.12 for scores in found.values())


def test_what_each_ceiling_is_given_by_hand():
    intensity = np.zeros((2, 22, 2))
    intensity[0, 0] = 0.3, 0.1
    intensity[1, 3] = 0.2, 0.24
    units = np.zeros((2, 22), bool)
    units[:, 5] = True
    given = known(intensity, Codings(units, np.array([False, True]), units.astype(np.int8)))
    assert given["intensities"].shape == (2, 44) and given["intensities"][0, :2].tolist() == [0.3, 0.1]
    assert np.flatnonzero(given["aus"]).tolist() == [0]  # 0.3 is present, 0.24 is not
    assert given["labels"][0].tolist() == [*units[0], 0]
    assert given["labels"][1].tolist() == [0] * 22 + [1]  # not coded: nothing is known but that


def test_streams_of_different_purposes_differ():
    assert stream(0, "coder", 1).random() != stream(0, "grain", 1).random()


def config_of(standin: object = None, sizes: object = None, profile: object = "p") -> dict:
    sized = {"scale": 0.1, "pool": 40} if sizes is None else sizes
    return {"standin": {} if standin is None else standin, "profile": profile, "profiles": {"p": {"standin": sized}}}


def test_configuration_is_read_from_both_sections():
    found = read_config(config_of({"difficulty": "hard", "seed": 4}))
    assert (found.difficulty, found.seed, found.scale, found.pool) == ("hard", 4, 0.1, 40)


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        (config_of({"scale": 1.0}), "key of standin"),
        (config_of({"dificulty": "easy"}), "Did you mean 'difficulty'"),
        (config_of(sizes={"difficulty": "easy"}), "key of profiles.p.standin"),
        (config_of([1]), "`standin` in params.yaml to hold keys"),
        (config_of(profile="q"), "profiles.q.standin"),
        (config_of({"difficulty": 3}), "standin.difficulty"),
    ],
)
def test_bad_sections_are_refused_by_name(params, sentence):
    with pytest.raises(ConfigError, match=sentence):
        read_config(params)
