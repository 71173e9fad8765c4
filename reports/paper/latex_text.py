r"""Text, numbers and tables as LaTeX that compiles in every engine and encoding."""

import re
import unicodedata
from collections.abc import Sequence

from reports.numerals import format_number

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
        "`": r"\textasciigrave{}",
        '"': r"{''}",  # \textquotedbl needs the T1 encoding; this is right in every one
        "±": r"$\pm$",
        "\N{MINUS SIGN}": r"$-$",
        "≤": r"$\leq$",
        "≥": r"$\geq$",
        "≈": r"$\approx$",
        "∈": r"$\in$",
        "\N{MULTIPLICATION SIGN}": r"$\times$",
        "→": r"$\rightarrow$",
        "←": r"$\leftarrow$",
        "↑": r"$\uparrow$",
        "↓": r"$\downarrow$",
        "\N{MIDDLE DOT}": r"$\cdot$",
        "\N{EN DASH}": "--",
        "\N{EM DASH}": "---",
        "\N{LEFT DOUBLE QUOTATION MARK}": "``",
        "\N{RIGHT DOUBLE QUOTATION MARK}": "''",
        "\N{LEFT SINGLE QUOTATION MARK}": "`",
        "\N{RIGHT SINGLE QUOTATION MARK}": "'",
        "\N{HORIZONTAL ELLIPSIS}": r"\ldots{}",
        "\N{NO-BREAK SPACE}": "~",
        "ß": r"\ss{}",
        "ø": r"\o{}",
        "Ø": r"\O{}",
        "æ": r"\ae{}",
        "Æ": r"\AE{}",
        "œ": r"\oe{}",
        "Œ": r"\OE{}",
        "ł": r"\l{}",
        "Ł": r"\L{}",
    }
)
_ACCENTS = {
    "\N{COMBINING GRAVE ACCENT}": "`",
    "\N{COMBINING ACUTE ACCENT}": "'",
    "\N{COMBINING CIRCUMFLEX ACCENT}": "^",
    "\N{COMBINING TILDE}": "~",
    "\N{COMBINING DIAERESIS}": '"',
    "\N{COMBINING RING ABOVE}": "r",
    "\N{COMBINING CARON}": "v",
    "\N{COMBINING CEDILLA}": "c",
    "\N{COMBINING MACRON}": "=",
    "\N{COMBINING BREVE}": "u",
    "\N{COMBINING DOT ABOVE}": ".",
    "\N{COMBINING DOUBLE ACUTE ACCENT}": "H",
}
_GREEK = (
    *("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"),
    *("lambda", "mu", "nu", "xi", "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi"),
    "omega",
)
# The other capitals look like Latin ones, and LaTeX has no commands for them.
_CAPITALS = (
    *("gamma", "delta", "theta", "lambda", "xi", "pi", "sigma", "upsilon", "phi", "psi", "omega"),
)
# Commands that a field's symbol may hold: a results folder, and its symbols, may be anyone's.
_SYMBOL_COMMANDS = {
    *_GREEK,
    *(name.capitalize() for name in _CAPITALS),
    *("varepsilon", "vartheta", "varphi", "ell", "mathrm", "mathcal", "mathbf", "hat", "bar"),
    *("tilde", "text", "cdot", "prime", "min", "max", "log"),
}


def escape_latex(text: str) -> str:
    """Escape a text so that LaTeX prints it as it is, in one line.

    A character that pdfTeX's fonts lack is shown by its number there, and as it is where an
    engine reads Unicode. Control and formatting characters, which print nothing, are left out.
    """
    # One line, as an empty one would end a paragraph within an argument, which is an error of TeX.
    return "".join(_escape_character(character) for character in " ".join(text.split()))


def _escape_character(character: str) -> str:
    if ord(character) in _TEXT:
        return _TEXT[ord(character)]
    if character.isascii():
        return character if character.isprintable() else ""
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn"):
        return ""
    # As an accent on a letter where it is one: that prints in every encoding of fonts.
    decomposed = unicodedata.normalize("NFD", character)
    if len(decomposed) == 2 and decomposed[0].isascii() and decomposed[1] in _ACCENTS:
        return rf"\{_ACCENTS[decomposed[1]]}{{{decomposed[0]}}}"
    if greek := _greek_letter(character):
        return greek
    # `\Umathchar` exists in engines that read Unicode alone.
    return rf"{{\ifdefined\Umathchar {character}\else[U+{ord(character):04X}]\fi}}"


def _greek_letter(character: str) -> str:
    """Return a Greek letter as mathematics; empty if LaTeX has no command for the character."""
    words = unicodedata.name(character, "").split()
    if len(words) != 4 or words[0] != "GREEK" or words[2] != "LETTER":
        return ""
    name = {"LAMDA": "lambda"}.get(words[3], words[3].lower())  # Unicode's spelling, and TeX's
    if words[1] == "SMALL" and name in _GREEK:
        return rf"$\{name}$"
    return rf"$\{name.capitalize()}$" if words[1] == "CAPITAL" and name in _CAPITALS else ""


def symbol_latex(symbol: str) -> str:
    """Return a field's symbol in dollar signs; empty if it is not just names, Greek and indices."""
    commands = set(re.findall(r"\\([A-Za-z]+|.)", symbol))
    plain = re.sub(r"\\[A-Za-z]+", "", symbol)
    # Two indices at one place, or one without a body, are errors of TeX.
    wrong = re.search(r"[_^](\{[^{}]*\}|\w|\\[A-Za-z]+)\s*_|[_^]\s*([_^}]|$)", symbol)
    if (
        not symbol.strip()
        or wrong
        or not re.fullmatch(r"[A-Za-z0-9_^{}', .]*", plain)
        or not commands <= _SYMBOL_COMMANDS
        or not has_balanced_braces(plain)
    ):
        return ""
    return f"${symbol.strip()}$"


def has_balanced_braces(text: str) -> bool:
    """Check whether every brace that opens in a text closes in it, and the other way round."""
    depth = 0
    for character in text:
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth < 0:
            return False
    return depth == 0


def number_latex(value: float | None, decimals: int, *, signed: bool = False) -> str:
    """Return a number as the text of a cell."""
    return escape_latex(format_number(value, decimals, signed=signed))


def float_lines(
    body: Sequence[str],
    caption: str,
    *,
    label: str = "",
    environment: str = "table*",
    place: str = "t",
) -> list[str]:
    r"""Return a float with its caption above.

    Args:
        body: Lines of its content.
        caption: Caption, as LaTeX.
        label: Key of `\ref`; empty = none.
        environment: Name of the environment; with a star it spans both columns.
        place: Placement, as LaTeX has it.
    """
    return [
        rf"\begin{{{environment}}}[{place}]",
        r"\centering",
        r"\small",
        rf"\caption{{{caption}}}",
        *([rf"\label{{{label}}}"] if label else []),
        *body,
        rf"\end{{{environment}}}",
    ]


def note_lines(notes: Sequence[str]) -> list[str]:
    """Return remarks below a table, as one small paragraph; nothing without any."""
    if not notes:
        return []
    text = " ".join(escape_latex(note) for note in notes)
    return [r"\par\smallskip", rf"{{\footnotesize\raggedright {text}\par}}"]


def tabular_lines(columns: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a tabular in booktabs style, scaled down to the page where it is wider.

    Args:
        columns: Column types, as LaTeX has them.
        head: Heads of the columns, as LaTeX.
        rows: Cells of each row, as LaTeX; an empty row is a small gap.
    """
    return [
        r"\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(head) + r" \\",
        r"\midrule",
        *(" & ".join(row) + r" \\" if row else r"\addlinespace" for row in rows),
        r"\bottomrule",
        r"\end{tabular}}",
    ]
