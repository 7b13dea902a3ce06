"""SimCLR and BYOL as lightly's own examples do them: its transforms on PIL pictures, its heads and losses.

The network, batch, precision, layout, optimiser and the widths of the heads are ours; a DataLoader reads the files.
"""

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder

from benchmarks.speed.cases import Case
from benchmarks.speed.measure import Missing, Side, Turn, through
from benchmarks.speed.peers import arguments, casting, queue
from fer_core.training.pretrain import WEIGHT_DECAY

LIGHTLY = "lightly"


class _SimClr(nn.Module):
    def __init__(self, backbone: nn.Module, ssl: Mapping[str, Any]) -> None:
        from lightly.loss import NTXentLoss  # noqa: PLC0415  a package for developing
        from lightly.models.modules import SimCLRProjectionHead  # noqa: PLC0415

        super().__init__()
        self.backbone = backbone
        self.projector = SimCLRProjectionHead(backbone.num_features, ssl["hidden"], ssl["projection"])
        self.criterion = NTXentLoss(temperature=ssl["temperature"])

    def loss(self, views: list[Tensor]) -> Tensor:
        first, second = (self.projector(self.backbone(view)) for view in views)
        loss: Tensor = self.criterion(first, second)
        return loss

    def update(self) -> None:
        """Nothing follows its weights."""


class _Byol(nn.Module):
    def __init__(self, backbone: nn.Module, ssl: Mapping[str, Any]) -> None:
        from lightly.loss import NegativeCosineSimilarity  # noqa: PLC0415
        from lightly.models.modules import BYOLPredictionHead, BYOLProjectionHead  # noqa: PLC0415
        from lightly.models.utils import deactivate_requires_grad, update_momentum  # noqa: PLC0415

        super().__init__()
        hidden, width = ssl["hidden"], ssl["projection"]
        self.backbone = backbone
        self.projector = BYOLProjectionHead(backbone.num_features, hidden, width)
        self.predictor = BYOLPredictionHead(width, hidden, width)
        self.target = copy.deepcopy(nn.Sequential(self.backbone, self.projector))
        deactivate_requires_grad(self.target)
        self.criterion, self.momentum, self.follow = NegativeCosineSimilarity(), ssl["momentum"], update_momentum

    def loss(self, views: list[Tensor]) -> Tensor:
        guesses = [self.predictor(self.projector(self.backbone(view))) for view in views]
        with torch.no_grad():
            targets = [self.target(view) for view in views]
        loss: Tensor = 0.5 * (self.criterion(guesses[0], targets[1]) + self.criterion(guesses[1], targets[0]))
        return loss

    def update(self) -> None:
        self.follow(nn.Sequential(self.backbone, self.projector), self.target, m=self.momentum)


def look(method: str, size: int) -> Callable[[Any], Any]:
    """Return lightly's transform of a PIL picture into two views, as it comes, for our size."""
    from lightly.transforms import SimCLRTransform  # noqa: PLC0415
    from lightly.transforms.byol_transform import (  # noqa: PLC0415
        BYOLTransform,
        BYOLView1Transform,
        BYOLView2Transform,
    )

    if method == "simclr":
        simclr: Callable[[Any], Any] = SimCLRTransform(input_size=size)
        return simclr
    byol: Callable[[Any], Any] = BYOLTransform(BYOLView1Transform(input_size=size), BYOLView2Transform(input_size=size))
    return byol


def side(
    case: Case, ssl: Mapping[str, Any], steps: int, precision: str, folder: Path, workers: int, device: torch.device
) -> Side:
    """Return the side of lightly's modules."""

    def make() -> Turn:
        try:
            pictures = ImageFolder(str(folder / "train"), look(ssl["method"], case.size))
            backbone = timm.create_model(case.timm, num_classes=0, **arguments(case))
            method: Any = {"simclr": _SimClr, "byol": _Byol}[ssl["method"]](backbone, ssl)
        except ImportError as error:
            raise Missing(f"needs the package {error.name}") from error
        method = method.to(device, memory_format=torch.channels_last).train()
        loader = DataLoader(
            pictures,
            ssl["batch_size"],
            shuffle=True,
            drop_last=True,
            num_workers=workers,
            pin_memory=device.type == "cuda",
        )
        optimizer = torch.optim.AdamW(method.parameters(), lr=ssl["lr"], weight_decay=WEIGHT_DECAY)
        scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
        running = [0.0]

        def step(batch: Any) -> None:
            both = [view.to(device, non_blocking=True, memory_format=torch.channels_last) for view in batch[0]]
            optimizer.zero_grad()
            with casting(device, precision):
                loss = method.loss(both)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            method.update()
            running[0] += loss.item()

        return lambda: ssl["batch_size"] * through(loader, step, queue(workers), steps, device)

    return Side(LIGHTLY, make)
