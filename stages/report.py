"""Write the gains table: what every technique claims, what it gave here, how sure that is, and what it cost.

Reads  plans/road.yaml, data/select/<rung>/state.yaml, metrics/runs.json, the predictions that it names, the labels of
       the test split, card.json.
Writes metrics/gains.json, metrics/summary.json, reports/gains.md, reports/ladder.png, reports/learning_curves.png and
       reports/confusion/{baseline,final}.png.

`--print-only` writes nothing and shows the table of the last report on the terminal.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from stages.lib.common import DATA, DEBUG, METRICS, PLANS, REPORTS, stage

if TYPE_CHECKING:
    from fer_core.evaluation.paired import Judge
    from fer_core.evaluation.predictions import Truth

app = typer.Typer(add_completion=False)


@app.command()
@stage
def main(
    road_file: Path = typer.Option(PLANS / "road.yaml", "--road", help="What was planned."),
    data: Path = typer.Option(DATA, help="Folder that holds train/, stack/, tta/ and select/."),
    manifest: Path = typer.Option(DATA / "join_aus" / "manifest.parquet", help="Pictures, splits, subjects."),
    test_truth: Path = typer.Option(DATA / "ingest" / "test_truth.parquet", help="The test split's labels."),
    test_aus: Path = typer.Option(DATA / "join_aus" / "test_aus.parquet", help="The test split's AU labels."),
    card_file: Path = typer.Option(DATA / "ingest" / "card.json", "--card", help="What the data are."),
    metrics: Path = typer.Option(METRICS, help="Holds runs.json; gains.json and summary.json go there."),
    reports: Path = typer.Option(REPORTS, help="Where the table and its pictures go."),
    resamples: int = typer.Option(10_000, min=100, help="Bootstrap resamples."),
    seed: int = typer.Option(0, help="Seed of the resamples."),
    print_only: bool = typer.Option(False, "--print-only", help="Show the last table; write nothing."),
    debug: bool = DEBUG,
) -> None:
    """Write the gains table and its pictures, or show the last one."""
    from fer_core.files import read_json, read_yaml

    road = read_yaml(road_file)
    if print_only:
        from stages.show_gains import show

        show(read_json(metrics / "gains.json"), read_json(metrics / "summary.json"), road, reports)
        return

    from fer_core.evaluation.gains import BASELINE, gain_rows, rungs_of, standing
    from fer_core.evaluation.predictions import read_truth
    from fer_core.evaluation.table import data_notes, head_notes, headline, markdown, summarise
    from fer_core.files import write_json, write_text

    card, runs = read_json(card_file), read_json(metrics / "runs.json")
    states = {name: read_yaml(data / "select" / name / "state.yaml") for name in rungs_of(road)}
    truth = read_truth(manifest, test_truth, test_aus, len(card["classes"]))["test"]
    judge = _judge(data, runs, truth, len(card["classes"]), resamples, seed)
    rows = gain_rows(road, states, runs, judge.compare, judge.score)
    final = standing(road, states)
    summary = summarise(rows, final, judge.compare, judge.score)
    notes = head_notes(road, card, runs[BASELINE], truth.clusters is not None, truth.dropped, resamples)
    _draw(reports, data, rows, runs, headline(summary, road), final, card["classes"], data_notes(road, card))
    write_text(reports / "gains.md", markdown(rows, summary, road, notes))
    write_json(metrics / "gains.json", rows)
    write_json(metrics / "summary.json", summary)
    print(headline(summary, road))


def _judge(
    data: Path, runs: dict[str, dict[str, Any]], truth: "Truth", classes: int, resamples: int, seed: int
) -> "Judge":
    """Read every predictor's test predictions; refuse those that runs.json was not made from."""
    import math

    from fer_core.errors import DataError
    from fer_core.evaluation.paired import Judge
    from fer_core.evaluation.predictions import align_predictions, read_table

    predictions = {}
    for name, run in runs.items():
        if run["state"] != "done":
            continue
        path = data / name / "predictions.parquet"
        table = read_table(path, ["sample_id", "split", "log_probabilities"])
        predictions[name] = align_predictions(table, truth, classes, str(path)).labels
        accuracy = float((predictions[name] == truth.labels).mean())
        if not math.isclose(accuracy, run["test"]["accuracy"], abs_tol=1e-9):
            raise DataError(
                f"{path} has test accuracy {accuracy:.4f}, metrics/runs.json says {run['test']['accuracy']:.4f}; "
                "the evaluate stage must run again."
            )
    return Judge(truth.labels, predictions, classes, truth.clusters, resamples, seed)


def _draw(
    reports: Path,
    data: Path,
    rows: list[dict[str, Any]],
    runs: dict[str, dict[str, Any]],
    title: str,
    final: str,
    classes: list[str],
    data_notes: list[str],
) -> None:
    from fer_core.evaluation.gains import BASELINE
    from fer_core.evaluation.plots.confusion import draw_confusion
    from fer_core.evaluation.plots.curves import draw_curves
    from fer_core.evaluation.plots.ladder import draw_ladder
    from fer_core.files import read_json

    draw_ladder(reports / "ladder.png", rows, title, data_notes)
    for name, predictor in (("baseline", BASELINE), ("final", final)):
        test = runs[predictor]["test"]
        heading = f"{name.capitalize()} ({predictor}): accuracy {100 * test['accuracy']:.1f} %"
        draw_confusion(reports / "confusion" / f"{name}.png", test["confusion"], classes, heading)
    trained = [name for name, run in runs.items() if run["state"] == "done" and name.startswith("train/")]
    trained.sort(key=lambda name: name != BASELINE)
    histories = {
        name.removeprefix("train/"): read_json(data / name / "history.json")
        for name in trained
        if (data / name / "history.json").exists()
    }
    converged = {name.removeprefix("train/"): runs[name].get("converged") for name in trained}
    draw_curves(reports / "learning_curves.png", histories, converged)


if __name__ == "__main__":
    app()
