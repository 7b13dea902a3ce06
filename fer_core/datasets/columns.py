"""Tables of text cells from CSV, TSV and Parquet, with where each row stands, for tables of 100,000 rows and more."""

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fer_core.errors import DataError

PARQUET = {".parquet", ".pq"}
_DELIMITERS = ",;\t|"

Row = tuple[int, list[str]]
"""Where it stands, and its cells."""


@dataclass(frozen=True)
class Columns:
    """A table, or some columns of it.

    Attributes:
        path: the file.
        unit: what `numbers` count: "line" of a text file, "row" of a Parquet file; both from 1.
        numbers: where each row stands.
        cells: column -> its cells as text without blanks around them; an empty cell is "".
    """

    path: Path
    unit: str
    numbers: Sequence[int]
    cells: dict[str, list[str]]

    def where(self, row: int) -> str:
        """Return "labels.csv, line 3" for a row (from 0)."""
        return f"{self.path}, {self.unit} {self.numbers[row]}"

    def bad(self, row: int, column: str, expected: str) -> DataError:
        """Build the error for a cell that is not what it should be."""
        got = self.cells[column][row]
        shown = got if len(got) <= 80 else got[:77] + "..."
        return DataError(f"{self.where(row)}, column `{column}`: expected {expected}; got {shown!r}.")


def column_names(path: Path, delimiter: str | None = None) -> list[str]:
    """Return the names of a table's columns in their order; raises DataError as `read_columns`."""
    if path.suffix.lower() not in PARQUET:
        return next(_rows(path, delimiter), (1, []))[1]
    return _schema(path).names


def read_columns(
    path: Path,
    names: Sequence[str] | None = None,
    header: Sequence[str] | None = None,
    delimiter: str | None = None,
) -> Columns:
    """Read a table.

    A text file is UTF-8, with or without a byte-order mark; between its cells stands a comma, semicolon, tab or bar,
    whichever is most frequent in the first line; blank lines, and lines of delimiters alone, are left out.

    Args:
        path: the file; `.parquet` and `.pq` are Parquet, all others text.
        names: the columns that are wanted; None is all. They are there.
        header: names of the columns of a text file whose first line does not give them.
        delimiter: what stands between the cells of a text file; None: whatever it is.

    Raises:
        DataError: the file is missing, empty, or no such table; a line has too many or too few cells (file, line).
    """
    if path.suffix.lower() in PARQUET:
        names = list(names if names is not None else _schema(path).names)
        try:
            table = pq.read_table(path, columns=names)
        except pa.ArrowInvalid as error:
            raise DataError(f"{path} is not a Parquet file that can be read: {error}.") from None
        cells = {name: [_as_text(value) for value in table[name].to_pylist()] for name in names}
        return Columns(path, "row", range(1, table.num_rows + 1), cells)
    rows = _rows(path, delimiter)
    columns = list(header) if header is not None else next(rows, (1, []))[1]
    names = list(columns if names is None else names)
    at = [columns.index(name) for name in names]
    numbers: list[int] = []
    kept: list[list[str]] = [[] for _ in names]
    for number, row in rows:
        if len(row) != len(columns):
            shown = ",".join(row)
            shown = shown if len(shown) <= 80 else shown[:77] + "..."
            raise DataError(f"{path}, line {number}: expected {len(columns)} cells; got {len(row)}: {shown!r}.")
        numbers.append(number)
        for cells_of, k in zip(kept, at, strict=True):
            cells_of.append(row[k])
    return Columns(path, "line", numbers, dict(zip(names, kept, strict=True)))


def _rows(path: Path, delimiter: str | None) -> Iterator[Row]:
    """Yield the rows of a text file that are not empty, the header too."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            usual = "\t" if path.suffix.lower() == ".tsv" else max(_DELIMITERS, key=first.count)
            file.seek(0)
            reader = csv.reader(file, delimiter=delimiter or usual, strict=True)
            try:
                for row in reader:
                    cells = [cell.strip() for cell in row]
                    if any(cells):
                        yield reader.line_num, cells
            except (UnicodeDecodeError, csv.Error) as error:
                raise DataError(f"{path}, after line {reader.line_num}: not a table of text ({error}).") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None


def _schema(path: Path) -> pa.Schema:
    try:
        return pq.read_schema(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from None
    except pa.ArrowInvalid as error:
        raise DataError(f"{path} is not a Parquet file: {error}.") from None


def _as_text(value: object) -> str:
    """Return a cell of a Parquet file as the same table in CSV would have it; whole floats as whole numbers."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()
