"""Inspect a data set before anything is run on it: what it is, what it holds, what is wrong, what to write.

Everything is read by the set's own adapter, so whatever would stop `ingest` stops here. Pictures are not needed.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from fer_core.aus.sides import fold
from fer_core.aus.sources import read_sources
from fer_core.datasets.dataset import NO_PICTURE, Published
from fer_core.datasets.guess import OWN, near, not_recognised, recognise
from fer_core.datasets.inspect_pictures import look_at, problems_of
from fer_core.datasets.label_files import FORMS, au_facts
from fer_core.datasets.registry import DATASETS
from fer_core.errors import DataError, unknown_name
from fer_core.labels import compound_pair
from fer_core.manifest import clip_frames, stills

FEW = 10  # train pictures of a class
NO_SPLIT = "no split"
_NULLABLE = ("subject", "votes", "landmarks", "box")
_FILES_LISTED = 30

Facts = dict[str, Any]


def inspect(
    folder: Path, data: str | None = None, options: Mapping[str, Any] | None = None, pictures: bool = True
) -> Facts:
    """Inspect a folder.

    Args:
        folder: of one data set.
        data: its name in `DATASETS`; None guesses it.
        options: as `sets.<data>` in params.yaml.
        pictures: whether a sample of the pictures is looked at.

    Returns:
        What JSON can hold: `data`, `title`, `path`, `also` (other sets it could be), `rows`, `frames`, `clips`,
        `pictures` (there, missing), `labels_only`, `counts` (split -> class -> pictures), `imbalance` (largest class
        through the smallest that has any), `unlabelled`, `dropped` (reason -> rows), `nulls` (column -> rows), `aus`,
        `sizes`, `files`, `notes`, `problems`, `params` (lines of params.yaml) and `place` (a command).

    Raises:
        ConfigError: `data` or an option is not known.
        DataError: nothing is recognised, or the files are faulty (file and line).
    """
    also: list[str] = []
    hint: str | None = None
    if data is None:
        data, also, hint = _guess(folder)
    elif data not in DATASETS:
        raise unknown_name("--as", data, DATASETS)
    entry = DATASETS[data]
    if not folder.is_dir():
        raise DataError(f"{folder} does not exist or is no folder; expected there: {', '.join(entry.info.files)}.")
    try:
        published = entry.read(folder, options or {})
    except DataError as error:
        raise (DataError(f"{error} Or {hint}") if hint else error) from None
    facts: Facts = {"kind": "folder", "path": str(folder), "data": data, "title": entry.info.title, "also": also}
    facts |= _counts(published)
    facts["aus"], why = _aus(data, folder, published)
    labels_only = facts["labels_only"]
    facts["sizes"] = look_at(published) if pictures and facts["pictures"]["there"] else None
    facts["files"] = _files(folder, data)
    facts["notes"] = [*published.notes, *published.split_notes, *why]
    facts["problems"] = [*([hint] if hint else []), *_problems(published, facts)]
    if labels_only:
        facts["notes"].insert(0, "labels without pictures: valid for `fer check` and `fer ceiling`, not for training")
    facts["params"] = params_lines(data, facts, options)
    facts["place"] = place_line(folder, data)
    return facts


def params_lines(data: str, facts: Facts, options: Mapping[str, Any] | None = None) -> list[str]:
    """Return the lines of params.yaml that this set wants; each replaces the line with its key."""
    lines = [f"data: {data}"]
    counts = facts["counts"]
    if NO_SPLIT in counts and "test" not in counts:
        lines.append("folds: 5             # it has no split of its own")
    elif "validation" not in counts:
        lines.append("hold_out: 0.15       # it has no validation: this share of train")
    if facts["sizes"] and facts["sizes"]["same"]:
        lines.append("leakage: drop        # pictures repeat each other: those of train that are in test are left out")
    classes = [name for of in counts.values() for name in of]
    if classes and all(compound_pair(name) for name in set(classes)):
        lines.append("classes: own         # or basic: the stronger of the two emotions")
    if options:
        lines.append(options_line(data, options))
    sizes, nulls = facts["sizes"], facts["nulls"]
    rows = facts["rows"] + facts["frames"]
    if min(nulls["landmarks"], nulls["box"]) < rows:
        lines += ["align:", "  detector: auto     # its landmarks or boxes"]
    elif sizes and sizes["cropped"]:
        lines += [
            "align:",
            "  detector: none     # the pictures are square and of one size or small, as cropped faces are",
        ]
    elif sizes:
        lines += ["align:", "  detector: mtcnn    # pictures that nobody cropped; none if they are faces already"]
    return lines


def options_line(data: str, options: Mapping[str, Any]) -> str:
    """Return the line `sets: {table: {...}}` of params.yaml."""
    shown = yaml.safe_dump({data: dict(options)}, default_flow_style=True, sort_keys=False, width=10_000)
    return f"sets: {shown.strip()}"


def place_line(folder: Path, data: str) -> str | None:
    """Return the command that puts the folder where the pipeline reads it; None where it lies there."""
    if folder.absolute() == (Path("data/raw") / data).absolute():
        return None
    path = str(folder.resolve())
    return f"ln -s {path if ' ' not in path else repr(path)} data/raw/{data}"


def _guess(folder: Path) -> tuple[str, list[str], str | None]:
    """Return the set, others that it could be, and another folder that could be meant."""
    found = recognise(folder) if folder.is_dir() else []
    around = near(folder) if folder.is_dir() else []
    meant = [(path, name) for path, name in around if name not in OWN or not found][:1]
    hint = None
    if meant and (not found or found[0] in OWN):
        path, name = meant[0]
        shown = folder / path.name if path.parent == folder else path
        hint = f"did you mean {shown} ({DATASETS[name].info.title})?"
    if hint and not found:
        raise DataError(f"{folder} itself is no data set that is known; {hint}")
    if hint and meant[0][0].parent == folder:  # a published set inside is no class; one above may be chance
        raise DataError(
            f"{folder} holds a data set; {hint} `--as {found[0]}` reads the whole as {found[0]} all the same."
        )
    if not found:
        raise not_recognised(folder)
    return found[0], found[1:], hint


def _counts(published: Published) -> Facts:
    everything = published.rows
    rows, frames = stills(everything), clip_frames(everything)
    missing = everything["drop_reason"].eq(NO_PICTURE).fillna(False)
    labels_only = bool(len(everything)) and bool(missing.all())
    counted = rows[rows["drop_reason"].isna() | (rows["drop_reason"].eq(NO_PICTURE) if labels_only else False)]
    labelled = counted[counted["emotion"].notna()]
    split = labelled["split"].astype(object).where(labelled["split"].notna(), NO_SPLIT)
    counts: dict[str, dict[str, int]] = {}
    for name in ("train", "validation", "test", "pool", NO_SPLIT):
        part = labelled[split == name]
        if len(part):
            tally = part["emotion"].value_counts()
            counts[name] = {label: int(tally.get(k, 0)) for k, label in enumerate(published.labels.classes)}
    learnt = [k for k in (counts.get("train") or counts.get(NO_SPLIT) or {}).values() if k]
    reasons = everything["drop_reason"].dropna()
    return {
        "rows": len(rows),
        "frames": len(frames),
        "clips": int(frames["clip_id"].nunique()),
        "pictures": {"there": int((~missing).sum()), "missing": int(missing.sum())},
        "labels_only": labels_only,
        "counts": counts,
        "imbalance": max(learnt) / min(learnt) if learnt else None,
        "unlabelled": int((rows["emotion"].isna() & rows["drop_reason"].isna()).sum()),
        "pool": int((rows["split"] == "pool").sum()),
        "dropped": {str(reason): int(count) for reason, count in reasons[reasons != NO_PICTURE].value_counts().items()},
        "nulls": {name: int(everything[name].isna().sum()) for name in _NULLABLE},
    }


def _aus(data: str, folder: Path, published: Published) -> tuple[dict[str, Facts], list[str]]:
    """Return source -> what its AU labels say, and notes."""
    found: dict[str, Facts] = {}
    notes = []
    for part in read_sources([data], folder, published.rows):
        labels, facts = part.labels, au_facts(fold(part.labels.table))
        facts["coverage"] = facts["annotated"] / len(published.rows) if len(published.rows) else 0.0
        found[part.source] = facts
        if labels.unannotated:
            notes.append(f'{part.source}: {labels.unannotated} of {labels.lines} AU labels say "not annotated"')
        if labels.outside:
            odd = ", ".join(f"{name} ({count})" for name, count in labels.outside.items())
            notes.append(f"{part.source}: AUs that are not used: {odd}")
        if labels.without_picture:
            count, first = len(labels.without_picture), labels.without_picture[0]
            notes.append(f"{part.source}: {count} AU labels belong to no row, the first is {first}")
    return found, notes


def _problems(published: Published, facts: Facts) -> list[str]:
    told: list[str] = []
    pictures, counts = facts["pictures"], facts["counts"]
    if pictures["missing"] and not facts["labels_only"]:
        lost = published.rows.loc[published.rows["drop_reason"].eq(NO_PICTURE).fillna(False), "picture"]
        total = pictures["missing"] + pictures["there"]
        told.append(f"{pictures['missing']} of {total} pictures are missing, the first is {lost.iloc[0]}")
    told += [f"{count} rows cannot be used: {reason}" for reason, count in facts["dropped"].items()]
    loose = facts["unlabelled"] - facts["pool"]
    if loose > 0:
        told.append(f"{loose} pictures have no emotion label and are not of the pool")
    if not counts:
        told.append("no picture has an emotion label: join it to a set that has, as `data: rafce+disfa`")
    elif not {"train", "validation", "test"} & counts.keys():
        told.append("it has no split: set `folds`")
    else:
        told += [f"no picture of the split {name}" for name in ("train", "test") if name not in counts]
        if "validation" not in counts:
            told.append("no validation split: `hold_out` takes a share of train")
        if NO_SPLIT in counts:
            told.append(f"{sum(counts[NO_SPLIT].values())} pictures have no split while others have one")
    learnt = counts.get("train") or counts.get(NO_SPLIT) or {}
    few = [f"{name} {count}" for name, count in learnt.items() if count < FEW]
    if few:
        where = "train pictures" if "train" in counts else "pictures"
        told.append(f"classes with fewer than {FEW} {where}: {', '.join(few)}")
    return told + (problems_of(facts["sizes"]) if facts["sizes"] else [])


def _files(folder: Path, data: str) -> dict[str, str]:
    """Say of the files at the top of a set, pictures left out, what each is."""
    expected = " ".join(DATASETS[data].info.files)
    found: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not path.is_file() or path.suffix.lower() not in (".txt", ".csv", ".json"):
            continue
        form = FORMS.get(path.name)
        if form and data in ("standin", "rafce"):
            found[path.name] = form.title
        else:
            found[path.name] = "one of the set's files" if path.name in expected else "not known"
    return dict(list(found.items())[:_FILES_LISTED])
