"""A small LaTeX document that shows all tables and figures that a report has for a paper."""

from collections.abc import Sequence

from reports.paper.figure_list import Drawing
from reports.paper.latex_text import escape_latex
from reports.results import StudyFacts

_PREAMBLE = r"""% Written by `triptych report`. Shows all there is; take from it what you need.
% pdflatex main && bibtex main && pdflatex main && pdflatex main        (lualatex does as well)
\documentclass[10pt]{article}
\usepackage[a4paper,margin=25mm]{geometry}
\usepackage{booktabs}   % the tables
\usepackage{graphicx}   % the tables and the figures
\usepackage{amssymb}    % the checkmarks
\IfFileExists{lmodern.sty}{}{\renewcommand{\rmdefault}{cmr}}   % lualatex without its fonts
\sloppy
"""


def render_document(
    facts: StudyFacts, inputs: Sequence[str], figures: Sequence[Drawing], *, cites: bool
) -> str:
    """Return `main.tex`.

    Args:
        facts: Facts of the study.
        inputs: Names of the LaTeX files that it shows, in their order.
        figures: Figures that it shows; their files are in `figures/`.
        cites: Whether anything is cited; without a citation BibTeX ends with an error.
    """
    lines = [
        _PREAMBLE,
        rf"\title{{{escape_latex(facts.study)}: {escape_latex(facts.question)}}}",
        r"\author{}",
        r"\date{}",
        r"\begin{document}",
        r"\maketitle",
    ]
    # A page for each, so that the floats of one file do not drift into the next.
    for name in inputs:
        lines += ["", rf"\input{{{name}}}", r"\clearpage"]
    for drawing in figures:
        lines += ["", *_figure_float(drawing)]
    if cites:
        lines += ["", r"\clearpage", r"\bibliographystyle{plain}", r"\bibliography{references}"]
    return "\n".join([*lines, r"\end{document}"]) + "\n"


def _figure_float(drawing: Drawing) -> list[str]:
    kind = "figure*" if drawing.wide else "figure"
    # A narrow figure is as wide as it was drawn, so its fonts keep their size.
    width = r"width=\textwidth" if drawing.wide else ""
    return [
        rf"\begin{{{kind}}}[htbp]",
        r"\centering",
        rf"\includegraphics[{width}]{{figures/{drawing.name}.pdf}}",
        rf"\caption{{{escape_latex(drawing.caption)}}}",
        rf"\label{{fig:{drawing.name}}}",
        rf"\end{{{kind}}}",
    ]
