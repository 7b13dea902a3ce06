"""Faces that stay in their file or beside the GPU give what faces in memory give, batch for batch."""

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from fer_core.errors import DataError
from fer_core.manifest import without_clips
from fer_core.temporal.clips import ClipSet, load_clips
from fer_core.training import faces as faces_module
from fer_core.training import feed as feed_module
from fer_core.training import mapped
from fer_core.training.faces import FaceSet, joined, load_faces, placed
from fer_core.training.feed import ahead, feed
from fer_core.training.mapped import Mapped, Source, as_mapped, load_pixels, side_by_side
from fer_core.training.predict import pooled_features, predict

COUNT, SIZE = 23, 8
ROWS = [torch.tensor([4, 0, 17]), torch.tensor([22, 22, 1, 9]), torch.tensor([], dtype=torch.long), torch.tensor([3])]


class Tiny(nn.Module):
    """A model of two heads, whose answers depend on every pixel."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.emotion, self.aus = nn.Linear(SIZE * SIZE * 3, 4), nn.Linear(SIZE * SIZE * 3, 2)

    def features(self, images: Tensor) -> Tensor:
        return images.flatten(1)

    def forward(self, images: Tensor) -> Any:
        found = self.features(images)
        aus = None if self.aus is None else self.aus(found)
        return SimpleNamespace(logits=self.emotion(found), au_logits=aus)


def write(folder: Path, name: str, seed: int) -> tuple[pd.DataFrame, Path]:
    """A manifest in another order than its file of crops, which has two crops more."""
    random = np.random.default_rng(seed)
    np.save(folder / f"{name}.npy", random.integers(0, 256, (COUNT + 2, SIZE, SIZE, 3), np.uint8))
    labels = random.integers(0, 4, COUNT)
    table = {"sample_id": [f"{name}{row}" for row in range(COUNT)], "split": "train", "subject": None, "votes": None}
    table |= {
        "crop_index": random.permutation(COUNT + 2)[:COUNT],
        "emotion": pd.array(labels, dtype="Int16"),
        "aligned_landmarks": None,
    }
    return without_clips(pd.DataFrame(table)), folder / f"{name}.npy"


def no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped, "available_memory", lambda: 0)


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[FaceSet, FaceSet]:
    """The same faces, in memory and in their file."""
    table, path = write(tmp_path, "real", 0)
    here = load_faces(table, path, ["train"])
    no_memory(monkeypatch)
    there = load_faces(table, path, ["train"])
    assert isinstance(here.pixels, Tensor) and isinstance(there.pixels, Mapped)
    return here, there


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(feed_module.THREAD)]


def same(one: FaceSet, other: FaceSet) -> None:
    assert one.ids == other.ids and one.labels.equal(other.labels) and one.synthetic == other.synthetic
    assert one.pixels.shape == other.pixels.shape and one.device == other.device
    assert one.pixels[:].equal(other.pixels[:])
    for rows in (batch[batch < len(one)] for batch in ROWS):
        images = other.images(rows)
        assert one.images(rows).equal(images) and images.dtype == torch.float32
        assert images.is_contiguous()


def test_a_mapped_set_is_the_set_in_memory(pair: tuple[FaceSet, FaceSet]) -> None:
    here, there = pair
    same(here, there)
    same(here.to(torch.device("cpu")), there.to(torch.device("cpu")))
    assert here.pixels[5].equal(there.pixels[5]) and here.pixels[-2:].equal(there.pixels[-2:])
    assert here.pixels[here.labels == 2].equal(there.pixels[there.labels == 2])
    square = torch.tensor([[3, 1], [0, 22]])
    assert here.pixels[square].equal(there.pixels[square]) and here.pixels[:0].equal(there.pixels[:0])
    with pytest.raises(TypeError, match="by number alone"):
        there.pixels[..., :1]
    with pytest.raises(IndexError):
        there.images(torch.tensor([COUNT]))


def test_only_and_joined_read_nothing(
    pair: tuple[FaceSet, FaceSet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = pair
    table, path = write(tmp_path, "made", 1)
    made = load_faces(table.assign(synthetic=True), path, ["train"])
    in_memory = replace(made, pixels=made.pixels[:])
    rows = torch.tensor([20, 2, 40, 2, 23, 45])
    with monkeypatch.context() as patch:
        patch.setattr(Source, "take", lambda *_: pytest.fail("read"))
        both = joined(there, made)
        some = both.only(rows)
    assert isinstance(both.pixels, Mapped) and isinstance(some.pixels, Mapped)
    assert len(both.pixels.sources) == 2 and some.synthetic == 3
    expected = joined(here, in_memory)
    same(expected, both)
    same(expected.only(rows), some)
    same(expected, joined(here, made))  # one in memory, the other in its file
    same(expected, joined(there, in_memory))
    same(expected.only(rows), joined(there, in_memory).only(rows))
    assert both.images(torch.tensor([45, 0, 23])).equal(expected.images(torch.tensor([45, 0, 23])))


def test_rows_are_read_from_front_to_back_and_no_more_than_asked(
    pair: tuple[FaceSet, FaceSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, there = pair
    pixels, read, take = there.pixels, [], Source.take
    assert isinstance(pixels, Mapped)
    monkeypatch.setattr(Source, "take", lambda self, rows, out: (read.append(rows.tolist()), take(self, rows, out))[1])
    there.images(torch.tensor([7, 3, 11, 3]))
    assert read == [sorted(pixels.rows[[7, 3, 11, 3]].tolist())]
    assert isinstance(pixels.sources[0].pictures, np.memmap), "the file itself, not a copy"


def test_copied_below_a_quarter_of_the_free_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table, path = write(tmp_path, "real", 0)
    size = COUNT * SIZE * SIZE * 3
    monkeypatch.setattr(mapped, "available_memory", lambda: 4 * size + 4)
    assert isinstance(load_faces(table, path, ["train"]).pixels, Tensor)
    monkeypatch.setattr(mapped, "available_memory", lambda: 4 * size)
    assert isinstance(load_faces(table, path, ["train"]).pixels, Mapped)
    assert isinstance(load_faces(table[:-1], path, ["train"]).pixels, Tensor), "of the rows asked for, not of the file"


def test_what_is_free() -> None:
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 2**20 < mapped.available_memory() <= physical


def test_a_gpu_takes_what_fills_half_of_it(pair: tuple[FaceSet, FaceSet], monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[Any] = []
    monkeypatch.setattr(Tensor, "to", lambda self, device: moved.append(device))
    monkeypatch.setattr(Mapped, "to", lambda self, device: moved.append(device))
    gpu, size = torch.device("cuda", 1), COUNT * SIZE * SIZE * 3
    for faces in pair:
        monkeypatch.setattr(faces_module, "free_on", lambda device: 2 * size if device == gpu else 0)
        placed(faces.pixels, gpu)
        assert moved == [gpu]
        monkeypatch.setattr(faces_module, "free_on", lambda device: 2 * size - 1 if device == gpu else 0)
        assert placed(faces.pixels, gpu) is faces.pixels and moved == [gpu]
        moved.clear()


def test_free_memory_of_a_gpu_is_also_what_torch_keeps_unused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (100, 1000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 50)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 30)
    assert faces_module.free_on(torch.device("cuda")) == 120


def test_a_whole_mapped_set_is_moved_part_by_part(
    pair: tuple[FaceSet, FaceSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = pair
    monkeypatch.setattr(mapped, "_MOVED", 5 * SIZE * SIZE * 3)
    assert isinstance(there.pixels, Mapped)
    assert there.pixels.to(torch.device("cpu")).equal(here.pixels[:])
    assert (there.pixels.numpy() == here.pixels.numpy()).all()


def test_feed_gives_each_batch_in_order(pair: tuple[FaceSet, FaceSet]) -> None:
    for faces in pair:
        found = list(feed(faces, ROWS))
        assert [index is rows for (index, _), rows in zip(found, ROWS, strict=True)] == [True] * len(ROWS)
        for index, images in found:
            assert images.equal(pair[0].pixels[index].permute(0, 3, 1, 2).float().div_(255))
            assert images.is_contiguous()
        assert list(feed(faces, [])) == [] and not threads()


def test_only_faces_that_lie_elsewhere_need_a_thread(pair: tuple[FaceSet, FaceSet]) -> None:
    here, there = pair
    for faces, started in ((here, 0), (there, 1)):
        batches = feed(faces, ROWS)
        next(batches)
        assert len(threads()) == started
        batches.close()  # type: ignore[attr-defined]
        assert not threads()


def test_predictions_are_the_same_bit_for_bit(pair: tuple[FaceSet, FaceSet]) -> None:
    here, there = pair
    model: Any = Tiny()
    features, (logs, aus) = pooled_features(model, here, 5), predict(model, here, 5)
    images = [here.pixels[part].permute(0, 3, 1, 2).float().div_(255) for part in torch.arange(COUNT).split(5)]
    with torch.inference_mode():
        assert logs.equal(torch.cat([model(part).logits.log_softmax(1) for part in images]))
        assert aus is not None and aus.equal(torch.cat([model(part).au_logits.sigmoid() for part in images]))
        assert features.equal(torch.cat([model.features(part) for part in images]))
    assert pooled_features(model, there, 5).equal(features)
    again = predict(model, there, 5)
    assert again[0].equal(logs) and again[1] is not None and again[1].equal(aus)
    model.aus = None
    assert not threads() and predict(model, there)[1] is None
    none = there.only(torch.tensor([], dtype=torch.long))
    assert predict(model, none)[0].shape == (0, 4)


def test_the_thread_is_two_items_ahead_and_no_more() -> None:
    begun: list[int] = []
    second = threading.Event()

    def work(item: int) -> int:
        begun.append(item)
        if item == 3:
            second.set()
        return 10 * item

    found = ahead(work, range(1, 10))
    assert next(found) == 10 and second.wait(5), "2 and 3 are made while the caller is busy with 1"
    assert begun == [1, 2, 3]
    assert list(found) == list(range(20, 100, 10)) and not threads()


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_leaving_the_loop_ends_the_thread(pair: tuple[FaceSet, FaceSet], error: type[BaseException] | None) -> None:
    def loop() -> None:
        for number, _ in enumerate(feed(pair[1], ROWS * 50)):
            assert len(threads()) == 1
            if number == 1 and error is None:
                break
            if number == 1:
                raise error()

    if error is None:
        loop()
    else:
        with pytest.raises(error):
            loop()
    assert not threads()


def test_an_error_comes_at_its_batch() -> None:
    def work(item: int) -> int:
        if item == 2:
            raise DataError("two")
        return item

    seen = []
    with pytest.raises(DataError, match="two"):
        for item in ahead(work, range(5)):
            seen.append(item)
    assert seen == [0, 1] and not threads()


def test_a_file_that_became_shorter_is_named(pair: tuple[FaceSet, FaceSet], tmp_path: Path) -> None:
    _, there = pair
    size = (tmp_path / "real.npy").stat().st_size
    os.truncate(tmp_path / "real.npy", 1000)
    sentence = rf"Expected .*real\.npy to keep its {size} bytes while it is read; got 1000\."
    with pytest.raises(DataError, match=sentence):
        there.images(torch.tensor([0]))
    with pytest.raises(DataError, match=sentence):
        list(feed(there, ROWS))
    with pytest.raises(DataError, match=sentence):
        predict(Tiny(), there)  # type: ignore[arg-type]
    assert not threads()


@pytest.mark.parametrize("content", [b"", b"no array", None])
def test_a_file_that_is_no_whole_array_is_named(tmp_path: Path, content: bytes | None) -> None:
    table, path = write(tmp_path, "real", 0)
    path.write_bytes(path.read_bytes()[:-1] if content is None else content)
    with pytest.raises(DataError, match=r"Expected .*real\.npy to be a whole array of crops; got "):
        load_faces(table, path, ["train"])


def test_an_array_of_something_else_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "faces.npy", np.zeros((4, 8, 8, 1), np.float32))
    with pytest.raises(DataError, match=r"faces\.npy to hold uint8 \(M, H, W, C\); got float32 \(4, 8, 8, 1\)"):
        load_pixels(tmp_path / "faces.npy", np.arange(2))


def test_memory_beside_a_gpu_is_read_without_a_copy() -> None:
    pixels = torch.arange(4 * 2 * 2 * 1, dtype=torch.uint8).reshape(4, 2, 2, 1)
    cover = as_mapped(pixels)
    assert as_mapped(cover) is cover and cover[torch.tensor([3, 0])].equal(pixels[[3, 0]])
    pixels[3] = 99
    assert cover[3].unique().tolist() == [99], "the same memory"
    out = torch.zeros(2, 2, 2, 1, dtype=torch.uint8)
    assert cover.index_select(torch.tensor([3, 1]), out) is out and out.equal(pixels[[3, 1]])
    assert isinstance(side_by_side(pixels, pixels), Tensor)


def test_the_hand_over_to_a_gpu_waits_for_the_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """With stand-ins: no GPU is needed to see that the stream waits before, and keeps the memory after."""
    told: list[Any] = []
    stream = SimpleNamespace(wait_event=lambda event: told.append(("wait", event)))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: stream)
    monkeypatch.setattr(Tensor, "record_stream", lambda self, on: told.append(("keep", on)))
    pixels = torch.zeros(2, 2, 2, 1, dtype=torch.uint8)
    reader = feed_module._Reader(as_mapped(pixels), torch.device("cpu"))
    assert reader.finish(pixels, "arrived") is pixels  # type: ignore[arg-type]
    assert told == [("wait", "arrived"), ("keep", stream)]


@pytest.fixture
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ClipSet, ClipSet]]:
    table, path = write(tmp_path, "clips", 2)
    table = table.assign(clip_id=[f"c{row // 4}" for row in range(COUNT)], frame=[row % 4 for row in range(COUNT)])
    table["emotion"] = pd.array([row // 4 % 3 for row in range(COUNT)], dtype="Int16")
    here = load_clips(table, path, ["train"])
    no_memory(monkeypatch)
    yield here, load_clips(table, path, ["train"])


def test_clips_may_stay_in_their_file_too(clips: tuple[ClipSet, ClipSet]) -> None:
    here, there = clips[0], clips[1].to(torch.device("cpu"))
    assert isinstance(there.pixels, Mapped) and isinstance(here.pixels, Tensor)
    index = torch.tensor([5, 0, 2])  # the last clip has three frames
    for found, expected in zip(there.clips(index), here.clips(index), strict=True):
        assert found.equal(expected)
    expected = here.pixels[here.rows[index].clamp(min=0)].permute(0, 1, 4, 2, 3).float().div_(255)
    assert here.clips(index)[0].equal(expected * here.mask[index][:, :, None, None, None])
