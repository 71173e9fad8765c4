"""The sentences of a report: the answer on top, and what must be said below."""

import shlex

from reports.evidence.comparison import Comparison
from reports.evidence.estimates import Estimate, Verdict
from reports.evidence.statistics.paired import ALPHA
from reports.numerals import choose_decimals, count, show, show_p
from reports.results import Results

NAMED = 4  # arms named one by one in a sentence; the table has the others
FAILED = "no result: all cells failed"
PENDING = "no result yet"


def answer(comparison: Comparison) -> tuple[str, str]:
    """The answer to the study's question in two plain sentences."""
    facts, primary = comparison.facts, comparison.primary
    baseline = comparison.of(facts.baseline, primary.name)
    compared = [comparison.of(a, primary.name) for a in facts.arms if a != facts.baseline]
    decimals = primary_decimals(comparison)
    if baseline.n == 0:
        return (
            f"There is no answer yet: the baseline, “{facts.baseline}”, has no confirmed "
            f"{primary.label}.",
            "Running the study again trains only what is missing; with --retry-failed, also what "
            "failed.",
        )
    if not compared:
        spread = f" ± {show(baseline.sd, decimals)}" if baseline.sd is not None else ""
        return (
            f"“{facts.baseline}” has {primary.label} {show(baseline.mean, decimals)}{spread} "
            f"over {count(baseline.n, 'seed')}.",
            "The study has no other arm, so nothing is compared.",
        )
    return _decided(comparison, compared, decimals), _rest(comparison, compared, decimals)


def sealed_sentences(results: Results) -> tuple[str, ...]:
    """Why a report shows no test metric, and how to see them; empty where nothing is sealed."""
    if not results.sealed:
        return ()
    cells = results.cells
    complete = (cells["phase"] == "confirm") & (cells["status"] == "complete")
    done = int(complete.sum())
    planned = results.planned_confirm
    so_far = (
        f"{done:,} of {count(planned, 'confirm cell')}" if planned else count(done, "confirm cell")
    )
    name = shlex.quote(results.facts.study)
    return (
        f"{so_far} {'is' if planned == 1 else 'are'} done.",
        "Test metrics stay sealed until all of them are, so that no one is led to stop, or to "
        "choose, by what the test set says.",
        f"To open them early: triptych report {name} --unseal. The report will then say so for "
        "ever.",
    )


def verdict_words(comparison: Comparison, arm: str) -> str:
    """The verdict on an arm, or why it has none."""
    estimate = comparison.of(arm, comparison.primary.name)
    if estimate.n == 0 and arm != comparison.facts.baseline:
        return FAILED if _all_failed(comparison, arm) else PENDING
    return estimate.verdict or "undecided"


def primary_decimals(comparison: Comparison) -> int:
    """Decimals of the primary metric, as in the table."""
    name = comparison.primary.name
    return choose_decimals(e.sd for e in comparison.estimates if e.metric == name)


def claim_sentences(comparison: Comparison) -> tuple[str, ...]:
    """Each claim with its answer and the sentence for the paper."""
    return tuple(
        f"{answer.verdict}: {answer.claim.text}. {answer.sentence}" for answer in comparison.claims
    )


def limit_sentences(comparison: Comparison) -> tuple[str, ...]:
    """What the size of the study allows it to say."""
    limits, primary = comparison.limits, comparison.primary
    said = []
    if limits.arms:
        enough = limits.seeds >= limits.seeds_needed
        said.append(
            f"With {count(limits.seeds, 'seed')} the smallest possible p is "
            f"{limits.p_floor:.2g}. Over {count(limits.arms, 'arm')}, a Holm-corrected p ≤ .05 "
            f"needs at least {count(limits.seeds_needed, 'seed')}"
            + ("." if enough else ": this study cannot call any arm better or worse.")
        )
        if limits.detectable is not None:
            how = (
                "with 80 % power before correction; smaller ones would often be missed."
                if limits.p_floor <= ALPHA
                else "by a paired t test with 80 % power; the exact test that is used here finds "
                "none of any size with so few seeds."
            )
            said.append(
                f"A true difference of {_significant(limits.detectable)} {primary.label} "
                f"({show(limits.detectable_sd, 2)} sd of the paired differences) would be found "
                + how
            )
        if primary.margin is None:
            said.append(
                f"The study file gives no margin for {primary.label}, so no arm can be called "
                "equivalent."
            )
        else:
            said.append(f"Equivalent means: within ±{primary.margin:g} {primary.label}.")
    if any(comparison.facts.searched.values()):
        said.append(
            "Each arm was tuned once. Luck in tuning is in none of these intervals; "
            "the same study with another budget.seed shows how much there is."
        )
    if limits.test_size is not None:
        size = f"The test set has {count(limits.test_size, 'utterance')}"
        if limits.accuracy_error is not None:
            label = next(m.label for m in comparison.metrics if m.name == limits.accuracy_metric)
            size += (
                f"; its size alone gives {label} a standard error of "
                f"{100 * limits.accuracy_error:.1f} points"
            )
        said.append(size + ".")
    return tuple(said)


def _decided(comparison: Comparison, compared: list[Estimate], decimals: int) -> str:
    label = comparison.primary.label
    phrases = [
        _join([_clause(e, decimals, first=place == 0) for place, e in enumerate(found[:NAMED])])
        + (f" (and {len(found) - NAMED} more arms)" if len(found) > NAMED else "")
        for verdict in ("worse", "better")
        if (found := _of(compared, verdict))
    ]
    if not phrases:
        return (
            f"No arm is shown to be better or worse than “{comparison.facts.baseline}” on {label}."
        )
    return (
        f"Against “{comparison.facts.baseline}”, on {label} (95 % intervals in brackets): "
        f"{'; '.join(phrases)}."
    )


def _clause(estimate: Estimate, decimals: int, *, first: bool) -> str:
    # A decided interval lies on one side of 0, so sizes say it all; the verdict is the sign.
    ends = sorted(abs(end) for end in (estimate.ci_low, estimate.ci_high) if end is not None)
    low, high = (show(end, decimals) for end in ends)
    size = show(abs(estimate.delta or 0.0), decimals)
    verb = f"is {estimate.verdict} by" if first else "by"
    return f"“{estimate.arm}” {verb} {size} ({low} to {high})"


def _rest(comparison: Comparison, compared: list[Estimate], decimals: int) -> str:
    parts = []
    if found := _of(compared, "equivalent"):
        parts.append(
            f"{_names(found)} {'is' if len(found) == 1 else 'are'} equivalent within "
            f"±{comparison.primary.margin:g}"
        )
    undecided = [e for e in _of(compared, "undecided") if e.n]
    unsettled = [e for e in undecided if e.p_holm is not None and e.p_holm <= ALPHA]
    if unsettled:
        parts.append(
            f"{_names(unsettled)} {'differs' if len(unsettled) == 1 else 'differ'} over the seeds, "
            "but the interval over other test utterances includes 0: the test set is too small to "
            "decide"
        )
    if found := [e for e in undecided if e not in unsettled]:
        text = f"{_names(found)} {'is' if len(found) == 1 else 'are'} undecided"
        if comparison.limits.detectable is not None:
            text += (
                f": {count(comparison.limits.seeds, 'seed')} would often miss a difference below "
                f"{_significant(comparison.limits.detectable)}"
            )
        parts.append(text)
    parts += _without_result(comparison, compared)
    if not parts:
        corrected = [e.p_holm for e in compared if e.p_holm is not None]
        return f"Every arm is decided; the largest corrected p is {show_p(max(corrected))}."
    return "; ".join(parts) + "."


def _without_result(comparison: Comparison, compared: list[Estimate]) -> list[str]:
    said = []
    empty = [e for e in compared if e.n == 0]
    for words, reason in ((FAILED, ": all cells failed"), (PENDING, " yet")):
        if found := [e for e in empty if verdict_words(comparison, e.arm) == words]:
            said.append(f"{_names(found)} {'has' if len(found) == 1 else 'have'} no result{reason}")
    return said


def _all_failed(comparison: Comparison, arm: str) -> bool:
    """Whether nothing of an arm without a result is still to come: its cells failed."""
    given = next((row for row in comparison.fairness if row.arm == arm), None)
    if given is None or not given.failed:
        return False
    confirm = sum(
        f.arm == arm and f.phase == "confirm" and f.status == "failed" for f in comparison.failures
    )
    if confirm:
        return confirm >= given.missing
    return given.failed >= given.candidates * given.tune_seeds


def _of(compared: list[Estimate], verdict: Verdict) -> list[Estimate]:
    return [e for e in compared if e.verdict == verdict]


def _names(found: list[Estimate]) -> str:
    if len(found) > NAMED:
        return f"{len(found)} arms"
    return _join([f"“{e.arm}”" for e in found])


def _join(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _significant(value: float) -> str:
    return f"{value:.2g}"
