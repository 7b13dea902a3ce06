"""The copying check: nearest faces by a naive loop; it fires on a generator that replays and not on fresh faces."""

from typing import Any

import numpy as np
import pytest
import torch
from blobs import Patches, blobs
from sklearn.neighbors import NearestNeighbors
from torch import Tensor, nn

from fer_core.errors import ConfigError, DataError
from fer_core.synthesis.copying import copying, nearest_faces
from fer_core.synthesis.features import features_of
from fer_core.synthesis.quality import judge
from fer_core.synthesis.train import Synthesiser


def points(count: int, width: int = 5, seed: int = 0) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def pictures(count: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (count, 4, 4, 1), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def test_nearest_by_hand() -> None:
    train = torch.tensor([[2.0, 0.0], [0.0, 3.0]])
    distance, nearest = nearest_faces(torch.tensor([[1.0, 0.0], [3.0, 4.0], [-1.0, 0.0]]), train, "features")
    assert distance.tolist() == pytest.approx([0, 1 - 0.8, 1]) and nearest.tolist() == [0, 1, 1]
    faces = torch.tensor([[0, 0], [255, 0]], dtype=torch.uint8).reshape(2, 1, 2, 1)
    distance, nearest = nearest_faces(torch.full((1, 1, 2, 1), 51, dtype=torch.uint8), faces, "pixels")
    assert distance.tolist() == pytest.approx([0.2]) and nearest.tolist() == [0]


@pytest.mark.parametrize("space", ["features", "pixels"])
def test_nearest_as_a_loop_and_against_scikit_learn(space: str) -> None:
    faces, train = (points(300), points(40, seed=1)) if space == "features" else (pictures(300), pictures(40, 1))
    distance, nearest = nearest_faces(faces, train, space)
    for row in range(0, 300, 13):
        gaps = []
        for other in train:
            a, b = faces[row].flatten().double().numpy(), other.flatten().double().numpy()
            cosine = 1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b)
            gaps.append(cosine if space == "features" else np.sqrt(np.mean((a / 255 - b / 255) ** 2)))
        assert distance[row].item() == pytest.approx(min(gaps)) and nearest[row] == int(np.argmin(gaps))
    metric = "cosine" if space == "features" else "euclidean"
    scale = 1 if space == "features" else 255 * 4
    search = NearestNeighbors(n_neighbors=1, metric=metric).fit(train.flatten(1).double().numpy())
    far, which = search.kneighbors(faces.flatten(1).double().numpy())
    np.testing.assert_allclose(distance.numpy(), far[:, 0] / scale, atol=1e-12)
    assert nearest.tolist() == which[:, 0].tolist()


@pytest.mark.parametrize("space", ["features", "pixels"])
def test_equal_faces_have_distance_zero(space: str) -> None:
    train = points(40, 64) if space == "features" else pictures(40)
    distance, nearest = nearest_faces(train.flip(0), train, space)
    assert distance.eq(0).all() and nearest.tolist() == list(range(39, -1, -1))
    same = train.clone() if space == "pixels" else 7 * train
    assert nearest_faces(same, train, space)[0].eq(0).all(), "a feature's length says nothing"


def test_degenerate_points() -> None:
    assert nearest_faces(torch.zeros(1, 3), torch.ones(2, 3), "features")[0].isfinite().all()
    distance, nearest = nearest_faces(torch.empty(0, 3), torch.ones(2, 3), "features")
    assert distance.shape == nearest.shape == (0,)
    near = nearest_faces(torch.ones(1, 3, dtype=torch.float16), torch.ones(1, 3, dtype=torch.float16), "features")
    assert near[0].tolist() == [0]
    for space, faces in (("colour", torch.ones(1, 3)), ("features", torch.ones(1, 4))):
        with pytest.raises(ConfigError, match=r"features or pixels; got 'colour'|got \(1, 4\) and \(2, 3\)"):
            nearest_faces(faces, torch.ones(2, 3), space)


def test_threshold_and_share_by_hand() -> None:
    """Held-out faces at 0.00, 0.01 ... 1.00 of the one train face: the first percentile is 0.01."""
    angle = torch.arccos(1 - torch.arange(101, dtype=torch.float64) / 100)
    held_out = torch.stack([angle.cos(), angle.sin()], dim=1)
    angle = torch.arccos(1 - torch.tensor([0.0, 0.009, 0.011, 0.5], dtype=torch.float64))
    found = copying(
        torch.stack([angle.cos(), angle.sin()], dim=1), torch.tensor([[1.0, 0.0]]).double(), held_out, "features"
    )
    assert found.threshold == pytest.approx(0.01) and found.held_out == 101
    assert found.share == 0.5 and found.suspicious.tolist() == [True, True, False, False]


@pytest.mark.parametrize("space", ["features", "pixels"])
def test_it_fires_on_replayed_faces_and_not_on_fresh_ones(space: str) -> None:
    train, held_out, fresh = (blobs([150, 150], seed).pixels for seed in range(3))
    random = torch.Generator().manual_seed(0)
    noise = torch.randint(-1, 2, train.shape, generator=random)
    replayed = (train.int() + noise).clamp(0, 255).to(torch.uint8)  # not the very same bytes
    half = torch.cat([replayed[:150], fresh[:150]])
    shares = []
    for made in (fresh, half, replayed, train):
        if space == "features":
            items = [features_of(Patches(), item) for item in (made, train, held_out)]
        else:
            items = [made, train, held_out]
        shares.append(copying(items[0], items[1], items[2], space).share)
    assert shares[0] < 0.05
    assert 0.45 < shares[1] < 0.55
    assert shares[2] > 0.95 and shares[3] == 1


def test_copies_are_found_when_held_out_faces_are_copies_too() -> None:
    train = pictures(20)
    found = copying(train, train, train, "pixels")
    assert found.threshold == 0 and found.share == 1


def test_nothing_to_compare() -> None:
    assert np.isnan(copying(pictures(0), pictures(3), pictures(3), "pixels").share)
    for train, held_out, got in ((0, 3, "0 and 3"), (3, 0, "3 and 0")):
        with pytest.raises(DataError, match=f"train and held-out faces to compare with; got {got}"):
            copying(pictures(2), pictures(train), pictures(held_out), "pixels")


class Moody(nn.Module):
    """An encoder with dropout and a batch norm: in the wrong mode its features are noise and it learns the faces."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(Patches(), nn.BatchNorm1d(16), nn.Dropout(0.5))

    def forward(self, images: Tensor) -> Tensor:
        assert images.min() >= 0 and images.max() <= 1 and images.shape[1:] == (1, 16, 16)
        out: Tensor = self.layers(images)
        return out


def test_features_in_evaluation_mode_batch_by_batch() -> None:
    encoder, pixels = Moody().train(), blobs([5, 6]).pixels
    features = features_of(encoder, pixels, batch_size=4)
    expected = Patches()(pixels.permute(0, 3, 1, 2).float() / 255)
    torch.testing.assert_close(features, expected, atol=1e-5, rtol=1e-4)
    assert encoder.training and not features.requires_grad and not features.is_inference()
    assert encoder.layers[1].num_batches_tracked == 0
    torch.testing.assert_close(features_of(encoder.bfloat16().float(), pixels), expected, atol=1e-2, rtol=0)


def test_judge_puts_it_together(learnt: Synthesiser) -> None:
    train, held_out = blobs([80, 16]), blobs([60, 30], 1)
    made = blobs([0, 40], 5).pixels
    quality = judge(learnt, made, Patches(), train, held_out, seed=0)
    assert quality.to_dict() == judge(learnt, made, Patches(), train, held_out, seed=0).to_dict()
    assert quality.frechet.faces == 45 and quality.frechet.distance > quality.frechet.floor > 0
    expected: Any = copying(made, train.pixels, held_out.pixels, "pixels")
    assert quality.pixels.share == expected.share and quality.pixels.nearest.equal(expected.nearest)
    assert quality.features.held_out == 90 and len(quality.features.distance) == 40
    assert set(quality.to_dict()) == {
        "frechet",
        "frechet_floor",
        "frechet_faces",
        "copies_features",
        "copies_pixels",
        "copies_held_out",
    }
    replayed = judge(learnt, train.pixels, Patches(), train, held_out, seed=0).to_dict()
    assert replayed["copies_features"] == replayed["copies_pixels"] == 1


def test_judge_asks_for_the_held_out_faces_classes(learnt: Synthesiser, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from fer_core.synthesis import quality

    asked = []
    plain = quality.synthesise

    def synthesise(synthesiser: Synthesiser, counts: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        asked.append(counts.tolist())
        return plain(synthesiser, counts, seed)

    monkeypatch.setattr(quality, "synthesise", synthesise)
    held_out = blobs([7, 4], 1)
    labels = held_out.labels.clone()
    labels[0] = -1
    made = blobs([0, 4], 5).pixels
    judge(learnt, made, Patches(), blobs([8, 3]), replace(held_out, labels=labels), seed=0)
    judge(replace(learnt, trained=torch.tensor([True, False])), made, Patches(), blobs([8, 3]), held_out, seed=0)
    assert asked == [[6, 4], [7, 0]], "unlabelled faces and classes that were not trained are left out"
