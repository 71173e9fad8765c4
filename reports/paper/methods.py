"""The methods section of a paper, in words. Every number comes from the values."""

from collections.abc import Iterator, Sequence

from reports.evidence.caveats import Fairness
from reports.evidence.comparison import Comparison
from reports.evidence.statistics.paired import ALPHA, EXACT_UP_TO
from reports.evidence.values import Evidence
from reports.numerals import format_count, format_count_range
from reports.paper.methods_tuning import tuning_sentences
from reports.paper.prose import Cite, Paragraph, Sentence
from reports.results import Results
from reports.wording import limit_sentences

NAMED = 12  # arms named one by one; the table has the others
SOFTWARE = ("python", "triptych", "torch", "numpy", "scipy", "statsmodels", "optuna", "ray")


def methods_paragraphs(
    results: Results, comparison: Comparison, evidence: Evidence
) -> tuple[Paragraph, ...]:
    """Return the methods section of a study, complete or not."""
    parts = (
        ("Arms", _arm_sentences(comparison)),
        ("Data", _data_sentences(results, comparison)),
        ("Tuning", tuning_sentences(results, comparison)),
        ("Confirmation", _confirmation_sentences(results, comparison)),
        ("Statistics", _statistics_sentences(comparison)),
        ("Further analyses", _analysis_sentences(results, comparison, evidence)),
        ("Limits and fairness", _fairness_sentences(comparison)),
        ("Failures", _failure_sentences(comparison)),
        ("Reproducibility", _reproducibility_sentences(comparison)),
    )
    return tuple(Paragraph(name, found) for name, each in parts if (found := tuple(each)))


def _arm_sentences(comparison: Comparison) -> Iterator[Sentence]:
    facts = comparison.facts
    others = [arm for arm in facts.arms if arm != facts.baseline]
    yield (f"The question was: {_end_sentence(facts.question)}",)
    if not others:
        yield (f"The study has one configuration, “{facts.baseline}”.",)
    elif len(others) <= NAMED:
        named = "; ".join(f"“{arm}”{_changes_text(comparison, arm)}" for arm in others)
        compared = "1 arm was" if len(others) == 1 else f"{len(others)} arms were"
        yield (f"{compared} compared with the baseline “{facts.baseline}”: {named}.",)
    else:
        yield (f"{len(others)} arms were compared with the baseline “{facts.baseline}”.",)
    yield from _source_sentences(comparison)


def _changes_text(comparison: Comparison, arm: str) -> str:
    changes = comparison.facts.changes.get(arm, {})
    if not changes or len(changes) > 3 or comparison.facts.levels.get(arm):
        return ""  # too long, or in the table of modules
    values = (
        f"{path} = {str(value).lower() if isinstance(value, bool) else value}"
        for path, value in changes.items()
    )
    return f" ({', '.join(values)})"


def _source_sentences(comparison: Comparison) -> Iterator[Sentence]:
    """Yield the methods that all arms build on, and those that only some do."""
    # A key without a reference can't be cited, and "builds on" would stand with nothing behind it.
    known = comparison.facts.references
    methods = {
        arm: tuple(key for key in keys if key in known)
        for arm, keys in comparison.facts.methods.items()
    }
    lists = [methods.get(arm, ()) for arm in comparison.facts.arms]
    common = [key for key in lists[0] if all(key in keys for keys in lists)] if lists else []
    if common:
        yield ("All arms build on", Cite(tuple(common)), ".")
    alike: dict[tuple[str, ...], list[str]] = {}
    for arm in comparison.facts.arms:
        own = tuple(key for key in methods.get(arm, ()) if key not in common)
        if own:
            alike.setdefault(own, []).append(arm)
    for keys, arms in alike.items():
        named = " and ".join(f"“{arm}”" for arm in arms) if len(arms) <= 3 else f"{len(arms)} arms"
        also = "also " if common else ""
        yield (f"{named} {also}{'builds' if len(arms) == 1 else 'build'} on", Cite(keys), ".")


def _data_sentences(results: Results, comparison: Comparison) -> Iterator[Sentence]:
    provenance = comparison.facts.provenance
    if "data" in provenance:
        digest = provenance.get("data sha256", "")
        known = f" (SHA-256 {digest[:12]}…)" if digest else ""
        yield (f"The data is {provenance['data']}{known}.",)
    if sizes := provenance.get("utterances") or provenance.get("examples"):
        yield (f"Utterances: {sizes}.",)
    elif results.labels is not None:
        yield (
            f"The test split has {format_count(len(results.labels), comparison.facts.example)}.",
        )


def _confirmation_sentences(results: Results, comparison: Comparison) -> Iterator[Sentence]:
    facts = comparison.facts
    seeds = facts.confirm_seeds
    if not seeds:
        return
    disjoint = not set(seeds) & set(facts.tune_seeds)
    tuned = any(facts.searched.values())
    yield (
        ("The chosen candidate of every arm was" if tuned else "Every arm was")
        + f" trained {'anew ' if tuned else ''}with {format_count(len(seeds), 'confirm seed')} "
        f"({_seed_list(seeds)})"
        + (", none of which was used in tuning" if tuned and disjoint else "")
        + ", the same for every arm.",
    )
    if results.embargoed:
        yield ("The study is unfinished, and its test metrics are sealed.",)
    else:
        yield ("Each of these models was evaluated on the test split; no tuning cell was.",)
    lacking = [row for row in comparison.fairness if row.missing]
    if lacking:
        named = "; ".join(
            f"“{row.arm}” has {row.complete} of {len(seeds)}" for row in lacking[:NAMED]
        )
        more = f"; and {len(lacking) - NAMED} more arms" if len(lacking) > NAMED else ""
        yield (f"Not every seed is complete: {named}{more}.",)
    for opening in results.unblindings:
        yield (_end_sentence(opening),)


def _statistics_sentences(comparison: Comparison) -> Iterator[Sentence]:
    facts, primary = comparison.facts, comparison.primary
    others = [m.label for m in comparison.metrics if m is not primary]
    direction = "higher" if primary.higher_is_better else "lower"
    yield (
        f"The primary metric, which alone carries verdicts, is {primary.label} ({direction} is "
        f"better)" + (f"; reported beside it are {', '.join(others)}." if others else "."),
    )
    estimates = [comparison.estimate_of(arm, primary.name) for arm in facts.arms]
    pairs = max((e.pairs for e in estimates), default=0)
    # Of an incomplete study nothing is described that was not done.
    if not pairs:
        return
    yield ("Values are means and sample standard deviations over confirm seeds.",)
    yield ("Differences from the baseline are paired by seed.",)
    if any(e.ci_low is not None for e in estimates):
        yield (
            "Their 95 % intervals are Student's t intervals over seeds only: they leave out how "
            f"much depends on which {facts.example}s are in the test set."
            if primary.seeds_only
            else "Their 95 % intervals are percentile intervals of a two-level paired bootstrap, "
            f"which resamples seeds and, within them, test {facts.example}s, the same draw for "
            "both arms.",
        )
    tested = format_count(comparison.limits.arms, "arm")
    kind = "exact" if pairs <= EXACT_UP_TO else "sampled"
    yield (
        f"p values are of the {kind} two-sided sign-flip permutation test over seeds",
        Cite(("fisher1935design",)),
        f", corrected by Holm's method over {tested}",
        Cite(("holm1979simple",)),
        ".",
    )
    if any(e.bca_low is not None for e in estimates):
        yield (
            "Intervals over seeds alone are BCa bootstrap intervals",
            Cite(("efron1987better",)),
            "; effect sizes are paired Hedges g",
            Cite(("hedges1981distribution",)),
            ".",
        )
    yield (
        f"An arm is called better or worse where the corrected p is at most {ALPHA:g} and the "
        "interval excludes 0.",
    )
    if primary.margin is not None:
        yield (
            f"It is called equivalent where two one-sided tests at {ALPHA:g} place the difference "
            f"within ±{primary.margin:g} {primary.label}",
            Cite(("schuirmann1987comparison",)),
            f" and the 90 % {'' if primary.seeds_only else 'two-level '}interval lies there too, "
            "and undecided otherwise.",
        )
    else:
        yield ("No margin was given, so no arm can be called equivalent; others are undecided.",)
    if comparison.claims:
        yield (
            f"The study file states {format_count(len(comparison.claims), 'claim')}; p values of "
            "claims are Holm-corrected over claims.",
        )


def _analysis_sentences(
    results: Results, comparison: Comparison, evidence: Evidence
) -> Iterator[Sentence]:
    effects = evidence.effects
    if effects is not None:
        kinds = "main effects" + (" and two-way interactions" if effects.interactions else "")
        yield (
            f"Of {format_count(len(effects.factors), 'factor')} ({', '.join(effects.factors)}), "
            f"{kinds} were estimated by least squares with seed as a block, over "
            f"{format_count(effects.arms, 'arm')} and {format_count(effects.seeds, 'seed')}.",
        )
        if effects.mixed:
            yield (f"The design can't tell apart: {'; '.join(effects.mixed)}.",)
    if evidence.shapley:
        yield (
            "Shapley values of the modules",
            Cite(("shapley1953value",)),
            " are exact, with intervals from resampling seeds.",
        )
    if len(evidence.path) > 1:
        yield (
            f"A greedy path of {format_count(len(evidence.path) - 1, 'step')} flips one module at "
            "a time, each step to the best of the arms that were trained.",
        )
    if evidence.importance:
        yield (
            "The importance of hyperparameters is that of PED-ANOVA",
            Cite(("watanabe2023pedanova",)),
            " over finished candidates, with intervals from resampling candidates.",
        )
    if evidence.expected:
        yield (
            "Expected validation performance is the unbiased estimate for the best of n random "
            "candidates",
            Cite(("dodge2019show",)),
            ".",
        )
    if evidence.slices:
        dimensions = ", ".join(dict.fromkeys(s.dimension for s in evidence.slices))
        yield (
            f"{comparison.primary.label} is also given on slices of the test split ({dimensions})",
            Cite(("liang2024hemm",)),
            ".",
        )
    if results.information:
        splits = ", ".join(dict.fromkeys(i.split for i in results.information))
        yield (
            "Redundancy, uniqueness and synergy of pairs of modalities",
            Cite(("bertschinger2014unique", "liang2024semi")),
            f" were estimated on {splits}, against shuffled labels.",
        )


def _fairness_sentences(comparison: Comparison) -> Iterator[Sentence]:
    fairness = comparison.fairness
    tuned = [row for row in fairness if row.searched]
    if comparison.unequal_budgets:
        yield (
            "Tuning budgets were not equal, and arms are to be compared with that in mind: "
            f"{_budget_text(tuned)}.",
        )
    elif len(tuned) > 1:
        yield (f"Tuned arms had equal budgets: {_budget_text(tuned)}.",)
    for sentence in limit_sentences(comparison):
        yield (sentence,)


def _budget_text(tuned: Sequence[Fairness]) -> str:
    text = (
        f"{format_count_range((row.candidates for row in tuned), 'candidate')} on "
        f"{format_count_range((row.tune_seeds for row in tuned), 'seed')}, "
        f"{format_count_range((row.epochs for row in tuned), 'epoch')} in all"
    )
    # Seconds that are known of some arms alone would not be comparable.
    seconds = [row.seconds for row in tuned if row.seconds is not None]
    if len(seconds) == len(tuned):
        text += f", {format_count_range(map(round, seconds), 'device-second')}"
    return text


def _failure_sentences(comparison: Comparison) -> Iterator[Sentence]:
    groups: dict[str, int] = {}
    for failure in comparison.failures:
        groups[failure.group] = groups.get(failure.group, 0) + 1
    if groups:
        named = ", ".join(f"{kind}: {number}" for kind, number in sorted(groups.items()))
        total = format_count(sum(groups.values()), "training")
        yield (f"{total} failed or stopped before the end and count as missing ({named}).",)
    else:
        yield ("No training failed.",)


def _reproducibility_sentences(comparison: Comparison) -> Iterator[Sentence]:
    provenance = comparison.facts.provenance
    versions = [f"{name} {provenance[name]}" for name in SOFTWARE if name in provenance]
    if versions:
        yield (f"Software: {', '.join(versions)}.",)
    origin = [
        f"{label} {provenance[name]}"
        for name, label in (
            ("git commit", "commit"),
            ("training core", "training core"),
            ("machine", "on"),
        )
        if provenance.get(name)
    ]
    if origin:
        yield (f"Code: {', '.join(origin)}.",)


def _seed_list(seeds: Sequence[int]) -> str:
    """Return seeds as text: a range where they are consecutive, and 20 at most otherwise."""
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds[:20])) + (", …" if len(seeds) > 20 else "")


def _end_sentence(text: str) -> str:
    return text if text.rstrip().endswith((".", "?", "!")) else f"{text.rstrip()}."
