import math

import pytest
import torch
from torch import nn

from fer_core.errors import ConfigError, DataError
from fer_core.models import build_model
from fer_core.tta import VIEWS, make_views, predict_views, view_names


def smooth(count=3, channels=3, size=32):
    coarse = torch.rand(count, channels, 5, 5, generator=torch.Generator().manual_seed(0))
    return nn.functional.interpolate(coarse, size=(size, size), mode="bicubic").clamp(0, 1)


@pytest.mark.parametrize("count", range(5, 11))
def test_names(count):
    names = view_names(count)
    assert len(set(names)) == count and names[0] == "identity" and set(names) <= set(VIEWS)


@pytest.mark.parametrize("count", [-1, 0, 1, 4, 11])
def test_number_of_views_out_of_range(count):
    with pytest.raises(ConfigError, match=r"tta\.views.*between 5 and 10"):
        view_names(count)


@pytest.mark.parametrize("channels", [1, 3])
def test_each_view_is_what_its_name_says(channels):
    images = smooth(channels=channels)
    views = dict(zip(VIEWS, make_views(images, list(VIEWS)), strict=True))
    assert views["identity"].equal(images)
    assert views["flip"].equal(images.flip(-1))
    torch.testing.assert_close(views["brighter"], (images * 1.15).clamp(max=1))
    torch.testing.assert_close(views["darker"], images * 0.85)
    torch.testing.assert_close(views["flip_rotate_left"], views["rotate_right"].flip(-1), atol=1e-4, rtol=0)
    for view in views.values():
        assert view.shape == images.shape and view.min() >= 0 and view.max() <= 1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("count", [1, 6, 8])
def test_pictures_warped_together_are_as_if_alone(count, channels):
    images = torch.rand(count, channels, 20, 28, generator=torch.Generator().manual_seed(1))
    together = make_views(images.contiguous(memory_format=torch.channels_last), list(VIEWS))
    for i in range(count):
        torch.testing.assert_close(
            together[:, i : i + 1], make_views(images[i : i + 1], list(VIEWS)), atol=1e-6, rtol=0
        )
    assert together.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)


def test_the_given_pictures_stay_as_they_are():
    images = smooth(4)
    before = images.clone()
    make_views(images, list(VIEWS)).add_(1)
    assert images.equal(before)


def test_uint8_pictures_predict_as_their_floats():
    pixels = torch.randint(0, 256, (9, 8, 8, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    assert predict_views(Mean(), pixels, view_names(6), 30).equal(
        predict_views(Mean(), pixels / 255, view_names(6), 30)
    )


def test_rotation_and_scale_move_a_mark_by_hand():
    image = torch.zeros(1, 1, 65, 65)
    image[0, 0, 32, 52] = 1  # 20 pixels right of the centre
    names = ["identity", "rotate_left", "rotate_right", "larger", "smaller"]
    views = make_views(image, names)
    y, x = torch.meshgrid(torch.arange(65.0) - 32, torch.arange(65.0) - 32, indexing="ij")
    found = {}
    for name, view in zip(names, views[:, 0, 0], strict=True):
        found[name] = ((view * x).sum() / view.sum()).item(), ((view * y).sum() / view.sum()).item()
    turned = 20 * math.cos(math.radians(6)), 20 * math.sin(math.radians(6))
    assert found["rotate_right"] == pytest.approx(turned, abs=0.1)
    assert found["rotate_left"] == pytest.approx((turned[0], -turned[1]), abs=0.1)
    assert found["larger"] == pytest.approx((21.2, 0), abs=0.1)
    assert found["smaller"] == pytest.approx((18.8, 0), abs=0.1)


class Mean(nn.Module):
    """Logits that tell what a picture is like, so that views can be told apart."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(5.0))
        self.batches = []

    def forward(self, x):
        assert not self.training
        self.batches.append(len(x))
        left, right = x[..., : x.shape[-1] // 2].mean(dim=(1, 2, 3)), x[..., x.shape[-1] // 2 :].mean(dim=(1, 2, 3))
        return self.scale * torch.stack([left, right, torch.zeros_like(left)], dim=1)


@pytest.mark.parametrize("batch_size", [1, 7, 20, 1000])
def test_batched_pass_equals_a_loop_over_pictures_and_views(batch_size):
    images, names, model = smooth(11), view_names(7), Mean()
    model.train()
    logs = predict_views(model, images, names, batch_size)
    assert model.training
    assert logs.shape == (7, 11, 3) and logs.dtype == torch.float32 and not logs.requires_grad
    assert max(model.batches) <= max(batch_size, 7)  # one picture's views are never parted
    model.eval()
    for i in range(11):
        for v, view in enumerate(make_views(images[i : i + 1], names)):
            torch.testing.assert_close(logs[v, i], model(view)[0].log_softmax(0).detach())


def test_identity_view_is_the_plain_prediction():
    model = build_model(
        timm_name="test_resnet", model_args={}, in_chans=1, size=48, classes=7, aus=2, attention="none"
    ).eval()
    images = torch.randint(0, 256, (4, 1, 48, 48), dtype=torch.uint8)
    logs = predict_views(model, images, view_names(5), 20)
    with torch.no_grad():
        expected = model(images.float() / 255).logits.log_softmax(dim=-1)
    torch.testing.assert_close(logs[0], expected, atol=1e-5, rtol=1e-4)
    alone = predict_views(model, images, ["identity"], 20)
    torch.testing.assert_close(alone[0], expected, atol=1e-5, rtol=1e-4)


class Broken(Mean):
    def forward(self, x):
        raise RuntimeError("out of memory")


def test_training_mode_comes_back_after_an_error():
    model = Broken()
    model.train()
    with pytest.raises(RuntimeError, match="out of memory"):
        predict_views(model, smooth(), ["identity", "flip"], 4)
    assert model.training


def test_no_pictures_are_refused():
    with pytest.raises(DataError, match="at least one picture"):
        predict_views(Mean(), smooth()[:0], view_names(5), 20)


def test_bad_views_are_refused():
    images = smooth()
    with pytest.raises(ConfigError, match="Did you mean 'brighter'"):
        make_views(images, ["identity", "brigter"])
    for names in ([], ["flip", "identity"]):
        with pytest.raises(ConfigError, match="first view to be 'identity'"):
            make_views(images, names)


def test_symmetric_views_make_a_mirrored_picture_predict_the_mirror():
    images, names = smooth(6), ["identity", "flip"]
    joined = predict_views(Mean(), images, names, 64).exp().mean(dim=0)
    mirrored = predict_views(Mean(), images.flip(-1), names, 64).exp().mean(dim=0)
    torch.testing.assert_close(joined, mirrored, atol=1e-5, rtol=0)
    assert (joined[:, 0] - joined[:, 1]).abs().max() < 1e-5
