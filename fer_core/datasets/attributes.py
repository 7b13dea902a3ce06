"""What a data set tells of its faces beside their labels (skin, age, glasses ...), one column an attribute.

    attributes.csv           picture,skin,age          a header, then one picture a line; commas between the cells
                             0001.jpg,dark,adult       a value is a short text, a bin; an empty cell is "not known"
                             pool/00001.jpg,,child     an unlabelled picture

The columns are the set's own. Attributes are no labels, so test pictures have theirs in the manifest too: the tables
are sliced by them, and nothing learns from them.
"""

import csv
import io
from collections.abc import Collection
from pathlib import Path

import pandas as pd

from fer_core.datasets.lines import bad_line, picture_key, read_text
from fer_core.errors import DataError
from fer_core.manifest import ATTRIBUTE, ATTRIBUTE_COLUMN

ATTRIBUTES, PICTURE = "attributes.csv", "picture"


def read_attributes(path: Path, samples: Collection[str], pool: str = "pool") -> pd.DataFrame:
    """Read an attributes file.

    Args:
        path: the file.
        samples: `sample_id` of every picture of the set; those of the pool begin with `<pool>/`.
        pool: the pool's folder.

    Returns:
        Index `sample_id` (the pictures of the file, in its order), one column `attr_<name>` per attribute, text or
        None.

    Raises:
        DataError: names file and line where the header has no `picture` or a name that is not a-z, 0-9 and _, or a
            line has too many or too few cells, a picture twice or one that is not in the set; or the file is empty.
    """
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True, skipinitialspace=True)
    known, header = set(samples), list[str]()
    seen: dict[str, int] = {}
    rows: list[list[str | None]] = []
    try:
        for cells in reader:
            line, row = reader.line_num, [cell.strip() for cell in cells]
            if not any(row):
                continue  # a blank line, or one of commas alone as a spreadsheet leaves them at the end
            if not header:
                header = _check_header(path, line, row)
                continue
            if len(row) != len(header):
                expected = f"{len(header)} cells ({', '.join(header)}), commas between them"
                raise bad_line(path, line, ",".join(row), expected)
            name = row[header.index(PICTURE)]
            sample = f"{pool}/{picture_key(name)}" if name.startswith(f"{pool}/") else picture_key(name)
            if sample in seen:
                raise DataError(f"{path}, line {line}: {name!r} stands already in line {seen[sample]}.")
            if sample not in known:
                raise bad_line(path, line, name, "a picture of the set, such as " + min(known, default="0001"))
            seen[sample] = line
            rows.append([value or None for column, value in zip(header, row, strict=True) if column != PICTURE])
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: not a line of comma-separated values: {error}.") from None
    if not rows:
        raise DataError(f"{path} is empty." if not header else f"{path} has a header and no picture below it.")
    columns = [f"{ATTRIBUTE}{name}" for name in header if name != PICTURE]
    return pd.DataFrame(rows, index=pd.Index(list(seen), name="sample_id"), columns=columns, dtype=object)


def _check_header(path: Path, line: int, header: list[str]) -> list[str]:
    text = ",".join(header)
    if PICTURE not in header:
        raise bad_line(path, line, text, f"a header with the column `{PICTURE}`, commas between the names")
    if len(header) == 1:
        raise bad_line(path, line, text, f"an attribute beside `{PICTURE}`")
    for name in header:
        if not ATTRIBUTE_COLUMN.fullmatch(ATTRIBUTE + name):
            raise bad_line(path, line, name, "names of a-z, 0-9 and _ in the header")
        if header.count(name) > 1:
            raise bad_line(path, line, text, f"each name once in the header, `{name}` too")
    return header
