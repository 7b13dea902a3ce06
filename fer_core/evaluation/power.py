"""How large must a gain be for this test split to show it?

McNemar's test looks only at the faces on which exactly one of two predictors is right. With n faces, a share ψ of such
(discordant) ones and a true gain δ = p_better - p_worse of accuracy, it needs (Connor, "Sample Size for Testing
Differences in Proportions for the Paired-Sample Design", Biometrics 1987)

    n = (z_{1-α/2} √ψ + z_{power} √(ψ - δ²))² / δ²

faces. Here n is given, and δ is what is asked for.
"""

import math
from statistics import NormalDist

from fer_core.errors import DataError


def detectable_gain(n: int, discordant: float, power: float = 0.8, alpha: float = 0.05) -> float:
    """Return the smallest true gain, in points of accuracy, that McNemar's two-sided test finds with `power`.

    Solved for δ, with a = z_{1-α/2} and b = z_{power}:  δ = √ψ (a √n + b √(n + b² - a²)) / (n + b²).

    Args:
        n: faces that both predictors were tested on.
        discordant: ψ, the share of them on which exactly one is right, 0..1.
        power: chance to find a gain of that size, 0.5..1 (both excluded).
        alpha: level of the two-sided test, 0..1 (both excluded).

    Returns:
        Points, at most 100 · `discordant`: a gain cannot exceed the share of faces on which the two differ. NaN where
        even that much would be missed, and where so few faces are discordant (n · ψ < 1 + log2(1/α), 5.3 for 5 %) that
        the exact test cannot reject at all, whatever they show. The formula is of the normal approximation; the exact
        test, which the table uses, is slower to reject: its power at this gain is 0.75 to 0.79 with 18 to 600
        discordant faces (`tests/evaluation/test_power.py` computes it).

    Raises:
        DataError: an argument is outside its range.

    Example:
        >>> round(detectable_gain(909, 0.3), 2)
        5.08
    """
    if n < 0 or not 0 <= discordant <= 1:
        raise DataError(f"Expected n >= 0 and a discordant share in 0..1; got {n} and {discordant}.")
    if not 0.5 < power < 1 or not 0 < alpha < 1:
        raise DataError(f"Expected power in 0.5..1 and alpha in 0..1, ends excluded; got {power} and {alpha}.")
    a, b = NormalDist().inv_cdf(1 - alpha / 2), NormalDist().inv_cdf(power)
    inner = n + b * b - a * a
    if n * discordant < 1 - math.log2(alpha) or inner < 0:
        return math.nan
    gain = math.sqrt(discordant) * (a * math.sqrt(n) + b * math.sqrt(inner)) / (n + b * b)
    return 100 * gain if gain <= discordant else math.nan
