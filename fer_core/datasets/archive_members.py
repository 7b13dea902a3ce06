"""Read zip and tar archives member by member, with every name checked before anybody uses it."""

import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from fer_core.errors import DataError

ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz")
FILE, FOLDER, LINK, HARD_LINK = "file", "folder", "link", "hard link"
BLOCK = 512  # a tar's; an archive that is whole ends in one of zeros
_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, gzip.BadGzipFile)


@dataclass(frozen=True)
class Member:
    """One entry of an archive.

    Attributes:
        name: checked, relative, with `/` between its parts.
        kind: file, folder, link or hard link.
        size: bytes, as the archive says.
        target: of a link, checked: the path inside the archive that it leads to.
        content: opens a file's bytes; only while this member is the iterator's latest.
    """

    name: str
    kind: str
    size: int
    target: str | None = None
    content: Any = None


def is_archive(path: Path) -> bool:
    """Return whether a file's name ends as those of the archives that can be unpacked."""
    return path.is_file() and path.name.lower().endswith(ENDINGS)


@contextmanager
def damaged(path: Path) -> Iterator[None]:
    """Turn what reading a damaged archive ends in into a DataError that names it."""
    try:
        yield
    except _DAMAGED as error:
        raise DataError(f"{path} is damaged or not whole: {str(error) or type(error).__name__}.") from None
    except NotImplementedError as error:
        raise DataError(f"{path} is packed in a way that cannot be read here: {error}.") from None


def members(path: Path, tell: Any = None) -> Iterator[Member]:
    """Yield the members of an archive in its order, reading it once from start to end.

    Args:
        path: the archive; its ending says of which kind it is.
        tell: called now and then with the number of the archive's bytes that were read.

    Raises:
        DataError: the file is no archive or damaged, a member is encrypted or a device, a name is absolute or leads out
            of the folder, as does a link.
    """
    if not path.is_file():
        raise DataError(f"{path} does not exist or is no file.")
    if not is_archive(path):
        raise DataError(f"Expected an archive that ends in {', '.join(ENDINGS)}; got {path.name}.")
    with damaged(path):
        yield from _of_zip(path, tell) if path.name.lower().endswith(".zip") else _of_tar(path, tell)


def clean_name(name: str, archive: Path, what: str = "the member") -> str:
    """Return a member's name with plain `/`; raises DataError where it could lead out of the folder.

    Example:
        >>> clean_name("./a\\\\b//c.jpg", Path("x.zip"))
        'a/b/c.jpg'
    """
    parts = name.replace("\\", "/").split("/")
    drive = len(parts[0]) == 2 and parts[0][1] == ":"
    if name.startswith(("/", "\\")) or drive or ".." in parts or "\0" in name:
        raise DataError(f"{archive}: {what} {name!r} leads out of the folder; nothing was unpacked.")
    kept = [part for part in parts if part not in ("", ".")]
    return "/".join(kept)


def _link_target(archive: Path, name: str, target: str) -> str:
    """Return where a symbolic link leads inside the archive; raises DataError where that is outside."""
    at = [] if target.startswith(("/", "\\")) else name.split("/")[:-1]
    outside = target.startswith(("/", "\\"))
    for part in target.replace("\\", "/").split("/"):
        if part == "..":
            outside |= not at
            at = at[:-1]
        elif part not in ("", "."):
            at.append(part)
    if outside:
        raise DataError(f"{archive}: the link {name!r} leads to {target!r}, out of the folder; nothing was unpacked.")
    return "/".join(at)


def _of_zip(path: Path, tell: Any) -> Iterator[Member]:
    read = 0
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            name, mode = clean_name(info.filename, path), info.external_attr >> 16
            if info.flag_bits & 0x1:
                raise DataError(f"{path}: {name!r} is encrypted; unpack it with its password by other means.")
            if info.is_dir() or info.filename.endswith("\\"):
                yield Member(name, FOLDER, 0)
            elif stat.S_ISLNK(mode):
                if info.file_size > 4096:
                    raise DataError(f"{path}: the link {name!r} has a target of {info.file_size} bytes.")
                target = archive.read(info).decode("utf-8", "surrogateescape")
                yield Member(name, LINK, 0, _link_target(path, name, target))
            elif stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                raise DataError(f"{path}: {name!r} is no file, folder or link; nothing was unpacked.")
            else:
                with archive.open(info) as content:
                    yield Member(name, FILE, info.file_size, content=content)
            read += info.compress_size
            if tell:
                tell(read)


def _of_tar(path: Path, tell: Any) -> Iterator[Member]:
    with path.open("rb") as raw, _unpacked(path, raw) as plain:
        source = _Tail(plain)
        # as a stream, so that it is read once
        with tarfile.open(fileobj=source, mode="r|") as archive:  # type: ignore[call-overload]
            for info in archive:
                yield _tar_member(path, archive, info)
                archive.members = []  # else it remembers every member of 100,000
                if tell:
                    tell(raw.tell())
        # tarfile takes a cut-off archive for one that ends; padding after the end is some kilobytes
        for _ in range(1 << 12):
            if not source.read(1 << 14):
                break
        if source.tail.strip(b"\0") or len(source.tail) < BLOCK:
            raise DataError(f"{path} is damaged or not whole: it ends without the mark of its end.")


def _unpacked(path: Path, raw: IO[bytes]) -> Any:
    """Return the plain tar; gzip and lzma look at the checksum, which tarfile's own `r|gz` does not."""
    lower = path.name.lower()
    if lower.endswith("gz"):
        return gzip.GzipFile(fileobj=raw)
    return lzma.LZMAFile(raw) if lower.endswith("xz") else nullcontext(raw)


def _tar_member(path: Path, archive: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    name = clean_name(info.name, path)
    if info.isdir():
        return Member(name, FOLDER, 0)
    if info.issym():
        return Member(name, LINK, 0, _link_target(path, name, info.linkname))
    if info.islnk():
        return Member(name, HARD_LINK, 0, clean_name(info.linkname, path, "the target of a hard link"))
    if not info.isreg():
        raise DataError(f"{path}: {name!r} is a device or pipe; nothing was unpacked.")
    return Member(name, FILE, info.size, content=archive.extractfile(info))


class _Tail:
    """A stream that remembers its last block."""

    def __init__(self, plain: IO[bytes]) -> None:
        self.plain, self.tail = plain, b""

    def read(self, size: int) -> bytes:
        block = self.plain.read(size)
        self.tail = (self.tail + block)[-BLOCK:] if len(block) < BLOCK else block[-BLOCK:]
        return block
