"""Sentences of a report: the answer on top, and the limits of the study below."""

import shlex

from reports.evidence.arm_estimates import Estimate
from reports.evidence.comparison import Comparison
from reports.evidence.statistics.paired import ALPHA
from reports.evidence.verdicts import Verdict
from reports.numerals import choose_decimals, format_count, format_number, format_p
from reports.results import CellPhase, CellStatus, Results, select_complete

NAMED = 4  # arms that a sentence names one by one; the table has all of them
FAILED = "no result: all cells failed"
PENDING = "no result yet"


def answer_sentences(comparison: Comparison) -> tuple[str, str]:
    """Answer the study's question in two plain sentences."""
    facts, primary = comparison.facts, comparison.primary
    baseline = comparison.estimate_of(facts.baseline, primary.name)
    compared = [comparison.estimate_of(a, primary.name) for a in facts.arms if a != facts.baseline]
    decimals = primary_decimals(comparison)
    if baseline.n == 0:
        return (
            f"There is no answer yet: the baseline, “{facts.baseline}”, has no confirmed "
            f"{primary.label}.",
            "Running the study again trains only what is missing; with --retry-failed, also what "
            "failed.",
        )
    if not compared:
        spread = f" ± {format_number(baseline.sd, decimals)}" if baseline.sd is not None else ""
        return (
            f"“{facts.baseline}” has {primary.label} {format_number(baseline.mean, decimals)}"
            f"{spread} over {format_count(baseline.n, 'seed')}.",
            "The study has no other arm, so nothing is compared.",
        )
    decided = _decided_arms_sentence(comparison, compared, decimals)
    return decided, _other_arms_sentence(comparison, compared)


def embargo_sentences(results: Results) -> tuple[str, ...]:
    """Explain an embargo of test metrics and how to end it; empty where there is none."""
    if not results.embargoed:
        return ()
    done = len(select_complete(results.cells, CellPhase.CONFIRM))
    planned = results.planned_confirm
    so_far = (
        f"{done:,} of {format_count(planned, 'confirm cell')}"
        if planned
        else format_count(done, "confirm cell")
    )
    name = shlex.quote(results.facts.study)
    return (
        f"{so_far} {'is' if planned == 1 else 'are'} done.",
        "Test metrics stay sealed until all of them are, so that nobody stops, or chooses, by what "
        "the test set shows.",
        f"To open them early: triptych report {name} --unseal. The report will then state it for "
        "ever.",
    )


def verdict_words(comparison: Comparison, arm: str) -> str:
    """Return the verdict on an arm, or the reason why it has none."""
    estimate = comparison.estimate_of(arm, comparison.primary.name)
    if estimate.n == 0 and arm != comparison.facts.baseline:
        return FAILED if _all_failed(comparison, arm) else PENDING
    return estimate.verdict or Verdict.UNDECIDED


def primary_decimals(comparison: Comparison) -> int:
    """Return the decimals of the primary metric, as in the table."""
    name = comparison.primary.name
    return choose_decimals(e.sd for e in comparison.estimates if e.metric == name)


def claim_sentences(comparison: Comparison) -> tuple[str, ...]:
    """Write each claim with its answer and the sentence for the paper."""
    return tuple(
        f"{answer.verdict}: {answer.claim.text}. {answer.sentence}" for answer in comparison.claims
    )


def limit_sentences(comparison: Comparison) -> tuple[str, ...]:
    """Describe the limits that the size of the study sets to its conclusions."""
    limits, primary = comparison.limits, comparison.primary
    sentences = []
    if limits.arms:
        enough = limits.seeds >= limits.seeds_needed
        sentences.append(
            f"With {format_count(limits.seeds, 'seed')} the smallest possible p is "
            f"{limits.p_floor:.2g}. Over {format_count(limits.arms, 'arm')}, a Holm-corrected "
            f"p ≤ .05 needs at least {format_count(limits.seeds_needed, 'seed')}"
            + ("." if enough else ": this study cannot call any arm better or worse.")
        )
        if limits.detectable is not None:
            # The power is that of a t test, and the sign-flip test has none below its floor.
            how = (
                "with 80 % power before correction; smaller ones would often be missed."
                if limits.p_floor <= ALPHA
                else "by a paired t test with 80 % power; the exact test that is used here finds "
                "none of any size with so few seeds."
            )
            sentences.append(
                f"A true difference of {_two_digits(limits.detectable)} {primary.label} "
                f"({format_number(limits.detectable_sd, 2)} sd of the paired differences) would be "
                f"found {how}"
            )
        if primary.margin is None:
            sentences.append(
                f"The study file gives no margin for {primary.label}, so no arm can be called "
                "equivalent."
            )
        else:
            sentences.append(f"Equivalent means: within ±{primary.margin:g} {primary.label}.")
    if any(comparison.facts.searched.values()):
        sentences.append(
            "Each arm was tuned once. Luck in tuning is in none of these intervals; "
            "the same study with another budget.seed shows how much there is."
        )
    if limits.test_size is not None:
        size = f"The test set has {format_count(limits.test_size, comparison.facts.example)}"
        if limits.accuracy_error is not None:
            label = next(m.label for m in comparison.metrics if m.name == limits.accuracy_metric)
            size += (
                f"; its size alone gives {label} a standard error of "
                f"{100 * limits.accuracy_error:.1f} points"
            )
        sentences.append(size + ".")
    return tuple(sentences)


def _decided_arms_sentence(comparison: Comparison, compared: list[Estimate], decimals: int) -> str:
    label = comparison.primary.label
    phrases = [
        _join_words(
            [
                _verdict_clause(e, decimals, first=index == 0)
                for index, e in enumerate(found[:NAMED])
            ]
        )
        + (f" (and {len(found) - NAMED} more arms)" if len(found) > NAMED else "")
        for verdict in (Verdict.WORSE, Verdict.BETTER)
        if (found := _with_verdict(compared, verdict))
    ]
    if not phrases:
        return (
            f"No arm is shown to be better or worse than “{comparison.facts.baseline}” on {label}."
        )
    return (
        f"Against “{comparison.facts.baseline}”, on {label} (95 % intervals in brackets): "
        f"{'; '.join(phrases)}."
    )


def _verdict_clause(estimate: Estimate, decimals: int, *, first: bool) -> str:
    # A decided interval lies on one side of 0, so sizes are enough; the verdict is the sign.
    ends = sorted(abs(end) for end in (estimate.ci_low, estimate.ci_high) if end is not None)
    low, high = (format_number(end, decimals) for end in ends)
    size = format_number(abs(estimate.delta or 0.0), decimals)
    verb = f"is {estimate.verdict} by" if first else "by"
    return f"“{estimate.arm}” {verb} {size} ({low} to {high})"


def _other_arms_sentence(comparison: Comparison, compared: list[Estimate]) -> str:
    parts = []
    if found := _with_verdict(compared, Verdict.EQUIVALENT):
        parts.append(
            f"{_with_verb(found, 'is', 'are')} equivalent within ±{comparison.primary.margin:g}"
        )
    undecided = [e for e in _with_verdict(compared, Verdict.UNDECIDED) if e.n]
    # The test over seeds decides these, and the two-level interval does not: they get the reason
    # of their own, because more seeds would not help.
    unsettled = [e for e in undecided if e.p_holm is not None and e.p_holm <= ALPHA]
    if unsettled:
        over = (
            "their mean includes 0"
            if comparison.primary.seeds_only
            else f"other test {comparison.facts.example}s includes 0: the test set is too small to "
            "decide"
        )
        parts.append(
            f"{_with_verb(unsettled, 'differs', 'differ')} over the seeds, but the interval over "
            f"{over}"
        )
    if found := [e for e in undecided if e not in unsettled]:
        text = f"{_with_verb(found, 'is', 'are')} undecided"
        if comparison.limits.detectable is not None:
            text += (
                f": {format_count(comparison.limits.seeds, 'seed')} would often miss a difference "
                f"below {_two_digits(comparison.limits.detectable)}"
            )
        parts.append(text)
    parts += _without_result(comparison, compared)
    if not parts:
        corrected = [e.p_holm for e in compared if e.p_holm is not None]
        return f"Every arm is decided; the largest corrected p is {format_p(max(corrected))}."
    return "; ".join(parts) + "."


def _without_result(comparison: Comparison, compared: list[Estimate]) -> list[str]:
    phrases = []
    empty = [e for e in compared if e.n == 0]
    for words, reason in ((FAILED, ": all cells failed"), (PENDING, " yet")):
        if found := [e for e in empty if verdict_words(comparison, e.arm) == words]:
            phrases.append(f"{_with_verb(found, 'has', 'have')} no result{reason}")
    return phrases


def _all_failed(comparison: Comparison, arm: str) -> bool:
    """Check whether an arm without a result can get none any more, because its cells failed."""
    given = next((row for row in comparison.fairness if row.arm == arm), None)
    if given is None or not given.failed:
        return False
    # An arm whose tuning failed has no confirm cells, so both phases are counted.
    confirm = sum(
        f.arm == arm and f.phase == CellPhase.CONFIRM and f.status == CellStatus.FAILED
        for f in comparison.failures
    )
    if confirm:
        return confirm >= given.missing
    return given.failed >= given.candidates * given.tune_seeds


def _with_verdict(compared: list[Estimate], verdict: Verdict) -> list[Estimate]:
    return [e for e in compared if e.verdict == verdict]


def _with_verb(found: list[Estimate], one: str, several: str) -> str:
    if len(found) > NAMED:
        return f"{len(found)} arms {several}"
    return f"{_join_words([f'“{e.arm}”' for e in found])} {one if len(found) == 1 else several}"


def _join_words(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _two_digits(value: float) -> str:
    return f"{value:.2g}"
