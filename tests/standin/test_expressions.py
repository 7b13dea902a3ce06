import re
from pathlib import Path

import numpy as np
import pytest

from fer_core.standin.action_units import AUS, INDEX, LIPS, MIDLINE
from fer_core.standin.coder import write_label
from fer_core.standin.expressions import draw_expression, limit
from fer_core.standin.published import AU_FREQUENCY, CLASSES, COUNTS, MEAN_VOTES, NULL_SHARE, PAIRS
from fer_core.standin.random import stream

DRAWS = 150
TOKEN = re.compile(r"([LRTB]?)(\d+)")
REAL = Path(__file__).parents[2] / ".." / "shared" / "data" / "rafce_labels" / "RAFCE_AUlabel.txt"


@pytest.fixture(scope="module")
def faces():
    """Expressions of 150 faces per class."""
    return [
        [draw_expression(stream(7, "expression", 1000 * label + k), label) for k in range(DRAWS)] for label in range(14)
    ]


@pytest.fixture(scope="module")
def labels(faces):
    return [
        [write_label(stream(7, "coder", 1000 * label + k), label, face.intensity) for k, face in enumerate(row)]
        for label, row in enumerate(faces)
    ]


def test_the_two_most_voted_emotions_are_the_class(faces):
    right = [
        set(np.argsort(-face.votes, kind="stable")[:2]) == set(PAIRS[label])
        for label, row in enumerate(faces)
        for face in row
    ]
    assert np.mean(right) > 0.98


def test_votes_are_shares_near_the_published_means(faces):
    votes = np.array([[face.votes for face in row] for row in faces])
    np.testing.assert_allclose(votes.sum(-1), 1, atol=1e-9)
    assert np.abs(votes.mean(1) - MEAN_VOTES).mean() < 0.025
    assert votes.std(1).max() > 0.05


def test_intensities_are_sharp_and_bounded(faces):
    intensity = np.array([[face.intensity for face in row] for row in faces])
    assert intensity.shape == (14, DRAWS, 22, 2)
    assert intensity.min() >= 0 and intensity.max() <= 1
    happy, sad = CLASSES.index("happily surprised"), CLASSES.index("sadly disgusted")
    smile = intensity[:, :, INDEX[12]].mean(-1)
    assert smile[happy].mean() > 0.4
    assert smile[sad].mean() < 0.15


def test_limits_of_a_face():
    level = np.ones(22)
    level[INDEX[25]] = 0.0
    level = limit(level)
    assert level[INDEX[26]] == 0  # a fully stretched mouth leaves no room for a mere jaw drop
    assert level[INDEX[25]] >= 0.8  # an open jaw parts the lips
    assert level[INDEX[24]] == pytest.approx(0, abs=0.01)  # open lips are not pressed
    assert level[INDEX[5]] == 0  # shut lids are not raised


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
    face = faces[0][0].intensity
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
