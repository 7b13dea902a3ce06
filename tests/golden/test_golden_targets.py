"""Targets: faces worked by hand, naive loops, KL as torch and scipy have it, and the real votes."""

import csv
import math
from pathlib import Path

import pandas as pd
import pytest
import torch
from scipy import stats
from torch.nn import functional

from fer_core.datasets.ferplus import majority
from fer_core.labels import FERPLUS, RAFCE, basic_emotions
from fer_core.targets import compound_log_scores, emotion_targets, pair_matrix, vote_shares

NAN = math.nan
RAFCE_COLUMNS, FERPLUS_COLUMNS = RAFCE.votes or (), FERPLUS.votes or ()
DATA = Path(__file__).parents[2] / ".." / "shared" / "data"
RAFCE_LABELS = DATA / "rafce_labels" / "rafml_distribution.txt"
FERPLUS_VOTES = DATA / "fer2013" / "fer2013_train_public.parquet"

THREE = ("fear", "sadness", "anger")
TWO_PAIRS = ("sadly fearful", "sadly angry")  # "fearfully angry" is not published


def random_votes(count, columns, seed=0):
    """Draw ten votes a face, so that zeros and ties come up, and take them from every fifth face."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(columns, (count, 10), generator=generator)
    votes = functional.one_hot(drawn, columns).sum(dim=1) / 10
    votes[::5] = NAN
    return votes


def test_compound_shares_by_hand():
    votes = torch.tensor(
        [
            [0.1, 0.6, 0.3],  # 0.1·0.6 = 0.06 and 0.6·0.3 = 0.18; 0.06 + 0.18 = 0.24: 1/4 and 3/4
            [0.5, 0.1, 0.4],  # 0.5·0.1 = 0.05 and 0.1·0.4 = 0.04; their sum 0.09: 5/9 and 4/9
            [0.5, 0.0, 0.5],  # nobody named sadness, which both published pairs need: 0/0
        ]
    )
    expected = torch.tensor([[1 / 4, 3 / 4], [5 / 9, 4 / 9], [NAN, NAN]])
    torch.testing.assert_close(vote_shares(votes, TWO_PAIRS, THREE), expected, equal_nan=True)


def test_ferplus_shares_by_hand():
    votes = torch.tensor(
        [
            [4, 0, 0, 1, 0, 0, 0, 0, 5, 0],  # five of ten name no emotion: 4/5 neutral, 1/5 sadness
            [0, 0, 0, 0, 0, 0, 3, 6, 0, 1],  # 3/9 fear, 6/9 contempt
            [0, 0, 0, 0, 0, 0, 0, 0, 2, 8],  # nothing left
        ]
    )
    expected = torch.tensor(
        [[0.8, 0, 0, 0.2, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 1 / 3, 2 / 3], [NAN] * 8],
    )
    shares = vote_shares(votes / 10, FERPLUS.classes, FERPLUS_COLUMNS)
    torch.testing.assert_close(shares, expected, equal_nan=True)


def test_targets_by_hand():
    labels = torch.tensor([1, 0, -1, -1])  # sadly angry, sadly fearful, unknown, unknown
    votes = torch.tensor([[0.1, 0.6, 0.3], [NAN, NAN, NAN], [0.5, 0.1, 0.4], [NAN, NAN, NAN]])
    expected = {
        "hard": [[0, 1], [1, 0], [0, 0], [0, 0]],
        "votes": [[1 / 4, 3 / 4], [1, 0], [5 / 9, 4 / 9], [0, 0]],
        "compound": [[0.1, 0.6, 0.3], [0.5, 0.5, 0], [0.5, 0.1, 0.4], [0, 0, 0]],
    }
    for name, rows in expected.items():
        target = emotion_targets(name, labels, votes, TWO_PAIRS, THREE)
        torch.testing.assert_close(target, torch.tensor(rows, dtype=torch.float32))


def test_scores_by_hand():
    # p = (1/2, 1/3, 1/6): sadly fearful log(1/3 · 1/2) = −log 6, sadly angry log(1/3 · 1/6) = −log 18
    log_p = torch.tensor([[1 / 2, 1 / 3, 1 / 6]], dtype=torch.float64).log()
    scores = compound_log_scores(log_p, pair_matrix(TWO_PAIRS, THREE))
    torch.testing.assert_close(scores, -torch.tensor([[6.0, 18.0]], dtype=torch.float64).log())
    # over the two published pairs alone: (1/6) / (1/6 + 1/18) = 3/4
    assert scores.softmax(dim=1).tolist()[0] == pytest.approx([3 / 4, 1 / 4])


def naive_shares(row, classes, vote_names):
    shares = []
    for name in classes:
        share = 1.0
        for emotion in basic_emotions(name):
            share *= row[vote_names.index(emotion)]
        shares.append(share)
    total = sum(shares)
    return [share / total if total else NAN for share in shares]


@pytest.mark.parametrize("labels", [RAFCE, FERPLUS], ids=["pairs", "columns"])
def test_naive_loop_of_shares(labels):
    votes = random_votes(60, len(labels.votes)).double()
    votes[1] = functional.one_hot(torch.tensor(len(labels.votes) - 1), len(labels.votes))  # no share of any class
    expected = [naive_shares(row, labels.classes, labels.votes) for row in votes.tolist()]
    shares = vote_shares(votes, labels.classes, labels.votes)
    torch.testing.assert_close(shares, torch.tensor(expected, dtype=torch.float64), equal_nan=True)
    assert shares.isnan().any() and not shares.isnan().all()


@pytest.mark.parametrize("name", ["hard", "votes", "compound"])
def test_naive_loop_of_targets(name):
    votes = random_votes(60, 6, seed=1)
    labels = torch.randint(-1, 14, (60,), generator=torch.Generator().manual_seed(2))
    expected = []
    for label, row in zip(labels.tolist(), votes.tolist(), strict=True):
        emotions = basic_emotions(RAFCE.classes[label]) if label >= 0 else ()
        one_hot = [float(k == label) for k in range(14)]
        shares = naive_shares(row, RAFCE.classes, RAFCE_COLUMNS)
        if name == "compound":
            expected.append([0.5 * (e in emotions) for e in RAFCE_COLUMNS] if math.isnan(row[0]) else row)
        else:
            expected.append(one_hot if name == "hard" or math.isnan(shares[0]) else shares)
    target = emotion_targets(name, labels, votes, RAFCE.classes, RAFCE_COLUMNS)
    torch.testing.assert_close(target, torch.tensor(expected))
    assert target.dtype == torch.float32


def test_naive_loop_of_scores():
    log_p = torch.randn(5, 6, generator=torch.Generator().manual_seed(3)).log_softmax(dim=1)
    scores = compound_log_scores(log_p, pair_matrix(RAFCE.classes, RAFCE_COLUMNS))
    for row, score in zip(log_p.tolist(), scores.tolist(), strict=True):
        for k, name in enumerate(RAFCE.classes):
            a, b = basic_emotions(name)
            assert score[k] == pytest.approx(row[RAFCE_COLUMNS.index(a)] + row[RAFCE_COLUMNS.index(b)])


@pytest.mark.parametrize("name", ["hard", "votes", "compound"])
def test_kl_is_soft_cross_entropy_less_the_entropy_and_has_its_gradient(name):
    labels = torch.randint(14, (20,), generator=torch.Generator().manual_seed(4))
    target = emotion_targets(name, labels, random_votes(20, 6), RAFCE.classes, RAFCE_COLUMNS).double()
    draw = torch.Generator().manual_seed(5)
    logits = torch.randn(target.shape, dtype=torch.float64, generator=draw).requires_grad_()
    kl = functional.kl_div(functional.log_softmax(logits, dim=1), target, reduction="batchmean")
    ce = functional.cross_entropy(logits, target)
    entropy = torch.from_numpy(stats.entropy(target.numpy(), axis=1)).mean()
    torch.testing.assert_close(kl, ce - entropy, atol=1e-6, rtol=1e-6)  # float32 targets sum to 1 within 1e-7
    torch.testing.assert_close(*(torch.autograd.grad(loss, logits)[0] for loss in (kl, ce)), atol=1e-6, rtol=1e-6)
    each = stats.entropy(target.numpy(), logits.detach().softmax(dim=1).numpy(), axis=1)
    assert kl.item() == pytest.approx(each.mean(), abs=1e-6)


def test_scores_of_a_prediction_are_its_vote_shares():
    p = torch.randn(9, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(6)).softmax(dim=1)
    scores = compound_log_scores(p.log(), pair_matrix(RAFCE.classes, RAFCE_COLUMNS))
    torch.testing.assert_close(scores.softmax(dim=1), vote_shares(p, RAFCE.classes, RAFCE_COLUMNS))


def test_without_votes_the_soft_cross_entropy_is_minus_half_the_score_of_the_class():
    labels = torch.arange(14)
    logits = torch.randn(14, 6, generator=torch.Generator().manual_seed(7))
    target = emotion_targets("compound", labels, None, RAFCE.classes, RAFCE_COLUMNS)
    scores = compound_log_scores(logits.log_softmax(dim=1), pair_matrix(RAFCE.classes, RAFCE_COLUMNS))
    torch.testing.assert_close(functional.cross_entropy(logits, target, reduction="none"), -scores.diagonal() / 2)


def test_gradient_of_the_scores():
    pairs = pair_matrix(RAFCE.classes, RAFCE_COLUMNS)
    logits = torch.randn(3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(8)).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: compound_log_scores(z.log_softmax(dim=1), pairs), logits)
    assert torch.autograd.gradcheck(lambda log_p: compound_log_scores(log_p, pairs), logits)


def read_rafce():
    with RAFCE_LABELS.open() as file:
        votes = {name: [float(v) for v in row if v] for name, *row in csv.reader(file, delimiter=" ")}
    with RAFCE_LABELS.with_name("RAFCE_emolabel.txt").open() as file:
        labels = {name: int(label) for name, label in csv.reader(file, delimiter=" ")}
    return torch.tensor([votes[name] for name in labels]), torch.tensor(list(labels.values()))


@pytest.mark.skipif(not RAFCE_LABELS.is_file(), reason="RAF-CE's labels are not beside the repository")
def test_most_real_compounds_are_the_two_most_voted_emotions():
    votes, labels = read_rafce()
    assert len(labels) == 4549
    shares = vote_shares(votes, RAFCE.classes, RAFCE_COLUMNS)
    scores = compound_log_scores(votes.log(), pair_matrix(RAFCE.classes, RAFCE_COLUMNS))
    assert shares.isfinite().all() and not scores.isnan().any()
    for prediction in (shares.argmax(dim=1), scores.argmax(dim=1)):
        assert (prediction == labels).double().mean().item() == pytest.approx(0.984, abs=0.001)
    best = shares.amax(dim=1, keepdim=True)
    leading = shares > best - 1e-6
    tied = leading.sum(dim=1) > 1  # which of them argmax takes is chance: 72 of the 74 misses
    assert int(tied.sum()) == 138
    assert int((shares.argmax(dim=1) == labels)[~tied].sum()) == 4409 == int((~tied).sum()) - 2
    assert int(leading.gather(1, labels[:, None]).sum()) == 4546  # all but three pictures: alone or among the tied


@pytest.mark.skipif(not FERPLUS_VOTES.is_file(), reason="FERPlus' votes are not beside the repository")
def test_real_ferplus_majority_has_the_largest_share():
    counts = pd.read_parquet(FERPLUS_VOTES, columns=list(FERPLUS_COLUMNS)).to_numpy().astype("int64")
    winner = torch.from_numpy(majority(counts))
    kept = (winner >= 0) & (winner < len(FERPLUS.classes))
    assert int(kept.sum()) == 28253
    shares = vote_shares(torch.from_numpy(counts).float(), FERPLUS.classes, FERPLUS_COLUMNS)
    assert shares[kept].argmax(dim=1).equal(winner[kept])
    assert int(shares.isnan().any(dim=1).sum()) == 2  # faces that all ten people called unknown or no face
    assert not shares[kept].isnan().any()
