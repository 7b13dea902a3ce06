"""The GAN's hinge losses: by hand, as the paper's formula in a loop, against torch's own hinge, in gradients."""

import pytest
import torch
from torch.nn import HingeEmbeddingLoss, MultiMarginLoss

from fer_core.synthesis.hinge import discriminator_loss, generator_loss


def scores(count, seed, dtype=torch.float64):
    return 2 * torch.randn(count, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_by_hand():
    real, fake = torch.tensor([2.0, 1.0, 0.5, -1.0]), torch.tensor([-3.0, -1.0, 0.0])
    # real: 0, 0, 0.5 and 2 of 4; synthetic: 0, 0 and 1 of 3
    assert discriminator_loss(real, fake).item() == pytest.approx(2.5 / 4 + 1 / 3)
    assert generator_loss(fake).item() == pytest.approx(4 / 3)
    assert discriminator_loss(torch.zeros(5), torch.zeros(5)).item() == 2, "of one that knows nothing"


def test_naive_loop():
    real, fake = scores(50, 0), scores(30, 1)
    expected = sum(max(0.0, 1 - value) for value in real.tolist()) / 50
    expected += sum(max(0.0, 1 + value) for value in fake.tolist()) / 30
    assert discriminator_loss(real, fake).item() == pytest.approx(expected, rel=1e-12)
    assert generator_loss(fake).item() == pytest.approx(-sum(fake.tolist()) / 30, rel=1e-12)


def test_values_and_gradients_against_torch():
    """torch's multi-margin loss of two classes is max(0, 1 − (s_y − s_other)) / 2: a hinge on the difference."""
    real, fake = scores(20, 0).requires_grad_(), scores(20, 1).requires_grad_()
    discriminator_loss(real, fake).backward()
    r, f = real.detach().clone().requires_grad_(), fake.detach().clone().requires_grad_()
    two = torch.zeros(20, dtype=torch.float64)
    labels = torch.cat([torch.zeros(20), torch.ones(20)]).long()
    logits = torch.cat([torch.stack([r, two], 1), torch.stack([f, two], 1)])
    reference = 4 * MultiMarginLoss()(logits, labels)
    torch.testing.assert_close(discriminator_loss(r, f), reference)
    reference.backward()
    torch.testing.assert_close(real.grad, r.grad)
    torch.testing.assert_close(fake.grad, f.grad)
    # the hinge embedding loss of label −1 is max(0, margin − s)
    hinge = HingeEmbeddingLoss(margin=1.0)
    minus = -torch.ones(20, dtype=torch.float64)
    torch.testing.assert_close(discriminator_loss(r, f), hinge(r, minus) + hinge(-f, minus))


def test_gradcheck():
    real, fake = scores(7, 2).requires_grad_(), scores(4, 3).requires_grad_()
    assert torch.autograd.gradcheck(discriminator_loss, (real, fake))
    assert torch.autograd.gradcheck(generator_loss, (fake,))


def test_who_is_pulled_where():
    real = torch.tensor([1.5, 0.5], requires_grad=True)
    fake = torch.tensor([-1.5, -0.5], requires_grad=True)
    discriminator_loss(real, fake).backward()
    assert real.grad.tolist() == [0, -0.5], "beyond the margin there is nothing to gain"
    assert fake.grad.tolist() == [0, 0.5]
    pulled = torch.tensor([-9.0, 9.0], requires_grad=True)
    generator_loss(pulled).backward()
    assert pulled.grad.tolist() == [-0.5, -0.5], "the generator wants higher scores without end"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_one_score(dtype):
    loss = discriminator_loss(torch.tensor([60000.0], dtype=dtype), torch.tensor([60000.0], dtype=dtype))
    assert loss.dtype == torch.float32 and loss.isfinite() and loss > 59000
    goal = generator_loss(torch.full((4096,), 100.0, dtype=dtype))
    assert goal.dtype == torch.float32 and goal.item() == pytest.approx(-100)
