"""Sentences with symbols and citations, to be written as LaTeX or Markdown."""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
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
    """A heading of a word or two, and sentences of plain text, unescaped."""

    heading: str
    sentences: tuple[Sentence, ...]


def cited(paragraphs: Sequence[Paragraph], known: Collection[str]) -> tuple[str, ...]:
    """The known keys that are cited, each once, in the order of their first citation."""
    return tuple(dict.fromkeys(key for part in _citations(paragraphs) for key in _of(part, known)))


def prose_latex(paragraphs: Sequence[Paragraph], known: Collection[str]) -> str:
    r"""Paragraphs with `\cite`; keys that are not known are left out."""
    return "\n\n".join(
        rf"\paragraph{{{escape_latex(paragraph.heading)}.}}"
        + "\n"
        + "\n".join(
            _joined(sentence, known, escape_latex, _latex) for sentence in paragraph.sentences
        )
        for paragraph in paragraphs
    )


def prose_markdown(paragraphs: Sequence[Paragraph], known: Collection[str]) -> str:
    """Paragraphs with citations as pandoc reads them: `[@key; @other]`."""
    return "\n\n".join(
        f"**{escape_markdown(paragraph.heading)}.** "
        + " ".join(
            _joined(sentence, known, escape_markdown, _markdown) for sentence in paragraph.sentences
        )
        for paragraph in paragraphs
    )


def _latex(keys: Sequence[str]) -> str:
    return f"~\\cite{{{','.join(keys)}}}"


def _markdown(keys: Sequence[str]) -> str:
    return f" [{'; '.join(f'@{key}' for key in keys)}]"


def _joined(
    sentence: Sentence,
    known: Collection[str],
    escape: Callable[[str], str],
    cite: Callable[[Sequence[str]], str],
) -> str:
    """A sentence of one format, by its way of escaping text and of citing keys."""
    text = ""
    for part in sentence:
        match part:
            case Symbol(latex):
                text += symbol_latex(latex)
            case Cite():
                keys = _of(part, known)
                text = f"{text.rstrip()}{cite(keys)}" if keys else text
            case _:
                text += _spaced(part, escape(part))
    return text.strip()


def _spaced(part: str, escaped: str) -> str:
    """Escaping trims a text, and the words before and after a symbol need their spaces."""
    before = " " if re.match(r"\s", part) else ""
    after = " " if re.search(r"\s$", part) and part.strip() else ""
    return f"{before}{escaped}{after}"


def _of(cite: Cite, known: Collection[str]) -> tuple[str, ...]:
    return tuple(key for key in dict.fromkeys(cite.keys) if key in known)


def _citations(paragraphs: Sequence[Paragraph]) -> Iterator[Cite]:
    for paragraph in paragraphs:
        for sentence in paragraph.sentences:
            yield from (part for part in sentence if isinstance(part, Cite))
