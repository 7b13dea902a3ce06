"""SE and CBAM's spatial half on each layout: by hand, naive loops, torchvision's SE, CBAM without its channel half."""

import math

import pytest
import torch
from test_golden_attention import sigmoid
from timm.layers.cbam import CbamModule
from torch import nn
from torchvision.ops import SqueezeExcitation

from fer_core.models import build_model
from fer_core.models.attention import ATTENTIONS, OnMap

PLACES = ("se", "spatial", "cbam", "au_guided")


def made(name, channels=8, seed=0):
    """An attention with random weights and statistics, in evaluation mode."""
    torch.manual_seed(seed)
    module = ATTENTIONS[name](channels).eval()
    for item in module.modules():
        if isinstance(item, nn.BatchNorm2d):
            item.running_mean.fill_(0.3), item.running_var.fill_(2.0)
            nn.init.constant_(item.weight, 1.5), nn.init.constant_(item.bias, -0.2)
    return module


@torch.no_grad()
def test_se_by_hand():
    module = made("se", 2)
    hidden = module.fc1.out_channels
    module.fc1.weight.zero_(), module.fc1.bias.zero_(), module.fc2.weight.zero_()
    module.fc1.weight[0] = torch.tensor([1.0, -1.0])[:, None, None]  # relu(mean_0 - mean_1)
    module.fc2.weight[:, 0] = torch.tensor([1.0, 2.0])[:, None, None]
    module.fc2.bias.copy_(torch.tensor([0.0, 0.5]))
    x = torch.tensor([[[[5.0, 7.0]], [[1.0, 3.0]]], [[[1.0, 3.0]], [[5.0, 7.0]]]])
    out = OnMap(module, "nchw", (1, 2))(x)
    assert hidden >= 1
    # means 6 and 2: hidden 4, gates s(4) and s(8.5); means 2 and 6: hidden 0, gates s(0) and s(0.5)
    assert out[0, :, 0].flatten().tolist() == pytest.approx(
        [5 * sigmoid(4), 7 * sigmoid(4), sigmoid(8.5), 3 * sigmoid(8.5)], rel=1e-5
    )
    assert out[1, :, 0].flatten().tolist() == pytest.approx([0.5, 1.5, 5 * sigmoid(0.5), 7 * sigmoid(0.5)], rel=1e-5)


@torch.no_grad()
def test_se_naive_loop():
    module, x = made("se"), torch.randn(8, 5, 4)
    squeezed = torch.stack([plane.mean() for plane in x])  # the paper's equation 2
    hidden = torch.relu(module.fc1.weight[:, :, 0, 0] @ squeezed + module.fc1.bias)
    gates = torch.sigmoid(module.fc2.weight[:, :, 0, 0] @ hidden + module.fc2.bias)  # equation 3
    expected = torch.stack([plane * s for plane, s in zip(x, gates, strict=True)])  # equation 4
    torch.testing.assert_close(OnMap(module, "nchw", (5, 4))(x[None])[0], expected)


def test_se_equals_torchvisions_in_values_and_gradients():
    module = made("se")
    reference = SqueezeExcitation(8, module.fc1.out_channels)
    reference.load_state_dict(module.state_dict())
    x = torch.randn(3, 8, 5, 4, requires_grad=True)
    found, expected = (item(x) for item in (OnMap(module, "nchw", (5, 4)), reference))
    torch.testing.assert_close(found, expected)
    wanted = torch.autograd.grad(expected.square().sum(), [x, *reference.parameters()])
    for one, other in zip(torch.autograd.grad(found.square().sum(), [x, *module.parameters()]), wanted, strict=True):
        torch.testing.assert_close(one, other)


@torch.no_grad()
def test_spatial_by_hand():
    module = made("spatial", 2)
    kernel, norm = module.conv.conv.weight, module.conv.bn
    kernel.zero_()
    kernel[0, :, 3, 3] = torch.tensor([1.0, 10.0])  # the average plus ten times the maximum of the place itself
    kernel[0, 0, 3, 4] = 100.0  # and the average of its right neighbour
    norm.running_mean.zero_(), norm.running_var.fill_(1 - norm.eps), norm.weight.fill_(0.01), norm.bias.fill_(-1.0)
    x = torch.tensor([[[[1.0, 3.0]], [[2.0, -1.0]]]])
    gates = [sigmoid(0.01 * (1.5 + 20 + 100) - 1), sigmoid(0.01 * (1.0 + 30) - 1)]
    out = OnMap(module, "nchw", (1, 2))(x)[0, :, 0]
    assert out[0].tolist() == pytest.approx([gates[0], 3 * gates[1]], rel=1e-5)
    assert out[1].tolist() == pytest.approx([2 * gates[0], -gates[1]], rel=1e-5)


@torch.no_grad()
def test_spatial_naive_loop():
    module, x = made("spatial"), torch.randn(8, 5, 4)
    kernel, norm = module.conv.conv.weight[0], module.conv.bn
    pooled = [[[x[:, row, column].mean(), x[:, row, column].max()] for column in range(4)] for row in range(5)]
    expected = torch.empty_like(x)
    for row in range(5):
        for column in range(4):
            total = 0.0
            for y in range(max(0, row - 3), min(5, row + 4)):
                for z in range(max(0, column - 3), min(4, column + 4)):
                    for kind in (0, 1):
                        total += (kernel[kind, y - row + 3, z - column + 3] * pooled[y][z][kind]).item()
            normed = (total - norm.running_mean.item()) / math.sqrt(norm.running_var.item() + norm.eps)
            expected[:, row, column] = x[:, row, column] * sigmoid(normed * norm.weight.item() + norm.bias.item())
    torch.testing.assert_close(OnMap(module, "nchw", (5, 4))(x[None])[0], expected)


def test_spatial_is_cbam_without_its_channel_half():
    module, reference = made("spatial"), CbamModule(8)
    reference.channel = nn.Identity()
    reference.spatial.load_state_dict(module.state_dict())
    reference.eval()
    x = torch.randn(2, 8, 5, 4, requires_grad=True)
    found, expected = module(x), reference(x)
    torch.testing.assert_close(found, expected)
    (one,), (other,) = (torch.autograd.grad(item.square().sum(), x) for item in (found, expected))
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize("name", PLACES)
def test_every_layout_equals_the_plain_module_in_values_and_gradients(name):
    module = made(name)
    x = torch.randn(2, 8, 5, 4, requires_grad=True)
    reference = module(x)
    assert not torch.allclose(reference, x)
    (expected,) = torch.autograd.grad(reference.square().sum(), x)
    prefix = torch.randn(2, 3, 8)
    for layout in ("nchw", "nhwc", "tokens"):
        y = x.detach().clone().requires_grad_()
        given = {
            "nchw": lambda y: y,
            "nhwc": lambda y: y.permute(0, 2, 3, 1),
            "tokens": lambda y: torch.cat([prefix, y.flatten(2).transpose(1, 2)], dim=1),
        }[layout](y)
        on_map = OnMap(module, layout, (5, 4), prefix=3 if layout == "tokens" else 0)
        out, logits = on_map.attend(given)
        assert out.equal(on_map(given)) and (logits is not None) == (name == "au_guided")
        if layout == "nhwc":
            out = out.permute(0, 3, 1, 2)
        elif layout == "tokens":
            assert out[:, :3].equal(prefix)
            out = out[:, 3:].transpose(1, 2).reshape(2, 8, 5, 4)
        torch.testing.assert_close(out, reference)
        torch.testing.assert_close(torch.autograd.grad(out.square().sum(), y)[0], expected)


@pytest.mark.parametrize("attention", ["se", "spatial", "au_guided"])
@pytest.mark.parametrize(
    ("name", "args"),
    [("test_resnet", {}), ("test_vit", {"patch_size": 8}), ("swin_tiny_patch4_window7_224", {"depths": (1, 1, 1, 1)})],
)
def test_it_stands_between_timms_map_and_timms_pooling_and_every_weight_learns(name, args, attention):
    torch.manual_seed(0)
    model = build_model(timm_name=name, model_args=args, in_chans=3, size=64, classes=4, aus=0, attention=attention)
    model.eval()
    images = torch.rand(2, 3, 64, 64)
    encoder, module = model.encoder, model.attention.module
    features = model.backbone.forward_features((images - encoder.mean) / encoder.std)
    if name == "test_resnet":
        attended = module(features)
    elif name == "test_vit":
        patches = module(features[:, 1:].transpose(1, 2).reshape(2, 64, 8, 8)).flatten(2).transpose(1, 2)
        attended = torch.cat([features[:, :1], patches], dim=1)
    else:
        attended = module(features.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    pooled = model.features(images)
    torch.testing.assert_close(pooled, model.backbone.forward_head(attended, pre_logits=True))
    output = model(images)
    torch.testing.assert_close(output.features, pooled)
    output.logits.square().sum().backward()
    assert all(item.grad.abs().sum() > 0 for item in model.attention.parameters())


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize(("batch", "grid"), [(1, (5, 4)), (3, (1, 1))])
def test_one_sample_one_place_and_half_precision(name, batch, grid):
    module, x = made(name), torch.randn(batch, 8, *grid)
    wide = OnMap(module, "nchw", grid)(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = OnMap(module, "nchw", grid)(x)
    assert wide.shape == x.shape and wide.isfinite().all()
    torch.testing.assert_close(half.float(), wide, rtol=0.05, atol=0.05)
