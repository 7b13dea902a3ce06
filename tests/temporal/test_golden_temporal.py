"""Each temporal model against another way of computing it: by hand, naive loops, single sequences, torchvision."""

import math

import clip_sets
import pytest
import torch
from torch import nn
from torchvision.models.video import r3d_18

from fer_core.augment import generic
from fer_core.augment.batch import Batch
from fer_core.temporal.augment import augment_clips
from fer_core.temporal.conv3d import MEAN, STD, Conv3d
from fer_core.temporal.frames import log_mean_probability
from fer_core.temporal.lstm import Lstm
from fer_core.temporal.mean import Mean
from fer_core.temporal.tcn import Block, Tcn
from fer_core.temporal.transformer import Transformer, sinusoids

LENGTHS = [4, 1, 7, 2]


def sequences(width=6, frames=9):
    torch.manual_seed(1)
    features = torch.randn(len(LENGTHS), frames, width, dtype=torch.double)
    return features, torch.arange(frames) < torch.tensor(LENGTHS)[:, None]


def made(kind, layers=2):
    torch.manual_seed(0)
    return kind(6, 3, hidden=8, layers=layers, dropout=0.2).double().eval()


def test_mean_by_hand():
    # odds 1 : 1 and 1 : 3 are 1/2 and 1/4, mean 3/8; the padded frame's 9 : 1 does not count
    odds = [[[1.0, 1.0], [1.0, 3.0], [9.0, 1.0]]]
    logits = torch.tensor(odds).log()
    found = log_mean_probability(logits, torch.tensor([[True, True, False]]))
    assert found.exp()[0].tolist() == pytest.approx([3 / 8, 5 / 8])
    assert found.log_softmax(1)[0].tolist() == pytest.approx([math.log(3 / 8), math.log(5 / 8)])


def test_mean_naive_loop():
    features, mask = sequences()
    model = Mean(6, 3).double()
    found = model(features, mask)
    for row, length in enumerate(LENGTHS):
        total = torch.zeros(3, dtype=torch.double)
        for t in range(length):
            scores = torch.exp(model.head.weight @ features[row, t] + model.head.bias)
            total += scores / scores.sum()
        torch.testing.assert_close(found[row], (total / length).log())


@torch.no_grad()
def test_lstm_layers_are_those_of_torch():
    features, mask = sequences()
    model = made(Lstm, layers=2)
    reference = nn.LSTM(features.shape[2], 8, 2, batch_first=True, bidirectional=True, dtype=torch.double)
    for number, layer in enumerate(model.layers):
        for name, value in layer.named_parameters():
            getattr(reference, name.replace("_l0", f"_l{number}")).copy_(value)
    for row, length in enumerate(LENGTHS):
        states = reference(features[row : row + 1, :length])[0][0]
        torch.testing.assert_close(model(features, mask)[row], model.head(states.mean(0)))


@torch.no_grad()
def test_lstm_naive_loop():
    """Equations of the paper with forget gate, one direction after the other, clip by clip."""
    features, mask = sequences()
    model = made(Lstm, layers=1)
    (lstm,) = model.layers

    def run(frames, suffix):
        h = c = torch.zeros(8, dtype=torch.double)
        states = []
        for x in frames:
            gates = (
                getattr(lstm, f"weight_ih_l0{suffix}") @ x
                + getattr(lstm, f"bias_ih_l0{suffix}")
                + getattr(lstm, f"weight_hh_l0{suffix}") @ h
                + getattr(lstm, f"bias_hh_l0{suffix}")
            )
            i, f, g, o = gates.chunk(4)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            states.append(h)
        return states

    for row, length in enumerate(LENGTHS):
        frames = list(features[row, :length])
        forward, backward = run(frames, ""), run(frames[::-1], "_reverse")[::-1]
        mean = sum(torch.cat(pair) for pair in zip(forward, backward, strict=True)) / length
        torch.testing.assert_close(model(features, mask)[row], model.head.weight @ mean + model.head.bias)


@torch.no_grad()
@pytest.mark.parametrize("kind", [Lstm, Tcn, Transformer])
def test_batches_equal_single_sequences_without_padding(kind):
    features, mask = sequences()
    model = made(kind)
    for row, length in enumerate(LENGTHS):
        alone = model(features[row : row + 1, :length], torch.ones(1, length, dtype=torch.bool))[0]
        torch.testing.assert_close(model(features, mask)[row], alone, atol=1e-9, rtol=0)


def unweighted(conv, x, dilation):
    """Σ_k W_k x_(t + (k − 1) · dilation) + b over one clip's frames (T, D), nothing outside."""
    weight, out = conv.weight, []
    for t in range(len(x)):
        total = conv.bias.clone()
        for k in range(3):
            source = t + (k - 1) * dilation
            if 0 <= source < len(x):
                total += weight[:, :, k] @ x[source]
        out.append(total)
    return torch.stack(out)


@torch.no_grad()
@pytest.mark.parametrize(("width", "dilation"), [(6, 1), (8, 2), (6, 4)])
def test_tcn_block_naive_loop(width, dilation):
    torch.manual_seed(0)
    block = Block(width, 8, dilation, dropout=0.2).double().eval()
    features, mask = sequences(width)
    found = block(features, mask)
    assert found[~mask].abs().max() == 0
    for row, length in enumerate(LENGTHS):
        x = features[row, :length]
        y = unweighted(block.conv2, unweighted(block.conv1, x, dilation).relu(), dilation).relu()
        if width != 8:
            x = x @ block.shortcut.weight[:, :, 0].T + block.shortcut.bias
        torch.testing.assert_close(found[row, :length], (x + y).relu())


@torch.no_grad()
def test_tcn_weights_are_normalised_and_dilations_double():
    model = made(Tcn, layers=3)
    assert [block.conv2.dilation for block in model.blocks] == [(1,), (2,), (4,)]
    conv = model.blocks[0].conv1
    g, v = conv.parametrizations.weight.original0, conv.parametrizations.weight.original1
    torch.testing.assert_close(conv.weight, g * v / v.flatten(1).norm(dim=1)[:, None, None])  # w = g · v / ‖v‖


def test_tcn_sees_as_far_as_it_says():
    model = made(Tcn, layers=2)
    features = torch.randn(1, 21, 6, dtype=torch.double, requires_grad=True)
    x = features
    for block in model.blocks:
        x = block(x, torch.ones(1, 21, dtype=torch.bool))
    x[0, 10].sum().backward()
    touched = features.grad[0].abs().sum(dim=1).nonzero()[:, 0]
    assert (int(touched.min()), int(touched.max())) == (4, 16), "1 + 4 · (2² − 1) = 13 frames"


def test_sinusoids_by_hand():
    found = sinusoids(3, 4)
    assert found[2].tolist() == pytest.approx([math.sin(2), math.cos(2), math.sin(0.02), math.cos(0.02)], rel=1e-5)
    assert found[0].tolist() == [0, 1, 0, 1]


@torch.no_grad()
def test_transformer_naive_loop():
    """One layer, written out: norm, four heads over the class token and the real frames, norm, network."""
    features, mask = sequences()
    model = made(Transformer, layers=1)
    layer = model.encoder.layers[0]
    attention = layer.self_attn
    for row, length in enumerate(LENGTHS):
        x = model.project(features[row, :length]) + sinusoids(length, 8)
        x = torch.cat([model.token[None], x])
        q, k, v = (layer.norm1(x) @ attention.in_proj_weight.T + attention.in_proj_bias).chunk(3, dim=1)
        heads = []
        for part in range(4):
            columns = slice(2 * part, 2 * part + 2)
            shares = (q[:, columns] @ k[:, columns].T / math.sqrt(2)).softmax(dim=1)
            heads.append(shares @ v[:, columns])
        x = x + attention.out_proj(torch.cat(heads, dim=1))
        x = x + layer.linear2(nn.functional.gelu(layer.linear1(layer.norm2(x))))
        torch.testing.assert_close(model(features, mask)[row], model.head(model.encoder.norm(x)[0]), atol=1e-6, rtol=0)


def test_conv3d_equals_torchvisions_r3d_18():
    torch.manual_seed(0)
    reference = r3d_18(num_classes=7)
    model = Conv3d(7, channels=3, width=64, dropout=0.5)
    assert {k: v.shape for k, v in model.state_dict().items()} == {
        k: v.shape for k, v in reference.state_dict().items()
    }
    assert list(model.state_dict()) == list(reference.state_dict())
    for item in reference.modules():
        if isinstance(item, nn.BatchNorm3d):
            item.running_mean.normal_(0, 0.1), item.running_var.uniform_(0.5, 2)
    model.load_state_dict(reference.state_dict())
    images = torch.rand(2, 5, 3, 32, 32)
    mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
    normal = ((images - mean) / std).transpose(1, 2)
    whole = torch.ones(2, 5, dtype=torch.bool)
    with torch.no_grad():
        torch.testing.assert_close(model.eval()(images, whole), reference.eval()(normal))
        shorter = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
        found = model(images, shorter)  # a clip cut short is that clip in torchvision's network
        torch.testing.assert_close(found[1:], reference(normal[1:, :, :3]), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(found[:1], reference(normal[:1]), atol=1e-5, rtol=1e-5)


def test_conv3d_batch_norm_is_over_real_steps():
    """In training, clips of equal length give torchvision's statistics; padded ones those of what is real."""
    torch.manual_seed(0)
    model = Conv3d(2, channels=1, width=4, dropout=0.0).double().train()
    images, mask = clip_sets.batch([3, 1], 4)
    model(images, mask)
    padded = model.stem[0]((((images - model.mean) / model.std) * mask[:, :, None, None, None]).transpose(1, 2))
    real = torch.cat([padded[0, :, :3], padded[1, :, :1]], dim=1)  # (C, 4 steps, H, W)
    torch.testing.assert_close(model.stem[1].running_mean, 0.1 * real.flatten(1).mean(dim=1))
    torch.testing.assert_close(model.stem[1].running_var, 0.9 + 0.1 * real.flatten(1).var(dim=1))


@pytest.mark.parametrize("channels", [1, 3])
def test_augmentation_changes_all_frames_of_a_clip_alike(channels):
    """Equal frames stay equal, whatever the clip's length; different clips get different changes."""
    still = torch.rand(3, 1, channels, 16, 16).repeat(1, 5, 1, 1, 1)
    mask = torch.arange(5) < torch.tensor([5, 3, 5])[:, None]
    still[~mask] = 0
    before = still.clone()
    found = augment_clips("generic", still, mask, torch.Generator().manual_seed(0))
    assert torch.equal(still, before)
    assert found[~mask].abs().max() == 0
    for row, length in enumerate([5, 3, 5]):
        torch.testing.assert_close(found[row, :length], found[row, :1].expand(length, -1, -1, -1))
        assert (found[row] - still[row]).abs().max() > 0.05
    assert (found[0, 0] - found[2, 0]).abs().max() > 0.05


def test_augmentation_of_one_frame_is_the_pictures_own():
    images = torch.rand(4, 1, 3, 16, 16)
    batch = Batch(images[:, 0], torch.full((4, 5, 2), torch.nan), torch.empty(4, 0))
    expected = generic.augment(batch, torch.Generator().manual_seed(0)).images
    mask = torch.ones(4, 1, dtype=torch.bool)
    found = augment_clips("face_aware", images, mask, torch.Generator().manual_seed(0))
    torch.testing.assert_close(found[:, 0], expected)
    assert augment_clips("none", images, mask, torch.Generator()) is images


def test_augmentation_does_not_depend_on_padding():
    images = torch.rand(2, 3, 1, 16, 16)
    padded = torch.cat([images, torch.zeros(2, 4, 1, 16, 16)], dim=1)
    mask = torch.ones(2, 3, dtype=torch.bool)
    draw = torch.Generator().manual_seed
    found = augment_clips("generic", padded, nn.functional.pad(mask, (0, 4)), draw(0))
    torch.testing.assert_close(found[:, :3], augment_clips("generic", images, mask, draw(0)))
