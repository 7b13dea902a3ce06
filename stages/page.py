"""Write the report as one page, and its figures as files.

Reads  metrics/{gains,summary,runs,slices,synthesis}.json, plans/road.yaml, data/select/<rung>/state.yaml, card.json,
       aus.json, leakage.json where there is one, the test split's labels, the predictions of baseline and final, the
       histories of the training runs, the aligned faces, reports/attention.
Writes reports/index.html, which needs no network and no other file, and reports/figures/<name>.svg.

The page holds test faces and says what they truly are: it goes where the data may go, and no further.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from stages.lib.common import DATA, DEBUG, METRICS, PLANS, REPORTS, stage

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from fer_core.evaluation.metrics import Floats
    from fer_core.evaluation.page.content import Picture
    from fer_core.evaluation.predictions import Truth

app = typer.Typer(add_completion=False)


@app.command()
@stage
def main(
    road_file: Path = typer.Option(PLANS / "road.yaml", "--road", help="What was planned."),
    data: Path = typer.Option(DATA, help="Folder that holds train/, stack/, tta/ and select/."),
    manifest: Path = typer.Option(DATA / "join_aus" / "manifest.parquet", help="Pictures, splits, crops."),
    test_truth: Path = typer.Option(DATA / "ingest" / "test_truth.parquet", help="The test split's labels."),
    test_aus: Path = typer.Option(DATA / "join_aus" / "test_aus.parquet", help="The test split's AU labels."),
    card_file: Path = typer.Option(DATA / "ingest" / "card.json", "--card", help="What the data are."),
    aus_file: Path = typer.Option(DATA / "join_aus" / "aus.json", "--aus", help="What the AU labels are."),
    leakage: Path = typer.Option(DATA / "ingest" / "leakage.json", help="What the leakage guard found."),
    faces: Path = typer.Option(DATA / "align" / "faces.npy", help="The aligned faces."),
    metrics: Path = typer.Option(METRICS, help="Holds gains, summary, runs, slices and synthesis.json."),
    reports: Path = typer.Option(REPORTS, help="Holds attention/; the page and figures/ go there."),
    resamples: int = typer.Option(10_000, min=100, help="Bootstrap resamples of the report stage."),
    debug: bool = DEBUG,
) -> None:
    """Write the report page and its figures."""
    from fer_core.evaluation.gains import BASELINE, rungs_of, seeds_of, standing
    from fer_core.evaluation.head import head_notes
    from fer_core.evaluation.page.build import page
    from fer_core.evaluation.page.content import Content
    from fer_core.evaluation.page.figures import draw
    from fer_core.evaluation.predictions import read_truth
    from fer_core.files import read_json, read_yaml, write_text
    from stages.lib.store import replace_folder

    road, card, runs = read_yaml(road_file), read_json(card_file), read_json(metrics / "runs.json")
    states = {name: read_yaml(data / "select" / name / "state.yaml") for name in rungs_of(road)}
    final, classes = standing(road, states), len(card["classes"])
    truth = read_truth(manifest, test_truth, test_aus, classes)["test"]
    summary = read_json(metrics / "summary.json")
    logs = {name: _logs(data, name, runs, truth, classes) for name in dict.fromkeys((BASELINE, final))}
    lucky = [runs[name]["test"]["accuracy"] for name in seeds_of(runs, BASELINE) if runs[name].get("test")]
    by_subject = truth.clusters is not None
    content = Content(
        rows=read_json(metrics / "gains.json"),
        summary=summary,
        runs=runs,
        slices=read_json(metrics / "slices.json"),
        synthesis=read_json(metrics / "synthesis.json"),
        road=road,
        states=states,
        card=card,
        aus=read_json(aus_file),
        leakage=read_json(leakage) if leakage.exists() else None,
        truth=truth,
        final=final,
        logs=logs,
        faces=_faces(faces, manifest, truth),
        histories=_histories(data / "train"),
        attention=_attention(reports / "attention", runs, final),
        attention_folder=f"{reports / 'attention'}/",
        environment=_environment(road),
        notes=head_notes(road, card, runs[BASELINE], by_subject, truth.dropped, resamples, summary, lucky),
    )
    drawn = draw(content)
    replace_folder(reports / "figures")
    for name, (svg, _) in drawn.items():
        write_text(reports / "figures" / f"{name}.svg", svg)
    write_text(reports / "index.html", page(content, drawn))
    size = (reports / "index.html").stat().st_size / 1e6
    print(f"{reports / 'index.html'}: {size:.1f} MB, {len(drawn)} figures")


def _logs(data: Path, name: str, runs: dict[str, Any], truth: "Truth", classes: int) -> "Floats":
    """Read a predictor's log-probabilities (N, K) of the test faces; refuse those that runs.json was not made from."""
    import math

    from fer_core.errors import DataError
    from fer_core.evaluation.predictions import align_predictions, read_table

    if runs.get(name, {}).get("state") != "done":
        raise DataError(f"metrics/runs.json has no scores of {name}; the evaluate stage must run again.")
    path = data / name / "predictions.parquet"
    table = read_table(path, ["sample_id", "split", "log_probabilities"])
    found = align_predictions(table, truth, classes, str(path))
    accuracy, told = float((found.labels == truth.labels).mean()), runs[name]["test"]["accuracy"]
    if not math.isclose(accuracy, told, abs_tol=1e-9):
        raise DataError(
            f"{path} has test accuracy {accuracy:.4f}, metrics/runs.json says {told:.4f}; "
            "the evaluate stage must run again."
        )
    return found.log_probabilities


def _faces(path: Path, manifest: Path, truth: "Truth") -> "npt.NDArray[np.uint8]":
    """Return the test faces (N, H, W, 3) in the truth's order."""
    import numpy as np

    from fer_core.errors import DataError
    from fer_core.evaluation.predictions import read_table
    from fer_core.files import BROKEN

    try:
        everything = np.load(path, mmap_mode="r")
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; the align stage has not run.") from None
    except BROKEN as error:
        raise DataError(f"{path} is not a readable array: {error}.") from None
    table = read_table(manifest, ["sample_id", "crop_index"]).set_index("sample_id")
    places = table.loc[truth.ids, "crop_index"].to_numpy(dtype=np.int64)
    if places.max() >= len(everything):
        raise DataError(f"{manifest} names crop {places.max()}, {path} holds {len(everything)}; align must run again.")
    return everything[places]


def _histories(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the epochs of every training run's first seed, by the run's name, after those of its pretraining."""
    from fer_core.files import read_json

    paths = sorted(folder.glob("[!.]*/history.json"))
    return {path.parent.name: [*_before(path.parent), *read_json(path)] for path in paths}


def _before(folder: Path) -> list[dict[str, Any]]:
    """Return what probes said during a run's self-supervised pretraining, with epochs that end at 0."""
    from fer_core.files import read_json

    path = folder / "pretraining.json"
    rows = read_json(path).get("ssl", []) if path.exists() else []
    probes = ("knn_uar", "probe_uar")
    return [{"epoch": row["epoch"] - len(rows), **{key: row.get(key) for key in probes}} for row in rows]


def _attention(folder: Path, runs: dict[str, Any], final: str) -> list["Picture"]:
    """Return the few pictures of attention that the page shows."""
    from fer_core.evaluation.page.content import Picture
    from fer_core.evaluation.page.faces import attention_runs

    end, todo = set(), [final]
    while todo:
        name = todo.pop()
        end.add(name.removeprefix("train/"))
        run = runs.get(name) or {}
        todo += [*(run.get("members") or []), *([run["of"]] if run.get("of") else [])]
    chosen = attention_runs((path.stem for path in folder.glob("*.png")), end)
    return [Picture(name, (folder / f"{name}.png").read_bytes()) for name in chosen]


def _environment(road: dict[str, Any]) -> dict[str, str]:
    """Return what ran: nothing that changes from run to run on one machine and commit."""
    import os
    import platform
    from importlib.metadata import PackageNotFoundError, version

    def installed(package: str) -> str:
        try:
            return version(package)
        except PackageNotFoundError:
            return "not installed"

    return {
        "Profile": str(road["profile"]),
        "Data": str(road["data"]),
        "Seed": str(road["seed"]),
        "Git commit": _commit(),
        "Python": platform.python_version(),
        **{name: installed(name) for name in ("torch", "timm", "numpy", "scikit-learn", "dvc", "mlflow")},
        "Platform": f"{platform.system()} {platform.machine()}",
        "CPUs": str(os.cpu_count()),
    }


def _commit() -> str:
    """Return the commit, and whether tracked files differ from it; "unknown" without git."""
    import subprocess

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], capture_output=True, text=True, check=True, timeout=20).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", "*.py", "params.yaml", "dvc.yaml")
        return git("rev-parse", "HEAD") + (", with changes" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


if __name__ == "__main__":
    app()
