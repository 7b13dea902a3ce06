"""Unpack an archive that somebody else made: whole or not at all, and nothing outside the folder.

Refused are names and links that lead out of the folder, devices, encrypted members, a name twice, more bytes than
allowed, and a compression ratio that no pictures or label files have (a zip bomb). The last two are counted in the
bytes that were written, as headers may lie.
"""

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from fer_core.datasets.archive_members import FILE, FOLDER, HARD_LINK, LINK, Member, damaged, members
from fer_core.errors import ConfigError, DataError
from fer_core.progress import Bar

GIB, MIB = 1 << 30, 1 << 20
MOST_GIB = 50.0
MOST_RATIO = 200
HARMLESS = 16 * MIB  # so many bytes may come out of however few
_CHUNK = 1 << 18


@dataclass
class Unpacked:
    """What was unpacked: files, their bytes, the folders at the top, and what one should know."""

    files: int = 0
    size: int = 0
    top: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def unpack(archive: Path, folder: Path, most: float = MOST_GIB) -> Unpacked:
    """Unpack a zip, tar, tar.gz, tgz or tar.xz into a new folder.

    It is unpacked beside `folder` under a temporary name and renamed when whole: an error or Ctrl-C leaves nothing.

    Args:
        archive: the file.
        folder: does not exist yet, or is empty.
        most: GiB that may be written.

    Raises:
        ConfigError: `folder` is there already and not empty, or `most` is not above 0.
        DataError: what the module's first lines list, or the archive is damaged.
    """
    if not most > 0:
        raise ConfigError(f"Expected `most` to be above 0 GiB; got {most!r}.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"Expected {folder} not to exist or to be empty; unpack into another folder, or remove it.")
    folder.absolute().parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.absolute().with_name(f".{folder.absolute().name}.{os.getpid()}.unpacking")
    try:
        temporary.mkdir()
        with damaged(archive):
            found = _Writer(archive, temporary, most).write()
        temporary.replace(folder)
    except OSError as error:
        raise DataError(f"{archive} could not be unpacked: {error}.") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return found


def contents(archive: Path) -> list[Member]:
    """List an archive without writing anything; raises DataError as `members`."""
    with damaged(archive):
        return [Member(m.name, m.kind, m.size, m.target) for m in members(archive)]


class _Writer:
    """Writes the members into a folder, and counts."""

    def __init__(self, archive: Path, into: Path, most: float) -> None:
        self.archive, self.into = archive, into
        self.packed = archive.stat().st_size if archive.is_file() else 0
        self.most = most
        self.kinds: dict[str, str] = {}
        self.links: list[Member] = []
        self.found = Unpacked()

    def write(self) -> Unpacked:
        told = 0
        with Bar(f"unpack {self.archive.name}", max(1, self.packed // MIB), "MiB") as bar:

            def tell(read: int) -> None:
                nonlocal told
                new = min(read // MIB, bar.total) - told
                told += max(0, new)
                if new > 0:
                    bar.advance(new)

            for member in members(self.archive, tell):
                self._one(member)
            self._make_links()
            bar.advance(bar.total - told)
        self.found.top = sorted({name.split("/")[0] for name in self.kinds})
        self._note_cases()
        return self.found

    def _one(self, member: Member) -> None:
        if not member.name:
            return  # the folder itself
        before = self.kinds.get(member.name)
        if before is not None and (before, member.kind) != (FOLDER, FOLDER):
            raise DataError(f"{self.archive}: {member.name!r} stands in it twice; nothing was unpacked.")
        for parent in _parents(member.name):
            if self.kinds.setdefault(parent, FOLDER) != FOLDER:
                raise DataError(f"{self.archive}: {member.name!r} lies in {parent!r}, which is a {self.kinds[parent]}.")
        self.kinds[member.name] = member.kind
        place = self.into / member.name
        if member.kind == FOLDER:
            place.mkdir(parents=True, exist_ok=True)
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        if member.kind == LINK:
            self.links.append(member)  # made last: no file is ever written through one
        elif member.kind == HARD_LINK:
            if self.kinds.get(str(member.target)) not in (FILE, HARD_LINK):
                what = f"{member.name!r} is a hard link to {member.target!r}"
                raise DataError(f"{self.archive}: {what}, which is no file before it.")
            os.link(self.into / str(member.target), place)
            self.found.files += 1
        else:
            self._file(member, place)

    def _file(self, member: Member, place: Path) -> None:
        written = 0
        with place.open("xb") as file:
            while block := member.content.read(_CHUNK):
                written += len(block)
                self.found.size += len(block)
                self._limits()
                file.write(block)
        if written != member.size:
            raise DataError(
                f"{self.archive} is damaged or not whole: {member.name!r} has {written} of {member.size} bytes."
            )
        self.found.files += 1

    def _limits(self) -> None:
        size = self.found.size
        if size > self.most * GIB:
            raise DataError(
                f"{self.archive} unpacks to more than {self.most:g} GiB; nothing was unpacked. `--most` allows more."
            )
        if size > HARMLESS and size > MOST_RATIO * self.packed:
            raise DataError(
                f"{self.archive} unpacks to more than {MOST_RATIO} times its {self.packed} bytes, as zip bombs do and "
                "pictures do not; nothing was unpacked."
            )

    def _make_links(self) -> None:
        for link in self.links:
            place = self.into / link.name
            place.symlink_to(os.path.relpath(self.into / str(link.target), place.parent))
        root = self.into.resolve()
        for link in self.links:  # a link through a link may lead elsewhere than its text says
            if not Path(os.path.realpath(self.into / link.name)).is_relative_to(root):
                raise DataError(f"{self.archive}: the link {link.name!r} leads out of the folder.")

    def _note_cases(self) -> None:
        same = _colliding(self.kinds)
        if same:
            shown = ", ".join(same[:3]) + (" ..." if len(same) > 3 else "")
            self.found.notes.append(
                f"{len(same)} names differ from another in capitals only, which Windows and Macs cannot hold: {shown}"
            )


def _parents(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:k]) for k in range(1, len(parts))]


def _colliding(names: Iterable[str]) -> list[str]:
    seen: dict[str, str] = {}
    return [name for name in names if seen.setdefault(name.casefold(), name) != name]
