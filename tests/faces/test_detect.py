"""MTCNN on generated faces: where the points lie, which face is taken, and what a run of align makes of them."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from typer.testing import CliRunner, Result

from fer_core.errors import ConfigError, DataError
from fer_core.faces.align import align
from fer_core.faces.config import AlignConfig
from fer_core.faces.detect import DETECTORS, Detector, Face, choose
from fer_core.faces.mtcnn import SEARCHES, crops, load, place, suppress
from fer_core.faces.similarity import ARCFACE
from fer_core.manifest import empty_columns, read_manifest, write_manifest
from fer_core.standin import StandinConfig, generate
from stages.align import app

MIRRORED = [1, 0, 2, 4, 3]  # a point's place when the picture is mirrored
Sample = tuple[np.ndarray, np.ndarray]  # uint8 (H, W, 3), annotated points (5, 2)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    folder = tmp_path_factory.mktemp("standin") / "set"
    generate(folder, StandinConfig(seed=4, scale=0.001, pool=0, clips=0, scene=128, ceiling_draws=0), workers=1)
    out = []
    for line in (folder / "RAFCE_landmark.txt").read_text().splitlines():
        name, *numbers = line.split()
        picture = cv2.imread(str(folder / "original" / name), cv2.IMREAD_COLOR_RGB)
        out.append((picture, np.array(numbers, float).reshape(5, 2)))
    return out


@pytest.fixture(scope="module")
def detector() -> Detector:
    return DETECTORS["mtcnn"]()


@pytest.fixture(scope="module")
def found(samples: list[Sample], detector: Detector) -> list[Face | None]:
    return [detector(picture) for picture, _ in samples]


def error(face: Face, points: np.ndarray) -> float:
    """Mean distance of the points in eye distances."""
    return float(np.linalg.norm(face.points - points, axis=1).mean() / np.linalg.norm(points[1] - points[0]))


def noise(seed: int = 0, blur: float = 0.0) -> np.ndarray:
    picture = np.random.default_rng(seed).integers(0, 256, (96, 80, 3), np.uint8)
    return cv2.GaussianBlur(picture, (0, 0), blur) if blur else picture


def backdrop(height: int, width: int) -> np.ndarray:
    return np.repeat(np.linspace(60, 160, width).astype(np.uint8)[None, :, None], height, 0).repeat(3, 2)


def test_points_lie_where_they_were_annotated(samples: list[Sample], found: list[Face | None]) -> None:
    errors = [error(face, points) for face, (_, points) in zip(found, samples, strict=True) if face]
    assert len(errors) >= 0.9 * len(samples) >= 36
    assert np.median(errors) < 0.15
    assert np.percentile(errors, 95) < 0.4
    for face, (picture, points) in zip(found, samples, strict=True):
        if face is None:
            continue
        assert 0.5 < face.score <= 1
        assert (face.box[:2] < points.mean(0)).all() and (points.mean(0) < face.box[2:]).all()
        assert face.points[0, 0] < face.points[1, 0] and face.points[3, 0] < face.points[4, 0], "viewer's left first"
        assert face.points[:2, 1].mean() < face.points[3:, 1].mean(), "eyes above mouth"
        assert (face.points > -10).all() and (face.points[:, 0] < picture.shape[1] + 10).all()


def test_points_follow_the_picture(samples: list[Sample], found: list[Face | None], detector: Detector) -> None:
    """Mirrored, enlarged and moved: no shift of half a pixel, no swapped sides, no lost scale."""
    apart: dict[str, list[np.ndarray]] = {"mirrored": [], "enlarged": [], "moved": []}
    for face, (picture, points) in list(zip(found, samples, strict=True))[:16]:
        height, width = picture.shape[:2]
        room = cv2.copyMakeBorder(picture, 0, 0, 40, 0, cv2.BORDER_REPLICATE)
        twice = cv2.resize(picture, (2 * width, 2 * height), interpolation=cv2.INTER_LINEAR)
        seen = {name: detector(p) for name, p in (("mirrored", picture[:, ::-1]), ("enlarged", twice), ("moved", room))}
        for name, other in seen.items():
            if not face or not other:
                continue
            back = {
                "mirrored": (np.array([width - 1, 0]) + other.points * [-1, 1])[MIRRORED],
                "enlarged": (other.points + 0.5) / 2 - 0.5,
                "moved": other.points - [40, 0],
            }[name]
            apart[name].append((back - face.points) / np.linalg.norm(points[1] - points[0]))
    for name, limit in (("mirrored", 0.05), ("enlarged", 0.01), ("moved", 0.02)):
        assert len(apart[name]) >= 14
        assert np.abs(np.median(apart[name], axis=(0, 1))).max() < limit, name


def test_the_reference_finds_the_same(samples: list[Sample]) -> None:
    """facenet-pytorch's own loop on the same canvases; it squeezes faces at the edge, so not every one agrees."""
    from facenet_pytorch import MTCNN

    search = SEARCHES[0]
    theirs = MTCNN(min_face_size=search.smallest, keep_all=True)
    ours = load("cpu")
    apart, both = [], 0
    for picture, _ in samples[:24]:
        canvas, scale, shift = place(picture, search)
        _, _, expected = theirs.detect(canvas, landmarks=True)
        _, _, points = ours.faces(picture)
        both += (expected is None) == (len(points) == 0)
        if expected is not None and len(points):
            mine = (points[0] + 0.5) * scale - 0.5 + shift
            other = expected[0].astype(float)
            apart.append(np.linalg.norm(mine - other, axis=1).mean() / np.linalg.norm(other[1] - other[0]))
    assert both >= 22
    assert np.median(apart) < 0.05


def test_any_order_and_company_gives_the_same_points(
    samples: list[Sample], found: list[Face | None], detector: Detector
) -> None:
    pictures = [picture for picture, _ in samples[:12]]
    with ThreadPoolExecutor(3) as pool:
        again = list(pool.map(detector, pictures[::-1]))[::-1]
    for one, two in zip(found, again, strict=False):
        assert (one is None) == (two is None)
        if one and two:
            np.testing.assert_array_equal(one.points, two.points)
            assert one.score == two.score


def test_grey_is_as_good_as_colour(samples: list[Sample], detector: Detector) -> None:
    errors = []
    for picture, points in samples[:16]:
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        face, same = detector(grey[..., None]), detector(np.repeat(grey[..., None], 3, 2))
        assert (face is None) == (same is None)
        if face and same:
            np.testing.assert_array_equal(face.points, same.points)
            errors.append(error(face, points))
    assert len(errors) >= 14
    assert np.median(errors) < 0.15


def test_tight_crops_of_48_pixels(samples: list[Sample], detector: Detector) -> None:
    errors = []
    for picture, points in samples[:20]:
        middle, side = points.mean(0), 2.4 * np.linalg.norm(points[1] - points[0])
        scale = 48 / side
        matrix = np.array([[scale, 0, 24 - scale * middle[0]], [0, scale, 24 - scale * middle[1]]])
        crop = cv2.warpAffine(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), matrix, (48, 48), flags=cv2.INTER_AREA)
        face = detector(crop[..., None])
        if face:
            errors.append(error(face, points * scale + matrix[:, 2]))
    assert len(errors) >= 16
    assert np.median(errors) < 0.2


def test_a_small_face_in_a_large_picture(samples: list[Sample], detector: Detector) -> None:
    """A face of a tenth of the picture's side: only the last way to look is fine enough."""
    errors = []
    for picture, points in samples[:8]:
        scene = backdrop(500, 900)
        scene[300 : 300 + picture.shape[0], 500 : 500 + picture.shape[1]] = picture
        face = detector(scene)
        errors += [error(face, points + np.array([500, 300]))] if face else []
    assert len(errors) >= 5
    assert np.median(errors) < 0.2


@pytest.mark.parametrize(
    "picture",
    [
        noise(),
        noise(1, blur=3),
        noise(2)[..., :1],
        np.zeros((64, 64, 3), np.uint8),
        np.full((200, 20, 1), 127, np.uint8),
        np.full((1, 1, 3), 9, np.uint8),
        noise(3)[:1],
        noise(4)[:, :1, :1],
        noise(5)[:5, :5],
    ],
    ids=["noise", "blobs", "grey noise", "black", "flat", "one pixel", "one row", "one column", "5 x 5"],
)
def test_no_face(picture: np.ndarray, detector: Detector) -> None:
    assert detector(picture) is None


def test_which_of_several_faces() -> None:
    middle, corner = [40.0, 40, 60, 60], [0.0, 0, 24, 24]
    assert choose(np.array([corner, middle]), 100, 100) == 1, "1.4 times the area, a quarter as central"
    assert choose(np.array([middle, [0.0, 0, 60, 60]]), 100, 100) == 1, "nine times the area, 0.6 times as central"
    aside = [90.0, 40, 110, 60]
    assert choose(np.array([middle, aside]), 100, 200) == 1, "in the middle of a wide picture"
    assert choose(np.array([middle, aside]), 200, 100) == 0, "outside a high one"
    assert choose(np.array([[-90.0, -90, -80, -80], [-300.0, 0, -200, 90]]), 100, 100) == 0, "outside both count 0"


def test_the_large_central_face_is_taken(samples: list[Sample], detector: Detector) -> None:
    sure = [s for s in samples[:10] if (face := detector(s[0])) and error(face, s[1]) < 0.15]
    assert len(sure) >= 4
    for (large, points), (small, _) in zip(sure[:2], sure[2:4], strict=True):
        scene = backdrop(240, 400)
        big = cv2.resize(large, None, fx=1.6, fy=1.6, interpolation=cv2.INTER_CUBIC)
        big = big[: min(len(big), 230)]
        top, left = 5, 110
        scene[: small.shape[0], 400 - small.shape[1] :] = small
        scene[top : top + big.shape[0], left : left + big.shape[1]] = big
        face = detector(scene)
        assert face is not None
        assert error(face, (points + 0.5) * 1.6 - 0.5 + [left, top]) < 0.2
        boxes, _, _ = load("cpu").faces(scene)
        assert len(boxes) >= 2, "there was something to choose"


def test_suppression_by_hand() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [0, 0, 10, 6], [0, 0, 4, 4], [20, 20, 30, 30]])
    scores = np.array([0.9, 0.8, 0.95, 0.7])
    # shares of the union: (0, 1) 0.6, (0, 2) 0.16, (1, 2) 0.27; of the smaller: (0, 2) and (1, 2) 1
    assert suppress(boxes, scores, 0.5).tolist() == [2, 0, 3]
    assert suppress(boxes, scores, 0.6).tolist() == [2, 0, 1, 3], "exactly as much is kept"
    assert suppress(boxes, scores, 0.7, of_smaller=True).tolist() == [2, 3]
    assert suppress(np.zeros((0, 4)), np.zeros(0), 0.5).tolist() == []


def test_a_crop_beyond_the_canvas_is_grey_there_and_keeps_its_shape() -> None:
    canvas = np.full((64, 64, 3), 200, np.uint8)
    cut, boxes = crops(canvas, np.array([[-23.6, 10.2, 24.4, 58.2], [8.0, 8, 56, 56]]), 48)
    assert boxes.tolist() == [[-24, 10, 24, 58], [8, 8, 56, 56]]
    assert (cut[0, :, :24] == 127).all() and (cut[0, :, 24:] == 200).all()
    assert (cut[1] == 200).all()


def test_without_the_package_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "facenet_pytorch", None)
    with pytest.raises(
        ConfigError, match=r'facenet-pytorch, which is not installed; run `pip install -e "\.\[mtcnn\]"`'
    ):
        DETECTORS["mtcnn"]()


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


@pytest.fixture
def ten(samples: list[Sample], found: list[Face | None]) -> list[tuple[np.ndarray, Face, np.ndarray]]:
    pairs = zip(samples, found, strict=True)
    sure = [(picture, face, points) for (picture, points), face in pairs if face and error(face, points) < 0.2]
    return sure[:10]


def test_the_stage_aligns_by_what_it_found_and_never_sees_annotated_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ten: list[tuple[np.ndarray, Face, np.ndarray]]
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
    np.testing.assert_allclose(table["detection_score"][:10], [face.score for _, face, _ in ten], rtol=1e-6)
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
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ten: list[tuple[np.ndarray, Face, np.ndarray]]
) -> None:
    pictures = [ten[0][0], noise(), noise(1), noise(2, blur=3)]
    ingested(tmp_path, pictures, [None] * 4)
    result = run(tmp_path, monkeypatch)
    assert result.exit_code == 1
    sentence = result.stderr.strip().splitlines()[-1]
    assert "3 of 4 pictures were lost (75.0%), more than align.max_dropped = 0.2 allows" in sentence
    assert "the first is 0001: no face found. In 3 of them mtcnn found no face: raise align.max_dropped" in sentence
    assert "Traceback" not in result.output
    assert list((tmp_path / "data/align").iterdir()) == []
    set_params(tmp_path, max_dropped=0.75)
    assert run(tmp_path, monkeypatch).exit_code == 0


def test_no_face_anywhere_is_refused_whatever_may_be_dropped(tmp_path: Path) -> None:
    table = ingested(tmp_path, [noise()], [None])
    with pytest.raises(DataError, match="1 of 1 pictures were lost"):
        align(
            table, [[("0000", encoded(noise()))]], False, AlignConfig(32, "mtcnn", max_dropped=1.0), tmp_path / "f.npy"
        )
