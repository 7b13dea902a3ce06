"""All that one run trains: the model, its objective and optimiser, and what the recipe adds to a step."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fer_core.augment import Batch, augment
from fer_core.augment.guidance import region_activity, region_maps
from fer_core.augment.mixing import mix
from fer_core.augment.regions import known_landmarks
from fer_core.choices import AUTO
from fer_core.errors import ConfigError
from fer_core.labels import LabelSet
from fer_core.losses.prototypical import prototypical_loss
from fer_core.meta.maml import add_gradients, first_order_gradient
from fer_core.meta.meta_weight import MetaWeight, meta_set
from fer_core.models import FerModel, Output
from fer_core.models.heads import Prototype
from fer_core.recipe import Recipe
from fer_core.sampling.few_shot import Episode, episode, few_shot_classes
from fer_core.targets import emotion_targets
from fer_core.training.device import Precision, derived_seed
from fer_core.training.distributed import world
from fer_core.training.ema import Ema
from fer_core.training.faces import FaceSet
from fer_core.training.memory import MicroBatch
from fer_core.training.objective import Labels, Objective
from fer_core.training.optim import build_optimizer
from fer_core.training.predict import pooled_features, predict
from fer_core.training.sam import Sam, frozen_statistics
from fer_core.training.step import Sample, take_step
from fer_core.training.tally import Found


class Scores(nn.Module):
    """A model reduced to what its emotion loss is computed on: pictures (B, C, H, W) to (B, C)."""

    def __init__(self, model: FerModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Return the scores."""
        return self.model(images).scores


class Learner:
    """One run's model and everything that changes with it.

    Attributes:
        model: what is trained.
        network: the same, compiled where the recipe asks for it.
        trained: everything that the optimiser moves.
        ema: the average of the weights, where the recipe keeps one.
        precision: of the network's passes.
        micro_batch: how many pictures go through the network at once.
    """

    def __init__(self, recipe: Recipe, model: FerModel, faces: FaceSet, labels: LabelSet) -> None:
        """Prepare training on `faces`, which lie on the model's device.

        Raises:
            ConfigError: the recipe does not suit these faces (no class below `few_shot_below`, no intensities).
        """
        self.recipe, self.model, self.faces = recipe, model, faces
        device = faces.device
        votes = faces.votes if faces.votes.shape[1] else None
        self.targets = emotion_targets(recipe.target, faces.labels, votes, labels.classes, labels.votes)
        self.classes = functional.one_hot(faces.labels, len(labels.classes)).float()
        if recipe.au_intensity > 0 and bool(faces.intensities.isnan().all()):
            raise ConfigError("`au_intensity` above 0 needs AU intensities; no train face has any.")
        if recipe.is_guided and (faces.weak_aus or bool(region_activity(faces.aus, faces.au_names).isnan().all())):
            raise ConfigError(
                "`attention: au_guided` needs annotated AUs of known place, not weak ones; no train face has any."
            )
        self.objective = Objective(recipe, faces, self.targets).to(device)
        self.optimizer = build_optimizer(
            recipe.optimizer, model, recipe.lr, recipe.weight_decay, layer_decay=recipe.layer_decay
        )
        if weights := list(self.objective.parameters()):
            self.optimizer.add_param_group({"params": weights, "weight_decay": 0.0, "lr_scale": 1.0})
        self.trained = [*model.parameters(), *weights]  # to look for them takes as long as two of a small step's layers
        self.ema = Ema(model, recipe.ema) if recipe.ema > 0 else None
        self.sam = Sam(self.trained, recipe.sam) if recipe.sam > 0 else None
        self.precision = Precision(model, device, recipe.precision)
        self.network: Callable[[Tensor], Output] = torch.compile(model) if recipe.compile else model
        advice = "set `batch_size` lower, `grad_checkpointing: true`, or a smaller `backbone` or size"
        self.micro_batch = MicroBatch(MicroBatch.most(recipe.micro_batch), recipe.batch_size, advice)
        self._refuse_parts()
        self._prepare_rare(faces)
        self.refresh()

    def _refuse_parts(self) -> None:
        key = self.recipe.needs_whole_batch
        if key is None:
            return
        if world() > 1 or self.micro_batch.size < self.recipe.batch_size:
            raise ConfigError(
                f"`{key}` compares all pictures of a batch with each other: expected one process and `micro_batch` "
                f"of {AUTO} or at least {self.recipe.batch_size}; got {world()} and {self.recipe.micro_batch}."
            )
        self.micro_batch.least = self.recipe.batch_size

    def _prepare_rare(self, faces: FaceSet) -> None:
        recipe, labels = self.recipe, faces.labels.cpu()
        self.cpu_labels = labels
        # synthetic faces stand last: episodes and the meta set are of real ones, which the rows before are
        self.real_labels = labels = labels[: len(labels) - faces.synthetic]
        self.rare = few_shot_classes(labels, recipe.few_shot_below) if recipe.few_shot_below else []
        if recipe.few_shot_below and not self.rare:
            raise ConfigError(
                f"Expected a class with 2 to {recipe.few_shot_below - 1} train pictures for `few_shot_below: "
                f"{recipe.few_shot_below}`; the smallest has {int(labels.bincount().min())}."
            )
        self.meta_weight: MetaWeight | None = None
        if recipe.meta == "meta_weight":
            torch.manual_seed(derived_seed(recipe.seed, 5))
            self.meta_weight = MetaWeight(faces.device, lr=recipe.meta_lr)
            draw = torch.Generator().manual_seed(derived_seed(recipe.seed, 6))
            self.meta_index = meta_set(labels, recipe.meta_per_class, draw)

    @property
    def evaluated(self) -> FerModel:
        """The model that is validated and kept."""
        return self.model if self.ema is None else self.ema.model

    def refresh(self) -> None:
        """Bring the class means of a prototype head up to date with the features of the real faces."""
        models = [self.model] if self.ema is None else [self.model, self.ema.model]
        for model in models:
            if isinstance(model.head, Prototype):
                with self.precision.autocast():
                    features = pooled_features(model, self.faces)
                real = len(self.real_labels)
                model.head.refresh(features[:real], self.targets[:real])

    def losses(self) -> Tensor:
        """Return every train face's negative log-likelihood (N,) under the model as it stands, without augmentation."""
        with self.precision.autocast():
            logs, _ = predict(self.model, self.faces)
        self.model.train()
        return -logs.gather(1, self.cpu_labels[:, None])[:, 0]

    def sample(self, index: Tensor, generator: torch.Generator, images: Tensor | None = None) -> Sample:
        """Return the faces `index` augmented and mixed; `images`, where a caller has them, are their pictures."""
        faces, recipe = self.faces, self.recipe
        batch = self._augmented(index, generator, images)
        count, units = self.targets.shape[1], batch.aus.shape[1]
        targets = torch.cat([self.targets[index], self.classes[index]], dim=1)
        assert batch.intensities is not None
        aus = torch.cat([batch.aus, batch.intensities], dim=1)
        images = self._with_regions(batch)
        images, targets, aus = mix(
            recipe.mix,
            images,
            targets,
            aus,
            alpha=recipe.mix_alpha,
            generator=generator,
            landmarks=batch.landmarks,
            au_names=faces.au_names * 2,  # of labels and intensities
        )
        images, regions = _without_regions(images, channels=batch.images.shape[1])
        images = images.contiguous(memory_format=torch.channels_last)  # a warp leaves them as planes
        labels = Labels(targets[:, :count], aus[:, :units], aus[:, units:], regions)
        return Sample(images, labels, targets[:, count:])

    def _with_regions(self, batch: Batch) -> Tensor:
        """Lay the maps that the attention is to learn behind the pictures, so that both are mixed place by place."""
        if not self.recipe.is_guided:
            return batch.images
        size = (batch.images.shape[-2], batch.images.shape[-1])
        maps = region_maps(region_activity(batch.aus, batch.au_names), batch.landmarks, size)
        return torch.cat([batch.images, maps], dim=1)

    def _augmented(self, index: Tensor, generator: torch.Generator, images: Tensor | None = None) -> Batch:
        faces = self.faces
        aus, landmarks = faces.aus[index], faces.landmarks[index]
        images = faces.images(index) if images is None else images
        if (
            self.recipe.is_guided or self.recipe.mix == "face_cutmix"
        ):  # before it moves, so that a template's points do too
            landmarks = known_landmarks(landmarks, (images.shape[-2], images.shape[-1]))
        batch = Batch(images, landmarks, aus, faces.au_names, faces.intensities[index])
        if not faces.weak_aus:
            return augment(self.recipe.augment, batch, generator)
        # face-aware augmentation paints where no AU is active: the place that weak AUs leave free would name the class
        hidden = replace(batch, aus=torch.full_like(aus, torch.nan))
        return replace(augment(self.recipe.augment, hidden, generator), aus=aus)

    def step(self, number: int, sample: Sample, generator: torch.Generator, episodes: torch.Generator) -> Found:
        """Take one step of the optimiser.

        Args:
            number: of the step, counted from 0 over all epochs.
            sample: the batch.
            generator: on the device, for the augmentation of further pictures.
            episodes: on the CPU, for the choice of further pictures.

        Returns:
            What was found in this process's share of the batch.
        """
        return take_step(self, number, sample, generator, episodes)

    def scores(self, output: Any, target: Tensor) -> Tensor:
        """Return what the emotion loss is computed on, (B, C), given the targets (B, C)."""
        head = self.model.head
        if isinstance(head, Prototype):
            return head.training_logits(output.features, target)
        return output.scores

    def episode(self, generator: torch.Generator) -> Episode:
        """Draw an episode of a few real faces of a few classes."""
        recipe = self.recipe
        rare = self.rare or self.real_labels.unique().tolist()
        return episode(
            self.real_labels,
            rare,
            ways=recipe.episode_ways,
            shots=recipe.episode_shots,
            queries=recipe.episode_queries,
            generator=generator,
        )

    def augmented_episode(self, task: Episode, generator: torch.Generator) -> Tensor:
        """Return the pictures of an episode, support before queries."""
        index = torch.cat([task.support, task.query]).to(self.faces.device)
        return self._augmented(index, generator).images

    def few_shot_loss(self, task: Episode, images: Tensor) -> Tensor:
        """Return the scalar loss of an episode's queries, given its pictures."""
        # the batch norms' statistics stay those of the training batches, whose classes are not so even
        with frozen_statistics(self.model), self.precision.autocast():
            features = self.model.features(images).float()
        shown = len(task.support)
        device = images.device
        return prototypical_loss(
            features[:shown], task.support_class.to(device), features[shown:], task.query_class.to(device)
        )

    def sample_weights(
        self, sample: Sample, features: Tensor, generator: torch.Generator, episodes: torch.Generator
    ) -> Tensor:
        """Return the weight of every picture's loss, (B,), that lowers the loss of the balanced set."""
        assert self.meta_weight is not None
        count = min(len(self.meta_index), len(sample.images))
        chosen = self.meta_index[torch.randperm(len(self.meta_index), generator=episodes)[:count]]
        index = chosen.to(sample.images.device)
        images, target = self._augmented(index, generator).images, self.targets[index]
        loss, step = self.objective.emotion_loss.per_sample, self.recipe.meta_step
        if self.recipe.meta_scope == "all":
            module: nn.Module = Scores(self.model)
            return self.meta_weight.weigh(module, sample.images, sample.labels.target, images, target, loss, step)
        with torch.no_grad(), frozen_statistics(self.model), self.precision.autocast():
            meta_features = self.model.features(images)
        return self.meta_weight.weigh(
            self.model.head, features.float(), sample.labels.target, meta_features.float(), target, loss, step
        )

    def add_maml(self, task: Episode, generator: torch.Generator) -> None:
        """Add the meta-gradient of an episode to the gradients of the batch."""
        recipe = self.recipe
        criterion = self.objective.emotion_loss

        def loss_of(model: nn.Module, index: Tensor) -> Tensor:
            images = self._augmented(index, generator).images
            with self.precision.autocast():
                scores = model(images).scores
            return criterion(scores.float(), self.targets[index])

        device = self.faces.device
        gradients = first_order_gradient(
            self.model,
            loss_of,
            task.support.to(device),
            task.query.to(device),
            inner_lr=recipe.maml_lr,
            inner_steps=recipe.maml_steps,
        )
        add_gradients(self.model.parameters(), gradients, recipe.maml_weight)

    def _parts(self) -> Iterable[tuple[str, Any]]:
        parts = {
            "model": self.model,
            "objective": self.objective,
            "optimizer": self.optimizer,
            "precision": self.precision,
            "ema": self.ema,
            "meta_weight": self.meta_weight,
        }
        return ((name, part) for name, part in parts.items() if part is not None)

    def state_dict(self) -> dict[str, Any]:
        """Return all that a resumed run needs, tensors and plain values."""
        return {name: part.state_dict() for name, part in self._parts()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a state again."""
        for name, part in self._parts():
            part.load_state_dict(state[name])


def _without_regions(images: Tensor, channels: int) -> tuple[Tensor, Tensor | None]:
    """Part pictures from the maps behind them, if there are any."""
    if images.shape[1] == channels:
        return images, None
    return images[:, :channels], images[:, channels:]
