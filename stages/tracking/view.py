"""The saved view that makes an experiment's run table the gains table.

MLflow's page keeps a shared view in an experiment's tag: JSON, packed with zlib, in base64. That is not
documented, so tests/browser/ looks at the result in a real browser.
"""

import base64
import json
import zlib

VIEW = "gains"
COLUMNS = {  # in their order, with their widths in pixels; the first ones show on a laptop without scrolling
    "metrics.`accuracy`": 85,
    "metrics.`uar`": 65,
    "metrics.`macro_f1`": 88,
    "metrics.`gain`": 65,
    "metrics.`gain_low`": 85,
    "metrics.`gain_high`": 90,
    "metrics.`seed_sd`": 80,
    "tags.`claimed`": 80,
    "tags.`verdict`": 205,
    "tags.`kept`": 65,
    "metrics.`p_value`": 80,
    "metrics.`p_adjusted`": 95,
    "metrics.`train_seconds`": 115,
    "tags.`alarms`": 200,
    "tags.`reason`": 200,
}
_NAME, _CREATED = "attributes.`Run Name`", "attributes.`Created`"


def view_tag() -> tuple[str, str]:
    """Return the experiment tag, key and value, of the saved view."""
    state = {
        "selectedColumns": list(COLUMNS),
        "columnOrder": [_NAME, _CREATED, *COLUMNS],
        "columnWidths": {_NAME: 290, _CREATED: 125, **COLUMNS},
        "orderByKey": "metrics.`row`",
        "orderByAsc": True,
    }
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    value = {"name": VIEW, "createdAt": 0, "updatedAt": 0, "state": f"deflate;{packed}"}
    return f"mlflow.sharedViewState.{VIEW}", json.dumps(value)


def view_path(experiment_id: str) -> str:
    """Return the part of the address after the server's, which opens the gains table."""
    return f"/#/experiments/{experiment_id}/runs?viewStateShareKey={VIEW}&workflowType=machine_learning"
