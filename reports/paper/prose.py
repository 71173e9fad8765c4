"""Sentences with symbols and citations, to be written as LaTeX or Markdown."""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from reports.paper.latex_text import escape_latex, symbol_latex
from reports.paper.render_markdown import escape_markdown


@dataclass(frozen=True, slots=True)
class Symbol:
    """Mathematics: LaTeX without dollar signs."""

    latex: str


@dataclass(frozen=True, slots=True)
class Cite:
    """Keys of the bibliography."""

    keys: tuple[str, ...]


Part = str | Symbol | Cite
Sentence = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Heading of a word or two, and sentences of plain text, not escaped."""

    heading: str
    sentences: tuple[Sentence, ...]


def cited_keys(paragraphs: Sequence[Paragraph], known: Collection[str]) -> tuple[str, ...]:
    """Return the known keys that are cited, each once, in the order of their first citation."""
    cites = (
        part
        for paragraph in paragraphs
        for sentence in paragraph.sentences
        for part in sentence
        if isinstance(part, Cite)
    )
    return tuple(dict.fromkeys(key for part in cites for key in _known_keys(part, known)))


def prose_latex(paragraphs: Sequence[Paragraph], known: Collection[str]) -> str:
    r"""Return the paragraphs as LaTeX with `\cite`; unknown keys are left out."""
    return "\n\n".join(
        rf"\paragraph{{{escape_latex(paragraph.heading)}.}}"
        + "\n"
        + "\n".join(
            _render_sentence(sentence, known, escape_latex, _cite_latex)
            for sentence in paragraph.sentences
        )
        for paragraph in paragraphs
    )


def prose_markdown(paragraphs: Sequence[Paragraph], known: Collection[str]) -> str:
    """Return the paragraphs as Markdown with citations that pandoc reads: `[@key; @other]`."""
    return "\n\n".join(
        f"**{escape_markdown(paragraph.heading)}.** "
        + " ".join(
            _render_sentence(sentence, known, escape_markdown, _cite_markdown)
            for sentence in paragraph.sentences
        )
        for paragraph in paragraphs
    )


def _cite_latex(keys: Sequence[str]) -> str:
    return f"~\\cite{{{','.join(keys)}}}"


def _cite_markdown(keys: Sequence[str]) -> str:
    return f" [{'; '.join(f'@{key}' for key in keys)}]"


def _render_sentence(
    sentence: Sentence,
    known: Collection[str],
    escape: Callable[[str], str],
    cite: Callable[[Sequence[str]], str],
) -> str:
    """Return a sentence in one format.

    Args:
        sentence: Parts of the sentence.
        known: Keys that can be cited.
        escape: Function that escapes text for the format.
        cite: Function that writes a citation in the format.
    """
    # Symbols and citations are not escaped: they are checked or known, and text is neither.
    text = ""
    for part in sentence:
        match part:
            case Symbol(latex):
                text += symbol_latex(latex)
            case Cite():
                keys = _known_keys(part, known)
                # A citation brings its own space, which in LaTeX must not break a line.
                text = f"{text.rstrip()}{cite(keys)}" if keys else text
            case _:
                text += _keep_outer_spaces(part, escape(part))
    return text.strip()


def _keep_outer_spaces(part: str, escaped: str) -> str:
    """Return an escaped part with a space at each end where the part has white space there."""
    # Escaping trims a text, and the words before and after a symbol need their spaces.
    before = " " if re.match(r"\s", part) else ""
    after = " " if re.search(r"\s$", part) and part.strip() else ""
    return f"{before}{escaped}{after}"


def _known_keys(cite: Cite, known: Collection[str]) -> tuple[str, ...]:
    return tuple(key for key in dict.fromkeys(cite.keys) if key in known)
