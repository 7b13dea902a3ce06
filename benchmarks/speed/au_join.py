"""AU labels brought to the manifest: our join, with all that it checks and tells, beside pandas' bare merge."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch

from benchmarks.alignment import table_of
from benchmarks.speed.cases import Case
from benchmarks.speed.made_up import CLASSES, UNITS
from benchmarks.speed.measure import OURS, Comparison, Side, Turn, compare, timed
from benchmarks.speed.settings import Settings
from fer_core.aus.join import join
from fer_core.aus.labels import AuLabels

ROWS = 50_000
HERE = torch.device("cpu")


def tables(rows: int) -> tuple[pd.DataFrame, AuLabels]:
    """Return a manifest, eight tenths of it train pictures and one tenth test, and AU labels in another order."""
    rng = np.random.default_rng(0)
    manifest = table_of(rows)
    manifest["split"] = rng.choice(["train", "validation", "test"], rows, p=[0.8, 0.1, 0.1])
    manifest["emotion"] = rng.integers(0, len(CLASSES), rows)
    for name in ("drop_reason", "clip_id"):
        manifest[name] = None
    values = (rng.random((rows, len(UNITS))) < 0.2).astype(np.float32)
    index = pd.Index(manifest["sample_id"].to_numpy()[rng.permutation(rows)], name="sample_id")
    return manifest, AuLabels(pd.DataFrame(values, index, list(UNITS)), lines=rows, unannotated=0)


def measure(settings: Settings, cases: Sequence[Case]) -> Iterator[Comparison]:
    """Measure the join; rates are of rows. No network of `cases` matters."""
    rows = ROWS if settings.seconds > 0.5 else 2000
    manifest, labels = tables(rows)

    def ours() -> Turn:
        def work() -> int:
            return len(join(manifest, labels).manifest)

        return timed(work, HERE)

    def merge() -> Turn:
        def work() -> int:
            return len(manifest.merge(labels.table, how="left", left_on="sample_id", right_index=True))

        return timed(work, HERE)

    yield compare("aus", f"{rows:,} rows", [Side(OURS, ours), Side("pandas merge", merge)], settings.rounds)
