"""What is guessed and told of a folder, a table and a label file, against counts made by hand."""

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from made_up_sets import jpeg, write, write_rafce

from fer_core.datasets.guess import near, recognise, set_of_file
from fer_core.datasets.guess_table import guess_table, options_of
from fer_core.datasets.inspect import inspect
from fer_core.datasets.inspect_table import inspect_table
from fer_core.datasets.label_files import FORMS, form_of
from fer_core.datasets.safe_paths import ENDINGS
from fer_core.errors import ConfigError, DataError

REAL = Path(__file__).parents[3] / "shared" / "data" / "rafce_labels"


def write_faces(folder: Path, counts: dict[str, int], size: int = 20) -> Path:
    """Write `counts[happy]` different pictures into happy/ and so on."""
    for k, (name, count) in enumerate(counts.items()):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            picture = np.full((size, size, 3), 9 * number + k, np.uint8)
            picture[: k + 1, :] = 255 - number
            cv2.imwrite(str(folder / name / f"{number:03d}.png"), picture)
    return folder


@pytest.mark.parametrize("ending", [*ENDINGS, ".WEBP"])
def test_a_folder_of_any_picture_that_is_read_is_recognised(tmp_path: Path, ending: str) -> None:
    for name in ("happy", "sad"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"1{ending}").write_bytes(b"x")
    assert recognise(tmp_path) == ["folder"]


class TestAFolder:
    def test_counts_of_a_published_set(self, tmp_path: Path) -> None:
        """made_up_sets: 4 train, 2 validation, 2 test of each of 14 classes, all with a picture."""
        folder = write_rafce(tmp_path / "anything")
        write(folder / "RAFCE_subject.txt", ["0001.jpg s1", "0002.jpg s1"])
        facts = inspect(folder)
        assert (facts["data"], facts["title"], facts["rows"]) == ("rafce", "RAF-CE", 112)
        assert facts["pictures"] == {"there": 112, "missing": 0}
        assert {split: set(of.values()) for split, of in facts["counts"].items()} == {
            "train": {4},
            "validation": {2},
            "test": {2},
        }
        assert facts["imbalance"] == 1.0
        assert facts["nulls"] == {"subject": 110, "votes": 112, "landmarks": 112, "box": 112}
        assert facts["files"]["RAFCE_subject.txt"] == "who it is, a picture"
        assert facts["sizes"]["width"] == facts["sizes"]["height"] == [20, 20, 20]
        assert facts["params"][0] == "data: rafce"
        assert "folds" not in " ".join(facts["params"])
        assert facts["place"] == f"ln -s {folder} data/raw/rafce"
        json.dumps(facts, allow_nan=False)

    def test_labels_without_pictures(self, tmp_path: Path) -> None:
        facts = inspect(write_rafce(tmp_path / "set", pictures=False))
        assert facts["labels_only"]
        assert facts["pictures"] == {"there": 0, "missing": 112}
        assert sum(facts["counts"]["train"].values()) == 56
        assert facts["sizes"] is None
        assert facts["notes"][0].startswith("labels without pictures: valid")
        assert not any("missing" in problem for problem in facts["problems"])

    def test_missing_repeated_and_broken_pictures(self, tmp_path: Path) -> None:
        folder = write_rafce(tmp_path / "set")
        pictures = folder / "original"
        (pictures / "0003.jpg").unlink()
        (pictures / "0005.jpg").write_bytes((pictures / "0004.jpg").read_bytes())
        (pictures / "0006.jpg").write_bytes((pictures / "0006.jpg").read_bytes()[:200])
        facts = inspect(folder)
        problems = facts["problems"]
        assert facts["params"][1].startswith("leakage: drop")
        assert problems[0] == "1 of 112 pictures are missing, the first is 0003.jpg"
        assert "1 of 111 pictures looked at cannot be read: 0006" in problems
        assert "1 of 111 pictures looked at repeat another's bytes: 0004 = 0005" in problems

    def test_aus_of_which_null_is_no_absence(self, tmp_path: Path) -> None:
        """Of four lines one is null: AU12 is shown by 2 of 3, by one of them on the left only."""
        folder = write_rafce(tmp_path / "set")
        lines = ["0001.jpg 1+12", "0002.jpg L12", "0003.jpg 4", "0004.jpg null"]
        write(folder / "RAFCE_AUlabel.txt", lines)
        aus = inspect(folder)["aus"]["annotated"]
        assert aus["active"]["AU12"] == {"annotated": 3, "positive": 2}
        assert aus["active"]["AU1"] == {"annotated": 3, "positive": 1}
        assert aus["annotated"] == 3
        assert aus["coverage"] == pytest.approx(3 / 112)

    def test_a_folder_per_class_and_small_classes(self, tmp_path: Path) -> None:
        facts = inspect(write_faces(tmp_path / "mine", {"happy": 12, "sad": 3}))
        assert facts["data"] == "folder"
        assert facts["counts"] == {"no split": {"happiness": 12, "sadness": 3}}
        assert facts["imbalance"] == 4.0
        assert facts["problems"] == ["it has no split: set `folds`", "classes with fewer than 10 pictures: sadness 3"]
        assert [line.split("#")[0].rstrip() for line in facts["params"]] == [
            "data: folder",
            "folds: 5",
            "align:",
            "  detector: none",
        ]

    def test_train_and_test_only(self, tmp_path: Path) -> None:
        for split in ("train", "test"):
            write_faces(tmp_path / "mine" / split, {"happy": 10, "sad": 10})
        facts = inspect(tmp_path / "mine")
        assert facts["problems"][0] == "no validation split: `hold_out` takes a share of train"
        assert facts["params"][1].startswith("hold_out: 0.15")

    def test_pictures_of_many_sizes_want_a_detector(self, tmp_path: Path) -> None:
        write_faces(tmp_path / "mine", {"happy": 10, "sad": 10})
        (tmp_path / "mine" / "sad" / "x.jpg").write_bytes(jpeg(3, 90))
        assert inspect(tmp_path / "mine")["params"][-1].startswith("  detector: none"), "square and small"
        (tmp_path / "mine" / "sad" / "x.jpg").write_bytes(jpeg(3, 190))
        facts = inspect(tmp_path / "mine")
        assert facts["sizes"]["width"] == [20, 20, 190]
        assert facts["params"][-1].startswith("  detector: mtcnn")

    def test_the_sample_is_small_and_spread(self, tmp_path: Path) -> None:
        from fer_core.datasets.folder import read
        from fer_core.datasets.inspect_pictures import look_at

        published = read(write_faces(tmp_path / "mine", {"happy": 14, "sad": 13}), {})
        seen: list[str] = []
        spied = published.pictures

        def pictures(rows: pd.DataFrame):  # type: ignore[no-untyped-def]
            seen.extend(rows["sample_id"])
            return spied(rows)

        object.__setattr__(published, "pictures", pictures)
        assert look_at(published, most=5)["sampled"] == 5
        assert (seen[0], seen[-1], len(set(seen))) == ("happy/000", "sad/012", 5)

    def test_an_unknown_name(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="Did you mean 'rafce'"):
            inspect(tmp_path, "rafec")

    def test_another_set_than_asked_for(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"RAFCE_emolabel\.txt"):
            inspect(write_faces(tmp_path / "mine", {"happy": 2}), "rafce")


class TestTheGuess:
    def test_of_several_the_first_in_the_registry(self, tmp_path: Path) -> None:
        (tmp_path / "fer2013.csv").touch()
        assert recognise(tmp_path)[0] == "fer2013"
        (tmp_path / "fer2013new.csv").touch()
        assert recognise(tmp_path)[:2] == ["ferplus", "fer2013"]
        (tmp_path / "labels.csv").touch()
        assert recognise(tmp_path) == ["ferplus", "fer2013", "table"]

    def test_one_level_up_or_down(self, tmp_path: Path) -> None:
        folder = write_rafce(tmp_path / "outer" / "set")
        assert near(tmp_path / "outer") == [(folder, "rafce")]
        assert near(folder / "original")[0] == (folder, "rafce")
        with pytest.raises(DataError, match=rf"did you mean {tmp_path / 'outer' / 'set'} \(RAF-CE\)"):
            inspect(tmp_path / "outer")
        with pytest.raises(DataError, match=rf"did you mean {folder} \(RAF-CE\)"):
            inspect(folder / "original")

    def test_one_class_of_a_folder_of_classes(self, tmp_path: Path) -> None:
        mine = write_faces(tmp_path / "mine", {"happy": 2, "sad": 2})
        with pytest.raises(DataError, match=rf"did you mean {mine} \(Folders of pictures\)"):
            inspect(mine / "happy")

    def test_a_published_set_below_what_looks_like_classes(self, tmp_path: Path) -> None:
        """Pictures beside RAF-CE's labels make its folder look like a class of the folder above."""
        folder = write_rafce(tmp_path / "outer" / "set")
        (folder / "0001.jpg").write_bytes(jpeg(1))
        with pytest.raises(DataError, match=rf"holds a data set; did you mean {folder} .*--as folder"):
            inspect(tmp_path / "outer")
        assert inspect(tmp_path / "outer", "folder")["data"] == "folder"

    def test_a_published_set_above_what_looks_like_classes(self, tmp_path: Path) -> None:
        folder = write_rafce(tmp_path / "set")
        write_faces(folder / "Image", {"original": 2, "aligned": 2})
        facts = inspect(folder / "Image")
        assert facts["data"] == "folder"
        assert facts["problems"][0] == f"did you mean {folder} (RAF-CE)?"

    def test_nothing_recognised_lists_what_was_looked_for_and_found(self, tmp_path: Path) -> None:
        (tmp_path / "notes.md").touch()
        with pytest.raises(DataError, match=r"rafce: RAFCE_emolabel\.txt; .*Found notes\.md"):
            inspect(tmp_path)

    def test_a_file_that_marks_its_folder(self, tmp_path: Path) -> None:
        (tmp_path / "fer2013.csv").touch()
        (tmp_path / "other.csv").touch()
        assert set_of_file(tmp_path / "fer2013.csv") == "fer2013"
        assert set_of_file(tmp_path / "other.csv") is None


class TestATable:
    def test_columns_by_name(self, tmp_path: Path) -> None:
        lines = ["path,emotion,usage,person,age", "images/a.jpg,happy,train,p1,31.5", "images/b.jpg,sad,test,p1,20.5"]
        write(tmp_path / "my.csv", lines)
        guess = guess_table(tmp_path / "my.csv")
        assert guess.mapping == {"picture": "path", "label": "emotion", "split": "usage", "subject": "person"}
        assert guess.classes == {"happy": 1, "sad": 1}

    def test_columns_by_values(self, tmp_path: Path) -> None:
        lines = [
            "x1;x2;x3",
            *(f"pics/{k}.png;{'Happy' if k % 2 else 'Anger'};{'Train' if k < 6 else 'val'}" for k in range(8)),
        ]
        write(tmp_path / "my.csv", lines)
        assert guess_table(tmp_path / "my.csv").mapping == {"picture": "x1", "label": "x2", "split": "x3"}

    def test_a_split_that_is_none_in_a_late_row(self, tmp_path: Path) -> None:
        lines = ["file,label,Usage", *(f"{k}.png,{k % 2},Training" for k in range(2500)), "x.png,0,PublicTest"]
        write(tmp_path / "my.csv", lines)
        guess = guess_table(tmp_path / "my.csv")
        assert "split" not in guess.mapping
        assert guess.problems == (
            "column `Usage` looks like a split, but PublicTest, Training are not all words for splits",
        )

    def test_numbers_want_names_and_the_folder_of_the_pictures_is_found(self, tmp_path: Path) -> None:
        (tmp_path / "img").mkdir()
        (tmp_path / "other").mkdir()
        for k in range(4):
            (tmp_path / "img" / f"{k}.jpg").write_bytes(jpeg(50 * k))
        write(tmp_path / "labels.csv", ["image,label", *(f"{k}.jpg,{1 + k % 2}" for k in range(4))])
        options = options_of(guess_table(tmp_path / "labels.csv"), tmp_path)
        assert options == {
            "file": "labels.csv",
            "folder": "img",
            "picture": "image",
            "label": "label",
            "classes": {1: "class 1", 2: "class 2"},
        }
        facts = inspect_table(tmp_path)
        assert facts["pictures"] == {"there": 4, "missing": 0}
        assert facts["problems"][0].startswith("labels are numbers (1, 2)")
        assert (
            "sets: {table: {file: labels.csv, folder: img, picture: image, label: label, "
            "classes: {1: class 1, 2: class 2}}}" in facts["params"]
        )

    def test_the_lines_printed_are_yaml_that_reads_the_table(self, tmp_path: Path) -> None:
        import yaml

        write(tmp_path / "labels.csv", ["image: file,label", "a.jpg,happy", "b.jpg,sad", "c.jpg,happy", "d.jpg,sad"])
        facts = inspect_table(tmp_path / "labels.csv")
        params = yaml.safe_load("\n".join(facts["params"]))
        assert params["sets"] == {"table": {"file": "labels.csv", "picture": "image: file", "label": "label"}}
        assert inspect(tmp_path, params["data"], params["sets"]["table"])["rows"] == 4

    def test_a_table_without_pictures_or_labels(self, tmp_path: Path) -> None:
        write(tmp_path / "my.csv", ["height,width", "1.5,2.5", "3.25,1.75"])
        facts = inspect_table(tmp_path / "my.csv")
        assert facts["problems"] == [
            "no column looks like the picture; name it in `sets.table.picture`",
            "no column looks like the label; name it in `sets.table.label`",
        ]
        assert "counts" not in facts

    def test_parquet_with_pictures_inside(self, tmp_path: Path) -> None:
        table = pd.DataFrame({"name": ["a.png", "b.png"], "label": ["happy", "sad"], "image": [b"1", b"2"]})
        table.to_parquet(tmp_path / "my.parquet")
        guess = guess_table(tmp_path / "my.parquet")
        assert guess.mapping == {"picture": "name", "label": "label"}
        assert guess.columns == ("name", "label", "image")

    def test_a_row_the_adapter_refuses_is_a_problem(self, tmp_path: Path) -> None:
        write(tmp_path / "labels.csv", ["image,label", "../a.jpg,happy", "b.jpg,sad", "c.jpg,sad", "d.jpg,happy"])
        facts = inspect_table(tmp_path)
        assert "line 2" in facts["problems"][-1]
        assert "../a.jpg" in facts["problems"][-1]


class TestALabelFile:
    @pytest.mark.parametrize(
        ("lines", "title", "key", "value"),
        [
            (["1.jpg 0", "2.jpg 2"], "RAF-CE's partition", "splits", {"train": 1, "validation": 1}),
            (["1.jpg 0", "2.jpg 13"], "RAF-CE's emotion labels", "rows", 2),
            (["1.jpg 1+4", "2.jpg null"], "RAF-CE's AU labels", "rows", 2),
            (["1.jpg 1 0 0 0 0 1"], "votes over six", "rows", 1),
            (["1.jpg 1 2 3 4 5 6 7 8 9 10"], "five landmarks", "rows", 1),
        ],
    )
    def test_by_content(self, tmp_path: Path, lines: list[str], title: str, key: str, value: object) -> None:
        write(tmp_path / "renamed (1).txt", lines)
        form = form_of(tmp_path / "renamed (1).txt")
        assert form is not None
        assert form.title.startswith(title)
        assert "by its content" in form.title
        assert form.read(tmp_path / "renamed (1).txt")[key] == value

    def test_neither_by_name_nor_by_content(self, tmp_path: Path) -> None:
        write(tmp_path / "a.txt", ["hello world"])
        assert form_of(tmp_path / "a.txt") is None

    def test_a_faulty_line_of_a_known_file(self, tmp_path: Path) -> None:
        write(tmp_path / "RAFCE_partition.txt", ["1.jpg 0", "2.jpg 3"])
        form = form_of(tmp_path / "RAFCE_partition.txt")
        assert form is not None
        with pytest.raises(DataError, match="line 2"):
            form.read(tmp_path / "RAFCE_partition.txt")


@pytest.mark.skipif(not REAL.is_dir(), reason="the published label files of RAF-CE are not beside the repository")
class TestTheRealLabelFiles:
    def test_the_folder(self) -> None:
        facts = inspect(REAL)
        known = json.loads((REAL / "statistics.json").read_text(encoding="utf-8"))
        assert facts["data"] == "rafce"
        assert facts["labels_only"]
        assert facts["counts"] == known["counts"]
        assert "not known" not in facts["files"].values()
        assert facts["imbalance"] == 97.0  # 582 of the largest, 6 of the smallest
        assert facts["problems"] == ["classes with fewer than 10 train pictures: happily fearful 6"]

    @pytest.mark.parametrize("name", [path.name for path in sorted(REAL.glob("*"))] or ["none"])
    def test_every_file_is_understood(self, name: str) -> None:
        form = form_of(REAL / name)
        assert form is FORMS[name]
        assert form.read(REAL / name)["rows"] == (4908 if name.startswith("rafml") else 4549)
