import re
from pathlib import Path

import numpy as np
import pytest

from fer_core.standin.action_units import AUS, INDEX, LIPS, MIDLINE
from fer_core.standin.coder import code, grade, settle, write_label
from fer_core.standin.expressions import draw_expressions, limit
from fer_core.standin.knobs import knobs_of
from fer_core.standin.published import AU_FREQUENCY, CLASSES, COUNTS, MEAN_VOTES, NULL_SHARE, PAIRS
from fer_core.standin.random import stream

DRAWS = 150
TOKEN = re.compile(r"([LRTB]?)(\d+)")
REAL = Path(__file__).parents[2] / ".." / "shared" / "data" / "rafce_labels" / "RAFCE_AUlabel.txt"


@pytest.fixture(scope="module")
def faces():
    """Votes and intensities of 150 faces per class, `(14, 150, 6)` and `(14, 150, 22, 2)`."""
    drawn = draw_expressions(stream(7, "expression"), np.repeat(np.arange(14), DRAWS), knobs_of("standard"))
    return drawn.votes.reshape(14, DRAWS, 6), drawn.intensity.reshape(14, DRAWS, 22, 2)


@pytest.fixture(scope="module")
def labels(faces):
    return [
        [write_label(stream(7, "coder", 1000 * label + k), label, face) for k, face in enumerate(row)]
        for label, row in enumerate(faces[1])
    ]


def test_the_two_most_voted_emotions_are_the_class(faces):
    right = [
        set(np.argsort(-votes, kind="stable")[:2]) == set(PAIRS[label])
        for label, row in enumerate(faces[0])
        for votes in row
    ]
    assert np.mean(right) > 0.98


def test_votes_are_shares_near_the_published_means(faces):
    votes = faces[0]
    np.testing.assert_allclose(votes.sum(-1), 1, atol=1e-9)
    assert np.abs(votes.mean(1) - MEAN_VOTES).mean() < 0.025
    assert votes.std(1).max() > 0.05


def test_intensities_are_sharp_and_bounded(faces):
    intensity = faces[1]
    assert intensity.shape == (14, DRAWS, 22, 2)
    assert intensity.min() >= 0 and intensity.max() <= 1
    happy, sad = CLASSES.index("happily surprised"), CLASSES.index("sadly disgusted")
    smile = intensity[:, :, INDEX[12]].mean(-1)
    assert smile[happy].mean() > 0.4
    assert smile[sad].mean() < 0.15


def test_limits_of_a_face():
    level = np.ones((3, 22))
    level[:, INDEX[25]] = 0.0
    given = level.copy()
    level, *others = limit(level)
    np.testing.assert_array_equal(others, [level, level])
    np.testing.assert_array_equal(given[:, INDEX[25]], 0)  # what came in is left alone
    assert level[INDEX[26]] == 0  # a fully stretched mouth leaves no room for a mere jaw drop
    assert level[INDEX[25]] >= 0.8  # an open jaw parts the lips
    assert level[INDEX[24]] == pytest.approx(0, abs=0.01)  # open lips are not pressed
    assert level[INDEX[5]] == 0  # shut lids are not raised


def test_many_faces_are_drawn_like_one():
    """The mean over faces drawn one by one lies within what chance allows of the mean of a batch."""
    knobs, label = knobs_of("standard"), 4
    one_by_one = np.stack(
        [draw_expressions(stream(7, "expression", k), np.array([label]), knobs).intensity[0] for k in range(400)]
    )
    batch = draw_expressions(stream(7, "expression"), np.full(4000, label), knobs).intensity
    gap = np.abs(one_by_one.mean(axis=0) - batch.mean(axis=0))
    assert (gap < 4.5 * batch.std(axis=0) / 20 + 1e-3).all()


def test_the_coder_contradicts_nobody():
    """By hand: 26 and 27 together keep the clearer one and add 25, which rules out 24."""
    margin = np.full((3, 22), -1.0)
    for row, seen in enumerate(({26: 0.1, 27: 0.3}, {24: 0.5, 25: 0.2}, {24: 0.1, 26: 0.2})):
        for number, far in seen.items():
            margin[row, INDEX[number]] = far
    written = settle(margin, np.zeros((3, 22), bool))
    assert [{AUS[k] for k in np.flatnonzero(row)} for row in written] == [{25, 27}, {24}, {25, 26}]


def test_a_face_without_a_written_unit_is_not_coded():
    blank = code(stream(7, "coder"), np.zeros(200, int), np.zeros((200, 22, 2)))
    assert blank.null[~blank.units.any(axis=1)].all() and blank.null.mean() > NULL_SHARE[0] + 0.2


def test_intensities_are_equal_steps_of_what_the_coder_saw():
    np.testing.assert_array_equal(
        grade(np.array([-0.5, 0.0, 0.2, 0.21, 0.5, 0.8, 0.81, 1.4])), [1, 1, 1, 2, 3, 4, 5, 5]
    )


def test_a_unit_has_an_intensity_where_it_is_written(faces):
    labels = np.repeat(np.arange(14), DRAWS)
    coded = code(stream(7, "coder"), labels, faces[1].reshape(-1, 22, 2))
    assert coded.levels.dtype == np.int8 and coded.levels.max() == 5
    np.testing.assert_array_equal(coded.levels > 0, coded.units)
    # A unit is written from its threshold on: only false alarms, and AU25 beside an open jaw, are seen fainter.
    clear = coded.levels[:, INDEX[1]][coded.units[:, INDEX[1]]]
    assert (clear >= 4).mean() > 0.95


def test_what_is_stronger_is_graded_higher():
    """For one unit at three true strengths, the same coder's mean rises."""
    shown = np.zeros((3, 2000, 22, 2))
    shown[:, :, INDEX[25]] = np.array([0.3, 0.6, 0.9])[:, None, None]
    levels = [code(stream(7, "coder"), np.zeros(2000, int), part).levels[:, INDEX[25]] for part in shown]
    means = [found[found > 0].mean() for found in levels]
    assert means[0] + 0.3 < means[1] < means[2] - 0.3


def test_label_frequencies_are_near_the_published_ones(labels):
    found = np.zeros((14, 22))
    for label, row in enumerate(labels):
        coded = [{int(number) for _, number in TOKEN.findall(text)} for text in row if text != "null"]
        found[label] = np.mean([[number in units for number in AUS] for units in coded], axis=0)
    weight = np.array(COUNTS["train"]) / sum(COUNTS["train"])
    assert np.abs(found - AU_FREQUENCY).mean() < 0.06
    assert (weight[:, None] * np.abs(found - AU_FREQUENCY)).sum() / 22 < 0.055


def test_null_share_is_near_the_published_one(labels):
    found = np.array([np.mean([text == "null" for text in row]) for row in labels])
    assert np.abs(found - NULL_SHARE).mean() < 0.05


def test_labels_say_nothing_but_what_the_coder_saw(faces):
    """For the same face the label does not depend on the class, except for the share nobody coded."""
    face = faces[1][0, 0]
    coded = {write_label(stream(7, "coder", 5), label, face) for label in range(14)}
    assert len(coded - {"null"}) == 1


def test_labels_use_the_published_notation(labels):
    for text in (text for row in labels for text in row):
        if text == "null":
            continue
        tokens = [TOKEN.fullmatch(token) for token in text.split("+")]
        assert all(tokens), text
        numbers = [int(match[2]) for match in tokens]
        assert not {26, 27} <= set(numbers) and not {24, 25} <= set(numbers)
        assert 25 in numbers or not {26, 27} & set(numbers)
        assert numbers == sorted(set(numbers)) and set(numbers) <= set(AUS)
        for match in tokens:
            allowed = {"T", "B"} if int(match[2]) in LIPS else set() if int(match[2]) in MIDLINE else {"L", "R"}
            assert match[1] in {"", *allowed}


def test_one_sided_units_are_coded_on_the_persons_own_side():
    intensity = np.zeros((22, 2), np.float32)
    intensity[INDEX[12], 0] = 1.0  # viewer's left: the person's right
    texts = {write_label(stream(7, "coder", k), 6, intensity) for k in range(40)}
    assert any("R12" in text for text in texts) and not any("L12" in text for text in texts)


@pytest.mark.skipif(not REAL.exists(), reason="RAF-CE's label files are not on this machine")
def test_laterality_and_length_resemble_the_real_file(labels):
    real = [line.split()[1] for line in REAL.read_text().splitlines() if line.strip()]
    ours = [text for row in labels for text in row]

    def figures(texts):
        tokens = [token for text in texts if text != "null" for token in text.split("+")]
        return np.mean([token[0] in "LR" for token in tokens]), len(tokens) / sum(text != "null" for text in texts)

    (side, length), (real_side, real_length) = figures(ours), figures(real)
    assert real_side / 3 < side < real_side * 3
    assert abs(length - real_length) < 0.8
