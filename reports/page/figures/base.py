"""Parts that all figures of the page share, as plotly's own JSON.

A colour is a token, `@better` or `@better/0.2`, that `figures.js` replaces by the page's CSS
variable: so figures follow the light or dark page they are on. The names of a study are escaped
before they get into a figure, as plotly reads tags in text.
"""

import html
import textwrap
from dataclasses import dataclass
from typing import Any

from reports.evidence.verdicts import Verdict

Figure = dict[str, Any]  # {"data": [traces], "layout": {...}, "config": {...}}

# Shapes tell verdicts apart where colours do not.
SYMBOLS = {
    Verdict.BASELINE: "diamond-open",
    Verdict.BETTER: "triangle-up",
    Verdict.WORSE: "triangle-down",
    Verdict.EQUIVALENT: "square",
    Verdict.UNDECIDED: "circle-open",
}
LINE_COLOURS = ("@ink", "@c1", "@c2", "@c3", "@c4", "@c5", "@c6", "@c7")
DASHES = ("solid", "solid", "dash", "dot", "dashdot", "longdash", "dash", "solid")
MOST_ROWS = 16  # arms that a figure with a row per arm shows at first
MOST_LINES = 8  # arms that a figure with a line per arm shows at first: there are 8 colours
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
        id: Id of its element, without the prefix `plot-`.
        alt: Description of what it shows, for readers who can't see it.
        variants: Views of the plot; the page begins with the first.
        chooser: Id of the control that selects the variant by its name; empty = a switch of its
            own, if there are several.
    """

    id: str
    alt: str
    variants: tuple[Variant, ...]
    chooser: str = ""


def escape_tags(text: str) -> str:
    """Escape a study's text for plotly, which reads tags."""
    return html.escape(text, quote=False)


def wrap_text(text: str, width: int) -> str:
    """Break a text into lines of at most so many characters, and escape it."""
    # Broken before it is escaped: a break must not come to lie within an `&lt;`.
    return "<br>".join(escape_tags(line) for line in textwrap.wrap(text, width)) or " "


def shorten_text(text: str, width: int = 34) -> str:
    """Cut a text where a legend would grow too wide, and escape it."""
    return escape_tags(text if len(text) <= width else text[: width - 1] + "…")


def round_significant(value: float | None, digits: int = 6) -> float | None:
    """Round to the significant digits that a screen can show, for fewer bytes in the page."""
    return None if value is None else float(f"{value:.{digits}g}")


def make_layout(height: int, **more: Any) -> Figure:
    """Return a quiet layout: no frame, faint grid, text in the page's colour.

    Args:
        height: Height of the figure, in pixels.
        more: Keys of plotly's layout that replace these; `x` and `y` are titles of the axes,
            `x_more` and `y_more` further keys of them.
    """
    axis = {
        "gridcolor": "@rule",
        "zeroline": False,
        "showline": False,
        "fixedrange": True,  # no zoom: scrolling over a figure scrolls the page
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
        "xaxis": titled_axis(axis, more.pop("x", ""), more.pop("x_more", {})),
        "yaxis": titled_axis(axis, more.pop("y", ""), more.pop("y_more", {})),
        **more,
    }


def titled_axis(axis: Figure, text: str, more: Figure) -> Figure:
    """Return an axis with a title, which is plain text, and with further keys."""
    return {**axis, "title": {**axis["title"], "text": escape_tags(text)}, **more}
