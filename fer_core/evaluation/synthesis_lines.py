"""The section "Synthetic faces" of reports/gains.md, from metrics/synthesis.json."""

from collections.abc import Mapping
from typing import Any


def synthesis_lines(quality: Mapping[str, Any]) -> list[str]:
    """Return the section's lines; none where no synthetic faces were made. A figure that is not defined is "–"."""
    if quality["state"] != "done":
        return []

    def number(key: str) -> str:
        return "–" if quality[key] is None else f"{quality[key]:.2f}"

    def percent(key: str) -> str:
        return "–" if quality[key] is None else f"{100 * quality[key]:.1f} %"

    note = (
        [] if not quality["features_know_them"] else ["- The baseline was trained on them: its features judge kindly."]
    )
    return [
        "## Synthetic faces",
        "",
        f"- {quality['faces']} faces of {quality['classes']} classes, for train only: "
        "[beside real ones](synthetic/faces.md).",
        f"- Fréchet distance to as many validation faces ({quality['frechet_faces']}), by the baseline's features: "
        f"{number('frechet')}; between two such sets of these: {number('frechet_floor')}. Comparable with no "
        "published FID.",
        f"- Nearer to a train face than 99 % of {quality['copies_held_out']} validation faces are: "
        f"{percent('copies_features')} by features, {percent('copies_pixels')} by pixels; about 1 % of new faces are.",
        *note,
        "",
    ]
