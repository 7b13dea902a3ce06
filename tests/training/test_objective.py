"""The objective uses the losses that the recipe names, with the train set's own counts, at the right epochs."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn import functional
from training_sets import LABELS, recipe, uneven

from fer_core.losses import build_loss
from fer_core.losses.class_balanced import effective_number_weights
from fer_core.losses.ldam import label_distribution_margins
from fer_core.models import Output
from fer_core.targets import emotion_targets
from fer_core.training.faces import FaceSet
from fer_core.training.objective import Labels, Objective

COUNTS = torch.tensor([16, 8, 6, 2])  # of `uneven`


def objective(data: FaceSet | None = None, **changes: Any) -> Any:
    chosen, data = recipe(**changes), data or uneven()
    targets = emotion_targets(chosen.target, data.labels, data.votes, LABELS.classes, LABELS.votes)
    return Objective(chosen, data, targets)


def batch(data: FaceSet, seed: int = 0, intensities: bool = False) -> tuple[Output, Labels]:
    draw = torch.Generator().manual_seed(seed)
    logits, units = torch.randn(len(data), 4, generator=draw), torch.randn(len(data), 2, generator=draw)
    strengths = torch.rand(len(data), 2, generator=draw) if intensities else None
    output = Output(logits, logits, torch.zeros(len(data), 3), units, strengths)
    return output, Labels(functional.one_hot(data.labels, 4).float(), data.aus, data.intensities)


def loss_of(made: Any, data: FaceSet, **more: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    output, labels = batch(data, intensities=made.recipe.au_intensity > 0)
    if not made.recipe.has_au_head:
        output = output._replace(au_logits=None)
    found: tuple[torch.Tensor, dict[str, torch.Tensor]] = made(output, output.scores, labels, **more)
    return found


@pytest.mark.parametrize("name", ["focal", "cb", "cb_focal", "ldam", "balanced_softmax", "logit_adjusted"])
def test_each_loss_has_the_train_sets_counts(name: str) -> None:
    data = uneven()
    output, labels = batch(data)
    settings: dict[str, Any] = {"focal_gamma": 2.0, "cb_beta": 0.99, "label_smoothing": 0.0, "ldam_margin": 0.5}
    settings |= {"margin_scale": 1.0, "logit_tau": 1.0}
    expected = build_loss(name, class_counts=COUNTS, **settings)(output.scores, labels.target)
    plain = build_loss("ce", class_counts=COUNTS, **settings)(output.scores, labels.target)
    found, _ = loss_of(objective(loss=name), data)
    torch.testing.assert_close(found, expected)
    assert not torch.isclose(found, plain), "with equal counts most would be cross-entropy"


def test_margins_are_in_units_of_a_cosine_heads_scale() -> None:
    margins = label_distribution_margins(COUNTS, 0.5)
    cosine = objective(loss="ldam", head="cosine", head_scale=20.0).emotion_loss
    torch.testing.assert_close(cosine.margins, 20 * margins)
    torch.testing.assert_close(objective(loss="ldam").emotion_loss.margins, margins)


@pytest.mark.parametrize("loss", ["ce", "cb", "cb_focal", "ldam"])
def test_deferred_weights_come_in_at_their_epoch_and_not_before(loss: str) -> None:
    made = objective(loss=loss, drw=0.5, epochs=10)
    weights = effective_number_weights(COUNTS, 0.99)
    for epoch in range(10):
        made.epoch = epoch
        found = made.emotion_loss.class_weights
        if epoch < 5:
            assert found is None, f"epoch {epoch}"
        else:
            torch.testing.assert_close(found, weights)


def test_without_deferral_only_class_balanced_losses_have_weights() -> None:
    for loss in ("ce", "focal", "ldam", "balanced_softmax"):
        assert objective(loss=loss).emotion_loss.class_weights is None
    for loss in ("cb", "cb_focal"):
        assert objective(loss=loss).emotion_loss.class_weights is not None


def test_the_parts_add_up() -> None:
    data = uneven()
    emotion, _ = loss_of(objective(), data)
    made = objective(au_weight=0.3, au_intensity=2.0, few_shot_below=9)
    total, parts = loss_of(made, data, few_shot=torch.tensor(1.5))
    expected = emotion + 0.3 * (parts["au_loss"] + 2.0 * parts["au_intensity_loss"]) + 0.5 * 1.5
    torch.testing.assert_close(total, expected)
    assert parts["few_shot_loss"] == 1.5


def test_learned_weights_start_at_one_and_have_gradients() -> None:
    data = uneven()
    made = objective(au_weight="uncertainty")
    assert made.learned_weights() == {"emotion_task_weight": 1.0, "au_task_weight": 1.0}
    total, parts = loss_of(made, data)
    emotion, _ = loss_of(objective(), data)
    torch.testing.assert_close(total, emotion + parts["au_loss"])
    total.backward()
    expected = torch.stack([0.5 - emotion, 0.5 - parts["au_loss"]])  # by hand: the slope of exp(-s) L + s / 2 at s = 0
    torch.testing.assert_close(made.uncertainty.log_variance.grad, expected)


def test_a_batch_that_tells_nothing_of_aus_leaves_the_learned_weight_alone() -> None:
    data = uneven()
    nothing = torch.full_like(data.aus, torch.nan)
    made = objective(au_weight="uncertainty")
    loss_of(made, replace(data, aus=nothing, intensities=nothing))[0].backward()
    assert made.uncertainty.log_variance.grad[1] == 0
    strong = objective(au_weight="uncertainty", au_intensity=1.0)
    loss_of(strong, replace(data, aus=nothing))[0].backward()
    assert strong.uncertainty.log_variance.grad[1] != 0, "intensities are labels of the task too"


def test_a_face_counts_by_its_weight() -> None:
    data = uneven()
    weights = torch.linspace(0, 2, len(data))
    output, _ = batch(data)
    found, _ = loss_of(objective(), data, weights=weights)
    each = functional.cross_entropy(output.scores, data.labels, reduction="none")
    torch.testing.assert_close(found, (weights * each).mean())
