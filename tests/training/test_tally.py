"""The train figures of an epoch are those of its faces, however many steps are put together at a time."""

import pytest
import torch

from fer_core.training import tally
from fer_core.training.step import _added
from fer_core.training.tally import Found, Tally


def found(count: int, seed: int, factor: float = 1.0) -> Found:
    random = torch.Generator().manual_seed(seed)
    logits, classes = (torch.rand(count, 4, generator=random) for _ in range(2))
    loss, part = torch.rand(2, generator=random).unbind()
    return Found(loss, logits, classes, {"emotion_loss": loss, "au_loss": part}, factor)


@pytest.mark.parametrize("together", [1, 3, 4, 64])
def test_means_are_over_faces(together: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally, "TOGETHER", together)
    steps = [found(count, seed) for seed, count in enumerate((5, 5, 5, 2))]
    counted = Tally()
    for step in steps:
        counted.add(len(step.logits), step)
        assert len(counted._waiting) < together, "an epoch may be long"
    loss = sum(float(step.loss) * len(step.logits) for step in steps) / 17
    part = sum(float(step.parts["au_loss"]) * len(step.logits) for step in steps) / 17
    right = sum(int((step.logits.argmax(1) == step.classes.argmax(1)).sum()) for step in steps)
    assert counted.means() == pytest.approx(
        {"train_loss": loss, "train_accuracy": right / 17, "emotion_loss": loss, "au_loss": part}, rel=1e-6
    )


def test_faces_that_two_processes_both_have_count_half() -> None:
    one = found(6, 0)
    right = int((one.logits.argmax(1) == one.classes.argmax(1)).sum())
    counted = Tally()
    counted.add(6, one)
    counted.add(6, one._replace(factor=0.5))
    assert right > 0 and counted.means()["train_accuracy"] == pytest.approx(1.5 * right / 12)


def test_a_step_with_other_parts_is_no_step_of_the_epoch() -> None:
    one = found(6, 0)
    counted = Tally()
    counted.add(6, one)
    counted.add(6, one._replace(parts={"emotion_loss": one.loss}))
    with pytest.raises(RuntimeError):
        counted.means()


def test_pieces_add_up_and_count_by_their_factor() -> None:
    one, other = found(3, 0), found(2, 1)
    whole = _added([one, other._replace(parts={"emotion_loss": other.loss})], 0.5)
    assert whole.loss == 0.5 * (one.loss + other.loss) and whole.factor == 0.5
    assert whole.parts["emotion_loss"] == whole.loss and whole.parts["au_loss"] == 0.5 * one.parts["au_loss"]
    assert whole.logits.equal(torch.cat([one.logits, other.logits]))
    assert whole.classes.equal(torch.cat([one.classes, other.classes]))
