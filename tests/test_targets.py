"""Targets: what holds for any votes, edges, half precision, and refusals."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fer_core.errors import ConfigError, DataError
from fer_core.labels import BASIC_EMOTIONS, FER2013, FERPLUS, RAFCE, why_not
from fer_core.targets import TARGETS, compound_log_scores, emotion_targets, pair_matrix, vote_shares

SETS = st.sampled_from([RAFCE, FERPLUS])
SIX = len(BASIC_EMOTIONS)
FERPLUS_COLUMNS = FERPLUS.votes or ()
CARDS: dict[str, dict[str, Any]] = {
    "rafce": {"votes": True, "vote_names": list(BASIC_EMOTIONS), "classes": list(RAFCE.classes)},
    "rafce without votes": {"votes": False, "vote_names": None, "classes": list(RAFCE.classes)},
    "ferplus": {"votes": True, "vote_names": list(FERPLUS_COLUMNS), "classes": list(FERPLUS.classes)},
    "fer2013": {"votes": False, "vote_names": None, "classes": list(FER2013.classes)},
}


@st.composite
def faces(draw, labels=SETS):
    """A label set, votes of a few faces (some null, some of one emotion only) and their class indices."""
    of = draw(labels)
    columns = len(of.votes)
    count = draw(st.integers(1, 6))
    counts = torch.from_numpy(draw(arrays("float32", (count, columns), elements=st.integers(0, 10).map(float))))
    votes = counts / counts.sum(dim=1, keepdim=True)  # a face that nobody voted on is 0/0: NaN
    index = draw(st.lists(st.integers(-1, len(of.classes) - 1), min_size=count, max_size=count))
    return of, votes, torch.tensor(index)


@settings(max_examples=60, deadline=None)
@given(faces(), st.sampled_from(TARGETS))
def test_targets_are_distributions_or_zero_and_never_nan(case, name):
    of, votes, labels = case
    if name == "compound" and of is FERPLUS:
        return
    target = emotion_targets(name, labels, votes, of.classes, of.votes)
    assert target.shape == (len(labels), SIX if name == "compound" else len(of.classes))
    assert target.isfinite().all() and (target >= 0).all()
    told = labels >= 0
    if name != "hard":
        told = told | (votes if name == "compound" else vote_shares(votes, of.classes, of.votes)).isfinite().all(dim=1)
    torch.testing.assert_close(target.sum(dim=1), told.float())


@settings(max_examples=40, deadline=None)
@given(faces(), st.randoms(use_true_random=False))
def test_permuting_classes_permutes_the_shares(case, random):
    of, votes, labels = case
    order = random.sample(range(len(of.classes)), len(of.classes))
    classes = [of.classes[k] for k in order]
    before, after = (vote_shares(votes, names, of.votes) for names in (of.classes, classes))
    torch.testing.assert_close(after, before[:, order], equal_nan=True)
    moved = torch.tensor([order.index(k) if k >= 0 else -1 for k in labels.tolist()])
    for name in ("hard", "votes"):
        before = emotion_targets(name, labels, votes, of.classes, of.votes)
        torch.testing.assert_close(emotion_targets(name, moved, votes, classes, of.votes), before[:, order])


@settings(max_examples=40, deadline=None)
@given(faces(), st.randoms(use_true_random=False))
def test_permuting_vote_columns_changes_no_share_and_permutes_compound_targets(case, random):
    of, votes, labels = case
    order = random.sample(range(len(of.votes)), len(of.votes))
    names = [of.votes[k] for k in order]
    before, after = vote_shares(votes, of.classes, of.votes), vote_shares(votes[:, order], of.classes, names)
    torch.testing.assert_close(after, before, equal_nan=True)
    if of is RAFCE:
        before = emotion_targets("compound", labels, votes, of.classes, of.votes)
        assert emotion_targets("compound", labels, votes[:, order], of.classes, names).equal(before[:, order])
        assert pair_matrix(of.classes, names).equal(pair_matrix(of.classes, of.votes)[:, order])
        log_p = torch.randn(2, SIX).log_softmax(dim=1)
        scores = compound_log_scores(log_p[:, order], pair_matrix(of.classes, names))
        torch.testing.assert_close(scores, compound_log_scores(log_p, pair_matrix(of.classes, of.votes)))


@settings(max_examples=40, deadline=None)
@given(arrays("float32", (3, SIX), elements=st.floats(-20, 20, width=32)), st.floats(-100, 100))
def test_scores_do_not_move_when_all_logits_shift(values, shift):
    logits = torch.from_numpy(values).double()
    pairs = pair_matrix(RAFCE.classes, BASIC_EMOTIONS)
    scores, shifted = (compound_log_scores(z.log_softmax(dim=1), pairs) for z in (logits, logits + shift))
    torch.testing.assert_close(shifted, scores)
    assert (scores <= 0).all()


@settings(max_examples=60, deadline=None)
@given(st.permutations(range(1, SIX + 1)))
def test_the_largest_share_is_of_the_two_most_voted_emotions_where_that_pair_is_published(ranks):
    votes = torch.tensor([ranks]) / sum(ranks)
    pair = torch.zeros(SIX).index_fill_(0, votes[0].topk(2).indices, 1)
    pairs = pair_matrix(RAFCE.classes, BASIC_EMOTIONS)
    published = (pairs == pair).all(dim=1)
    best = int(vote_shares(votes, RAFCE.classes, BASIC_EMOTIONS).argmax())
    assert pairs.sum(dim=1).eq(2).all()
    assert not published.any() or published[best]


def test_all_votes_on_one_emotion_leave_no_pair_so_the_class_decides():
    votes = torch.eye(SIX)
    assert vote_shares(votes, RAFCE.classes, BASIC_EMOTIONS).isnan().all()
    labels = torch.tensor([0, 1, 2, 3, 4, -1])
    hard, by_votes, compound = (emotion_targets(name, labels, votes, RAFCE.classes, BASIC_EMOTIONS) for name in TARGETS)
    assert by_votes.equal(hard)
    assert compound.equal(votes)
    assert not by_votes[5].any()
    # FERPlus' classes are columns: one emotion is a share of 1
    assert vote_shares(torch.eye(10), FERPLUS.classes, FERPLUS_COLUMNS)[:8].equal(torch.eye(8))


@pytest.mark.parametrize("votes", [None, torch.full((14, SIX), math.nan), torch.zeros(14, SIX)])
def test_no_votes_at_all(votes):
    labels = torch.arange(14)
    for name in ("hard", "votes"):
        assert emotion_targets(name, labels, votes, RAFCE.classes, BASIC_EMOTIONS).equal(torch.eye(14))
    compound = emotion_targets("compound", labels, votes, RAFCE.classes, None)
    assert compound.equal(pair_matrix(RAFCE.classes, BASIC_EMOTIONS) / 2)


def test_a_row_that_is_nan_in_part_counts_as_no_votes():
    votes = torch.tensor([[0.5, 0.5, math.nan, 0, 0, 0]])
    for name in TARGETS:
        target = emotion_targets(name, torch.tensor([3]), votes, RAFCE.classes, BASIC_EMOTIONS)
        assert target.equal(emotion_targets(name, torch.tensor([3]), None, RAFCE.classes, BASIC_EMOTIONS))


@pytest.mark.parametrize("count", [0, 1])
@pytest.mark.parametrize("name", TARGETS)
def test_none_or_one_face_as_in_a_larger_batch(name, count):
    labels, votes = torch.tensor([4, 2]), torch.tensor([[4.0, 3, 2, 0, 1, 0], [0, 5, 0, 0, 5, 0]]) / 10
    both = emotion_targets(name, labels, votes, RAFCE.classes, BASIC_EMOTIONS)
    few = emotion_targets(name, labels[:count], votes[:count], RAFCE.classes, BASIC_EMOTIONS)
    assert few.equal(both[:count])
    scores = compound_log_scores(votes[:count].log(), pair_matrix(RAFCE.classes, None))
    assert scores.shape == (count, 14)


def test_targets_do_not_alias_or_change_their_votes():
    votes = torch.full((1, SIX), 1 / SIX)
    emotion_targets("compound", torch.tensor([0]), votes, RAFCE.classes, BASIC_EMOTIONS).zero_()
    assert votes.eq(1 / SIX).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_stays_finite(dtype):
    small = torch.tensor([[1.0, 2e-4, 2e-4, 0, 0, 0]]).to(dtype)  # 2e-4 squared underflows in float16
    shares = vote_shares(small, ["fearfully disgusted"], BASIC_EMOTIONS)
    assert shares.dtype == torch.float32 and shares.item() == 1
    target = emotion_targets("compound", torch.tensor([0]), small, RAFCE.classes, BASIC_EMOTIONS)
    assert target.dtype == torch.float32 and target.isfinite().all()
    log_p = torch.tensor([[0.0, -6e4, -6e4, -6e4, -6e4, -6e4]]).to(dtype).requires_grad_()
    scores = compound_log_scores(log_p, pair_matrix(RAFCE.classes, BASIC_EMOTIONS))
    assert scores.isfinite().all()  # −1.2e5 is beyond float16
    scores.sum().backward()
    assert log_p.grad is not None and log_p.grad.isfinite().all()


def test_an_impossible_emotion_scores_minus_infinity_not_nan():
    log_p = torch.tensor([[0.5, 0.5, 0, 0, 0, 0]]).log()
    scores = compound_log_scores(log_p, pair_matrix(RAFCE.classes, BASIC_EMOTIONS))
    expected = torch.full((1, 14), -math.inf)
    expected[0, RAFCE.classes.index("fearfully surprised")] = 2 * math.log(0.5)
    torch.testing.assert_close(scores, expected)


@pytest.mark.parametrize(
    ("data", "reasons"),
    [
        ("rafce", (None, None, None)),
        ("rafce without votes", (None, "no votes", None)),
        ("ferplus", (None, None, "its classes are not pairs of basic emotions")),
        ("fer2013", (None, "no votes", "its classes are not pairs of basic emotions")),
    ],
)
def test_why_not(data, reasons):
    assert tuple(why_not(name, CARDS[data]) for name in TARGETS) == reasons


@pytest.mark.parametrize("data", CARDS)
@pytest.mark.parametrize("name", TARGETS)
def test_why_not_agrees_with_what_can_be_built(data, name):
    card = CARDS[data]
    votes = torch.ones(2, len(card["vote_names"])) / len(card["vote_names"]) if card["votes"] else None
    if why_not(name, card) not in (None, "no votes"):
        with pytest.raises(ConfigError, match="target: compound"):
            emotion_targets(name, torch.tensor([0, -1]), votes, card["classes"], card["vote_names"])
    else:
        assert emotion_targets(name, torch.tensor([0, -1]), votes, card["classes"], card["vote_names"]).isfinite().all()


def test_refusals():
    votes = torch.ones(1, 2) / 2
    with pytest.raises(ConfigError, match="Did you mean 'votes'"):
        emotion_targets("vote", torch.tensor([0]), None, RAFCE.classes, BASIC_EMOTIONS)
    for classes in (["anger"], ["sadly sad"], ["very happy"], ["sadly fearful"]):  # no column of fear here
        with pytest.raises(ConfigError, match=f"`target: compound`.*{classes[0]}"):
            pair_matrix(classes, ["sadness", "anger"])
    with pytest.raises(ConfigError, match="`target: votes`"):
        vote_shares(votes, ["joy"], ["sadness", "anger"])
    other = {"votes": True, "vote_names": ["sadness", "anger"], "classes": ["joy"]}
    assert why_not("votes", other) == "its votes are on other emotions than its classes"
    for wrong in (-2, 14):
        with pytest.raises(DataError, match=f"got {wrong}"):
            emotion_targets("hard", torch.tensor([0, wrong]), None, RAFCE.classes, BASIC_EMOTIONS)
    for name in ("votes", "compound"):
        with pytest.raises(ValueError, match=r"votes \(N, 6\)"):
            emotion_targets(name, torch.tensor([0]), votes, RAFCE.classes, BASIC_EMOTIONS)
