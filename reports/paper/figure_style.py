"""How figures for a paper look, and how they become bytes: the same results, the same bytes.

Matplotlib is imported inside the functions: it takes half a second, and few commands draw.
"""

import io
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

COLUMN = 3.3  # inches: a column of a two-column paper
PAGE = 7.0  # inches: both columns
INK = "#222222"
SOFT = "#777777"
# Okabe and Ito's colours: told apart in every common kind of colour blindness. Shapes, dashes and
# fillings differ too, so that they are told apart in grey.
COLOURS = {
    "baseline": "#222222",
    "better": "#009E73",
    "worse": "#D55E00",
    "equivalent": "#0072B2",
    "undecided": "#777777",
}
MARKERS = {"baseline": "D", "better": "^", "worse": "v", "equivalent": "s", "undecided": "o"}
OPEN = ("baseline", "undecided")  # drawn as outlines
LINES = ("#222222", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#B8860B", "#777777")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))
_STYLE: dict[str, Any] = {
    # STIX looks like the Times of most templates, goes with Computer Modern, and ships along.
    "font.family": ["STIXGeneral", "DejaVu Sans"],
    "mathtext.fontset": "stix",
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7,
    "axes.linewidth": 0.6,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.1,
    "legend.frameon": False,
    "pdf.fonttype": 42,  # TrueType, embedded: what publishers ask for
    "svg.fonttype": "path",
    "svg.hashsalt": "triptych",
    "figure.constrained_layout.use": True,
    "axes.unicode_minus": True,
    "font.enable_last_resort": False,  # a large font whose glyphs are boxes too
}


@contextmanager
def style() -> Iterator[None]:
    """The look of the figures that are made and saved inside."""
    from matplotlib import rc_context, rcParamsDefault

    # The defaults first: what a user's own matplotlibrc says must change no byte.
    wanted: Any = {name: rcParamsDefault[name] for name in rcParamsDefault if name != "backend"}
    wanted |= _STYLE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated settings among the defaults; missing glyphs
        with rc_context(wanted):
            yield


def canvas(width: float, height: float, columns: int = 1) -> "tuple[Figure, list[Axes]]":
    """A figure of so many inches, and its axes side by side."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    drawn = figure.subplots(1, columns, squeeze=False)
    return figure, list(drawn[0])


def as_bytes(figure: "Figure") -> tuple[bytes, bytes]:
    """The figure as PDF and as SVG, without a date."""
    pdf, svg = io.BytesIO(), io.BytesIO()
    figure.savefig(pdf, format="pdf", metadata={"CreationDate": None})
    figure.set_layout_engine("none")  # everything is in its place
    figure.savefig(svg, format="svg", metadata={"Date": None})
    return pdf.getvalue(), svg.getvalue()


def plain(texts: "Sequence[Text]") -> None:
    """A study's names are no mathematics, whatever dollar signs they have."""
    for text in texts:
        text.set_parse_math(False)


def wrap(name: str, width: int, lines: int = 3) -> str:
    """A name over at most so many lines, without characters that print nothing."""
    printable = "".join(c if c.isprintable() else " " for c in name)
    return "\n".join(textwrap.wrap(printable, width, max_lines=lines, placeholder=" …"))


def name_rows(axes: "Axes", names: Sequence[str], width: int) -> None:
    """A row a name, from the top."""
    lines = _lines(len(names))
    axes.set_yticks(range(len(names)), [wrap(name, width, lines) for name in names])
    plain(axes.get_yticklabels())
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", linewidth=0.4, color="#dddddd")
    axes.set_axisbelow(True)


def row_height(names: Sequence[str], width: int) -> float:
    """Inches of all rows together."""
    wrapped = [wrap(name, width, _lines(len(names))) for name in names]
    lines = max((text.count("\n") + 1 for text in wrapped), default=1)
    return len(names) * (0.1 + 0.115 * lines)


def _lines(names: int) -> int:
    """Lines that a name may take: of many names each has less room, or a page would not do."""
    return 3 if names <= 12 else 2 if names <= 22 else 1
