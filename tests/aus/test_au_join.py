from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fer_core.aus.join import ALONE, REPLACED, WEAK, join, join_prototypes, without_aus
from fer_core.aus.labels import AuLabels
from fer_core.errors import DataError
from fer_core.manifest import without_clips


def manifest(train: int = 8) -> pd.DataFrame:
    split = ["train"] * train + ["validation"] * 2 + ["test"] * 3 + ["pool"]
    names = [f"{k:04d}" for k in range(len(split))]
    return without_clips(pd.DataFrame({"sample_id": names, "split": split, "drop_reason": None}))


def labels(table: pd.DataFrame, **aus: list[float]) -> AuLabels:
    values = pd.DataFrame(aus, index=table["sample_id"], dtype=np.float32)
    return AuLabels(values, lines=len(values), unannotated=int(values.isna().all(axis=1).sum()))


def column(table: pd.DataFrame, positive: set[int], missing: set[int] = frozenset()) -> list[float]:  # type: ignore[assignment]
    return [np.nan if k in missing else float(k in positive) for k in range(len(table))]


def test_columns_follow_sample_id_and_test_is_locked_away() -> None:
    table = manifest()
    source = labels(table, AU1=column(table, {0, 9, 11}, {2}), AU12=column(table, {1, 11, 12}, {2}))
    shuffled = AuLabels(source.table.iloc[::-1].drop(index="0003"), 13, 1)
    joined = join(table, shuffled)
    au1 = joined.manifest.set_index("sample_id")["AU1"]
    assert au1.dtype == np.float32
    assert au1.iloc[:2].tolist() == [1, 0]
    assert au1.iloc[[2, 3]].isna().all(), "null and unlisted both mean not annotated"
    assert au1.iloc[10:].isna().all(), "test and pool"
    assert joined.test_aus["sample_id"].tolist() == ["0010", "0011", "0012"]
    assert joined.test_aus["AU12"].tolist() == [0, 1, 1]
    report = joined.report
    assert report["names"] == ["AU1", "AU12"]
    assert report["positives"]["train"] == {"AU1": 1, "AU12": 1}
    assert report["coverage"]["train"] == pytest.approx(6 / 8)
    assert report["null_share"] == pytest.approx(2 / 8)


def test_an_au_without_a_positive_is_a_parser_fault_in_a_large_train_split() -> None:
    table = manifest(train=500)
    source = labels(table, AU1=column(table, {0}), AU12=column(table, {501, 503}))
    with pytest.raises(DataError, match="AU12: no positive among 500 annotated train pictures"):
        join(table, source)


def test_an_au_without_a_positive_is_left_out_and_noted_in_a_small_one() -> None:
    table = manifest(train=499)
    source = labels(table, AU1=column(table, {0}), AU12=column(table, {500, 502}))
    joined = join(table, source)
    assert joined.report["names"] == ["AU1"]
    assert "AU12" not in joined.manifest.columns
    assert "AU12" not in joined.test_aus.columns
    assert joined.report["notes"] == ["AU labels: AU12 left out, no positive among 499 annotated train pictures"]


def test_a_dropped_row_lends_no_positive() -> None:
    table = manifest()
    table.loc[0, "drop_reason"] = "picture does not decode"
    source = labels(table, AU1=column(table, {0}), AU12=column(table, {1}))
    assert join(table, source).report["left_out"] == ["AU1"]


def test_zeros_everywhere_nulls_everywhere_and_foreign_names_are_always_refused() -> None:
    table = manifest()
    nothing, everything = column(table, set()), column(table, set(), set(range(14)))
    with pytest.raises(DataError, match="AU1, AU12: no positive among 8"):
        join(table, labels(table, AU1=nothing, AU12=nothing))
    with pytest.raises(DataError, match="No train picture has AU labels"):
        join(table, labels(table, AU1=everything))
    foreign = labels(table, AU1=column(table, {0}))
    foreign.table.index = "x" + foreign.table.index
    with pytest.raises(DataError, match="No AU label belongs to a picture: labels name 'x0000'"):
        join(table, foreign)


def test_a_set_without_aus_passes_through() -> None:
    table = manifest()
    joined = without_aus(table)
    assert joined.manifest.equals(table)
    assert joined.report == {"names": [], "intensities": [], "weak": False, "notes": []}
    assert without_aus(table, ALONE).report["notes"] == [ALONE]
    assert joined.test_aus.columns.tolist() == ["sample_id"]
    assert joined.test_aus.empty


def strengths(table: pd.DataFrame, **aus: list[float]) -> pd.DataFrame:
    return pd.DataFrame(aus, index=table["sample_id"], dtype=np.float32)


def test_intensities_follow_sample_id_and_those_of_test_are_locked_away() -> None:
    table = manifest()
    source = labels(table, AU1=column(table, {0, 9, 11}), AU12=column(table, {1, 11, 12}))
    known = strengths(table, AU12=[np.nan, *[2.5] * 13], AU19=[1.0] * 14, AU1=[0.0] * 10 + [4.0] * 4)
    joined = join(table, replace(source, intensities=known.iloc[::-1].drop(index=["0003", "0012"])))
    columns = joined.manifest.columns.tolist()
    assert columns == [*table.columns, "AU1", "AU12", "AU12_intensity"]
    values = joined.manifest["AU12_intensity"]
    assert values.dtype == np.float32
    assert values.isna().tolist() == [k in (0, 3, *range(10, 14)) for k in range(14)], "unknown, unlisted, test, pool"
    assert values[1] == 2.5
    assert joined.test_aus.columns.tolist() == ["sample_id", "AU1", "AU12", "AU12_intensity"]
    assert joined.test_aus["AU12_intensity"].fillna(-1).tolist() == [2.5, 2.5, -1]
    report = joined.report
    assert report["names"] == ["AU1", "AU12"]
    assert report["intensities"] == ["AU12"]
    assert report["intensity_coverage"] == pytest.approx(6 / 8)
    assert report["intensities_outside_vocabulary"] == {"AU19": 12}
    assert report["notes"] == ["AU intensities: AU1 left out, none above 0 among train pictures"]
    assert report["weak"] is False


def test_intensities_of_an_au_that_left_the_vocabulary_go_with_it() -> None:
    table = manifest()
    source = labels(table, AU1=column(table, {0}), AU12=column(table, {9}))
    joined = join(table, replace(source, intensities=strengths(table, AU1=[3.0] * 14, AU12=[1.0] * 14)))
    assert joined.report["intensities"] == ["AU1"]
    assert "AU12_intensity" not in joined.manifest.columns
    assert len(joined.report["notes"]) == 1
    assert join(table, source).report["intensities"] == []


def test_intensities_of_other_pictures_are_refused() -> None:
    table = manifest()
    known = strengths(table, AU1=[1.0] * 14)
    known.index = "x" + known.index
    with pytest.raises(DataError, match="No AU intensity belongs to a picture: labels name 'x0000'"):
        join(table, replace(labels(table, AU1=column(table, {0})), intensities=known))


def emotional(emotions: Sequence[int | None]) -> pd.DataFrame:
    table = manifest()
    table["emotion"] = pd.Series([*emotions, 0, 0, None, None, None, None], dtype="Int16")
    return table


CLASSES = ("sadly angry", "happily surprised", "neutral")


def test_prototypes_label_train_pictures_and_nothing_else() -> None:
    joined = join_prototypes(emotional([0, 1, 2, None, 1, 0, 0, 0]), CLASSES)
    names = ["AU1", "AU2", "AU4", "AU12", "AU15", "AU25"]
    table = joined.manifest
    assert joined.report["names"] == names
    assert table[names].iloc[:3].to_numpy().tolist() == [[0, 0, 1, 0, 1, 0], [1, 1, 0, 1, 0, 1], [0] * 6]
    assert table.loc[[3, *range(8, 14)], names].isna().all(axis=None), "no emotion, validation, test, pool"
    assert all(table[name].dtype == np.float32 for name in names)
    assert joined.test_aus.columns.tolist() == ["sample_id", *names]
    assert joined.test_aus["sample_id"].tolist() == ["0010", "0011", "0012"]
    assert joined.test_aus[names].isna().all(axis=None), "no AU-F1 against weak labels"
    report = joined.report
    assert (report["weak"], report["intensities"], report["notes"]) == (True, [], [WEAK])
    assert report["coverage"] == {"train": pytest.approx(7 / 8), "validation": 0.0}
    assert report["positives"]["train"]["AU4"] == 4
    assert join_prototypes(emotional([0] * 8), CLASSES[:1], replaced=True).report["notes"] == [WEAK, REPLACED]


def test_prototypes_of_classes_that_train_lacks_are_left_out() -> None:
    table = emotional([0] * 7 + [1])
    table.loc[7, "drop_reason"] = "picture does not decode"
    joined = join_prototypes(table, CLASSES)
    assert joined.report["names"] == ["AU4", "AU15"]
    assert joined.report["left_out"] == ["AU1", "AU2", "AU12", "AU25"]
    assert "AU1, AU2, AU12, AU25 left out, no positive among 7 train pictures" in joined.report["notes"][1]
    with pytest.raises(DataError, match="`au_labels: prototypes`; got 8 usable train pictures without one"):
        join_prototypes(emotional([2] * 8), CLASSES)


def test_prototypes_need_classes_that_the_table_knows() -> None:
    with pytest.raises(DataError, match=r"`au_labels: prototypes` knows .*; got the class 'bored'"):
        join_prototypes(emotional([0] * 8), (*CLASSES, "bored"))


def with_clips(table: pd.DataFrame) -> pd.DataFrame:
    """Put three frames of a train clip before the rows, and one of a test clip behind them."""
    frames = pd.DataFrame({"sample_id": [f"clips/a/{k}" for k in range(3)], "split": "train", "drop_reason": None})
    frames = frames.assign(clip_id="clips/a", frame=pd.array(range(3), dtype="Int16"))
    last = frames[:1].assign(sample_id="clips/b/0", split="test", clip_id="clips/b")
    return pd.concat([frames, table, last], ignore_index=True)


def test_frames_of_clips_have_no_aus_and_count_nowhere() -> None:
    table = manifest()
    source = labels(table, AU1=column(table, {0, 9, 11}, {2}), AU12=column(table, {1, 11, 12}, {2}))
    strong = pd.DataFrame({"AU1": column(table, {0, 9})}, index=table["sample_id"])
    source = replace(source, intensities=strong)
    plain, joined = join(table, source), join(with_clips(table), source)
    assert joined.report == plain.report, "neither covered nor missing"
    pd.testing.assert_frame_equal(joined.test_aus, plain.test_aus)
    aus = ["AU1", "AU12", "AU1_intensity"]
    inside = joined.manifest["clip_id"].notna()
    assert joined.manifest.loc[inside, aus].isna().all(axis=None)
    pd.testing.assert_frame_equal(joined.manifest.loc[~inside, aus].reset_index(drop=True), plain.manifest[aus])


def test_prototypes_are_none_of_clips() -> None:
    table = manifest().assign(emotion=pd.array([0] * 14, dtype="Int16"))
    both = with_clips(table)
    both["emotion"] = both["emotion"].fillna(0).astype("Int16")
    plain, joined = join_prototypes(table, ["happiness"]), join_prototypes(both, ["happiness"])
    assert joined.report == plain.report
    inside = joined.manifest["clip_id"].notna()
    assert joined.manifest.loc[inside, joined.report["names"]].isna().all(axis=None)
