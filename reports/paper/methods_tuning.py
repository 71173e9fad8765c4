"""How candidates were found, in words."""

import re
from collections.abc import Iterator, Mapping, Sequence

from reports.evidence.comparison import Comparison
from reports.numerals import count, count_range
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
    """Search space, sampler, budget, choice of the candidate."""
    facts = comparison.facts
    tuned = [row for row in comparison.fairness if row.searched]
    if not tuned:
        yield ("No arm had a hyperparameter to tune.",)
        return
    paths = list(dict.fromkeys(path for arm in facts.arms for path in facts.searched.get(arm, ())))
    yield (*_fields(paths, facts.fields), ".")
    numbers = {row.searched for row in tuned}
    if len(numbers) > 1:
        searched = count_range((row.searched for row in tuned), "field")
        yield (f"Each arm searched those that mean something in it, {searched}.",)
    yield _sampler(facts.sampler)
    seeds = count(len(facts.tune_seeds), "tuning seed")
    tried = count_range((row.candidates for row in tuned), "candidate")
    if facts.device_seconds is not None:
        yield (
            f"Every tuned arm was given {facts.device_seconds:g} device-seconds of training, in "
            f"which it tried {tried}, each on {seeds}.",
        )
    else:
        yield (f"Tuned arms tried {tried}, each on {seeds}.",)
    if facts.sampler == "random" and facts.device_seconds is None:
        yield ("Candidates were drawn independently of one another.",)
    stopped = int(
        ((results.cells["phase"] == "tune") & (results.cells["status"] == "pruned")).sum()
    )
    if stopped:
        yield (
            f"{count(stopped, 'tuning cell')} were stopped early for their validation values",
            Cite(("li2018hyperband", "li2020asha")),
            ".",
        )
    yield _choice(comparison)
    yield from _untuned(comparison)


def _fields(paths: Sequence[str], known: Mapping[str, FieldFacts]) -> list[Part]:
    parts: list[Part] = [f"Searched {'was' if len(paths) == 1 else 'were'} "]
    for place, path in enumerate(paths[:FIELDS]):
        facts = known.get(path)
        parts.append("; " if place else "")
        if facts is None:
            parts.append(path)
            continue
        parts.append(f"{facts.label} ({path}")
        if symbol_latex(facts.symbol):
            parts += [", ", Symbol(facts.symbol)]
        parts.append(f"{_domain(facts.domain)})")
    if len(paths) > FIELDS:
        parts.append(f"; and {len(paths) - FIELDS} more")
    return parts


def _domain(domain: str) -> str:
    """`log_uniform [0.001, 0.01]` in words; as it is where it has another form."""
    if not domain:
        return ""
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


def _sampler(name: str) -> Sentence:
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


def _choice(comparison: Comparison) -> Sentence:
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


def _untuned(comparison: Comparison) -> Iterator[Sentence]:
    facts = comparison.facts
    if facts.frozen:
        donors = ", ".join(f"“{arm}”" for arm in dict.fromkeys(facts.frozen.values()))
        verb = "was not tuned and takes" if len(facts.frozen) == 1 else "were not tuned and take"
        yield (f"{count(len(facts.frozen), 'arm')} {verb} the values found for {donors}.",)
    rest = [
        row.arm for row in comparison.fairness if not row.searched and row.arm not in facts.frozen
    ]
    if rest:
        yield (f"{count(len(rest), 'arm')} had nothing to tune.",)
