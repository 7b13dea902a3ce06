"""Put several data sets into one real folder, `data/raw/rafce+rafdb/`, so that DVC sees every file of each.

DVC looks through a link that *is* a dependency, but not through links inside one. So every file is hard-linked, which
takes no room; where that is impossible (another disk), it is copied.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from fer_core.datasets.registry import DATASETS, JOIN
from fer_core.datasets.standin_json import STANDIN_JSON
from fer_core.errors import ConfigError, DataError, unknown_name

_IGNORE = ".gitignore"  # in the combined folder: git must not take the pictures in


def combine(raw: Path, names: Sequence[str]) -> Path:
    """Make `raw/<name>+<name>`, or bring it up to date.

    Args:
        raw: the folder of the sets, each in `raw/<name>` (itself a folder or a link to one).
        names: of two sets or more, in their order.

    Returns:
        The combined folder. It is untouched where it held the same files already.

    Raises:
        ConfigError: fewer than two names, one twice, or one that is not known.
        DataError: a set's folder is missing or empty, the stand-in was not generated yet, or a link leads nowhere or
            into a folder above itself.
    """
    if len(names) < 2 or len(set(names)) < len(names):
        raise ConfigError(f"Expected two different sets or more to combine; got {', '.join(names) or 'none'}.")
    for name in names:
        if name not in DATASETS:
            raise unknown_name("data", name, DATASETS)
    wanted = {name: _checked(raw, name) for name in names}
    out = raw / JOIN.join(names)
    if _is_up_to_date(out, wanted):
        return out
    new, old = (raw / f".{out.name}.{os.getpid()}.{what}" for what in ("new", "old"))
    try:
        for name, files in wanted.items():
            (new / name).mkdir(parents=True)
            for inner, source in files.items():
                _link(source, new / name / inner)
        (new / _IGNORE).write_text("*\n", encoding="utf-8")
        if out.exists():
            out.replace(old)
        new.replace(out)
    finally:
        if old.exists() and not out.exists():  # ended between the two
            old.replace(out)
        for left in (new, old):
            if left.is_symlink():
                left.unlink()
            shutil.rmtree(left, ignore_errors=True)
    return out


def _checked(raw: Path, name: str) -> dict[str, Path]:
    folder = raw / name
    if not folder.is_dir():
        raise DataError(f"{folder} does not exist; put or link the files of {DATASETS[name].info.title} there.")
    if name == "standin" and not (folder / STANDIN_JSON).is_file():
        raise DataError(f"{folder} was not generated yet; `python -m stages.generate` with `data: standin` does it.")
    files = dict(_files(folder.resolve(), "", ()))
    if not files:
        raise DataError(f"{folder} is empty; expected there: {', '.join(DATASETS[name].info.files)}.")
    return files


def _files(folder: Path, inner: str, above: tuple[Path, ...]) -> Iterator[tuple[str, Path]]:
    """Yield (path inside the set, real file), links followed."""
    if folder in above:
        raise DataError(f"{folder} holds a link that leads back to it ({inner}); take the link away.")
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            name = f"{inner}/{entry.name}" if inner else entry.name
            path = Path(entry.path)
            if entry.is_symlink():
                try:
                    path = path.resolve(strict=True)
                except (OSError, RuntimeError):
                    raise DataError(f"{entry.path} is a link that leads nowhere; take it away or mend it.") from None
            if path.is_dir():
                yield from _files(path, name, (*above, folder))
            else:
                yield name, path


def _is_up_to_date(out: Path, wanted: dict[str, dict[str, Path]]) -> bool:
    if not out.is_dir() or {entry.name for entry in out.iterdir()} != {*wanted, _IGNORE}:
        return False
    for name, files in wanted.items():
        have = dict(_files(out / name, "", ())) if (out / name).is_dir() else {}
        if have.keys() != files.keys() or not all(_same(have[inner], files[inner]) for inner in files):
            return False
    return True


def _same(ours: Path, theirs: Path) -> bool:
    """Return whether both are one file, or ours the copy that `_link` makes."""
    a, b = ours.stat(), theirs.stat()
    return os.path.samestat(a, b) or (a.st_size, a.st_mtime_ns) == (b.st_size, b.st_mtime_ns)


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another disk, too many links, or a file system without them
        shutil.copy2(source, target)
