"""The saved view that makes an experiment's run table the gains table.

MLflow's page keeps a shared view in an experiment's tag: JSON, packed with zlib, in base64. That is not documented,
so tests/browser/ looks at the result in a real browser.
"""

import base64
import json
import zlib

VIEW = "gains"
METRICS = (
    "accuracy",
    "uar",
    "macro_f1",
    "gain",
    "gain_low",
    "gain_high",
    "p_value",
    "train_seconds",
)
TAGS = ("claimed", "verdict", "kept", "alarms", "reason")
_WIDTHS = {"verdict": 210, "reason": 260, "alarms": 220, "claimed": 110, "kept": 80}


def view_tag() -> tuple[str, str]:
    """Return the experiment tag, key and value, of the saved view."""
    metrics = [f"metrics.`{name}`" for name in METRICS]
    tags = [f"tags.`{name}`" for name in TAGS]
    columns = [*metrics, *tags]
    state = {
        "selectedColumns": columns,
        "columnOrder": ["attributes.`Run Name`", *columns],
        "columnWidths": {"attributes.`Run Name`": 280}
        | {column: 112 for column in metrics}
        | {f"tags.`{name}`": width for name, width in _WIDTHS.items()},
        "orderByKey": "metrics.`row`",
        "orderByAsc": True,
    }
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    value = {"name": VIEW, "createdAt": 0, "updatedAt": 0, "state": f"deflate;{packed}"}
    return f"mlflow.sharedViewState.{VIEW}", json.dumps(value)


def view_path(experiment_id: str) -> str:
    """Return the part of the address after the server's, which opens the gains table."""
    return f"/#/experiments/{experiment_id}/runs?viewStateShareKey={VIEW}&workflowType=machine_learning"
