"""What the generator says of a stand-in: its version, its difficulty, and the best that anybody could score on it.

    standin.json   {"version": "2", "difficulty": "standard", "seed": 0, "ceiling": {"intensities": {"accuracy": 0.91,
                   "macro_f1": 0.83}, "aus": {...}, "labels": {...}}}

A ceiling is what the best decision reaches on the test split when it is given the true AU intensities, the true AUs
(active or not) or the coder's AU labels: fractions of 0 to 1. It belongs to the whole test split. A set whose ceiling
was not measured has no `ceiling`.
"""

import math
from pathlib import Path
from typing import Any

from fer_core.errors import DataError
from fer_core.files import read_json

STANDIN_JSON = "standin.json"
GIVEN = {"intensities": "the true AU intensities", "aus": "the true AUs", "labels": "the AU labels"}
SCORES = ("accuracy", "macro_f1")


def read_standin_json(folder: Path) -> dict[str, Any] | None:
    """Read `standin.json`, or return None where the folder has none: people's faces have no known ceiling.

    Returns:
        `version` and `difficulty` (text), `seed` (integer or None) and `ceiling`: for each of `GIVEN` a mapping of
        `accuracy` and `macro_f1`, fractions; or None where it was not measured.

    Raises:
        DataError: the file is no JSON, lacks a key, or a value is not what it must be.
    """
    path = folder / STANDIN_JSON
    if not path.is_file():
        return None
    found = read_json(path)
    facts: dict[str, Any] = {key: str(_value(path, found, key)) for key in ("version", "difficulty")}
    facts["seed"] = found.get("seed")
    facts["ceiling"] = None
    if found.get("ceiling") is not None:
        facts["ceiling"] = {
            given: {score: _fraction(path, found, "ceiling", given, score) for score in SCORES} for given in GIVEN
        }
    return facts


def notes_of(facts: dict[str, Any] | None) -> list[str]:
    """Return the sentences for the head of every table; none without facts.

    Example:
        >>> scores = {"accuracy": 0.912, "macro_f1": 0.83}
        >>> notes_of({"version": "2", "difficulty": "hard", "ceiling": dict.fromkeys(GIVEN, scores)})[0]
        'stand-in version 2, difficulty hard'
    """
    if facts is None:
        return []
    version = f"stand-in version {facts['version']}, difficulty {facts['difficulty']}"
    if facts["ceiling"] is None:
        return [version]
    parts: list[str] = []
    for given, words in GIVEN.items():
        accuracy, macro_f1 = (f"{100 * facts['ceiling'][given][score]:.1f} %" for score in SCORES)
        scores = f"{accuracy} and {macro_f1}" if parts else f"{accuracy} accuracy and {macro_f1} macro-F1"
        parts.append(f"{scores} from {words}")
    return [version, f"ceiling of this set: {', '.join(parts)}"]


def _value(path: Path, found: Any, *keys: str) -> Any:
    for depth, key in enumerate(keys, 1):
        if not isinstance(found, dict) or found.get(key) is None:
            raise DataError(
                f"{path} lacks `{'.'.join(keys[:depth])}`: an older generator wrote it; run the stage generate again."
            )
        found = found[key]
    return found


def _fraction(path: Path, found: Any, *keys: str) -> float:
    value = _value(path, found, *keys)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not 0 <= value <= 1:
        raise DataError(f"Expected `{'.'.join(keys)}` in {path} to be a fraction from 0 to 1; got {value!r}.")
    return float(value)
