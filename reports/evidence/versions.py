"""Comparison of two studies, or of two versions of one: their arms, matched by name.

Two arms are compared on the primary test metric, and by the best evidence that there is:

- *same cells*: both are made from the same cells; there is nothing to compare.
- *paired*: the same seeds and the same test labels. As in a report: the two-level interval and the
  sign-flip test, over the seeds that both have.
- *unpaired*: other seeds or other test utterances. Welch's t over seeds alone, which leaves out the
  chance of a test set.

A missing or undefined quantity is None here, never 0 and never NaN.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from scipy import stats

from reports.evidence.arm_estimates import Estimate, MetricFacts, estimate_arm
from reports.evidence.comparison import Comparison, compare_arms, confirmed_cells
from reports.evidence.statistics.cell_values import Part, part_of_cell
from reports.evidence.statistics.paired import ALPHA, holm_by_name
from reports.evidence.statistics.resampling import (
    DRAWS,
    Interval,
    PairedCells,
    pair_by_seed,
    two_level_intervals,
)
from reports.evidence.verdicts import Verdict
from reports.numerals import name_some
from reports.results import MetricDefinition, Results, ResultsError


class Pairing(StrEnum):
    """Method by which two arms are compared; members are plain text in files."""

    SAME_CELLS = "same cells"
    PAIRED = "paired"
    UNPAIRED = "unpaired"
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class ArmAcrossVersions:
    """Arm that both studies have.

    Attributes:
        method: Method of the comparison; `none` where one of them has no result.
        first, second: Estimate in each study against that study's baseline; without a verdict where
            there is no result.
        pairs: Number of shared seeds; 0 where the comparison is not paired.
        delta: Mean of second - first; over the shared seeds where it is paired.
        low, high: Ends of the 95 % interval of delta.
        p: Two-sided p.
        p_holm: Same p, Holm-corrected over the arms compared.
    """

    arm: str
    method: Pairing
    first: Estimate
    second: Estimate
    pairs: int = 0
    delta: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_holm: float | None = None

    @property
    def verdict_flips(self) -> bool:
        """Whether the two studies give different verdicts; a baseline has none."""
        verdicts = {self.first.verdict, self.second.verdict}
        return len(verdicts) == 2 and not verdicts & {None, Verdict.BASELINE}

    @property
    def has_moved(self) -> bool:
        """Whether the arm is shown to be better or worse in the second study."""
        if self.p_holm is None or self.low is None or self.high is None:
            return False
        return self.p_holm <= ALPHA and (self.low > 0 or self.high < 0)


@dataclass(frozen=True, kw_only=True)
class VersionComparison:
    """Comparison of two studies.

    Attributes:
        metric: Primary metric of both.
        arms: Arms that both have, in the order of the first.
        only_first, only_second: Names of arms that only one of them has.
        same_labels: Whether both were tested on the same utterances, as far as labels tell.
        notes: Remarks for the reader.
    """

    metric: MetricFacts
    arms: tuple[ArmAcrossVersions, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    same_labels: bool
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _ComparedStudy:
    """Study of the two with what the comparison needs; keys by arm and seed."""

    results: Results
    comparison: Comparison
    keys: Mapping[str, Mapping[int, str]]

    def estimate_of(self, arm: str) -> Estimate:
        estimate = self.comparison.estimate_of(arm, self.comparison.primary.name)
        return estimate if estimate.n else replace(estimate, verdict=None)


def compare_studies(
    first: Results,
    second: Results,
    metrics: Mapping[str, MetricDefinition],
    *,
    seed: int,
    draws: int = DRAWS,
) -> VersionComparison:
    """Compare two studies, arm by arm.

    Args:
        first: Results of the first study, complete or not.
        second: Results of the second one; differences are second - first.
        metrics: Name -> definition.
        seed: Seed of all resampling. The order of arms and cells changes no digit.
        draws: Number of draws of the two-level bootstrap.

    Raises:
        ResultsError: Their labels are of different schemes, or their primary metrics differ.
    """
    metric = _common_metric(first, second, metrics)
    one, other = (_prepare_study(results, metric, seed, draws) for results in (first, second))
    same_labels = (
        first.labels is not None
        and second.labels is not None
        and np.array_equal(first.labels, second.labels)
    )
    shared = [arm for arm in first.facts.arms if arm in second.facts.arms]
    methods = {arm: _choose_method(one, other, arm, same_labels) for arm in shared}
    paired = [arm for arm in shared if methods[arm] == Pairing.PAIRED]
    intervals = _intervals_of_arms(one, other, paired, metric, seed, draws)
    arms = [_compare_arm(arm, methods[arm], one, other, intervals.get(arm), seed) for arm in shared]
    return VersionComparison(
        metric=one.comparison.primary,
        arms=tuple(_correct_over_arms(arms)),
        only_first=tuple(arm for arm in first.facts.arms if arm not in shared),
        only_second=tuple(arm for arm in second.facts.arms if arm not in shared),
        same_labels=same_labels,
        notes=tuple(_version_notes(one, other, methods, same_labels)),
    )


def _common_metric(
    first: Results, second: Results, metrics: Mapping[str, MetricDefinition]
) -> MetricDefinition:
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


def _prepare_study(
    results: Results, metric: MetricDefinition, seed: int, draws: int
) -> _ComparedStudy:
    """Reduce a study to its primary metric, and compare its arms with its own baseline."""
    # The other metrics carry no verdict, and claims are of one study: all that costs time and is
    # not shown.
    facts = replace(results.facts, claims=())
    comparison = compare_arms(
        replace(results, facts=facts), {facts.primary: metric}, seed=seed, draws=draws
    )
    keys = {
        arm: {seed: cells[seed] for seed in comparison.seed_values[arm]}
        for arm, cells in confirmed_cells(results).items()
    }
    return _ComparedStudy(results=results, comparison=comparison, keys=keys)


def _choose_method(
    one: _ComparedStudy, other: _ComparedStudy, arm: str, same_labels: bool
) -> Pairing:
    first, second = one.keys[arm], other.keys[arm]
    if not first or not second:
        return Pairing.NONE
    if first == second:
        return Pairing.SAME_CELLS
    shared = first.keys() & second.keys()
    keys = {*(first[s] for s in shared)}, {*(second[s] for s in shared)}
    predicted = keys[0] <= one.results.predictions.keys() and (
        keys[1] <= other.results.predictions.keys()
    )
    # One shared seed pairs nothing: an interval over seeds needs two.
    resampled = predicted and not one.comparison.primary.seeds_only
    paired = same_labels and resampled and len(shared) > 1
    return Pairing.PAIRED if paired else Pairing.UNPAIRED


def _intervals_of_arms(
    one: _ComparedStudy,
    other: _ComparedStudy,
    arms: Sequence[str],
    metric: MetricDefinition,
    seed: int,
    draws: int,
) -> dict[str, Interval | None]:
    """Compute two-level intervals of the arms that are paired."""
    contrasts: dict[str, PairedCells] = {}
    # With the place of the study, since two studies may have a cell in common.
    studies = {"first": one, "second": other}
    for arm in arms:
        first, second = (
            {number: f"{name} {key}" for number, key in study.keys[arm].items()}
            for name, study in studies.items()
        )
        if pair := pair_by_seed(second, first):
            contrasts[arm] = pair

    def parts_of(name: str) -> list[Part]:
        study, _, key = name.partition(" ")
        return [part_of_cell(studies[study].results, key, metric)]

    found = two_level_intervals(contrasts, parts_of, [metric], seed, draws=draws)
    return {arm: intervals[0] for arm, intervals in found.items()}


def _compare_arm(
    arm: str,
    method: Pairing,
    one: _ComparedStudy,
    other: _ComparedStudy,
    interval: Interval | None,
    seed: int,
) -> ArmAcrossVersions:
    found = ArmAcrossVersions(
        arm=arm, method=method, first=one.estimate_of(arm), second=other.estimate_of(arm)
    )
    first, second = (study.comparison.seed_values[arm] for study in (one, other))
    if method == Pairing.SAME_CELLS:
        return replace(found, pairs=len(first), delta=0.0)
    if method == Pairing.PAIRED:
        estimate = estimate_arm(arm, one.comparison.primary, second, first, interval, seed)
        return replace(
            found,
            pairs=estimate.pairs,
            delta=estimate.delta,
            low=estimate.ci_low,
            high=estimate.ci_high,
            p=estimate.p,
        )
    if method == Pairing.UNPAIRED:
        low, high, p = welch_interval(list(first.values()), list(second.values()))
        delta = float(np.mean(list(second.values())) - np.mean(list(first.values())))
        return replace(found, delta=delta, low=low, high=high, p=p)
    return found


def welch_interval(
    first: Sequence[float], second: Sequence[float]
) -> tuple[float | None, float | None, float | None]:
    """Compute Welch's 95 % interval of mean(second) - mean(first), and its p.

    All are None with fewer than two values on a side, and where neither side has any variance.
    """
    if min(len(first), len(second)) < 2:
        return None, None, None
    # Not by scipy, which warns where one side has no variance; that is no error here.
    shares = [float(np.var(values, ddof=1)) / len(values) for values in (first, second)]
    if sum(shares) == 0:
        return None, None, None
    delta, error = float(np.mean(second) - np.mean(first)), math.sqrt(sum(shares))
    freedom = sum(shares) ** 2 / sum(
        share**2 / (len(values) - 1) for share, values in zip(shares, (first, second), strict=True)
    )
    reach = float(stats.t.ppf(1 - ALPHA / 2, freedom)) * error
    return delta - reach, delta + reach, 2 * float(stats.t.sf(abs(delta) / error, freedom))


def _correct_over_arms(arms: Sequence[ArmAcrossVersions]) -> list[ArmAcrossVersions]:
    """Add Holm's correction over the arms compared."""
    # The same cells are no test.
    family = {one.arm: one.p for one in arms if one.method != Pairing.SAME_CELLS}
    p_holm = holm_by_name(family)
    return [replace(one, p_holm=p_holm.get(one.arm)) for one in arms]


def _version_notes(
    one: _ComparedStudy, other: _ComparedStudy, methods: Mapping[str, Pairing], same_labels: bool
) -> list[str]:
    notes = []
    for study in (one, other):
        if study.results.embargoed:
            notes.append(
                f"{study.results.facts.study} is unfinished and its test metrics are sealed: "
                "nothing of it can be compared."
            )
        else:
            # The study's own notes are on other things; left are missing seeds and values.
            known = study.comparison.facts.notes
            notes += [
                f"{study.results.facts.study}: {note}"
                for note in study.comparison.notes
                if note not in known
            ]
    unpaired = [arm for arm, method in methods.items() if method == Pairing.UNPAIRED]
    if unpaired and not same_labels:
        notes.append(
            f"The two were tested on different {one.results.facts.example}s: differences are of "
            "seeds alone (Welch's t), and nothing here says how much is the luck of a test set."
        )
    elif unpaired:
        undrawn = " to resample" if one.comparison.primary.seeds_only else ""
        notes.append(
            f"{name_some(unpaired)}: the two have no two confirm seeds in common, or lack test "
            f"predictions{undrawn}, so seeds are not paired (Welch's t over seeds alone)."
        )
    # Without an arm in common there are no verdicts to compare.
    if not methods:
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
