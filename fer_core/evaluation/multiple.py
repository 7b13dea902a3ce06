"""Many tests at once: the more rows a table has, the more of them look significant by luck alone."""

import math
from collections.abc import Sequence

from fer_core.errors import DataError


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjust p values so that all that are below α together hold the chance of *any* false one below α.

    Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 1979: with the m
    values sorted, p'_(i) = max over j <= i of min(1, (m - j + 1) · p_(j)). It holds however the tests depend on each
    other, as those do that share a baseline.

    Args:
        p_values: fractions in 0..1; None or NaN where there was no test. Such an entry stays as it is and is not
            counted among the m.

    Returns:
        The adjusted values in the order given.

    Raises:
        DataError: a value is outside 0..1.

    Example:
        >>> holm([0.04, None, 0.01, 0.03])
        [0.06, None, 0.03, 0.06]
    """
    adjusted = list(p_values)
    tested = [(p, place) for place, p in enumerate(p_values) if p is not None and not math.isnan(p)]
    if wrong := [p for p, _ in tested if not 0 <= p <= 1]:
        raise DataError(f"Expected p values in 0..1; got {wrong[0]}.")
    highest = 0.0
    for rank, (p, place) in enumerate(sorted(tested)):
        highest = max(highest, min(1.0, (len(tested) - rank) * p))
        adjusted[place] = highest
    return adjusted
