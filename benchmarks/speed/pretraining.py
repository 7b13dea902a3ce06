"""Self-supervised pretraining: our epoch on faces in memory, its ceiling, and lightly's own modules and transforms."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import yaml

from benchmarks.speed import lightly_peer
from benchmarks.speed.cases import PARAMS, Case, precision_name
from benchmarks.speed.made_up import faces
from benchmarks.speed.measure import CEILING, OURS, Comparison, Side, Turn, compare, repeat, steps_for, timed
from benchmarks.speed.peers import best_workers
from benchmarks.speed.settings import Settings
from benchmarks.speed.training import CHANNELS, pictures
from fer_core.choices import SSL_KEYS, SSL_TEMPERATURES
from fer_core.config import load_params
from fer_core.models import Encoder
from fer_core.pretraining import build_self_supervised
from fer_core.training.device import Precision, precision_of
from fer_core.training.optim import adamw
from fer_core.training.pretrain import WEIGHT_DECAY, new_encoder, pretrain_self_supervised

METHODS = ("simclr", "byol")
LEAST = 8  # batches of an epoch that is measured: what an epoch does once weighs as little as in a real one


def plan(method: str) -> dict[str, Any]:
    """Return params.yaml's `ssl` for a method and one epoch."""
    given = load_params(yaml.safe_load(PARAMS.read_text())).choices.ssl
    return asdict(given) | {"method": method, "epochs": 1, "temperature": SSL_TEMPERATURES.get(method)}


def encoder_of(case: Case) -> Encoder:
    """Return the encoder as the stage `pretrain` makes it."""
    return new_encoder({"timm": case.timm, "model_args": case.args, "size": case.size}, CHANNELS, 0)


def ceiling_step(case: Case, ssl: Mapping[str, Any], device: torch.device) -> Callable[[], None]:
    """Return one step of our method on two views that never change."""
    encoder = encoder_of(case)
    settings = {key: ssl[key] for key in SSL_KEYS[ssl["method"]]}
    learner: Any = build_self_supervised(ssl["method"], encoder, encoder.num_features, **settings).to(device).train()
    optimizer, numbers = adamw(learner, ssl["lr"], WEIGHT_DECAY), Precision(learner, device, "auto")
    shape = (ssl["batch_size"], CHANNELS, case.size, case.size)
    views = [torch.rand(shape, device=device).contiguous(memory_format=torch.channels_last) for _ in range(2)]

    def step() -> None:
        with numbers.autocast():
            loss = learner.loss(*views)
        optimizer.zero_grad(set_to_none=True)
        numbers.backward(loss)
        numbers.step(optimizer, [])
        learner.update_target(0, 1)

    return step


def ours(case: Case, ssl: Mapping[str, Any], steps: int, device: torch.device) -> Side:
    """Return the side of our pretraining: whole epochs of `steps` batches, network and checkpoint included."""

    def make() -> Turn:
        made = faces(steps * ssl["batch_size"], case.size).to(device)
        encoder = encoder_of(case).to(device)

        def work() -> int:
            with tempfile.TemporaryDirectory() as folder:
                pretrain_self_supervised(
                    encoder, made, ssl, precision="auto", seed=0, work=Path(folder), title="benchmark"
                )
            return len(made)

        return timed(work, device)

    return Side(OURS, make)


def measure(settings: Settings, cases: Sequence[Case]) -> Iterator[Comparison]:
    """Measure SimCLR and BYOL with the first network."""
    return (measure_method(method, cases[0], settings) for method in METHODS if cases)


def title(method: str, case: Case) -> str:
    """Return what the table calls it."""
    return f"{method}, {case.title}"


def measure_method(method: str, case: Case, settings: Settings) -> Comparison:
    """Measure ours, the ceiling and lightly in turn."""
    device, ssl = settings.device, plan(method)
    batch = ssl["batch_size"]
    steps = steps_for(ceiling_step(case, ssl, device), settings.seconds, device, LEAST if settings.seconds > 0.5 else 2)
    numbers = precision_name(precision_of(encoder_of(case), device, "auto"))
    folder = pictures(case, settings)

    def lightly(workers: int) -> Side:
        return lightly_peer.side(case, ssl, steps, numbers, folder, workers, device)

    workers = best_workers(settings, case.size, lightly)
    sides = [
        ours(case, ssl, steps, device),
        Side(CEILING, lambda: timed(repeat(ceiling_step(case, ssl, device), steps, batch), device)),
        lightly(workers),
    ]
    found = compare("pretraining", title(method, case), sides, settings.rounds)
    found.details = {"precision": numbers, "batch": batch, "steps": steps, "workers": workers}
    return found
