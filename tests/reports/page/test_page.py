"""The page as text: what is in it, what is not, and what it lets run."""

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest

from reports.evidence.caveats import Fairness
from reports.evidence.comparison import compare_arms
from reports.evidence.values import Evidence
from reports.page.marks import draw_interval, draw_stack, scale_of
from reports.page.render_html import render_html
from reports.page.verdict_table import verdict_table
from reports.results import Results
from reports.tables import build_table
from reports.wording import FAILED, PENDING, answer_sentences, embargo_sentences, verdict_words


@pytest.fixture(scope="module")
def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def unpacked(text: str, name: str) -> str:
    found = re.search(rf'<script type="text/plain" id="{name}">(.*?)</script>', text)
    assert found is not None
    return gzip.decompress(base64.b64decode(found.group(1))).decode("utf-8")


class _Ids(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("id"):
            self.ids.append(str(given["id"]))
        if tag == "a":
            self.targets.append(str(given.get("href")))
        self.scripts += tag == "script"


def test_the_policy_lets_exactly_the_pages_own_scripts_run(text: str) -> None:
    policy = re.search(r'http-equiv="Content-Security-Policy" content="(.*?)"', text)
    assert policy is not None
    words = policy.group(1).replace("&#39;", "'")
    assert words.startswith("default-src 'none'; ")
    assert "unsafe-eval" not in words and "script-src 'unsafe-inline'" not in words
    own = re.findall(r"(?s)<script>(.*?)</script>", text)
    assert len(own) == 1
    allowed = set(re.findall(r"'sha256-(.*?)'", words))
    scripts = (own[0], unpacked(text, "plotly-source"))
    digests = [hashlib.sha256(script.encode()).digest() for script in scripts]
    assert allowed == {base64.b64encode(digest).decode() for digest in digests}


def test_no_text_of_a_study_becomes_markup(text: str, full: ModuleType) -> None:
    parser = _Ids()
    parser.feed(text)
    assert parser.scripts == 4, "the cells, the plots, plotly, and the page's own"
    assert "<script>alert" not in text and "<b>kind" not in text and "<i>sha" not in text
    assert full.NASTY in json.loads(unpacked(text, "cells-data"))["arms"]


def test_ids_are_unique_and_every_link_in_the_contents_has_its_section(text: str) -> None:
    parser = _Ids()
    parser.feed(text)
    assert len(parser.ids) == len(set(parser.ids))
    inner = [t for t in parser.targets if re.fullmatch(r"#[\w-]+", t)]
    assert len(inner) > 15 and {t[1:] for t in inner} <= set(parser.ids)


def test_the_same_results_give_the_same_page(
    text: str, synthetic: ModuleType, full: ModuleType, render: Callable[[Results], str]
) -> None:
    assert render(full.full_results(synthetic.score)) == text


def test_sections_without_data_are_absent(synthetic: ModuleType) -> None:
    comparison = synthetic.written_comparison()
    page = synthetic.page_of(comparison)
    headings = re.findall(r'<h2 id="([\w-]+)"', page[: page.index("</main>")])
    assert headings == [
        "verdicts", "differences", "every-seed", "limits", "budget", "failures", "how-to-read",
        "provenance",
    ]  # fmt: skip


def test_the_contents_list_every_section_of_the_page(text: str) -> None:
    contents = text[text.index('<nav aria-label="Contents">') : text.index("</nav>")]
    listed = re.findall(r'<a href="#([\w-]+)">[^<]+</a>', contents)
    assert re.findall(r'<h2 id="([\w-]+)"', text[: text.index("</main>")]) == listed
    assert len(listed) == 20 and contents.count("<ul>") == contents.count("</ul>") == 4


def test_openings_are_said_at_the_top(text: str) -> None:
    top = text[: text.index("<main>")]
    assert "ada opened the test metrics with 12 of 60 confirm cells done" in top


def test_an_arm_whose_cells_all_failed_has_no_result(synthetic: ModuleType) -> None:
    comparison = synthetic.written_comparison()
    lost = comparison.facts.arms[1]
    estimates = tuple(
        replace(e, n=0, mean=None, sd=None, delta=None, verdict="undecided" if e.verdict else None)
        if e.arm == lost
        else e
        for e in comparison.estimates
    )
    comparison = replace(comparison, estimates=estimates)
    assert verdict_words(comparison, lost) == PENDING
    assert "has no result yet" in answer_sentences(comparison)[1]
    failed = Fairness(
        arm=lost, searched=1, candidates=4, tune_seeds=2, epochs=0, seconds=None, complete=0,
        missing=10, failed=8, pruned=0,
    )  # fmt: skip
    rows = tuple(failed if row.arm == lost else row for row in comparison.fairness)
    comparison = replace(comparison, fairness=rows)
    assert verdict_words(comparison, lost) == FAILED
    second = answer_sentences(comparison)[1]
    assert "has no result: all cells failed" in second and "undecided" not in second
    entry = next(
        e
        for line in verdict_table(comparison, build_table(comparison)).lines
        if line.arm == lost
        for e in line.entries
        if e.text == "no result"
    )
    assert entry.small == "all cells failed"


def test_a_sealed_study_says_how_far_it_is(synthetic: ModuleType, full: ModuleType) -> None:
    results = full.full_results(synthetic.score)
    assert embargo_sentences(results) == ()
    first, *_, last = embargo_sentences(full.sealed(results))
    assert first == "54 of 60 confirm cells are done."
    assert "triptych report 'full study' --unseal" in last


def test_an_interval_is_drawn_on_the_scale_of_its_column() -> None:
    scale = scale_of([-1.0, 3.0, None])
    assert scale.x_of(-1.0) < scale.x_of(0.0) < scale.x_of(3.0)
    drawn = draw_interval(scale, 1.0, 0.0, 3.0, margin=0.5, verdict="better")
    assert f"M{scale.x_of(0.0):.1f} 9H{scale.x_of(3.0):.1f}" in drawn
    assert 'class="band"' in drawn and 'aria-hidden="true"' in drawn
    assert draw_interval(scale, None, None, None) == ""


def test_an_amount_below_zero_takes_no_room_in_a_stack() -> None:
    drawn = draw_stack([0.5, -0.2, 0.5], 1.0, width=100)
    assert re.findall(r'class="part(\d)" x="([\d.]+)" y="1" width="([\d.]+)"', drawn) == [
        ("0", "0.0", "50.0"),
        ("2", "50.0", "50.0"),
    ]


def test_a_study_with_nothing_confirmed_has_a_page_without_plotly(synthetic: ModuleType) -> None:
    results = synthetic.make_results(seeds=(), tuned=False, confirm_seeds=(0, 1))
    comparison = compare_arms(results, synthetic.METRICS, seed=0, draws=50)
    text = render_html(results, comparison, Evidence(), build_table(comparison))
    assert "There is no answer yet" in text and 'id="plotly-source"' not in text
