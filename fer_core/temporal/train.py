"""Training on clips: what an epoch is, and how it is validated.

It goes by the same recipe as the training on pictures (`fer_core.training.loop`), as far as that speaks of clips:
`backbone`, `attention`, the losses with `drw` and `label_smoothing`, every sampler (the curriculum too: a clip's loss
is as good a measure of its ease as a picture's), optimiser, schedule, `layer_decay`, `sam`, `ema`, `clip_grad`,
`precision`, `compile`, `grad_checkpointing` and all sizes. `augment` is one change a clip, see `augment_clips`. The
encoder, where it starts from a trained still-image model, has a share `temporal_encoder_lr` of the learning rate: at
the full rate some hundred clips spoil what thousands of pictures taught; at 0 it is frozen, the statistics of its batch
norms too. A batch has at most as many frames as the recipe's has pictures, each clip counted as long as the longest, so
that memory and the number of steps a frame stay alike. But it has two clips or more: of clips longer than half the
recipe's batch it has up to two clips' frames. Of them `micro_batch` frames go through the network at once, whole clips
and one at least; half as many whenever memory runs out.

What does nothing here: `init`, `weights` and `ssl` (first weights are a still-image model's), `head` (linear), `target`
(the class), AU heads and AU losses, the teaching of an AU-guided attention, few-shot episodes, `meta`, `mix`,
`synthesis`.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from fer_core.errors import DataError
from fer_core.evaluation.metrics import scores
from fer_core.labels import LabelSet
from fer_core.progress import note
from fer_core.recipe import Recipe
from fer_core.sampling import epoch_order
from fer_core.temporal.build import Initial, load_still, new_clip_model
from fer_core.temporal.clips import ClipSet
from fer_core.temporal.learner import ClipLearner
from fer_core.temporal.predict import predict_clips
from fer_core.training.device import autocast, derived_seed, pick_device
from fer_core.training.epochs import Trained, run_epochs
from fer_core.training.optim import schedule_factor, set_lr


def train_clips(
    recipe: Recipe,
    sets: Mapping[str, ClipSet],
    labels: LabelSet,
    initial: Initial | None,
    work: Path,
    title: str,
) -> Trained[nn.Module]:
    """Train one clip model, going on from the checkpoint in `work` if an earlier process left one there.

    Args:
        recipe: what to do.
        sets: the splits `train` and `validation`, with labels.
        labels: the names of the K classes.
        initial: a trained still-image model, for the encoder to start from with `temporal_start: still`; None: from
            scratch.
        work: folder of this very run's checkpoints (keyed by its fingerprint).
        title: shown with the progress.

    Raises:
        DataError: a split has no clip, train only one, or a clip has no label.
        ConfigError: a name is unknown, a size out of its range, or `initial` does not fit.
    """
    for split in ("train", "validation"):
        _check_labels(sets[split], split, len(labels.classes))
    if len(sets["train"]) < 2:
        raise DataError("Expected two train clips or more: batch norm has no variance in a batch of one; got one.")
    device = pick_device()
    train_set, validation = sets["train"].to(device), sets["validation"].to(device)
    model = new_clip_model(recipe, train_set.pixels.shape[3], len(labels.classes))
    scale = 1.0  # an encoder from scratch has nothing to lose
    if initial is not None and recipe.temporal_start == "still":
        note(f"{title}: from the still-image model, {load_still(model, initial)}")
        scale = recipe.temporal_encoder_lr
    model = model.to(device)
    learner = ClipLearner(recipe, model, train_set, len(labels.classes), scale)

    def validate_now() -> dict[str, float]:
        return validate(learner.evaluated, validation, recipe, len(labels.classes))

    return run_epochs(model, learner, recipe.epochs, work, title, partial(train_epoch, learner), validate_now)


def train_epoch(learner: ClipLearner, epoch: int) -> dict[str, float]:
    """Train one epoch, counted from 0, and return its row of the history.

    All randomness is derived from the recipe's seed and the epoch, so that no generator's state need be stored.
    """
    recipe, device = learner.recipe, learner.clips.rows.device
    seed = derived_seed(recipe.seed, 1, epoch)
    order = epoch_order(
        recipe.sampler,
        learner.cpu_labels,
        torch.Generator().manual_seed(seed),
        progress=epoch / recipe.epochs,
        losses=learner.losses,
        curriculum_start=recipe.curriculum_start,
        curriculum_end=recipe.curriculum_end,
    )
    torch.manual_seed(seed)  # dropout draws from the global generator
    generator = torch.Generator(device).manual_seed(seed)
    parts = order.split(learner.batch_size)
    # batch norm may have no variance in a batch of one
    batches = [index.to(device) for index in parts if len(index) > 1 or len(parts) == 1]
    steps, warmup = recipe.epochs * len(batches), recipe.warmup_epochs * len(batches)
    total, right = torch.zeros((), device=device), torch.zeros((), device=device)
    lr, seen = 0.0, 0
    learner.objective.epoch = epoch
    learner.train_mode()
    for number, index in enumerate(batches, start=epoch * len(batches)):
        lr = recipe.lr * schedule_factor(recipe.schedule, number, steps, warmup)
        set_lr(learner.optimizer, lr)
        loss, logits = learner.step(number, index, generator)
        total += loss * len(index)
        right += (logits.argmax(1) == learner.clips.labels[index]).sum()
        seen += len(index)
    return {"train_loss": float(total) / seen, "train_accuracy": float(right) / seen, "learning_rate": lr}


def validate(model: nn.Module, clips: ClipSet, recipe: Recipe, classes: int) -> dict[str, float]:
    """Return the validation figures of one epoch's history; the loss is the mean of -log p(true class) in nats."""
    with autocast(model, clips.rows.device, recipe.precision):
        logs = predict_clips(model, clips)
    labels = clips.labels.cpu()
    result = scores(labels.numpy(), logs.argmax(1).numpy(), classes)
    return {
        "validation_loss": float(functional.nll_loss(logs, labels)),
        "validation_accuracy": result.accuracy,
        "validation_macro_f1": result.macro_f1,
        "validation_uar": result.uar,
    }


def _check_labels(clips: ClipSet, split: str, classes: int) -> None:
    if not len(clips):
        raise DataError(f"Expected clips in the {split} split; got none.")
    wrong = ((clips.labels < 0) | (clips.labels >= classes)).nonzero()[:, 0].tolist()
    if wrong:
        raise DataError(
            f"Expected a class from 0 to {classes - 1} of every clip of the {split} split; got "
            f"{int(clips.labels[wrong[0]])} of clip {clips.ids[wrong[0]]}."
        )
