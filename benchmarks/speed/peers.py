"""Two loops of training that others write: of timm's own pieces, and of plain PyTorch. JPEG files, one loader each.

timm's pieces stand in the order of its train.py: loader with prefetcher and mixing in the collation, soft targets,
optimiser, average of the weights, the loss read in every step. The plain loop is a tutorial's: ImageFolder, PIL and
torchvision's transforms one picture at a time, mixup on the batch. Network, size, batch, precision, layout and
optimiser are ours; the augmentation is as strong as ours, or a little cheaper.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data import FastCollateMixup, create_dataset, create_loader
from timm.loss import SoftTargetCrossEntropy
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from timm.utils import AverageMeter, ModelEmaV3
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from benchmarks.speed.cases import EPOCHS, Case, recipe_of
from benchmarks.speed.made_up import CLASSES
from benchmarks.speed.measure import Side, Turn, through
from benchmarks.speed.settings import Settings

TIMM, PLAIN = "timm's pieces", "PyTorch loop"
ALPHA = 0.2
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
Batches = Callable[[], Iterable[Any]]


def arguments(case: Case) -> dict[str, Any]:
    """Return what timm builds the network from, beside its name."""
    found = dict(case.args)
    config = timm.get_pretrained_cfg(case.timm)
    if config is not None and config.fixed_input_size:
        found["img_size"] = case.size
    return found


def network(case: Case, device: torch.device) -> nn.Module:
    """Return timm's network with its own classifier, channels-last, for training."""
    model = timm.create_model(case.timm, num_classes=len(CLASSES), **arguments(case))
    return model.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]


def casting(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Return the autocast context that peers use."""
    return nullcontext() if precision == "fp32" else torch.autocast(device.type, TYPES[precision])


def queue(workers: int) -> int:
    """Return how many batches a loader has ready at most: two a process, and timm's prefetcher one; not counted."""
    return 2 * workers + 1


def timm_batches(case: Case, folder: Path, workers: int, device: torch.device) -> Batches:
    """Return timm's loader."""
    loader = create_loader(
        create_dataset("", root=str(folder), split="train", is_training=True),
        input_size=(3, case.size, case.size),
        batch_size=case.batch,
        is_training=True,
        scale=(0.8, 1.0),
        ratio=(0.95, 1.05),
        color_jitter=0.2,
        interpolation="bilinear",
        mean=MEAN,
        std=STD,
        num_workers=workers,
        collate_fn=FastCollateMixup(mixup_alpha=ALPHA, label_smoothing=0.0, num_classes=len(CLASSES)),
        pin_memory=device.type == "cuda",
        device=device,
        persistent_workers=False,  # they end with the turn and take nothing from the next side
    )
    return lambda: loader


def timm_step(case: Case, precision: str, device: torch.device) -> Callable[[Any], None]:
    """Return one step as timm's train.py takes it."""
    recipe = recipe_of(case)
    model, criterion = network(case, device), SoftTargetCrossEntropy()
    optimizer = create_optimizer_v2(model, "adamw", lr=recipe.lr, weight_decay=recipe.weight_decay)
    scheduler = CosineLRScheduler(optimizer, t_initial=EPOCHS)
    ema = ModelEmaV3(model, decay=recipe.ema)
    scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
    losses, updates = AverageMeter(), [0]

    def step(batch: Any) -> None:
        images, target = batch
        images = images.contiguous(memory_format=torch.channels_last)
        with casting(device, precision):
            loss = criterion(model(images), target)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        losses.update(loss.item(), len(images))
        optimizer.zero_grad()
        updates[0] += 1
        ema.update(model, step=updates[0])
        scheduler.step_update(num_updates=updates[0], metric=losses.avg)

    return step


def plain_batches(case: Case, folder: Path, workers: int, device: torch.device) -> Batches:
    """Return a DataLoader over an ImageFolder with torchvision's transforms."""
    look = v2.Compose(
        [
            v2.RandomAffine(
                10, translate=(0.05, 0.05), scale=(0.95, 1.05), interpolation=v2.InterpolationMode.BILINEAR
            ),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(0.2, 0.2),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )
    pictures = ImageFolder(str(folder / "train"), look)
    loader = DataLoader(
        pictures, case.batch, shuffle=True, drop_last=True, num_workers=workers, pin_memory=device.type == "cuda"
    )
    return lambda: loader


def plain_step(case: Case, precision: str, device: torch.device) -> Callable[[Any], None]:
    """Return one step as a tutorial takes it."""
    recipe = recipe_of(case)
    model = network(case, device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
    mixup = v2.MixUp(alpha=ALPHA, num_classes=len(CLASSES))
    scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
    running = [0.0]

    def step(batch: Any) -> None:
        images, target = batch
        images, target = images.to(device, non_blocking=True), target.to(device, non_blocking=True)
        images, target = mixup(images, target)
        images = images.contiguous(memory_format=torch.channels_last)
        optimizer.zero_grad()
        with casting(device, precision):
            loss = cross_entropy(model(images), target)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        running[0] += loss.item()

    return step


def side(name: str, case: Case, steps: int, precision: str, folder: Path, workers: int, device: torch.device) -> Side:
    """Return the side of a peer's loop: `TIMM` or `PLAIN`."""
    batches_of, step_of = {TIMM: (timm_batches, timm_step), PLAIN: (plain_batches, plain_step)}[name]

    def make() -> Turn:
        batches, step = batches_of(case, folder, workers, device), step_of(case, precision, device)
        return lambda: case.batch * through(batches(), step, queue(workers), steps, device)

    return Side(name, make)


def best_workers(settings: Settings, size: int, side_of: Callable[[int], Side]) -> int:
    """Return the number of loader processes with which a side is quickest, each tried for one turn after the first.

    It is asked once for pictures of a size; the next sides of that size take the same number.
    """
    if size not in settings.best and len(settings.workers) == 1:
        settings.best[size] = settings.workers[0]
    if size not in settings.best:
        rates = {}
        for workers in settings.workers:
            turn = side_of(workers).make()
            turn()
            rates[workers] = turn()
        settings.best[size] = max(rates, key=lambda workers: rates[workers])
    return settings.best[size]
