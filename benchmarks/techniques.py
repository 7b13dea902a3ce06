"""Every variant of a technique alone on the baseline, by validation: `python -m benchmarks.techniques losses few_shot`.

This is how a row of the roadmap chooses among its variants; test faces are not looked at. It needs the aligned faces
of the workspace (`dvc repro join_aus`), trains two variants at a time with one thread each, several seeds of each, and
writes benchmarks/results/techniques.json and the tables in docs/techniques.md. A variant that was measured before with
the same recipe is not trained again; `--again` measures it anew.
"""

import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import typer
import yaml

from fer_core.config import load_params
from fer_core.errors import DataError, unknown_name
from fer_core.evaluation.table import claim_text, gain_text, title_text, verdict_text
from fer_core.files import read_json, write_json, write_text
from fer_core.labels import from_card
from fer_core.recipe import Recipe, merged, resolve

RESULTS = Path("benchmarks/results/techniques.json")
DOCUMENT = Path("docs/techniques.md")
GAINS = Path("metrics/gains.json")
TECHNIQUES = ["au_multitask", "no_sampler", "imbalance", "few_shot", "meta_learning", "curriculum"]
TECHNIQUES += ["votes", "compound", "optimisation"]
FREE: dict[str, Any] = {"sampler": "none"}  # a loss or weights that correct the imbalance need no sampler beside them

# group -> variant -> what it changes in the baseline
GROUPS: dict[str, dict[str, dict[str, Any]]] = {
    "baseline": {"baseline": {}},
    "losses": {
        "ce, no sampler": FREE,
        "focal": {"loss": "focal", **FREE},
        "cb": {"loss": "cb", **FREE},
        "cb_focal": {"loss": "cb_focal", **FREE},
        "ldam, cosine head": {"loss": "ldam", "head": "cosine", **FREE},
        "ldam + drw, cosine head": {"loss": "ldam", "head": "cosine", "drw": 0.8, **FREE},
        "balanced_softmax": {"loss": "balanced_softmax", **FREE},
        "logit_adjusted, τ 0.5": {"loss": "logit_adjusted", "logit_tau": 0.5, **FREE},
        "cb, label_smoothing 0.1": {"loss": "cb", "label_smoothing": 0.1, **FREE},
        "ce + drw": {"drw": 0.8, **FREE},
    },
    "aus": {
        "λ 0.5": {"au_weight": 0.5},
        "λ 0.5, weighted_bce": {"au_weight": 0.5, "au_loss": "weighted_bce"},
        "λ 0.5, asymmetric": {"au_weight": 0.5, "au_loss": "asymmetric"},
        "λ 0.5, mlp head": {"au_weight": 0.5, "au_head": "mlp"},
        "uncertainty": {"au_weight": "uncertainty"},
        "λ 0.5, intensity": {"au_weight": 0.5, "au_intensity": 1.0},
    },
    "samplers": {
        "balanced": {"sampler": "balanced"},
        "square_root": {"sampler": "square_root"},
        "curriculum": {"sampler": "curriculum"},
    },
    "few_shot": {
        "cosine head": {"head": "cosine"},
        "prototype head": {"head": "prototype"},
        "episodes": {"few_shot_below": 50, "few_shot_weight": 0.5},
        "cosine head, episodes": {"head": "cosine", "few_shot_below": 50, "few_shot_weight": 0.5},
        "prototype head, episodes": {"head": "prototype", "few_shot_below": 50, "few_shot_weight": 0.5},
        "light episodes, no sampler": {"few_shot_below": 50, "few_shot_weight": 0.1, **FREE},
        "cosine head, light episodes, no sampler": {
            "head": "cosine",
            "few_shot_below": 50,
            "few_shot_weight": 0.1,
            **FREE,
        },
    },
    "meta": {
        "meta_weight": {"meta": "meta_weight", **FREE},
        "maml": {"meta": "maml"},
        "maml, no sampler": {"meta": "maml", **FREE},
    },
    "targets": {
        "votes": {"target": "votes"},
        "votes, no sampler": {"target": "votes", **FREE},
        "compound": {"target": "compound"},
        "compound, no sampler": {"target": "compound", **FREE},
    },
    "optimisation": {
        "sam 0.05": {"sam": 0.05},
        "ema 0.99": {"ema": 0.99},
        "sam 0.05, ema 0.99": {"sam": 0.05, "ema": 0.99},
        "clip_grad 1": {"clip_grad": 1.0},
        "layer_decay 0.75": {"layer_decay": 0.75},
        "sgd": {"optimizer": "sgd", "lr": 0.1},
        "one_cycle": {"schedule": "one_cycle"},
    },
}

app = typer.Typer(add_completion=False)


def tables(results: Mapping[str, Any]) -> str:
    """Return the figures as one Markdown table: means over the seeds, in percent, of validation."""
    lines = ["| Variant | Keys | Seeds | Accuracy % | UAR % | Macro-F1 % | AU-F1 % | Train s |"]
    lines += ["| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for variants in results.values():
        for name, entry in variants.items():
            mean = entry["mean"]
            figures = [f"{100 * mean[key]:.1f}" for key in ("accuracy", "uar", "macro_f1")]
            au_f1 = f"{100 * mean['au_f1']:.1f}" if "au_f1" in mean else ""
            keys = ", ".join(f"`{key}: {value}`" for key, value in entry["set"].items())
            cells = [name, keys, str(len(entry["seeds"])), *figures, au_f1, f"{mean['seconds']:.0f}"]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def gave(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return as Markdown what the document's techniques gave on test faces, from the rows of metrics/gains.json."""
    lines = ["| Technique | Alone: gain, points [95 %] | On the ladder | Claimed | Verdict, alone |"]
    lines += ["| --- | ---: | ---: | ---: | :--- |"]
    ladder = {row["technique"]: row for row in rows if row["view"] == "ladder"}
    for row in rows:
        if row["view"] == "alone" and row["technique"] in TECHNIQUES:
            rung = ladder.get(row["technique"])
            kept = "no rung" if rung is None else f"{gain_text(rung)}, {'kept' if rung['kept'] else 'not kept'}"
            cells = [title_text(row), gain_text(row), kept, claim_text(row), verdict_text(row)]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write_document(
    results: Mapping[str, Any], rows: Sequence[Mapping[str, Any]] = (), document: Path = DOCUMENT
) -> None:
    """Put the tables between the document's marks.

    Raises:
        DataError: the document lacks the marks.
    """
    text = document.read_text(encoding="utf-8")
    for name, table in {"variants": tables(results), "gave": gave(rows)}.items():
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            raise DataError(f"Expected {document} to have the marks {begin} and {end} once each.")
        before, rest = text.split(begin)
        text = f"{before}{begin}\n{table}\n{end}{rest.split(end)[1]}"
    write_text(document, text)


def _recipe(change: Mapping[str, Any], seed: int) -> Recipe:
    params = load_params(yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8")))
    return resolve(merged(asdict(params.choices), change), params.profiles["demo"], seed)


def _train(data: Path, recipe: Recipe, title: str) -> dict[str, float]:
    from fer_core.evaluation.metrics import scores  # noqa: PLC0415
    from fer_core.training.faces import load_faces  # noqa: PLC0415
    from fer_core.training.loop import train  # noqa: PLC0415
    from fer_core.training.predict import predict  # noqa: PLC0415

    torch.set_num_threads(1)
    manifest = pd.read_parquet(data / "join_aus" / "manifest.parquet")
    names = read_json(data / "join_aus" / "aus.json")["names"]
    card = read_json(data / "ingest" / "card.json")
    sets = {
        split: load_faces(manifest, data / "align" / "faces.npy", [split], names) for split in ("train", "validation")
    }
    with tempfile.TemporaryDirectory() as work:
        trained = train(recipe, sets, from_card(card), None, Path(work), title)
    logs, aus = predict(trained.model.float(), sets["validation"])
    found = scores(sets["validation"].labels.numpy(), logs.argmax(1).numpy(), len(card["classes"]))
    au_f1 = {} if aus is None else {"au_f1": trained.history[trained.best_epoch - 1]["validation_au_f1"]}
    return {
        "seed": recipe.seed,
        "accuracy": found.accuracy,
        "uar": found.uar,
        "macro_f1": found.macro_f1,
        "train_accuracy": trained.history[-1]["train_accuracy"],
        "best_epoch": trained.best_epoch,
        "seconds": round(trained.seconds),
        **au_f1,
    }


@app.command()
def main(
    groups: list[str] = typer.Argument(None, help=f"Of {', '.join(GROUPS)}; default: all."),
    seeds: int = typer.Option(2, help="Seeds of each variant."),
    data: Path = typer.Option(Path("data"), help="Folder with ingest/, align/ and join_aus/."),
    out: Path = RESULTS,
    again: bool = False,
    document: bool = typer.Option(False, help="Train nothing, only bring the document's tables up to date."),
) -> None:
    """Train the variants and write what they reached on validation."""
    if document:
        write_document(read_json(out), read_json(GAINS))
        return
    wanted = groups or list(GROUPS)
    for name in wanted:
        if name not in GROUPS:
            raise unknown_name("group", name, GROUPS)
    if not (data / "join_aus" / "manifest.parquet").exists():
        raise DataError(f"{data}/join_aus/manifest.parquet does not exist; run `dvc repro join_aus` first.")
    results = read_json(out) if out.exists() else {}
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        waiting = []
        for group in dict.fromkeys(["baseline", *wanted]):
            for variant, change in GROUPS[group].items():
                old = results.get(group, {}).get(variant, {})
                known = {} if again or old.get("set") != dict(change) else {r["seed"]: r for r in old["seeds"]}
                jobs = {}
                for seed in range(seeds):
                    title = f"{group}: {variant}, seed {seed}"
                    jobs[seed] = known.get(seed) or pool.submit(_train, data, _recipe(change, seed), title)
                waiting.append((group, variant, dict(change), jobs))
        for group, variant, change, jobs in waiting:
            rows = [job if isinstance(job, dict) else job.result() for job in jobs.values()]
            means = {key: float(np.mean([row[key] for row in rows])) for key in rows[0] if key != "seed"}
            results.setdefault(group, {})[variant] = {"set": change, "mean": means, "seeds": rows}
            write_json(out, results)
            text = ", ".join(f"{key} {100 * means[key]:.1f}" for key in ("accuracy", "uar", "macro_f1"))
            print(f"{group}: {variant}: {text}", flush=True)
    results = {
        group: {v: results[group][v] for v in GROUPS[group] if v in results[group]}
        for group in GROUPS
        if group in results
    }
    write_json(out, results)
    write_document(results, read_json(GAINS))


if __name__ == "__main__":
    app()
