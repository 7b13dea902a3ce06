from dataclasses import replace

import cv2
import numpy as np
import pytest

from fer_core.errors import ConfigError
from fer_core.standin import StandinConfig
from fer_core.standin.clips import FRAMES, SIZE, apex_frame, clip_counts, draw_clip, envelope, plan_clips
from fer_core.standin.layout import plan
from fer_core.standin.published import COUNTS, SPLITS


@pytest.fixture(scope="module")
def config() -> StandinConfig:
    return StandinConfig(seed=3)


@pytest.fixture(scope="module")
def drawn(config):
    return [draw_clip(config, clip) for clip in plan_clips(config)[:4]]


def pixels(frame: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(frame, np.uint8), cv2.IMREAD_COLOR).astype(float)


@pytest.mark.parametrize("number", [300, 70, 71, 1000])
def test_every_split_has_every_class_and_the_sum_is_as_asked(number):
    found = clip_counts(number)
    assert sum(map(sum, found.values())) == number
    assert min(map(min, found.values())) >= 1
    assert np.corrcoef(found["train"], COUNTS["train"])[0, 1] > (0.99 if number >= 300 else 0.9)


def test_counts_that_cannot_be_are_refused():
    assert clip_counts(0) == {split: [0] * 14 for split in SPLITS}
    with pytest.raises(ConfigError, match=r"standin\.clips. to be 0 or at least 68"):
        clip_counts(40)
    assert min(clip_counts(68)["test"]) == 1


def test_people_of_clips_are_in_one_split_and_in_no_picture(config):
    clips = plan_clips(config)
    people = {split: {clip.person for clip in clips if clip.split == split} for split in SPLITS}
    assert sum(map(len, people.values())) == len(set.union(*people.values()))
    assert not set.union(*people.values()) & {picture.person for picture in plan(config)}
    assert len({clip.name for clip in clips}) == len({clip.index for clip in clips}) == 300


def test_a_clip_begins_neutral_peaks_and_relaxes(config):
    for clip in plan_clips(config)[:50]:
        share = envelope(config, clip)
        assert share.shape == (FRAMES, 22)
        assert share.min() >= 0 and share.max() <= 1
        assert share[0].max() == 0 and share[-1].max() < 0.01
        apex = apex_frame(config, clip)
        assert 2 <= apex <= 6 and share[apex].mean() > 0.8


def test_frames_are_pictures_of_one_size_with_landmarks_inside(drawn):
    for clip in drawn:
        assert len(clip.frames) == FRAMES and clip.landmarks.shape == (FRAMES, 5, 2)
        assert {pixels(frame).shape for frame in clip.frames} == {(SIZE, SIZE, 3)}
        assert clip.landmarks.min() > -4 and clip.landmarks.max() < SIZE + 4
        eyes = clip.landmarks[:, 1, 0] - clip.landmarks[:, 0, 0]
        assert (eyes > 8).all()


def test_the_expression_shows_at_the_apex_and_not_in_the_first_frame(config):
    """The same clip with another class: a neutral face is the same to the byte, the apex is not."""
    for clip in plan_clips(config)[:3]:
        other = replace(clip, label=(clip.label + 5) % 14)
        one, another = draw_clip(config, clip).frames, draw_clip(config, other).frames
        assert one[0] == another[0]
        assert np.abs(pixels(one[apex_frame(config, clip)]) - pixels(another[apex_frame(config, clip)])).max() > 20


def test_a_clip_depends_on_its_own_index_only(config, drawn):
    again = draw_clip(config, plan_clips(config)[2])
    assert again.frames == drawn[2].frames
    assert len(set(drawn[2].frames)) == FRAMES
    other = plan_clips(replace(config, pool=0, scale=0.1))
    assert other == plan_clips(config)
