"""Several sets in one real folder: linked, kept up to date, whole or not at all."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from fer_core.datasets import combine as module
from fer_core.datasets.combine import combine
from fer_core.errors import ConfigError, DataError, FerError
from stages import generate

NAMES = ("rafce", "fer2013")


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Two sets: rafce a folder with a picture below, fer2013 a link to a folder elsewhere."""
    raw = tmp_path / "raw"
    (raw / "rafce" / "original").mkdir(parents=True)
    (raw / "rafce" / "RAFCE_emolabel.txt").write_text("0001.jpg 5\n")
    (raw / "rafce" / "original" / "0001.jpg").write_bytes(b"picture")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "fer2013.csv").write_text("emotion,pixels,Usage\n")
    (raw / "fer2013").symlink_to(tmp_path / "elsewhere")
    return raw


def tree(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir())


EXPECTED = [".gitignore", "fer2013/fer2013.csv", "rafce/RAFCE_emolabel.txt", "rafce/original/0001.jpg"]


def test_real_folders_with_the_same_files(raw: Path, tmp_path: Path) -> None:
    out = combine(raw, NAMES)
    assert out == raw / "rafce+fer2013"
    assert tree(out) == EXPECTED
    assert not any(path.is_symlink() for path in out.rglob("*"))
    assert (out / "fer2013" / "fer2013.csv").samefile(tmp_path / "elsewhere" / "fer2013.csv")
    assert (out / ".gitignore").read_text() == "*\n"
    assert sorted(p.name for p in raw.iterdir()) == ["fer2013", "rafce", "rafce+fer2013"]


def test_nothing_is_touched_where_nothing_changed(raw: Path) -> None:
    out = combine(raw, NAMES)
    before = (out.stat().st_ino, (out / "rafce").stat().st_mtime_ns)
    combine(raw, NAMES)
    assert (out.stat().st_ino, (out / "rafce").stat().st_mtime_ns) == before


def test_files_that_came_went_or_changed(raw: Path) -> None:
    out = combine(raw, NAMES)
    (raw / "rafce" / "original" / "0002.jpg").write_bytes(b"new")
    (raw / "rafce" / "original" / "0001.jpg").unlink()
    labels = raw / "rafce" / "RAFCE_emolabel.txt"
    labels.unlink()
    labels.write_text("0002.jpg 3\n")  # a new file of the same name
    combine(raw, NAMES)
    assert tree(out) == [*EXPECTED[:3], "rafce/original/0002.jpg"]
    assert (out / "rafce" / "RAFCE_emolabel.txt").read_text() == "0002.jpg 3\n"
    assert sorted(p.name for p in raw.iterdir()) == ["fer2013", "rafce", "rafce+fer2013"]


def test_copies_where_links_are_impossible(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_link(*_: object) -> None:
        raise OSError("Invalid cross-device link")

    monkeypatch.setattr(module.os, "link", no_link)
    out = combine(raw, NAMES)
    copy = out / "rafce" / "original" / "0001.jpg"
    assert copy.read_bytes() == b"picture"
    assert not copy.samefile(raw / "rafce" / "original" / "0001.jpg")
    inode = out.stat().st_ino
    combine(raw, NAMES)
    assert out.stat().st_ino == inode, "a copy counts as up to date"
    (raw / "rafce" / "original" / "0001.jpg").write_bytes(b"PICTURE, larger")
    combine(raw, NAMES)
    assert copy.read_bytes() == b"PICTURE, larger"


def test_an_interruption_leaves_what_was_there(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = combine(raw, NAMES)
    (raw / "rafce" / "0002.jpg").write_bytes(b"new")

    def interrupt(source: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_link", interrupt)
    with pytest.raises(KeyboardInterrupt):
        combine(raw, NAMES)
    assert tree(out) == EXPECTED
    assert sorted(p.name for p in raw.iterdir()) == ["fer2013", "rafce", "rafce+fer2013"]


def test_links_inside_a_set_are_followed_and_loops_refused(raw: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "0003.jpg").write_bytes(b"far")
    (raw / "rafce" / "images").symlink_to(tmp_path / "disk")
    out = combine(raw, NAMES)
    assert (out / "rafce" / "images" / "0003.jpg").read_bytes() == b"far"
    assert not (out / "rafce" / "images").is_symlink()
    (raw / "rafce" / "original" / "up").symlink_to(raw / "rafce")
    with pytest.raises(DataError, match="leads back to it"):
        combine(raw, NAMES)
    (raw / "rafce" / "original" / "up").unlink()
    (raw / "rafce" / "lost.jpg").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DataError, match="leads nowhere"):
        combine(raw, NAMES)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("rafce",), "two different sets"),
        (("rafce", "rafce"), "two different sets"),
        (("rafce", "fer2031"), "Did you mean 'fer2013'"),
        (("rafce", "ferplus"), "ferplus does not exist"),
        (("rafce", "standin"), "not generated yet"),
    ],
)
def test_what_cannot_be_combined(raw: Path, names: tuple[str, ...], words: str) -> None:
    (raw / "standin").mkdir()
    (raw / "standin" / "README.txt").write_text("No stand-in was needed.\n")
    with pytest.raises((ConfigError, DataError), match=words):
        combine(raw, names)
    assert sorted(p.name for p in raw.iterdir()) == ["fer2013", "rafce", "standin"]


def test_an_empty_set_is_refused_with_the_files_it_should_hold(raw: Path) -> None:
    (raw / "ferplus").mkdir()
    with pytest.raises(FerError, match=r"is empty; expected there: .*fer2013new.csv"):
        combine(raw, ("rafce", "ferplus"))


def test_the_first_stage_combines_what_data_names(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("data: rafce+fer2013\n")
    result = CliRunner().invoke(generate.app, ["--out", str(raw / "standin")])
    assert result.exit_code == 0, result.output
    place = raw / "rafce+fer2013"
    assert sorted(path.name for path in place.iterdir()) == [".gitignore", "fer2013", "rafce"]
    one = next(path for path in (raw / "fer2013").rglob("*") if path.is_file())
    assert (place / "fer2013" / one.relative_to(raw / "fer2013")).samefile(one)


def test_the_first_stage_leaves_an_empty_folder_where_a_part_is_missing(tmp_path: Path, raw: Path) -> None:
    """DVC looks for it before ingest, which then says what belongs there."""
    (tmp_path / "params.yaml").write_text("data: rafce+ckplus\n")
    arguments = ["--out", str(raw / "standin"), "--params", str(tmp_path / "params.yaml")]
    assert CliRunner().invoke(generate.app, arguments).exit_code == 0
    assert list((raw / "rafce+ckplus").iterdir()) == []
