"""MAE: by hand, as a naive transcription of the paper, against lightly's and timm's parts."""

import math

import pytest
import timm
import torch
from lightly.models.utils import (
    get_2d_sine_cosine_positional_embedding,
    normalize_mean_var,
    random_token_mask,
)
from lightly.models.utils import (
    patchify as lightly_patchify,
)
from torch import nn

from fer_core.errors import ConfigError
from fer_core.models import build_encoder
from fer_core.pretraining import build_self_supervised
from fer_core.pretraining.mae import Mae, masked_loss, patchify, pick, split_patches

SIZE = 32


def encoder(name="test_vit", channels=3, **arguments):
    torch.manual_seed(0)
    return build_encoder(
        timm_name=name, model_args={"patch_size": 8, **arguments}, in_chans=channels, size=SIZE
    ).double()


def learner(network=None, **settings):
    network = network or encoder()
    torch.manual_seed(1)
    settings = {"mask_ratio": 0.75, "decoder_dim": 32, "decoder_depth": 2} | settings
    return Mae(network, network.num_features, **settings).double()


def batch(count=3, channels=3, seed=2):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, channels, SIZE, SIZE, generator=generator, dtype=torch.float64)
    return images, torch.rand(count, 16, generator=generator)


def test_loss_by_hand():
    # one picture of three patches of two pixels; patches 0 and 2 are hidden
    patches = torch.tensor([[[1.0, 3.0], [9.0, 9.0], [5.0, 5.0]]])
    predicted = torch.tensor([[[0.0, 0.0], [50.0, 50.0], [1.0, -2.0]]])
    # patch 0: mean 2, variance 2, so -1/√2 and 1/√2; patch 2 is flat, so 0 and 0
    expected = (0.5 + 0.5 + 1 + 4) / 4
    assert masked_loss(predicted, patches, torch.tensor([[0, 2]])).item() == pytest.approx(expected, rel=1e-5)


def test_patches_by_hand_and_against_lightly():
    picture = torch.arange(2 * 4 * 4.0).reshape(1, 2, 4, 4)
    found = patchify(picture, 2, 2)
    assert found[0, 1].tolist() == [2, 18, 3, 19, 6, 22, 7, 23]  # the upper right corner, channel last
    images, _ = batch()
    assert patchify(images, 8, 8).equal(lightly_patchify(images, 8))
    assert patchify(images, 4, 16).shape == (3, 16, 192)


def test_patches_are_those_that_the_transformer_sees():
    """Multiplying our patches by timm's patch embedding's weights gives timm's tokens, in timm's order."""
    model = learner()
    images, _ = batch()
    embed = model.vit.patch_embed
    weights = embed.proj.weight.permute(0, 2, 3, 1).flatten(1)
    torch.testing.assert_close(patchify(images, 8, 8) @ weights.T + embed.proj.bias, embed(images).flatten(1, 2))


@pytest.mark.parametrize(("ratio", "patches", "visible"), [(0.75, 16, 4), (0.5, 9, 4), (0.9, 4, 1), (0.01, 4, 3)])
def test_every_patch_is_visible_or_hidden_and_the_share_is_right(ratio, patches, visible):
    noise = torch.rand(5, patches)
    seen, hidden = split_patches(noise, ratio)
    assert seen.shape == (5, visible) and hidden.shape == (5, patches - visible)
    assert torch.cat([seen, hidden], dim=1).sort(dim=1).values.equal(torch.arange(patches).expand(5, -1))
    assert (noise.gather(1, seen).max(dim=1).values < noise.gather(1, hidden).min(dim=1).values).all()


def test_the_split_equals_lightlys():
    torch.manual_seed(3)
    keep, mask = random_token_mask((4, 16), 0.75, mask_class_token=True)
    torch.manual_seed(3)
    seen, hidden = split_patches(torch.rand(4, 16), 0.75)
    assert seen.equal(keep) and hidden.equal(mask)


def test_loss_equals_lightlys_parts_in_values_and_gradients():
    images, noise = batch()
    _, hidden = split_patches(noise, 0.75)
    ours = torch.randn(3, 16, 192, dtype=torch.float64, requires_grad=True)
    theirs = ours.detach().clone().requires_grad_()
    loss = masked_loss(ours, patchify(images, 8, 8), hidden)
    rows = torch.arange(3)[:, None]
    target = normalize_mean_var(lightly_patchify(images, 8)[rows, hidden])
    reference = nn.MSELoss()(theirs[rows, hidden], target)
    torch.testing.assert_close(loss, reference)
    loss.backward()
    reference.backward()
    torch.testing.assert_close(ours.grad, theirs.grad)
    seen, _ = split_patches(noise, 0.75)
    assert (pick(ours.grad, seen) == 0).all(), "visible patches cost nothing"


def test_gradcheck():
    torch.manual_seed(0)
    patches = torch.rand(2, 4, 3, dtype=torch.float64)
    predicted = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    hidden = torch.tensor([[0, 2, 3], [1, 2, 3]])
    assert torch.autograd.gradcheck(lambda p: masked_loss(p, patches, hidden), predicted)


def naive(model, images, noise):
    """Section 3 picture by picture, token by token."""
    vit, total = model.vit, 0.0
    wide = model.positions.shape[2]
    for picture, draws in zip(images, noise, strict=True):
        order = sorted(range(16), key=lambda n: draws[n].item())
        seen, hidden = order[:4], order[4:]
        normal = (picture - model.backbone.mean[0]) / model.backbone.std[0]
        cut = [normal[:, r : r + 8, c : c + 8] for r in range(0, SIZE, 8) for c in range(0, SIZE, 8)]
        tokens = [vit.cls_token[0, 0] + vit.pos_embed[0, 0]]
        for n in seen:
            tokens.append((vit.patch_embed.proj(cut[n][None])[0, :, 0, 0]) + vit.pos_embed[0, 1 + n])
        encoded = vit.norm(vit.blocks(torch.stack(tokens)[None]))[0]
        full = dict.fromkeys(hidden, model.mask_token[0, 0])
        full |= {n: model.embed(encoded[1 + place]) for place, n in enumerate(seen)}
        decoded = [model.embed(encoded[0])]
        for n in range(16):
            decoded.append(full[n] + position(n // 4, n % 4, wide))
        out = model.pixels(model.norm(model.blocks(torch.stack(decoded)[None])))[0]
        for n in hidden:
            pixels = cut[n].permute(1, 2, 0).flatten()
            wanted = (pixels - pixels.mean()) / (pixels.var() + 1e-6).sqrt()
            total += ((out[1 + n] - wanted) ** 2).mean().item()
    return total / (len(images) * 12)


def position(row, column, width):
    """Sine and cosine of row and column times 10000^(−i / quarter), in timm's order of channels."""
    quarter = width // 4
    rates = [10000 ** (-i / quarter) for i in range(quarter)]
    values = [f(place * rate) for f in (math.sin, math.cos) for place in (row, column) for rate in rates]
    return torch.tensor(values, dtype=torch.float64)


def test_positions_by_formula_and_against_lightly():
    found = learner().positions[0].double()
    by_formula = torch.stack([position(row, column, 32) for row in range(4) for column in range(4)])
    torch.testing.assert_close(found, by_formula, rtol=0, atol=1e-6)
    # lightly has the same channels in another order: sin column, cos column, sin row, cos row
    sin_row, sin_column, cos_row, cos_column = found.chunk(4, dim=1)
    reference = torch.from_numpy(get_2d_sine_cosine_positional_embedding(32, 4, False)).double()
    ours = torch.cat([sin_column, cos_column, sin_row, cos_row], dim=1)
    torch.testing.assert_close(ours, reference, rtol=0, atol=1e-6)
    assert "positions" not in learner().state_dict(), "fixed, so no part of a checkpoint"


def test_naive_transcription():
    model = learner()
    images, noise = batch()
    assert model.loss(images, noise).item() == pytest.approx(naive(model, images, noise), rel=1e-6)


def test_with_every_patch_visible_the_encoder_is_timms():
    model = learner()
    images, _ = batch()
    normal = model.normalised(images)
    every = torch.arange(16).expand(3, -1)
    torch.testing.assert_close(model.encode(normal, every), model.vit.forward_features(normal))
    torch.testing.assert_close(model.encode(normal, every)[:, 0], model.backbone(images))


def test_hidden_patches_are_not_seen():
    model = learner()
    images, noise = batch()
    seen, hidden = split_patches(noise, 0.75)
    other = images.clone()
    row, column = int(hidden[0, 0]) // 4 * 8, int(hidden[0, 0]) % 4 * 8
    other[0, :, row : row + 8, column : column + 8] = 0.5
    tokens = [model.encode(model.normalised(x), seen) for x in (images, other)]
    assert tokens[0].shape == (3, 1 + 4, 64) and tokens[0].equal(tokens[1])
    assert model.loss(images, noise) != model.loss(other, noise)


def test_every_weight_learns_and_the_encoder_is_the_one_given():
    network = encoder()
    model = learner(network)
    model.loss(*batch()).backward()
    assert model.backbone is network
    assert not [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert model.update_target(1, 2) == 0


def test_other_transformers():
    images, noise = batch()
    pooled = encoder(global_pool="avg")  # its last norm is called fc_norm
    model = learner(pooled)
    model.loss(images, noise).backward()
    assert pooled.backbone.fc_norm.weight.grad is not None
    for arguments in ({"reg_tokens": 2}, {"class_token": False, "global_pool": "avg"}, {"dynamic_img_size": False}):
        other = learner(encoder(**arguments))
        assert other.prefix == {"reg_tokens": 3, "class_token": 0}.get(next(iter(arguments)), 1)
        every = torch.arange(16).expand(3, -1)
        normal = other.normalised(images)
        whole = other.vit.fc_norm(other.vit.forward_features(normal))
        torch.testing.assert_close(other.encode(normal, every), whole)
        assert other.loss(images, noise).isfinite()


def test_a_bare_network_gets_its_pictures_as_they_are():
    torch.manual_seed(0)
    vit = timm.create_model("test_vit", num_classes=0, img_size=SIZE, patch_size=8).double()
    model = learner_bare(vit)
    images, noise = batch()
    assert model.normalised(images) is images and model.vit is vit
    assert model.loss(images, noise).isfinite()


def learner_bare(vit):
    return Mae(vit, vit.num_features, mask_ratio=0.75, decoder_dim=32, decoder_depth=1).double()


def test_views_are_drawn_from_the_generator_and_keep_the_colours():
    model = learner()
    images = torch.rand(6, 3, SIZE, SIZE)
    first, noise = model.views(images, torch.Generator().manual_seed(1))
    again, same = model.views(images, torch.Generator().manual_seed(1))
    other, draws = model.views(images, torch.Generator().manual_seed(2))
    assert first.equal(again) and noise.equal(same) and noise.shape == (6, 16) and first.shape == images.shape
    assert not first.equal(other) and not noise.equal(draws)
    flat = torch.full((4, 3, SIZE, SIZE), 0.3)
    torch.testing.assert_close(model.views(flat, torch.Generator())[0], flat)
    ramp = torch.linspace(0, 1, SIZE).expand(64, 1, SIZE, SIZE)
    cropped, _ = learner(encoder(channels=1)).views(ramp, torch.Generator().manual_seed(0))
    falling = cropped[:, 0, 0, 0] > cropped[:, 0, 0, -1]
    assert 16 < falling.sum() < 48, "about half are flipped"
    assert (cropped.diff(dim=-1).abs().amax(dim=(1, 2, 3)) < 1.01 / (SIZE - 1)).all(), "crops only enlarge"
    assert (cropped[..., -1] - cropped[..., 0]).abs().max() > 0.8 > (cropped[..., -1] - cropped[..., 0]).abs().min()


def test_degenerate_batches():
    model = learner().float()
    images, noise = (x.float() for x in batch(1))
    assert model.loss(images, noise).isfinite()
    black = model.loss(torch.zeros(2, 3, SIZE, SIZE), torch.rand(2, 16))
    black.backward()
    assert black.isfinite() and all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    images, noise = batch()
    with torch.autocast("cpu", torch.bfloat16):
        loss = model.loss(images.float(), noise)
    assert loss.dtype == torch.float32 and loss.isfinite()
    assert loss.item() == pytest.approx(model.loss(images.float(), noise).item(), rel=0.05)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mask_ratio": 0.0}, r"`ssl\.mask_ratio`"),
        ({"mask_ratio": 1.0}, r"`ssl\.mask_ratio`"),
        ({"decoder_dim": 48}, r"`ssl\.decoder_dim` to be a multiple of 32; got 48"),
        ({"decoder_dim": 0}, r"`ssl\.decoder_dim`"),
        ({"decoder_depth": 0}, r"`ssl\.decoder_depth`"),
    ],
)
def test_impossible_settings_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        learner(**changes)


def test_a_convolution_is_refused():
    network = build_encoder(timm_name="test_resnet", model_args={}, in_chans=1, size=SIZE)
    with pytest.raises(ConfigError, match=r"`ssl\.method: mae`, a timm VisionTransformer.*got ResNet"):
        build_self_supervised("mae", network, network.num_features)


def test_one_patch_is_too_few():
    network = build_encoder(timm_name="test_vit", model_args={"patch_size": 32}, in_chans=1, size=SIZE)
    with pytest.raises(ConfigError, match="two patches or more"):
        build_self_supervised("mae", network, network.num_features)
