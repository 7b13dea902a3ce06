"""The final recipe in words: what the ladder kept, what it changes in the baseline, and how the result votes."""

from collections.abc import Iterator, Mapping
from typing import Any

from fer_core.evaluation.votes import METHODS


def recipe_lines(
    road: Mapping[str, Any], states: Mapping[str, Mapping[str, Any]], runs: Mapping[str, Mapping[str, Any]], final: str
) -> list[str]:
    """Return the section "The final recipe" of reports/gains.md.

    Args:
        road: plans/road.yaml.
        states: rung -> its state.yaml, in the order of the ladder.
        runs: metrics/runs.json.
        final: the predictor that stands after the last rung.
    """
    techniques = road["techniques"]
    kept = [name for name, state in states.items() if state["kept"]]
    dropped = [name for name, state in states.items() if state["applicable"] and not state["kept"]]
    last = list(states.values())[-1]["recipe"] if states else road["baseline"]
    changed = dict(_changes(road["baseline"], last))
    told = ", ".join(f"`{key}: {value}`" for key, value in changed.items()) or "nothing"
    lines = ["## The final recipe", "", f"- Kept: {_titles(techniques, kept)}.", f"- Changed in the baseline: {told}."]
    if dropped:
        lines.append(f"- Tried and not kept: {_titles(techniques, dropped)}.")
    run = runs.get(final, {})
    made = f"- What stands: `{final}`"
    if run.get("members") and len(run["members"]) > 1:
        made += (
            f", {METHODS.get(run['method'], run['method'])} of {', '.join(f'`{member}`' for member in run['members'])}"
        )
    if (run.get("views") or 1) > 1:
        made += f", over {run['views']} views of a face"
    return [*lines, made + ".", ""]


def _titles(techniques: Mapping[str, Any], names: list[str]) -> str:
    return ", ".join(str(techniques[name]["title"]) for name in names) or "none"


def _changes(before: Mapping[str, Any], after: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in after.items():
        old = before.get(key)
        if isinstance(value, Mapping) and isinstance(old, Mapping):
            yield from _changes(old, value, f"{prefix}{key}.")
        elif value != old:
            yield prefix + key, value
