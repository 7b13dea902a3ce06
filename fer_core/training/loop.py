"""Supervised training on faces: what an epoch is, and how it is validated."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from fer_core.errors import DataError
from fer_core.evaluation.metrics import au_scores, scores
from fer_core.labels import LabelSet
from fer_core.models import FerModel, build_model
from fer_core.models.backbone import drop_rates
from fer_core.models.cpu import prepare_cpu
from fer_core.pretraining.weights import load_backbone
from fer_core.progress import note
from fer_core.recipe import Recipe
from fer_core.sampling import epoch_order
from fer_core.sampling.curriculum import classes_open, open_share
from fer_core.targets import pair_matrix
from fer_core.training.device import autocast, derived_seed, pick_device
from fer_core.training.distributed import gathered, rank, share, world
from fer_core.training.epochs import Trained, run_epochs
from fer_core.training.faces import FaceSet
from fer_core.training.feed import feed, lies_there
from fer_core.training.learner import Learner
from fer_core.training.norms import synchronise_norms
from fer_core.training.optim import schedule_factor, set_lr
from fer_core.training.predict import predict
from fer_core.training.recompute import checkpoint_activations
from fer_core.training.step import Sample
from fer_core.training.tally import Tally

IN_A_ROW = 32 * 2**20  # bytes of pictures that are augmented one batch after the other


def new_model(
    recipe: Recipe, channels: int, labels: LabelSet, aus: int, initial: Path | None, *, pretrained: bool
) -> FerModel:
    """Build the recipe's model; `initial` holds backbone weights, `pretrained` fetches timm's own."""
    prepare_cpu()
    torch.manual_seed(derived_seed(recipe.seed, 0))
    model = build_model(
        timm_name=recipe.timm,
        model_args=dict(recipe.model_args),
        in_chans=channels,
        size=recipe.size,
        classes=len(labels.classes),
        aus=aus if recipe.has_au_head else 0,
        attention=recipe.attention,
        head=recipe.head,
        head_scale=recipe.head_scale,
        pairs=pair_matrix(labels.classes, labels.votes) if recipe.target == "compound" else None,
        au_head=recipe.au_head,
        intensities=recipe.au_intensity > 0,
        pretrained=pretrained,
        drop_path=recipe.drop_path,
    )
    if recipe.drop_path > 0 and not drop_rates(model.backbone):
        note(f"drop_path does nothing here: {recipe.timm} has no residual branch that it could leave out")
    if recipe.grad_checkpointing:
        checkpoint_activations(model.backbone, recipe.timm)
    if initial is not None:
        note(f"first weights from {initial}: {load_backbone(model.backbone, initial)}")
    return model


def wants_timms_own(recipe: Recipe) -> bool:
    """Return whether the run starts from timm's published weights, which a file in `weights` replaces."""
    return recipe.init == "imagenet" and recipe.weights is None


def train(
    recipe: Recipe, sets: Mapping[str, FaceSet], labels: LabelSet, initial: Path | None, work: Path, title: str
) -> Trained[FerModel]:
    """Train one run, going on from the checkpoint in `work` if an earlier process left one there.

    Args:
        recipe: what to do.
        sets: the splits `train` and `validation`, with labels.
        labels: the names of the K classes, and of the vote columns where there are votes.
        initial: backbone weights to start from.
        work: folder of this very run's checkpoints (keyed by its fingerprint).
        title: shown with the progress.

    Raises:
        DataError: there is no train picture, or no validation picture.
        ConfigError: the recipe does not suit these faces.
    """
    for split in ("train", "validation"):
        if not len(sets[split]):
            raise DataError(f"Expected faces in the {split} split; got none.")
    device = pick_device()
    train_set, validation = sets["train"].to(device), sets["validation"].to(device)
    channels = train_set.pixels.shape[3]
    aus = len(train_set.au_names)
    model = new_model(recipe, channels, labels, aus, initial, pretrained=wants_timms_own(recipe))
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    model = cast(FerModel, synchronise_norms(model, device))
    own = _own_part(validation)
    learner = Learner(recipe, model, train_set, labels)

    def train_one(epoch: int) -> dict[str, float]:
        row = train_epoch(learner, epoch)
        learner.refresh()
        return row

    def validate_now() -> dict[str, float]:
        return validate(learner.evaluated, validation, recipe, len(labels.classes), own)

    return run_epochs(model, learner, recipe.epochs, work, title, train_one, validate_now)


def _batches(order: Tensor, size: int) -> Iterator[Tensor]:
    for index in order.split(size):
        if len(index) > 1 or len(order) == 1:  # batch norm has no variance in a batch of one
            yield index


def train_epoch(learner: Learner, epoch: int) -> dict[str, float]:
    """Train one epoch, counted from 0, and return its row of the history.

    All randomness is derived from the recipe's seed and the epoch, so that no generator's state need be stored.
    """
    recipe, faces = learner.recipe, learner.faces
    device = faces.device
    seed = derived_seed(recipe.seed, 1, epoch)
    progress = epoch / recipe.epochs
    order = epoch_order(
        recipe.sampler,
        learner.cpu_labels,
        torch.Generator().manual_seed(seed),
        progress=progress,
        losses=learner.losses,
        curriculum_start=recipe.curriculum_start,
        curriculum_end=recipe.curriculum_end,
    )
    torch.manual_seed(derived_seed(seed, rank()) if rank() else seed)  # dropout and drop path draw globally
    generator = torch.Generator(device).manual_seed(seed)
    further = torch.Generator(device).manual_seed(derived_seed(recipe.seed, 3, epoch))
    episodes = torch.Generator().manual_seed(derived_seed(recipe.seed, 2, epoch))
    batches = [index.to(device) for index in _batches(order, recipe.batch_size)]
    steps, warmup = recipe.epochs * len(batches), recipe.warmup_epochs * len(batches)
    tally = Tally()
    lr = 0.0
    learner.objective.epoch = epoch
    learner.model.train()
    samples = _samples(learner, feed(faces, batches), generator)
    for number, (count, sample) in enumerate(samples, start=epoch * len(batches)):
        lr = recipe.lr * schedule_factor(recipe.schedule, number, steps, warmup)
        set_lr(learner.optimizer, lr)
        tally.add(count, learner.step(number, sample, further, episodes))
    row = tally.means() | {"learning_rate": lr} | learner.objective.learned_weights()
    if recipe.sampler == "curriculum":
        row["curriculum_share"] = open_share(progress, recipe.curriculum_start, recipe.curriculum_end)
        row["curriculum_classes"] = len(classes_open(learner.cpu_labels, order))
    return row


def _samples(
    learner: Learner, fed: Iterable[tuple[Tensor, Tensor]], generator: torch.Generator
) -> Iterator[tuple[int, Sample]]:
    """Yield how many faces a batch has, and its sample.

    Several small batches are made in a row: between two steps, whose data and code fill the caches, a CPU takes twice
    as long for one. Where a thread reads the pictures ahead it is one batch at a time.
    """
    numbers = learner.faces.pixels.shape[1:].numel() * learner.recipe.batch_size
    together = max(1, IN_A_ROW // (4 * numbers)) if lies_there(learner.faces) else 1
    batches = iter(fed)
    while made := [(len(rows), learner.sample(rows, generator, seen)) for rows, seen in islice(batches, together)]:
        yield from made


def _own_part(faces: FaceSet) -> FaceSet:
    """Return the faces that this process predicts; where there are fewer than processes, all do the same."""
    if world() == 1 or len(faces) < world():
        return faces
    return faces.only(torch.arange(len(faces))[share(len(faces))])


def validate(
    model: FerModel, faces: FaceSet, recipe: Recipe, classes: int, own: FaceSet | None = None
) -> dict[str, float]:
    """Return the validation figures of one epoch's history; the loss is the mean of -log p(true class) in nats.

    `own` are the faces that this process predicts, its `share` of them; None for all. The figures are of all.
    """
    own = faces if own is None else own
    with autocast(model, faces.device, recipe.precision):
        logs, aus = predict(model, own)
    if len(own) < len(faces):
        logs, aus = gathered(logs, len(faces)), None if aus is None else gathered(aus, len(faces))
    labels = faces.labels.cpu()
    result = scores(labels.numpy(), logs.argmax(1).numpy(), classes)
    row = {
        "validation_loss": float(functional.nll_loss(logs, labels)),
        "validation_accuracy": result.accuracy,
        "validation_macro_f1": result.macro_f1,
        "validation_uar": result.uar,
    }
    if aus is not None:
        row["validation_au_f1"] = au_scores(faces.aus.cpu().numpy(), aus.numpy()).mean_f1
    return row
