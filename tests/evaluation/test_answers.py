"""One row a test face or clip, with every predictor's answer."""

import numpy as np
import pandas as pd
import pytest

from fer_core.errors import DataError
from fer_core.evaluation.answers import answer_table, read_subjects
from fer_core.evaluation.predictions import Truth


def truth(*ids: str, labels: list[int]) -> Truth:
    return Truth("test", list(ids), np.array(labels), None, np.zeros((len(ids), 0)), [], 0)


TRUTHS = {"still": truth("0001", "0002", labels=[0, 1]), "clip": truth("clips/7", labels=[2])}
ANSWERS = {"still": {"train/baseline": np.array([1, 1])}, "clip": {"clips/lstm": np.array([2])}}


def test_hand_worked(tmp_path):
    table = answer_table(TRUTHS, ANSWERS, {"0002": "s2", "clips/7": "s9"})
    path = tmp_path / "faces.parquet"
    table.to_parquet(path, index=False)
    for found in (table, pd.read_parquet(path)):
        assert found.sample_id.tolist() == ["0001", "0002", "clips/7"]
        assert found.track.tolist() == ["still", "still", "clip"]
        assert found.subject.isna().tolist() == [True, False, False] and found.subject.tolist()[1:] == ["s2", "s9"]
        assert found.label.tolist() == [0, 1, 2] and found.label.dtype == "int16"
        assert found["train/baseline"].tolist() == [1, 1, pd.NA]
        assert found["clips/lstm"].tolist() == [pd.NA, pd.NA, 2]
        assert {str(found[name].dtype) for name in ("train/baseline", "clips/lstm")} == {"Int16"}


def test_no_clips_and_no_predictors():
    found = answer_table({"still": TRUTHS["still"]}, {"still": {}}, {})
    assert list(found.columns) == ["sample_id", "track", "subject", "label"] and found.subject.isna().all()


def test_an_answer_too_few_is_refused():
    with pytest.raises(DataError, match=r"Expected 2 answers of train/baseline \(still\); got 1"):
        answer_table(TRUTHS, ANSWERS | {"still": {"train/baseline": [1]}}, {})


def test_subjects_of_pictures_and_clips(tmp_path):
    path = tmp_path / "manifest.parquet"
    table = {"sample_id": ["a", "b", "7/0", "7/1"], "clip_id": [None, None, "7", "7"], "subject": ["x", None, "y", "y"]}
    pd.DataFrame(table).to_parquet(path)
    assert read_subjects(path) == {"a": "x", "7": "y"}
    pd.DataFrame(table).drop(columns="subject").to_parquet(path)
    with pytest.raises(DataError, match="lacks the columns subject"):
        read_subjects(path)
