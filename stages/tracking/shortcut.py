"""Knowing in milliseconds that there is nothing to do, without importing MLflow, which takes seconds.

The last `track` leaves a seal on the table's experiment: a hash of all that it read, and how many runs it left. For the
local database that seal is looked up with sqlite3; whatever is not exactly as it was (a lost database, a run deleted
by hand, another MLflow's schema, a server) goes the long way.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from stages.lib.store import file_hash, fingerprint
from stages.tracking.inputs import Inputs

SEAL = "fer.seal"
_QUERY = """
SELECT experiments.experiment_id, experiments.name FROM experiments JOIN experiment_tags USING (experiment_id)
WHERE key = ? AND value = ? AND lifecycle_stage = 'active'
"""
_COUNT = """
SELECT count(*) FROM runs JOIN experiments USING (experiment_id)
WHERE experiments.name = ? AND experiments.lifecycle_stage = 'active' AND runs.lifecycle_stage = 'active'
"""


def seal(inputs: Inputs) -> str:
    """Return the hash of everything that `track` would write, and of the code that writes it."""
    code = {path.name: file_hash(path) for path in sorted(Path(__file__).parent.glob("*.py"))}
    read = [inputs.rows, inputs.runs, inputs.summary, inputs.road, inputs.statuses, inputs.synthesis]
    return fingerprint({"code": code, "read": read})


def sealed_table(uri: str, inputs: Inputs, name: str | None, rows: int, runs_name: str, runs: int) -> str | None:
    """Return the id of the experiment that holds all this already, or None where that is not certain.

    Args:
        uri: the store; only a SQLite file can be known.
        name: what the experiment must be called; None if any name will do.
        rows: how many runs it must have.
        runs_name: the experiment of the predictors, and `runs`, how many it must have at least.
    """
    path = Path(uri.removeprefix("sqlite:///"))
    if not uri.startswith("sqlite:///") or not path.is_file():
        return None
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            found = database.execute(_QUERY, (SEAL, seal(inputs))).fetchone()
            if found is None or (name is not None and found[1] != name):
                return None
            counts = [database.execute(_COUNT, (title,)).fetchone()[0] for title in (found[1], runs_name)]
    except sqlite3.Error:
        return None
    return str(found[0]) if counts[0] == rows and counts[1] >= runs else None
