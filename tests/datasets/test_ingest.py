from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from made_up_sets import reader, write, write_rafce

from fer_core.datasets.dataset import Dataset
from fer_core.datasets.ingest import Reading, ingest
from fer_core.datasets.store import ROWS_PER_GROUP, read_pictures, write_pictures
from fer_core.errors import ConfigError, DataError
from fer_core.files import read_json
from fer_core.labels import RAFCE
from fer_core.manifest import read_manifest

read = reader("rafce")


def test_test_truth_stands_in_its_own_file_and_nowhere_else(rafce_folder: Path, tmp_path: Path) -> None:
    names = [f"{k:04d}.jpg" for k in range(1, 113)]
    write(rafce_folder / "rafml_distribution.txt", [f"{n} 6 2 0 0 0 0" for n in names])
    out = tmp_path / "ingest"
    ingest("rafce", rafce_folder, out, Reading(seed=1))
    table = read_manifest(out / "manifest.parquet")
    test = table["split"] == "test"
    assert table.loc[test, ["emotion", "votes"]].isna().all().all()
    assert table.loc[~test, ["emotion", "votes"]].notna().all().all()
    truth = pd.read_parquet(out / "test_truth.parquet")
    published = read(rafce_folder, None, 1).rows.set_index("sample_id")
    assert truth["sample_id"].tolist() == table.loc[test, "sample_id"].tolist()
    assert truth["emotion"].tolist() == published.loc[truth["sample_id"], "emotion"].tolist()
    assert [len(votes) for votes in truth["votes"]] == [6] * 28
    assert read_json(out / "card.json")["counts"]["test"] == 28


def test_pictures_are_stored_in_manifest_order_with_groups(rafce_folder: Path, tmp_path: Path) -> None:
    (rafce_folder / "original" / "0007.jpg").unlink()
    rows = pd.concat([read(rafce_folder, None, 1).rows] * 6, ignore_index=True)
    rows["sample_id"] = [f"{k:05d}" for k in range(len(rows))]
    pictures = [(name, None if k == 3 else bytes([k % 256])) for k, name in enumerate(rows["sample_id"])]
    data = Dataset(rows, lambda: iter(pictures), "made up", RAFCE)
    assert write_pictures(tmp_path / "p.parquet", data) == ["00003"]
    batches = list(read_pictures(tmp_path / "p.parquet"))
    assert [item for batch in batches for item in batch] == pictures
    assert max(len(batch) for batch in batches) <= ROWS_PER_GROUP
    assert pq.ParquetFile(tmp_path / "p.parquet").metadata.row_group(0).num_rows == ROWS_PER_GROUP


@pytest.mark.parametrize("change", ["swap", "short", "long"])
def test_pictures_out_of_order_are_refused_and_nothing_is_left(rafce_folder: Path, tmp_path: Path, change: str) -> None:
    data = read(rafce_folder, None, 1)
    pictures = list(data.pictures())
    if change == "swap":
        pictures[3], pictures[4] = pictures[4], pictures[3]
    pictures = {"swap": pictures, "short": pictures[:-1], "long": [*pictures, ("x", b"")]}[change]
    wrong = Dataset(data.rows, lambda: iter(pictures), "made up", RAFCE)
    with pytest.raises(DataError, match=r"row 3|Expected 112 pictures; got 111|row 112"):
        write_pictures(tmp_path / "out" / "p.parquet", wrong)
    assert list((tmp_path / "out").iterdir()) == []


def test_unknown_data_and_bad_seed(rafce_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'rafce'"):
        ingest("rafcee", rafce_folder, tmp_path / "out", Reading(seed=1))
    with pytest.raises(ConfigError, match=r"Expected `seed` .* got 'x'"):
        ingest("rafce", rafce_folder, tmp_path / "out", Reading(seed="x"))  # type: ignore[arg-type]


def test_twice_the_same_bytes(tmp_path: Path) -> None:
    folder = write_rafce(tmp_path / "again")
    for out in ("a", "b"):
        ingest("rafce", folder, tmp_path / out, Reading(limit=60, seed=5))
    for name in ("manifest.parquet", "pictures.parquet", "test_truth.parquet", "card.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
