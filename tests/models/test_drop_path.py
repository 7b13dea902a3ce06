"""Stochastic depth: which branches, how often, in training alone, and that a run goes on as if never interrupted."""

import pytest
import timm
import torch
from timm.layers import DropPath

from fer_core.errors import ConfigError
from fer_core.models import build_encoder, build_model
from fer_core.models.backbone import create_backbone, drop_rates

SWIN = {"embed_dim": 24, "depths": [2, 2, 2], "num_heads": [1, 2, 4], "window_size": 4}
NETWORKS = [
    ("test_resnet", {}),
    ("test_vit", {"patch_size": 8}),
    ("test_convnext", {}),
    ("swin_tiny_patch4_window7_224", SWIN),
    ("efficientnet_b0", {}),
]


def encoder(name, args, drop_path, **more):
    torch.manual_seed(0)
    return build_encoder(timm_name=name, model_args=args, in_chans=3, size=64, drop_path=drop_path, **more)


def test_the_paths_of_a_batch_by_hand():
    """With the branch kept for pictures 0 and 2 of 3 at p = 1/4: x + 4/3 f(x) for them, x for picture 1."""
    layer = DropPath(0.25).train()
    torch.manual_seed(next(seed for seed in range(999) if kept(seed) == [True, False, True]))
    x, branch = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([3.0, 3.0, 6.0])
    torch.testing.assert_close(x + layer(branch), torch.tensor([1 + 4.0, 2.0, 3 + 8.0]))


def kept(seed):
    torch.manual_seed(seed)
    return [bool(value) for value in torch.empty(3).bernoulli_(0.75)]


@pytest.mark.parametrize(("name", "args"), NETWORKS)
def test_the_share_of_dropped_branches_is_the_rate(name, args):
    """Each picture's own draw; 640 of them lie within 4 standard deviations of p."""
    network = encoder(name, args, 0.5).train()
    for item in network.parameters():
        if item.ndim == 1 and not item.any():  # timm's ResNet begins with branches that are 0 altogether
            torch.nn.init.ones_(item)
    dropped = {}

    def watch(layer, given, output):
        gone = (output.flatten(1) == 0).all(dim=1) & (given[0].flatten(1) != 0).any(dim=1)
        dropped.setdefault(layer, []).append(gone)
        rest = ~gone
        torch.testing.assert_close(output[rest], given[0][rest] / (1 - layer.drop_prob))

    layers = [item for item in network.modules() if isinstance(item, DropPath) and item.drop_prob > 0]
    for layer in layers:
        layer.register_forward_hook(watch)
    torch.manual_seed(3)
    with torch.no_grad():
        for _ in range(5):
            network(torch.rand(128, 3, 64, 64))
    assert len(dropped) == len(drop_rates(network.backbone)) > 0
    for layer, batches in dropped.items():
        seen = torch.cat(batches).double()
        deviation = (layer.drop_prob * (1 - layer.drop_prob) / len(seen)) ** 0.5
        assert abs(seen.mean().item() - layer.drop_prob) < 4 * deviation, layer
        assert any(0 < batch.double().mean() < 1 for batch in batches), "not the whole batch alike"


def linear(count, top):
    return [top * number / (count - 1) for number in range(1, count)]


def test_rates_rise_linearly_with_depth():
    def rates(name, args, top=0.3):
        return drop_rates(create_backbone(name, args, 3, 64, drop_path=top))

    vit = rates("test_vit", {"patch_size": 8})  # six blocks of two branches, the first at 0
    assert vit == pytest.approx([rate for rate in linear(6, 0.3) for _ in range(2)])
    assert rates("swin_tiny_patch4_window7_224", SWIN) == pytest.approx(vit), "six blocks too, across its stages"
    assert rates("test_convnext", {}) == pytest.approx(linear(9, 0.3))
    assert rates("test_resnet", {}) == pytest.approx(linear(4, 0.3))
    assert rates("vit_tiny_patch16_224", {"depth": 3, "patch_size": 8}, 0.5) == pytest.approx([0.25, 0.25, 0.5, 0.5])
    # timm's EfficientNet counts l / L as the paper does: 16 units, 9 of them with a shortcut
    with_shortcut = [2, 4, 6, 7, 9, 10, 12, 13, 14]
    assert rates("efficientnet_b0", {}) == pytest.approx([0.3 * number / 16 for number in with_shortcut])


@pytest.mark.parametrize(("name", "args"), NETWORKS)
def test_nothing_is_dropped_in_evaluation(name, args):
    still, random = encoder(name, args, 0.0).eval(), encoder(name, args, 0.5)
    with torch.no_grad():
        for item in still.parameters():
            if item.ndim == 1 and not item.any():  # as above
                torch.nn.init.ones_(item)
    random.load_state_dict(still.state_dict())
    pictures = torch.rand(4, 3, 64, 64)
    with torch.no_grad():
        expected = still(pictures)
        torch.testing.assert_close(random.eval()(pictures), expected, rtol=0, atol=0)
        random.train()
        for module in random.modules():  # norms aside
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eval()
        torch.manual_seed(0)
        first = random(pictures)
        torch.manual_seed(0)
        assert random(pictures).equal(first), "the draws are the global generator's"
        assert not random(pictures).equal(first)


def test_the_default_passes_nothing_on(monkeypatch):
    asked = []
    real = timm.create_model
    monkeypatch.setattr("timm.create_model", lambda *given, **more: asked.append(more) or real(*given, **more))
    create_backbone("test_resnet", {}, 3, 32)
    create_backbone("test_resnet", {}, 3, 32, drop_path=0.2)
    assert "drop_path_rate" not in asked[0] and asked[1]["drop_path_rate"] == 0.2
    assert drop_rates(create_backbone("test_resnet", {}, 3, 32)) == []


def test_it_reaches_the_whole_model_with_and_without_attention():
    for attention in ("none", "cbam"):
        model = build_model(
            timm_name="test_vit",
            model_args={"patch_size": 8},
            in_chans=3,
            size=64,
            classes=3,
            aus=0,
            attention=attention,
            drop_path=0.2,
        )
        assert max(drop_rates(model.backbone)) == pytest.approx(0.2)


@pytest.mark.parametrize("name", ["vgg11", "iresnet18", "densenet121"])
def test_a_network_without_it_is_refused_only_where_it_is_asked_for(name):
    with torch.device("meta"):
        create_backbone(name, {}, 3, 64)
        with pytest.raises(
            ConfigError, match=f"`drop_path` to be 0 for '{name}', which has no stochastic depth; got 0.1"
        ):
            create_backbone(name, {}, 3, 64, drop_path=0.1)
        with pytest.raises(ConfigError, match="could not build"):
            create_backbone(name, {"no_such": 1}, 3, 64, drop_path=0.1)


def test_units_without_a_shortcut_do_not_count():
    """timm's test_efficientnet has the layers but no shortcut: nothing is ever left out."""
    network = encoder("test_efficientnet", {}, 0.5)
    assert any(isinstance(item, DropPath) for item in network.modules())
    assert drop_rates(network.backbone) == []
