"""`fer datasets`, `check`, `unpack` and `combine` as typed: what they print, write and return."""

import json
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fer_core.datasets.registry import DATASETS
from stages.fer import app

CLASSES = ("happy", "sad")


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """RAF-CE's label files of four pictures, no pictures."""
    folder = tmp_path / "labels"
    folder.mkdir()
    (folder / "RAFCE_emolabel.txt").write_text("".join(f"000{k}.jpg {k % 2}\n" for k in range(1, 5)))
    (folder / "RAFCE_partition.txt").write_text("".join(f"000{k}.jpg {k % 2}\n" for k in range(1, 5)))
    (folder / "RAFCE_AUlabel.txt").write_text("0001.jpg 12\n0002.jpg null\n0003.jpg 1\n0004.jpg 12\n")
    return folder


def fer(*args: str | Path, rc: int = 0) -> str:
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    assert result.exit_code == rc, result.output
    return result.output


class TestDatasets:
    def test_every_set_with_all_that_is_known_in_100_columns(self) -> None:
        output = fer("datasets")
        lines = output.splitlines()
        assert all(len(line) <= 100 or len(line.split()) == 2 for line in lines)  # an address is never broken
        assert [line.split("  ")[0] for line in lines if line and line[0] != " "][:-1] == list(DATASETS)
        flat = " ".join(output.split())
        for entry in DATASETS.values():
            for text in (entry.info.title, entry.info.page, entry.info.obtain, entry.info.verified, *entry.info.files):
                assert " ".join(text.split()) in flat

    def test_one(self) -> None:
        output = fer("datasets", "rafce")
        assert "RAFCE_emolabel.txt" in output
        assert "FERPlus" not in output

    def test_an_unknown_one(self) -> None:
        assert "Did you mean 'rafdb'" in fer("datasets", "rafbd", rc=1)


class TestCheck:
    def test_labels_without_pictures(self, labels: Path, tmp_path: Path) -> None:
        output = fer("check", labels, "--json", tmp_path / "facts.json")
        assert max(len(line) for line in output.splitlines() if "ln -s" not in line) <= 100 or str(labels) in output
        assert "4 labels without pictures; that is valid" in output
        assert "AUs (annotated): 3 pictures annotated, 75.0 % of all" in output
        assert "AU12  2 (66.7%)" in output
        assert "data: rafce" in output
        assert f"ln -s {labels} data/raw/rafce" in output
        facts = json.loads((tmp_path / "facts.json").read_text())
        assert facts["counts"]["train"]["happily surprised"] == 2
        assert facts["problems"]

    def test_problems_are_no_failure_and_faulty_files_are(self, labels: Path) -> None:
        assert "problem" in fer("check", labels)
        (labels / "RAFCE_partition.txt").write_text("0001.jpg 7\n")
        assert "RAFCE_partition.txt, line 1" in fer("check", labels, rc=1)

    def test_one_label_file(self, labels: Path) -> None:
        output = fer("check", labels / "RAFCE_AUlabel.txt")
        assert "RAF-CE's AU labels" in output
        assert "3 of 4 pictures annotated" in output
        assert "splits: test 2, train 2" in fer("check", labels / "RAFCE_partition.txt")

    def test_a_table(self, tmp_path: Path) -> None:
        (tmp_path / "mine.csv").write_text("file,emotion\na.jpg,happy\nb.jpg,sad\nc.jpg,sad\nd.jpg,happy\n")
        for path in (tmp_path, tmp_path / "mine.csv"):
            output = fer("check", path)
            assert "sets: {table: {file: mine.csv, picture: file, label: emotion}}" in output
            assert "picture: `file`" in output

    def test_an_archive_is_listed_and_not_unpacked(self, labels: Path, tmp_path: Path) -> None:
        path = tmp_path / "set.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(labels / "RAFCE_emolabel.txt", "RAF/RAFCE_emolabel.txt")
        before = sorted(tmp_path.iterdir())
        output = fer("check", path)
        assert "RAF/  1 files" in output
        assert f"next: fer unpack {path} FOLDER" in output
        assert sorted(tmp_path.iterdir()) == before

    def test_nothing_recognised(self, tmp_path: Path) -> None:
        (tmp_path / "notes.md").write_text("hello")
        for path in (tmp_path, tmp_path / "notes.md"):
            assert "Looked for" in fer("check", path, rc=1)
        assert "does not exist" in fer("check", tmp_path / "none", rc=1)

    def test_as(self, labels: Path) -> None:
        assert "Did you mean 'rafce'" in fer("check", labels, "--as", "rafec", rc=1)
        assert "fer2013.csv" in fer("check", labels, "--as", "fer2013", rc=1)
        assert "RAFCE_AUlabel.txt is a file of this set" in fer("check", labels / "RAFCE_AUlabel.txt", "--as", "rafce")


class TestUnpack:
    def test_then_check(self, labels: Path, tmp_path: Path) -> None:
        path = tmp_path / "set.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for file in labels.iterdir():
                archive.write(file, f"RAF/{file.name}")
        output = fer("unpack", path, tmp_path / "out")
        assert "3 files" in output
        assert f"next: fer check {tmp_path / 'out' / 'RAF'}" in output
        told = fer("check", tmp_path / "out", rc=1)
        assert f"did you mean {tmp_path / 'out' / 'RAF'} (RAF-CE)?" in " ".join(told.split())

    def test_an_evil_one(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr("../evil.txt", "x")
        assert "leads out of the folder" in fer("unpack", tmp_path / "a.zip", tmp_path / "out", rc=1)
        assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]

    def test_ctrl_c(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("fer_core.datasets.archives.unpack", interrupt)
        assert "nothing was unpacked" in fer("unpack", tmp_path / "a.zip", tmp_path / "out", rc=130)


class TestCombine:
    def test_two_sets_by_name_or_as_data_says(self, labels: Path, tmp_path: Path) -> None:
        raw = tmp_path / "raw"
        (raw / "fer2013").mkdir(parents=True)
        (raw / "fer2013" / "fer2013.csv").write_text("emotion,pixels,Usage\n")
        (raw / "rafce").symlink_to(labels)
        assert "rafce+fer2013 is up to date" in fer("combine", "rafce", "fer2013", "--raw", raw)
        assert (raw / "rafce+fer2013" / "rafce" / "RAFCE_emolabel.txt").samefile(labels / "RAFCE_emolabel.txt")
        assert "up to date" in fer("combine", "rafce+fer2013", "--raw", raw)
        assert "ferplus does not exist" in fer("combine", "rafce", "ferplus", "--raw", raw, rc=1)
