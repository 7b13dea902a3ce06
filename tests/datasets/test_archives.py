"""Archives: what is unpacked, and every evil one refused without a trace."""

import io
import lzma
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from fer_core.datasets import archives
from fer_core.datasets.archives import contents, unpack
from fer_core.errors import ConfigError, DataError

FILES = {"set/labels.txt": b"0001.jpg 5\n", "set/images/0001.jpg": b"\xff\xd8" + bytes(range(256)) * 40}


def write_zip(path: Path, files: dict[str, bytes], mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return path


def write_tar(path: Path, *extra: tarfile.TarInfo, files: dict[str, bytes] = FILES, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for info in extra:
            archive.addfile(info)
    return path


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def read_all(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where archives are unpacked to; nothing else may be in it or beside it in the end."""
    (tmp_path / "place").mkdir()
    return tmp_path / "place" / "out"


def refused(archive: Path, out: Path, words: str, **options: float) -> None:
    beside = sorted(out.parent.parent.iterdir())
    with pytest.raises(DataError, match=words):
        unpack(archive, out, **options)
    assert list(out.parent.iterdir()) == [], "nothing may be left"
    assert sorted(out.parent.parent.iterdir()) == beside, "nothing may be written outside"


@pytest.mark.parametrize(
    ("name", "mode"),
    [("a.zip", ""), ("a.tar", "w"), ("a.tar.gz", "w:gz"), ("a.tgz", "w:gz"), ("a.tar.xz", "w:xz"), ("A.ZIP", "")],
)
def test_a_whole_archive_is_unpacked(tmp_path: Path, place: Path, name: str, mode: str) -> None:
    path = write_tar(tmp_path / name, mode=mode) if mode else write_zip(tmp_path / name, FILES)
    found = unpack(path, place)
    assert read_all(place) == FILES
    assert (found.files, found.size, found.top, found.notes) == (2, sum(map(len, FILES.values())), ["set"], [])
    assert [p.name for p in place.parent.iterdir()] == ["out"]
    assert [(m.name, m.size) for m in contents(path)] == [(k, len(v)) for k, v in FILES.items()]


def test_an_empty_folder_may_be_the_target_and_a_full_one_may_not(tmp_path: Path, place: Path) -> None:
    path = write_zip(tmp_path / "a.zip", FILES)
    place.mkdir()
    unpack(path, place)
    with pytest.raises(ConfigError, match="not to exist or to be empty"):
        unpack(path, place)
    assert read_all(place) == FILES


@pytest.mark.parametrize(
    "name", ["../evil.txt", "set/../../evil.txt", "/tmp/evil.txt", "..\\evil.txt", "C:\\evil.txt", "\\evil.txt", ".."]
)
def test_names_that_leave_the_folder(tmp_path: Path, place: Path, name: str) -> None:
    refused(write_zip(tmp_path / "a.zip", FILES | {name: b"x"}), place, "leads out of the folder")
    refused(write_tar(tmp_path / "a.tar", files=FILES | {name: b"x"}), place, "leads out of the folder")


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../etc", "../.."])
def test_links_that_leave_the_folder(tmp_path: Path, place: Path, target: str) -> None:
    refused(write_tar(tmp_path / "a.tar", entry("set/evil", tarfile.SYMTYPE, target)), place, "out of the folder")
    link = write_zip(tmp_path / "a.zip", {"set/evil": target.encode()}, stat.S_IFLNK | 0o777)
    refused(link, place, "out of the folder")


def test_a_chain_of_links_that_leaves_the_folder(tmp_path: Path, place: Path) -> None:
    """`deep` leads to the top, so `deep/..`, harmless as text, is above it."""
    chain = (entry("x/y/deep", tarfile.SYMTYPE, "../.."), entry("evil", tarfile.SYMTYPE, "x/y/deep/../secret"))
    path = write_tar(tmp_path / "a.tar", *chain)
    unpack(path, place)  # the target is worked out as text and written so: x/y/secret, inside
    assert (place / "evil").readlink().as_posix() == "x/y/secret"


def test_a_file_written_through_a_link(tmp_path: Path, place: Path) -> None:
    (tmp_path / "outside").mkdir()
    link = entry("a", tarfile.SYMTYPE, "set")
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        archive.addfile(link)
        archive.addfile(entry("a/evil.txt"))
    refused(path, place, "lies in 'a', which is a link")


def test_links_inside_are_kept_and_hard_links_share_their_file(tmp_path: Path, place: Path) -> None:
    inside = (entry("set/copy", tarfile.SYMTYPE, "labels.txt"), entry("again.txt", tarfile.LNKTYPE, "set/labels.txt"))
    unpack(write_tar(tmp_path / "a.tar", *inside), place)
    assert (place / "set" / "copy").read_bytes() == (place / "again.txt").read_bytes() == FILES["set/labels.txt"]


@pytest.mark.parametrize("target", ["../x", "/etc/passwd", "set/none.txt"])
def test_hard_links_to_anything_else(tmp_path: Path, place: Path, target: str) -> None:
    refused(write_tar(tmp_path / "a.tar", entry("b", tarfile.LNKTYPE, target)), place, "hard link")


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices(tmp_path: Path, place: Path, kind: bytes) -> None:
    refused(write_tar(tmp_path / "a.tar", entry("dev", kind)), place, "device or pipe")
    if kind == tarfile.FIFOTYPE:
        refused(write_zip(tmp_path / "a.zip", {"p": b""}, stat.S_IFIFO), place, "no file, folder or link")


def test_encrypted_members(tmp_path: Path, place: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"secret.txt": b"x" * 50})
    data = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the flags in both headers
        data[data.index(mark) + at] |= 1
    path.write_bytes(data)
    refused(path, place, "'secret.txt' is encrypted")


def test_a_bomb_by_its_ratio(tmp_path: Path, place: Path) -> None:
    """20 MiB of zeros in some 20 KB; 1 MiB alone would be let through."""
    zeros = {"zeros": bytes(20 << 20)}
    refused(write_zip(tmp_path / "a.zip", zeros), place, "200 times")
    refused(write_tar(tmp_path / "a.tar.xz", files=zeros, mode="w:xz"), place, "200 times")
    assert unpack(write_zip(tmp_path / "b.zip", {"zeros": bytes(1 << 20)}), place).size == 1 << 20


def test_a_bomb_that_lies_about_its_size(tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The headers say 10 bytes; what comes out is counted, or the reader itself finds the lie."""
    path = write_zip(tmp_path / "a.zip", {"zeros": bytes(20 << 20)})
    data = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        start = data.index(mark) + at
        data[start : start + 4] = (10).to_bytes(4, "little")
    path.write_bytes(data)
    refused(path, place, "200 times|damaged")


def test_more_than_most(tmp_path: Path, place: Path) -> None:
    noise = bytes(range(256)) * 64  # 16 KiB
    refused(write_tar(tmp_path / "a.tar", files={"a": noise}), place, "more than 1e-05 GiB", most=1e-5)
    assert unpack(write_tar(tmp_path / "b.tar", files={"a": noise}), place, most=2e-5).files == 1
    with pytest.raises(ConfigError, match="above 0"):
        unpack(tmp_path / "b.tar", place, most=0)


def test_files_that_share_their_bytes_in_the_archive_are_counted_each(tmp_path: Path, place: Path) -> None:
    """An overlapping bomb: many entries of the directory point to one block."""
    path = write_zip(tmp_path / "a.zip", {"zeros": bytes(2 << 20)})
    data = path.read_bytes()
    start, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    one, tail, count = data[start:end], bytearray(data[end:]), 12
    entries = b"".join(one.replace(b"zeros", f"zer{k:02d}".encode()) for k in range(count))
    tail[8:12] = count.to_bytes(2, "little") * 2
    tail[12:16] = len(entries).to_bytes(4, "little")
    body = data[:start].replace(b"zeros", b"zer00")
    path.write_bytes(body + entries + tail)
    refused(path, place, "damaged|200 times")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_duplicate_names(tmp_path: Path, place: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.txt", "1")
        archive.writestr("./a.txt", "2")
    refused(tmp_path / "a.zip", place, "'a.txt' stands in it twice")
    refused(write_tar(tmp_path / "a.tar", entry("set/labels.txt")), place, "twice")
    refused(write_tar(tmp_path / "b.tar", entry("set/labels.txt/x")), place, "which is a file")


def test_names_that_differ_in_capitals_are_noted(tmp_path: Path, place: Path) -> None:
    found = unpack(write_zip(tmp_path / "a.zip", {"a.jpg": b"1", "A.jpg": b"2", "b.jpg": b"3"}), place)
    assert found.files == 3
    assert found.notes == [
        "1 names differ from another in capitals only, which Windows and Macs cannot hold: A.jpg",
    ]


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.xz"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_archives_that_are_cut_off(tmp_path: Path, place: Path, name: str, share: float) -> None:
    modes = {"a.tar": "w", "a.tar.gz": "w:gz", "a.tar.xz": "w:xz"}
    path = write_tar(tmp_path / name, mode=modes[name]) if name in modes else write_zip(tmp_path / name, FILES)
    data = path.read_bytes()
    if name == "a.tar":
        data = data[: data.rstrip(b"\0").__len__()]  # the zeros of its end are no loss
    path.write_bytes(data[: int(len(data) * share)])
    refused(path, place, "damaged or not whole")


def test_a_tar_cut_off_between_two_members(tmp_path: Path, place: Path) -> None:
    path = write_tar(tmp_path / "a.tar")
    path.write_bytes(path.read_bytes()[:1024])  # header and text of the first
    path.write_bytes(path.read_bytes().rstrip(b"\0"))
    refused(path, place, "damaged or not whole")


def test_a_picture_whose_checksum_is_wrong(tmp_path: Path, place: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("a.txt", "hello hello")
    data = (tmp_path / "a.zip").read_bytes().replace(b"hello hello", b"hello hellO", 1)
    (tmp_path / "a.zip").write_bytes(data)
    refused(tmp_path / "a.zip", place, "damaged")


@pytest.mark.parametrize("data", [b"", b"hello", bytes(100)])
def test_what_is_no_archive(tmp_path: Path, place: Path, data: bytes) -> None:
    for name in ("a.zip", "a.tar", "a.tar.gz", "a.tar.xz"):
        (tmp_path / name).write_bytes(data)
        refused(tmp_path / name, place, "damaged")
    (tmp_path / "a.rar").write_bytes(data)
    refused(tmp_path / "a.rar", place, "ends in .zip")
    refused(tmp_path / "none.zip", place, "does not exist")


@pytest.mark.parametrize("name", ["a.zip", "a.tar.xz"])
def test_ctrl_c_leaves_nothing(tmp_path: Path, place: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_zip(tmp_path / name, FILES) if name == "a.zip" else write_tar(tmp_path / name, mode="w:xz")
    seen: list[bool] = []

    def interrupt(self: object) -> None:
        seen.append(len(read_all(place.parent)) > 0)  # it had begun to write
        raise KeyboardInterrupt

    limits: Callable[..., None] = archives._Writer._limits
    calls = iter([limits, interrupt])
    monkeypatch.setattr(archives._Writer, "_limits", lambda self: next(calls)(self))  # noqa: PLW0108
    with pytest.raises(KeyboardInterrupt):
        unpack(path, place)
    assert seen == [True]
    assert list(place.parent.iterdir()) == []


def test_memory_does_not_grow_with_a_member(tmp_path: Path, place: Path) -> None:
    """Read in pieces: 64 MiB of noise pass with a peak far below their size."""
    import random
    import tracemalloc

    noise = random.Random(0).randbytes(1 << 20) * 48
    path = tmp_path / "a.tar.xz"
    with lzma.open(path, "wb", preset=0) as packed, tarfile.open(fileobj=packed, mode="w|") as archive:
        info = tarfile.TarInfo("a")
        info.size = len(noise)
        archive.addfile(info, io.BytesIO(noise))
    del noise
    tracemalloc.start()
    unpack(path, place)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 << 20
