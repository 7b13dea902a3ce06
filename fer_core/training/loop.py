"""Supervised training: loss = emotion + lambda * AU, the best epoch chosen by validation macro-F1."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from fer_core.augment import Batch, augment
from fer_core.augment.mixing import mix
from fer_core.errors import DataError
from fer_core.evaluation.metrics import au_scores, scores
from fer_core.losses import build_loss
from fer_core.losses.au import masked_bce
from fer_core.models import FerModel, build_model
from fer_core.models.cpu import prepare_cpu
from fer_core.pretraining.weights import load_backbone
from fer_core.progress import Bar
from fer_core.recipe import Recipe
from fer_core.sampling import epoch_order
from fer_core.training.checkpoint import Checkpoint
from fer_core.training.device import autocast, derived_seed, pick_device
from fer_core.training.faces import FaceSet
from fer_core.training.optim import adamw, set_lr, warmup_cosine
from fer_core.training.predict import predict


@dataclass
class Trained:
    """A finished run: the model with its best epoch's weights, and how it got there."""

    model: FerModel
    history: list[dict[str, Any]]
    best_epoch: int
    seconds: float


def new_model(
    recipe: Recipe, channels: int, classes: int, aus: int, initial: Path | None, *, pretrained: bool
) -> FerModel:
    """Build the recipe's model; `initial` holds backbone weights, `pretrained` fetches timm's own."""
    prepare_cpu()
    torch.manual_seed(derived_seed(recipe.seed, 0))
    model = build_model(
        timm_name=recipe.timm,
        model_args=dict(recipe.model_args),
        in_chans=channels,
        size=recipe.size,
        classes=classes,
        aus=aus if recipe.au_weight > 0 else 0,
        attention=recipe.attention,
        pretrained=pretrained,
    )
    if initial is not None:
        load_backbone(model.backbone, initial)
    return model


def train(
    recipe: Recipe, sets: Mapping[str, FaceSet], classes: int, initial: Path | None, work: Path, title: str
) -> Trained:
    """Train one run, going on from the checkpoint in `work` if an earlier process left one there.

    Args:
        recipe: what to do.
        sets: the splits `train` and `validation`, with labels.
        classes: K.
        initial: backbone weights to start from.
        work: folder of this very run's checkpoints (keyed by its fingerprint).
        title: shown with the progress.

    Raises:
        DataError: there is no train picture, or no validation picture.
    """
    for split in ("train", "validation"):
        if not len(sets[split]):
            raise DataError(f"Expected faces in the {split} split; got none.")
    device = pick_device()
    train_set, validation = sets["train"].to(device), sets["validation"].to(device)
    channels = train_set.pixels.shape[3]
    aus = len(train_set.au_names)
    model = new_model(recipe, channels, classes, aus, initial, pretrained=recipe.init == "imagenet")
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = adamw(model, recipe.lr, recipe.weight_decay)
    counts = torch.bincount(train_set.labels, minlength=classes)
    criterion = build_loss(
        recipe.loss,
        class_counts=counts,
        focal_gamma=recipe.focal_gamma,
        cb_beta=recipe.cb_beta,
        label_smoothing=recipe.label_smoothing,
    ).to(device)
    checkpoint = Checkpoint(work)
    history: list[dict[str, Any]] = []
    best: dict[str, Tensor] = {}
    seconds = 0.0
    if state := checkpoint.load():
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        history, best, seconds = state["history"], state["best"], state["seconds"]
    with Bar(title, recipe.epochs, "epoch") as bar:
        bar.skip(len(history))
        while len(history) < recipe.epochs and not _diverged(history):
            start = time.perf_counter()
            epoch = len(history)
            row = _train_epoch(model, train_set, recipe, optimizer, criterion, classes=classes, epoch=epoch)
            row |= _validate(model, validation, recipe, criterion, classes)
            row |= {"seconds": round(time.perf_counter() - start, 3)}
            history.append({"epoch": epoch + 1, **row})
            if not best or row["validation_macro_f1"] > _best(history[:-1]):
                best = {key: value.detach().cpu().clone() for key, value in model.state_dict().items()}
            seconds += time.perf_counter() - start
            checkpoint.save(
                {
                    "model": model.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "history": history,
                    "best": best,
                    "seconds": seconds,
                }
            )
            bar.advance(loss=row["train_loss"], macro_f1=row["validation_macro_f1"])
    model.load_state_dict(best)
    top = max(range(len(history)), key=lambda i: (history[i]["validation_macro_f1"], -i))
    return Trained(model, history, best_epoch=top + 1, seconds=seconds)


def _best(history: list[dict[str, Any]]) -> float:
    return max((row["validation_macro_f1"] for row in history), default=-1.0)


def _diverged(history: list[dict[str, Any]]) -> bool:
    """A loss that is not a number stays so: more epochs would only cost time; an alarm tells of it."""
    return bool(history) and not np.isfinite(history[-1]["train_loss"])


def _batches(order: Tensor, size: int) -> Iterator[Tensor]:
    for index in order.split(size):
        if len(index) > 1 or len(order) == 1:  # batch norm has no variance in a batch of one
            yield index


def _train_epoch(
    model: FerModel,
    faces: FaceSet,
    recipe: Recipe,
    optimizer: torch.optim.Optimizer,
    criterion: nn.Module,
    *,
    classes: int,
    epoch: int,
) -> dict[str, float]:
    device = faces.pixels.device
    seed = derived_seed(recipe.seed, 1, epoch)
    torch.manual_seed(seed)  # dropout and drop path draw from the global generator
    generator = torch.Generator(device).manual_seed(seed)
    order = epoch_order(recipe.sampler, faces.labels.cpu(), torch.Generator().manual_seed(seed))
    batches = [index.to(device) for index in _batches(order, recipe.batch_size)]
    steps, warmup = recipe.epochs * len(batches), recipe.warmup_epochs * len(batches)
    targets = functional.one_hot(faces.labels, classes).float()
    total, au_total, right, seen = (torch.zeros((), device=device) for _ in range(4))
    lr = 0.0
    model.train()
    for number, index in enumerate(batches, start=epoch * len(batches)):
        lr = recipe.lr * warmup_cosine(number, steps, warmup)
        set_lr(optimizer, lr)
        batch = Batch(faces.images(index), faces.landmarks[index], faces.aus[index], faces.au_names)
        batch = augment(recipe.augment, batch, generator)
        images, target, aus = mix(
            recipe.mix, batch.images, targets[index], batch.aus, alpha=recipe.mix_alpha, generator=generator
        )
        with autocast(model, device, recipe.precision):
            output = model(images)
        loss = criterion(output.logits.float(), target)
        if output.au_logits is not None:
            au_loss = masked_bce(output.au_logits.float(), aus)
            loss = loss + recipe.au_weight * au_loss
            au_total += au_loss.detach() * len(index)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        total += loss.detach() * len(index)
        right += (output.logits.detach().argmax(1) == target.argmax(1)).sum()
        seen += len(index)
    row = {
        "train_loss": float(total / seen),
        "train_accuracy": float(right / seen),
        "learning_rate": lr,
    }
    if model.au_head is not None:
        row["au_loss"] = float(au_total / seen)
    return row


def _validate(model: FerModel, faces: FaceSet, recipe: Recipe, criterion: nn.Module, classes: int) -> dict[str, float]:
    device = faces.pixels.device
    with autocast(model, device, recipe.precision):
        logs, aus = predict(model, faces)
    labels = faces.labels.cpu()
    loss = criterion(logs.to(device), functional.one_hot(labels, classes).float().to(device))
    result = scores(labels.numpy(), logs.argmax(1).numpy(), classes)
    row = {
        "validation_loss": float(loss),
        "validation_accuracy": result.accuracy,
        "validation_macro_f1": result.macro_f1,
        "validation_uar": result.uar,
    }
    if aus is not None:
        row["validation_au_f1"] = au_scores(faces.aus.cpu().numpy(), aus.numpy()).mean_f1
    return row


def converged(history: list[dict[str, Any]], window: int = 3, points: float = 1.0) -> bool | None:
    """Return whether validation macro-F1 had stopped rising: the last `window` epochs against those before.

    None when there are fewer than two windows of epochs.
    """
    if len(history) < 2 * window:
        return None
    curve = [row["validation_macro_f1"] for row in history]
    return bool(np.mean(curve[-window:]) - np.mean(curve[-2 * window : -window]) <= points / 100)
