"""Does the method cry wolf, and does it find what is there? Writes docs/calibration.md.

`make calibrate`, or with fewer studies: python -m tests.calibration.calibrate --worlds 4
"""

import argparse
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

# One thread a process, set before NumPy and PyTorch count the cores.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np
import torch
from scipy import stats

from tests.calibration.placebo_trainings import BASE, LESS, PLACEBO, train_world
from tests.calibration.verdict_rates import (
    LEVEL,
    MARGIN,
    Judged,
    counts,
    expected_power,
    family,
    flip_power,
    judge_differences,
    judge_world,
    most_false_alarms,
    t_power,
    within,
)

SEEDS = 10  # of a study
EFFECTS = ((5, 1.68), (10, 0.0), (10, 0.5), (10, 1.0), (10, 1.5), (16, 0.75))
FAMILY = 7  # arms of a study whose arms are all placebos
VERDICTS = ("better", "worse", "equivalent", "undecided")


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Results of a calibration.

    Attributes:
        placebo, less: Studies of each world, in the order of the worlds.
        tables: (seeds, effect) -> number of decided made-up studies, and number of all.
        families: Number of studies of seven placebos with a false alarm, and number of all.
    """

    placebo: Sequence[Sequence[Judged]]
    less: Sequence[Sequence[Judged]]
    tables: Mapping[tuple[int, float], tuple[int, int]]
    families: tuple[int, int]


def calibrate(worlds: int, studies: int, tables: int, processes: int) -> Calibration:
    """Train, judge and count.

    Args:
        worlds: Number of generated data sets.
        studies: Number of studies per data set.
        tables: Number of made-up studies per number of seeds and effect.
        processes: Number of processes at once.
    """
    with ProcessPoolExecutor(processes) as pool:
        judged = list(pool.map(_judge_world, range(worlds), [studies] * worlds))
        rates = pool.map(_count_decided, EFFECTS, [tables] * len(EFFECTS))
        alarms = sum(pool.map(_has_false_alarm, range(tables)))
        return Calibration(
            placebo=[placebo for placebo, _ in judged],
            less=[less for _, less in judged],
            tables=dict(zip(EFFECTS, ((found, tables) for found in rates), strict=True)),
            families=(alarms, tables),
        )


def _judge_world(number: int, studies: int) -> tuple[list[Judged], list[Judged]]:
    torch.set_num_threads(1)
    world = train_world(number, range(studies * SEEDS))
    first = number * studies
    placebo, less = (judge_world(world, arm, SEEDS, first) for arm in (PLACEBO, LESS))
    return placebo, less


def _count_decided(design: tuple[int, float], tables: int) -> int:
    seeds, effect = design
    rng = np.random.default_rng([seeds, round(100 * effect)])
    estimates = (
        judge_differences(rng.normal(effect, 1.0, seeds), place) for place in range(tables)
    )
    return sum(estimate.verdict in ("better", "worse") for estimate in estimates)


def _has_false_alarm(number: int) -> bool:
    rng = np.random.default_rng([FAMILY, number])
    estimates = family(list(rng.normal(0.0, 1.0, (FAMILY, SEEDS))), number)
    return any(estimate.verdict in ("better", "worse") for estimate in estimates)


def failures(found: Calibration) -> list[str]:
    """List the rates that are not as they must be; empty if all are."""
    wrong = []
    alarms, comparisons = _alarm_count(found)
    if alarms > most_false_alarms(comparisons):
        wrong.append(f"{alarms} false alarms in {comparisons} comparisons with a placebo")
    hits, chances = power_of_trainings(found)
    if not within(hits, chances):
        wrong.append(f"{hits} of {len(chances)} effects found, {sum(chances):.0f} expected")
    for (seeds, effect), (hits, total) in found.tables.items():
        if not within(hits, [flip_power(effect, 1.0, seeds)] * total):
            wrong.append(f"{hits} of {total} found with {seeds} seeds and an effect of {effect} sd")
    alarms, total = found.families
    if alarms > most_false_alarms(total):
        wrong.append(f"{alarms} of {total} studies of {FAMILY} placebos with a false alarm")
    return wrong


def _alarm_count(found: Calibration) -> tuple[int, int]:
    told = counts(one for world in found.placebo for one in world)
    return told.get("better", 0) + told.get("worse", 0), sum(told.values())


def power_of_trainings(found: Calibration) -> tuple[int, list[float]]:
    """Count how often the true effect was found, with the chance of each study to find it."""
    hits = sum(one.verdict == "worse" for world in found.less for one in world)
    return hits, [rate for world in found.less for rate in [expected_power(world)] * len(world)]


# --- The page.


def page(found: Calibration) -> str:
    """docs/calibration.md."""
    alarms, comparisons = _alarm_count(found)
    low, high = _exact_power(alarms, comparisons)
    hits, chances = power_of_trainings(found)
    hit_low, hit_high = _exact_power(hits, len(chances))
    smaller = sum(one.p <= LEVEL for world in found.placebo for one in world)
    family_alarms, families = found.families
    worlds = len(found.placebo)
    lines = [
        "# Does it cry wolf, and does it find what is there?",
        "",
        "Written by `make calibrate`; `make test-slow` does the same at a reduced size. Every "
        "comparison is a whole study of two arms with ten",
        "seeds of its own, judged by the code that writes every report. The bounds are exact "
        "binomial ones.",
        "",
        "## Arms that differ in nothing",
        "",
        f"{comparisons} studies on {worlds} generated data sets compare a model with its placebo: "
        "the same model, whose every random number is another.",
        f"It trains differently and has no effect (margin ±{MARGIN} MAE).",
        "",
        _write_table(
            ["verdict", *VERDICTS, "better or worse", "95 % bound of that rate", "allowed"],
            [["studies", *_shares(found.placebo), f"**{alarms}** ({alarms / comparisons:.1%})",
              f"{low:.1%} to {high:.1%}", f"at most {most_false_alarms(comparisons)}"]],
        ),
        "",
        f"The test over seeds alone has p ≤ .05 in {smaller} of them ({smaller / comparisons:.1%}; "
        f"with ten seeds its exact size is {50 / 1024:.1%}); a verdict also needs",
        "the interval over seeds *and* utterances to leave out 0. *Allowed* is what a test of "
        "level .05 stays within 95 times in 100.",
        "",
        f"In studies of {FAMILY} placebos (made-up differences, normal), Holm's correction leaves "
        f"a false alarm in {family_alarms} of {families} ({family_alarms / families:.1%}; at most "
        f"{most_false_alarms(families)} allowed).",
        "",
        "## Arms that differ",
        "",
        f"On the same data sets, `{LESS}`: vision sees the label badly there, so an arm without it "
        "is a little worse. Theory is the rate that follows from",
        "the effect, its scatter between seeds and the size of the test set, each known from all "
        "trainings of a data set.",
        "",
        _write_table(
            ["", *VERDICTS, "found", "95 % bound", "theory"],
            [["studies", *_shares(found.less), f"**{hits}** ({hits / len(chances):.1%})",
              f"{hit_low:.1%} to {hit_high:.1%}", f"{np.mean(chances):.1%}"]],
        ),
        "",
        "## What seeds alone can show",
        "",
        "Made-up studies whose differences are normal, with an effect in standard deviations of "
        "the difference. *Sign-flip* is the power of the exact test, by",
        "simulation that shares no code with the report; *paired t* is the formula that `triptych "
        "plan` and the report use.",
        "",
        _write_table(
            ["seeds", "effect, sd", "decided", "95 % bound", "sign-flip", "paired t"],
            [
                [str(seeds), f"{effect:g}", f"{hits} of {total} ({hits / total:.1%})",
                 "{:.1%} to {:.1%}".format(*_exact_power(hits, total)),
                 f"{flip_power(effect, 1.0, seeds):.1%}",
                 f"{t_power(effect, seeds):.1%}"]
                for (seeds, effect), (hits, total) in found.tables.items()
            ],
        ),
        "",
        "With five seeds no effect of any size is found: the smallest possible p is .0625. The "
        "report says so before and after.",
        "",
        f"Model: {', '.join(f'`{name}: {value}`' for name, value in BASE.items())}.",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _shares(worlds: Iterable[Iterable[Judged]]) -> list[str]:
    told = counts(one for world in worlds for one in world)
    return [str(told.get(verdict, 0)) for verdict in VERDICTS]


def _exact_power(found: int, total: int) -> tuple[float, float]:
    interval = stats.binomtest(found, total).proportion_ci(0.95, method="exact")
    return float(interval.low), float(interval.high)


def _write_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Calibrate, write the page, and fail where something is not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=25)
    parser.add_argument("--studies", type=int, default=20, help="of each world")
    parser.add_argument("--tables", type=int, default=1000, help="made-up studies of each design")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=None, help="default: print it")
    options = parser.parse_args()
    found = calibrate(options.worlds, options.studies, options.tables, options.processes)
    text = page(found)
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    else:
        print(text)
    if wrong := failures(found):
        raise SystemExit("not calibrated: " + "; ".join(wrong))


if __name__ == "__main__":
    main()
