"""Training: our own epoch, and its ceiling, the same network stepping on one batch that never changes."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from benchmarks.speed import peers, timm_script
from benchmarks.speed.cases import Case, precision_name, recipe_of
from benchmarks.speed.made_up import CLASSES, LABELS, UNITS, faces, folder_of_pictures
from benchmarks.speed.measure import CEILING, OURS, Comparison, Side, Turn, clock, compare, repeat, steps_for, timed
from benchmarks.speed.settings import Settings
from fer_core.recipe import Recipe
from fer_core.training.checkpoint import SHARE, Checkpoint
from fer_core.training.device import Precision, precision_of
from fer_core.training.learner import Learner
from fer_core.training.loop import new_model, train_epoch, validate
from fer_core.training.optim import build_optimizer

EPOCH = 2700  # train faces of the default's set: an epoch of them is saved once
CHANNELS = 3
ON_DISK = {"cpu": 20_000, "cuda": 200_000}  # links to the same files: an epoch outlasts a turn


def build(recipe: Recipe, device: torch.device) -> nn.Module:
    """Return the network as training makes it, heads included, on the device."""
    model = new_model(recipe, CHANNELS, LABELS, len(UNITS), None, pretrained=False)
    return model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def precision(case: Case, device: torch.device) -> str:
    """Return the precision that training takes for this network here; all sides take it."""
    recipe = recipe_of(case)
    return precision_name(precision_of(build(recipe, torch.device("cpu")), device, recipe.precision))


def ceiling_step(case: Case, device: torch.device) -> Callable[[], None]:
    """Return one step of forward pass, cross-entropy, backward pass and optimiser on one batch of noise."""
    recipe = recipe_of(case)
    model = build(recipe, device).train()
    optimizer = build_optimizer(recipe.optimizer, model, recipe.lr, recipe.weight_decay)
    numbers = Precision(model, device, recipe.precision)
    images = torch.rand(case.batch, CHANNELS, case.size, case.size, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.arange(case.batch, device=device) % len(CLASSES)

    def step() -> None:
        with numbers.autocast():
            logits = model(images).logits
        loss = cross_entropy(logits.float(), labels)
        optimizer.zero_grad(set_to_none=True)
        numbers.backward(loss)
        numbers.step(optimizer, [])

    return step


def ceiling(case: Case, steps: int, device: torch.device) -> Side:
    """Return the side of the ceiling."""
    return Side(CEILING, lambda: timed(repeat(ceiling_step(case, device), steps, case.batch), device))


def ours(case: Case, steps: int, device: torch.device, details: dict[str, object]) -> Side:
    """Return the side of our training: an epoch of `steps` whole batches, and its share of a checkpoint.

    The set of the default has 2,700 train faces. A run saves at the end of an epoch, but takes no more than a hundredth
    of its time for it: of a checkpoint's seconds so much counts as falls to the epoch measured. Validation is told
    apart, in `details`.
    """
    folder = tempfile.TemporaryDirectory()  # not in the settings' folder: it goes with the side

    def make() -> Turn:
        recipe = recipe_of(case)
        made = faces(steps * case.batch, case.size).to(device)
        learner = Learner(recipe, build(recipe, device), made, LABELS)  # type: ignore[arg-type]
        checkpoint = Checkpoint(Path(folder.name))
        saves: list[float] = []
        validations: list[float] = []
        epochs = [0]
        details.update(checkpoint_seconds=saves, validation_faces_per_second=validations)

        def turn() -> float:
            start = clock(device)
            row = train_epoch(learner, epochs[0])
            learner.refresh()
            trained = clock(device)
            best = {key: value.detach().cpu().clone() for key, value in learner.evaluated.state_dict().items()}
            checkpoint.save({"learner": learner.state_dict(), "history": [row], "best": best, "seconds": 0.0})
            saved = clock(device)
            validate(learner.evaluated, made, recipe, len(CLASSES))
            validations.append(len(made) / (clock(device) - saved))
            saves.append(saved - trained)
            epochs[0] += 1
            training, saving = trained - start, saved - trained
            between = max(training * EPOCH / len(made), saving / SHARE)  # seconds from one checkpoint to the next
            return len(made) / (training + saving * min(1.0, training / between))

        return turn

    return Side(OURS, make, folder.cleanup)


def steps_of(case: Case, seconds: float, device: torch.device) -> int:
    """Return how many steps of the ceiling fill `seconds`."""
    return steps_for(ceiling_step(case, device), seconds, device)


def pictures(case: Case, settings: Settings) -> Path:
    """Return the folder of JPEG files for the peers; it is written once for every size."""
    folder = settings.work / f"pictures-{case.size}"
    if not folder.exists():
        count = ON_DISK[settings.device.type] if settings.seconds > 0.5 else 40 * case.batch
        folder_of_pictures(folder, count, case.size)
        folder_of_pictures(folder, 2 * case.batch, case.size, "validation")
    return folder


def measure(settings: Settings, cases: Sequence[Case]) -> Iterator[Comparison]:
    """Measure training with each network."""
    return (measure_case(case, settings) for case in cases)


def measure_case(case: Case, settings: Settings) -> Comparison:
    """Measure ours, the ceiling and the peers in turn."""
    device = settings.device
    steps = steps_of(case, settings.seconds, device)
    numbers, folder = precision(case, device), pictures(case, settings)
    workers = peers.best_workers(
        settings, case.size, lambda count: peers.side(peers.TIMM, case, steps, numbers, folder, count, device)
    )
    details: dict[str, object] = {"precision": numbers, "batch": case.batch, "steps": steps, "workers": workers}
    sides = [ours(case, steps, device, details), ceiling(case, steps, device)]
    sides.append(timm_script.side(case, settings, numbers, folder, workers, steps))
    sides += [peers.side(name, case, steps, numbers, folder, workers, device) for name in (peers.TIMM, peers.PLAIN)]
    found = compare("training", case.title, sides, settings.rounds)
    found.details = details
    return found
