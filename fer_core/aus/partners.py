"""Which rows of the manifest a label belongs to: by the picture's name or path, or by clip and frame."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import pandas as pd

from fer_core.aus.labels import AuLabels
from fer_core.datasets.lines import picture_key
from fer_core.errors import DataError

Path_ = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Row:
    sample: str
    picture: str
    clip: bool
    paths: tuple[Path_, ...]


@dataclass
class Partners:
    """Finds the rows of one data set.

    Attributes:
        rows: sample_id, picture, clip_id and frame, with the set's own names.
    """

    rows: pd.DataFrame
    _of_key: dict[str, list[_Row]] = field(init=False, repr=False)
    _of_frame: dict[str, dict[int, str]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._of_key, self._of_frame = defaultdict(list), {}
        columns = (self.rows[name] for name in ("sample_id", "picture", "clip_id", "frame"))
        for sample, picture, clip, frame in zip(*columns, strict=True):
            video, _, number = str(picture).rpartition("#")
            if video and number.isdigit():  # frame `number`, from 1, of a video: such a picture has no name
                self._of_frame.setdefault(picture_key(video), {})[int(number) - 1] = str(sample)
                continue
            paths = _path(str(sample)), _path(str(picture))
            row = _Row(str(sample), str(picture), not pd.isna(clip), paths)
            for key in {path[-1] for path in paths}:
                self._of_key[key].append(row)
            if row.clip:
                for name in {str(clip), str(clip).rsplit("/", 1)[-1]}:
                    self._of_frame.setdefault(name, {})[int(frame)] = row.sample

    def of_picture(self, name: str, where: str, frames: bool = False) -> list[str]:
        """Return the `sample_id`s of the rows that show a picture; none where the set has no such picture.

        `0001`, `0001_aligned.jpg` and `/home/me/original/0001.jpg` all are the picture `original/0001.jpg` of the row
        `0001`. Of several rows with the same file name the one is meant whose path agrees the furthest.

        Args:
            name: of the picture, perhaps with folders before it and an ending.
            where: the file and line, for the error.
            frames: whether a row of a clip that shows the same picture counts too.

        Raises:
            DataError: rows with different pictures fit equally well.
        """
        path = _path(name)
        rows = self._of_key.get(path[-1], [])
        common = [max(_common(path, own) for own in row.paths) for row in rows]
        # a frame is called 3.jpg: only with its clip's name before it can it be told from a picture of that name
        known = [(n, row) for n, row in zip(common, rows, strict=True) if n >= (2 if row.clip else 1)]
        whole = [(n, row) for n, row in known if any(n == len(own) for own in row.paths)] or known
        best = [row for n, row in whole if n == max(m for m, _ in whole)]
        pictures = {row.picture for row in best}
        if len(pictures) > 1:
            first, second = sorted(pictures)[:2]
            raise DataError(
                f"{where}: expected a name that only one picture has; got {name!r}, as {first} and {second}."
            )
        shown = [row for row in rows if row.picture in pictures]
        return [row.sample for row in shown if frames or not row.clip]

    def of_frames(self, name: str, frames: Collection[int]) -> dict[int, str]:
        """Return frame, as a program counted it from 0, -> `sample_id`, of a clip or a video; none of one not known.

        A program that was given all pictures of a clip counts them in their order. Where it saw another number of
        pictures than the manifest has, its first frame is the clip's number 0, or 1 in clips that begin with 1.

        Args:
            name: of the clip, whole or the last part of it, or the path of a video.
            frames: all that the program counted.
        """
        clip = self._of_frame.get(name) or self._of_frame.get(picture_key(name)) or {}
        if set(frames) == set(range(len(clip))):
            return dict(enumerate(clip[number] for number in sorted(clip)))
        first = 1 if clip and min(clip) == 1 else 0
        return {frame: clip[frame + first] for frame in frames if frame + first in clip}


def by_sample(labels: AuLabels, partners: Partners, where: str) -> AuLabels:
    """Bring labels whose index is pictures' names to `sample_id`; those without a row are listed.

    Args:
        labels: tables with names of pictures as index.
        partners: the set's rows; stills only are looked at.
        where: the file, for errors.

    Raises:
        DataError: a name fits several pictures.
    """
    table, alone = _renamed(labels.table, partners, where)
    intensities, more = (None, []) if labels.intensities is None else _renamed(labels.intensities, partners, where)
    return AuLabels(
        **{
            **vars(labels),
            "table": table,
            "intensities": intensities,
            "without_picture": tuple(dict.fromkeys([*labels.without_picture, *alone, *more])),
        }
    )


def _renamed(table: pd.DataFrame, partners: Partners, where: str) -> tuple[pd.DataFrame, list[str]]:
    found: Mapping[str, list[str]] = {str(key): partners.of_picture(str(key), where) for key in table.index}
    pairs = [(row, sample) for row, key in enumerate(table.index) for sample in found[str(key)]]
    out = table.iloc[[row for row, _ in pairs]].set_axis(pd.Index([name for _, name in pairs], name="sample_id"))
    return out, [key for key, samples in found.items() if not samples]


def _path(name: str) -> Path_:
    *folders, last = name.replace("\\", "/").split("/")
    return (*(part for part in folders if part not in ("", ".")), picture_key(last))


def _common(path: Path_, other: Path_) -> int:
    """Return how many of the last parts are the same."""
    count = 0
    for a, b in zip(reversed(path), reversed(other), strict=False):
        if a != b:
            break
        count += 1
    return count
