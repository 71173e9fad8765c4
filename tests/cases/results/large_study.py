"""Results of a large study: 143 arms, 10,010 cells, the test set of CMU-MOSI."""

import itertools
from typing import Any

import numpy as np
import pandas as pd

from msa_core.metrics import SCHEMES
from reports.results import FieldFacts, Results, StudyFacts

METRICS = SCHEMES["mosi"]
FACTORS = tuple("ABCDEFG")
RATE, WEIGHT, WIDTH, DROPOUT, KIND = (
    "train.learning_rate",
    "loss.alignment.text_audio.weight",
    "model.projection.width",
    "model.dropout",
    "model.fusion.kind",
)


def large_results(
    *,
    arms: int = 143,
    candidates: int = 60,
    seeds: int = 10,
    utterances: int = 686,
    epochs: int = 40,
    seed: int = 0,
    **changes: Any,
) -> Results:
    """Make a complete study of `arms` * (`candidates` + `seeds`) cells.

    The first 128 arms (or as many as fit) are a factorial of up to seven factors, the rest are
    without levels.
    """
    rng = np.random.default_rng(seed)
    levels = _levels(arms)
    names = tuple(list(levels) + [f"other {i}" for i in range(arms - len(levels))])
    labels = np.clip(rng.normal(0.2, 1.4, utterances), -3, 3).round(1).astype(np.float32)
    sample = rng.normal(0, 0.6, utterances)
    frames, predictions, curves = [], {}, {}
    for place, arm in enumerate(names):
        shift = 0.02 * sum(level == "on" for level in levels.get(arm, {}).values())
        values = 0.9 - shift + 0.1 * rng.random(candidates)
        on = levels.get(arm, {}).get("A", "on") == "on"
        frames.append(_tuning_cells(arm, place, values, on, rng))
        tested = []
        for one in range(seeds):
            noise = rng.normal(0, 0.8 - shift, utterances)
            predicted = (0.8 * labels + sample + noise).astype(np.float32)
            predictions[f"c{place}-{one}"] = predicted
            tested.append(_score_cell(predicted, labels))
        frames.append(_confirmed_cells(arm, place, tested, frames[-1].iloc[int(np.argmin(values))]))
    cells = pd.concat(frames, ignore_index=True)
    for key, epochs_done in zip(cells["key"], cells["epochs"], strict=True):
        steps = np.arange(min(epochs, int(epochs_done)))
        curves[str(key)] = (
            0.9 + 0.6 * np.exp(-steps / 6) + 0.01 * rng.normal(size=steps.size)
        ).astype(np.float32)
    facts = _facts(names, levels, candidates, seeds)
    return Results(
        facts=StudyFacts(**{**facts, **changes}),
        cells=cells,
        predictions=predictions,
        labels=labels,
        curves=curves,
        tags=_tags(labels, rng),
    )


def _levels(arms: int) -> dict[str, dict[str, str]]:
    size = min(len(FACTORS), int(np.log2(arms)))
    found = {}
    for states in itertools.product(("off", "on"), repeat=size):
        on = [f for f, state in zip(FACTORS, states, strict=False) if state == "on"]
        found[" + ".join(on) or "none"] = dict(zip(FACTORS[:size], states, strict=True))
    return found


def _score_cell(predicted: Any, labels: Any) -> dict[str, float]:
    return {
        f"metric.test.{name}": float(metric.combine(metric.terms(predicted, labels).mean(axis=0)))
        for name, metric in METRICS.items()
    }


def _tuning_cells(
    arm: str, place: int, values: Any, on: bool, rng: np.random.Generator
) -> pd.DataFrame:
    size = len(values)
    pruned = rng.random(size) < 0.2
    return pd.DataFrame(
        {
            "key": [f"t{place}-{i}" for i in range(size)],
            "arm": arm,
            "phase": "tune",
            "candidate": np.arange(size),
            "seed": 101,
            "status": np.where(pruned, "pruned", "complete"),
            "epochs": np.where(pruned, 8, 40),
            "metric.valid.mae": values,
            "metric.seconds": rng.uniform(20, 40, size),
            f"param.{RATE}": 10 ** rng.uniform(-4, -2, size),
            f"param.{WEIGHT}": 10 ** rng.uniform(-2, 2, size) if on else np.full(size, np.nan),
            f"param.{WIDTH}": rng.integers(8, 65, size).astype(float),
            f"param.{DROPOUT}": rng.uniform(0, 0.5, size),
            f"param.{KIND}": rng.choice(["concat", "sum", "gated"], size),
        }
    )


def _confirmed_cells(arm: str, place: int, tested: Any, best: Any) -> pd.DataFrame:
    size = len(tested)
    frame = pd.DataFrame(
        {
            "key": [f"c{place}-{i}" for i in range(size)],
            "arm": arm,
            "phase": "confirm",
            "candidate": int(best["candidate"]),
            "seed": np.arange(size),
            "status": "complete",
            "epochs": 40,
            "metric.seconds": 30.0,
            **{name: best[name] for name in best.index if str(name).startswith("param.")},
        }
    )
    return frame.join(pd.DataFrame(tested))


def _facts(
    names: tuple[str, ...], levels: dict[str, dict[str, str]], candidates: int, seeds: int
) -> dict[str, Any]:
    fields = (RATE, WEIGHT, WIDTH, DROPOUT, KIND)
    return {
        "study": "large",
        "question": "Which of many parts matter?",
        "arms": names,
        "changes": {
            arm: {f"model.{f}": v for f, v in levels.get(arm, {}).items()} for arm in names
        },
        "baseline": names[0],
        "primary": "mae",
        "margins": {"mae": 0.02},
        "scheme": "mosi",
        "candidates": candidates,
        "searched": {
            arm: tuple(f for f in fields if f != WEIGHT or levels.get(arm, {}).get("A") != "off")
            for arm in names
        },
        "tune_seeds": (101,),
        "confirm_seeds": tuple(range(seeds)),
        "levels": levels,
        "sampler": "random",
        "fields": {
            path: FieldFacts(label=path.rsplit(".", 1)[-1], log=path in (RATE, WEIGHT))
            for path in fields
        },
    }


def _tags(labels: Any, rng: np.random.Generator) -> dict[str, tuple[str, ...]]:
    strength = np.select(
        [np.abs(labels) < 0.5, np.abs(labels) < 1.5], ["neutral", "weak"], "strong"
    )
    return {
        "strength": tuple(str(tag) for tag in strength),
        "length": tuple(str(tag) for tag in rng.choice(["short", "middle", "long"], len(labels))),
        "conflict": tuple(str(tag) for tag in rng.choice(["agree", "conflict"], len(labels))),
    }
