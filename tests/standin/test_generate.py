import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from fer_core.aus.intensity import read_intensities
from fer_core.aus.rafce import read as read_aus
from fer_core.errors import ConfigError, DataError
from fer_core.standin import generate as generate_set
from fer_core.standin.clips import apex_frame, draw_clip, plan_clips
from fer_core.standin.config import VERSION
from fer_core.standin.layout import attributes, plan, subject_name
from fer_core.standin.picture import draw_clean
from fer_core.standin.published import MEAN_VOTES, PAIRS
from fer_core.standin.tables import write_tables
from stages.generate import app

FILES = {
    "AUintensity.csv",
    "README.txt",
    "RAFCE_AUlabel.txt",
    "RAFCE_emolabel.txt",
    "RAFCE_landmark.txt",
    "RAFCE_partition.txt",
    "RAFCE_subject.txt",
    "attributes.csv",
    "original",
    "pool",
    "pool_landmark.txt",
    "pool_subject.txt",
    "rafml_distribution.txt",
    "standin.json",
}
CLIP_FILES = {
    "clips",
    *(
        f"clip_{name}.txt"
        for name in ("emolabel", "partition", "AUlabel", "distribution", "subject", "apex", "landmark")
    ),
}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def table(path: Path) -> dict[str, list[str]]:
    return {line.split()[0]: line.split()[1:] for line in path.read_text().splitlines()}


def test_files_are_those_of_rafce_and_agree_with_the_plan(tiny, tiny_set):
    assert {path.name for path in tiny_set.iterdir()} == FILES
    labelled = [picture for picture in plan(tiny) if picture.split != "pool"]
    names = [picture.name for picture in labelled]
    emotions, splits, votes = (
        table(tiny_set / name) for name in ("RAFCE_emolabel.txt", "RAFCE_partition.txt", "rafml_distribution.txt")
    )
    assert list(emotions) == list(splits) == list(votes) == list(table(tiny_set / "RAFCE_AUlabel.txt")) == names
    for picture in labelled:
        assert emotions[picture.name] == [str(picture.label)]
        assert splits[picture.name] == [{"train": "0", "test": "1", "validation": "2"}[picture.split]]
        shares = np.array(votes[picture.name], float)
        assert shares.shape == MEAN_VOTES[0].shape and abs(shares.sum() - 1) < 1e-4
        assert set(np.argsort(-shares)[:2]) == set(PAIRS[picture.label])
    assert table(tiny_set / "RAFCE_subject.txt")[names[0]] == [subject_name(labelled[0].person)]
    for folder, landmarks in (("original", "RAFCE_landmark.txt"), ("pool", "pool_landmark.txt")):
        pictures = {path.name for path in (tiny_set / folder).iterdir()}
        points = table(tiny_set / landmarks)
        assert pictures == set(points) and all(len(row) == 10 for row in points.values())
        pixels = cv2.imread(str(tiny_set / folder / min(pictures)))
        assert pixels is not None and pixels.dtype == np.uint8
    assert "not people" in (tiny_set / "README.txt").read_text()


def test_intensities_stand_beside_the_labels(tiny_set):
    """1 to 5 for the units of the label, 0 for the others, and nothing at all for a face nobody coded."""
    strengths = read_intensities(tiny_set)
    labels = read_aus(tiny_set)
    assert strengths is not None and labels is not None
    assert strengths.index.equals(labels.table.index) and list(strengths) == list(labels.table)
    assert set(np.unique(strengths.to_numpy()[~strengths.isna()])) == {0, 1, 2, 3, 4, 5}
    np.testing.assert_array_equal(strengths.isna(), labels.table.isna())
    assert strengths.isna().to_numpy().any()
    np.testing.assert_array_equal(strengths > 0, labels.table == 1)


def test_attributes_and_the_set_s_card_agree_with_the_plan(tiny, tiny_set):
    header, *rows = (tiny_set / "attributes.csv").read_text().splitlines()
    assert header == "picture,skin,age,glasses,beard,pose"
    pictures = plan(tiny)
    assert len(rows) == len(pictures)
    for row, picture in zip(rows, pictures, strict=True):
        name, *words = row.split(",")
        assert name == (f"pool/{picture.name}" if picture.split == "pool" else picture.name)
        assert words == list(attributes(tiny, picture.person, picture.yaw).values())
    card = json.loads((tiny_set / "standin.json").read_text())
    assert (card["version"], card["difficulty"], card["seed"]) == (VERSION, "standard", 3)
    assert set(card["ceiling"]) == {"intensities", "aus", "labels"}
    assert all(0 < score <= 1 for scores in card["ceiling"].values() for score in scores.values())


def test_the_clips_of_a_set_and_their_files(tiny, tmp_path):
    config = replace(tiny, pool=0, clips=70, ceiling_draws=0)
    folder = tmp_path / "set"
    generate_set(folder, config, workers=2)
    assert {path.name for path in folder.iterdir()} == FILES | CLIP_FILES
    clips = plan_clips(config)
    names = [clip.name for clip in clips]
    emotions, splits, apex = (table(folder / f"clip_{name}.txt") for name in ("emolabel", "partition", "apex"))
    assert list(emotions) == list(splits) == list(table(folder / "clip_AUlabel.txt")) == names
    assert [int(emotions[name][0]) for name in names] == [clip.label for clip in clips]
    assert [int(apex[name][0]) for name in names] == [apex_frame(config, clip) for clip in clips]
    assert {clip.split for clip in clips if splits[clip.name] == ["1"]} == {"test"}
    assert table(folder / "clip_subject.txt")[names[0]] == [subject_name(clips[0].person)]
    frames = {path.relative_to(folder / "clips").as_posix() for path in (folder / "clips").rglob("*.jpg")}
    assert frames == set(table(folder / "clip_landmark.txt")) and len(frames) == 70 * 8
    drawn = draw_clip(config, clips[5])
    assert (folder / "clips" / clips[5].name / "3.jpg").read_bytes() == drawn.frames[3]
    assert "ceiling" not in json.loads((folder / "standin.json").read_text())


def test_workers_and_the_pool_do_not_change_a_byte(tiny, tiny_set, tmp_path):
    generate_set(tmp_path / "two", tiny, workers=2)
    assert contents(tmp_path / "two") == contents(tiny_set)
    generate_set(tmp_path / "no_pool", replace(tiny, pool=0), workers=1)
    for name, data in contents(tmp_path / "no_pool").items():
        if name == "attributes.csv":
            assert contents(tiny_set)[name].startswith(data)
        elif "pool" not in name:
            assert data == contents(tiny_set)[name], name


def test_resolution_changes_pixels_and_landmarks_only(tiny, tiny_set, tmp_path):
    write_tables(tmp_path, replace(tiny, scene=160), ["0001.jpg 0 0 0 0 0 0 0 0 0 0\n"] * len(plan(tiny)), [])
    for path in tmp_path.iterdir():
        if "landmark" not in path.name:
            assert path.read_bytes() == (tiny_set / path.name).read_bytes(), path.name


def test_true_landmarks_are_written_nowhere(tiny, tiny_set):
    """Every written point is off, by 4 % of the eye distance on average."""
    written = table(tiny_set / "RAFCE_landmark.txt")
    errors = []
    for picture in [picture for picture in plan(tiny) if picture.split != "pool"]:
        _, _, points = draw_clean(tiny, picture)
        found = np.array(written[picture.name], float).reshape(5, 2)
        errors.append(np.linalg.norm(found - points, axis=1) / np.linalg.norm(points[1] - points[0]))
    assert np.mean(errors) == pytest.approx(0.04, rel=0.15)
    assert (np.array(errors) < 1e-3).mean() < 0.01


def test_class_says_nothing_about_file_and_picture_size(tiny_set):
    """Rank correlation of size with the two largest groups of classes stays within chance (|z| < 3)."""
    emotions = table(tiny_set / "RAFCE_emolabel.txt")
    labels = np.array([int(emotions[name][0]) for name in emotions])
    rng = np.random.default_rng(0)
    for measure in (
        np.array([(tiny_set / "original" / name).stat().st_size for name in emotions]),
        np.array([cv2.imread(str(tiny_set / "original" / name)).size for name in emotions]),
    ):

        def spread(values, measure=measure):
            return sum((values == k).sum() * (measure[values == k].mean() - measure.mean()) ** 2 for k in range(14))

        shuffled = [spread(rng.permutation(labels)) for _ in range(200)]
        assert spread(labels) <= np.quantile(shuffled, 0.995)


def test_an_interrupted_run_goes_on_where_it_was(tiny, tiny_set, tmp_path, monkeypatch):
    import fer_core.standin.writing as module

    drawn = []
    real = module.draw_picture

    def stopping(config, planned):
        if len(drawn) == 40:
            raise KeyboardInterrupt
        drawn.append(planned.name)
        return real(config, planned)

    monkeypatch.setattr(module, "draw_picture", stopping)
    with pytest.raises(KeyboardInterrupt):
        generate_set(tmp_path / "set", tiny, workers=1, work=tmp_path / "work")
    assert not (tmp_path / "set").exists()

    again = []
    monkeypatch.setattr(module, "draw_picture", lambda config, planned: again.append(1) or real(config, planned))
    generate_set(tmp_path / "set", tiny, workers=1, work=tmp_path / "work")
    assert len(again) == len(plan(tiny)) - module.CHUNK  # the finished chunk was kept
    assert contents(tmp_path / "set") == contents(tiny_set)


def test_an_old_set_is_replaced_only_by_a_whole_new_one(tiny, tmp_path, monkeypatch):
    import fer_core.standin.writing as module

    target = tmp_path / "set"
    target.mkdir()
    (target / "old.txt").write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_text", full)
    with pytest.raises(DataError, match="No space left"):
        generate_set(target, replace(tiny, pool=0), workers=1)
    assert contents(target) == {"old.txt": b"old"}


def test_bad_arguments_write_nothing(tiny, tmp_path):
    with pytest.raises(ConfigError, match="workers"):
        generate_set(tmp_path / "set", tiny, workers=0)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="is a file"):
        generate_set(tmp_path / "file", tiny)
    with pytest.raises(ConfigError, match="people"):
        generate_set(tmp_path / "set", replace(tiny, pictures_per_person=1000))
    with pytest.raises(ConfigError, match=r"standin\.clips"):
        generate_set(tmp_path / "set", replace(tiny, clips=10))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def params(folder: Path, data: str = "standin", **standin: object) -> Path:
    path = folder / "params.yaml"
    values = {"data": data, "profile": "p", "profiles": {"p": {"standin": {"clips": 0, "ceiling_draws": 0, **standin}}}}
    path.write_text(yaml.safe_dump(values))
    return path


def test_stage_writes_only_a_readme_for_other_data(tmp_path):
    out = tmp_path / "standin"
    result = CliRunner().invoke(app, ["--params", str(params(tmp_path, data="fer2013")), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert list(contents(out)) == ["README.txt"] and b"fer2013" in contents(out)["README.txt"]
    assert list((tmp_path / "fer2013").iterdir()) == [], (
        "a folder, so that DVC goes on to ingest, which says what it lacks"
    )


def test_a_link_to_published_files_gets_a_folder_to_lead_to(tmp_path):
    (tmp_path / "ferplus").symlink_to("fer2013")  # as git keeps it
    for _ in range(2):
        result = CliRunner().invoke(
            app, ["--params", str(params(tmp_path, data="ferplus")), "--out", str(tmp_path / "standin")]
        )
        assert result.exit_code == 0, result.output
    assert (tmp_path / "fer2013").is_dir() and (tmp_path / "ferplus").is_dir()


def test_a_data_set_that_is_not_known_is_refused_before_anything_is_made(tmp_path):
    result = CliRunner().invoke(app, ["--params", str(params(tmp_path, data="rafc")), "--out", str(tmp_path / "out")])
    assert result.exit_code == 1 and "Did you mean 'rafce'" in result.output
    assert not (tmp_path / "out").exists() and not (tmp_path / "rafc").exists()


@pytest.mark.parametrize(
    ("standin", "sentence"),
    [
        ({"scale": -1}, "standin.scale"),
        ({"sceen": 96}, "Did you mean 'scene'"),
        ({"pool": 3}, "at least 2 people"),
        ({"clips": 30}, "standin.clips"),
    ],
)
def test_stage_tells_errors_in_one_sentence(tmp_path, standin, sentence):
    arguments = [
        "--params",
        str(params(tmp_path, **standin)),
        "--out",
        str(tmp_path / "out"),
        "--work",
        str(tmp_path / "w"),
    ]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert sentence in result.output and "Traceback" not in result.output
    assert not (tmp_path / "out").exists() and not (tmp_path / "w").exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
@pytest.mark.parametrize("kill", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_stage_leaves_no_workers_and_its_finished_pictures(tmp_path, kill):
    work = tmp_path / "work"
    arguments = ["--params", str(params(tmp_path, scale=0.2, pool=0, scene=96)), "--out", str(tmp_path / "out")]
    command = [sys.executable, "-m", "stages.generate", *arguments, "--work", str(work), "--workers", "2"]
    # a shell that starts the tests in the background ignores Ctrl-C, and a child would inherit that
    process = subprocess.Popen(
        command,
        cwd=Path(__file__).parents[2],
        start_new_session=True,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    deadline = time.monotonic() + 120
    while not list(work.glob("*/done/*.txt")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(kill)  # to the parent alone: workers must follow it
    process.communicate(timeout=60)
    assert list(work.glob("*/done/*.txt")) and not (tmp_path / "out").exists()
    assert process.returncode == (130 if kill == signal.SIGINT else -signal.SIGKILL)
    deadline = time.monotonic() + 30
    while group_alive(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not group_alive(process.pid)


def group_alive(group: int) -> bool:
    """Whether any process of the session that the command started still lives."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
