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
from benchmarks.speed.measure import CEILING, OURS, Comparison, Side, Turn, clock, compare, repeat, steps_for
from benchmarks.speed.settings import Settings
from fer_core.recipe import Recipe
from fer_core.training.checkpoint import SHARE, Checkpoint
from fer_core.training.device import Precision, precision_of
from fer_core.training.learner import Learner
from fer_core.training.loop import new_model, train_epoch, validate
from fer_core.training.optim import build_optimizer
from fer_core.training.tally import Found

EPOCH = 2700  # train faces of the default's set: an epoch of them is saved once
SLICE = 0.15  # seconds of the ceiling's steps between ours
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


class Between:
    """Steps of the ceiling between those of our epoch, on clocks of their own.

    A machine that others use too is a fifth slower for some seconds, then quick again: what is to be compared to a
    hundredth has to take turns many times a second.

    Attributes:
        step: the ceiling's; None until it was built.
        every: so many of its steps come before so many of ours.
        seconds: that they took, and `steps`, how many they were, since the last `begin`.
    """

    def __init__(self, every: int, device: torch.device) -> None:
        self.step: Callable[[], None] | None = None
        self.every, self.device = every, device
        self.begin()

    def begin(self) -> None:
        """Forget what was measured."""
        self.seconds, self.steps, self.taken = 0.0, 0, 0

    def before(self, own: Callable[..., Found]) -> Callable[..., Found]:
        """Return our own step, with the ceiling's before every so many."""

        def step(*given: object) -> Found:
            if self.step is not None and self.taken % self.every == 0:
                start = clock(self.device)
                repeat(self.step, self.every, 1)()
                self.seconds += clock(self.device) - start
                self.steps += self.every
            self.taken += 1
            return own(*given)

        return step


def ceiling(case: Case, between: Between) -> Side:
    """Return the side of the ceiling, whose rate is measured in our turns."""

    def make() -> Turn:
        step = between.step = ceiling_step(case, between.device)

        def turn() -> dict[str, float]:
            step()
            return {}

        return turn

    return Side(CEILING, make)


def ours(case: Case, steps: int, between: Between, details: dict[str, object]) -> Side:
    """Return the side of our training: an epoch of `steps` whole batches, and its share of a checkpoint.

    The set of the default has 2,700 train faces. A run saves at the end of an epoch, but takes no more than a hundredth
    of its time for it: of a checkpoint's seconds so much counts as falls to the epoch measured. Validation is told
    apart, in `details`.
    """
    folder = tempfile.TemporaryDirectory()  # not in the settings' folder: it goes with the side
    device = between.device

    def make() -> Turn:
        recipe = recipe_of(case)
        made = faces(steps * case.batch, case.size).to(device)
        learner = Learner(recipe, build(recipe, device), made, LABELS)  # type: ignore[arg-type]
        learner.step = between.before(learner.step)  # type: ignore[method-assign]
        checkpoint = Checkpoint(Path(folder.name))
        saves: list[float] = []
        validations: list[float] = []
        epochs = [0]
        details.update(checkpoint_seconds=saves, validation_faces_per_second=validations)

        def turn() -> dict[str, float]:
            between.begin()
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
            training, saving = trained - start - between.seconds, saved - trained
            apart = max(training * EPOCH / len(made), saving / SHARE)  # seconds from one checkpoint to the next
            rates = {OURS: len(made) / (training + saving * min(1.0, training / apart))}
            if between.steps:
                rates[CEILING] = between.steps * case.batch / between.seconds
            return rates

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
    # on a GPU, which is nobody else's, a wait between steps would cost more than it tells
    every = max(1, round(steps * min(1.0, SLICE / settings.seconds))) if device.type == "cpu" else steps
    steps = every * max(1, round(steps / every))
    between = Between(every, device)
    numbers, folder = precision(case, device), pictures(case, settings)
    workers = peers.best_workers(
        settings, case.size, lambda count: peers.side(peers.TIMM, case, steps, numbers, folder, count, device)
    )
    details: dict[str, object] = {
        "precision": numbers,
        "batch": case.batch,
        "steps": steps,
        "workers": workers,
        "slice": every,
    }
    sides = [ours(case, steps, between, details), ceiling(case, between)]
    sides.append(timm_script.side(case, settings, numbers, folder, workers, steps))
    sides += [peers.side(name, case, steps, numbers, folder, workers, device) for name in (peers.TIMM, peers.PLAIN)]
    found = compare("training", case.title, sides, settings.rounds)
    found.details = details
    return found
