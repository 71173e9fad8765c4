"""Power of a number of seeds: smallest p, seeds needed, detectable effect."""

# `reports.evidence.statistics.paired` has the same formulas for what has run: neither package may
# import the other. Every plan imports this file, so it does without statsmodels, and imports SciPy
# where it is needed.
import math

LEVEL = 0.05
POWER = 0.80


def p_floor(seeds: int) -> float:
    """Return the smallest two-sided p that a sign-flip test over this many seeds can give."""
    # Of the 2^n ways to flip the signs only two are as far out as all signs alike.
    return min(1.0, 2.0 / 2.0**seeds)


def seeds_needed(arms: int, level: float = LEVEL) -> int:
    """Return the confirm seeds with which Holm over all arms but the baseline reaches the level."""
    # Holm's strictest step multiplies the smallest p by the number of comparisons.
    seeds = 1
    while p_floor(seeds) * max(1, arms - 1) > level:
        seeds += 1
    return seeds


def detectable_effect(seeds: int) -> float | None:
    """Return the smallest |mean| / sd of paired differences that a two-sided paired t test finds.

    With 80 % power at .05: 1.68 at 5 seeds, 1.00 at 10, .66 at 20. None for a single seed.
    """
    if seeds < 2:
        return None
    from scipy import special

    freedom = seeds - 1
    critical = float(special.stdtrit(freedom, 1 - LEVEL / 2))

    def power_of(effect: float) -> float:
        # The other tail is left out: at this power it is far below any digit shown.
        return 1.0 - float(special.nctdtr(freedom, effect * math.sqrt(seeds), critical))

    low, high = 0.0, 1.0
    while power_of(high) < POWER:
        high *= 2
    for _ in range(60):  # halvings: the error is below the last bit of a float
        middle = (low + high) / 2
        low, high = (middle, high) if power_of(middle) < POWER else (low, middle)
    return high
