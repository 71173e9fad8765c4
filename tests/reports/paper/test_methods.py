"""The methods paragraph says what was done, with the numbers of the values."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from reports.evidence.caveats import FailedCell
from reports.evidence.values import Evidence
from reports.paper.methods import methods_paragraphs
from reports.paper.methods_tuning import _domain_text
from reports.paper.prose import Cite, Paragraph, Symbol, cited_keys, prose_latex, prose_markdown


def said(full: Any, **changes: Any) -> str:
    """All of it as Markdown, citations left out."""
    parts = {"results": full.results, "comparison": full.comparison, "evidence": full.evidence}
    parts |= changes
    return prose_markdown(
        methods_paragraphs(parts["results"], parts["comparison"], parts["evidence"]), ()
    )


def test_every_number_comes_from_the_values(full: Any) -> None:
    text = said(full)
    facts = full.comparison.facts
    assert f"{len(facts.arms) - 1} arms were compared with the baseline “full”" in text
    assert "The test split has 60 utterances." in text
    assert "learning rate (optimizer.lr, $\\eta$, from 0.001 to 0.01, all orders" in text
    assert "Tuned arms tried 2 candidates, each on 1 tuning seed." in text
    assert "with 10 confirm seeds (0 to 9), none of which was used in tuning" in text
    assert "exact two-sided sign-flip permutation test" in text
    assert "Holm's method over 3 arms" in text
    assert "within ±0.05 MAE" in text
    assert "Test metrics were opened early, on 2026-01-02." in text
    assert "No training failed." in text
    assert "python 3.11.7" in text


def test_an_unsafe_symbol_leaves_no_gap(full: Any) -> None:
    assert "(loss.weight, whole numbers from 1 to 8 in steps of 2)" in said(full)


def test_unequal_budgets_are_said(full: Any) -> None:
    unequal = replace(full.comparison, unequal_budgets=True)
    assert "Tuning budgets were not equal" in said(full, comparison=unequal)
    assert "Tuned arms had equal budgets" in said(full)


def test_failures_and_missing_seeds_are_said(full: Any) -> None:
    failure = FailedCell(
        key="k", arm="full", phase="confirm", candidate=0, seed=1, status="failed",
        reason="why", kind="not finite",
    )  # fmt: skip
    fairness = (replace(full.comparison.fairness[0], missing=1, complete=9),)
    changed = replace(full.comparison, failures=(failure, failure), fairness=fairness)
    text = said(full, comparison=changed)
    assert "2 trainings failed or stopped before the end" in text
    assert "(not finite: 2)" in text
    assert "“full” has 9 of 10" in text


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"margins": {}}, "No margin was given, so no arm can be called equivalent"),
        ({"tune_seeds": (0, 1)}, "with 10 confirm seeds (0 to 9), the same for every arm"),
        ({"sampler": "qmc"}, "came from a scrambled Sobol sequence, and were trained under Ray"),
        ({"sampler": "tpe"}, "Candidates came from the tree-structured Parzen estimator"),
        ({"device_seconds": 60.0, "candidates": 0}, "was given 60 device-seconds of training"),
        ({"second_metric": "corr"}, "within 0.05 of the arm's best, the best by corr was"),
    ],
)
def test_what_differs_is_said_differently(
    make: Callable[..., Any], changes: dict[str, Any], sentence: str
) -> None:
    assert sentence in said(make(**changes))


def test_dependent_candidates_are_not_called_independent(make: Callable[..., Any]) -> None:
    assert "independently" in said(make())
    assert "independently" not in said(make(sampler="tpe"))


def test_nothing_to_tune_is_said(synthetic: Any, make: Callable[..., Any]) -> None:
    full = make()
    bare = make(searched={arm: () for arm in full.comparison.facts.arms})
    text = said(bare)
    assert "No arm had a hyperparameter to tune." in text
    assert "Every arm was trained with 10 confirm seeds" in text


def test_analyses_that_were_not_made_are_not_mentioned(full: Any) -> None:
    text = said(full, evidence=Evidence())
    assert "Further analyses" not in text
    assert "Shapley" not in text


@pytest.mark.parametrize(
    ("domain", "words"),
    [
        ("log_uniform [0.001, 0.01]", ", from 0.001 to 0.01, all orders of magnitude alike"),
        ("uniform [0, 1] step 0.25", ", from 0 to 1 in steps of 0.25"),
        ("int [1, 8]", ", whole numbers from 1 to 8"),
        ("int [8, 64] log", ", whole numbers from 8 to 64, all orders of magnitude alike"),
        ("choice ['tfn', 'lmf']", ", one of 'tfn', 'lmf'"),
        ("uniform [0, 1] when x.y = 1", ", from 0 to 1, where x.y = 1"),
        ("another form", ", another form"),
        ("", ""),
    ],
)
def test_domains_in_words(domain: str, words: str) -> None:
    assert _domain_text(domain) == words


def test_citations_and_symbols_in_both_languages() -> None:
    text = (
        Paragraph("A_b", (("x ", Symbol(r"\eta"), " y", Cite(("k1", "k2", "lost")), ", 5%."),)),
    )
    assert cited_keys(text, {"k1", "k2"}) == ("k1", "k2")
    assert (
        prose_latex(text, {"k1", "k2"}) == "\\paragraph{A\\_b.}\nx $\\eta$ y~\\cite{k1,k2}, 5\\%."
    )
    assert prose_markdown(text, {"k2"}) == "**A\\_b.** x $\\eta$ y [@k2], 5%."
    assert "[" not in prose_markdown(text, ())


def test_no_sentence_has_a_gap_or_lacks_its_end(full: Any) -> None:
    text = said(full)
    for line in text.split("\n\n"):
        assert line.rstrip()[-1] in ".?!"
        assert not re.search(r" [,.;:)](\s|$)|\( |, ,|  ", line), line
