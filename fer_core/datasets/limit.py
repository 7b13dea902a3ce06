"""Keep N labelled pictures of a data set, spread over splits and classes like the whole."""

import numpy as np
import pandas as pd

from fer_core.errors import ConfigError


def shares(sizes: np.ndarray, total: int) -> np.ndarray:
    """Share out `total` over cells in proportion to their sizes, by largest remainder, at least 1 each.

    Args:
        sizes: integers `(C,)`, pictures per cell, all positive.
        total: pictures to keep, at least C and at most the sum of `sizes`.

    Returns:
        Integers `(C,)` that sum to `total`; none exceeds its cell.

    Example:
        >>> shares(np.array([80, 19, 1]), 10).tolist()
        [7, 2, 1]
    """
    kept = np.ones_like(sizes)
    left = total - len(sizes)
    spare = sizes - 1  # one of every cell is taken already
    exact = left * spare / max(spare.sum(), 1)
    kept += np.floor(exact).astype(kept.dtype)
    remainder = exact - np.floor(exact)
    order = np.argsort(-remainder, kind="stable")
    kept[order[: total - kept.sum()]] += 1
    return kept


def limit_rows(rows: pd.DataFrame, limit: int | None, seed: int) -> pd.DataFrame:
    """Keep `limit` labelled stills in all, stratified over (split, class), in their order; and the whole pool.

    Clips are kept whole and not counted, like the pool: a part of a clip is no clip.
    Rows without an emotion (a FERPlus row without a majority) are left out when there is a limit. The draw
    depends on `seed` and the rows only. A limit beyond the data keeps all.

    Raises:
        ConfigError: `limit` is not a positive integer, or below one picture of every class and split.
    """
    if limit is None:
        return rows
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise ConfigError(f"Expected `limit` to be null or a positive integer; got {limit!r}.")
    uncounted = (rows["split"] == "pool") | rows["clip_id"].notna()
    known = rows["emotion"].notna() & rows["drop_reason"].isna() & ~uncounted
    cells = rows[known].groupby(["split", "emotion"], sort=True).indices
    sizes = np.array([len(members) for members in cells.values()], dtype=np.int64)
    if limit < len(cells):
        raise ConfigError(
            f"Expected `limit` to be at least {len(cells)}, one picture of every class in every split; got {limit}."
        )
    generator = np.random.default_rng(seed)
    positions = np.flatnonzero(known)
    keep = uncounted.to_numpy(copy=True)
    for members, count in zip(cells.values(), shares(sizes, min(limit, int(sizes.sum()))), strict=True):
        keep[positions[generator.permutation(members)[:count]]] = True
    return rows[keep].reset_index(drop=True)
