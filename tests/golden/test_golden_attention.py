"""CBAM on each layout of feature map: by hand, as a naive loop from the paper, against timm's own module."""

import math

import pytest
import torch
from timm.layers.cbam import CbamModule
from torch import nn

from fer_core.models import build_model
from fer_core.models.attention import OnMap


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_channel_attention_by_hand():
    module = CbamModule(2, rd_channels=1).eval()
    with torch.no_grad():
        module.channel.fc1.weight.copy_(torch.tensor([1.0, 0.0])[None, :, None, None])
        module.channel.fc2.weight.copy_(torch.tensor([1.0, 2.0])[:, None, None, None])
        module.spatial.conv.conv.weight.zero_()  # a spatial gate of sigmoid(0) = 1/2
    x = torch.tensor([[[[1.0, 3.0]], [[5.0, 7.0]]]])
    # channel 0 has mean 2 and maximum 3: the shared MLP gives (2 + 3, 2 · 2 + 2 · 3)
    out = OnMap(module, "nchw", (1, 2))(x)[0, :, 0]
    assert out[0].tolist() == pytest.approx([0.5 * sigmoid(5) * v for v in (1, 3)], rel=1e-5)
    assert out[1].tolist() == pytest.approx([0.5 * sigmoid(10) * v for v in (5, 7)], rel=1e-5)


def naive_cbam(module, x):
    """Equations 1 to 3 of the paper, one position at a time (batch norm of the spatial gate as timm has it)."""
    channels, height, width = x.shape
    w1, w2 = module.channel.fc1.weight[:, :, 0, 0], module.channel.fc2.weight[:, :, 0, 0]

    def mlp(v):
        return w2 @ torch.relu(w1 @ v)

    flat = x.reshape(channels, -1)
    gate = torch.sigmoid(mlp(flat.mean(dim=1)) + mlp(flat.max(dim=1).values))
    x = x * gate[:, None, None]
    kernel, norm = module.spatial.conv.conv.weight[0], module.spatial.conv.bn
    pooled = torch.stack([x.mean(dim=0), x.max(dim=0).values])
    out = torch.empty_like(x)
    for row in range(height):
        for column in range(width):
            total = 0.0
            for dy in range(7):
                for dx in range(7):
                    y, z = row + dy - 3, column + dx - 3
                    if 0 <= y < height and 0 <= z < width:
                        total += (kernel[:, dy, dx] * pooled[:, y, z]).sum().item()
            normed = (total - norm.running_mean.item()) / math.sqrt(norm.running_var.item() + norm.eps)
            gate_here = sigmoid(normed * norm.weight.item() + norm.bias.item())
            out[:, row, column] = x[:, row, column] * gate_here
    return out


def random_module(channels):
    torch.manual_seed(0)
    module = CbamModule(channels, rd_channels=4).eval()
    norm = module.spatial.conv.bn
    norm.running_mean.fill_(0.3), norm.running_var.fill_(2.0)
    nn.init.constant_(norm.weight, 1.5), nn.init.constant_(norm.bias, -0.2)
    return module


@torch.no_grad()
def test_naive_loop():
    module, x = random_module(8), torch.randn(8, 5, 4)
    torch.testing.assert_close(OnMap(module, "nchw", (5, 4))(x[None])[0], naive_cbam(module, x))


def test_every_layout_equals_timms_module_in_values_and_gradients():
    module = random_module(8)
    x = torch.randn(2, 8, 5, 4, requires_grad=True)
    reference = module(x)
    (expected,) = torch.autograd.grad(reference.square().sum(), x)
    prefix = torch.randn(2, 3, 8)
    for layout in ("nchw", "nhwc", "tokens"):
        y = x.detach().clone().requires_grad_()
        if layout == "nchw":
            out = OnMap(module, layout, (5, 4))(y)
        elif layout == "nhwc":
            out = OnMap(module, layout, (5, 4))(y.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        else:
            tokens = torch.cat([prefix, y.flatten(2).transpose(1, 2)], dim=1)
            out = OnMap(module, layout, (5, 4), prefix=3)(tokens)
            assert out[:, :3].equal(prefix)  # class and register tokens pass unchanged
            out = out[:, 3:].transpose(1, 2).reshape(2, 8, 5, 4)
        torch.testing.assert_close(out, reference)
        (gradient,) = torch.autograd.grad(out.square().sum(), y)
        torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize(
    ("name", "args"),
    [("test_resnet", {}), ("test_vit", {"patch_size": 8}), ("swin_tiny_patch4_window7_224", {"depths": (1, 1, 1, 1)})],
)
@torch.no_grad()
def test_the_model_attends_between_timms_map_and_timms_pooling(name, args):
    torch.manual_seed(0)
    model = build_model(timm_name=name, model_args=args, in_chans=3, size=64, classes=4, aus=0, attention="cbam").eval()
    images = torch.rand(2, 3, 64, 64)
    encoder = model.encoder
    features = model.backbone.forward_features((images - encoder.mean) / encoder.std)
    module = model.attention.module
    if name == "test_resnet":
        attended = module(features)
    elif name == "test_vit":
        patches = module(features[:, 1:].transpose(1, 2).reshape(2, 64, 8, 8)).flatten(2).transpose(1, 2)
        attended = torch.cat([features[:, :1], patches], dim=1)
    else:
        attended = module(features.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    torch.testing.assert_close(model.features(images), model.backbone.forward_head(attended, pre_logits=True))
