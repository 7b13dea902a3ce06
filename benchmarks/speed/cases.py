"""What is trained: networks, sizes, batches, and the bounds that are to be met."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import yaml

from fer_core.config import ModelConfig, load_params
from fer_core.recipe import Recipe, merged, resolve

PARAMS = Path(__file__).parents[2] / "params.yaml"
EPOCHS = 1000  # more than are ever run: the schedule then always has steps left
MULTITASK = {"augment": "generic", "mix": "mixup", "ema": 0.99, "au_weight": 0.5}


@dataclass(frozen=True)
class Case:
    """One network at one size.

    Attributes:
        timm: its name.
        size: side of the pictures in px.
        args: further arguments of the network.
        batch: pictures of a step.
        of_ceiling: the share of the ceiling that training has to reach; None: not judged.
        of_timm: how many times as fast as timm's train.py it has to be; None: not judged.
    """

    timm: str
    size: int
    args: Mapping[str, Any] = field(default_factory=dict)
    batch: int = 64
    of_ceiling: float | None = None
    of_timm: float | None = None

    @property
    def title(self) -> str:
        """What the table calls it."""
        return f"{self.timm} {self.size} px"


CPU_CASES = (
    Case("test_resnet", 64, of_ceiling=0.88, of_timm=1.6),
    Case("test_vit", 64, {"patch_size": 16}, of_ceiling=0.88),
    Case("test_efficientnet", 64, of_ceiling=0.88),
    Case("resnet18", 64, of_ceiling=0.95, of_timm=1.2),
)
GPU_CASES = (
    Case("resnet50", 224, of_ceiling=0.90),
    Case("vit_base_patch16_224", 224, of_ceiling=0.90),
    Case("efficientnet_b0", 224, of_ceiling=0.90),
    Case("resnet18", 112, of_timm=2.0),
)
OF_LIGHTLY = 1.5  # how many times as fast as lightly pretraining has to be


def recipe_of(case: Case, **changes: Any) -> Recipe:
    """Return params.yaml's baseline with generic augmentation, mixup, EMA and AU head, for a network and its size."""
    params = load_params(yaml.safe_load(PARAMS.read_text()))
    profile = params.profiles["demo"]
    train = replace(profile.train, epochs=EPOCHS, batch_size=case.batch)
    model = ModelConfig(timm=case.timm, args=dict(case.args))
    profile = replace(profile, size=case.size, models={"bench": model}, train=train)
    choices = merged(asdict(params.choices), MULTITASK | {"backbone": "bench"} | changes)
    return resolve(choices, profile, params.seed)


def precision_name(dtype: torch.dtype) -> str:
    """Return fp32, bf16 or fp16."""
    return {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}[dtype]
