"""The part of the methods section on tuning: search space, sampler, budget, choice."""

import re
from collections.abc import Iterator, Mapping, Sequence

from reports.evidence.comparison import Comparison
from reports.numerals import format_count, format_count_range
from reports.paper.latex_text import symbol_latex
from reports.paper.prose import Cite, Part, Sentence, Symbol
from reports.results import FieldFacts, Results

FIELDS = 16  # searched fields that are named
_SAMPLERS = {
    "tpe": ("the tree-structured Parzen estimator", "bergstra2011tpe"),
    "random": ("random search", "bergstra2012random"),
    "qmc": ("a scrambled Sobol sequence", "sobol1967distribution"),
    "cmaes": ("CMA-ES", "hansen2016cma"),
    "gp": ("a Gaussian process", "snoek2012practical"),
    "nsga2": ("NSGA-II", "deb2002nsga2"),
    "grid": ("a grid of all combinations", ""),
}
_OWN = ("qmc", "grid")  # samplers that are not Optuna's


def tuning_sentences(results: Results, comparison: Comparison) -> Iterator[Sentence]:
    """Yield sentences on search space, sampler, budget and choice of the candidate."""
    facts = comparison.facts
    tuned = [row for row in comparison.fairness if row.searched]
    if not tuned:
        yield ("No arm had a hyperparameter to tune.",)
        return
    paths = list(dict.fromkeys(path for arm in facts.arms for path in facts.searched.get(arm, ())))
    yield (*_field_parts(paths, facts.fields), ".")
    numbers = {row.searched for row in tuned}
    if len(numbers) > 1:
        searched = format_count_range((row.searched for row in tuned), "field")
        yield (f"Each arm searched those that mean something in it, {searched}.",)
    yield _sampler_sentence(facts.sampler)
    seeds = format_count(len(facts.tune_seeds), "tuning seed")
    tried = format_count_range((row.candidates for row in tuned), "candidate")
    if facts.device_seconds is not None:
        yield (
            f"Every tuned arm was given {facts.device_seconds:g} device-seconds of training, in "
            f"which it tried {tried}, each on {seeds}.",
        )
    else:
        yield (f"Tuned arms tried {tried}, each on {seeds}.",)
    # Within a budget of seconds, how many candidates there were depends on their values.
    if facts.sampler == "random" and facts.device_seconds is None:
        yield ("Candidates were drawn independently of one another.",)
    stopped = int(
        ((results.cells["phase"] == "tune") & (results.cells["status"] == "pruned")).sum()
    )
    if stopped:
        yield (
            f"{format_count(stopped, 'tuning cell')} were stopped early for their validation "
            "values",
            Cite(("li2018hyperband", "li2020asha")),
            ".",
        )
    yield _choice_sentence(comparison)
    yield from _untuned_sentences(comparison)


def _field_parts(paths: Sequence[str], known: Mapping[str, FieldFacts]) -> list[Part]:
    parts: list[Part] = [f"Searched {'was' if len(paths) == 1 else 'were'} "]
    for index, path in enumerate(paths[:FIELDS]):
        facts = known.get(path)
        parts.append("; " if index else "")
        if facts is None:
            parts.append(path)
            continue
        parts.append(f"{facts.label} ({path}")
        if symbol_latex(facts.symbol):
            parts += [", ", Symbol(facts.symbol)]
        parts.append(f"{_domain_text(facts.domain)})")
    if len(paths) > FIELDS:
        parts.append(f"; and {len(paths) - FIELDS} more")
    return parts


def _domain_text(domain: str) -> str:
    """Return `log_uniform [0.001, 0.01]` in words; a domain of another form as it is."""
    if not domain:
        return ""
    # A condition belongs to a field of any form of domain, and stands last.
    domain, _, when = domain.partition(" when ")
    condition = f", where {when}" if when else ""
    if found := re.fullmatch(r"(log_uniform|uniform|int) \[([^,]+), ([^\]]+)\](.*)", domain):
        kind, low, high, rest = found.groups()
        logarithmic = kind == "log_uniform" or " log" in rest
        whole = "whole numbers " if kind == "int" else ""
        scale = ", all orders of magnitude alike" if logarithmic else ""
        step = f" in steps of {rest.split('step')[1].strip()}" if "step" in rest else ""
        return f", {whole}from {low} to {high}{step}{scale}{condition}"
    if found := re.fullmatch(r"choice \[(.*)\]", domain):
        return f", one of {found[1]}{condition}"
    return f", {domain}{condition}"


def _sampler_sentence(name: str) -> Sentence:
    if not name:
        return ("Candidates were drawn with Optuna", Cite(("akiba2019optuna",)), ".")
    words, key = _SAMPLERS.get(name, (name, ""))
    optuna = () if name in _OWN else (", by Optuna", Cite(("akiba2019optuna",)))
    run = ", and were trained under Ray Tune"
    return (
        f"Candidates came from {words}",
        Cite((key,)),
        *optuna,
        run,
        Cite(("liaw2018tune",)),
        ".",
    )


def _choice_sentence(comparison: Comparison) -> Sentence:
    facts, primary = comparison.facts, comparison.primary
    seeds = (
        "mean over tuning seeds of the validation" if len(facts.tune_seeds) > 1 else "validation"
    )
    if not facts.second_metric:
        return (f"Of each arm the candidate with the best {seeds} {primary.label} was confirmed.",)
    margin = f"{primary.margin:g}" if primary.margin is not None else "0"
    return (
        f"Of the candidates whose {seeds} {primary.label} was within {margin} of the arm's best, "
        f"the best by {facts.second_metric} was confirmed.",
    )


def _untuned_sentences(comparison: Comparison) -> Iterator[Sentence]:
    facts = comparison.facts
    if facts.frozen:
        donors = ", ".join(f"“{arm}”" for arm in dict.fromkeys(facts.frozen.values()))
        verb = "was not tuned and takes" if len(facts.frozen) == 1 else "were not tuned and take"
        yield (f"{format_count(len(facts.frozen), 'arm')} {verb} the values found for {donors}.",)
    rest = [
        row.arm for row in comparison.fairness if not row.searched and row.arm not in facts.frozen
    ]
    if rest:
        yield (f"{format_count(len(rest), 'arm')} had nothing to tune.",)
