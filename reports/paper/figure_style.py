"""The look of figures for a paper, and their files: the same results give the same bytes.

Matplotlib is imported inside the functions: it takes half a second, and few commands draw.
"""

import io
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from reports.evidence.verdicts import Verdict

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
    Verdict.BASELINE: "#222222",
    Verdict.BETTER: "#009E73",
    Verdict.WORSE: "#D55E00",
    Verdict.EQUIVALENT: "#0072B2",
    Verdict.UNDECIDED: "#777777",
}
MARKERS = {
    Verdict.BASELINE: "D",
    Verdict.BETTER: "^",
    Verdict.WORSE: "v",
    Verdict.EQUIVALENT: "s",
    Verdict.UNDECIDED: "o",
}
OPEN = (Verdict.BASELINE, Verdict.UNDECIDED)  # drawn as outlines
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
def paper_style() -> Iterator[None]:
    """Set the look of the figures that are made and saved in this context."""
    from matplotlib import rc_context, rcParamsDefault

    # The defaults first: a user's own matplotlibrc must change no byte.
    wanted: Any = {name: rcParamsDefault[name] for name in rcParamsDefault if name != "backend"}
    wanted |= _STYLE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated settings among the defaults; missing glyphs
        with rc_context(wanted):
            yield


def new_figure(width: float, height: float, columns: int = 1) -> "tuple[Figure, list[Axes]]":
    """Return a figure of a width and height in inches, and its axes side by side."""
    # Not through pyplot, which keeps every figure and looks for a screen.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    drawn = figure.subplots(1, columns, squeeze=False)
    return figure, list(drawn[0])


def as_bytes(figure: "Figure") -> tuple[bytes, bytes]:
    """Return the figure as PDF and as SVG, without a date."""
    pdf, svg = io.BytesIO(), io.BytesIO()
    figure.savefig(pdf, format="pdf", metadata={"CreationDate": None})
    # Saving the PDF has laid the figure out, so nothing is left to move.
    figure.set_layout_engine("none")
    figure.savefig(svg, format="svg", metadata={"Date": None})
    return pdf.getvalue(), svg.getvalue()


def disable_math(texts: "Sequence[Text]") -> None:
    """Show these texts as they are: a study's names are no mathematics, dollar signs or not."""
    for text in texts:
        text.set_parse_math(False)


def wrap_name(name: str, width: int, lines: int = 3) -> str:
    """Break a name into at most so many lines, without characters that print nothing."""
    printable = "".join(c if c.isprintable() else " " for c in name)
    return "\n".join(textwrap.wrap(printable, width, max_lines=lines, placeholder=" …"))


def name_rows(axes: "Axes", names: Sequence[str], width: int) -> None:
    """Label the rows of a figure with names, from the top."""
    lines = _lines_per_name(len(names))
    axes.set_yticks(range(len(names)), [wrap_name(name, width, lines) for name in names])
    disable_math(axes.get_yticklabels())
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", linewidth=0.4, color="#dddddd")
    axes.set_axisbelow(True)


def row_height(names: Sequence[str], width: int) -> float:
    """Return the height of all rows together, in inches."""
    wrapped = [wrap_name(name, width, _lines_per_name(len(names))) for name in names]
    lines = max((text.count("\n") + 1 for text in wrapped), default=1)
    return len(names) * (0.1 + 0.115 * lines)


def _lines_per_name(names: int) -> int:
    """Return the lines that a name may take: fewer for many names, or a page would not do."""
    return 3 if names <= 12 else 2 if names <= 22 else 1
