"""What an author claimed, answered."""

import csv
import math
import re
import subprocess
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from reports.encoding import facts_from_json, facts_to_json
from reports.evidence.arm_estimates import MetricFacts
from reports.evidence.claims.answers import ClaimAnswer, answer_claims
from reports.evidence.claims.claim_evidence import weigh_claim
from reports.evidence.comparison import compare_arms
from reports.evidence.statistics.resampling import Interval
from reports.paper.latex_text import escape_latex
from reports.paper.render_latex import render_latex
from reports.paper.render_markdown import escape_markdown, render_markdown
from reports.results import Results, ResultsError, StatedClaim
from reports.tables import build_table
from reports.wording import claim_sentences
from reports.write import write_report
from tests.cases.results.claim_cases import claim_that, normal_interval, weigh_normal

MAE = MetricFacts(name="mae", label="MAE", higher_is_better=False, margin=None)


def _compare(
    synthetic: ModuleType, results: Results, *claims: StatedClaim
) -> tuple[ClaimAnswer, ...]:
    facts = replace(results.facts, claims=claims)
    return compare_arms(replace(results, facts=facts), synthetic.METRICS, seed=0, draws=400).claims


TEN = 0.03 + 0.01 * np.linspace(-1, 1, 10)  # all positive, so p = 2 / 2^10 against 0


@pytest.mark.parametrize(
    ("relation", "amount", "verdict"),
    [
        ("worse", 0.0, "supported"),
        ("worse", 0.01, "supported"),
        ("worse", 0.03, "undecided"),
        ("worse", 0.05, "refuted"),
        ("better", 0.0, "refuted"),
        ("better", 0.01, "refuted"),
        ("equivalent", 0.05, "supported"),
        ("equivalent", 0.035, "undecided"),
        ("equivalent", 0.025, "undecided"),
        ("equivalent", 0.01, "refuted"),
    ],
)
def test_known_differences_answer_claims(relation: str, amount: float, verdict: str) -> None:
    evidence = weigh_normal(claim_that("a", relation, amount), TEN, 0.005)
    assert evidence.verdict_at(evidence.p) == verdict
    mirrored = {"worse": "better", "better": "worse", "equivalent": "equivalent"}[relation]
    for flipped in (
        weigh_normal(claim_that("a", mirrored, amount), -TEN, 0.005),
        weigh_normal(claim_that("a", mirrored, amount), TEN, 0.005, higher=True),
    ):
        assert (flipped.verdict_at(flipped.p), flipped.p) == (verdict, evidence.p)


def test_p_is_that_of_the_bound_that_was_claimed() -> None:
    assert weigh_normal(claim_that("a", "worse"), TEN, 0.005).p == 2 / 2**10
    assert weigh_normal(claim_that("a", "worse", 0.05), TEN, 0.005).p == 2 / 2**10
    assert weigh_normal(claim_that("a", "worse", 0.03), TEN, 0.005).p == pytest.approx(1.0)
    assert weigh_normal(claim_that("a", "equivalent", 0.01), TEN, 0.005).p == 2 / 2**10
    assert weigh_normal(claim_that("a", "equivalent", 0.05), TEN, 0.005).p < 1e-4


THOUSANDTHS = st.integers(-1000, 1000).map(lambda number: number / 1000)


@given(
    differences=st.lists(THOUSANDTHS, min_size=1, max_size=8),
    below=THOUSANDTHS.map(abs),
    above=THOUSANDTHS.map(abs),
    amount=THOUSANDTHS.map(abs).filter(bool),
    higher=st.booleans(),
)
def test_contrary_claims_are_never_both_right(
    differences: list[float], below: float, above: float, amount: float, higher: bool
) -> None:
    found = np.array(differences)
    low = float(found.mean()) - below  # an interval holds the mean that it is of
    inner = (low + 0.1 * (below + above), low + 0.9 * (below + above))
    interval = Interval(low, low + below + above, *inner)

    def answer(relation: str, amount: float) -> str:
        claim = claim_that("a", relation, amount)
        return weigh_claim(claim, found, interval, higher_is_better=higher, seed=0).verdict_at(0.0)

    answers = {(r, a): answer(r, a) for r in ("better", "worse") for a in (0.0, amount)}
    assert [answers["better", amount], answers["worse", amount]].count("supported") <= 1
    if answers["better", amount] == "supported":
        assert answers["worse", 0.0] == "refuted" and answers["better", 0.0] == "supported"
    if answer("equivalent", amount) == "refuted":
        assert "supported" in (answers["better", amount], answers["worse", amount])


def test_a_large_effect_is_found_and_a_larger_one_refuted(synthetic: ModuleType) -> None:
    results = synthetic.make_results()
    supported, refuted, contrary, against = _compare(
        synthetic,
        results,
        claim_that("worse arm", "worse", 0.1),
        claim_that("worse arm", "worse", 0.8),
        claim_that("full", "worse", 0.0, other="worse arm"),
        claim_that("same arm", "better", 0.0, other="worse arm", metric="corr"),
    )
    assert [c.verdict for c in (supported, refuted, contrary, against)] == [
        "supported",
        "refuted",
        "refuted",
        "supported",
    ]
    assert (supported.p, supported.p_holm) == (2 / 2**10, 8 / 2**10)
    assert "MAE was 0.334 higher than with “full” (95 % interval" in supported.sentence
    assert "10 paired seeds, exact sign-flip p = 0.008 against a difference of 0.1, " in (
        supported.sentence
    )
    assert supported.sentence.endswith(
        "Holm-corrected over 4 claims): at least 0.1 worse, as claimed."
    )
    assert refuted.sentence.endswith("not at least 0.8 worse, contrary to the claim.")
    assert contrary.sentence.endswith("better, contrary to the claim.")
    assert (contrary.reason, contrary.seeds_to_decide) == ("", None)
    assert contrary.delta == pytest.approx(-(supported.delta or 0))


def test_a_claim_on_the_baseline_has_the_tables_interval(synthetic: ModuleType) -> None:
    results = synthetic.make_results()
    facts = replace(results.facts, claims=(claim_that("worse arm", "worse"),))
    with_claims = compare_arms(replace(results, facts=facts), synthetic.METRICS, seed=0, draws=400)
    without = compare_arms(results, synthetic.METRICS, seed=0, draws=400)
    assert with_claims.estimates == without.estimates and without.claims == ()
    (answer,), estimate = with_claims.claims, without.estimate_of("worse arm", "mae")
    assert (answer.ci_low, answer.ci_high) == (estimate.ci_low, estimate.ci_high)


def test_order_of_cells_and_arms_changes_no_digit(synthetic: ModuleType) -> None:
    results = synthetic.make_results(seeds=range(6), utterances=25)
    claims = (
        claim_that("same arm", "better", 0.01, other="worse arm"),
        claim_that("same arm", "equivalent", 0.1),
    )
    shuffled = replace(
        results,
        cells=results.cells.sample(frac=1, random_state=1),
        facts=replace(results.facts, arms=results.facts.arms[::-1]),
        predictions=dict(reversed(results.predictions.items())),
    )
    before = _compare(synthetic, results, *claims)
    assert _compare(synthetic, shuffled, *claims) == before
    assert [asdict(a)["ci_low"] for a in _compare(synthetic, results, *claims[::-1])] == [
        before[1].ci_low,
        before[0].ci_low,
    ]


def test_what_is_missing_is_undecided_and_said(synthetic: ModuleType) -> None:
    results = synthetic.make_results()
    lost = {f"c-worse arm-{seed}" for seed in range(10)}
    fewer = replace(results, cells=results.cells[~results.cells["key"].isin(lost)])
    kept = {k: v for k, v in results.predictions.items() if k != "c-worse arm-3"}
    claims = (claim_that("worse arm", "worse", 0.1), claim_that("same arm", "worse"))
    for changed, reason in (
        (fewer, "they share no complete confirm seed with a defined MAE"),
        (replace(results, predictions=kept), "test predictions of their cells are missing"),
    ):
        missing, other = _compare(synthetic, changed, *claims)
        assert missing.verdict == "undecided" and missing.reason.startswith(reason)
        assert (missing.delta, missing.p_holm, missing.seeds_to_decide) == (None, None, None)
        assert reason in missing.sentence
        # A claim that cannot be judged stays in Holm's family.
        assert other.p is not None and other.p_holm == pytest.approx(min(1, 2 * other.p))
    unknown = (claim_that("no arm", "worse"), claim_that("same arm", "worse", metric="f1"))
    first, second = _compare(synthetic, results, *unknown)
    assert first.reason == "this study has no arm “no arm”"
    assert second.reason == "there is no test metric 'f1'"
    (one,) = _compare(synthetic, synthetic.make_results(seeds=(0,)), claims[1])
    assert "one paired seed does not show" in one.sentence


def test_a_placebo_is_called_worse_at_most_one_time_in_twenty() -> None:
    repetitions, rng = 1000, np.random.default_rng(5)
    told = {"supported": 0, "refuted": 0, "undecided": 0}
    claims = (claim_that("a", "worse"), claim_that("b", "worse"))
    wrong = 0
    for repetition in range(repetitions):
        seeds = {arm: rng.normal(0, 0.02, 8) for arm in ("full", "a", "b")}
        values = {(arm, "mae"): dict(enumerate(own)) for arm, own in seeds.items()}
        intervals = {
            (arm, "full"): [
                normal_interval(float(d.mean()), float(d.std()) / math.sqrt(d.size))
                for d in [seeds[arm] - seeds["full"]]
            ]
            for arm in ("a", "b")
        }
        answers = answer_claims(
            claims, metrics=[MAE], estimates=[], values=values, intervals=intervals, seed=repetition
        )
        told[answers[0].verdict] += 1
        wrong += any(answer.verdict != "undecided" for answer in answers)
    for number in (told["supported"], wrong):
        assert stats.binomtest(number, repetitions, 0.05, alternative="greater").pvalue > 0.01


@pytest.fixture(autouse=True)
def _no_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    # statsmodels' multipletests collects garbage at every call: .1 s each.
    monkeypatch.setattr("gc.collect", lambda *_: 0)


NASTY = "50%_<script>alert(1)</script>&a"


@pytest.fixture(scope="module")
def written(synthetic: ModuleType) -> Any:
    results = synthetic.make_results({"full": 0.5, NASTY: 0.9})
    facts = replace(
        results.facts,
        claims=(
            claim_that(NASTY, "worse"),
            claim_that(NASTY, "worse", 0.33),
            claim_that("gone", "worse"),
        ),
    )
    return compare_arms(replace(results, facts=facts), synthetic.METRICS, seed=0, draws=300)


def test_claims_are_shown_everywhere_and_escaped(written: Any, synthetic: ModuleType) -> None:
    table = build_table(written)
    page = synthetic.page_of(written)
    assert "The claims</h2>" in page and "<script>alert" not in page
    assert '<span class="verdict supported">supported</span>' in page
    latex, markdown = render_latex(table), render_markdown(table)
    for text, escape in ((latex, escape_latex), (markdown, escape_markdown)):
        for answer in written.claims:
            assert escape(answer.sentence) in text and escape(answer.claim.text) in text
    assert not re.search(r"(?<!\\)[_&]", latex[latex.index(r"\begin{itemize}") :])
    assert "<script" not in markdown and "<script" not in latex
    assert claim_sentences(written)[0].startswith(f"supported: {NASTY} is worse")


def test_without_claims_nothing_is_shown(synthetic: ModuleType) -> None:
    comparison = synthetic.written_comparison()
    table = build_table(comparison)
    page = synthetic.page_of(comparison)
    for text in (page, render_latex(table), render_markdown(table)):
        assert "laims" not in re.sub(r"(?s)<(script|style)\b.*?</\1>", "", text)
    assert claim_sentences(comparison) == ()


def test_claims_csv_is_there_only_while_there_are_claims(
    synthetic: ModuleType, tmp_path: Path
) -> None:
    results = synthetic.make_results(utterances=20, seeds=range(3))
    facts = replace(results.facts, claims=(claim_that("worse arm", "worse", 0.1),))
    report = write_report(replace(results, facts=facts), synthetic.METRICS, tmp_path)
    with report.files["claims.csv"].open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    (answer,) = report.comparison.claims
    assert (row["claim"], row["amount"], row["verdict"]) == (answer.claim.text, "0.1", "undecided")
    assert (float(row["delta"]), row["seeds_to_decide"]) == (
        answer.delta,
        str(answer.seeds_to_decide),
    )
    assert "claims.csv" not in write_report(results, synthetic.METRICS, tmp_path).files
    assert not (tmp_path / "claims.csv").exists()


def test_claims_in_the_facts_come_back_as_they_went(synthetic: ModuleType) -> None:
    claims = (claim_that("worse arm", "worse", 0.1), claim_that("é", "equivalent", 0.2))
    facts = synthetic.make_facts(("full", "worse arm"), claims=claims)
    assert facts_from_json(facts_to_json(facts)) == facts
    older = synthetic.make_facts(("full",))
    assert '"claims"' not in facts_to_json(older)
    assert facts_from_json(facts_to_json(older)).claims == ()
    broken = facts_to_json(facts).replace('"relation"', '"other way"')
    with pytest.raises(ResultsError, match="facts"):
        facts_from_json(broken)


def test_latex_with_claims_compiles(
    written: Any, tmp_path: Path, program: Callable[[str], str]
) -> None:
    document = (
        r"\documentclass{article}\usepackage{booktabs,graphicx}\begin{document}"
        + render_latex(build_table(written))
        + r"\end{document}"
    )
    (tmp_path / "main.tex").write_text(document, encoding="utf-8")
    command = [program("pdflatex"), "-halt-on-error", "main.tex"]
    subprocess.run(command, cwd=tmp_path, check=True, stdin=subprocess.DEVNULL)
