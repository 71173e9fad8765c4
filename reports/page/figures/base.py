"""What all figures share: plotly's own JSON, colours by name, and which arms a figure shows.

A colour is a token, `@better` or `@better/0.2`, that the page replaces by its CSS variable: so
figures follow the light or dark page they are on. The names of a study are escaped before they get
into a figure, as plotly reads tags in text.
"""

import html
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reports.evidence.comparison import Comparison

Figure = dict[str, Any]  # {"data": [traces], "layout": {...}, "config": {...}}

# Shapes tell verdicts apart where colours do not.
SYMBOLS = {
    "baseline": "diamond-open",
    "better": "triangle-up",
    "worse": "triangle-down",
    "equivalent": "square",
    "undecided": "circle-open",
}
LINE_COLOURS = ("@ink", "@c1", "@c2", "@c3", "@c4", "@c5", "@c6", "@c7")
DASHES = ("solid", "solid", "dash", "dot", "dashdot", "longdash", "dash", "solid")
MOST_ROWS = 16  # arms that a figure with a row an arm shows at first
MOST_LINES = 8  # arms that a figure with a line an arm shows at first
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Liberation Sans', sans-serif"


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One view of a plot that a reader can choose: its name, and what is drawn side by side."""

    name: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A plot of the page.

    Attributes:
        id: of its element.
        alt: what it shows, for who can't see it.
        variants: views; the first is shown at first.
        chooser: whose choice selects the variant by name; empty = its own switch, if there are two.
    """

    id: str
    alt: str
    variants: tuple[Variant, ...]
    chooser: str = ""


def safe(text: str) -> str:
    """A study's text for plotly, which reads tags."""
    return html.escape(text, quote=False)


def wrapped(text: str, width: int) -> str:
    """The same over several lines."""
    return "<br>".join(safe(line) for line in textwrap.wrap(text, width)) or " "


def shortened(text: str, width: int = 34) -> str:
    """The same, cut where a legend would grow too wide."""
    return safe(text if len(text) <= width else text[: width - 1] + "…")


def rounded(value: float | None, digits: int = 6) -> float | None:
    """Significant digits that a screen can show; fewer bytes in the page."""
    return None if value is None else float(f"{value:.{digits}g}")


def layout(height: int, **more: Any) -> Figure:
    """A quiet layout: no frame, faint grid, text in the page's colour."""
    axis = {
        "gridcolor": "@rule",
        "zeroline": False,
        "showline": False,
        "fixedrange": True,
        "automargin": True,
        "tickfont": {"color": "@soft", "size": 12},
        "title": {"font": {"color": "@soft", "size": 13}, "standoff": 10},
    }
    return {
        "height": height,
        "margin": {"l": 8, "r": 12, "t": 14, "b": 48},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": FONT, "size": 13, "color": "@ink"},
        "hoverlabel": {
            "bgcolor": "@card",
            "bordercolor": "@soft",
            "font": {"color": "@ink", "family": FONT, "size": 13},
        },
        "hovermode": "closest",
        "dragmode": False,
        "showlegend": False,  # the page writes its own: it wraps, and a reader can read it
        "xaxis": titled(axis, more.pop("x", ""), more.pop("x_more", {})),
        "yaxis": titled(axis, more.pop("y", ""), more.pop("y_more", {})),
        **more,
    }


def titled(axis: Figure, text: str, more: Figure) -> Figure:
    """An axis with a title, which is plain text."""
    return {**axis, "title": {**axis["title"], "text": safe(text)}, **more}


def few_and_all(
    comparison: Comparison, arms: Sequence[str], most: int
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Which arms the views of a plot hold: all, or the most different ones first and then all."""
    present = tuple(arm for arm in comparison.facts.arms if arm in set(arms))
    if len(present) <= most:
        return ((f"all {len(present)} arms", present),)
    chosen = set([arm for arm in _by_difference(comparison) if arm in set(present)][:most])
    kept = tuple(arm for arm in present if arm in chosen)
    return ((f"the {len(kept)} most different", kept), (f"all {len(present)} arms", present))


def _by_difference(comparison: Comparison) -> list[str]:
    """Arms, the baseline first, then the farthest from it."""
    facts = comparison.facts
    primary = {e.arm: e for e in comparison.estimates if e.metric == comparison.primary.name}
    return sorted(
        facts.arms, key=lambda arm: (arm != facts.baseline, -abs(primary[arm].delta or 0.0))
    )
