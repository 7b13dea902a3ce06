"""Every variant of a technique alone on the baseline, by validation: `python -m benchmarks.techniques losses few_shot`.

This is how a row of the roadmap chooses among its variants; test faces are not looked at. It needs the aligned faces
of the workspace (`dvc repro join_aus`), trains several variants at a time (`--workers`, with `--threads` each), several
seeds of each, and writes benchmarks/results/techniques.json and the tables in docs/techniques.md. First weights and
synthetic faces are made for each run anew. A seed that was measured before with the same keys is not trained again;
`--again` measures it anew.

It takes a GPU where there is one, and notes for each run which device measured it. All runs compute in fp32, as the
recipe's `precision: auto` would take bf16 on one device and fp32 on another, so figures do not depend on its default.
Seed 0 of every variant comes first, and results are written as they come: a run that fails is listed at the end (exit
status 1), and the next call tries it again.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
import typer
import yaml

from benchmarks.trial import PRECISION, measure, plan_trial
from benchmarks.variants import GROUPS
from fer_core.config import load_params
from fer_core.errors import DataError, unknown_name
from fer_core.evaluation.table import claim_text, gain_text, title_text, verdict_text
from fer_core.files import read_json, write_json, write_text

RESULTS = Path("benchmarks/results/techniques.json")
DOCUMENT = Path("docs/techniques.md")
GAINS = Path("metrics/gains.json")
TECHNIQUES = ["au_multitask", "attention", "au_guided", "face_pretraining", "augmentation", "mixing", "synthesis"]
TECHNIQUES += ["no_sampler", "imbalance", "few_shot", "meta_learning", "curriculum"]
TECHNIQUES += ["votes", "compound", "optimisation", "self_supervised", "vit", "ensemble", "library", "tta"]

app = typer.Typer(add_completion=False)


def tables(results: Mapping[str, Any]) -> str:
    """Return the figures as one Markdown table: means over the seeds, in percent, of validation."""
    entries = [(name, entry) for variants in results.values() for name, entry in variants.items()]
    prepared = any("before_seconds" in entry["mean"] for _, entry in entries)
    titles = ["Variant", "Keys", "Seeds", "Accuracy %", "UAR %", "Macro-F1 %", "AU-F1 %", "Train s"]
    titles += ["Before s"] if prepared else []
    lines = [_line(titles), _line(["---"] * 2 + ["---:"] * (len(titles) - 2))]
    for name, entry in entries:
        mean = entry["mean"]
        figures = [f"{100 * mean[key]:.1f}" for key in ("accuracy", "uar", "macro_f1")]
        au_f1 = f"{100 * mean['au_f1']:.1f}" if "au_f1" in mean else ""
        keys = ", ".join(f"`{key}: {value}`" for key, value in _flat(entry["set"]))
        cells = [name, keys, str(len(entry["seeds"])), *figures, au_f1, f"{mean['seconds']:.0f}"]
        if prepared:
            cells.append(f"{mean['before_seconds']:.0f}" if "before_seconds" in mean else "")
        lines.append(_line(cells))
    return "\n".join(_devices(entries) + lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _flat(change: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in change.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield above + key, value


def _devices(entries: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """Return a sentence on what measured the figures, and an empty line; nothing where no device was noted."""
    runs = Counter(row.get("device") for _, entry in entries for row in entry["seeds"])
    known = {device: count for device, count in runs.items() if device is not None}
    if not known:
        return []
    if len(runs) == 1:
        return [f"Measured in {PRECISION} on {next(iter(known))}.", ""]
    parts = ", ".join(f"{count} on {device}" for device, count in known.items())
    older = f"; older, in `precision: auto` on a device not noted: {runs[None]}" if None in runs else ""
    return [f"Runs in {PRECISION}: {parts}{older}.", ""]


def gave(rows: Sequence[dict[str, Any]]) -> str:
    """Return as Markdown what the document's techniques gave on test faces, from the rows of metrics/gains.json."""
    lines = ["| Technique | Alone: gain, points [95 %] | On the ladder | Claimed | Verdict, alone |"]
    lines += ["| --- | ---: | ---: | ---: | :--- |"]
    ladder = {row["technique"]: row for row in rows if row["view"] == "ladder"}
    for row in rows:
        if row["view"] == "clip" or (row["view"] == "alone" and row["technique"] in TECHNIQUES):
            rung = ladder.get(row["technique"])
            kept = "no rung" if rung is None else f"{gain_text(rung)}, {'kept' if rung['kept'] else 'not kept'}"
            cells = [title_text(row), gain_text(row), kept, claim_text(row), verdict_text(row)]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write_document(results: Mapping[str, Any], rows: Sequence[dict[str, Any]] = (), document: Path = DOCUMENT) -> None:
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


def _entry(change: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what the results file says of a variant whose runs gave `rows`."""
    rows = sorted(rows, key=lambda row: row["seed"])
    figures = [key for key in rows[0] if key not in ("seed", "device")]
    return {
        "set": dict(change),
        "mean": {key: float(np.mean([row[key] for row in rows])) for key in figures},
        "seeds": list(rows),
    }


def _known(results: Mapping[str, Any], group: str, variant: str) -> list[dict[str, Any]]:
    """Return the variant's rows that need not be measured again: of these keys, and in fp32, as all with a device."""
    entry = results.get(group, {}).get(variant, {})
    return [row for row in entry.get("seeds", []) if entry["set"] == GROUPS[group][variant] and "device" in row]


def _ordered(results: Mapping[str, Any]) -> dict[str, Any]:
    """Return the results in the order of `GROUPS`, without what it no longer has."""
    return {
        group: {name: results[group][name] for name in variants if name in results[group]}
        for group, variants in GROUPS.items()
        if group in results
    }


def _start(threads: int) -> None:
    torch.set_num_threads(threads)
    torch.backends.cudnn.allow_tf32 = False  # torch's default for convolutions: fp32 in name, 10 bits of mantissa


@app.command()
def main(
    groups: list[str] = typer.Argument(None, help=f"Of {', '.join(GROUPS)}; default: all."),
    seeds: int = typer.Option(2, help="Seeds of each variant."),
    data: Path = typer.Option(Path("data"), help="Folder with ingest/, align/ and join_aus/."),
    out: Path = RESULTS,
    again: bool = False,
    document: bool = typer.Option(False, help="Train nothing, only bring the document's tables up to date."),
    workers: int = typer.Option(2, min=1, help="Runs at a time."),
    threads: int = typer.Option(1, min=1, help="CPU threads of each run."),
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
    params = load_params(yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8")))
    results = read_json(out) if out.exists() else {}
    chosen = [(group, name) for group in dict.fromkeys(["baseline", *wanted]) for name in GROUPS[group]]
    rows = {(group, name): [] if again else _known(results, group, name) for group, name in chosen}
    trials = [
        (group, name, plan_trial(params, GROUPS[group][name], seed))
        for seed in range(seeds)
        for group, name in chosen
        if seed not in [row["seed"] for row in rows[group, name]]
    ]
    print(f"{len(trials)} runs to do, {workers} at a time", flush=True)
    failures = []
    start = time.monotonic()
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_start, initargs=(threads,)) as pool:
        jobs = {}
        for group, name, trial in trials:
            jobs[pool.submit(measure, data, trial, f"{group}: {name}, seed {trial.recipe.seed}")] = group, name, trial
        for done, job in enumerate(as_completed(jobs), start=1):
            group, name, trial = jobs[job]
            try:
                row = job.result()
            except Exception as error:  # whatever one run dies of, the others' figures are kept
                text = f"failed: {type(error).__name__}: {error}"
                failures.append(f"{group}: {name}, seed {trial.recipe.seed} {text}")
            else:
                rows[group, name].append(row)
                results.setdefault(group, {})[name] = _entry(GROUPS[group][name], rows[group, name])
                write_json(out, _ordered(results))
                text = ", ".join(f"{key} {100 * row[key]:.1f}" for key in ("accuracy", "uar", "macro_f1"))
            left = (time.monotonic() - start) / done * (len(jobs) - done)
            title = f"{group}: {name}, seed {trial.recipe.seed}"
            print(f"[{done}/{len(jobs)}, {left:.0f} s left] {title}: {text}", flush=True)
    results = _ordered(results)
    write_json(out, results)
    write_document(results, read_json(GAINS))
    if failures:
        print(f"{len(failures)} of {len(jobs)} runs failed:", *failures, sep="\n", flush=True)
        raise typer.Exit(1)


if __name__ == "__main__":
    app()
