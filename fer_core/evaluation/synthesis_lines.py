"""The section "Synthetic faces" of reports/gains.md, from metrics/synthesis.json."""

from collections.abc import Mapping
from typing import Any


def synthesis_lines(quality: Mapping[str, Any]) -> list[str]:
    """Return the section's lines; none where no synthetic faces were made."""
    if quality["state"] != "done":
        return []
    return [
        "## Synthetic faces",
        "",
        f"- {quality['faces']} faces of {quality['classes']} classes, for train only: "
        "[beside real ones](synthetic/faces.png).",
        f"- Fréchet distance to {quality['frechet_faces']} validation faces, by the baseline's features: "
        f"{quality['frechet']:.2f}; between two halves of the real ones: {quality['frechet_floor']:.2f}. Comparable "
        "with no published FID.",
        f"- Nearer to a train face than 99 % of {quality['copies_held_out']} validation faces are: "
        f"{100 * quality['copies_features']:.1f} % by features, {100 * quality['copies_pixels']:.1f} % by pixels; "
        "about 1 % of new faces are.",
        "",
    ]
