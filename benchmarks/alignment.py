"""How quickly faces are found and cut, and in what memory: `python -m benchmarks.alignment`.

speed: encoded pictures to aligned crops by MTCNN, beside two loops that take one picture at a time and cut with our
functions: facenet-pytorch's own `MTCNN(keep_all=True).detect`, and our cascade given a list of one, both with
PyTorch's default threads. The three run in turn, in another order each round; a ratio is of one round's seconds.
The pictures are generated faces of 160 px, and the same in scenes of 480 px. What differs between the first loop and
ours besides batches: it looks at the pictures in their own size for faces from 20 px, ours scales each into a canvas.
csv: the stages ingest and align, as processes of their own, on FER2013's csv with `align.detector: none`.
memory: the highest resident memory of the stage align on n and on 4 n pictures. Its growth leaves out the crops: they
are mapped from their file, and the system takes such memory back when it needs it.

Run it on an idle machine: `taskset -c 0,1 python -m benchmarks.alignment` for two cores. On a busy one PyTorch's
threads wait for each other, and the loops look ten times as slow as they are: `--threads 1` gives them one thread.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import pandas as pd
import torch
import typer
import yaml

from fer_core.datasets.store import ROWS_PER_GROUP, write_pictures
from fer_core.errors import DataError
from fer_core.faces.align import align
from fer_core.faces.config import AlignConfig
from fer_core.faces.detect import Faces, central
from fer_core.faces.mtcnn import load
from fer_core.faces.pixels import decode, warp
from fer_core.faces.similarity import similarity, template
from fer_core.files import write_json
from fer_core.manifest import empty_columns, write_manifest
from fer_core.standin import StandinConfig, generate

SIZE, ZOOM = 96, 0.9  # of the crops; the demo profile's zoom
SIDE, SCENE = 160, 480  # pixels
FASTER, SECONDS, GROWTH = 3.0, 90.0, 64.0  # the bounds; MiB of growth that we call flat
REPOSITORY = Path(__file__).parent.parent
# Printed by the process itself: what wait4 says of a child begins with its parent's peak.
CHILD = (
    "import sys; from stages.{stage} import app; app(sys.argv[1:], standalone_mode=False); "
    "print([line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')][0])"
)
app = typer.Typer(add_completion=False)
Encoded = list[bytes]


def draw(count: int, folder: Path, seed: int = 4) -> dict[str, Encoded]:
    """Draw faces, 160 px on the longer side, and put each into a scene of 480 px; JPEG files by kind."""
    scale = max(0.001, count / 4549)
    generate(folder, StandinConfig(seed=seed, scale=scale, pool=0, clips=0, scene=SIDE, ceiling_draws=0), workers=1)
    rng = np.random.default_rng(seed)
    out: dict[str, Encoded] = {f"{SIDE} px": [], f"{SCENE} px scene": []}
    files = sorted((folder / "original").iterdir())
    for k in range(count):
        picture = np.asarray(cv2.imread(str(files[k % len(files)]), cv2.IMREAD_COLOR))
        ratio = SIDE / max(picture.shape[:2])
        picture = cv2.resize(picture, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_CUBIC)[:SIDE, :SIDE]
        coarse = rng.integers(40, 200, (8, 8, 3), np.uint8)
        scene = cv2.resize(coarse, (SCENE, SCENE), interpolation=cv2.INTER_CUBIC)
        top, left = (int(rng.integers(0, SCENE - side + 1)) for side in picture.shape[:2])
        scene[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
        for kind, one in zip(out, (picture, scene), strict=True):
            out[kind].append(cv2.imencode(".jpg", one, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes())
    return out


def table_of(count: int) -> pd.DataFrame:
    """Return a manifest of `count` unlabelled pictures as ingest writes it."""
    table = pd.DataFrame(empty_columns("ingest", count))
    table["sample_id"] = [f"{k:06d}" for k in range(count)]
    table["source"], table["picture"], table["split"] = "drawn", "x.jpg", "pool"
    return table


def by_align(files: Encoded, folder: Path) -> int:
    """Align as the stage does; return how many faces were cut."""
    table = table_of(len(files))
    pairs: list[tuple[str, bytes | None]] = list(zip(table["sample_id"], files, strict=True))
    batches = [pairs[start : start + ROWS_PER_GROUP] for start in range(0, len(pairs), ROWS_PER_GROUP)]
    config = AlignConfig(SIZE, "mtcnn", zoom=ZOOM, max_dropped=1.0)
    return int(align(table, batches, False, config, folder / "faces.npy")["crop_index"].notna().sum())


def one_by_one(files: Encoded, find: Callable[[np.ndarray], Faces]) -> int:
    """Decode, find and cut one picture after another; return how many faces were cut."""
    crops = np.empty((len(files), SIZE, SIZE, 3), np.uint8)
    target, done = template(SIZE, ZOOM), 0
    for data in files:
        picture = decode(data, False)
        faces = None if picture is None else find(picture)
        if picture is None or faces is None or not len(faces):
            continue
        points = faces.points[central(faces, *picture.shape[:2])]
        crops[done] = warp(picture, similarity(points[None], target)[0], SIZE)
        done += 1
    return done


def package() -> Callable[[np.ndarray], Faces]:
    """Return facenet-pytorch's own detector, one PIL picture at a time."""
    from facenet_pytorch import MTCNN  # noqa: PLC0415  an optional package
    from PIL import Image  # noqa: PLC0415  only here

    detector = MTCNN(keep_all=True, device="cpu")

    def find(picture: np.ndarray) -> Faces:
        boxes, scores, points = detector.detect(Image.fromarray(picture), landmarks=True)
        if boxes is None:
            return Faces(np.zeros((0, 4)), np.zeros(0), np.zeros((0, 5, 2)))
        return Faces(boxes.astype(float), scores.astype(float), points.astype(float))

    return find


def ours() -> Callable[[np.ndarray], Faces]:
    """Return our cascade, one picture at a time."""
    networks = load("cpu")
    return lambda picture: networks.faces([picture])[0]


def speed(files: Encoded, rounds: int, folder: Path) -> dict[str, object]:
    """Time the three in turn; medians, and the peers' seconds as multiples of ours, median, least and most."""
    theirs, alone = package(), ours()
    contenders: dict[str, Callable[[Encoded], int]] = {
        "align": lambda some: by_align(some, folder),
        "facenet_pytorch": lambda some: one_by_one(some, theirs),
        "one_at_a_time": lambda some: one_by_one(some, alone),
    }
    found = {name: run(files[:8]) for name, run in contenders.items()}  # first calls are slow
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds):
        names = list(contenders)[turn % 3 :] + list(contenders)[: turn % 3]
        for name in names if turn % 2 else names[::-1]:
            start = time.perf_counter()
            found[name] = contenders[name](files)
            seconds[name].append(time.perf_counter() - start)
    rows: dict[str, object] = {
        name: {"pictures_per_second": round(len(files) / median(took), 1), "found": found[name], **spread(took)}
        for name, took in seconds.items()
    }
    for peer in list(contenders)[1:]:
        ratios = [other / own for other, own in zip(seconds[peer], seconds["align"], strict=True)]
        rows[f"times_as_fast_as_{peer}"] = spread(ratios)
    return rows


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return the median, least and most of some values."""
    return {"median": round(median(values), 3), "least": round(min(values), 3), "most": round(max(values), 3)}


def stage(name: str, folder: Path) -> tuple[float, float]:
    """Run a stage in a folder; return its seconds, start of Python included, and its highest resident memory in MiB."""
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    start = time.perf_counter()
    command = [sys.executable, "-c", CHILD.format(stage=name)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DataError(f"The stage {name} failed in the benchmark: {done.stderr.strip().splitlines()[-1:]}.")
    return time.perf_counter() - start, int(done.stdout.split()[-1]) / 1024


def set_params(folder: Path, **changes: object) -> None:
    """Write the project's params.yaml with changes, `align` merged, into a folder."""
    params = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    params["align"] |= changes.pop("align", {})
    (folder / "params.yaml").write_text(yaml.safe_dump(params | changes, sort_keys=False))


def from_csv(csv: Path, folder: Path) -> dict[str, object]:
    """Take FER2013's csv to the aligned array by the two stages."""
    raw = folder / "data/raw/fer2013"
    raw.mkdir(parents=True)
    (raw / "fer2013.csv").symlink_to(csv.resolve())
    set_params(folder, data="fer2013", leakage="report", align={"detector": "none"})
    ingest, ingest_peak = stage("ingest", folder)
    aligning, align_peak = stage("align", folder)
    faces = np.load(folder / "data/align/faces.npy", mmap_mode="r")
    return {
        "rows": len(faces),
        "shape": list(faces.shape),
        "ingest_seconds": round(ingest, 1),
        "align_seconds": round(aligning, 1),
        "seconds": round(ingest + aligning, 1),
        "ingest_peak_mib": round(ingest_peak),
        "align_peak_mib": round(align_peak),
    }


def memory(files: Encoded, count: int, detector: str, folder: Path) -> dict[str, float]:
    """Run the stage align on `count` pictures and on four times as many, each file again and again."""
    row: dict[str, float] = {}
    for times in (1, 4):
        work = folder / f"{detector}_{times}"
        table = table_of(times * count)
        samples = table["sample_id"].tolist()
        (work / "data/ingest").mkdir(parents=True)
        write_manifest(work / "data/ingest/manifest.parquet", table, "ingest")
        pictures = ((sample, files[k % len(files)]) for k, sample in enumerate(samples))
        write_pictures(work / "data/ingest/pictures.parquet", _Drawn(table, pictures))  # type: ignore[arg-type]
        set_params(work, align={"detector": detector, "max_dropped": 1.0})
        _, peak = stage("align", work)
        row[f"peak_mib_{times * count}"] = round(peak)
        row[f"crops_mib_{times * count}"] = round((work / "data/align/faces.npy").stat().st_size / 2**20, 1)
    low, high = (row[f"peak_mib_{times * count}"] - row[f"crops_mib_{times * count}"] for times in (1, 4))
    return row | {"growth_mib": round(high - low, 1)}


class _Drawn:
    """What `write_pictures` asks of a data set."""

    def __init__(self, rows: pd.DataFrame, pictures: object) -> None:
        self.rows, self.pictures = rows, lambda: pictures


@app.command()
def main(
    pictures: int = typer.Option(256, help="Drawn for the speed, of each kind."),
    rounds: int = typer.Option(7, help="Runs of each of the three."),
    threads: int = typer.Option(0, help="PyTorch's, for the two loops; 0: its default."),
    csv: Path = typer.Option(Path("data/raw/fer2013/fer2013.csv"), help="FER2013 as published; left out where absent."),
    count: int = typer.Option(1024, help="Pictures for the memory, and four times as many; 0: leave out."),
    out: Path = typer.Option(Path("benchmarks/results/alignment.json"), help="File to write."),
) -> None:
    """Measure, print and write; exit with 1 where a bound is missed."""
    cores = len(os.sched_getaffinity(0))
    if threads:
        torch.set_num_threads(threads)
    result: dict[str, object] = {"cores": cores, "torch_threads": torch.get_num_threads()}
    held: dict[str, bool] = {}
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        files = draw(pictures, work / "standin")
        for kind, some in files.items() if rounds else ():
            result[kind] = row = speed(some, rounds, work)
            for peer in ("facenet_pytorch", "one_at_a_time"):
                ratio = row[f"times_as_fast_as_{peer}"]
                print(f"{kind}: {ratio['median']} times as fast as {peer} ({ratio['least']} to {ratio['most']})")  # type: ignore[index]
                held[f"{kind}, {peer}"] = ratio["median"] >= FASTER  # type: ignore[index]
        if csv.is_file():
            result["csv"] = row = from_csv(csv, work / "csv")
            print(f"csv: {row['rows']:,} rows in {row['seconds']} s: {row}")
            held["csv"] = row["seconds"] < SECONDS  # type: ignore[operator]
        for detector in ("none", "mtcnn") if count else ():
            result[f"memory, {detector}"] = grown = memory(files[f"{SCENE} px scene"], count, detector, work)
            print(f"memory, {detector}: {grown}")
            held[f"memory, {detector}"] = grown["growth_mib"] < GROWTH
    result["held"] = held
    write_json(out, result)
    missed = [name for name, good in held.items() if not good]
    print(f"missed: {'; '.join(missed)}" if missed else "every bound was held")
    raise typer.Exit(bool(missed))


if __name__ == "__main__":
    app()
