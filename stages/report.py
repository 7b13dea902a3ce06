"""Write the gains table: what every technique claims, what it gave here, how sure that is, and what it cost.

Reads  plans/road.yaml, data/select/<rung>/state.yaml, metrics/runs.json, the predictions that it names, the labels of
       the test split (pictures and clips), card.json, metrics/synthesis.json.
Writes metrics/gains.json, metrics/summary.json, metrics/slices.json (scores by attribute), reports/gains.md and
       reports/attention/: where runs whose attention weighs places look, over a few validation faces.

`--print-only` writes nothing and shows the table of the last report on the terminal; with `--where skin=dark`, a table
of these test faces alone, made anew from the predictions.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import typer

from stages.lib.common import DATA, DEBUG, METRICS, PLANS, REPORTS, stage

if TYPE_CHECKING:
    from fer_core.evaluation.metrics import Integers
    from fer_core.evaluation.predictions import Truth

app = typer.Typer(add_completion=False)


@app.command()
@stage
def main(
    road_file: Path = typer.Option(PLANS / "road.yaml", "--road", help="What was planned."),
    data: Path = typer.Option(DATA, help="Folder that holds train/, stack/, tta/, clips/, without/ and select/."),
    manifest: Path = typer.Option(DATA / "join_aus" / "manifest.parquet", help="Pictures, splits, subjects."),
    test_truth: Path = typer.Option(DATA / "ingest" / "test_truth.parquet", help="The test split's labels."),
    test_aus: Path = typer.Option(DATA / "join_aus" / "test_aus.parquet", help="The test split's AU labels."),
    card_file: Path = typer.Option(DATA / "ingest" / "card.json", "--card", help="What the data are."),
    metrics: Path = typer.Option(METRICS, help="Holds runs.json; gains, summary and slices go there."),
    reports: Path = typer.Option(REPORTS, help="Where the table and its pictures go."),
    resamples: int = typer.Option(10_000, min=100, help="Bootstrap resamples."),
    seed: int = typer.Option(0, help="Seed of the resamples."),
    print_only: bool = typer.Option(False, "--print-only", help="Show the last table; write nothing."),
    where: Optional[list[str]] = typer.Option(  # noqa: UP045
        None, help="Show the table of these test faces only, as skin=dark; may be repeated. Writes nothing."
    ),
    debug: bool = DEBUG,
) -> None:
    """Write the gains table and its pictures, or show the last one."""
    from fer_core.files import read_json, read_yaml

    road = read_yaml(road_file)
    if print_only and not where:
        from stages.show_gains import show

        show(read_json(metrics / "gains.json"), read_json(metrics / "summary.json"), road, reports)
        return

    from fer_core.evaluation.clip_truth import read_clip_truth, unusable_split
    from fer_core.evaluation.final_recipe import recipe_lines
    from fer_core.evaluation.gains import BASELINE, gain_rows, rungs_of, seeds_of, standing
    from fer_core.evaluation.head import head_notes, headline, summarise
    from fer_core.evaluation.paired import Judge, Judges
    from fer_core.evaluation.predictions import read_truth
    from fer_core.evaluation.slice_table import slice_lines
    from fer_core.evaluation.slices import slice_rows
    from fer_core.evaluation.synthesis_lines import synthesis_lines
    from fer_core.evaluation.table import markdown
    from fer_core.evaluation.votes import diversity_lines
    from fer_core.files import write_json, write_text

    card, runs = read_json(card_file), read_json(metrics / "runs.json")
    states = {name: read_yaml(data / "select" / name / "state.yaml") for name in rungs_of(road)}
    classes, final = len(card["classes"]), standing(road, states)
    truth = read_truth(manifest, test_truth, test_aus, classes)["test"]
    stills = {name: run for name, run in runs.items() if not name.startswith("clips/")}
    predictions = _predictions(data, stills, truth, classes)
    if where:
        _show_part(where, road, states, stills, truth, predictions, classes, resamples, seed, reports)
        return

    count = road["seeds"]
    seeds = {name: seeds_of(predictions, name, count) for name in predictions}
    stills_judge = Judge(truth.labels, predictions, classes, truth.clusters, resamples, seed, seeds)
    judge: Judges = Judges({"": stills_judge})
    if card["clips"] and unusable_split(manifest) is None:
        on_clips = read_clip_truth(manifest, test_truth, classes)["test"]
        guesses = _predictions(data, {name: run for name, run in runs.items() if name not in stills}, on_clips, classes)
        judge.add("clips", Judge(on_clips.labels, guesses, classes, on_clips.clusters, resamples, seed))
    rows = gain_rows(road, states, runs, judge.compare, judge.score)
    ceilings = (card.get("standin") or {}).get("ceiling") or {}
    summary = summarise(rows, final, judge.compare, judge.score, ceilings.get("intensities"))
    slices = slice_rows(truth, predictions, BASELINE, final, classes, resamples, seed)
    lucky = [runs[name]["test"]["accuracy"] for name in seeds_of(predictions, BASELINE)]
    notes = head_notes(road, card, runs[BASELINE], truth.clusters is not None, truth.dropped, resamples, summary, lucky)
    _draw_attention(reports / "attention", data, runs, card["classes"])
    more = [*synthesis_lines(read_json(metrics / "synthesis.json")), *slice_lines(slices, truth.attributes)]
    more += recipe_lines(road, states, runs, final)
    votes = diversity_lines(runs)
    extra = {"vote": [*votes, ""]} if votes else {}
    write_text(reports / "gains.md", markdown(rows, summary, road, notes, more, extra))
    write_json(metrics / "gains.json", rows)
    write_json(metrics / "summary.json", summary)
    write_json(metrics / "slices.json", slices)
    print(headline(summary, road))


def _show_part(
    where: list[str],
    road: dict[str, Any],
    states: dict[str, Any],
    runs: dict[str, dict[str, Any]],
    truth: "Truth",
    predictions: dict[str, "Integers"],
    classes: int,
    resamples: int,
    seed: int,
    reports: Path,
) -> None:
    """Show the table of the test faces that have the attributes `where`, and write nothing."""
    from fer_core.evaluation.gains import gain_rows, seeds_of, standing
    from fer_core.evaluation.head import summarise
    from fer_core.evaluation.paired import Judge
    from fer_core.evaluation.slices import part_of, select
    from stages.show_gains import show

    techniques = {name: plan for name, plan in road["techniques"].items() if plan.get("kind") != "temporal"}
    road = road | {"techniques": techniques}  # clips have no attributes
    keep = select(truth, where)
    part = part_of(truth, keep)
    guesses = {name: values[keep] for name, values in predictions.items()}
    seeds = {name: seeds_of(guesses, name, road["seeds"]) for name in guesses}
    judge = Judge(part.labels, guesses, classes, part.clusters, resamples, seed, seeds)
    test = {"n": len(part.ids), "classes_present": len(set(part.labels.tolist()))}
    on_part = {
        name: run | {"test": test | {"accuracy": float((guesses[name] == part.labels).mean())}}
        if run["state"] == "done"
        else run
        for name, run in runs.items()
    }
    rows = gain_rows(road, states, on_part, judge.compare, judge.score)
    summary = summarise(rows, standing(road, states), judge.compare, judge.score)  # the ceiling is of all test faces
    show(
        rows, summary, road, reports, f"only the {len(part.ids)} of {len(truth.ids)} test faces with {', '.join(where)}"
    )


def _predictions(data: Path, runs: dict[str, dict[str, Any]], truth: "Truth", classes: int) -> dict[str, "Integers"]:
    """Read every predictor's classes of the test faces, (N,) each; refuse those that runs.json was not made from."""
    import math

    from fer_core.errors import DataError
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
    return predictions


def _draw_attention(folder: Path, data: Path, runs: dict[str, dict[str, Any]], classes: list[str]) -> None:
    """Draw where the runs look that left it, and write a page that shows the pictures."""
    from safetensors.numpy import load_file

    from fer_core.evaluation.plots.attention import draw_attention
    from fer_core.files import write_text
    from stages.lib.store import replace_folder

    replace_folder(folder)
    lines = ["# Where the attention looks", ""]
    for name in runs:
        kind, _, run = name.partition("/")
        path = data / name / "attention.safetensors"
        if kind == "train" and "/" not in run and path.exists():
            seen = load_file(path)
            names = [classes[label] for label in seen["labels"]]
            title = f"{run}: attention over validation faces"
            draw_attention(folder / f"{run}.png", seen["faces"], seen["maps"], names, title, seen.get("taught"))
            lines += [f"![{title}]({run}.png)", ""]
    if len(lines) == 2:
        lines += ["No run of this table has an attention that weighs places.", ""]
    write_text(folder / "maps.md", "\n".join(lines))


if __name__ == "__main__":
    app()
