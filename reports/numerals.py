"""Numbers as a person reads them; every sentence, table and figure writes them this way."""

import math
from collections.abc import Iterable

import numpy as np

MISSING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"


def choose_decimals(sds: Iterable[float | None]) -> int:
    """Decimals that show two digits of the median sd, between 1 and 4; 3 without one."""
    known = [sd for sd in sds if sd]
    if not known:
        return 3
    return min(4, max(1, 1 - math.floor(math.log10(float(np.median(known))))))


def show(value: float | None, decimals: int, *, signed: bool = False) -> str:
    """A number for a person, with a true minus sign; a dash where it is missing."""
    if value is None:
        return MISSING
    text = f"{value:+.{decimals}f}" if signed else f"{value:.{decimals}f}"
    if float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", MINUS)


def show_interval(low: float | None, high: float | None, decimals: int) -> str:
    """An interval of a difference for a person."""
    if low is None or high is None:
        return MISSING
    return f"[{show(low, decimals, signed=True)}, {show(high, decimals, signed=True)}]"


def show_p(p: float | None) -> str:
    """A p value for a person: three decimals, and never `0.000`."""
    if p is None:
        return MISSING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def count(number: int, noun: str) -> str:
    """`1 seed`, `1,200 seeds`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def count_range(numbers: Iterable[int], noun: str) -> str:
    """`10 seeds`, or `8 to 10 seeds` where the numbers differ."""
    low, high = min(known := list(numbers)), max(known)
    return count(high, noun) if low == high else f"{low:,} to {count(high, noun)}"
