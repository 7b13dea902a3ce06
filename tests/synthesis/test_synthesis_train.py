"""The GAN learns places and tones of two classes, rare one too; it resumes to the byte, and what it refuses."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from blobs import CENTRES, Patches, as_set, blobs, config
from torch import Tensor

from fer_core.errors import ConfigError, DataError
from fer_core.progress import Bar
from fer_core.synthesis import train as module
from fer_core.synthesis.config import GanConfig
from fer_core.synthesis.features import features_of
from fer_core.synthesis.frechet import frechet_distance
from fer_core.synthesis.networks import Generator
from fer_core.synthesis.sample import synthesise
from fer_core.synthesis.train import Synthesiser, balanced_rows, train_gan

SHORT: dict[str, Any] = {"steps": 5, "every": 2, "batch_size": 4}


def short(faces: Any, folder: Path, classes: int = 2, seed: int = 0, **changes: Any) -> Synthesiser:
    return train_gan(faces, classes, config(**(SHORT | changes)), seed=seed, work=folder)


def weights(synthesiser: Synthesiser) -> bytes:
    return b"".join(value.contiguous().numpy().tobytes() for value in synthesiser.generator.state_dict().values())


def means(pixels: Tensor, labels: Tensor) -> Tensor:
    """(2 classes, 2 places): the mean tone at either blob's centre."""
    places = [pixels.float()[:, int(row), int(column), 0] for row, column in CENTRES]
    return torch.stack([torch.stack([place[labels == k].mean() for place in places]) for k in range(2)])


def test_it_learns_what_each_class_looks_like(learnt: Synthesiser, tmp_path: Path) -> None:
    real = blobs([60, 60], 1)
    made, labels = synthesise(learnt, torch.tensor([60, 60]), 0)
    truth, got = means(real.pixels, real.labels), means(made, labels)
    assert (got - truth).abs().max() < 35, "right tone at the right place, of the rare class too"
    assert got[0, 0] > got[0, 1] + 40 and got[1, 1] < got[1, 0] - 40
    untrained = short(blobs([80, 16]), tmp_path, steps=1)
    first, _ = synthesise(untrained, torch.tensor([60, 60]), 0)
    reference, before, after = (features_of(Patches(), item) for item in (real.pixels, first, made))
    assert frechet_distance(reference, after) < 0.2 * frechet_distance(reference, before)
    assert made[labels == 0].float().std(dim=0).mean() > 2, "and not one picture again and again"


def test_history(learnt: Synthesiser) -> None:
    rows = learnt.history
    assert [row["step"] for row in rows] == [80, 160]
    figures = {"discriminator_loss", "generator_loss", "real_score", "fake_score", "real_share"}
    assert set(rows[0]) == {"step", "seconds", *figures}
    assert all(0 <= row["real_share"] <= 1 and row["discriminator_loss"] > 0 for row in rows)
    assert not learnt.generator.training and learnt.trained.tolist() == [True, True]


def test_killed_between_checkpoints_and_resumed_gives_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces = blobs([6, 2])
    whole = short(faces, tmp_path / "whole")
    plain, steps = module._Learner.step, []

    def dies(self: Any, number: int, *rest: Any) -> Any:
        if number == 3:  # the second of two steps after the first checkpoint
            raise KeyboardInterrupt
        return plain(self, number, *rest)

    def counts(self: Any, number: int, *rest: Any) -> Any:
        steps.append(number)
        return plain(self, number, *rest)

    monkeypatch.setattr(module._Learner, "step", dies)
    with pytest.raises(KeyboardInterrupt):
        short(faces, tmp_path / "killed")
    monkeypatch.setattr(module._Learner, "step", counts)
    torch.rand(7)  # another state of the global generator
    resumed = short(faces, tmp_path / "killed")
    assert steps == [2, 3, 4], "only what was missing"
    assert weights(resumed) == weights(whole)
    strip = [{key: value for key, value in row.items() if key != "seconds"} for row in resumed.history]
    assert strip == [{key: value for key, value in row.items() if key != "seconds"} for row in whole.history]
    again = short(faces, tmp_path / "killed")
    assert steps == [2, 3, 4] and weights(again) == weights(whole), "a finished run is not trained again"


def test_the_seed_decides(tmp_path: Path) -> None:
    faces = blobs([6, 2])
    one, same, other = (weights(short(faces, tmp_path / str(n), seed=seed)) for n, seed in enumerate((0, 0, 1)))
    assert one == same != other


def test_the_bar_counts_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    plain = Bar.advance

    def advance(self: Bar, steps: int = 1, **figures: float) -> None:
        plain(self, steps, **figures)
        seen.append((self.title, self.done, self.total, set(figures)))

    monkeypatch.setattr(Bar, "advance", advance)
    short(blobs([6, 2]), tmp_path)
    assert [item[:3] for item in seen] == [("synthesise", done, 5) for done in (2, 4, 5)]
    assert {"real_score", "fake_score"} <= seen[0][3]


def test_classes_are_shown_equally_often_and_pictures_of_a_class_too() -> None:
    labels = torch.tensor([0] * 9 + [2] * 3 + [5])
    counts = torch.bincount(balanced_rows(labels, 270, 0), minlength=13)
    assert counts.sum() == 270
    assert [counts[labels == k].sum().item() for k in (0, 2, 5)] == [90, 90, 90]
    assert (counts[:9] == 10).all() and (counts[9:12] == 30).all()
    assert balanced_rows(labels, 270, 0).equal(balanced_rows(labels, 270, 0))
    assert not balanced_rows(labels, 270, 0).equal(balanced_rows(labels, 270, 1))
    assert balanced_rows(torch.zeros(1, dtype=torch.int64), 5, 0).tolist() == [0] * 5


def watched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Tensor, Tensor]]:
    """What the learner is shown."""
    shown = []
    plain = module._Learner.step

    def step(self: Any, number: int, real: Tensor, labels: Tensor, random: torch.Generator) -> Any:
        shown.append((real.clone(), labels.clone()))
        return plain(self, number, real, labels, random)

    monkeypatch.setattr(module._Learner, "step", step)
    return shown


def test_pictures_go_with_their_labels_in_minus_one_to_one_and_unlabelled_ones_stay_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = torch.tensor([0, 51, 255, 102], dtype=torch.uint8)[:, None, None, None].expand(-1, 16, 16, 1).contiguous()
    shown = watched(monkeypatch)
    short(as_set(pixels, torch.tensor([1, -1, 0, 1])), tmp_path)
    seen = {
        (round(item[0, 0, 0].item(), 4), int(label))
        for real, labels in shown
        for item, label in zip(real, labels, strict=True)
    }
    assert seen == {(-1.0, 1), (1.0, 0), (-0.2, 1)}
    assert [len(real) for real, _ in shown] == [4] * 5


def test_real_and_synthetic_pictures_alike_are_augmented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def diff_augment(images: Tensor, policy: Any, generator: Any) -> Tensor:
        calls.append((len(images), tuple(policy), images.requires_grad))
        return images

    monkeypatch.setattr(module, "diff_augment", diff_augment)
    short(blobs([6, 2]), tmp_path, steps=1, diffaugment=["cutout"])
    assert calls == [(8, ("cutout",), False), (4, ("cutout",), True)]


def test_the_average_follows_the_generator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without decay it is the generator itself; with one it is another."""
    kept = []
    plain = module._Learner.__init__

    def remember(self: Any, generator: Generator, *rest: Any) -> None:
        plain(self, generator, *rest)
        kept.append(generator)

    monkeypatch.setattr(module._Learner, "__init__", remember)
    for ema, equal in ((0.0, True), (0.9, False)):
        made = short(blobs([6, 2]), tmp_path / str(ema), ema=ema)
        last = kept.pop().linear.weight
        assert torch.allclose(made.generator.linear.weight, last, atol=1e-7) is equal


@pytest.mark.parametrize("channels", [1, 3])
def test_tiny_classes_classes_without_pictures_and_colours(channels: int, tmp_path: Path) -> None:
    made = short(blobs([5, 1, 0], channels=channels), tmp_path, classes=3)
    assert made.trained.tolist() == [True, True, False]
    pixels, _ = synthesise(made, torch.tensor([0, 2, 0]), 0)
    assert pixels.shape == (2, 16, 16, channels)
    assert all(torch.isfinite(torch.tensor(list(row.values()))).all() for row in made.history)


def test_one_picture_in_all(tmp_path: Path) -> None:
    made = short(blobs([0, 1]), tmp_path)
    assert all(torch.isfinite(torch.tensor(list(row.values()))).all() for row in made.history)


def test_what_is_refused(tmp_path: Path) -> None:
    faces = blobs([3, 3])
    with pytest.raises(DataError, match="with a label for the GAN; got none"):
        short(blobs([0, 0]), tmp_path)
    with pytest.raises(DataError, match="got none"):
        short(replace(faces, labels=torch.full((6,), -1)), tmp_path)
    with pytest.raises(DataError, match="below 1; got 1"):
        short(faces, tmp_path, classes=1)
    with pytest.raises(DataError, match="square faces for the GAN; got 16 x 8"):
        short(replace(faces, pixels=faces.pixels[:, :, :8]), tmp_path)
    with pytest.raises(ConfigError, match="got 9"):
        short(replace(faces, pixels=faces.pixels[:, :9, :9]), tmp_path)


def test_losses_that_are_no_longer_finite_are_no_generator(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no longer finite at step .*lr_generator.*; got 1e\+30 and 1e\+30"):
        short(blobs([3, 3]), tmp_path, lr_generator=1e30, lr_discriminator=1e30, steps=6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, r"gan\.steps.*from 1 on; got 0"),
        ({"every": 0}, r"gan\.every"),
        ({"batch_size": 1}, r"gan\.batch_size.*from 2 on; got 1"),
        ({"batch_size": 2.5}, r"gan\.batch_size.*got 2\.5"),
        ({"width": 3}, r"gan\.width"),
        ({"noise": 0}, r"gan\.noise"),
        ({"per_class": 0}, r"gan\.per_class"),
        ({"per_class": True}, r"gan\.per_class"),
        ({"lr_generator": 0.0}, r"gan\.lr_generator.*above 0"),
        ({"lr_discriminator": float("nan")}, r"gan\.lr_discriminator.*got nan"),
        ({"ema": 1.0}, r"gan\.ema.*below 1; got 1\.0"),
        ({"diffaugment": ["colour"]}, r"gan\.diffaugment.*Did you mean 'color'"),
    ],
)
def test_settings_are_checked(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        GanConfig(**changes)
