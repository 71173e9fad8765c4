"""Results whose test values are given, cell by cell, without predictions."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from reports.encoding import cells_from_rows
from reports.results import Results, StudyFacts
from tests.cases.results.synthetic import make_facts

Levels = Mapping[str, str]


class Mae:
    """The mean absolute error, as the contract asks."""

    name, label, higher_is_better = "mae", "MAE", False

    def terms(self, predictions: Any, labels: Any) -> Any:
        return np.abs(np.asarray(predictions, dtype=float) - labels)[:, None]

    def combine(self, means: Any) -> Any:
        return means[..., 0]


class Gain(Mae):
    """The same values, in the other direction."""

    higher_is_better = True


METRICS: dict[str, Any] = {"mae": Mae()}
GAINS: dict[str, Any] = {"mae": Gain()}


def facts_of(arms: Sequence[str], **changes: Any) -> StudyFacts:
    bare = {"candidates": 3, "searched": {arm: () for arm in arms}, "confirm_seeds": ()}
    return make_facts(arms, **{**bare, **changes})


def results_of(
    values: Mapping[str, Sequence[float]],
    levels: Mapping[str, Levels] | None = None,
    tuning: Sequence[Mapping[str, Any]] = (),
    **changes: Any,
) -> Results:
    """Make a study in which seed s of an arm has the test value `values[arm][s]`."""
    rows = [
        {**_row(arm, "confirm", 0, seed), "metric.test.mae": float(value)}
        for arm, own in values.items()
        for seed, value in enumerate(own)
    ]
    rows += [{**_row("", "tune", 0, 101), **row} for row in tuning]
    for row in rows:
        row["key"] = f"{row['phase']}-{row['arm']}-{row['candidate']}-{row['seed']}"
    seeds = tuple(range(max((len(own) for own in values.values()), default=0)))
    facts = facts_of(tuple(values), **{"confirm_seeds": seeds, "levels": levels or {}, **changes})
    return Results(facts=facts, cells=cells_from_rows(rows), predictions={}, labels=None)


def _row(arm: str, phase: str, candidate: int, seed: int) -> dict[str, Any]:
    return {
        "arm": arm,
        "phase": phase,
        "candidate": candidate,
        "seed": seed,
        "status": "complete",
        "epochs": 5,
    }


def factorial_levels(factors: Sequence[str]) -> dict[str, dict[str, str]]:
    """Arm -> levels, of every combination; the arms are called as in a study."""
    found = {}
    for states in itertools.product(("off", "on"), repeat=len(factors)):
        own = dict(zip(factors, states, strict=True))
        found[name_of(own)] = own
    return found


def name_of(levels: Levels) -> str:
    return " + ".join(factor for factor, level in levels.items() if level == "on") or "none"


def played(
    levels: Mapping[str, Levels],
    game: Callable[[frozenset[str]], float],
    *,
    seeds: int = 6,
    noise: float = 0.0,
    seed: int = 0,
) -> dict[str, list[float]]:
    """Values of a game v(what is on), with luck of the seed that all share, and noise of a cell."""
    rng = np.random.default_rng(seed)
    luck = rng.normal(size=seeds)
    return {
        arm: [
            game(frozenset(f for f, level in own.items() if level == "on"))
            + luck[s]
            + noise * rng.normal()
            for s in range(seeds)
        ]
        for arm, own in levels.items()
    }


def shuffled(results: Results, rng: np.random.Generator, *, arms: bool = True) -> Results:
    """Shuffle rows, columns, arms and the parts of mappings of the same results."""
    cells: pd.DataFrame = results.cells
    cells = cells.iloc[rng.permutation(len(cells))][
        [cells.columns[i] for i in rng.permutation(len(cells.columns))]
    ]
    facts = results.facts
    order = rng.permutation(len(facts.arms)) if arms else range(len(facts.arms))
    return Results(
        facts=StudyFacts(**{**vars(facts), "arms": tuple(facts.arms[i] for i in order)}),
        cells=cells,
        predictions=dict(reversed(results.predictions.items())),
        labels=results.labels,
        curves=dict(reversed(results.curves.items())),
        tags=results.tags,
    )


def renamed(results: Results) -> Results:
    """Give the same results other keys, which sort the other way round."""
    keys = sorted(results.cells["key"], reverse=True)
    new = {str(key): f"cell {place:06d}" for place, key in enumerate(keys)}
    return Results(
        facts=results.facts,
        cells=results.cells.assign(key=[new[str(key)] for key in results.cells["key"]]),
        predictions={new[key]: values for key, values in results.predictions.items()},
        labels=results.labels,
        curves={new[key]: values for key, values in results.curves.items()},
        tags=results.tags,
    )
