"""Drawing the whole set: in parallel, resumable, and either whole or absent."""

import hashlib
import json
import os
import shutil
import signal
import threading
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from multiprocessing import get_context, parent_process
from pathlib import Path

import cv2
from filelock import FileLock

from fer_core.errors import ConfigError, DataError
from fer_core.files import write_text
from fer_core.progress import Bar
from fer_core.standin.coder import write_label
from fer_core.standin.config import VERSION, StandinConfig
from fer_core.standin.layout import Planned, plan, subject_name
from fer_core.standin.picture import draw_picture, truth
from fer_core.standin.published import SPLIT_CODE
from fer_core.standin.random import stream

CHUNK = 32
"""Pictures that a worker draws before it reports; an interrupted run repeats at most this many per worker."""

README = """Generated faces, not people.

Every picture here was drawn by fer_core/standin (version {version}, seed {seed}); nobody was photographed, and
nothing measured on these pictures is evidence about people. The layout is RAF-CE's: RAFCE_emolabel.txt (class
index), RAFCE_partition.txt (0 train, 1 test, 2 validation), RAFCE_AUlabel.txt, rafml_distribution.txt (votes for
surprise, fear, disgust, happiness, sadness, anger), pictures in original/. Added: RAFCE_landmark.txt (eyes, nose
tip, mouth corners, x y in pixels, viewer's left first, with an annotator's error), RAFCE_subject.txt, and an
unlabelled pool in pool/ with pool_landmark.txt and pool_subject.txt.
"""


def generate(folder: Path, config: StandinConfig, *, workers: int = 1, work: Path | None = None) -> None:
    """Write the set into `folder`, replacing what is there once the new set is complete.

    Args:
        folder: where the set shall stand.
        config: what to draw.
        workers: processes; 1 draws in this one.
        work: where unfinished pictures wait, `<work>/<fingerprint>`; beside `folder` by default.

    Raises:
        ConfigError: impossible configuration, or `folder` is a file; nothing is written then.
        DataError: the disk is full or not writable; finished pictures are kept.
    """
    pictures = plan(config)
    if workers < 1:
        raise ConfigError(f"Expected `workers` to be 1 or more; got {workers}.")
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"Expected {folder} to be a folder or absent; it is a file.")
    work = work or folder.with_name(f".{folder.name}.work")
    staging = work / fingerprint(config)
    try:
        work.mkdir(parents=True, exist_ok=True)
        with FileLock(staging.with_suffix(".lock")):
            _draw(staging, config, pictures, workers)
            _write_labels(staging, config, pictures)
            shutil.rmtree(staging / _DONE)
            _move(staging, folder)
    except OSError as error:
        raise DataError(
            f"The stand-in could not be written ({error.strerror or error}: {error.filename or staging}); "
            f"finished pictures are kept in {staging}."
        ) from error


def fingerprint(config: StandinConfig) -> str:
    """Return a name for everything that decides the pictures: version, configuration and this package's source."""
    digest = hashlib.sha256(json.dumps({"version": VERSION, **asdict(config)}, sort_keys=True).encode())
    for source in sorted(Path(__file__).parent.glob("*.[pj]*")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


_DONE = "done"


def _draw(staging: Path, config: StandinConfig, pictures: tuple[Planned, ...], workers: int) -> None:
    """Draw all chunks that no earlier run has finished."""
    for name in ("original", "pool", _DONE):
        (staging / name).mkdir(parents=True, exist_ok=True)
    chunks = range(0, len(pictures), CHUNK)
    waiting = [start for start in chunks if not _landmark_file(staging, start).exists()]
    finished = len(pictures) - sum(len(pictures[start : start + CHUNK]) for start in waiting)
    with Bar("generate faces", len(pictures), "picture") as bar:
        bar.skip(finished)
        if workers == 1:
            for start in waiting:
                bar.advance(_draw_chunk(staging, config, start))
            return
        executor = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_start_worker)
        try:
            jobs = [executor.submit(_draw_chunk, staging, config, start) for start in waiting]
            for job in as_completed(jobs):
                bar.advance(job.result())
        finally:  # on Ctrl-C workers end their chunk, so that it is kept
            executor.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, one thread per worker, and end when the parent has died."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    parent = parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _draw_chunk(staging: Path, config: StandinConfig, start: int) -> int:
    """Draw CHUNK pictures; the landmark file, written last, marks them as done."""
    lines = []
    pictures = plan(config)[start : start + CHUNK]
    for planned in pictures:
        data, points = draw_picture(config, planned)
        (staging / planned.path).write_bytes(data)
        lines.append(" ".join([planned.name, *(f"{value:.3f}" for value in points.ravel())]))
    write_text(_landmark_file(staging, start), "\n".join(lines) + "\n")
    return len(pictures)


def _landmark_file(staging: Path, start: int) -> Path:
    return staging / _DONE / f"{start:06d}.txt"


def _write_labels(staging: Path, config: StandinConfig, pictures: tuple[Planned, ...]) -> None:
    files: dict[str, list[str]] = {}

    def put(file: str, planned: Planned, value: str) -> None:
        files.setdefault(file, []).append(f"{planned.name} {value}\n")

    for planned in pictures:
        labelled = planned.split != "pool"
        put("RAFCE_subject.txt" if labelled else "pool_subject.txt", planned, subject_name(planned.person))
        if not labelled:
            continue
        face = truth(config, planned)
        put("RAFCE_emolabel.txt", planned, str(planned.label))
        put("RAFCE_partition.txt", planned, str(SPLIT_CODE[planned.split]))
        put("rafml_distribution.txt", planned, "".join(f"{share:.6f} " for share in face.votes))
        coder = stream(config.seed, "coder", planned.index)
        put("RAFCE_AUlabel.txt", planned, write_label(coder, planned.label, face.intensity))
    landmarks = [
        line
        for start in range(0, len(pictures), CHUNK)
        for line in _landmark_file(staging, start).read_text(encoding="utf-8").splitlines(keepends=True)
    ]
    count = sum(planned.split != "pool" for planned in pictures)
    files["RAFCE_landmark.txt"], files["pool_landmark.txt"] = landmarks[:count], landmarks[count:]
    files.setdefault("pool_subject.txt", [])
    for name, lines in files.items():
        write_text(staging / name, "".join(lines))
    write_text(staging / "README.txt", README.format(version=VERSION, seed=config.seed))


def _move(staging: Path, folder: Path) -> None:
    """Put the finished set in place; across file systems by way of a copy beside the target."""
    beside = folder.with_name(f".{folder.name}.{os.getpid()}.new")
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(staging, beside)
    if folder.exists():
        shutil.rmtree(folder)
    beside.replace(folder)
