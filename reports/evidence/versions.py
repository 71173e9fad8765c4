"""Two studies, or two versions of one, against each other: their arms, matched by name.

Two arms are compared on the primary test metric, and by the best evidence that there is:

- *same cells*: both are made from the very same cells; there is nothing to compare.
- *paired*: the same seeds and the same test labels. As in a report: the two-level interval and the
  sign-flip test, over the seeds that both have.
- *unpaired*: other seeds or other test utterances. Welch's t over seeds alone, which knows nothing
  of the luck of a test set.

A missing or undefined quantity is None here, never 0 and never NaN.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import stats

from reports.evidence.comparison import Comparison, compare
from reports.evidence.estimates import Estimate, MetricFacts, Verdict, estimate_arm
from reports.evidence.statistics.paired import ALPHA, holm
from reports.evidence.statistics.resampling import DRAWS, Contrast, Interval, two_level_intervals
from reports.results import METRIC, FloatArray, Metric, Results, ResultsError

Method = Literal["same cells", "paired", "unpaired", "none"]


@dataclass(frozen=True, kw_only=True)
class Side:
    """An arm in one of the two studies.

    Attributes:
        n, mean, sd: of its confirm seeds with a defined value; sd with ddof 1.
        verdict: against that study's baseline; None where there is no result.
    """

    n: int
    mean: float | None
    sd: float | None
    verdict: Verdict | None


@dataclass(frozen=True, kw_only=True)
class ArmVersus:
    """An arm that both studies have.

    Attributes:
        method: how it was compared; `none` where one of them has no result.
        pairs: seeds shared; 0 where it is not paired.
        delta: mean of second - first; over the shared seeds where it is paired.
        low, high: 95 % interval of delta.
        p: two-sided; `p_holm` corrects it over the arms compared.
    """

    arm: str
    method: Method
    first: Side
    second: Side
    pairs: int = 0
    delta: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_holm: float | None = None

    @property
    def flips(self) -> bool:
        """Whether the two studies answer differently; a baseline has no answer."""
        verdicts = {self.first.verdict, self.second.verdict}
        return len(verdicts) == 2 and not verdicts & {None, "baseline"}

    @property
    def moved(self) -> bool:
        """Whether the arm is known to be better or worse in the second study."""
        if self.p_holm is None or self.low is None or self.high is None:
            return False
        return self.p_holm <= ALPHA and (self.low > 0 or self.high < 0)


@dataclass(frozen=True, kw_only=True)
class Versus:
    """Two studies against each other.

    Attributes:
        metric: the primary one of both.
        arms: that both have, in the order of the first.
        only_first, only_second: arms that one of them has.
        same_labels: whether both were tested on the same utterances, as far as labels tell.
        notes: what a reader should know.
    """

    metric: MetricFacts
    arms: tuple[ArmVersus, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    same_labels: bool
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Study:
    """One of the two, as far as it is compared: values and keys by arm and seed."""

    results: Results
    comparison: Comparison
    values: Mapping[str, Mapping[int, float]]
    keys: Mapping[str, Mapping[int, str]]

    def side(self, arm: str) -> Side:
        estimate = self.comparison.of(arm, self.comparison.primary.name)
        return Side(
            n=estimate.n,
            mean=estimate.mean,
            sd=estimate.sd,
            verdict=estimate.verdict if estimate.n else None,
        )


def compare_studies(
    first: Results,
    second: Results,
    metrics: Mapping[str, Metric],
    *,
    seed: int,
    draws: int = DRAWS,
) -> Versus:
    """Hold two studies against each other, arm by arm.

    Args:
        first: results, complete or not.
        second: the same; the difference is second - first.
        metrics: name -> its definition.
        seed: of all resampling. Same seed, same digits, in whatever order arms and cells come.
        draws: of the two-level bootstrap.

    Raises:
        ResultsError: their labels are of different schemes, or their primary metrics differ.
    """
    metric = _common_metric(first, second, metrics)
    one, other = (_study(results, metric, seed, draws) for results in (first, second))
    same_labels = (
        first.labels is not None
        and second.labels is not None
        and np.array_equal(first.labels, second.labels)
    )
    shared = [arm for arm in first.facts.arms if arm in second.facts.arms]
    methods = {arm: _method(one, other, arm, same_labels) for arm in shared}
    intervals = _intervals(one, other, [a for a in shared if methods[a] == "paired"], metric, seed,
                           draws)  # fmt: skip
    arms = [_arm(arm, methods[arm], one, other, intervals.get(arm), seed) for arm in shared]
    return Versus(
        metric=one.comparison.primary,
        arms=tuple(_corrected(arms)),
        only_first=tuple(arm for arm in first.facts.arms if arm not in shared),
        only_second=tuple(arm for arm in second.facts.arms if arm not in shared),
        same_labels=same_labels,
        notes=tuple(_notes(one, other, methods, same_labels)),
    )


def _common_metric(first: Results, second: Results, metrics: Mapping[str, Metric]) -> Metric:
    one, other = first.facts, second.facts
    if one.scheme != other.scheme:
        raise ResultsError(
            f"'{one.study}' has '{one.scheme}' labels and '{other.study}' '{other.scheme}' labels: "
            "their metrics mean different things, so their numbers can't be held against each other"
        )
    if one.primary != other.primary:
        raise ResultsError(
            f"the primary metric of '{one.study}' is '{one.primary}' and that of '{other.study}' "
            f"'{other.primary}': each was tuned for its own; run one of them with "
            f"--set metric={one.primary} or --set metric={other.primary}"
        )
    if one.primary not in metrics:
        raise ResultsError(f"the primary metric '{one.primary}' is not one of {sorted(metrics)}")
    return metrics[one.primary]


def _study(results: Results, metric: Metric, seed: int, draws: int) -> _Study:
    """A study on its primary metric alone: all that carries verdicts, and all that is wanted."""
    facts = replace(results.facts, claims=(), second_metric="")
    comparison = compare(
        replace(results, facts=facts), {facts.primary: metric}, seed=seed, draws=draws
    )
    column = f"{METRIC}test.{facts.primary}"
    values: dict[str, dict[int, float]] = {arm: {} for arm in facts.arms}
    keys: dict[str, dict[int, str]] = {arm: {} for arm in facts.arms}
    if column in results.cells.columns:
        cells = results.cells
        confirmed = cells[(cells["phase"] == "confirm") & (cells["status"] == "complete")]
        confirmed = confirmed[confirmed[column].notna()].sort_values("seed")
        for row in confirmed[["arm", "seed", "key", column]].to_dict("records"):
            values[str(row["arm"])][int(row["seed"])] = float(row[column])
            keys[str(row["arm"])][int(row["seed"])] = str(row["key"])
    return _Study(results=results, comparison=comparison, values=values, keys=keys)


def _method(one: _Study, other: _Study, arm: str, same_labels: bool) -> Method:
    first, second = one.keys[arm], other.keys[arm]
    if not first or not second:
        return "none"
    if first == second:
        return "same cells"
    shared = first.keys() & second.keys()
    keys = {*(first[s] for s in shared)}, {*(second[s] for s in shared)}
    predicted = keys[0] <= one.results.predictions.keys() and (
        keys[1] <= other.results.predictions.keys()
    )
    return "paired" if same_labels and predicted and len(shared) > 1 else "unpaired"


def _intervals(
    one: _Study, other: _Study, arms: Sequence[str], metric: Metric, seed: int, draws: int
) -> dict[str, Interval | None]:
    """Two-level intervals of the arms that are paired."""
    contrasts: dict[str, Contrast] = {}
    terms: dict[str, list[FloatArray]] = {}
    for arm in arms:
        shared = sorted(one.keys[arm].keys() & other.keys[arm].keys())
        sides = []
        for place, study in enumerate((one, other)):
            names = []
            for number in shared:
                key = study.keys[arm][number]
                names.append(f"{place} {key}")  # two studies may have a cell in common
                if names[-1] not in terms:
                    terms[names[-1]] = [_terms(study.results, key, metric)]
            sides.append(tuple(names))
        contrasts[arm] = Contrast(arm_keys=sides[1], baseline_keys=sides[0])
    found = two_level_intervals(contrasts, terms, [metric], seed, draws=draws)
    return {arm: intervals[0] for arm, intervals in found.items()}


def _terms(results: Results, key: str, metric: Metric) -> FloatArray:
    assert results.labels is not None
    return np.asarray(metric.terms(results.predictions[key], results.labels), dtype=np.float64)


def _arm(
    arm: str, method: Method, one: _Study, other: _Study, interval: Interval | None, seed: int
) -> ArmVersus:
    found = ArmVersus(arm=arm, method=method, first=one.side(arm), second=other.side(arm))
    first, second = one.values[arm], other.values[arm]
    if method == "same cells":
        return replace(found, pairs=len(first), delta=0.0)
    if method == "paired":
        estimate: Estimate = estimate_arm(
            arm, one.comparison.primary, second, first, interval, seed
        )
        return replace(
            found,
            pairs=estimate.pairs,
            delta=estimate.delta,
            low=estimate.ci_low,
            high=estimate.ci_high,
            p=estimate.p,
        )
    if method == "unpaired":
        low, high, p = welch(list(first.values()), list(second.values()))
        delta = float(np.mean(list(second.values())) - np.mean(list(first.values())))
        return replace(found, delta=delta, low=low, high=high, p=p)
    return found


def welch(
    first: Sequence[float], second: Sequence[float]
) -> tuple[float | None, float | None, float | None]:
    """Welch's 95 % interval of mean(second) - mean(first), and its p; None where undefined.

    Undefined of fewer than two values on a side, and where neither side has any variance.
    """
    if min(len(first), len(second)) < 2:
        return None, None, None
    # By hand: scipy warns where one side has no variance, which is no fault here.
    shares = [float(np.var(values, ddof=1)) / len(values) for values in (first, second)]
    if sum(shares) == 0:
        return None, None, None
    delta, error = float(np.mean(second) - np.mean(first)), math.sqrt(sum(shares))
    freedom = sum(shares) ** 2 / sum(
        share**2 / (len(values) - 1) for share, values in zip(shares, (first, second), strict=True)
    )
    reach = float(stats.t.ppf(1 - ALPHA / 2, freedom)) * error
    return delta - reach, delta + reach, 2 * float(stats.t.sf(abs(delta) / error, freedom))


def _corrected(arms: Sequence[ArmVersus]) -> list[ArmVersus]:
    """Holm over the arms compared.

    The same cells are not compared: they ask nothing. An arm whose results are missing stays in as
    p = 1: it must not ease the correction.
    """
    family = [one.arm for one in arms if one.method != "same cells"]
    by_arm = {one.arm: one for one in arms}
    corrected = holm([1.0 if (p := by_arm[arm].p) is None else p for arm in family])
    p_holm = dict(zip(family, corrected, strict=True))
    return [one if one.p is None else replace(one, p_holm=p_holm[one.arm]) for one in arms]


def _notes(
    one: _Study, other: _Study, methods: Mapping[str, Method], same_labels: bool
) -> list[str]:
    notes = []
    for study in (one, other):
        if study.results.sealed:
            notes.append(
                f"{study.results.facts.study} is unfinished and its test metrics are sealed: "
                "nothing of it can be compared."
            )
        else:  # of missing seeds, undefined values, and intervals that do not fit their means
            known = study.comparison.facts.notes
            notes += [
                f"{study.results.facts.study}: {note}"
                for note in study.comparison.notes
                if note not in known
            ]
    unpaired = [arm for arm, method in methods.items() if method == "unpaired"]
    if unpaired and not same_labels:
        notes.append(
            "The two were tested on different utterances: differences are of seeds alone "
            "(Welch's t), and nothing here says how much is the luck of a test set."
        )
    elif unpaired:
        notes.append(
            f"{_some(unpaired)}: the two have no two confirm seeds in common, or lack test "
            "predictions, so seeds are not paired (Welch's t over seeds alone)."
        )
    if not methods:  # no arm in common, so no verdicts to hold against each other
        return notes
    baselines = [study.results.facts.baseline for study in (one, other)]
    if baselines[0] != baselines[1]:
        notes.append(
            f"Verdicts are against '{baselines[0]}' in the first and against '{baselines[1]}' in "
            "the second: one that flips may say no more than that."
        )
    sizes = [len(study.results.facts.arms) for study in (one, other)]
    if sizes[0] != sizes[1]:
        notes.append(
            f"Verdicts are corrected over the arms of their own study, {sizes[0]} and {sizes[1]}."
        )
    return notes


def _some(names: Sequence[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
