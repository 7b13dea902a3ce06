"""The stage align with MTCNN on generated faces: what it makes of the points, and of pictures without a face."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from drawn import Sample, error, find, noise
from typer.testing import CliRunner, Result

from fer_core.errors import DataError
from fer_core.faces.align import align
from fer_core.faces.config import AlignConfig
from fer_core.faces.detect import DETECTORS, Faces
from fer_core.faces.similarity import ARCFACE
from fer_core.manifest import empty_columns, read_manifest, write_manifest
from stages.align import app

pytestmark = pytest.mark.usefixtures("one_thread")
Ten = list[tuple[np.ndarray, Faces, np.ndarray]]


def ingested(root: Path, pictures: list[np.ndarray], landmarks: list[object]) -> pd.DataFrame:
    """Write what ingest leaves, and params.yaml; return the manifest."""
    names = [f"{k:04d}" for k in range(len(pictures))]
    table = pd.DataFrame(empty_columns("ingest", len(names)))
    table["sample_id"], table["source"], table["picture"], table["split"] = names, "made up", "x.png", "pool"
    table["landmarks"] = pd.Series(landmarks, dtype=object)
    write_manifest(root / "data/ingest/manifest.parquet", table, "ingest")
    columns = {"sample_id": names, "bytes": [encoded(picture) for picture in pictures]}
    pq.write_table(pa.table(columns), root / "data/ingest/pictures.parquet")
    set_params(root)
    return table


def set_params(root: Path, **changes: object) -> None:
    section = {"detector": "mtcnn", "zoom": 0.9, "max_dropped": 0.2} | changes
    params = {"profile": "tiny", "profiles": {"tiny": {"size": 32}}, "align": section}
    (root / "params.yaml").write_text(yaml.safe_dump(params))


def encoded(picture: np.ndarray) -> bytes:
    return cv2.imencode(".png", picture[..., ::-1])[1].tobytes()


def run(root: Path, monkeypatch: pytest.MonkeyPatch) -> Result:
    monkeypatch.chdir(root)
    return CliRunner().invoke(app, [])


@pytest.fixture(scope="module")
def ten(samples: list[Sample]) -> Ten:
    """Ten pictures whose points MTCNN finds well, with its face and the annotated points."""
    detector = DETECTORS["mtcnn"](None)
    pairs = [(picture, find(detector, picture), points) for picture, points in samples[:20]]
    return [(picture, face, points) for picture, face, points in pairs if face and error(face, points) < 0.2][:10]


def test_the_stage_aligns_by_what_it_found_and_never_sees_annotated_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ten: Ten
) -> None:
    pictures = [*(picture for picture, _, _ in ten), noise()]
    misleading = (ARCFACE * 0.3 + 50).astype(np.float32).ravel()
    out = {}
    for name, landmarks in (("misled", [misleading] * 11), ("none", [None] * 11)):
        (tmp_path / name).mkdir()
        ingested(tmp_path / name, pictures, list(landmarks))
        result = run(tmp_path / name, monkeypatch)
        assert result.exit_code == 0, result.output
        table = read_manifest(tmp_path / name / "data/align/manifest.parquet")
        out[name] = table, np.load(tmp_path / name / "data/align/faces.npy")
    (table, faces), (same, same_faces) = out["misled"], out["none"]
    np.testing.assert_array_equal(faces, same_faces)
    pd.testing.assert_frame_equal(table.drop(columns="landmarks"), same.drop(columns="landmarks"))

    assert faces.shape == (10, 32, 32, 3)
    assert table["drop_reason"].tolist()[10] == "no face found"
    assert table["drop_reason"].isna().sum() == 10
    assert table["aligned_landmarks"].isna().tolist() == [False] * 10 + [True]
    np.testing.assert_allclose(table["detection_score"][:10], [face.scores[0] for _, face, _ in ten], rtol=1e-6)
    assert np.isnan(table["detection_score"][10])

    # beside a run on the annotated points, the faces stand in the same place
    set_params(tmp_path / "misled", detector="landmarks", max_dropped=1.0)
    ingested_table = ingested(tmp_path / "misled", pictures, [p.ravel() for _, _, p in ten] + [None])
    batches = [list(zip(ingested_table["sample_id"], map(encoded, pictures), strict=True))]
    config = AlignConfig(32, "landmarks", max_dropped=0.2)
    annotated = align(ingested_table, batches, False, config, tmp_path / "faces.npy")
    assert annotated["detection_score"].isna().all()
    expected = np.stack(annotated["aligned_landmarks"][:10].to_list())
    apart = np.stack(table["aligned_landmarks"][:10].to_list()) - expected
    assert np.abs(apart).mean() < 2


def test_too_many_pictures_without_a_face_stop_the_stage_and_say_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ten: Ten
) -> None:
    pictures = [ten[0][0], noise(), noise(1), noise(2, blur=3)]
    ingested(tmp_path, pictures, [None] * 4)
    result = run(tmp_path, monkeypatch)
    assert result.exit_code == 1
    sentence = result.stderr.strip().splitlines()[-1]
    assert "3 of 4 pictures were lost (75.0%), more than align.max_dropped = 0.2 allows" in sentence
    assert "the first is 0001: no face found. In 3 of them mtcnn found no face: raise align.max_dropped" in sentence
    assert "Traceback" not in result.output
    assert [path.name for path in (tmp_path / "data/align").iterdir()] == ["rejects.csv"]
    assert pd.read_csv(tmp_path / "data/align/rejects.csv")["drop_reason"].tolist() == ["no face found"] * 3
    set_params(tmp_path, max_dropped=0.75)
    assert run(tmp_path, monkeypatch).exit_code == 0


def test_no_face_anywhere_is_refused_whatever_may_be_dropped(tmp_path: Path) -> None:
    table = ingested(tmp_path, [noise()], [None])
    with pytest.raises(DataError, match="1 of 1 pictures were lost"):
        align(
            table, [[("0000", encoded(noise()))]], False, AlignConfig(32, "mtcnn", max_dropped=1.0), tmp_path / "f.npy"
        )
