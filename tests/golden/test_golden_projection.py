"""The GAN's networks: conditional batch norm, residual blocks, spectral norm and projection by their formulas."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrize import is_parametrized

from fer_core.errors import ConfigError
from fer_core.synthesis.networks import (
    ConditionalBatchNorm,
    Discriminator,
    DownBlock,
    Generator,
    UpBlock,
    channels_at,
    sides_of,
)


def maps(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def shaken(network):
    """Parameters that are all different from their start, so that none can be left out unseen."""
    random = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=random, dtype=parameter.dtype))
    return network


def conditional_norm():
    return shaken(ConditionalBatchNorm(3, classes=4).double())


def test_conditional_batch_norm_by_hand():
    norm = ConditionalBatchNorm(1, classes=2).double()
    with torch.no_grad():
        norm.gain.weight.copy_(torch.tensor([[1.0], [2.0]]))
        norm.offset.weight.copy_(torch.tensor([[0.0], [5.0]]))
    x = torch.tensor([1.0, 3.0], dtype=torch.float64).reshape(2, 1, 1, 1)  # mean 2, variance 1
    result = norm(x, torch.tensor([0, 1])).flatten().tolist()
    assert result == pytest.approx([-1, 2 * 1 + 5], rel=1e-4)  # ε = 1e-5


def test_conditional_batch_norm_as_a_loop():
    norm, x, labels = conditional_norm(), maps(5, 3, 2, 4), torch.tensor([0, 3, 3, 1, 0])
    expected = torch.empty_like(x)
    for c in range(3):
        values = x[:, c].flatten().tolist()
        mean = sum(values) / len(values)
        variance = sum((value - mean) ** 2 for value in values) / len(values)
        for b in range(5):
            gain, offset = norm.gain.weight[labels[b], c], norm.offset.weight[labels[b], c]
            expected[b, c] = gain * (x[b, c] - mean) / (variance + 1e-5) ** 0.5 + offset
    torch.testing.assert_close(norm(x, labels), expected)


def test_with_one_class_it_is_torchs_batch_norm_in_values_gradients_and_running_figures():
    ours, theirs = shaken(ConditionalBatchNorm(3, 1).double()), nn.BatchNorm2d(3).double()
    with torch.no_grad():
        theirs.weight.copy_(ours.gain.weight[0])
        theirs.bias.copy_(ours.offset.weight[0])
    zeros = torch.zeros(5, dtype=torch.int64)
    for training in (True, False):
        ours.train(training), theirs.train(training)
        x, y = maps(5, 3, 2, 4).requires_grad_(), maps(5, 3, 2, 4).requires_grad_()
        out, reference = ours(x, zeros), theirs(y)
        torch.testing.assert_close(out, reference)
        for item in (out, reference):
            item.pow(3).sum().backward()
        torch.testing.assert_close(x.grad, y.grad)
    torch.testing.assert_close(ours.gain.weight.grad[0], theirs.weight.grad)
    torch.testing.assert_close(ours.norm.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.norm.running_var, theirs.running_var)


def test_it_starts_as_plain_batch_norm_for_all_classes():
    norm, x = ConditionalBatchNorm(3, classes=4).double(), maps(5, 3, 2, 4)
    expected = nn.BatchNorm2d(3, affine=False).double()(x)
    for label in range(4):
        torch.testing.assert_close(norm(x, torch.full((5,), label)), expected)


def test_up_block_is_the_papers():
    """Norm, ReLU, up-sample, convolve, norm, ReLU, convolve; beside it up-sample, then the 1 x 1 convolution."""
    block = shaken(UpBlock(4, 6, classes=3).double())
    x, labels = maps(2, 4, 3, 3), torch.tensor([2, 0])
    h = functional.relu(block.norm1(x, labels)).repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    h = block.conv2(functional.relu(block.norm2(block.conv1(h), labels)))
    expected = h + block.shortcut(x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3))
    torch.testing.assert_close(block(x, labels), expected)


@pytest.mark.parametrize("first", [True, False])
def test_down_block_is_the_papers(first):
    block, x = shaken(DownBlock(4, 6, first=first).double()), maps(2, 4, 6, 6)

    def halved(values):
        return (values[..., ::2, ::2] + values[..., 1::2, ::2] + values[..., ::2, 1::2] + values[..., 1::2, 1::2]) / 4

    h = x if first else functional.relu(x)
    expected = halved(block.conv2(functional.relu(block.conv1(h)))) + halved(block.shortcut(x))
    torch.testing.assert_close(block(x), expected)


def discriminator(classes=3, channels=1, size=8, steps=0):
    torch.manual_seed(0)
    network = Discriminator(classes, size, channels, width=4).double()
    shaken(network)
    for step in range(steps):  # every training pass follows the largest singular values by one step
        network(maps(1, channels, size, size, seed=step), torch.zeros(1, dtype=torch.int64))
    return network.eval()


def test_projection_as_a_loop():
    network, x, labels = discriminator(), maps(4, 1, 8, 8), torch.tensor([0, 2, 1, 2])
    features = x
    for block in network.blocks:
        features = block(features)
    features = features.clamp(min=0)
    for b in range(4):
        phi = [sum(features[b, d].flatten().tolist()) for d in range(features.shape[1])]
        psi = network.score.bias.item() + sum(w * f for w, f in zip(network.score.weight[0].tolist(), phi, strict=True))
        inner = sum(v * f for v, f in zip(network.embedding.weight[labels[b]].tolist(), phi, strict=True))
        assert network(x, labels)[b].item() == pytest.approx(psi + inner, rel=1e-9)


def test_the_class_enters_by_the_inner_product_alone():
    network, x = discriminator(), maps(4, 1, 8, 8)
    one, two = (network(x, torch.full((4,), label)) for label in (1, 2))
    v = network.embedding.weight
    torch.testing.assert_close(one - two, network.features(x) @ (v[1] - v[2]))
    assert ((one - two).abs() > 1e-6).all()


def test_every_weight_of_the_discriminator_has_spectral_norm_one():
    network = discriminator(steps=60)
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear | nn.Embedding)]
    assert len(layers) == 3 * 1 + 2 and all(is_parametrized(layer, "weight") for layer in layers)
    for layer in layers:
        norm = torch.linalg.matrix_norm(layer.weight.flatten(1), ord=2)
        assert norm.item() == pytest.approx(1, rel=2e-3), type(layer)
        original = layer.parametrizations.weight.original
        reference = original / torch.linalg.matrix_norm(original.flatten(1), ord=2)
        torch.testing.assert_close(layer.weight, reference, rtol=5e-3, atol=1e-4)


def test_larger_weights_change_nothing():
    """A convolution without bias, ten times as large, is the same after spectral normalisation."""
    network, other = discriminator(steps=60), discriminator(steps=60)
    with torch.no_grad():
        other.embedding.parametrizations.weight.original.mul_(10)
    x, labels = maps(4, 1, 8, 8), torch.tensor([0, 2, 1, 2])
    torch.testing.assert_close(other(x, labels), network(x, labels))


def test_evaluation_does_not_move_the_spectral_norm_and_training_does():
    network, x, labels = discriminator(), maps(4, 1, 8, 8), torch.tensor([0, 2, 1, 2])
    assert network(x, labels).equal(network(x, labels))
    network.train()
    assert not network(x, labels).equal(network(x, labels))


def generator(classes=3, channels=1, size=8, noise=5):
    torch.manual_seed(0)
    return shaken(Generator(classes, size, channels, width=4, noise=noise).double())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 16, 24, 48, 64])
def test_shapes_and_range(channels, size):
    made = generator(3, channels, size)(maps(2, 5), torch.tensor([0, 2]))
    assert made.shape == (2, channels, size, size)
    assert made.abs().max() <= 1 and made.std() > 0.01
    assert discriminator(3, channels, size)(made, torch.tensor([0, 2])).shape == (2,)


def test_generator_hears_noise_and_class():
    network = generator().eval()
    z = maps(4, 5)
    a, b = (network(z, torch.full((4,), label)) for label in (0, 1))
    assert not torch.allclose(a, b), "another class is another picture"
    assert not torch.allclose(a[0], a[1]), "other noise is another picture"
    torch.testing.assert_close(network(z[:1], torch.tensor([0])), a[:1], msg="in evaluation pictures are on their own")


def test_gradients_of_both_against_finite_differences():
    g, d, labels = generator(), discriminator(), torch.tensor([0, 1, 2])
    z = maps(3, 5).requires_grad_()
    assert torch.autograd.gradcheck(lambda noise: d(g(noise, labels), labels), z)
    d(g(z, labels), labels).sum().backward()
    # a bias before a batch norm does nothing; everything else of the generator is moved
    for name, parameter in g.named_parameters():
        if not (name.endswith("bias") and ("linear" in name or "conv1" in name)):
            assert parameter.grad.abs().sum() > 0, name


def test_a_class_that_is_not_shown_gets_no_gradient():
    g, d, labels = generator(), discriminator(), torch.tensor([0, 2, 2])
    d(g(maps(3, 5), labels), labels).sum().backward()
    gains = [block.norm1.gain.weight.grad for block in g.blocks]
    assert all(grad[1].eq(0).all() and grad[[0, 2]].abs().sum(1).gt(0).all() for grad in gains)


def test_sizes():
    assert sides_of(64) == [4, 8, 16, 32, 64] and sides_of(40) == [5, 10, 20, 40] and sides_of(8) == [4, 8]
    for size in (0, 1, 4, 7, 9, 22, 33, 36, 100):
        with pytest.raises(ConfigError, match=f"got {size}"):
            sides_of(size)  # 36 = 9 · 4 and 100 = 25 · 4 begin too large
    assert [channels_at(8, side) for side in (128, 64, 32, 16, 8, 4)] == [4, 4, 8, 16, 32, 32]


def test_about_a_million_parameters():
    networks = Generator(14, 64, 3, width=32), Discriminator(14, 64, 3, width=32)
    assert 0.8e6 < sum(p.numel() for network in networks for p in network.parameters()) < 1.4e6


def test_half_precision_and_one_picture():
    g, d = generator().float().eval(), discriminator().float()
    with torch.autocast("cpu", torch.bfloat16):
        score = d(g(maps(1, 5).float(), torch.tensor([1])), torch.tensor([1]))
    assert score.shape == (1,) and score.isfinite().all()
