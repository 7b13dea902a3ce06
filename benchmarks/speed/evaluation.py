"""Evaluation with views: ours, as many plain forward passes on one batch, and a DataLoader whose views PIL makes."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from benchmarks.speed.cases import Case, precision_name, recipe_of
from benchmarks.speed.made_up import faces
from benchmarks.speed.measure import CEILING, OURS, Comparison, Side, Turn, compare, repeat, steps_for, through, timed
from benchmarks.speed.peers import best_workers, casting, network, queue
from benchmarks.speed.settings import Settings
from benchmarks.speed.training import CHANNELS, build, pictures
from fer_core.training.runs import predict_with_views
from fer_core.tta import VIEWS, view_names

COUNT = 8  # views, as params.yaml has them
BATCH = 256  # views of a forward pass
LOADER = "PyTorch loop"


def looked(picture: Any, name: str) -> Any:
    """Return a PIL picture as the view `name` shows it, by torchvision."""
    view = VIEWS[name]
    if view.crop is not None:
        side = round(0.9 * picture.size[0])
        top, left = ((picture.size[0] - side) * (1 + place) // 2 for place in (view.crop[1], view.crop[0]))
        picture = functional.resized_crop(picture, top, left, side, side, [picture.size[1], picture.size[0]])
    if view.flip:
        picture = functional.horizontal_flip(picture)
    if view.angle or view.scale != 1:
        picture = functional.affine(
            picture, view.angle, [0, 0], view.scale, [0.0, 0.0], interpolation=v2.InterpolationMode.BILINEAR
        )
    return picture if view.brightness == 1 else functional.adjust_brightness(picture, view.brightness)


class Views:
    """A transform that makes a tensor (V, C, H, W) of all views of a PIL picture; workers can be given it."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)

    def __call__(self, picture: Any) -> Tensor:
        return torch.stack(
            [functional.to_dtype(functional.to_image(looked(picture, n)), scale=True) for n in self.names]
        )


def used_precision(model: nn.Module, run: Callable[[], object], device: torch.device) -> str:
    """Return in which precision `run` calls the model: what is compared with it takes the same."""
    seen: list[torch.dtype] = []

    def note(*_: object) -> None:
        on = torch.is_autocast_enabled(device.type)
        seen.append(torch.get_autocast_dtype(device.type) if on else torch.float32)

    hook = model.register_forward_pre_hook(note)
    run()
    hook.remove()
    return precision_name(seen[0])


def forward(model: nn.Module, case: Case, precision: str, device: torch.device) -> Callable[[], object]:
    """Return a forward pass in evaluation mode on one batch of noise."""
    images = torch.rand(BATCH, CHANNELS, case.size, case.size, device=device)
    images = images.contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def step() -> object:
        with casting(device, precision):
            return model.eval()(images)

    return step


def loader(case: Case, steps: int, precision: str, folder: Path, workers: int, device: torch.device) -> Side:
    """Return the side of a DataLoader that makes the views one picture at a time."""

    def make() -> Turn:
        model = network(case, device).eval()
        found = ImageFolder(str(folder / "train"), Views(view_names(COUNT)))
        batches = DataLoader(found, BATCH // COUNT, num_workers=workers, pin_memory=device.type == "cuda")

        @torch.inference_mode()
        def step(batch: Any) -> None:
            images = batch[0].to(device, non_blocking=True).flatten(0, 1).contiguous(memory_format=torch.channels_last)
            with casting(device, precision):
                logits = model(images)
            logits.float().log_softmax(1).unflatten(0, (-1, COUNT)).mean(1).cpu()

        return lambda: BATCH // COUNT * through(batches, step, queue(workers), steps, device)

    return Side(LOADER, make)


def measure(settings: Settings, cases: Sequence[Case]) -> Iterator[Comparison]:
    """Measure the first network."""
    return (measure_case(case, settings) for case in cases[:1])


def measure_case(case: Case, settings: Settings) -> Comparison:
    """Measure ours, the ceiling and the DataLoader in turn; rates are of faces, of eight views each."""
    device, names = settings.device, view_names(COUNT)
    model: Any = build(recipe_of(case), device)
    few = faces(BATCH // COUNT, case.size)
    precision = used_precision(model, lambda: predict_with_views(model, few, names), device)
    steps = steps_for(forward(model, case, precision, device), settings.seconds, device)
    folder, per = pictures(case, settings), BATCH // COUNT

    def ours() -> Turn:
        mine: Any = build(recipe_of(case), device)
        made = faces(steps * per, case.size)

        def work() -> int:
            predict_with_views(mine, made, names)
            return len(made)

        return timed(work, device)

    def plain(workers: int) -> Side:
        return loader(case, steps, precision, folder, workers, device)

    def ceiling() -> Turn:
        return timed(repeat(forward(build(recipe_of(case), device), case, precision, device), steps, per), device)

    workers = best_workers(settings, case.size, plain)
    sides = [Side(OURS, ours), Side(CEILING, ceiling), plain(workers)]
    found = compare("evaluation", f"{COUNT} views, {case.title}", sides, settings.rounds)
    found.details = {"precision": precision, "views": COUNT, "steps": steps, "workers": workers}
    return found
