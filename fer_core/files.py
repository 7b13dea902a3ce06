"""Files that are either whole or absent: everything is written to a temporary name and then renamed."""

import json
import math
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from safetensors import SafetensorError

from fer_core.errors import DataError

# what reading a damaged file of tensors ends in
YAML_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same values, eight times as fast
BROKEN = (
    *(pickle.UnpicklingError, RuntimeError, EOFError, ValueError),
    *(KeyError, IndexError, AttributeError, TypeError),
    SafetensorError,
)

if TYPE_CHECKING:  # a second that stages without tables need not wait
    import pandas as pd


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`; on success it replaces `target`, on failure it is removed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write JSON that any reader accepts: NaN and infinities, which JSON lacks, become null."""
    write_text(path, json.dumps(_plain(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def write_yaml(path: Path, value: Any) -> None:
    """Write block-style YAML with keys in the order given."""
    write_text(path, yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120))


def write_parquet(path: Path, table: "pd.DataFrame") -> None:
    """Write a table without its index."""
    with replacing(path) as temporary:
        table.to_parquet(temporary, index=False)


def read_json(path: Path) -> Any:
    """Read JSON; raises DataError naming the file when it is missing or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; the stage that writes it has not run.") from None
    except json.JSONDecodeError as error:
        raise DataError(f"{path} is not valid JSON: {error}.") from None


def read_yaml(path: Path) -> Any:
    """Read YAML; raises DataError naming the file when it is missing or broken."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), YAML_LOADER)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; the stage that writes it has not run.") from None
    except yaml.YAMLError as error:
        raise DataError(f"{path} is not valid YAML: {error}.") from None


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
