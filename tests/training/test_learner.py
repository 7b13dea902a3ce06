"""A step of the optimiser is the one that the recipe asks for, whatever is added to it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from training_sets import LABELS, recipe, uneven

from fer_core.augment import face_aware
from fer_core.losses.prototypical import prototypical_loss
from fer_core.meta.maml import first_order_gradient
from fer_core.models import FerModel
from fer_core.sampling.curriculum import open_share
from fer_core.training.faces import FaceSet
from fer_core.training.learner import Learner
from fer_core.training.loop import new_model, train_epoch

RATE = 0.1
SGD: dict[str, Any] = {"optimizer": "sgd", "schedule": "constant", "lr": RATE, "weight_decay": 0.0, "warmup_epochs": 0}


def learner(data: FaceSet | None = None, **changes: Any) -> Any:
    chosen = recipe(**{**SGD, **changes})
    model = new_model(chosen, 1, LABELS, 2, None, pretrained=False)
    return Learner(chosen, model, data or uneven(), LABELS)


def generators(seed: int = 5) -> tuple[torch.Generator, torch.Generator]:
    return torch.Generator().manual_seed(seed), torch.Generator().manual_seed(seed + 1)


def moved(made: Any) -> list[Tensor]:
    """How far one step moves each parameter, over the rate: the gradient that it took."""
    before = [item.detach().clone() for item in made.model.parameters()]
    made.model.train()
    draw, episodes = generators()
    made.step(0, made.sample(torch.arange(len(made.faces)), draw), draw, episodes)
    # the first step of Nesterov's momentum is (1 + 0.9) times the gradient
    return [(old - new.detach()) / (1.9 * RATE) for old, new in zip(before, made.model.parameters(), strict=True)]


def gradients(model: FerModel, loss: Tensor) -> list[Tensor]:
    return [item.detach() for item in torch.autograd.grad(loss, list(model.parameters()))]


def emotion_loss(made: Any) -> Tensor:
    made.model.train()
    images = made.faces.images(torch.arange(len(made.faces)))
    return functional.cross_entropy(made.model(images).scores, made.faces.labels)


def assert_same(found: list[Tensor], expected: list[Tensor]) -> None:
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=2e-5)


def differ(found: list[Tensor], expected: list[Tensor]) -> bool:
    return any(not torch.allclose(one, other, rtol=1e-2, atol=1e-4) for one, other in zip(found, expected, strict=True))


def test_a_plain_step_follows_the_gradient() -> None:
    expected = learner()
    assert_same(moved(learner()), gradients(expected.model, emotion_loss(expected)))


def test_a_sharpness_aware_step_follows_the_gradient_of_the_neighbour() -> None:
    made = learner()
    flat = gradients(made.model, emotion_loss(made))
    norm = torch.stack([item.norm() for item in flat]).norm()
    with torch.no_grad():
        for item, slope in zip(made.model.parameters(), flat, strict=True):
            item.add_(0.5 * slope / norm)
    found = moved(learner(sam=0.5))
    assert_same(found, gradients(made.model, emotion_loss(made)))
    assert differ(found, flat)


def test_the_second_pass_leaves_the_statistics_of_batch_norms_alone() -> None:
    plain, sharp = learner(), learner(sam=0.5)
    moved(plain)
    moved(sharp)
    assert all(one.equal(other) for one, other in zip(plain.model.buffers(), sharp.model.buffers(), strict=True))


def test_a_clipped_step_is_as_long_as_allowed() -> None:
    found = moved(learner(clip_grad=0.01))
    assert torch.stack([item.norm() for item in found]).norm().item() == pytest.approx(0.01, rel=1e-3)


def test_maml_adds_its_gradient() -> None:
    made = learner()
    plain = gradients(made.model, emotion_loss(made))
    changes: dict[str, Any] = {"meta": "maml", "maml_lr": 0.2, "maml_steps": 2, "maml_weight": 3.0}
    task = learner(**changes).episode(generators()[1])

    def loss_of(model: nn.Module, index: Tensor) -> Tensor:
        return functional.cross_entropy(model(made.faces.images(index)).scores, made.faces.labels[index])

    extra = first_order_gradient(made.model, loss_of, task.support, task.query, inner_lr=0.2, inner_steps=2)
    expected = [one + 3.0 * other for one, other in zip(plain, extra, strict=True) if other is not None]
    assert_same(moved(learner(**changes)), expected)


def test_an_episode_of_rare_classes_is_added() -> None:
    changes: dict[str, Any] = {"few_shot_below": 9, "few_shot_weight": 0.25}
    made = learner(**changes)
    assert made.rare == [1, 2, 3]
    task = made.episode(generators()[1])
    loss = emotion_loss(made)
    features = made.model.features(made.faces.images(torch.cat([task.support, task.query])))
    count = len(task.support)
    few = prototypical_loss(features[:count], task.support_class, features[count:], task.query_class)
    assert_same(moved(learner(**changes)), gradients(made.model, loss + 0.25 * few))


@pytest.mark.parametrize("scope", ["head", "all"])
def test_learned_weights_change_the_step(scope: str) -> None:
    plain, weighed = learner(), learner(meta="meta_weight", meta_scope=scope)
    before = [item.detach().clone() for item in weighed.meta_weight.net.parameters()]
    found = moved(weighed)
    assert differ(found, gradients(plain.model, emotion_loss(plain)))
    assert any(not old.equal(new) for old, new in zip(before, weighed.meta_weight.net.parameters(), strict=True))


def test_the_average_of_the_weights_is_what_is_validated() -> None:
    made, plain = learner(ema=0.9), learner()
    assert made.evaluated is made.ema.model and made.evaluated is not made.model
    assert plain.evaluated is plain.model


def test_prototypes_are_those_of_the_features_as_they_are() -> None:
    made = learner(head="prototype", ema=0.5, lr=0.001)
    assert made.model.head.known.all() and made.evaluated.head.known.all()
    first = made.model.head.prototypes.clone()
    train_epoch(made, 0)
    assert made.model.head.prototypes.equal(first), "stored once an epoch"
    made.refresh()
    for model in (made.model, made.evaluated):
        model.eval()
        features = model.features(made.faces.images(torch.arange(len(made.faces))))
        means = torch.stack([features[made.faces.labels == k].mean(0) for k in range(4)])
        torch.testing.assert_close(model.head.prototypes, means, rtol=1e-3, atol=1e-4)


def test_a_curriculum_opens_as_it_says() -> None:
    made = learner(sampler="curriculum", curriculum_start=0.25, curriculum_end=0.5, epochs=8)
    rows = [train_epoch(made, epoch) for epoch in range(8)]
    shares = [row["curriculum_share"] for row in rows]
    assert shares == [open_share(epoch / 8, 0.25, 0.5) for epoch in range(8)]
    assert shares[0] == 0.25 and shares[4:] == [1.0] * 4
    classes = [row["curriculum_classes"] for row in rows]
    assert classes[-1] == 4 and min(classes) < 4, "the rarest class comes late"


@pytest.mark.parametrize("weak", [False, True])
def test_weak_aus_do_not_decide_where_a_picture_is_painted(weak: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []
    plain: Callable[..., Tensor] = face_aware.occupied

    def occupied(batch: Any, size: tuple[int, int]) -> Tensor:
        seen.append(batch.aus)
        return plain(batch, size)

    monkeypatch.setattr(face_aware, "occupied", occupied)
    data = replace(uneven(), weak_aus=weak)
    sample = learner(data, augment="face_aware", au_weight=0.5).sample(torch.arange(8), generators()[0])
    assert bool(seen[0].isnan().all()) is weak
    assert sample.labels.aus.equal(data.aus[:8]), "the loss still sees them"


def test_episodes_and_the_meta_set_are_of_real_faces() -> None:
    """Synthetic faces lift a class above `few_shot_below` only in number: nobody saw what they show."""
    real = uneven()
    last = torch.full((20,), len(real) - 1)
    data = replace(
        real,
        ids=[*real.ids, *(f"synthetic-{k}" for k in range(20))],
        synthetic=20,
        **{name: torch.cat([value, value[last]]) for name, value in vars(real).items() if isinstance(value, Tensor)},
    )
    changes: dict[str, Any] = {"few_shot_below": 9, "few_shot_weight": 0.25}
    made, plain = learner(data, **changes), learner(real, **changes)
    assert made.rare == plain.rare and made.rare
    assert len(made.cpu_labels) == len(real) + 20, "they are trained on"
    for seed in range(20):
        task = made.episode(torch.Generator().manual_seed(seed))
        assert int(torch.cat([task.support, task.query]).max()) < len(real)
    meta = learner(data, meta="meta_weight", meta_per_class=8)
    assert int(meta.meta_index.max()) < len(real)
    strange = replace(data, pixels=torch.cat([real.pixels, 255 - data.pixels[len(real) :]]))
    heads = [learner(found, head="prototype").model.head for found in (strange, real)]
    assert_same(list(heads[0].state_dict().values()), list(heads[1].state_dict().values()))
