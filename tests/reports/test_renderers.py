import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest

from reports.numerals import choose_decimals, format_number, format_p
from reports.page.render_html import show_duration
from reports.paper.latex_text import escape_latex
from reports.paper.render_latex import render_latex
from reports.paper.render_markdown import escape_markdown, render_markdown
from reports.render_csv import ESTIMATE_COLUMNS, render_csv
from reports.tables import Table, build_table, rank_means
from reports.wording import answer_sentences, limit_sentences

Check = Callable[[str, str], None]


@pytest.fixture(scope="module")
def table(synthetic: ModuleType) -> Table:
    return build_table(synthetic.written_comparison())


@pytest.fixture(scope="module")
def page(synthetic: ModuleType) -> str:
    return synthetic.page_of(synthetic.written_comparison())


def test_latex_snapshot(table: Table, check_snapshot: Check) -> None:
    check_snapshot("table.tex", render_latex(table))


def test_markdown_snapshot(table: Table, check_snapshot: Check) -> None:
    check_snapshot("table.md", render_markdown(table))


def test_csv_snapshot(synthetic: ModuleType, check_snapshot: Check) -> None:
    check_snapshot("table.csv", render_csv(synthetic.written_comparison()))


def test_html_snapshot(page: str, check_snapshot: Check) -> None:
    bare = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
    bare = re.sub(r'content="default-src.*?"', 'content="the policy"', bare)
    check_snapshot("page.html", re.sub(r"\n\s*\n+", "\n", bare))


def test_csv_columns_are_the_promised_ones(synthetic: ModuleType) -> None:
    expected = "arm,metric,n,mean,sd,delta,ci_low,ci_high,p,p_holm,verdict"
    assert ",".join(ESTIMATE_COLUMNS) == expected
    assert render_csv(synthetic.written_comparison()).splitlines()[0] == expected


def test_means_are_ranked_unrounded_and_ties_share() -> None:
    assert rank_means([0.70001, 0.7, 0.9, None], False) == ["second", "best", None, None]
    assert rank_means([0.7, 0.9, 0.9, 0.8], True) == [None, "best", "best", "second"]
    assert rank_means([0.7], True) == [None]
    assert rank_means([0.7, 0.7], True) == [None, None]


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "\N{EN DASH}"), (-0.0004, "0.000"), (-0.5, "\N{MINUS SIGN}0.500"), (1, "+1.000")],
)
def test_numbers_for_a_person(value: float | None, text: str) -> None:
    assert format_number(value, 3, signed=True) == text


def test_p_is_never_shown_as_zero() -> None:
    assert format_p(0.0004) == "< 0.001"


def test_decimals_show_two_digits_of_the_spread() -> None:
    assert [choose_decimals([sd]) for sd in (0.012, 0.004, 0.5, 12.0, None)] == [3, 4, 2, 1, 3]


def test_durations_for_a_person() -> None:
    assert [show_duration(s) for s in (42, 720, 12240)] == ["42 s", "12 min", "3.4 h"]


def test_latex_escapes_everything_special() -> None:
    escaped = escape_latex('a_b % & # $ { } ~ ^ \\ < > "\nc')
    for command in (r"\_", r"\%", r"\&", r"\#", r"\$", r"\{", r"\}", "tilde{}", "circum{}"):
        assert command in escaped
    bare = re.sub(r"\\[a-zA-Z]+\{\}|\\[_%&#${}]|\{''\}", "", escaped)
    assert not set(bare) & set('_%&#${}~^\\<>"\n')


def test_markdown_escapes_pipes_and_html() -> None:
    assert escape_markdown("a|b\n<i>_x_") == r"a\|b &lt;i&gt;\_x\_"


def test_every_markdown_row_has_the_columns_of_the_head(table: Table) -> None:
    rows = [line for line in render_markdown(table).splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_html_asks_the_network_for_nothing(page: str) -> None:
    parser = _Tags()
    parser.feed(page)
    for _, attributes in parser.tags:
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            assert (attributes.get(name) or "data:").startswith(("data:", "#"))
    styles = " ".join(re.findall(r"(?s)<style>(.*?)</style>", page))
    assert "url(" not in styles and "@import" not in styles
    assert page.count('id="plotly-source"') == 1


def test_html_shows_names_as_text(page: str) -> None:
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert "<b>text</b>" not in page and "<i>sha</i>" not in page


def test_the_answer_names_every_verdict_with_its_size(synthetic: ModuleType) -> None:
    first, second = answer_sentences(synthetic.written_comparison())
    assert "is worse by 0.100 (0.050 to 0.150)" in first
    assert second == "“placebo” is equivalent within ±0.05."


def test_the_answer_of_an_empty_study_says_so(synthetic: ModuleType) -> None:
    comparison = synthetic.written_comparison()
    empty = tuple(
        replace(e, n=0, mean=None, sd=None, delta=None, p=None) for e in comparison.estimates
    )
    first, _ = answer_sentences(replace(comparison, estimates=empty))
    assert first.startswith("There is no answer yet")


def test_too_few_seeds_are_called_that(synthetic: ModuleType) -> None:
    comparison = synthetic.written_comparison()
    few = replace(comparison, limits=replace(comparison.limits, seeds=5, p_floor=0.0625))
    assert "cannot call any arm better or worse" in limit_sentences(few)[0]


def test_latex_compiles(table: Table, tmp_path: Path, program: Callable[[str], str]) -> None:
    document = (
        r"\documentclass{article}\usepackage{booktabs,graphicx}\begin{document}"
        + render_latex(table)
        + r"\end{document}"
    )
    (tmp_path / "main.tex").write_text(document, encoding="utf-8")
    subprocess.run(
        [program("pdflatex"), "-halt-on-error", "main.tex"],
        cwd=tmp_path,
        check=True,
        stdin=subprocess.DEVNULL,
    )


def test_an_arm_that_only_more_utterances_could_decide_is_told_so(synthetic: ModuleType) -> None:
    comparison = synthetic.written_comparison()
    compared = tuple(
        replace(e, verdict="undecided", p_holm=0.01) if e.verdict == "worse" else e
        for e in comparison.estimates
    )
    first, rest = answer_sentences(replace(comparison, estimates=compared))
    assert "No arm is shown" in first
    assert "the test set is too small to decide" in rest


def test_five_seeds_are_said_to_find_nothing_of_any_size(synthetic: ModuleType) -> None:
    comparison = synthetic.written_comparison()
    few = replace(comparison.limits, seeds=5, p_floor=0.0625, detectable_sd=1.68)
    said = " ".join(limit_sentences(replace(comparison, limits=few)))
    assert "the exact test that is used here finds none of any size with so few seeds" in said
    assert "80 % power before correction" not in said
