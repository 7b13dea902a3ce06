"""One row per data set: what it is, and who reads it.

Training imports none of this: an adapter can be changed without training anew.
"""

from typing import NamedTuple

from fer_core.datasets import affectnet, ckplus, disfa, fer2013, ferplus, folder, rafau, rafce, rafdb, table
from fer_core.datasets.dataset import Adapter, Info
from fer_core.errors import ConfigError, unknown_name

JOIN = "+"


class Entry(NamedTuple):
    """What a data set is, and the function that reads it."""

    info: Info
    read: Adapter


DATASETS: dict[str, Entry] = {
    "standin": Entry(rafce.STANDIN_INFO, rafce.read_standin),
    "rafce": Entry(rafce.INFO, rafce.read),
    "rafau": Entry(rafau.INFO, rafau.read),
    "rafdb": Entry(rafdb.INFO, rafdb.read),
    "rafdb_compound": Entry(rafdb.COMPOUND_INFO, rafdb.read_compound),
    "ferplus": Entry(ferplus.INFO, ferplus.read),
    "fer2013": Entry(fer2013.INFO, fer2013.read),
    "affectnet": Entry(affectnet.INFO, affectnet.read),
    "affectnet7": Entry(affectnet.INFO7, affectnet.read7),
    "ckplus": Entry(ckplus.INFO, ckplus.read),
    "disfa": Entry(disfa.INFO, disfa.read),
    "table": Entry(table.INFO, table.read),
    "folder": Entry(folder.INFO, folder.read),  # last, as its marks fit many others
}


def names_of(data: object) -> tuple[str, ...]:
    """Return the data sets that `data` in params.yaml names.

    Raises:
        ConfigError: a name is not known, or stands twice.

    Example:
        >>> names_of("rafce+fer2013")
        ('rafce', 'fer2013')
    """
    names = tuple(str(data).split(JOIN))
    for name in names:
        if name not in DATASETS:
            raise unknown_name("data", name, DATASETS)
    if len(set(names)) < len(names):
        raise ConfigError(f"Expected each set once in `data`; got {data!r}.")
    return names


def title_of(data: object) -> str:
    """Return the title for people, such as "RAF-CE + RAF-DB"; raises ConfigError as `names_of`."""
    return " + ".join(DATASETS[name].info.title for name in names_of(data))
