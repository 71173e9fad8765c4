r"""The table as LaTeX; needs \usepackage{booktabs,graphicx}."""

from reports.numerals import show, show_interval, show_p
from reports.tables import Heading, Row, Table

_TEXT = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "_": r"\_",
        "%": r"\%",
        "&": r"\&",
        "#": r"\#",
        "$": r"\$",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': r"{''}",  # \textquotedbl needs the T1 encoding; this is right in every one
        "±": r"$\pm$",
        "Δ": r"$\Delta$",
        "\N{MINUS SIGN}": r"$-$",
        "≤": r"$\leq$",
        "≥": r"$\geq$",
        "\N{MULTIPLICATION SIGN}": r"$\times$",
        "→": r"$\rightarrow$",
        "↑": r"$\uparrow$",
        "↓": r"$\downarrow$",
        "\N{EN DASH}": "--",
        "\N{EM DASH}": "---",
    }
)
_MARKS = {
    "baseline": "(baseline)",
    "better": "$+$ better",
    "worse": "$-$ worse",
    "equivalent": r"$\approx$ equivalent",
    "undecided": "? undecided",
    None: "--",
}


def render_latex(table: Table) -> str:
    """A `table*` in booktabs style: the verdicts, and below them every metric.

    Best mean bold, second underlined. A block wider than the page is scaled down to it.
    """
    lines = [
        r"% Needs \usepackage{booktabs,graphicx}. Written by `triptych report`.",
        r"\begin{table*}[t]",
        r"\centering",
        r"\small",
        rf"\caption{{{escape_latex(f'{table.title} {table.caption}')} "
        r"Best in bold, second underlined.}",
        *_tabular("lccrl", _verdict_head(table), [_verdict_row(table, row) for row in table.rows]),
        r"\par\medskip",
        *_tabular(
            "l" + "c" * len(table.header),
            ["Arm", *(_heading(heading) for heading in table.header)],
            [_metric_row(table, row) for row in table.rows],
        ),
        *_claims(table),
        *_notes(table),
        r"\end{table*}",
    ]
    return "\n".join(lines) + "\n"


def _tabular(columns: str, head: list[str], rows: list[list[str]]) -> list[str]:
    return [
        r"\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(head) + r" \\",
        r"\midrule",
        *(" & ".join(row) + r" \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}}",
    ]


def _heading(heading: Heading) -> str:
    return f"{escape_latex(heading.label)} {escape_latex(heading.arrow)}"


def _verdict_head(table: Table) -> list[str]:
    label = escape_latex(table.header[0].label)
    return ["Arm", rf"$\Delta$ {label}", r"95\,\% interval", r"$p$ (Holm)", "Verdict"]


def _verdict_row(table: Table, row: Row) -> list[str]:
    primary, decimals = row.primary, table.header[0].decimals
    interval = show_interval(primary.ci_low, primary.ci_high, decimals)
    return [
        escape_latex(row.arm),
        escape_latex(show(primary.delta, decimals, signed=True)),
        # Braced: an optional argument of the \\ before could otherwise begin at the bracket.
        f"{{{escape_latex(interval)}}}",
        escape_latex(show_p(primary.p_holm)),
        _MARKS[primary.verdict],
    ]


def _metric_row(table: Table, row: Row) -> list[str]:
    cells = [escape_latex(row.arm)]
    for heading, cell in zip(table.header, row.cells, strict=True):
        text = escape_latex(show(cell.estimate.mean, heading.decimals))
        if cell.rank == "best":
            text = rf"\textbf{{{text}}}"
        elif cell.rank == "second":
            text = rf"\underline{{{text}}}"
        if cell.estimate.sd is not None:
            text += rf"{{\scriptsize\,$\pm$\,{show(cell.estimate.sd, heading.decimals)}}}"
        cells.append(text)
    return cells


def escape_latex(text: str) -> str:
    """Text that LaTeX prints as it is."""
    return " ".join(text.split()).translate(_TEXT)


def _claims(table: Table) -> list[str]:
    if not table.claims:
        return []
    items = [
        rf"\item \textbf{{{answer.verdict}}}: \emph{{{escape_latex(answer.claim.text)}.}} "
        rf"{escape_latex(answer.sentence)}"
        for answer in table.claims
    ]
    return [
        r"\par\smallskip",
        r"{\footnotesize\raggedright",
        r"\begin{itemize}",
        *items,
        r"\end{itemize}\par}",
    ]


def _notes(table: Table) -> list[str]:
    if not table.notes:
        return []
    text = " ".join(escape_latex(note) for note in table.notes)
    return [r"\par\smallskip", rf"{{\footnotesize\raggedright {text}\par}}"]
