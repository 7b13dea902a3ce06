"""What the learner mixes: pictures, targets, classes, AUs and their intensities, each with the right partner's."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from training_sets import LABELS, recipe, uneven

from fer_core.augment import face_cutmix
from fer_core.augment.mixing import MIXES
from fer_core.augment.regions import TEMPLATE
from fer_core.training import learner
from fer_core.training.faces import FaceSet
from fer_core.training.learner import Learner
from fer_core.training.loop import new_model
from fer_core.training.step import Sample

NAMES = ("AU4", "AU25")


def faces() -> FaceSet:
    data = uneven()
    points = (torch.tensor(TEMPLATE) * 32 - 0.5).repeat(len(data), 1, 1)
    return replace(data, landmarks=points, au_names=NAMES)


def sample(data: FaceSet, seed: int = 0, **changes: Any) -> tuple[Any, Sample]:
    chosen = recipe(**{"au_weight": 0.5, "au_intensity": 0.5, "target": "votes", "mix_alpha": 1.0, **changes})
    made = Learner(chosen, new_model(chosen, 1, LABELS, 2, None, pretrained=False), data, LABELS)
    return made, made.sample(torch.arange(len(data)), torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", [name for name in MIXES if name != "none"])
def test_targets_and_classes_are_mixed_alike(name: str) -> None:
    data = faces()
    made, found = sample(data, mix=name)
    assert not found.images.equal(data.images(torch.arange(len(data))))
    for values in (found.labels.target, found.classes):
        torch.testing.assert_close(values.sum(dim=1), torch.ones(len(data)))
    # what is left of the own class says the share; with it the partner's votes must be possible
    own = found.classes.gather(1, data.labels[:, None])[:, 0]
    mixed = own < 1
    assert mixed.sum() > 4
    other = (found.classes[mixed] * (1 - torch.eye(4)[data.labels[mixed]])).sum(dim=1)
    torch.testing.assert_close(other, 1 - own[mixed])
    rest = (found.labels.target[mixed] - own[mixed, None] * made.targets[mixed]) / (1 - own[mixed, None])
    # it is another face's target, and that face is of the class that came in
    distance = torch.cdist(rest, made.targets)
    partner = distance.argmin(dim=1)
    assert distance.amin(dim=1).max() < 1e-3
    came = (found.classes[mixed] - own[mixed, None] * torch.eye(4)[data.labels[mixed]]).argmax(dim=1)
    assert came.equal(data.labels[partner])


def test_face_cutmix_gives_units_and_intensities_of_one_face(monkeypatch: pytest.MonkeyPatch) -> None:
    data = faces()
    partner = torch.arange(len(data)).roll(7)
    part = torch.arange(len(data)) % 4  # upper, lower, whole, whole
    monkeypatch.setattr(face_cutmix, "partners", lambda *_: partner)
    monkeypatch.setattr(torch, "randint", lambda *_, **__: part)
    _, found = sample(data, mix="face_cutmix")
    aus, strengths = data.aus.clone(), data.intensities.clone()
    aus[part == 0, 0], strengths[part == 0, 0] = (
        data.aus[partner][part == 0, 0],
        data.intensities[partner][part == 0, 0],
    )
    aus[part == 1, 1], strengths[part == 1, 1] = (
        data.aus[partner][part == 1, 1],
        data.intensities[partner][part == 1, 1],
    )
    assert not aus.equal(data.aus)
    assert found.labels.aus.equal(aus)
    assert found.labels.intensities.equal(strengths)


def test_face_cutmix_is_laid_at_the_landmarks() -> None:
    data = faces()
    _, here = sample(data, mix="face_cutmix")
    _, lower = sample(replace(data, landmarks=data.landmarks + torch.tensor([0.0, 4.0])), mix="face_cutmix")
    assert not here.images.equal(lower.images)
    _, unknown = sample(replace(data, landmarks=torch.full_like(data.landmarks, torch.nan)), mix="face_cutmix")
    torch.testing.assert_close(here.images, unknown.images)  # the template's are the same


def test_units_with_a_side_change_sides_with_their_intensities() -> None:
    data = replace(faces(), au_names=("AU4L", "AU4R"))
    _, found = sample(data, augment="generic")
    swapped = data.aus.flip(1)
    kept = (found.labels.aus == data.aus).all(dim=1)
    assert (kept | (found.labels.aus == swapped).all(dim=1)).all()
    assert kept.any() and not kept.all()
    assert found.labels.intensities.equal(3 * found.labels.aus)


@pytest.mark.parametrize("augment", ["expression_preserving", "trivial"])
@pytest.mark.parametrize("mix", ["cutmix", "face_cutmix"])
def test_a_step_with_each_is_finite(augment: str, mix: str) -> None:
    made, batch = sample(faces(), augment=augment, mix=mix)
    draw = torch.Generator().manual_seed(1)
    made.model.train()
    found = made.step(0, batch, draw, draw)
    loss, parts = found.loss, found.parts
    assert bool(loss.isfinite()) and all(bool(part.isfinite()) for part in parts.values())
    assert all(bool(item.isfinite().all()) for item in made.model.parameters())


def test_face_cutmix_knows_where_a_face_without_landmarks_was_moved_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """The template's points are put in before the augmentation, and move along with the picture."""
    data = replace(faces(), landmarks=torch.full((len(uneven()), 5, 2), torch.nan))
    seen = []

    def watched(name: str, *arguments: Any, **settings: Any) -> Any:
        seen.append(settings["landmarks"])
        return mix(name, *arguments, **settings)

    mix = learner.mix
    monkeypatch.setattr(learner, "mix", watched)
    sample(data, mix="face_cutmix", augment="generic")
    still = torch.tensor(TEMPLATE) * 32 - 0.5
    assert seen[0].isfinite().all() and not torch.allclose(seen[0], still.expand_as(seen[0]), atol=0.1)
