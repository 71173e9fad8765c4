"""What a number of seeds can show, before anything has run.

Apart from `reports.evidence.statistics.paired`, which says the same afterwards: neither package may
import the other, and this one is imported by every plan, so it does without statsmodels.
"""

import math

LEVEL = 0.05
POWER = 0.80


def p_floor(seeds: int) -> float:
    """The smallest two-sided p that a sign-flip test over this many seeds can give."""
    return min(1.0, 2.0 / 2.0**seeds)


def seeds_needed(arms: int, level: float = LEVEL) -> int:
    """Confirm seeds with which Holm over all arms but the baseline can reach the level."""
    seeds = 1
    while p_floor(seeds) * max(1, arms - 1) > level:
        seeds += 1
    return seeds


def detectable_effect(seeds: int) -> float | None:
    """Smallest |mean| / sd of paired differences that a two-sided paired t test finds.

    With 80 % power at .05: 1.68 at 5 seeds, 1.00 at 10, .66 at 20. None for a single seed.
    """
    if seeds < 2:
        return None
    from scipy import special

    freedom = seeds - 1
    critical = float(special.stdtrit(freedom, 1 - LEVEL / 2))

    def power(effect: float) -> float:
        # The other tail is left out: at this power it is far below any digit shown.
        return 1.0 - float(special.nctdtr(freedom, effect * math.sqrt(seeds), critical))

    low, high = 0.0, 1.0
    while power(high) < POWER:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if power(middle) < POWER else (low, middle)
    return high
