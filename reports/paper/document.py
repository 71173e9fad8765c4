"""A small LaTeX document that shows everything that a report has for a paper."""

from collections.abc import Sequence

from reports.paper.drawings import Drawing
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
    """`main.tex`.

    Args:
        facts: of the study.
        inputs: names of the LaTeX files that it shows, in their order.
        figures: below `figures/`.
        cites: whether anything is cited.
    """
    lines = [
        _PREAMBLE,
        rf"\title{{{escape_latex(facts.study)}: {escape_latex(facts.question)}}}",
        r"\author{}",
        r"\date{}",
        r"\begin{document}",
        r"\maketitle",
    ]
    for name in inputs:
        lines += ["", rf"\input{{{name}}}", r"\clearpage"]
    for drawing in figures:
        lines += ["", *_figure(drawing)]
    if cites:
        lines += ["", r"\clearpage", r"\bibliographystyle{plain}", r"\bibliography{references}"]
    return "\n".join([*lines, r"\end{document}"]) + "\n"


def _figure(drawing: Drawing) -> list[str]:
    kind = "figure*" if drawing.wide else "figure"
    width = r"width=\textwidth" if drawing.wide else ""
    return [
        rf"\begin{{{kind}}}[htbp]",
        r"\centering",
        rf"\includegraphics[{width}]{{figures/{drawing.name}.pdf}}",
        rf"\caption{{{escape_latex(drawing.caption)}}}",
        rf"\label{{fig:{drawing.name}}}",
        rf"\end{{{kind}}}",
    ]
