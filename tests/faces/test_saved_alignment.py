"""The alignment that travels: what is written is read, and a new picture is cut as the stage cut it."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from made_faces import White, batches, encode, manifest, points_in, scene

from fer_core.errors import ConfigError, DataError
from fer_core.faces.align import align
from fer_core.faces.alignment import alignment, model_hash, write_alignment
from fer_core.faces.config import AlignConfig
from fer_core.faces.detect import DETECTORS
from fer_core.faces.saved import Aligner, read_alignment
from fer_core.faces.similarity import template


@pytest.fixture(autouse=True)
def _white(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("mtcnn", "yunet"):
        monkeypatch.setitem(DETECTORS, name, lambda model: White())


def pictures() -> list[bytes | None]:
    boxes = [(40 + k, 20 + k, 90 + k, 80 + 2 * k) for k in range(8)]
    return [*(encode(scene(box, (2, 2, 15, 15))) for box in boxes), encode(scene()), b"broken", None]


@pytest.mark.parametrize(
    "section",
    [
        {"detector": "mtcnn"},
        {"detector": "mtcnn", "crop": "tight", "zoom": 1.0},
        {"detector": "mtcnn", "crop": "box", "margin": 0.25},
        {"detector": "mtcnn", "face": "annotated"},
        {"detector": "yunet", "model": "net.onnx"},
        {"detector": "none"},
    ],
)
@pytest.mark.parametrize("grey", [False, True])
def test_a_new_picture_is_cut_as_the_stage_cut_it(tmp_path: Path, section: dict, grey: bool) -> None:
    model = tmp_path / "net.onnx"
    model.write_bytes(b"network")
    if "model" in section:
        section = section | {"model": str(model)}
    config = AlignConfig(40, max_dropped=1.0, **section)
    data, table = pictures(), manifest(11)
    out = align(table, batches(data), grey, config, tmp_path / "faces.npy")
    faces = np.load(tmp_path / "faces.npy")
    write_alignment(tmp_path / "alignment.json", alignment(config, table, grey))
    aligner = Aligner(read_alignment(tmp_path / "alignment.json"), model=model if "model" in section else None)
    found = aligner(data)
    assert len(found) == 11 and len(faces) >= 8
    for k, crop in enumerate(found):
        if isinstance(crop, str):
            assert out["drop_reason"][k] == crop
        else:
            np.testing.assert_array_equal(crop, faces[out["crop_index"][k]])
    assert found[9] == "picture does not decode" and found[10] == "picture file is empty"
    assert aligner([]) == []


def test_annotated_points_need_a_detector_in_their_place(tmp_path: Path) -> None:
    box = (40, 20, 90, 80)
    table, data = manifest(1, landmarks=[points_in(box).astype(np.float32).ravel()]), [encode(scene(box))]
    align(table, batches(data), False, AlignConfig(40), tmp_path / "faces.npy")
    how = alignment(AlignConfig(40), table, False)
    assert (how.detector, how.crop) == ("landmarks", "arcface")
    with pytest.raises(
        ConfigError, match=r"cut by annotated points \(detector: landmarks, crop: arcface\).* a detector"
    ):
        Aligner(how)
    (crop,) = Aligner(how, detector="mtcnn")(data)
    np.testing.assert_allclose(crop.astype(int), np.load(tmp_path / "faces.npy")[0], atol=1)
    with pytest.raises(ConfigError, match="`detector` to be one of insightface, mtcnn, yunet; got 'landmarks'"):
        Aligner(how, detector="landmarks")


def test_annotated_boxes_need_a_detector_in_their_place(tmp_path: Path) -> None:
    box = [40.0, 20, 90, 80]
    table, data = manifest(1, box=[box]), [encode(scene((40, 20, 90, 80)))]
    align(table, batches(data), False, AlignConfig(40), tmp_path / "faces.npy")
    how = alignment(AlignConfig(40), table, False)
    with pytest.raises(ConfigError, match="cut by annotated boxes"):
        Aligner(how)
    np.testing.assert_array_equal(Aligner(how, detector="mtcnn")(data)[0], np.load(tmp_path / "faces.npy")[0])


def test_another_detector_or_another_model_is_refused(tmp_path: Path) -> None:
    model, other = tmp_path / "net.onnx", tmp_path / "other.onnx"
    model.write_bytes(b"network")
    other.write_bytes(b"another")
    how = alignment(AlignConfig(40, "yunet", model=str(model)), manifest(1), False)
    assert how.model == "net.onnx" and how.model_sha256 == model_hash(model)
    with pytest.raises(ConfigError, match=r"Expected the detector yunet, by which .* got 'mtcnn'"):
        Aligner(how, detector="mtcnn", model=model)
    with pytest.raises(ConfigError, match=r"to be the model net\.onnx that was used; it differs"):
        Aligner(how, model=other)
    for missing in (None, tmp_path / "none.onnx"):
        with pytest.raises(ConfigError, match=r"Expected the model net\.onnx of yunet"):
            Aligner(how, model=missing)
    Aligner(how, detector="yunet", model=model)


def test_a_model_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"`align.model` to name a file or folder; nowhere.onnx does not exist"):
        alignment(AlignConfig(40, "yunet", model="nowhere.onnx"), manifest(1), False)


def test_a_folder_s_hash_knows_names_and_contents(tmp_path: Path) -> None:
    hashes = set()
    for name, content in (("a", b"1"), ("b", b"1"), ("a", b"2")):
        folder = tmp_path / f"{name}{content.decode()}"
        (folder / "models").mkdir(parents=True)
        (folder / "models" / name).write_bytes(content)
        (folder / ".hidden").write_bytes(name.encode())
        hashes.add(model_hash(folder))
    assert len(hashes) == 3
    (folder / ".hidden").write_bytes(b"other")
    assert model_hash(folder) in hashes


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "alignment.json"
    for section in ({"crop": "tight"}, {"crop": "box"}):
        how = alignment(AlignConfig(48, "mtcnn", **section), manifest(1), True)
        write_alignment(path, how)
        assert read_alignment(path) == how
    assert json.loads(path.read_text())["points"] is None
    how = alignment(AlignConfig(48, "mtcnn"), manifest(1), True)
    write_alignment(path, how)
    held = json.loads(path.read_text())
    np.testing.assert_array_equal(held["points"], template(48, 0.9))
    assert held | {"points": 0} == {
        **{"detector": "mtcnn", "face": "central", "crop": "arcface", "zoom": 0.9, "margin": 0.1, "size": 48},
        **{"grey": True, "model": None, "model_sha256": None, "points": 0, "version": 1},
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "expected version 1; got 2"),
        ({"version": None}, "expected version 1; got None"),
        ({"zom": 1}, "the key `zom` is not known"),
        ({"detector": "dlib"}, "the value of `detector` is not valid; got 'dlib'"),
        ({"points": [[1, 2]]}, "the value of `points` is not valid"),
        ({"points": None}, "the value of `points` is not valid"),
        ({"size": "48"}, "the value of `size` is not valid"),
        ({"zoom": True}, "the value of `zoom` is not valid"),
    ],
)
def test_a_file_that_is_not_an_alignment_is_refused(tmp_path: Path, change: dict, message: str) -> None:
    path = tmp_path / "alignment.json"
    write_alignment(path, alignment(AlignConfig(48, "mtcnn"), manifest(1), True))
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match=rf"alignment\.json: {message}"):
        read_alignment(path)
    path.write_text("[]")
    with pytest.raises(DataError, match="expected the keys of an alignment; got list"):
        read_alignment(path)


def test_the_written_points_cut_not_today_s_template(tmp_path: Path) -> None:
    """A template that is improved later must not change the faces that an old model gets."""
    how = alignment(AlignConfig(40, "mtcnn"), manifest(1), False)
    data = [encode(scene((40, 20, 90, 80)))]
    (usual,) = Aligner(how)(data)
    moved = replace(how, points=tuple((x + 3, y) for x, y in how.points))
    (crop,) = Aligner(moved)(data)
    expected = cv2.warpAffine(usual, np.array([[1.0, 0, 3], [0, 1, 0]]), (40, 40))
    assert np.abs(crop[:, 5:].astype(int) - expected[:, 5:]).mean() < 12
    assert np.abs(crop.astype(int) - usual).mean() > 12
