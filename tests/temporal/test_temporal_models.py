"""What holds for every temporal model: padding has no effect, order has (but for the mean), gradients are finite."""

import clip_sets
import pytest
import torch
from torch import nn

from fer_core.errors import ConfigError
from fer_core.models import build_encoder
from fer_core.temporal import TEMPORAL, ClipModel, build_clip_model

EVERY = pytest.mark.parametrize("name", TEMPORAL)
LENGTHS = [4, 1, 7, 2, 5]


@EVERY
@pytest.mark.parametrize("channels", [1, 3])
@torch.no_grad()
def test_padding_and_the_other_clips_of_a_batch_change_nothing(name, channels):
    model = clip_sets.model(name, channels=channels)
    together = model(*clip_sets.batch(LENGTHS, 7, channels=channels))
    more = model(*clip_sets.batch(LENGTHS, 12, channels=channels))
    images, mask = clip_sets.batch(LENGTHS, 7, channels=channels)
    alone = torch.cat(
        [model(images[row : row + 1, :length], mask[row : row + 1, :length]) for row, length in enumerate(LENGTHS)]
    )
    assert together.shape == (5, 3)
    torch.testing.assert_close(more, together, atol=1e-6, rtol=0)
    torch.testing.assert_close(alone, together, atol=1e-6, rtol=0)
    assert together.std(dim=0).min() > 1e-4, "different clips give different logits"


@EVERY
@torch.no_grad()
def test_what_stands_in_the_padding_is_never_read(name):
    model = clip_sets.model(name)
    images, mask = clip_sets.batch(LENGTHS, 7)
    dirty = images.clone()
    dirty[~mask] = 1e3
    torch.testing.assert_close(model(dirty, mask), model(images, mask), atol=1e-6, rtol=0)


@EVERY
def test_padding_changes_no_training_step_either(name):
    """Batch norm normalises by real frames only: losses, gradients and running statistics are the same."""
    found = []
    for frames in (7, 11):
        model = clip_sets.model(name).train()
        for item in model.modules():
            if isinstance(item, nn.Dropout):
                item.p = 0.0
            if isinstance(item, nn.LSTM):
                item.dropout = 0.0
            if isinstance(item, nn.MultiheadAttention):
                item.dropout = 0.0
        logits = model(*clip_sets.batch(LENGTHS, frames))
        logits.square().sum().backward()
        gradients = {key: item.grad for key, item in model.named_parameters() if item.grad is not None}
        found.append((logits, gradients, dict(model.named_buffers())))
    torch.testing.assert_close(found[0], found[1], atol=1e-6, rtol=1e-6)


@EVERY
def test_gradients_are_finite_and_none_reaches_padding(name):
    model = clip_sets.model(name).train()
    images, mask = clip_sets.batch(LENGTHS, 7)
    images.requires_grad_()
    nn.functional.cross_entropy(model(images, mask), torch.tensor([0, 1, 2, 0, 1])).backward()
    assert images.grad is not None and images.grad[~mask].abs().max() == 0
    assert images.grad[mask].flatten(1).abs().amax(dim=1).min() > 0, "every frame counts"
    for key, item in model.named_parameters():
        assert item.grad is not None and item.grad.isfinite().all(), key


@EVERY
@torch.no_grad()
def test_order_matters_but_to_the_mean(name):
    model = clip_sets.model(name)
    images, mask = clip_sets.batch([6, 6], 6)
    moved = (model(images.flip(1), mask) - model(images, mask)).abs().max()
    assert moved < 1e-9 if name == "mean" else moved > 1e-4


@EVERY
def test_half_precision_is_close(name):
    """Under autocast, as on a GPU or a CPU with AMX tiles."""
    model = clip_sets.model(name).float()
    images, mask = clip_sets.batch(LENGTHS, 7)
    with torch.no_grad():
        exact = model(images.float(), mask)
        with torch.autocast("cpu", torch.bfloat16):
            rough = model(images.float(), mask)
    torch.testing.assert_close(rough.float(), exact, atol=0.1, rtol=0.1)


@EVERY
def test_frames_without_gradient_in_inference_mode_agree(name):
    """torch's transformer takes another way there."""
    model = clip_sets.model(name)
    data = clip_sets.batch(LENGTHS, 7)
    expected = model(*data).detach()
    with torch.inference_mode():
        torch.testing.assert_close(model(*data), expected, atol=1e-6, rtol=0)


@EVERY
def test_the_encoder_sees_real_frames_only(name):
    seen = []
    model = clip_sets.model(name)
    if name == "conv3d":
        assert not isinstance(model, ClipModel)
        return
    model.encoder.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape))
    model(*clip_sets.batch(LENGTHS, 7))
    assert seen == [(sum(LENGTHS), 1, clip_sets.SIZE, clip_sets.SIZE)]


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("lsmt", {}, r"Expected `temporal` to be one of .*lstm.*; got 'lsmt'. Did you mean 'lstm'"),
        ("lstm", {"hidden": 0}, "Expected `temporal_hidden` to be at least 1; got 0"),
        ("transformer", {"hidden": 12}, "Expected `temporal_hidden` to be a multiple of 8 above 0; got 12"),
        ("conv3d", {"hidden": 6}, "Expected `temporal_hidden` to be a multiple of 4 above 0; got 6"),
        ("tcn", {"layers": 0}, "Expected `temporal_layers` to be at least 1; got 0"),
        ("conv3d", {"dropout": 1.0}, "Expected `temporal_dropout` to be at least 0 and below 1; got 1.0"),
        ("mean", {"encoder": None}, "Expected an encoder of frames for Mean; got none"),
    ],
)
def test_wrong_settings_are_named(name, changes, message):
    encoder = build_encoder(timm_name="test_resnet", model_args={}, in_chans=1, size=clip_sets.SIZE)
    settings = {"encoder": encoder, "hidden": 8, "layers": 1, "dropout": 0.0} | changes
    with pytest.raises(ConfigError, match=message):
        build_clip_model(name, settings.pop("encoder"), 2, channels=1, **settings)
