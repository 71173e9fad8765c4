"""Text of numbers for readers; every sentence, table and figure takes it from here."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

MISSING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"


def choose_decimals(sds: Iterable[float | None]) -> int:
    """Return the decimals that show two digits of the median sd, between 1 and 4; 3 without one."""
    # An sd of 0, of a metric that never varies, would ask for endless decimals.
    known = [sd for sd in sds if sd]
    if not known:
        return 3
    return min(4, max(1, 1 - math.floor(math.log10(float(np.median(known))))))


def format_number(value: float | None, decimals: int, *, signed: bool = False) -> str:
    """Format a number with a true minus sign; a dash where it is missing."""
    if value is None:
        return MISSING
    text = f"{value:+.{decimals}f}" if signed else f"{value:.{decimals}f}"
    # A small negative number would round to `-0.0`.
    if float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", MINUS)


def format_mean(mean: float | None, sd: float | None, decimals: int) -> str:
    """Format a mean with its standard deviation, `0.52 ± 0.01`; without one the mean alone."""
    text = format_number(mean, decimals)
    return text if sd is None else f"{text} ± {format_number(sd, decimals)}"


def format_interval(low: float | None, high: float | None, decimals: int) -> str:
    """Format an interval of a difference, with the signs of its ends."""
    if low is None or high is None:
        return MISSING
    ends = (format_number(end, decimals, signed=True) for end in (low, high))
    return f"[{', '.join(ends)}]"


def format_p(p: float | None) -> str:
    """Format a p value with three decimals, and never as `0.000`."""
    if p is None:
        return MISSING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def format_count(number: int, noun: str) -> str:
    """Format a number with its noun: `1 seed`, `1,200 seeds`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def format_count_range(numbers: Iterable[int], noun: str) -> str:
    """Format numbers with their noun: `10 seeds`, or `8 to 10 seeds` where they differ."""
    low, high = min(known := list(numbers)), max(known)
    return format_count(high, noun) if low == high else f"{low:,} to {format_count(high, noun)}"


def name_some(names: Sequence[str], most: int = 3) -> str:
    """List the first names, and the number of the others: `A, B, C and 2 more`."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
