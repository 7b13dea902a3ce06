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
import numpy as np
from filelock import FileLock

from fer_core.errors import ConfigError, DataError
from fer_core.files import write_text
from fer_core.progress import Bar
from fer_core.standin.clips import FRAMES, draw_clip, plan_clips
from fer_core.standin.config import VERSION, StandinConfig
from fer_core.standin.layout import plan
from fer_core.standin.picture import draw_picture
from fer_core.standin.tables import write_tables

CHUNK = 32
"""Pictures that a worker draws before it reports; an interrupted run repeats at most this many per worker."""

PICTURES, CLIPS = "pictures", "clips"

Job = tuple[str, int]
"""What to draw, and the number of the first."""


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
    jobs = _jobs(config)
    if workers < 1:
        raise ConfigError(f"Expected `workers` to be 1 or more; got {workers}.")
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"Expected {folder} to be a folder or absent; it is a file.")
    work = work or folder.with_name(f".{folder.name}.work")
    staging = work / fingerprint(config)
    try:
        work.mkdir(parents=True, exist_ok=True)
        with FileLock(staging.with_suffix(".lock")):
            _draw(staging, config, jobs, workers)
            landmarks = {
                kind: _landmarks(staging, [job for job in jobs if job[0] == kind]) for kind in (PICTURES, CLIPS)
            }
            write_tables(staging, config, landmarks[PICTURES], landmarks[CLIPS])
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


def _jobs(config: StandinConfig) -> list[Job]:
    """Return the chunks in which the set is drawn, about equally long."""
    pictures = [(PICTURES, start) for start in range(0, len(plan(config)), CHUNK)]
    return pictures + [(CLIPS, start) for start in range(0, len(plan_clips(config)), CHUNK // FRAMES)]


def _size(config: StandinConfig, job: Job) -> int:
    """Return how many pictures or frames a job draws."""
    kind, start = job
    if kind == PICTURES:
        return len(plan(config)[start : start + CHUNK])
    return FRAMES * len(plan_clips(config)[start : start + CHUNK // FRAMES])


def _draw(staging: Path, config: StandinConfig, jobs: list[Job], workers: int) -> None:
    """Draw all chunks that no earlier run has finished."""
    for name in ("original", "pool", *(["clips"] if config.clips else []), _DONE):
        (staging / name).mkdir(parents=True, exist_ok=True)
    waiting = [job for job in jobs if not _landmark_file(staging, job).exists()]
    total = sum(_size(config, job) for job in jobs)
    with Bar("generate faces", total, "picture") as bar:
        bar.skip(total - sum(_size(config, job) for job in waiting))
        if workers == 1:
            for job in waiting:
                bar.advance(_draw_chunk(staging, config, job))
            return
        executor = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_start_worker)
        try:
            running = [executor.submit(_draw_chunk, staging, config, job) for job in waiting]
            for done in as_completed(running):
                bar.advance(done.result())
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


def _draw_chunk(staging: Path, config: StandinConfig, job: Job) -> int:
    """Draw one chunk; the landmark file, written last, marks it as done."""
    kind, start = job
    lines = []
    if kind == PICTURES:
        for planned in plan(config)[start : start + CHUNK]:
            data, points = draw_picture(config, planned)
            (staging / planned.path).write_bytes(data)
            lines.append(_line(planned.name, points))
    else:
        for clip in plan_clips(config)[start : start + CHUNK // FRAMES]:
            drawn = draw_clip(config, clip)
            folder = staging / "clips" / clip.name
            folder.mkdir(exist_ok=True)
            for frame, data in enumerate(drawn.frames):
                (folder / f"{frame}.jpg").write_bytes(data)
                lines.append(_line(f"{clip.name}/{frame}.jpg", drawn.landmarks[frame]))
    write_text(_landmark_file(staging, job), "\n".join(lines) + "\n")
    return len(lines)


def _line(name: str, points: np.ndarray) -> str:
    return " ".join([name, *(f"{value:.3f}" for value in points.ravel())])


def _landmark_file(staging: Path, job: Job) -> Path:
    return staging / _DONE / f"{job[0]}_{job[1]:06d}.txt"


def _landmarks(staging: Path, jobs: list[Job]) -> list[str]:
    """Return the landmark lines of finished chunks, in order."""
    texts = [_landmark_file(staging, job).read_text(encoding="utf-8") for job in jobs]
    return "".join(texts).splitlines(keepends=True)


def _move(staging: Path, folder: Path) -> None:
    """Put the finished set in place; across file systems by way of a copy beside the target."""
    beside = folder.with_name(f".{folder.name}.{os.getpid()}.new")
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(staging, beside)
    if folder.exists():
        shutil.rmtree(folder)
    beside.replace(folder)
