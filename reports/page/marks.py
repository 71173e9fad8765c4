"""Small SVG drawings inside table cells, each beside the number that it shows.

Colours come from the class of the verdict; every verdict has its own shape too, so that they are
told apart without colour. The drawings are hidden from screen readers, which read the number.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH, HEIGHT = 120.0, 18.0
_EDGE = 6.0  # left free on both sides, so that a mark at the end of the scale is drawn whole


@dataclass(frozen=True, kw_only=True)
class Scale:
    """The scale of a column of intervals, which always holds 0."""

    low: float
    high: float

    def x_of(self, value: float) -> float:
        """Return the pixels from the left; values outside the scale stick to its edge."""
        share = (value - self.low) / (self.high - self.low)
        return _EDGE + min(1.0, max(0.0, share)) * (WIDTH - 2 * _EDGE)


def scale_of(values: Iterable[float | None]) -> Scale:
    """Return the scale that shows all values, and 0."""
    known = [0.0, *(v for v in values if v is not None)]
    low, high = min(known), max(known)
    return Scale(low=low, high=high) if high > low else Scale(low=-1.0, high=1.0)


def scale_of_rows(rows: Iterable[object], *names: str) -> Scale:
    """Return the scale that shows these attributes of all rows, and 0."""
    return scale_of(getattr(row, name) for row in rows for name in names)


def draw_interval(
    scale: Scale,
    value: float | None,
    low: float | None,
    high: float | None,
    *,
    margin: float | None = None,
    verdict: str = "",
) -> Markup:
    """Draw an interval, its point, zero and the margin; nothing without a value."""
    if value is None:
        return Markup("")
    middle = HEIGHT / 2
    # Parts cover those before them: the margin is behind everything, the point on top.
    parts = []
    if margin is not None:
        left, right = scale.x_of(-margin), scale.x_of(margin)
        parts.append(
            f'<rect class="band" x="{left:.1f}" y="0" width="{right - left:.1f}" '
            f'height="{HEIGHT:.0f}"/>'
        )
    zero = scale.x_of(0.0)
    parts.append(f'<path class="zero" d="M{zero:.1f} 0V{HEIGHT:.0f}"/>')
    if low is not None and high is not None:
        left, right = scale.x_of(low), scale.x_of(high)
        parts.append(
            f'<path class="line" d="M{left:.1f} {middle:.0f}H{right:.1f}'
            f'M{left:.1f} {middle - 3:.0f}v6M{right:.1f} {middle - 3:.0f}v6"/>'
        )
    parts.append(_draw_point(scale.x_of(value), middle, verdict))
    return _wrap_svg(parts, WIDTH, verdict or "plain")


def draw_pair(scale: Scale, before: float | None, after: float | None) -> Markup:
    """Draw two values joined by a line: a ring for the first, a dot for the second."""
    parts = [f'<path class="zero" d="M{scale.x_of(0.0):.1f} 0V{HEIGHT:.0f}"/>']
    middle = HEIGHT / 2
    if before is not None and after is not None:
        left, right = scale.x_of(before), scale.x_of(after)
        parts.append(f'<path class="line" d="M{left:.1f} {middle:.0f}H{right:.1f}"/>')
    if before is not None:
        parts.append(_draw_point(scale.x_of(before), middle, "undecided"))
    if after is not None:
        parts.append(_draw_point(scale.x_of(after), middle, ""))
    return _wrap_svg(parts, WIDTH, "plain")


def draw_stack(shares: Sequence[float], total: float, width: float = 260.0) -> Markup:
    """Draw amounts side by side on a scale that ends at `total`; those below 0 take no room."""
    parts, left = [], 0.0
    for number, share in enumerate(shares):
        size = max(0.0, share) / total * width if total > 0 else 0.0
        if size > 0:
            parts.append(
                f'<rect class="part{number}" x="{left:.1f}" y="1" width="{size:.1f}" height="16"/>'
            )
        left += size
    return _wrap_svg(parts, width, "stack")


def _draw_point(x: float, y: float, verdict: str) -> str:
    if verdict == "better":
        return f'<path class="dot" d="M{x:.1f} {y - 5:.1f}l5 9h-10z"/>'
    if verdict == "worse":
        return f'<path class="dot" d="M{x:.1f} {y + 5:.1f}l5 -9h-10z"/>'
    if verdict == "equivalent":
        return f'<path class="dot" d="M{x - 4:.1f} {y - 4:.1f}h8v8h-8z"/>'
    hollow = " hollow" if verdict == "undecided" else ""
    return f'<circle class="dot{hollow}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'


def _wrap_svg(parts: Sequence[str], width: float, kind: str) -> Markup:
    # Not escaped: only numbers and words of this package are in here, and no text of a study.
    return Markup(
        f'<svg class="mark {kind}" viewBox="0 0 {width:.0f} {HEIGHT:.0f}" width="{width:.0f}" '
        f'height="{HEIGHT:.0f}" aria-hidden="true" focusable="false">{"".join(parts)}</svg>'
    )
