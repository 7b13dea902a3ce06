"""Few-shot episodes and the prototypical loss: by hand, as a loop from Snell et al., against torch and scikit-learn."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestCentroid
from torch.nn import functional

from fer_core.errors import ConfigError
from fer_core.losses.prototypical import prototypes, prototypical_loss, squared_distances
from fer_core.sampling.few_shot import episode, few_shot_classes

LABELS = torch.tensor([0] * 50 + [1] * 4 + [2] * 40 + [3] * 1 + [5] * 3 + [6] * 30)  # class 4 is absent


def draw(labels=LABELS, rare=(1, 5), ways=4, shots=2, queries=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return episode(labels, rare, ways=ways, shots=shots, queries=queries, generator=generator)


def test_few_shot_classes_by_hand():
    # sizes 50, 4, 40, 1, 0, 3, 30
    assert few_shot_classes(LABELS, below=5) == [1, 5]
    assert few_shot_classes(LABELS, below=4) == [5]
    assert few_shot_classes(LABELS, below=31) == [1, 5, 6]
    assert few_shot_classes(LABELS, below=2) == []
    assert few_shot_classes(torch.tensor([], dtype=torch.int64), below=5) == []


def test_episode_by_hand():
    drawn = draw()
    # four ways, half of them rare: both rare classes and two of 0, 2, 6
    classes = set(drawn.support_class.tolist())
    assert classes == set(drawn.query_class.tolist()) and len(classes) == 4
    assert {1, 5} < classes <= {0, 1, 2, 5, 6}
    # class 1 has 4 pictures: 2 support, 2 left; class 5 has 3: 2 support, 1 left; the common ones have 2 and 3
    counts = {k: (drawn.support_class.eq(k).sum().item(), drawn.query_class.eq(k).sum().item()) for k in classes}
    assert counts.pop(1) == (2, 2) and counts.pop(5) == (2, 1)
    assert set(counts.values()) == {(2, 3)}


def test_one_picture_is_kept_as_a_query():
    drawn = draw(shots=10)
    assert drawn.support_class.eq(5).sum() == 2 and drawn.query_class.eq(5).sum() == 1


@pytest.mark.parametrize(("ways", "rare"), [(2, 1), (3, 2), (4, 2), (5, 3), (6, 3)])
def test_half_of_the_ways_rounded_up_is_rare(ways, rare):
    labels = torch.arange(10).repeat(4)
    for seed in range(10):
        classes = set(draw(labels, range(5), ways, seed=seed).support_class.tolist())
        assert len(classes) == ways and len(classes & set(range(5))) == rare


def test_rare_and_common_classes_change_from_episode_to_episode():
    labels = torch.arange(8).repeat(4)
    seen = [set(draw(labels, range(4), 2, seed=seed).support_class.tolist()) for seed in range(60)]
    for label in range(8):  # each comes in a quarter of the episodes: standard deviation 3.4 of 15
        assert 3 <= sum(label in classes for classes in seen) <= 30


def test_only_rare_classes_fill_the_episode():
    assert set(draw(torch.arange(5).repeat(3), range(5)).support_class.tolist()) < set(range(5))
    assert len(draw(torch.arange(5).repeat(3), range(5)).support_class.unique()) == 4
    assert draw(torch.tensor([0, 0, 1, 1]), [0], ways=7).query_class.sort().values.tolist() == [0, 1]


@settings(max_examples=80, deadline=None)
@given(
    labels=st.lists(st.sampled_from([0, 1, 3, 4, 7]), max_size=40),
    ways=st.integers(2, 6),
    shots=st.integers(1, 4),
    queries=st.integers(1, 4),
    seed=st.integers(0, 2**32),
)
def test_episode_properties(labels, ways, shots, queries, seed):
    labels = torch.tensor(labels, dtype=torch.int64)
    rare = few_shot_classes(labels, below=8)
    usable = [k for k in range(8) if labels.eq(k).sum() >= 2]
    if len(usable) < 2 or not rare:
        with pytest.raises(ConfigError, match="two classes"):
            draw(labels, rare, ways, shots, queries, seed)
        return
    drawn = draw(labels, rare, ways, shots, queries, seed)
    assert all(part.dtype == torch.int64 for part in drawn)
    assert labels[drawn.support].equal(drawn.support_class) and labels[drawn.query].equal(drawn.query_class)
    together = drawn.support.tolist() + drawn.query.tolist()
    assert len(set(together)) == len(together)
    classes = drawn.support_class.unique().tolist()
    assert len(classes) == min(ways, len(usable)) and set(classes) & set(rare)
    for k in classes:
        n = labels.eq(k).sum().item()
        s, q = drawn.support_class.eq(k).sum().item(), drawn.query_class.eq(k).sum().item()
        assert s == min(shots, n - 1) and q == min(queries, n - s) >= 1
    assert all(a.equal(b) for a, b in zip(drawn, draw(labels, rare, ways, shots, queries, seed), strict=True))


@pytest.mark.parametrize("setting", [{"ways": 1}, {"shots": 0}, {"queries": 0}])
def test_settings_out_of_range(setting):
    with pytest.raises(ConfigError, match=next(iter(setting))):
        draw(**setting)


@pytest.mark.parametrize(
    ("labels", "rare"), [([], []), ([0, 0, 0, 1], [0]), ([0, 0, 1, 1], []), ([0, 0, 1, 1, 2], [2])]
)
def test_too_few_classes(labels, rare):
    with pytest.raises(ConfigError, match="two classes"):
        draw(torch.tensor(labels, dtype=torch.int64), rare)


# --- prototypes and loss


def case(seed=0, support=9, query=7, features=4, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    s, q = (torch.randn(n, features, generator=generator, dtype=dtype) for n in (support, query))
    numbers = torch.tensor([2, 5, 11])
    return s, numbers[torch.arange(support) % 3], q, numbers[torch.randint(3, (query,), generator=generator)]


def test_prototypes_by_hand():
    features = torch.tensor([[0.0, 2.0], [4.0, 0.0], [8.0, 8.0]])
    shares = torch.tensor([[1.0, 0.0, 0.0], [0.75, 0.25, 0.0], [0.0, 1.0, 0.0]])
    means, known = prototypes(features, shares)
    # class 0: (1 · (0, 2) + 0.75 · (4, 0)) / 1.75; class 1: (0.25 · (4, 0) + (8, 8)) / 1.25
    assert means.tolist() == [pytest.approx([3 / 1.75, 2 / 1.75]), pytest.approx([9 / 1.25, 8 / 1.25]), [0.0, 0.0]]
    assert known.tolist() == [True, True, False]
    assert prototypes(features, shares, least=1.5)[1].tolist() == [True, False, False]


def test_loss_by_hand():
    # class 4 has mean (1, 0) of (0, 0) and (2, 0), class 9 has (1, 3). Query (1, 1): distances² 1 and 4
    support = torch.tensor([[0.0, 0.0], [1.0, 3.0], [2.0, 0.0]])
    support_class, query = torch.tensor([4, 9, 4]), torch.tensor([[1.0, 1.0]])
    loss = prototypical_loss(support, support_class, query, torch.tensor([4]))
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-3)), rel=1e-5)
    both = prototypical_loss(support, support_class, query.repeat(2, 1), torch.tensor([4, 9]))
    assert both.item() == pytest.approx((math.log(1 + math.exp(-3)) + math.log(1 + math.exp(3))) / 2, rel=1e-5)


def naive_loss(support, support_class, query, query_class):
    classes = sorted(set(support_class.tolist()))
    means = {}
    for k in classes:
        own = [f for f, c in zip(support, support_class.tolist(), strict=True) if c == k]
        means[k] = sum(own) / len(own)
    total = 0.0
    for f, c in zip(query, query_class.tolist(), strict=True):  # Snell et al., algorithm 1
        d = {k: sum((x - y) ** 2 for x, y in zip(f.tolist(), means[k].tolist(), strict=True)) for k in classes}
        total += d[c] + math.log(sum(math.exp(-d[k]) for k in classes))
    return total / len(query)


def test_loss_naive_loop():
    for seed in range(5):
        assert prototypical_loss(*case(seed)).item() == pytest.approx(naive_loss(*case(seed)), rel=1e-9)


def test_equals_cdist_and_cross_entropy_in_values_and_gradients():
    support, support_class, query, query_class = case()
    ours, theirs = [], []
    for results, form in ((ours, "ours"), (theirs, "theirs")):
        s, q = support.clone().requires_grad_(), query.clone().requires_grad_()
        if form == "ours":
            loss = prototypical_loss(s, support_class, q, query_class)
        else:
            means = torch.stack([s[support_class == k].mean(dim=0) for k in (2, 5, 11)])
            logits = -torch.cdist(q, means).square()
            loss = functional.cross_entropy(logits, torch.searchsorted(torch.tensor([2, 5, 11]), query_class))
        results += [loss, *torch.autograd.grad(loss, (s, q))]
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


def test_prototypes_equal_sklearns_centroids():
    support, support_class, _, _ = case()
    classes, index = support_class.unique(return_inverse=True)
    means, known = prototypes(support, functional.one_hot(index, len(classes)))
    centroids = NearestCentroid().fit(support.numpy(), support_class.numpy()).centroids_
    torch.testing.assert_close(means, torch.from_numpy(centroids))
    assert known.all()


def test_gradcheck():
    support, support_class, query, query_class = case(support=6, query=3, features=3)
    support.requires_grad_(), query.requires_grad_()
    assert torch.autograd.gradcheck(lambda s, q: prototypical_loss(s, support_class, q, query_class), (support, query))
    shares = torch.rand(6, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert torch.autograd.gradcheck(lambda f, y: prototypes(f, y)[0], (support, shares))


def test_a_class_without_support_gives_no_nan_gradient():
    support = case()[0].requires_grad_()
    shares = torch.ones(9, 3, dtype=torch.float64).index_fill(1, torch.tensor(1), 0).requires_grad_()
    means, known = prototypes(support, shares)
    assert known.tolist() == [True, False, True]
    by_features, by_shares = torch.autograd.grad(means.sum(), (support, shares))
    assert by_features.isfinite().all() and by_shares.isfinite().all() and by_shares[:, 1].eq(0).all()


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32), data=st.data())
def test_order_and_class_numbers_do_not_matter(seed, data):
    support, support_class, query, query_class = case(seed)
    s, q = (torch.tensor(data.draw(st.permutations(range(n)))) for n in (len(support), len(query)))
    renumber = torch.tensor(data.draw(st.permutations(range(12))))
    other = prototypical_loss(support[s], renumber[support_class[s]], query[q], renumber[query_class[q]])
    torch.testing.assert_close(other, prototypical_loss(support, support_class, query, query_class))


def test_distances_do_not_cancel():
    # in float32 the expanded |f|² - 2 f·c + |c|² of such vectors is off by whole units
    f, c = torch.tensor([[1e4, 1e4]]), torch.tensor([[1e4, 1e4 + 0.125]])
    assert squared_distances(f, c).item() == 0.125**2


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_autocast(dtype):
    support, support_class, query, query_class = case()
    s, q = support.to(dtype), query.to(dtype)
    exact = prototypical_loss(s.double(), support_class, q.double(), query_class)
    loss = prototypical_loss(s, support_class, q, query_class)
    assert loss.dtype == torch.float32 and loss.item() == pytest.approx(exact.item(), rel=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        assert prototypical_loss(s, support_class, q, query_class).item() == pytest.approx(exact.item(), rel=1e-5)
    large = torch.full((2, 512), 6e4, dtype=torch.float16) * torch.tensor([[1], [-1]], dtype=torch.float16)
    assert prototypical_loss(large, torch.tensor([0, 1]), large, torch.tensor([1, 0])).isfinite()


def test_degenerate_episodes():
    f = torch.tensor([[1.0, 2.0]], requires_grad=True)
    one = prototypical_loss(f, torch.tensor([3]), f, torch.tensor([3]))
    assert one.item() == 0 and torch.autograd.grad(one, f)[0].eq(0).all()
    with pytest.raises(ConfigError, match=r"\[3\].*\[4\]"):
        prototypical_loss(f, torch.tensor([3]), f, torch.tensor([4]))
    with pytest.raises(ConfigError, match="queries"):
        prototypical_loss(f, torch.tensor([3]), f[:0], torch.tensor([], dtype=torch.int64))
    empty, known = prototypes(f[:0], torch.zeros(0, 2))
    assert empty.equal(torch.zeros(2, 2)) and not known.any()


def test_descending_the_loss_tells_the_classes_apart():
    torch.manual_seed(0)
    labels = torch.tensor([0] * 20 + [1] * 5 + [2] * 20)
    pictures = torch.randn(45, 6) + 2 * torch.eye(3, 6)[labels]
    net = torch.nn.Linear(6, 2)
    optimizer = torch.optim.Adam(net.parameters(), 0.05)
    losses = []
    for step in range(60):
        e = draw(labels, [1], ways=3, shots=4, queries=4, seed=step)
        loss = prototypical_loss(net(pictures[e.support]), e.support_class, net(pictures[e.query]), e.query_class)
        optimizer.zero_grad(), loss.backward(), optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) < 0.7 * sum(losses[:10])
