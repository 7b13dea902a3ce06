"""Train some recipes and write what came out: run by test_distributed.py, under torchrun and without."""

import sys
from pathlib import Path
from typing import Any

import torch
from training_sets import LABELS, faces, recipe

from fer_core.training.distributed import is_first, process_group
from fer_core.training.loop import train
from fer_core.training.runs import save_run

SGD = {"optimizer": "sgd", "lr": 0.05, "epochs": 2, "batch_size": 12}
VIT = SGD | {"timm": "test_vit", "model_args": {"patch_size": 8}}
RECIPES: dict[str, dict[str, Any]] = {
    # batch norms, everything that mixes pictures or counts labels
    "resnet": SGD | {"augment": "generic", "mix": "mixup", "mix_alpha": 0.3, "au_weight": 0.5, "ema": 0.9},
    "cutmix": VIT | {"augment": "face_aware", "mix": "face_cutmix", "au_weight": "uncertainty", "sampler": "weighted"},
    "pieces": VIT | {"micro_batch": 4, "few_shot_below": 100, "sam": 0.05, "clip_grad": 1.0},
    "curriculum": VIT | {"sampler": "curriculum", "head": "cosine", "head_scale": 8.0},
    "maml": SGD | {"timm": "test_efficientnet", "meta": "maml"},
}


def main(out: Path, names: list[str]) -> None:
    # 25 train faces: the last batch has one picture, fewer than processes; 17 for validation: shares of 8 and 9
    data = {"train": faces(25, annotated=0.5), "validation": faces(17, seed=1)}
    data["train"].intensities[:] = torch.where(data["train"].aus.isnan(), torch.nan, 3.0)
    with process_group():
        for name in names:
            done = train(recipe(**RECIPES[name]), data, LABELS, None, out / name / "work", name)
            number = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
            torch.save({"history": done.history, "best": done.best_epoch}, out / f"{name}-{number}.pt")
            if is_first():
                save_run(done.model, out / f"{name}.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
