"""Score every predictor on validation and test, and raise the alarms.

Reads  the manifest with AU labels, the test split's labels and AUs, card.json, and every folder under data/train,
       data/stack, data/tta, data/clips and data/without (status.json, predictions.parquet; history.json and
       recipe.yaml where they exist); metrics/synthesis.json.
Writes metrics/runs.json: one entry per predictor ("train/baseline", "train/baseline/seed-1", "stack/ladder/greedy",
       "clips/lstm", ...). Those under data/clips are scored on clips, all others on pictures. Each has the temperature
       that its validation predictions ask for, and NLL and calibration error (ECE) before and after it.
       data/evaluate/: faces.parquet (each test face and clip, its class, and every predictor's answer) and about.json
       (what the data are), by which experiments are compared.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from stages.lib.common import DATA, DEBUG, METRICS, stage

if TYPE_CHECKING:
    from fer_core.evaluation.metrics import Integers, Scores
    from fer_core.evaluation.predictions import Truth

KINDS = ("train", "stack", "tta", "clips", "without")
FACTS = (
    "train_seconds",
    "pretrain_seconds",
    "before",
    "epochs",
    "best_epoch",
    "parameters",
    "converged",
    "train_accuracy",
    "members",
    "method",
    "best_member",
    "of",
    "views",
    "weights_method",
    "milliseconds_per_face",
    "milliseconds_per_face_plain",
    "fingerprint",
    "weak_aus",
)

app = typer.Typer(add_completion=False)


@app.command()
@stage
def main(
    data: Path = typer.Option(DATA, help="Folder that holds train/, stack/, tta/, clips/ and without/."),
    manifest: Path = typer.Option(DATA / "join_aus" / "manifest.parquet", help="Pictures, splits, labels."),
    test_truth: Path = typer.Option(DATA / "ingest" / "test_truth.parquet", help="The test split's labels."),
    test_aus: Path = typer.Option(DATA / "join_aus" / "test_aus.parquet", help="The test split's AU labels."),
    card: Path = typer.Option(DATA / "ingest" / "card.json", help="Class names of the data set."),
    synthesis: Path = typer.Option(METRICS / "synthesis.json", help="How good synthetic faces are."),
    out: Path = typer.Option(METRICS / "runs.json", help="Where the scores go."),
    out_faces: Path = typer.Option(DATA / "evaluate", help="Where the answers to every test face go."),
    debug: bool = DEBUG,
) -> None:
    """Score every predictor on validation and test, and raise the alarms."""
    from fer_core.errors import DataError
    from fer_core.evaluation.answers import answer_table, read_subjects
    from fer_core.evaluation.clip_truth import read_clip_truth, unusable_split
    from fer_core.evaluation.predictions import read_truth
    from fer_core.files import read_json, write_json, write_parquet
    from stages.lib.predictors import predictor_folders

    about = read_json(card)
    names = about["classes"]
    truths = {"still": read_truth(manifest, test_truth, test_aus, len(names))}
    clips = about["clips"] and unusable_split(manifest) is None
    if clips:
        truths["clip"] = read_clip_truth(manifest, test_truth, len(names))
    folders = predictor_folders(data, KINDS)
    if not folders:
        raise DataError(f"Expected predictors in {', '.join(f'{data}/{kind}' for kind in KINDS)}; found none.")
    statuses = {name: read_json(folder / "status.json") for name, folder in folders.items()}
    if not clips:  # what has results under data/clips is of other data
        statuses = {
            name: status
            for name, status in statuses.items()
            if not (name.startswith("clips/") and status.get("state") == "done")
        }
    quality = read_json(synthesis)
    runs: dict[str, dict[str, Any]] = {}
    answers: dict[str, dict[str, Any]] = {track: {} for track in truths}
    for name, status in statuses.items():
        track = "clip" if clips and name.startswith("clips/") else "still"
        runs[name], answer = _entry(data / name, status, statuses, truths[track], names, quality)
        if answer is not None:
            answers[track][name] = answer
    write_json(out, runs)
    of_test = {track: truth["test"] for track, truth in truths.items()}
    write_parquet(out_faces / "faces.parquet", answer_table(of_test, answers, read_subjects(manifest)))
    write_json(out_faces / "about.json", {key: about.get(key) for key in ("data", "title", "classes")})
    done = sum(run["state"] == "done" for run in runs.values())
    alarmed = sum(bool(run["alarms"]) for run in runs.values())
    print(
        f"{done} predictors scored on {len(of_test['still'].ids)} test pictures; "
        f"{alarmed} with alarms; {len(runs) - done} not applicable or not needed"
    )


def _entry(
    folder: Path,
    status: dict[str, Any],
    statuses: dict[str, dict[str, Any]],
    truth: dict[str, "Truth"],
    names: list[str],
    quality: dict[str, Any],
) -> tuple[dict[str, Any], "Integers | None"]:
    """Score one predictor, and return its answers to the test faces, (N,), too.

    One that was not trained keeps its reason, and has no numbers and no answers.
    """
    import numpy as np

    from fer_core.evaluation import alarms, calibration, history_alarms, metrics
    from fer_core.evaluation.predictions import align_predictions, read_table
    from fer_core.files import read_json, read_yaml

    entry: dict[str, Any] = {"state": status.get("state"), "reason": status.get("reason")}
    entry |= {key: status.get(key) for key in FACTS} | {
        "temperature": None,
        "validation": None,
        "test": None,
        "alarms": [],
    }
    if entry["state"] != "done":
        return entry, None

    path = folder / "predictions.parquet"
    table = read_table(path, ["sample_id", "split", "log_probabilities"])
    rows = {split: align_predictions(table, truth[split], len(names), str(path)) for split in truth}
    chosen_by = rows["validation"].log_probabilities
    entry["temperature"] = temperature = calibration.fit_temperature(truth["validation"].labels, chosen_by)
    results, au_f1 = {}, {}
    for split, found in rows.items():
        results[split] = metrics.scores(truth[split].labels, found.labels, len(names))
        entry[split] = _summary(results[split])
        softened = calibration.scaled(found.log_probabilities, temperature)
        for end, logs in (("", found.log_probabilities), ("_scaled", softened)):
            entry[split]["nll" + end] = metrics.negative_log_likelihood(truth[split].labels, logs)
            entry[split]["ece" + end] = calibration.expected_calibration_error(truth[split].labels, logs)
        entry[split]["au_f1"] = None
        if found.au_probabilities is not None:
            aus = metrics.au_scores(truth[split].aus, found.au_probabilities)
            au_f1[split] = aus.mean_f1
            entry[split]["au_f1"] = aus.mean_f1
            entry[split]["aus_evaluated"] = aus.evaluated
            entry[split]["au_f1_per_unit"] = dict(zip(truth[split].au_names, aus.f1, strict=True))
    if (folder / "weights.json").exists():
        entry["diversity"] = read_json(folder / "weights.json").get("diversity")
    test = results["test"]
    entry["test"] |= {key: getattr(test, key) for key in ("uar_common", "macro_f1_common", "classes_common")}
    entry["test"]["per_class"] = {
        name: {"recall": test.recall[k], "f1": test.f1[k], "support": test.support[k]} for k, name in enumerate(names)
    }
    entry["test"]["confusion"] = test.confusion

    history = read_json(folder / "history.json") if (folder / "history.json").exists() else []
    before = read_json(folder / "pretraining.json") if (folder / "pretraining.json").exists() else {}
    recipe = read_yaml(folder / "recipe.yaml") if (folder / "recipe.yaml").exists() else {}
    members = {name: statuses.get(name, {}).get("converged") for name in status.get("members") or []}
    everything = np.concatenate([found.log_probabilities for found in rows.values()])
    entry["alarms"] = [
        *alarms.not_a_number(history, everything),
        *alarms.collapsed(test, len(names)),
        *alarms.never_predicted(test, names),
        *alarms.dead_au_head(*au_f1.values()),
        *alarms.overfitted(status.get("train_accuracy"), results["validation"].accuracy),
        *alarms.splits_disagree(results["validation"], test),
        *alarms.not_converged(status.get("converged"), members),
        *history_alarms.diverging(history, recipe),
        *history_alarms.loss_terms_apart(history, recipe),
        *alarms.two_corrections(recipe),
        *alarms.collapsed_pretraining(before.get("ssl", []), len(names)),
        *(alarm for kind in ("identity", "ssl_identity") for alarm in alarms.blind_identity(before.get(kind, []))),
        *([*alarms.copied_faces(quality), *alarms.unlike_faces(quality)] if recipe.get("synthesis") == "gan" else []),
    ]
    return entry, rows["test"].labels


def _summary(result: "Scores") -> dict[str, Any]:
    keys = ("accuracy", "uar", "macro_f1", "n", "classes_present")
    return {key: getattr(result, key) for key in keys}


if __name__ == "__main__":
    app()
