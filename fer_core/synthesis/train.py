"""Training the GAN: on train faces alone, classes equally often, repeatable and resumable to the byte."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fer_core.errors import ConfigError, DataError
from fer_core.progress import Bar
from fer_core.sampling.cycle import cycled
from fer_core.synthesis.config import GanConfig
from fer_core.synthesis.diffaugment import diff_augment
from fer_core.synthesis.hinge import discriminator_loss, generator_loss
from fer_core.synthesis.networks import Discriminator, Generator
from fer_core.training.checkpoint import Checkpoint
from fer_core.training.device import derived_seed, pick_device
from fer_core.training.ema import Ema
from fer_core.training.faces import FaceSet

BETAS = (0.0, 0.9)  # of Adam, as in Miyato et al.


@dataclass(frozen=True)
class Synthesiser:
    """A trained GAN's generator, the moving average of its weights, and how it came about.

    Attributes:
        generator: in evaluation mode.
        history: one row per `every` steps: `step`, the mean `discriminator_loss`, `generator_loss`, `real_score`,
            `fake_score` and `real_share` (real pictures that score above 0: near 1 the discriminator has learnt them
            by heart; r_t of Karras et al., NeurIPS 2020, is 2 · share − 1), and `seconds`.
        trained: (K,) bool, classes that had a train picture; the others cannot be asked for.
    """

    generator: Generator
    history: list[dict[str, Any]]
    trained: Tensor


def train_gan(
    faces: FaceSet, classes: int, config: GanConfig, *, seed: int, work: Path, title: str = "synthesise"
) -> Synthesiser:
    """Train generator and discriminator in turn by hinge losses behind DiffAugment.

    Args:
        faces: of the train split and of no other: what the generator has seen, its pictures may show.
            Faces without a label are left out.
        classes: K; classes without a picture are allowed.
        config: the settings.
        seed: everything random is derived from it.
        work: folder of this run's checkpoint; a killed run goes on from there and ends with the same bytes.
        title: what the progress bar says.

    Raises:
        DataError: no face has a label, a label is K or more, or faces are not square.
        ConfigError: the faces' side suits no such network, or the losses are no longer finite.
    """
    if config.steps is None:
        raise ConfigError("Expected `gan.steps` to be a number when the GAN is trained; got None.")
    rows = (faces.labels >= 0).nonzero().flatten()
    _, height, width, channels = faces.pixels.shape
    if len(rows) == 0:
        raise DataError("Expected train faces with a label for the GAN; got none.")
    if int(faces.labels.max()) >= classes:
        raise DataError(f"Expected labels of the train faces below {classes}; got {int(faces.labels.max())}.")
    if height != width:
        raise DataError(f"Expected square faces for the GAN; got {height} x {width} px.")
    device = pick_device()
    torch.manual_seed(derived_seed(seed, 0))
    generator = Generator(classes, width, channels, width=config.width, noise=config.noise)
    discriminator = Discriminator(classes, width, channels, width=config.width)
    # channels last: a quarter less time on a CPU
    for network in (generator, discriminator):
        network.to(device).to(memory_format=torch.channels_last)
    labels = faces.labels[rows].cpu()
    learner = _Learner(generator, discriminator, config)
    _run(learner, faces.to(device), rows.cpu(), labels, seed, Checkpoint(work), title)
    trained = torch.bincount(labels, minlength=classes) > 0
    return Synthesiser(learner.average.model, learner.history, trained)


class _Learner:
    """Both networks, their optimisers and the average: what a step changes and a checkpoint holds."""

    def __init__(self, generator: Generator, discriminator: Discriminator, config: GanConfig) -> None:
        self.generator, self.discriminator, self.config = generator.train(), discriminator.train(), config
        self.average = Ema(generator, config.ema)
        self.optimizers = {
            "generator": torch.optim.Adam(generator.parameters(), config.lr_generator, BETAS, fused=True),
            "discriminator": torch.optim.Adam(discriminator.parameters(), config.lr_discriminator, BETAS, fused=True),
        }
        self.history: list[dict[str, Any]] = []

    def state_dict(self) -> dict[str, Any]:
        """Plain tensors and values."""
        return {
            "generator": self.generator.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "average": self.average.state_dict(),
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            "history": self.history,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self.generator.load_state_dict(state["generator"])
        self.discriminator.load_state_dict(state["discriminator"])
        self.average.load_state_dict(state["average"])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        self.history = state["history"]

    def step(self, number: int, real: Tensor, labels: Tensor, random: torch.Generator) -> dict[str, Tensor]:
        """Train both networks once on real pictures (B, C, H, W) in −1..1 and their classes; return the figures.

        Synthetic pictures get the classes of the real ones, so no score can be won by the class alone.
        """
        policy = self.config.diffaugment
        with torch.no_grad():
            fake = self.generator(self._noise(len(labels), random), labels)
        both = diff_augment(torch.cat([real, fake]), policy, random)
        real_scores, fake_scores = self.discriminator(both, labels.repeat(2)).chunk(2)
        loss = discriminator_loss(real_scores, fake_scores)
        _descend(self.optimizers["discriminator"], loss)

        self.discriminator.requires_grad_(False)  # its gradients would cost time and be thrown away
        fake = diff_augment(self.generator(self._noise(len(labels), random), labels), policy, random)
        goal = generator_loss(self.discriminator(fake, labels))
        _descend(self.optimizers["generator"], goal)
        self.discriminator.requires_grad_(True)
        self.average.update(number)
        return {
            "discriminator_loss": loss.detach(),
            "generator_loss": goal.detach(),
            "real_score": real_scores.detach().mean(),
            "fake_score": fake_scores.detach().mean(),
            "real_share": (real_scores.detach() > 0).float().mean(),
        }

    def _noise(self, count: int, random: torch.Generator) -> Tensor:
        return torch.randn(count, self.generator.noise, generator=random, device=random.device)


def _run(
    learner: _Learner, faces: FaceSet, rows: Tensor, labels: Tensor, seed: int, checkpoint: Checkpoint, title: str
) -> None:
    """Run the steps that are missing, `every` of them from one checkpoint to the next."""
    config = learner.config
    steps = config.steps or 0
    device = faces.device
    if state := checkpoint.load():
        learner.load_state_dict(state)
    done = learner.history[-1]["step"] if learner.history else 0
    with Bar(title, steps, "step") as bar:
        bar.skip(done)
        while done < steps:
            start = time.perf_counter()
            count = min(config.every, steps - done)
            random = torch.Generator(device).manual_seed(derived_seed(seed, 1, done))
            order = balanced_rows(labels, count * config.batch_size, derived_seed(seed, 2, done))
            totals: dict[str, Tensor] = {}
            for number, index in enumerate(rows[order].split(config.batch_size), start=done):
                chosen = index.to(device)
                real = faces.images(chosen).mul_(2).sub_(1)
                for name, value in learner.step(number, real, faces.labels[chosen], random).items():
                    totals[name] = totals.get(name, torch.zeros((), device=device)) + value
            figures = {name: float(value) / count for name, value in totals.items()}
            done += count
            if not all(torch.isfinite(value) for value in totals.values()):
                raise ConfigError(
                    f"The GAN's losses are no longer finite at step {done}: expected smaller `gan.lr_generator` "
                    f"and `gan.lr_discriminator`; got {config.lr_generator:g} and {config.lr_discriminator:g}."
                )
            learner.history.append({"step": done, **figures, "seconds": round(time.perf_counter() - start, 3)})
            checkpoint.save(learner.state_dict())
            bar.advance(count, **figures)


def balanced_rows(labels: Tensor, count: int, seed: int) -> Tensor:
    """Return `count` indices into labels (N,), (count,) int64: every class equally often, to one, and so its pictures.

    As the sampler `balanced`, whose epochs have N draws.
    """
    random = torch.Generator().manual_seed(seed)
    members = [labels.eq(label).nonzero().flatten() for label in labels.unique()]
    blocks = -(-count // len(members))
    pictures = torch.stack([own[cycled(len(own), blocks, random)] for own in members], dim=1)
    turns = torch.rand(pictures.shape, dtype=torch.float64, generator=random).argsort(dim=1)
    return pictures.gather(1, turns).flatten()[:count]


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


def parameters_of(*networks: nn.Module) -> int:
    """Return how many numbers the networks learn."""
    return sum(parameter.numel() for network in networks for parameter in network.parameters())
