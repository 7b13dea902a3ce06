"""Names stay inside the data set's folder, and walks end."""

import os
from pathlib import Path

import pytest

from fer_core.datasets.safe_paths import inside, relative, walk_pictures
from fer_core.errors import DataError


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a/..",
        "../x.jpg",
        "a/../../x.jpg",
        "a/../../a/x.jpg",
        "/etc/passwd",
        "~/x.jpg",
        "C:/x.jpg",
        "c:x.jpg",
        "..\\x.jpg",
        "a\\..\\..\\x.jpg",
        "a/..\\../x.jpg",
        "\\\\server\\share\\x.jpg",
        "\\x.jpg",
        "//x.jpg",
        "a\0.jpg",
    ],
)
def test_names_that_leave_the_folder_are_refused(name: str) -> None:
    with pytest.raises(DataError) as caught:
        inside(Path("set"), name, "labels.csv, line 3")
    assert str(caught.value).startswith("labels.csv, line 3: expected the name of a file inside")
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("x.jpg", "x.jpg"),
        ("a/b/x.jpg", "a/b/x.jpg"),
        ("./a/x.jpg", "a/x.jpg"),
        ("a//x.jpg", "a/x.jpg"),
        ("a/./x.jpg", "a/x.jpg"),
        ("a/../b/x.jpg", "b/x.jpg"),
        ("a\\x.jpg", "a/x.jpg"),
        ("a..b.jpg", "a..b.jpg"),
        ("...jpg", "...jpg"),
        ("12:30.jpg", "12:30.jpg"),
    ],
)
def test_names_inside_are_made_plain(name: str, plain: str) -> None:
    assert relative(name, "") == plain
    assert inside(Path("set"), name, "") == Path("set") / plain


def test_links_are_the_users_own_doing(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "set").mkdir()
    (tmp_path / "set/link").symlink_to(tmp_path / "elsewhere")
    assert inside(tmp_path / "set", "link/x.jpg", "") == tmp_path / "set/link/x.jpg"


def touch(*files: Path) -> None:
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")


def names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in walk_pictures(folder)[0]]


def test_pictures_are_found_sorted_and_hidden_ones_left_out(tmp_path: Path) -> None:
    kept = ("a/2.JPG", "a/10.png", "b/c/d/1.jpeg", "z.webp")
    touch(*(tmp_path / name for name in kept))
    touch(*(tmp_path / name for name in ("a/._2.jpg", ".trash/1.jpg", "a/notes.txt", "a/jpg")))
    (tmp_path / "folder.jpg").mkdir()
    assert names(tmp_path) == ["a/10.png", "a/2.JPG", "b/c/d/1.jpeg", "z.webp"]
    assert walk_pictures(tmp_path)[1] == []


def test_a_linked_folder_is_read(tmp_path: Path) -> None:
    touch(tmp_path / "big/disk/1.jpg", tmp_path / "set/0.jpg")
    (tmp_path / "set/a").symlink_to(tmp_path / "big")
    assert names(tmp_path / "set") == ["0.jpg", "a/disk/1.jpg"]
    (tmp_path / "top").symlink_to(tmp_path / "set")
    assert names(tmp_path / "top") == ["0.jpg", "a/disk/1.jpg"]


@pytest.mark.parametrize("target", [".", "..", "../..", "a"])
def test_a_loop_of_links_ends_and_is_told(tmp_path: Path, target: str) -> None:
    touch(tmp_path / "set/a/1.jpg", tmp_path / "other/2.jpg")
    (tmp_path / "set/a/loop").symlink_to(tmp_path / "set/a" / target if target != "a" else tmp_path / "set/a")
    paths, notes = walk_pictures(tmp_path / "set")
    assert [path.name for path in paths] == ["1.jpg"]
    assert notes == ["the link a/loop was not followed: its folder is read already"]


def test_links_that_multiply_are_read_once(tmp_path: Path) -> None:
    """Thirty folders with two links each to the next would be 2^30 paths."""
    for k in range(30):
        (tmp_path / f"x{k}").mkdir()
    for k in range(29):
        (tmp_path / f"x{k}/l").symlink_to(tmp_path / f"x{k + 1}")
        (tmp_path / f"x{k}/r").symlink_to(tmp_path / f"x{k + 1}")
    touch(tmp_path / "x29/1.jpg")
    (tmp_path / "set").mkdir()
    (tmp_path / "set/l").symlink_to(tmp_path / "x0")
    paths, notes = walk_pictures(tmp_path / "set")
    assert [path.name for path in paths] == ["1.jpg"]
    assert len(notes) == 29


def test_dead_links_are_counted(tmp_path: Path) -> None:
    touch(tmp_path / "1.jpg")
    (tmp_path / "2.jpg").symlink_to(tmp_path / "gone.jpg")
    paths, notes = walk_pictures(tmp_path)
    assert [path.name for path in paths] == ["1.jpg"]
    assert notes == ["1 files named as pictures are none: links that lead nowhere"]


def test_folders_and_names_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone cannot be read: No such file"):
        walk_pictures(tmp_path / "gone")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.jpg")).write_bytes(b"")
    with pytest.raises(DataError, match="pictures in UTF-8"):
        walk_pictures(tmp_path)
