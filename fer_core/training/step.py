"""One step of the optimiser: the whole batch's gradient, in as many pieces as memory and processes ask for.

The pieces' losses are divided by counts of the whole batch, so that their gradients add up to the batch's. (Batch norms
see one piece at a time: with them, pieces are another training, if a like one.) Where memory runs out, pieces are
halved and the step begins anew; the batch that the recipe asks for stays.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from fer_core.sampling.few_shot import Episode
from fer_core.training.distributed import pieces, sum_gradients, world
from fer_core.training.objective import Labels
from fer_core.training.recompute import backward
from fer_core.training.sam import frozen_statistics
from fer_core.training.tally import Found

if TYPE_CHECKING:
    from fer_core.training.learner import Learner


class Sample(NamedTuple):
    """A batch as the model sees it: pictures (B, C, H, W), labels, and classes (B, K), soft where mixed."""

    images: Tensor
    labels: Labels
    classes: Tensor


def take_step(
    learner: "Learner", number: int, sample: Sample, generator: torch.Generator, episodes: torch.Generator
) -> Found:
    """Take one step; see `Learner.step`."""
    recipe, precision = learner.recipe, learner.precision
    task = learner.episode(episodes) if recipe.few_shot_below else None
    pictures = None if task is None else learner.augmented_episode(task, generator)
    found = _gradients(learner, sample, task, pictures, (generator, episodes))
    sum_gradients(learner.trained)
    if learner.sam is not None:
        learner.sam.climb()
        with frozen_statistics(learner.model):
            _gradients(learner, sample, task, pictures, None, found.parts.pop("sample_weights", None))
        sum_gradients(learner.trained)
        learner.sam.descend()
    found.parts.pop("sample_weights", None)
    if recipe.meta == "maml":
        precision.unscale(learner.optimizer)
        learner.add_maml(learner.episode(episodes), generator)
    precision.step(learner.optimizer, learner.trained, recipe.clip_grad)
    if learner.ema is not None:
        learner.ema.update(number)
    return found


def _gradients(
    learner: "Learner",
    sample: Sample,
    task: Episode | None,
    pictures: Tensor | None,
    draws: tuple[torch.Generator, torch.Generator] | None,
    weights: Tensor | None = None,
) -> Found:
    """Set the parameters' gradients to those of this process's share; in smaller pieces when memory runs out."""
    return learner.micro_batch.fit(
        len(sample.images),
        lambda: _accumulated(learner, sample, task, pictures, draws, weights),
        lambda: learner.optimizer.zero_grad(set_to_none=True),
    )


def _accumulated(
    learner: "Learner",
    sample: Sample,
    task: Episode | None,
    pictures: Tensor | None,
    draws: tuple[torch.Generator, torch.Generator] | None,
    weights: Tensor | None,
) -> Found:
    parts_of_batch, factor = pieces(len(sample.images), learner.micro_batch.size)
    learner.optimizer.zero_grad(set_to_none=True)
    found: list[Found] = []
    for rows in parts_of_batch:
        alone = rows.stop - rows.start == len(sample.images)
        images = sample.images if alone else sample.images[rows]
        labels = sample.labels if alone else sample.labels.only(rows)
        with learner.precision.autocast():
            output = learner.network(images)
        if learner.meta_weight is not None and draws is not None:
            weights = learner.sample_weights(sample, output.features.detach(), *draws)
        few_shot = None
        if task is not None and pictures is not None and rows == parts_of_batch[0]:
            few_shot = learner.few_shot_loss(task, pictures) / (world() * factor)
        scores = learner.scores(output, labels.target)
        loss, parts = learner.objective(output, scores, labels, weights, few_shot, None if alone else sample.labels)
        loss_here = loss if factor == 1 else loss * factor
        backward(learner.model, learner.precision, loss_here, recomputed=learner.recipe.grad_checkpointing)
        found.append(Found(loss.detach(), output.logits.detach(), sample.classes[rows], parts, factor))
    whole = found[0] if len(found) == 1 and factor == 1 else _added(found, factor)
    if weights is not None:
        sums = whole.parts | {"sample_weight_deviation": weights.std(correction=0), "sample_weights": weights}
        whole = whole._replace(parts=sums)
    return whole


def _added(found: Sequence[Found], factor: float) -> Found:
    """Add up what the pieces found."""
    names = {name: None for piece in found for name in piece.parts}
    parts = {name: factor * torch.stack([p.parts[name] for p in found if name in p.parts]).sum() for name in names}
    logits, classes = torch.cat([piece.logits for piece in found]), torch.cat([piece.classes for piece in found])
    return Found(factor * torch.stack([piece.loss for piece in found]).sum(), logits, classes, parts, factor)
