"""All that the training of one clip model changes: the model, its loss, its optimiser, and how it takes a step."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fer_core.recipe import Recipe
from fer_core.temporal.augment import augment_clips
from fer_core.temporal.build import parameter_groups
from fer_core.temporal.clips import ClipSet
from fer_core.temporal.predict import predict_clips
from fer_core.training.device import Precision
from fer_core.training.ema import Ema
from fer_core.training.faces import FaceSet
from fer_core.training.memory import MicroBatch
from fer_core.training.objective import Objective
from fer_core.training.optim import build_optimizer
from fer_core.training.recompute import backward
from fer_core.training.sam import Sam, frozen_statistics


class ClipLearner:
    """One run's clip model and everything that changes with it.

    Attributes:
        model: what is trained.
        network: the same, compiled where the recipe asks for it.
        micro_batch: how many clips go through the network at once; the recipe says so in frames.
        ema: the average of its weights, where the recipe keeps one.
        objective: the recipe's emotion loss, of which `epoch` decides where `drw` defers class weights.
    """

    def __init__(
        self, recipe: Recipe, model: nn.Module, clips: ClipSet, classes: int, encoder_scale: float = 1.0
    ) -> None:
        """Prepare training on `clips`, which lie on the model's device.

        Raises:
            ConfigError: a setting of the recipe or `encoder_scale`, the encoder's share of the learning rate, is out
                of its range.
        """
        self.recipe, self.model, self.clips = recipe, model, clips
        self.cpu_labels = clips.labels.cpu()
        self.frozen = encoder_scale == 0 and isinstance(getattr(model, "encoder", None), nn.Module)
        self.targets = functional.one_hot(clips.labels, classes).float()
        # a clip's head is linear, so LDAM's margins are not scaled; and clips have no AUs
        plain = replace(recipe, head="linear", au_weight=0.0, au_intensity=0.0)
        self.objective = Objective(plain, _without_aus(clips), self.targets).to(clips.rows.device)
        groups = parameter_groups(model, recipe, encoder_scale)
        self.optimizer = build_optimizer(recipe.optimizer, groups, recipe.lr, recipe.weight_decay)
        self.ema = Ema(model, recipe.ema) if recipe.ema > 0 else None
        self.sam = Sam(model.parameters(), recipe.sam) if recipe.sam > 0 else None
        self.precision = Precision(model, clips.rows.device, recipe.precision)
        self.network = torch.compile(model) if recipe.compile else model
        self.micro_batch = MicroBatch(
            max(1, MicroBatch.most(recipe.micro_batch) // clips.rows.shape[1]),
            self.batch_size,
            "set `batch_size` lower, `grad_checkpointing: true`, or a smaller `backbone`, `temporal_hidden` or size",
            things="clips",
        )

    @property
    def evaluated(self) -> nn.Module:
        """The model that is validated and kept."""
        return self.model if self.ema is None else self.ema.model

    @property
    def batch_size(self) -> int:
        """Clips of a batch: as many of the longest as have the recipe's `batch_size` in frames, and no less than two.

        Clips longer than half of `batch_size` make larger batches than it says: batch norm may have no variance in a
        batch of one.
        """
        return max(2, self.recipe.batch_size // self.clips.rows.shape[1])

    def train_mode(self) -> None:
        """Set the model to training mode, but for an encoder that does not learn: its statistics stay as well."""
        self.model.train()
        if self.frozen:
            self.model.encoder.eval()  # type: ignore[union-attr]

    def losses(self) -> Tensor:
        """Return every train clip's negative log-likelihood (N,) under the model as it stands, for the curriculum."""
        with self.precision.autocast():
            logs = predict_clips(self.model, self.clips)
        self.train_mode()
        return -logs.gather(1, self.cpu_labels[:, None])[:, 0]

    def step(self, number: int, index: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Take one step of the optimiser.

        Args:
            number: of the step, counted from 0 over all epochs.
            index: the clips (B,).
            generator: on the device, for the augmentation.

        Returns:
            The loss and the logits (B, K), detached.
        """
        images, mask = self.clips.clips(index)
        images = augment_clips(self.recipe.augment, images, mask, generator)
        loss, logits = self._gradients(images, mask, index)
        if self.sam is not None:
            self.sam.climb()
            with frozen_statistics(self.model):
                self._gradients(images, mask, index)
            self.sam.descend()
        self.precision.step(self.optimizer, list(self.model.parameters()), self.recipe.clip_grad)
        if self.ema is not None:
            self.ema.update(number)
        return loss, logits

    def _gradients(self, images: Tensor, mask: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """Set the parameters' gradients to those of the batch; return its loss and logits, detached."""

        def attempt() -> tuple[Tensor, Tensor]:
            self.optimizer.zero_grad(set_to_none=True)
            losses, logits = [], []
            for rows in self.micro_batch.parts(len(index)):
                with self.precision.autocast():
                    logits.append(self.network(images[rows], mask[rows]))
                target = self.targets[index[rows]]
                losses.append(self.objective.emotion_loss(logits[-1].float(), target) * (len(target) / len(index)))
                backward(self.model, self.precision, losses[-1], recomputed=self.recipe.grad_checkpointing)
            return torch.stack(losses).sum().detach(), torch.cat(logits).detach()

        return self.micro_batch.fit(len(index), attempt, lambda: self.optimizer.zero_grad(set_to_none=True))

    def state_dict(self) -> dict[str, Any]:
        """Return all that a resumed run needs, tensors and plain values."""
        parts: dict[str, Any] = {
            "model": self.model,
            "optimizer": self.optimizer,
            "precision": self.precision,
            "ema": self.ema,
        }
        return {name: part.state_dict() for name, part in parts.items() if part is not None}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a state again."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.precision.load_state_dict(state["precision"])
        if self.ema is not None:
            self.ema.load_state_dict(state["ema"])


def _without_aus(clips: ClipSet) -> FaceSet:
    """Return what the objective asks of its train faces, one a clip."""
    count, device = len(clips), clips.rows.device
    return FaceSet(
        ids=clips.ids,
        pixels=clips.pixels[:0],
        labels=clips.labels,
        aus=torch.empty(count, 0, device=device),
        landmarks=torch.full((count, 5, 2), torch.nan, device=device),
        subjects=clips.subjects,
        votes=torch.empty(count, 0, device=device),
        intensities=torch.empty(count, 0, device=device),
        au_names=(),
    )
