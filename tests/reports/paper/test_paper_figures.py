"""The figures for a paper: the same bytes, fonts inside, and names as text."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from reports.evidence.comparison import compare_arms
from reports.evidence.values import Evidence
from reports.figures.shown_arms import farthest_arms
from reports.paper.figure_list import figure_files, list_drawings
from reports.paper.figure_style import (
    COLOURS,
    DASHES,
    LINES,
    MARKERS,
    OPEN,
    PAGE,
    paper_style,
    wrap_name,
)
from reports.tables import build_table

Files = Mapping[str, str | bytes]
EXPECTED = (
    *("delta", "seeds", "results", "effects", "shapley", "matrix-1", "learning", "importance"),
)


def test_every_kind_of_evidence_is_drawn_as_pdf_and_svg(files: Files) -> None:
    drawn = {name for name in files if name.startswith("figures/")}
    assert drawn == {f"figures/{name}.{kind}" for name in EXPECTED for kind in ("pdf", "svg")}


def test_pdfs_embed_their_fonts_and_have_no_date(files: Files) -> None:
    for name in EXPECTED:
        content = files[f"figures/{name}.pdf"]
        assert isinstance(content, bytes)
        assert content.startswith(b"%PDF")
        assert b"/FontFile2" in content
        assert b"/Type3" not in content
        assert b"/CreationDate" not in content


def test_svgs_are_well_formed_without_scripts_links_or_dates(files: Files) -> None:
    for name in EXPECTED:
        content = files[f"figures/{name}.svg"]
        assert isinstance(content, bytes)
        root = ElementTree.fromstring(content)
        tags = {element.tag.rpartition("}")[2] for element in root.iter()}
        assert not tags & {"script", "a", "foreignObject", "date"}
        links = [
            value
            for element in root.iter()
            for key, value in element.attrib.items()
            if key.rpartition("}")[2] == "href"
        ]
        assert all(link.startswith(("#", "data:image/png;base64,")) for link in links)


def test_figures_are_as_wide_as_a_column_or_a_page(full: Any) -> None:
    with paper_style():
        for drawing in list_drawings(full.comparison, full.evidence, full.table):
            width = drawing.draw().get_size_inches()[0]
            assert width == pytest.approx(PAGE if drawing.wide else 3.3)


def test_what_is_drawn_is_what_was_estimated(full: Any) -> None:
    found = {d.name: d for d in list_drawings(full.comparison, full.evidence, full.table)}
    with paper_style():
        axes = found["delta"].draw().axes[0]
    points = [line.get_xdata()[0] for line in axes.lines if line.get_marker() not in ("", "None")]
    deltas = [
        full.comparison.estimate_of(arm, "mae").delta or 0.0 for arm in full.comparison.facts.arms
    ]
    assert points == pytest.approx(deltas)
    names = [label.get_text().replace("\n", " ") for label in axes.get_yticklabels()]
    assert names[0] == "full"
    assert names[2] == "=HYPERLINK(1)"


def test_names_are_never_read_as_mathematics(full: Any) -> None:
    with paper_style():
        for drawing in list_drawings(full.comparison, full.evidence, full.table):
            figure = drawing.draw()
            texts = [label for axes in figure.axes for label in axes.get_yticklabels()]
            texts += [axes.xaxis.label for axes in figure.axes]
            assert not any(text.get_parse_math() for text in texts if "$" in text.get_text())


def test_verdicts_and_lines_are_told_apart_without_colour() -> None:
    assert len({(MARKERS[v], v in OPEN) for v in COLOURS}) == len(COLOURS)
    assert len({str(dash) for dash in DASHES}) == len(DASHES) == len(LINES)


def test_the_look_of_other_figures_is_left_alone() -> None:
    from matplotlib import rcParams

    before = dict(rcParams)
    with paper_style():
        assert rcParams["pdf.fonttype"] == 42
    assert dict(rcParams) == before


def test_a_users_own_settings_change_no_byte(full: Any, files: Files) -> None:
    from matplotlib import rc_context

    few = list_drawings(full.comparison, Evidence(), full.table)[:1]
    with rc_context({"font.size": 20, "lines.linewidth": 9, "axes.grid": True}):
        drawn = figure_files(few)
    assert drawn["delta.svg"] == files["figures/delta.svg"]


def test_of_many_arms_the_farthest_are_shown_and_the_caption_says_so(synthetic: Any) -> None:
    noise = {f"arm {number}": 0.5 + 0.02 * number for number in range(50)}
    results = synthetic.make_results(noise, seeds=range(4), utterances=20)
    comparison = compare_arms(results, synthetic.METRICS, seed=0, draws=20)
    shown = farthest_arms(comparison, comparison.facts.arms, 36)
    assert len(shown) == 36
    assert shown[0] == "arm 0"
    assert list(shown) == sorted(shown, key=results.facts.arms.index)
    left_out = min(abs(comparison.estimate_of(arm, "mae").delta or 0.0) for arm in shown[1:])
    others = [arm for arm in results.facts.arms if arm not in shown]
    assert all(abs(comparison.estimate_of(arm, "mae").delta or 0.0) <= left_out for arm in others)
    captions = [d.caption for d in list_drawings(comparison, Evidence(), build_table(comparison))]
    assert all("36 of 50 arms" in caption for caption in captions)


def test_missing_numbers_are_drawn_as_nothing(full: Any, make: Callable[..., Any]) -> None:
    evidence = replace(
        full.evidence,
        importance=tuple(replace(i, low=None, high=None) for i in full.evidence.importance),
        matrices=tuple(
            replace(m, means=tuple(tuple(None for _ in row) for row in m.means))
            for m in full.evidence.matrices
        ),
        learning=tuple(
            replace(c, low=(None,) * 3, high=(None,) * 3) for c in full.evidence.learning
        ),
    )
    found = figure_files(list_drawings(full.comparison, evidence, full.table))
    assert {name.partition(".")[0] for name in found} == set(EXPECTED)


def test_long_names_take_at_most_three_lines() -> None:
    wrapped = wrap_name("one two three four five six seven eight nine ten " * 5, 24)
    assert wrapped.count("\n") == 2
    assert wrapped.endswith("…")
    assert wrap_name("a\x07b\u202ec", 24) == "a b c"
