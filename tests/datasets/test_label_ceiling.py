"""The ceiling of labels alone: made-up files whose answer is known, RAF-CE's where they are, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score
from statsmodels.stats.proportion import proportion_confint
from typer.testing import CliRunner

from fer_core.datasets.label_ceiling import LEAVES, LabelCeiling, best_leaf, label_ceilings, text_table
from fer_core.errors import DataError
from stages.fer import app

REAL = Path(__file__).parents[3] / "shared/data/rafce_labels"
CLASSES, TRAIN, TEST = 3, 60, 24
AU_OF_CLASS = {0: ("12", "L12"), 1: ("4", "R4"), 2: ("1+2", "L1+2")}


def write(folder: Path, null_test: int = 0) -> Path:
    """Classes 0, 1 and 2 (0 twice as often); train shows an AU on both sides, test on one; votes say nothing."""
    labels = [(k % 4) % CLASSES for k in range(TRAIN + TEST)]
    names = [f"{k:04d}.jpg" for k in range(TRAIN + TEST)]
    split = [2 if k % 6 == 5 else 0 for k in range(TRAIN)] + [1] * TEST
    aus = [AU_OF_CLASS[label][k >= TRAIN] for k, label in enumerate(labels)]
    aus[TRAIN : TRAIN + null_test] = ["null"] * null_test
    for name, column in {
        "RAFCE_emolabel": labels,
        "RAFCE_partition": split,
        "RAFCE_AUlabel": aus,
        "rafml_distribution": ["0.5 0.5 0 0 0 0"] * len(names),
    }.items():
        text = "".join(f"{key} {value}\n" for key, value in zip(names, column, strict=True))
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    return folder


def test_aus_tell_the_class_whatever_side_and_votes_that_say_nothing_do_not(tmp_path: Path) -> None:
    largest, aus, votes = label_ceilings(write(tmp_path), range(2), trees=20)
    assert [row.features for row in (largest, aus, votes)] == ["largest class", "AU labels", "votes"]
    assert aus.accuracy == aus.uar == aus.macro_f1 == 1.0, "test's L12 is train's 12"
    assert largest.accuracy == votes.accuracy == 0.5, "class 0 is half of the faces"
    assert (aus.n_features, votes.n_features, largest.n_features) == (22, 6, 0)
    assert (aus.n_train, aus.n_test, aus.left_out, aus.classes_present) == (TRAIN, TEST, 0, 3)
    assert (aus.seeds, aus.accuracy_sd, largest.seeds, largest.accuracy_sd) == (2, 0.0, 1, None)
    truth, guess = np.arange(TEST) % 4 % CLASSES, np.zeros(TEST, int)
    assert largest.uar == pytest.approx(balanced_accuracy_score(truth, guess))
    assert largest.macro_f1 == pytest.approx(f1_score(truth, guess, average="macro", zero_division=0))


def test_faces_without_aus_are_left_out_and_counted(tmp_path: Path) -> None:
    largest, aus, votes = label_ceilings(write(tmp_path, null_test=4), [0], trees=20)
    assert (aus.n_train, aus.n_test, aus.left_out) == (TRAIN, TEST - 4, 4)
    assert aus.accuracy == 1.0, "null is not 'no AU'"
    assert (largest.n_test, votes.n_test, votes.left_out) == (TEST, TEST, 0)


def test_the_interval_is_wilsons(tmp_path: Path) -> None:
    votes = label_ceilings(write(tmp_path), [0], trees=5)[2]
    low, high = proportion_confint(TEST // 2, TEST, method="wilson")
    assert (votes.accuracy_low, votes.accuracy_high) == pytest.approx((low, high))


def test_no_test_face_is_learnt_from(tmp_path: Path) -> None:
    """Votes that no two faces share, and classes by lot: a forest knows by heart what it learnt from, and only that."""
    folder, rng = write(tmp_path), np.random.default_rng(0)
    for name, values in {
        "RAFCE_emolabel": [str(rng.integers(0, CLASSES)) for _ in range(TRAIN + TEST)],
        "rafml_distribution": [" ".join(f"{vote:.6f}" for vote in rng.random(6)) for _ in range(TRAIN + TEST)],
    }.items():
        text = "".join(f"{k:04d}.jpg {value}\n" for k, value in enumerate(values))
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    assert label_ceilings(folder, [0], trees=50)[2].accuracy < 0.6, "learnt from, it would be near 1"


def test_the_same_seed_gives_the_same_numbers(tmp_path: Path) -> None:
    assert label_ceilings(write(tmp_path), [3], trees=5) == label_ceilings(tmp_path, [3], trees=5)


def test_leaves_are_larger_where_the_same_labels_stand_beside_several_classes() -> None:
    rng = np.random.default_rng(0)
    known = rng.integers(0, 2, (400, 8)).astype(float)
    noisy = np.where(rng.random(400) < 0.35, rng.integers(0, 3, 400), known[:, 0].astype(int))
    assert best_leaf(known, noisy, trees=50) > LEAVES[0]
    assert best_leaf(known, known[:, 0].astype(int), trees=50) == LEAVES[0], "the smallest of equals"


def test_one_of_the_two_files_is_enough(tmp_path: Path) -> None:
    (write(tmp_path) / "RAFCE_AUlabel.txt").unlink()
    assert [row.features for row in label_ceilings(tmp_path, [0], trees=5)] == ["largest class", "votes"]


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere does not exist; expected there, as RAF-CE publishes them: RAFCE_emo"):
        label_ceilings(tmp_path / "nowhere")
    write(tmp_path)
    for name in ("RAFCE_AUlabel.txt", "rafml_distribution.txt"):
        (tmp_path / name).unlink()
    with pytest.raises(
        DataError, match=r"lacks RAFCE_AUlabel\.txt and rafml_distribution\.txt; .* data/raw/README\.md"
    ):
        label_ceilings(tmp_path)
    (tmp_path / "RAFCE_partition.txt").unlink()
    with pytest.raises(DataError, match=r"lacks RAFCE_partition\.txt"):
        label_ceilings(tmp_path)


def test_broken_files_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path) / "RAFCE_AUlabel.txt"
    whole = path.read_text()
    path.write_text(whole.replace("0002.jpg 1+2", "0002.jpg 1+99"), encoding="utf-8")
    with pytest.raises(DataError, match=r"RAFCE_AUlabel\.txt, line 3: expected AUs .*'99' is no AU"):
        label_ceilings(tmp_path)
    path.write_text("\n".join(f"{k:04d}.jpg null" for k in range(TRAIN + TEST)), encoding="utf-8")
    with pytest.raises(DataError, match=r"RAFCE_AUlabel\.txt: expected AU labels of faces in train or validation"):
        label_ceilings(tmp_path, [0], trees=5)
    path.write_text(whole, encoding="utf-8")
    split = tmp_path / "RAFCE_partition.txt"
    split.write_text("".join(f"{k:04d}.jpg 0\n" for k in range(TRAIN + TEST)), encoding="utf-8")
    with pytest.raises(DataError, match=r"faces in test; got none"):
        label_ceilings(tmp_path, [0], trees=5)
    split.write_text("0000.jpg 0\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"RAFCE_partition\.txt has no line for picture 0001 \(83 pictures like it\)"):
        label_ceilings(tmp_path)


def test_the_table() -> None:
    row = LabelCeiling("AU labels", 22, 3454, 844, 251, 0.4953, 0.462, 0.529, 0.0019, 0.264, 0.262, 14, 3, 5)
    text = text_table([row])
    cells = " ".join(text.splitlines()[1].split())
    assert cells == "AU labels 22 3454 844 49.5 [46.2, 52.9] 0.19 26.4 26.2 251"
    assert "over 5 seeds" in text
    assert max(map(len, text.splitlines())) <= 100


def test_the_command(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    result = CliRunner().invoke(
        app, ["ceiling", str(write(tmp_path)), "--seeds", "1", "--trees", "5", "--json", str(out)]
    )
    assert result.exit_code == 0, result.output
    assert "AU labels" in result.output
    assert '"features": "votes"' in out.read_text()
    wrong = CliRunner().invoke(app, ["ceiling", str(tmp_path / "nowhere")])
    assert wrong.exit_code == 1
    assert "does not exist" in wrong.output


@pytest.mark.slow
@pytest.mark.skipif(not (REAL / "RAFCE_AUlabel.txt").is_file(), reason=f"RAF-CE's label files are not at {REAL}")
def test_raf_ce() -> None:
    """Half of RAF-CE's faces are beyond the coders' AUs; the votes define the class."""
    largest, aus, votes = label_ceilings(REAL, [0], trees=200)
    assert (aus.n_train, aus.n_test, aus.left_out) == (3454, 844, 251)
    assert (votes.n_train, votes.n_test, votes.left_out) == (3640, 909, 0)
    assert 0.48 <= aus.accuracy <= 0.54
    assert votes.accuracy > 0.96
    assert largest.accuracy == pytest.approx(0.213, abs=0.001)
