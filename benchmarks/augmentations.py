"""A contact sheet of every augmentation and mix on eight train faces: `python -m benchmarks.augmentations`.

One row per choice of `augment` and `mix`, one column per face. Dots are the landmarks as the augmentation moved them;
on a mixed face they are the sample's own, and the number is the share of its own class that is left. It needs the
aligned faces of the workspace (`dvc repro join_aus`) and writes reports/augmentations.png, which git ignores: on a data
set of photographs it shows people.

`--time` measures instead: ms per batch and pictures/s of each choice and of the default's pair, on random pictures of
the size asked for, as a run with faces in memory draws them. It needs no data.
"""

import time
from pathlib import Path
from statistics import median
from typing import Annotated, NamedTuple

import numpy as np
import pandas as pd
import torch
import typer
from torch import Tensor

from fer_core.augment import AUGMENTS, Batch, augment
from fer_core.augment.mixing import MIXES, mix
from fer_core.augment.regions import TEMPLATE
from fer_core.errors import DataError
from fer_core.evaluation.plots.style import ORANGE, picture
from fer_core.files import read_json
from fer_core.training.faces import FaceSet, load_faces

SHEET = Path("reports/augmentations.png")
COLUMNS = 8
AUS = ("AU1", "AU2", "AU4", "AU6", "AU12", "AU25")  # of the pictures that are timed
INCHES = 1.1  # a picture's side
app = typer.Typer(add_completion=False)


class Row(NamedTuple):
    """One choice: its key and name, pictures (B, C, H, W), landmarks (B, 5, 2), own share (B,) where mixed."""

    title: str
    images: Tensor
    landmarks: Tensor
    shares: Tensor | None = None


class Speed(NamedTuple):
    """One choice's name, its median time per batch in ms, and how many pictures a second that is."""

    name: str
    milliseconds: float
    pictures: float


def speeds(count: int = 64, side: int = 64, repeats: int = 20, device: str = "cpu") -> list[Speed]:
    """Measure every augmentation and mix on a batch (count, 3, side, side), and `generic` with `mixup` behind it.

    The choices take turns, so that a busy machine slows all of them alike.
    """
    draw = torch.Generator(device).manual_seed(0)
    images = torch.rand(count, side, side, 3, generator=draw, device=device).permute(0, 3, 1, 2)
    points = (torch.tensor(TEMPLATE, device=device) * side - 0.5).repeat(count, 1, 1)
    aus = (torch.rand(count, len(AUS), generator=draw, device=device) > 0.6).float()
    targets = torch.rand(count, 7, generator=draw, device=device)

    def run(first: str, second: str) -> None:
        batch = augment(first, Batch(images, points, aus, AUS), draw)
        mix(second, batch.images, targets, batch.aus, alpha=0.4, generator=draw, landmarks=points, au_names=AUS)
        if images.is_cuda:
            torch.cuda.synchronize()

    pairs = [(name, "none") for name in AUGMENTS if name != "none"]
    pairs += [("none", name) for name in MIXES if name != "none"]
    pairs.append(("generic", "mixup"))
    taken: dict[tuple[str, str], list[float]] = {pair: [] for pair in pairs}
    for turn in range(repeats + 1):
        for pair, times in taken.items():
            start = time.perf_counter()
            run(*pair)
            if turn:  # the first fills caches
                times.append(time.perf_counter() - start)
    names = [" + ".join(name for name in pair if name != "none") for pair in pairs]
    return [
        Speed(name, 1000 * median(times), count / median(times))
        for name, times in zip(names, taken.values(), strict=True)
    ]


def some(faces: FaceSet, count: int = COLUMNS) -> Tensor:
    """Return the indices of the first face of each class, as many as asked, and then of the next ones."""
    _, first = np.unique(faces.labels.numpy(), return_index=True)
    rest = np.setdiff1d(np.arange(len(faces)), first)
    return torch.from_numpy(np.concatenate([first, rest])[:count])


def rows(faces: FaceSet, index: Tensor, seed: int, alpha: float = 1.0) -> list[Row]:
    """Augment and mix the faces `index`; the same seed gives the same sheet."""
    batch = Batch(faces.images(index), faces.landmarks[index], faces.aus[index], faces.au_names)
    found = []
    for name in AUGMENTS:
        out = augment(name, batch, torch.Generator().manual_seed(seed))
        found.append(Row(f"augment\n{name}", out.images, out.landmarks))
    for name in MIXES:
        if name == "none":
            continue
        images, own, _ = mix(
            name,
            batch.images,
            torch.eye(len(index)),
            batch.aus,
            alpha=alpha,
            generator=torch.Generator().manual_seed(seed),
            landmarks=batch.landmarks,
            au_names=batch.au_names,
        )
        found.append(Row(f"mix\n{name}", images, batch.landmarks, own.diagonal()))
    return found


def draw(found: list[Row], path: Path) -> None:
    """Write the sheet as PNG."""
    count, _, height, width = found[0].images.shape
    gap = max(1, width // 16)
    starts = torch.arange(count) * (width + gap)
    with picture(path, INCHES * (count + 1.7), INCHES * len(found) * 1.12) as figure:
        axes = figure.subplots(len(found), squeeze=False)[:, 0]
        for row, line in zip(found, axes, strict=True):
            line.set_ylabel(row.title.replace("_", "_\n"), rotation=0, ha="right", va="center", fontsize=7)
            # side by side with white between; one axis a row is many times faster to lay out than one a picture
            strip = torch.nn.functional.pad(row.images, (0, gap), value=1).permute(2, 0, 3, 1).flatten(1, 2)[:, :-gap]
            line.imshow(strip.expand(-1, -1, 3).numpy(), vmin=0, vmax=1)
            inside = ((row.landmarks > -1) & (row.landmarks < row.landmarks.new_tensor([width, height]))).all(dim=-1)
            dots = row.landmarks + torch.stack([starts, torch.zeros_like(starts)], dim=-1)[:, None]
            line.scatter(*dots[inside].T.numpy(), s=5, color=ORANGE)
            line.set(xlim=(-0.5, strip.shape[1] - 0.5), ylim=(height - 0.5, -0.5), yticks=[])
            line.set_xticks([] if row.shares is None else (starts + width / 2).tolist())
            line.tick_params(length=0, labelsize=7, pad=1)
            line.spines[:].set_visible(False)
            if row.shares is not None:
                line.set_xticklabels([f"{100 * share:.0f} %" for share in row.shares.tolist()])


@app.command()
def main(
    data: Path = typer.Option(Path("data"), help="Folder with align/ and join_aus/."),
    out: Path = SHEET,
    seed: int = 0,
    timing: Annotated[bool, typer.Option("--time", help="Print how long each choice takes; draw nothing.")] = False,
    batch: Annotated[int, typer.Option(help="Pictures in a batch that is timed.")] = 64,
    side: Annotated[int, typer.Option(help="Their side in pixels.")] = 64,
    device: Annotated[str, typer.Option(help="Where they are: cpu or cuda.")] = "cpu",
) -> None:
    """Draw the sheet, or measure."""
    if timing:
        print(f"{'choice':<24}{'ms per batch':>14}{'pictures/s':>14}")
        for item in speeds(batch, side, device=device):
            print(f"{item.name:<24}{item.milliseconds:>14.2f}{item.pictures:>14,.0f}")
        return
    manifest = data / "join_aus" / "manifest.parquet"
    if not manifest.exists():
        raise DataError(f"{manifest} does not exist; run `dvc repro join_aus` first.")
    names = read_json(data / "join_aus" / "aus.json")["names"]
    faces = load_faces(pd.read_parquet(manifest), data / "align" / "faces.npy", ["train"], names)
    if len(faces) == 0:
        raise DataError(f"Expected train faces in {manifest}; got none.")
    draw(rows(faces, some(faces), seed), out)
    print(f"wrote {out}")


if __name__ == "__main__":
    app()
