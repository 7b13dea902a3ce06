"""AUs with a side change sides in a mirror. No source has such columns yet, so the names here are made up."""

import math
from dataclasses import replace

import pytest
import torch

from fer_core.augment import Batch, augment
from fer_core.augment.affine import warp_aus
from fer_core.augment.regions import TEMPLATE, protected_regions, regions_of
from fer_core.aus.vocabulary import RAFCE, both_sides, column, mirrored

NAMES = ("AU12L", "AU1", "AU12R", "AU4L")
NAN = math.nan


def test_names_of_the_other_side() -> None:
    assert [mirrored(name) for name in NAMES] == ["AU12R", "AU1", "AU12L", "AU4R"]
    assert mirrored("AU25T") == "AU25T" and mirrored("AU18B") == "AU18B" and mirrored("") == ""
    assert [both_sides(name) for name in NAMES] == ["AU12", "AU1", "AU12", "AU4"]
    columns = [column(number) for number in RAFCE]
    assert [mirrored(name) for name in columns] == [both_sides(name) for name in columns] == columns


def test_swap_by_hand() -> None:
    aus = torch.tensor([[1.0, 1.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0], [NAN, 1.0, 1.0, 1.0]])
    found = warp_aus(aus, NAMES, torch.tensor([True, False, True]))
    # the other side of AU4L is no column: after the flip nobody knows it
    expected = torch.tensor([[0.0, 1.0, 1.0, NAN], [1.0, 0.0, 0.0, 0.0], [1.0, 1.0, NAN, NAN]])
    torch.testing.assert_close(found, expected, equal_nan=True)


def test_columns_without_a_side_are_the_same_object() -> None:
    aus = torch.rand(3, 2)
    assert warp_aus(aus, ("AU1", "AU12"), torch.ones(3, dtype=torch.bool)) is aus
    assert warp_aus(aus[:, :0], (), torch.ones(3, dtype=torch.bool)).shape == (3, 0)


@pytest.mark.parametrize("name", ["generic", "face_aware", "expression_preserving", "trivial"])
def test_labels_and_intensities_follow_the_picture(name: str) -> None:
    count = 60
    ramp = torch.linspace(1, 0, 16).expand(count, 1, 16, 16)  # bright on the left
    aus = torch.tensor([1.0, 1.0, 0.0, 1.0]).repeat(count, 1)
    points = (torch.tensor(TEMPLATE) * 16).repeat(count, 1, 1)
    batch = Batch(ramp, points, aus, NAMES, 5 * aus)
    out = augment(name, batch, torch.Generator().manual_seed(0))
    assert out.intensities is not None
    if name == "trivial":  # which mirrors nothing
        assert out.aus.equal(aus) and out.intensities.equal(5 * aus)
        return
    flipped = out.images[..., :8].mean(dim=(1, 2, 3)) < out.images[..., 8:].mean(dim=(1, 2, 3))
    assert 15 < int(flipped.sum()) < 45
    assert out.aus[flipped][:, :3].equal(torch.tensor([0.0, 1.0, 1.0]).expand(int(flipped.sum()), 3))
    assert out.aus[flipped][:, 3].isnan().all()
    assert out.aus[~flipped].equal(aus[~flipped])
    torch.testing.assert_close(out.intensities, 5 * out.aus, equal_nan=True)


def test_a_side_lives_where_its_unit_does() -> None:
    assert regions_of("AU12L") == regions_of("AU12") == ("cheeks", "mouth")
    assert len(regions_of("AU99R")) == 6
    active = torch.tensor([[1.0, 0.0]])
    assert protected_regions(active, ("AU12L", "AU1")).equal(protected_regions(active, ("AU12", "AU1")))


def test_a_face_without_intensities_has_none_afterwards() -> None:
    batch = Batch(torch.rand(2, 1, 8, 8), torch.zeros(2, 5, 2), torch.zeros(2, 4), NAMES)
    for name in ("generic", "face_aware", "expression_preserving", "trivial"):
        assert augment(name, batch, torch.Generator().manual_seed(0)).intensities is None
        assert (
            augment(name, replace(batch, intensities=batch.aus), torch.Generator().manual_seed(0)).intensities
            is not None
        )
