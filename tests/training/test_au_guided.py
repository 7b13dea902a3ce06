"""A run with AU-guided attention: what it is taught, that it learns it, and that it goes on as any other run."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save
from training_sets import LABELS, SIZE, faces, recipe, sets

from fer_core.augment.guidance import region_activity, region_maps
from fer_core.augment.mixing import mix
from fer_core.augment.regions import known_landmarks
from fer_core.errors import ConfigError
from fer_core.losses.attention import attention_loss
from fer_core.models.attention_maps import has_spatial_map, spatial_maps
from fer_core.training import loop
from fer_core.training.faces import FaceSet
from fer_core.training.learner import Learner
from fer_core.training.loop import new_model, train, train_epoch
from fer_core.training.predict import pooled_features, predict
from fer_core.training.runs import load_run, save_run

GUIDED: dict[str, Any] = {"attention": "au_guided", "attention_weight": 0.5}
VIT: dict[str, Any] = {"timm": "test_vit", "model_args": {"patch_size": 8}, "lr": 0.003}  # 4 x 4 places
POINTS = torch.tensor([[9.0, 12.0], [17.0, 11.0], [12.0, 17.0], [9.5, 21.0], [16.5, 20.0]])  # left of the middle


def learner(data: FaceSet | None = None, **changes: Any) -> Any:
    chosen = recipe(**{**GUIDED, **changes})
    model = new_model(chosen, 1, LABELS, 2, None, pretrained=False)
    return Learner(chosen, model, data or faces(24), LABELS)


def draw(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def with_points(data: FaceSet) -> FaceSet:
    return replace(data, landmarks=POINTS.repeat(len(data), 1, 1))


def maps_of(data: FaceSet) -> torch.Tensor:
    activity = region_activity(data.aus, data.au_names)
    return region_maps(activity, known_landmarks(data.landmarks, (SIZE, SIZE)), (SIZE, SIZE))


@pytest.mark.parametrize("known", [True, False])
def test_a_sample_carries_the_maps_of_its_own_faces(known: bool) -> None:
    data = with_points(faces(24)) if known else faces(24)
    index = torch.tensor([5, 2, 11, 7])
    found = learner(data).sample(index, draw()).labels.regions
    torch.testing.assert_close(found, maps_of(data)[index], equal_nan=True)
    brows = found[:, 0].flatten(1)
    assert brows.isnan().any() and (brows.nansum(dim=1) > 0).any(), "annotated and not, active and not"
    assert found[:, 1:].isnan().all(), "no AU of this vocabulary lives elsewhere"


def test_maps_move_with_the_picture() -> None:
    """Faces that are white where the brows' box is and black elsewhere: the map must follow the white."""
    data = with_points(faces(24, annotated=1.0))
    box = region_maps(torch.ones(24, 6), data.landmarks, (SIZE, SIZE))[:, 0]
    data = replace(data, pixels=(box * 255).byte()[..., None], aus=torch.ones(24, 2))
    sample = learner(data, augment="generic").sample(torch.arange(24), draw())
    place = torch.arange(SIZE, dtype=torch.float32)
    centres = []
    for weights in (sample.images[:, 0], sample.labels.regions[:, 0]):
        total = weights.sum(dim=(1, 2))
        centres.append(torch.stack([(weights.sum(1) @ place) / total, (weights.sum(2) @ place) / total], dim=1))
    assert (centres[0] - centres[1]).abs().max() < 2.0  # the upright box around a turned one, of whole pixels
    across = centres[0][:, 0]
    assert across.max() - across.min() > 4, "some are mirrored"


def test_unknown_points_move_with_the_picture_too() -> None:
    still = learner(faces(24, annotated=1.0)).sample(torch.arange(24), draw()).labels.regions
    moved = learner(faces(24, annotated=1.0), augment="generic").sample(torch.arange(24), draw()).labels.regions
    active = still[:, 0].flatten(1).any(1)
    assert (still[active, 0] != moved[active, 0]).flatten(1).any(1).float().mean() > 0.8


def test_mixup_mixes_maps_as_it_mixes_pictures_and_draws_nothing_else() -> None:
    data, index = faces(24), torch.arange(24)
    mixed: dict[str, Any] = {"mix": "mixup", "mix_alpha": 0.7, "augment": "generic"}
    sample = learner(data, **mixed).sample(index, draw())
    plain = learner(data, **mixed, attention="none", attention_weight=0.0).sample(index, draw())
    assert sample.images.equal(plain.images) and sample.labels.target.equal(plain.labels.target)
    assert sample.images.is_contiguous(memory_format=torch.channels_last) and plain.labels.regions is None
    still = learner(data, mix="mixup", mix_alpha=0.7)
    expected, _, _ = mix("mixup", maps_of(data), still.targets, data.aus, alpha=0.7, generator=draw())
    found = still.sample(index, draw()).labels.regions
    torch.testing.assert_close(found, expected, equal_nan=True)
    assert ((found > 0.01) & (found < 0.99)).any()


def test_a_step_follows_both_losses_and_tells_the_part() -> None:
    changes: dict[str, Any] = {"optimizer": "sgd", "schedule": "constant", "lr": 0.1, "weight_decay": 0.0}
    made, twin = learner(**changes), learner(**changes)
    made.model.train(), twin.model.train()
    sample = made.sample(torch.arange(24), draw())
    before = [item.detach().clone() for item in made.model.parameters()]
    found = made.step(0, sample, draw(), draw())
    loss, parts = found.loss, found.parts
    output = twin.model(sample.images)
    emotion = torch.nn.functional.cross_entropy(output.scores, twin.faces.labels)
    places = attention_loss(output.attention, maps_of(twin.faces))
    torch.testing.assert_close(parts["attention_loss"], places.detach())
    torch.testing.assert_close(loss, (emotion + 0.5 * places).detach())
    slopes = torch.autograd.grad(emotion + 0.5 * places, list(twin.model.parameters()))
    for old, new, slope in zip(before, made.model.parameters(), slopes, strict=True):
        torch.testing.assert_close((old - new.detach()) / 0.19, slope, rtol=1e-3, atol=2e-5)  # Nesterov's first step


def test_sharpness_aware_steps_teach_the_places_again() -> None:
    made = learner(sam=0.5, attention_weight=1.0)
    seen = []
    inner = made.objective.forward

    def watched(*given: Any, **more: Any) -> Any:
        total, parts = inner(*given, **more)
        seen.append(float(parts["attention_loss"]))
        return total, parts

    made.objective.forward = watched
    made.model.train()
    made.step(0, made.sample(torch.arange(24), draw()), draw(), draw())
    assert len(seen) == 2 and seen[1] > seen[0], "the second is taken at the neighbour, uphill"


@pytest.mark.parametrize(
    "changes",
    [
        {"meta": "meta_weight", "meta_scope": "head"},
        {"meta": "meta_weight", "meta_scope": "all"},
        {"meta": "maml"},
        {"few_shot_below": 9, "head": "cosine"},
        {"head": "prototype", "ema": 0.9, "au_weight": "uncertainty", "au_intensity": 0.5},
        {"target": "compound", "mix": "mixup", "mix_alpha": 0.2},
    ],
)
def test_a_step_beside_other_techniques(changes: dict[str, Any]) -> None:
    made = learner(faces(24, annotated=1.0), **changes)
    conv = made.model.attention.module.conv.weight
    before = conv.detach().clone()
    made.model.train()
    found = made.step(0, made.sample(torch.arange(24), draw()), draw(), draw())
    loss, parts = found.loss, found.parts
    assert loss.isfinite() and parts["attention_loss"] > 0 and not conv.equal(before)


def test_weak_or_missing_or_placeless_labels_are_refused_and_weight_0_needs_none() -> None:
    data = faces(24)
    nothing = replace(data, aus=torch.full_like(data.aus, torch.nan))
    for bad in (replace(data, weak_aus=True), nothing, replace(data, au_names=("AU98", "AU99"))):
        with pytest.raises(ConfigError, match=r"au_guided.*annotated AUs of known place"):
            learner(bad)
    made = learner(nothing, attention_weight=0.0)
    sample = made.sample(torch.arange(24), draw())
    assert sample.labels.regions is None
    made.model.train()
    assert "attention_loss" not in made.step(0, sample, draw(), draw()).parts


def test_a_batch_without_annotated_faces_teaches_nothing() -> None:
    made = learner()
    unknown = made.faces.aus.isnan().all(1).nonzero()[:, 0][:6]
    made.model.train()
    sample = made.sample(unknown, draw())
    found = made.step(0, sample, draw(), draw())
    loss, parts = found.loss, found.parts
    assert parts["attention_loss"] == 0 and loss.isfinite()


def test_it_learns_to_look_where_the_active_aus_are(tmp_path: Path) -> None:
    chosen: dict[str, Any] = {**VIT, **GUIDED, "attention_weight": 4.0, "epochs": 7, "batch_size": 8}
    made = learner(faces(96, annotated=0.7), **chosen, mix="mixup", mix_alpha=0.1, ema=0.9)
    curve = [train_epoch(made, epoch)["attention_loss"] for epoch in range(7)]
    assert curve[-1] < 0.5 * curve[0]
    test, model = faces(48, 7, annotated=1.0), made.evaluated.eval()
    logits = model(test.images(torch.arange(48))).attention
    brows = torch.nn.functional.adaptive_avg_pool2d(maps_of(replace(test, aus=torch.ones(48, 2))), (4, 4))[0, 0] > 0.5
    inside, outside = (logits.sigmoid()[:, 0][:, place].mean(1) for place in (brows, ~brows))
    active = (test.aus > 0).any(1)
    assert inside[active].mean() > inside[~active].mean() + 0.3, "class 2 shows neither AU1 nor AU4"
    assert inside[active].mean() > outside[active].mean() + 0.3

    save_run(model, tmp_path / "weights.safetensors")
    again = load_run(made.recipe, tmp_path / "weights.safetensors", 1, LABELS, 2).eval()
    torch.testing.assert_close(predict(again, test)[0], predict(model, test)[0])
    torch.testing.assert_close(pooled_features(again, test), again(test.images(torch.arange(48))).features)


def test_interrupted_and_not_give_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = recipe(**GUIDED, epochs=4, ema=0.9, sam=0.02, mix="mixup", mix_alpha=0.2, augment="face_aware")
    whole = train(chosen, sets(), LABELS, None, tmp_path / "whole", "train")

    def dies(made: Learner, epoch: int) -> dict[str, float]:
        if epoch == 2:
            raise KeyboardInterrupt
        return train_epoch(made, epoch)

    monkeypatch.setattr(loop, "train_epoch", dies)
    with pytest.raises(KeyboardInterrupt):
        train(chosen, sets(), LABELS, None, tmp_path / "parts", "train")
    monkeypatch.undo()
    resumed = train(chosen, sets(), LABELS, None, tmp_path / "parts", "train")
    one, other = (
        save({name: value.contiguous() for name, value in run.model.state_dict().items()}) for run in (resumed, whole)
    )
    assert one == other
    assert [row["attention_loss"] for row in resumed.history] == [row["attention_loss"] for row in whole.history]


@pytest.mark.parametrize("name", ["none", "se", "cbam", "spatial", "au_guided"])
@pytest.mark.parametrize("network", [{}, VIT])
def test_a_map_is_the_gate_that_the_features_met(name: str, network: dict[str, Any]) -> None:
    model = new_model(recipe(**network, attention=name), 1, LABELS, 2, None, pretrained=False).train()
    images = torch.rand(3, 1, SIZE, SIZE)
    found = spatial_maps(model, images)
    assert model.training, "it is set back"
    if name in ("none", "se"):
        assert found is None and not has_spatial_map(model)
        return
    assert has_spatial_map(model) and found is not None and found.shape == (3, *model.attention.grid)
    model.eval()
    with torch.no_grad():
        raw = model.backbone.forward_features((images - model.encoder.mean) / model.encoder.std)
        before, after = (
            item if item.ndim == 4 else item[:, 1:].mT.unflatten(-1, model.attention.grid)
            for item in (raw, model.attention(raw))
        )
        if name == "cbam":
            before = model.attention.module.channel(before)
        gates = found + 1 if name == "au_guided" else found
        torch.testing.assert_close(before * gates[:, None], after)
    assert not model.attention.module._forward_hooks and found.min() >= 0 and found.max() <= 1
    spatial = getattr(model.attention.module, "spatial", model.attention.module)
    assert name == "au_guided" or not spatial.gate._forward_hooks
