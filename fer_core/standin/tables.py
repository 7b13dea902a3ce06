"""The text files beside the pictures: RAF-CE's own, and what techniques need beyond them."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer_core.files import write_json, write_text
from fer_core.standin.action_units import NAMES
from fer_core.standin.clips import FRAMES, apex_frame, plan_clips
from fer_core.standin.coder import Codings, code, notation
from fer_core.standin.config import VERSION, StandinConfig
from fer_core.standin.layout import attributes, plan, subject_name
from fer_core.standin.picture import truth
from fer_core.standin.published import SPLIT_CODE
from fer_core.standin.random import stream
from fer_core.standin.traits import BINS

README = """Generated faces, not people.

Every picture here was drawn by fer_core/standin (version {version}, difficulty {difficulty}, seed {seed}); nobody was
photographed, and nothing measured on these pictures is evidence about people. The layout is RAF-CE's:
RAFCE_emolabel.txt (class index), RAFCE_partition.txt (0 train, 1 test, 2 validation), RAFCE_AUlabel.txt,
rafml_distribution.txt (votes for surprise, fear, disgust, happiness, sadness, anger), pictures in original/. Added:

RAFCE_landmark.txt   eyes, nose tip, mouth corners, x y in pixels, viewer's left first, with an annotator's error
RAFCE_subject.txt    who is shown
AUintensity.csv      how strong the coder of RAFCE_AUlabel.txt saw each unit: 1 to 5 are FACS' A to E, by equal steps of
                     what was seen (ceil(5 x reading)); 0 not coded; nothing at all where the face is null
attributes.csv       skin tone, age, glasses, beard and pose in words, for fairness tables
pool/                unlabelled pictures, with pool_landmark.txt and pool_subject.txt
clips/               NNNN/0.jpg to {last}.jpg, from neutral to the apex and back, with clip_emolabel.txt,
                     clip_partition.txt, clip_AUlabel.txt, clip_distribution.txt, clip_subject.txt, clip_apex.txt
                     (which frame) and clip_landmark.txt
standin.json         version, difficulty, seed, and the ceiling: what the best decision reaches on the test split
"""


@dataclass
class _Faces:
    """The truth of faces or clips, and what the coder wrote: all in the order of their plan."""

    votes: np.ndarray
    intensity: np.ndarray
    coded: Codings


def write_tables(folder: Path, config: StandinConfig, landmarks: list[str], clip_landmarks: list[str]) -> None:
    """Write every text file of the set into `folder`; landmark lines come in the order of the plans."""
    pictures, clips = plan(config), plan_clips(config)
    labelled = [picture for picture in pictures if picture.split != "pool"]
    pool = pictures[len(labelled) :]
    _write(folder / "RAFCE_landmark.txt", landmarks[: len(labelled)])
    _write(folder / "pool_landmark.txt", landmarks[len(labelled) :])
    for name, people in (("RAFCE_subject.txt", labelled), ("pool_subject.txt", pool)):
        _write(folder / name, [f"{picture.name} {subject_name(picture.person)}\n" for picture in people])
    names = [picture.name for picture in labelled]
    labels = np.array([picture.label for picture in labelled])
    faces = _faces(config, labels, [picture.index for picture in labelled])
    _write_truth(folder, ("RAFCE", "rafml"), names, [picture.split for picture in labelled], labels, faces)
    write_text(folder / "AUintensity.csv", _intensities(names, faces.coded))
    write_text(folder / "attributes.csv", _attributes(config))
    if clips:
        _write(folder / "clip_landmark.txt", clip_landmarks)
        _write(folder / "clip_subject.txt", [f"{clip.name} {subject_name(clip.person)}\n" for clip in clips])
        _write(folder / "clip_apex.txt", [f"{clip.name} {apex_frame(config, clip)}\n" for clip in clips])
        shown = np.array([clip.label for clip in clips])
        apexes = _faces(config, shown, [clip.index for clip in clips])
        _write_truth(folder, ("clip", "clip"), [c.name for c in clips], [c.split for c in clips], shown, apexes)
    write_json(folder / "standin.json", _card(config, np.array([p.split == "test" for p in labelled]), labels, faces))
    readme = README.format(version=VERSION, difficulty=config.difficulty, seed=config.seed, last=FRAMES - 1)
    write_text(folder / "README.txt", readme)


def _faces(config: StandinConfig, labels: np.ndarray, indices: list[int]) -> _Faces:
    """Recompute the truth of all faces, each from its own random streams."""
    votes, intensity, units, null, levels = rows = [], [], [], [], []  # type: tuple[list, list, list, list, list]
    for label, index in zip(labels, indices, strict=True):
        mine = truth(config, int(label), index)
        coded = code(stream(config.seed, "coder", index), np.array([label]), mine[1][None])
        for values, value in zip(rows, (*mine, coded.units[0], coded.null[0], coded.levels[0]), strict=True):
            values.append(value)
    return _Faces(np.array(votes), np.array(intensity), Codings(np.array(units), np.array(null), np.array(levels)))


def _write_truth(
    folder: Path, prefixes: tuple[str, str], names: list[str], splits: list[str], labels: np.ndarray, faces: _Faces
) -> None:
    """Write classes, splits, votes and AU labels."""
    coded = zip(faces.coded.units, faces.coded.null, faces.intensity, strict=True)
    columns = {
        f"{prefixes[0]}_emolabel.txt": [str(label) for label in labels],
        f"{prefixes[0]}_partition.txt": [str(SPLIT_CODE[split]) for split in splits],
        f"{prefixes[0]}_AUlabel.txt": [notation(units, bool(null), intensity) for units, null, intensity in coded],
        f"{prefixes[1]}_distribution.txt": ["".join(f"{share:.6f} " for share in votes) for votes in faces.votes],
    }
    for file, values in columns.items():
        _write(folder / file, [f"{name} {value}\n" for name, value in zip(names, values, strict=True)])


def _intensities(names: list[str], coded: Codings) -> str:
    rows = [
        [name, *("" if null else str(level) for level in levels)]
        for name, null, levels in zip(names, coded.null, coded.levels, strict=True)
    ]
    return "".join(",".join(row) + "\n" for row in [["picture", *NAMES], *rows])


def _attributes(config: StandinConfig) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["picture", *BINS])
    for picture in plan(config):
        name = f"pool/{picture.name}" if picture.split == "pool" else picture.name
        writer.writerow([name, *attributes(config, picture.person, picture.yaw).values()])
    return text.getvalue()


def _card(config: StandinConfig, test: np.ndarray, labels: np.ndarray, faces: _Faces) -> dict:
    card = {"version": VERSION, "difficulty": config.difficulty, "seed": config.seed}
    if not config.ceiling_draws:
        return card
    # the processes that draw import this module too: scikit-learn would cost each of them a second
    from fer_core.standin.ceiling import measure_ceiling  # noqa: PLC0415

    coded = Codings(faces.coded.units[test], faces.coded.null[test], faces.coded.levels[test])
    draws = config.ceiling_draws
    return card | {
        "ceiling": measure_ceiling(config.seed, config.knobs, labels[test], faces.intensity[test], coded, draws)
    }


def _write(path: Path, lines: list[str]) -> None:
    write_text(path, "".join(lines))
