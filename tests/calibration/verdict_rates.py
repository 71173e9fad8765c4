"""How often the report says what: of arms that differ in nothing, and of arms that do.

Every comparison is one whole study of two arms with its own seeds, judged by the code that judges
every study. Nothing here looks at a comparison twice.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from msa_core.metrics import SCHEMES
from reports.encoding import cells_from_rows
from reports.evidence.arm_estimates import Estimate
from reports.evidence.comparison import compare_arms
from reports.results import Results, StudyFacts
from tests.calibration.placebo_trainings import REFERENCE, World

METRIC = "mae"
MARGIN = 0.02
LEVEL = 0.05
DRAWS = 10_000  # of samples, where a theoretical rate has no formula


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One comparison.

    Attributes:
        verdict: Verdict of the report.
        p: P of the sign-flip test.
        differences: Arm - reference on the metric, one per seed.
        of_utterances: Variance of their mean that comes from the test utterances alone.
    """

    verdict: str
    p: float
    differences: NDArray[np.float64]
    of_utterances: float


def judge_world(world: World, arm: str, seeds: int, first: int) -> list[Judged]:
    """Cut the trainings of one world into studies of so many seeds, and judge each.

    Args:
        world: S trainings an arm; S / seeds studies.
        arm: Arm that is compared with the reference.
        seeds: Number of seeds per study.
        first: Seed of the first study's resampling; the next one has the next.
    """
    total = len(world.predictions[REFERENCE])
    return [
        _judge(world, arm, range(start, start + seeds), first + place)
        for place, start in enumerate(range(0, total - seeds + 1, seeds))
    ]


def judge_differences(differences: NDArray[np.float64], seed: int) -> Estimate:
    """Return the report's estimate of an arm whose metric differs by just these numbers.

    All utterances of a cell have one error, so that nothing but seeds scatters.
    """
    labels = np.zeros(3, dtype=np.float32)
    base = 10.0 + np.zeros((len(differences), 3), dtype=np.float32)
    world = World(
        labels=labels,
        predictions={REFERENCE: base, "arm": (base + differences[:, None]).astype(np.float32)},
    )
    return _estimate(world, "arm", range(len(differences)), seed)


def family(tables: Sequence[NDArray[np.float64]], seed: int) -> list[Estimate]:
    """Return the same for several arms in one study, corrected over all of them."""
    count = len(tables[0])
    base = 10.0 + np.zeros((count, 3), dtype=np.float32)
    arms = {
        f"arm {place}": (base + table[:, None]).astype(np.float32)
        for place, table in enumerate(tables)
    }
    world = World(labels=np.zeros(3, np.float32), predictions={REFERENCE: base, **arms})
    return [
        estimate
        for estimate in _compared(world, (REFERENCE, *arms), range(count), seed)
        if estimate.arm != REFERENCE
    ]


def _judge(world: World, arm: str, rows: Sequence[int], seed: int) -> Judged:
    estimate = _estimate(world, arm, rows, seed)
    errors = {
        name: np.abs(world.predictions[name][list(rows)].astype(np.float64) - world.labels)
        for name in (REFERENCE, arm)
    }
    gaps = errors[arm] - errors[REFERENCE]
    assert estimate.verdict is not None and estimate.p is not None
    return Judged(
        verdict=estimate.verdict,
        p=estimate.p,
        differences=gaps.mean(axis=1),
        of_utterances=float(gaps.mean(axis=0).var() / gaps.shape[1]),
    )


def _estimate(world: World, arm: str, rows: Sequence[int], seed: int) -> Estimate:
    found = _compared(world, (REFERENCE, arm), rows, seed)
    return next(estimate for estimate in found if estimate.arm == arm)


def _compared(
    world: World, arms: Sequence[str], rows: Sequence[int], seed: int
) -> tuple[Estimate, ...]:
    metric = SCHEMES["mosi"][METRIC]
    cells, predictions = [], {}
    for arm in arms:
        for row in rows:
            key = f"{arm}/{row}"
            predictions[key] = world.predictions[arm][row]
            means = metric.terms(predictions[key], world.labels).mean(axis=0)
            cells.append(
                {
                    "key": key,
                    "arm": arm,
                    "phase": "confirm",
                    "candidate": 0,
                    "seed": row,
                    "status": "complete",
                    "epochs": 1,
                    f"metric.test.{METRIC}": float(metric.combine(means)),
                }
            )
    facts = StudyFacts(
        study="calibration",
        question="Is the arm another than the reference?",
        arms=tuple(arms),
        changes={arm: {} for arm in arms},
        baseline=REFERENCE,
        primary=METRIC,
        margins={METRIC: MARGIN},
        scheme="mosi",
        candidates=0,
        searched={arm: () for arm in arms},
        tune_seeds=(),
        confirm_seeds=tuple(rows),
    )
    results = Results(
        facts=facts, cells=cells_from_rows(cells), predictions=predictions, labels=world.labels
    )
    return compare_arms(results, {METRIC: metric}, seed=seed).estimates


# --- What theory says.


def most_false_alarms(comparisons: int, confidence: float = 0.95) -> int:
    """Return the most false alarms that a test of level .05 gives in 95 of 100 calibrations."""
    return int(stats.binom.ppf(confidence, comparisons, LEVEL))


def within(found: int, rates: Iterable[float], confidence: float = 0.99) -> bool:
    """Check whether these chances, one per comparison, give such a count in 99 of 100 cases."""
    chances = np.fromiter(rates, dtype=np.float64)
    mean, sd = chances.sum(), np.sqrt((chances * (1 - chances)).sum())
    # The normal approximation, half a count wider; its sum of unequal chances has no formula.
    return bool(abs(found - mean) <= stats.norm.ppf((1 + confidence) / 2) * sd + 0.5)


def t_power(effect: float, seeds: int) -> float:
    """Power of a two-sided paired t test for an effect in sd of the differences."""
    critical = stats.t.ppf(1 - LEVEL / 2, seeds - 1)
    shifted = stats.nct(seeds - 1, effect * np.sqrt(seeds))
    return float(shifted.sf(critical) + shifted.cdf(-critical))


def flip_power(
    mean: float, sd: float, seeds: int, *, least: float = 0.0, draws: int = DRAWS
) -> float:
    """Compute how often sign flips of normal differences have p <= .05, and |mean| > least.

    Written without the report's code: all 2^n signs, by one matrix product.
    """
    rng = np.random.default_rng(seeds)
    signs = 1 - 2 * ((np.arange(2**seeds)[:, None] >> np.arange(seeds)) & 1)
    hits = 0
    for start in range(0, draws, 500):
        rows = rng.normal(mean, sd, (min(500, draws - start), seeds))
        flipped = np.abs(rows @ signs.T)
        p = (flipped >= flipped[:, :1] * (1 - 1e-12)).mean(axis=1)
        hits += int(((p <= LEVEL) & (np.abs(rows.mean(axis=1)) > least)).sum())
    return hits / draws


def expected_power(judged: Sequence[Judged]) -> float:
    """Compute the rate at which studies of one world should find its effect.

    The effect and its scatter are those of all the world's trainings. A study finds it where the
    test over seeds does, and where the mean difference is further from 0 than the two-level
    interval reaches: 1.96 standard errors of seeds and utterances together.
    """
    differences = np.concatenate([one.differences for one in judged])
    seeds = len(judged[0].differences)
    sd = float(differences.std(ddof=1))
    utterances = float(np.mean([one.of_utterances for one in judged]))
    # A bootstrap over n seeds has their variance without Bessel's correction.
    over_seeds = sd**2 * (seeds - 1) / seeds / seeds
    reach = stats.norm.ppf(1 - LEVEL / 2) * np.sqrt(over_seeds + utterances)
    return flip_power(float(differences.mean()), sd, seeds, least=float(reach))


def counts(judged: Iterable[Judged]) -> Mapping[str, int]:
    """Count how often each verdict was given."""
    found: dict[str, int] = {}
    for one in judged:
        found[one.verdict] = found.get(one.verdict, 0) + 1
    return found
