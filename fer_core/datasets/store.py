"""Encoded pictures in one Parquet file, written and read in small pieces; bytes are null where lost."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fer_core.datasets.dataset import Dataset
from fer_core.errors import DataError
from fer_core.files import replacing
from fer_core.progress import Bar

ROWS_PER_GROUP = 512
_SCHEMA = pa.schema({"sample_id": pa.string(), "bytes": pa.binary()})


def write_pictures(path: Path, dataset: Dataset, title: str = "ingest") -> list[str]:
    """Write the pictures of a data set in the order of its rows.

    Returns:
        The sample_ids of the pictures that could not be read; their bytes are null.

    Raises:
        DataError: the adapter's pictures are not in the order of its rows.
    """
    expected = dataset.rows["sample_id"].tolist()
    lost: list[str] = []
    group: list[tuple[str, bytes | None]] = []
    done = 0
    # Pictures are compressed already: Parquet's compression would only cost time.
    with (
        replacing(path) as temporary,
        pq.ParquetWriter(temporary, _SCHEMA, compression="none") as writer,
        Bar(title, len(expected), "picture") as bar,
    ):
        for sample, data in dataset.pictures():
            if done + len(group) >= len(expected) or sample != expected[done + len(group)]:
                raise DataError(f"Picture {sample} does not stand where the rows have it (row {done + len(group)}).")
            group.append((sample, data))
            lost += [sample] if data is None else []
            if len(group) == ROWS_PER_GROUP:
                writer.write_table(_as_table(group))
                done += len(group)
                bar.advance(len(group))
                group = []
        if group:
            writer.write_table(_as_table(group))
            done += len(group)
            bar.advance(len(group))
        if done != len(expected):
            raise DataError(f"Expected {len(expected)} pictures; got {done}.")
    return lost


def read_pictures(path: Path) -> Iterator[list[tuple[str, bytes | None]]]:
    """Yield the pictures in batches of at most 512, in order.

    Raises:
        DataError: the file does not exist or is no Parquet.
    """
    try:
        file = pq.ParquetFile(path, pre_buffer=False)  # pre-buffering would hold the whole file
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; the stage that writes it has not run.") from None
    except pa.ArrowInvalid as error:
        raise DataError(f"{path} is not a Parquet file: {error}.") from None
    with file:
        for batch in file.iter_batches(ROWS_PER_GROUP):
            yield list(zip(batch["sample_id"].to_pylist(), batch["bytes"].to_pylist(), strict=True))


def _as_table(group: list[tuple[str, bytes | None]]) -> pa.Table:
    samples, data = zip(*group, strict=True)
    return pa.table([pa.array(samples, pa.string()), pa.array(data, pa.binary())], schema=_SCHEMA)
