"""Pretraining of a backbone before it sees an emotion: self-supervised, and on identities."""

import math
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fer_core.choices import SSL_KEYS
from fer_core.errors import ConfigError, DataError
from fer_core.models import Encoder, build_encoder
from fer_core.models.cpu import prepare_cpu
from fer_core.pretraining import build_self_supervised
from fer_core.pretraining.arcface import verification_accuracy
from fer_core.pretraining.byol import feature_deviation
from fer_core.pretraining.identity import build_identity_loss
from fer_core.pretraining.probes import probe
from fer_core.pretraining.weights import load_backbone
from fer_core.progress import Bar
from fer_core.training.checkpoint import Checkpoint
from fer_core.training.device import Precision, derived_seed, pick_device
from fer_core.training.faces import FaceSet
from fer_core.training.memory import MicroBatch
from fer_core.training.optim import adamw, set_lr, warmup_cosine

WEIGHT_DECAY = 0.05
WARMUP = 0.1  # share of all steps
PROBES = 10  # epochs at most in which the probes look
PROBE_SHARE = 8  # one face looked at for so many trained on
PROBE_FEWEST = 64  # but not fewer than this, where there are as many
COMPARES_ALL = {"simclr", "moco"}  # methods whose loss is of the whole batch, or whose queue moves with it
FEWEST = 2  # pictures at once where memory runs out: batch norms of features have no variance in one
HELD_OUT = 0.1  # share of the identities kept for verification


def new_encoder(model: Mapping[str, Any], channels: int, seed: int, initial: Path | None = None) -> Encoder:
    """Build the encoder of a pretraining plan's `model`, from scratch or from `initial` backbone weights."""
    prepare_cpu()
    torch.manual_seed(derived_seed(seed, 0))
    encoder = build_encoder(
        timm_name=model["timm"], model_args=dict(model["model_args"]), in_chans=channels, size=model["size"]
    )
    if initial is not None:
        load_backbone(encoder.backbone, initial)
    return encoder.to(memory_format=torch.channels_last)


def pretrain_self_supervised(
    encoder: Encoder,
    faces: FaceSet,
    ssl: Mapping[str, Any],
    *,
    precision: str,
    seed: int,
    work: Path,
    title: str,
    labelled: Mapping[str, FaceSet] | None = None,
) -> list[dict[str, Any]]:
    """Train `encoder` in place by `ssl["method"]` on unlabelled faces; return the history, one row an epoch.

    Where `labelled` holds train and validation faces, rows of up to ten epochs, the last among them, also have
    `knn_uar` and `probe_uar` (`fer_core.pretraining.probes`). They change no weight. They look at no more than an
    eighth as many faces of either kind as an epoch trains on: a few per cent of its time.

    Raises:
        ConfigError: the method is unknown, or cannot train this network.
    """
    device = pick_device()
    faces = faces.to(device)
    settings = {key: ssl[key] for key in SSL_KEYS.get(ssl["method"], ())}
    if "queue" in settings:  # a longer one would mostly hold pictures' own keys of the epoch before
        settings["queue"] = min(settings["queue"], max(1, len(faces) // 2))
    learner: Any = build_self_supervised(ssl["method"], encoder, encoder.num_features, **settings).to(device)
    casting = Precision(learner, device, precision)
    size = min(ssl["batch_size"], len(faces))
    steps = ssl["epochs"] * (len(faces) // size)
    watched = _watched(labelled, len(faces), seed, device)

    def draw(index: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
        found: tuple[Tensor, ...] = learner.views(faces.images(index), generator)
        return found

    def loss(*views: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        with casting.autocast():
            return learner.loss(*views), {}

    def after(number: int) -> None:
        learner.update_target(number, steps)

    def features(of: FaceSet, index: Tensor) -> Tensor:
        encoder.eval()
        with torch.inference_mode(), casting.autocast():
            return torch.cat([encoder(of.images(part)).float() for part in index.split(512)])

    def measure(epoch: int) -> dict[str, float]:
        row = {"feature_deviation": float(feature_deviation(features(faces, torch.arange(min(len(faces), 512)))))}
        if watched and _asked(epoch, ssl["epochs"]):
            known = {split: features(chosen, torch.arange(len(chosen))) for split, chosen in watched.items()}
            truth = {split: chosen.labels for split, chosen in watched.items()}
            row |= probe(known["train"], truth["train"], known["validation"], truth["validation"])
        return row

    least = size if ssl["method"] in COMPARES_ALL else FEWEST
    pieces = MicroBatch(size, size, "set `ssl.batch_size` lower, or a smaller `backbone` or size", least)
    checkpoint = Checkpoint(work)
    return _epochs(learner, casting, len(faces), pieces, ssl, seed, checkpoint, title, draw, loss, after, measure)


def _watched(labelled: Mapping[str, FaceSet] | None, count: int, seed: int, device: torch.device) -> dict[str, FaceSet]:
    """Return the train and validation faces that the probes look at, a fixed random choice of the labelled ones."""
    if labelled is None:
        return {}
    found = {}
    for number, split in enumerate(("train", "validation")):
        generator = torch.Generator().manual_seed(derived_seed(seed, 5, number))  # none of the training's own
        rows = (labelled[split].labels >= 0).nonzero().flatten()
        chosen = rows[torch.randperm(len(rows), generator=generator)[: max(PROBE_FEWEST, count // PROBE_SHARE)]]
        found[split] = labelled[split].only(chosen).to(device)
    return found if all(len(chosen) for chosen in found.values()) else {}


def _asked(epoch: int, epochs: int) -> bool:
    """Tell whether the probes look at `epoch` (from 1) of `epochs`: ten of them at most, the last always."""
    return (epochs - epoch) % -(-epochs // PROBES) == 0


def pretrain_identity(
    encoder: Encoder,
    faces: FaceSet,
    config: Mapping[str, Any],
    *,
    precision: str,
    seed: int,
    work: Path,
    title: str,
) -> list[dict[str, Any]]:
    """Train `encoder` in place by `config["loss"]` on `faces.subjects`; return the history, one row an epoch.

    A tenth of the identities is held out: on their pictures `verification_accuracy` is measured.

    Raises:
        DataError: fewer than four people have two pictures or more.
    """
    known = faces.subjects >= 0
    people, counts = faces.subjects[known].unique(return_counts=True)
    people = people[counts >= 2]
    if len(people) < 4:
        raise DataError(f"Expected four or more people with two pictures each to tell apart; got {len(people)}.")
    shuffled = people[torch.randperm(len(people), generator=torch.Generator().manual_seed(seed))]
    held_out = shuffled[: max(2, round(HELD_OUT * len(people)))]
    trained = shuffled[len(held_out) :]
    device = pick_device()
    rows = torch.isin(faces.subjects, trained).nonzero().squeeze(1).to(device)
    held_rows = torch.isin(faces.subjects, held_out).nonzero().squeeze(1).to(device)
    number_of = torch.full((int(faces.subjects.max()) + 1,), -1)
    number_of[trained] = torch.arange(len(trained))
    faces, number_of = faces.to(device), number_of.to(device)
    encoder = encoder.to(device)
    torch.manual_seed(derived_seed(seed, 2))
    learner = nn.ModuleDict(
        {
            "encoder": encoder,
            "head": build_identity_loss(
                config["loss"], encoder.num_features, len(trained), config["scale"], config["margin"]
            ),
        }
    )
    learner = learner.to(device)
    casting = Precision(encoder, device, precision)
    size = min(config["batch_size"], len(rows))

    def draw(index: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        chosen = rows[index]
        images = faces.images(chosen)
        flipped = torch.rand(len(images), 1, 1, 1, generator=generator, device=device) < 0.5
        return torch.where(flipped, images.flip(3), images), number_of[faces.subjects[chosen]]

    def loss(images: Tensor, labels: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        with casting.autocast():
            features = learner["encoder"](images)
        logits = learner["head"](features.float(), labels)
        return functional.cross_entropy(logits, labels), {"train_accuracy": (logits.argmax(1) == labels).float().mean()}

    def measure(epoch: int) -> dict[str, float]:
        with torch.inference_mode():
            parts = [encoder.eval()(faces.images(part)).float() for part in held_rows.split(256)]
        generator = torch.Generator().manual_seed(seed)
        ids = faces.subjects[held_rows].cpu()
        return {"verification_accuracy": verification_accuracy(torch.cat(parts).cpu(), ids, generator)}

    pieces = MicroBatch(size, size, "set `identity.batch_size` lower, or a smaller `backbone` or size", FEWEST)
    checkpoint, after = Checkpoint(work), lambda _: None
    return _epochs(learner, casting, len(rows), pieces, config, seed, checkpoint, title, draw, loss, after, measure)


def _epochs(
    learner: nn.Module,
    precision: Precision,
    count: int,
    pieces: MicroBatch,
    config: Mapping[str, Any],
    seed: int,
    checkpoint: Checkpoint,
    title: str,
    draw: Callable[[Tensor, torch.Generator], tuple[Tensor, ...]],
    loss: Callable[..., tuple[Tensor, dict[str, Tensor]]],
    after: Callable[[int], None],
    measure: Callable[[int], dict[str, float]],
) -> list[dict[str, Any]]:
    """Train over shuffled whole batches, epoch by epoch, from the last checkpoint if there is one.

    `draw` makes samples of pictures, `loss` gives their mean loss and further means. Samples go through it in `pieces`.
    """
    size = pieces.batch
    optimizer = adamw(learner, config["lr"], WEIGHT_DECAY)
    device = next(learner.parameters()).device
    per_epoch, epochs = count // size, config["epochs"]
    history: list[dict[str, Any]] = []

    def descend(samples: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """Set the gradients to those of a batch, and return its figures."""
        optimizer.zero_grad(set_to_none=True)
        found: dict[str, Tensor] = {}
        for part in pieces.parts(size):
            value, figures = loss(*(samples if part == slice(0, size) else (item[part] for item in samples)))
            share = (part.stop - part.start) / size
            precision.backward(value * share)
            for name, figure in {"loss": value, **figures}.items():
                found[name] = found.get(name, torch.zeros((), device=device)) + figure.detach() * share
        return found

    if state := checkpoint.load():
        learner.load_state_dict(state["learner"])
        optimizer.load_state_dict(state["optimizer"])
        precision.load_state_dict(state["precision"])
        history = state["history"]
    with Bar(title, epochs, "epoch") as bar:
        bar.skip(len(history))
        for epoch in range(len(history), epochs):
            start = time.perf_counter()
            torch.manual_seed(derived_seed(seed, 3, epoch))
            generator = torch.Generator(device).manual_seed(derived_seed(seed, 3, epoch))
            order = torch.randperm(count, generator=torch.Generator().manual_seed(derived_seed(seed, 4, epoch)))
            order = order.to(device)  # whole: a copy in every step would make the host wait for a GPU
            totals: dict[str, Tensor] = {}
            learner.train()
            for number, index in enumerate(order[: per_epoch * size].split(size), start=epoch * per_epoch):
                set_lr(
                    optimizer,
                    config["lr"] * warmup_cosine(number, epochs * per_epoch, round(WARMUP * epochs * per_epoch)),
                )
                samples = draw(index, generator)
                found = pieces.fit(size, partial(descend, samples), partial(optimizer.zero_grad, set_to_none=True))
                precision.step(optimizer, [])
                after(number)
                for name, value in found.items():
                    totals[name] = totals.get(name, torch.zeros((), device=device)) + value
            row = {name: float(value) / per_epoch for name, value in totals.items()} | measure(epoch + 1)
            if not math.isfinite(row["loss"]):
                raise ConfigError(
                    f"{title}: the loss is no longer finite in epoch {epoch + 1}; expected a smaller `lr` of the "
                    f"pretraining, got {config['lr']:g}."
                )
            history.append({"epoch": epoch + 1, **row, "seconds": round(time.perf_counter() - start, 3)})
            states: dict[str, Any] = {"learner": learner, "optimizer": optimizer, "precision": precision}
            if checkpoint.is_due or len(history) == epochs:
                checkpoint.save({name: item.state_dict() for name, item in states.items()} | {"history": history})
            bar.advance(1, **row)
    return history
