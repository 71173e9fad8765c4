"""Results whose truth is known: predictions are labels plus noise, one more noise an arm."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from reports.encoding import cells_from_rows
from reports.evidence.arm_estimates import Estimate, MetricFacts
from reports.evidence.caveats import FailedCell, Fairness, Limits
from reports.evidence.comparison import Comparison
from reports.evidence.values import Evidence
from reports.page.render_html import render_html
from reports.results import Results, StudyFacts
from reports.tables import build_table


@dataclass(frozen=True)
class MeanMetric:
    """`combine(mean over utterances of terms)`, as the contract asks."""

    name: str
    label: str
    higher_is_better: bool
    terms: Callable[[Any, Any], Any]
    combine: Callable[[Any], Any]


def _correlation_terms(predictions: Any, labels: Any) -> Any:
    p, y = np.asarray(predictions, dtype=float), np.asarray(labels, dtype=float)
    return np.stack([p, y, p * p, y * y, p * y], axis=-1)


def _correlation(means: Any) -> Any:
    p, y, pp, yy, py = np.moveaxis(means, -1, 0)
    p_variance, y_variance = pp - p * p, yy - y * y
    defined = (p_variance > 1e-9) & (y_variance > 1e-9)
    product = np.where(defined, p_variance * y_variance, 1.0)
    return np.where(defined, (py - p * y) / np.sqrt(product), np.nan)


METRICS = {
    "mae": MeanMetric(
        "mae",
        "MAE",
        False,
        lambda p, y: np.abs(np.asarray(p, dtype=float) - y)[:, None],
        lambda m: m[..., 0],
    ),
    "corr": MeanMetric("corr", "Corr", True, _correlation_terms, _correlation),
    "acc2": MeanMetric(
        "acc2",
        "Acc-2",
        True,
        lambda p, y: ((np.asarray(p) >= 0) == (np.asarray(y) >= 0)).astype(float)[:, None],
        lambda m: m[..., 0],
    ),
}


def make_facts(arms: Sequence[str], **changes: Any) -> StudyFacts:
    values: dict[str, Any] = {
        "study": "planted",
        "question": "Which parts matter?",
        "arms": tuple(arms),
        "changes": {arm: {} for arm in arms},
        "baseline": arms[0],
        "primary": "mae",
        "margins": {},
        "scheme": "mosi",
        "candidates": 2,
        "searched": {arm: ("optimizer.lr",) for arm in arms},
        "tune_seeds": (101,),
        "confirm_seeds": tuple(range(10)),
    }
    return StudyFacts(**{**values, **changes})


def score(predictions: Any, labels: Any) -> dict[str, float]:
    """Compute the test columns of one cell."""
    return {
        f"metric.test.{name}": float(metric.combine(metric.terms(predictions, labels).mean(axis=0)))
        for name, metric in METRICS.items()
    }


def make_results(
    noise: Mapping[str, float] | None = None,
    *,
    seeds: Sequence[int] = tuple(range(10)),
    utterances: int = 60,
    seed: int = 7,
    tuned: bool = True,
    **changes: Any,
) -> Results:
    """Make a complete study: `noise` is arm -> standard deviation of its errors; baseline first."""
    noise = noise or {"full": 0.5, "worse arm": 0.9, "same arm": 0.5}
    rng = np.random.default_rng(seed)
    labels = rng.uniform(-3, 3, utterances).astype(np.float32)
    rows: list[dict[str, Any]] = []
    predictions = {}
    for arm, spread in noise.items():
        for candidate in range(2 if tuned else 0):
            rows.append(
                {
                    "key": f"t-{arm}-{candidate}",
                    "arm": arm,
                    "phase": "tune",
                    "candidate": candidate,
                    "seed": 101,
                    "status": "complete",
                    "epochs": 5,
                    "metric.valid.mae": 0.5,
                    "metric.seconds": 12.5,
                    "param.optimizer.lr": 0.001 * (candidate + 1),
                }
            )
        for one in seeds:
            key = f"c-{arm}-{one}"
            predicted = (labels + spread * rng.normal(size=utterances)).astype(np.float32)
            predictions[key] = predicted
            rows.append(
                {
                    "key": key,
                    "arm": arm,
                    "phase": "confirm",
                    "candidate": 1,
                    "seed": one,
                    "status": "complete",
                    "epochs": 7,
                    "metric.seconds": 20.0,
                    "param.optimizer.lr": 0.002,
                    **score(predicted, labels),
                }
            )
    changes = {"confirm_seeds": tuple(seeds), **changes}
    return Results(
        facts=make_facts(tuple(noise), **changes),
        cells=cells_from_rows(rows) if rows else _no_cells(),
        predictions=predictions,
        labels=labels if predictions else None,
    )


def _no_cells() -> pd.DataFrame:
    return cells_from_rows([])


def page_of(comparison: Comparison, evidence: Evidence | None = None) -> str:
    """Render the page of a comparison whose cells are not at hand."""
    results = Results(facts=comparison.facts, cells=_no_cells(), predictions={}, labels=None)
    return render_html(results, comparison, evidence or Evidence(), build_table(comparison))


NASTY = '50% _text_ & <script>alert("x")</script> | {a}~^#$\\'


def written_comparison() -> Comparison:
    """Make a comparison of numbers written by hand, so that snapshots hold on every machine."""
    facts = make_facts(
        ("full", NASTY, "placebo"),
        question="Does 100% of <b>text</b> matter?",
        changes={"full": {}, NASTY: {"modalities.text": False}, "placebo": {}},
        searched={"full": ("lr",), NASTY: ("lr",), "placebo": ()},
        margins={"mae": 0.05},
        provenance={"git commit": "abc123", "data": "<i>sha</i>"},
    )
    metrics = (
        MetricFacts(name="mae", label="MAE", higher_is_better=False, margin=0.05),
        MetricFacts(name="acc2", label="Acc-2", higher_is_better=True, margin=None),
    )
    alone = {"n": 10, "sd": 0.0125}
    paired = {"pairs": 10, "delta_sd": 0.03, "bca_low": -0.1, "bca_high": 0.1, **alone}
    worse = {"ci_low": 0.05, "ci_high": 0.15, "p": 0.001953125, "p_better": 0.0, "hedges_g": 3.05}
    same = {"ci_low": -0.02, "ci_high": 0.025, "p": 0.75, "p_better": 0.5, "hedges_g": 0.03}
    one = Estimate
    return Comparison(
        facts=facts,
        metrics=metrics,
        estimates=(
            one(arm="full", metric="mae", mean=0.7, verdict="baseline", **alone),
            one(arm="full", metric="acc2", mean=0.84, **alone),
            one(
                arm=NASTY,
                metric="mae",
                mean=0.8,
                delta=0.1,
                p_holm=0.00390625,
                verdict="worse",
                p_equivalent=0.99,
                **worse,
                **paired,
            ),
            one(arm=NASTY, metric="acc2", n=0, mean=None, sd=None),
            one(
                arm="placebo",
                metric="mae",
                mean=0.701,
                delta=0.001,
                p_holm=0.75,
                verdict="equivalent",
                p_equivalent=0.002,
                **same,
                **paired,
            ),
            one(arm="placebo", metric="acc2", mean=0.84, delta=0.0, **same, **paired),
        ),
        seed_values={arm: {0: 0.69, 1: 0.71} for arm in facts.arms},
        limits=Limits(
            seeds=10,
            arms=2,
            p_floor=2 / 1024,
            seeds_needed=7,
            detectable_sd=0.996,
            detectable=0.0299,
            test_size=686,
            accuracy_metric="acc2",
            accuracy_error=0.014,
        ),
        fairness=tuple(
            Fairness(
                arm=arm,
                searched=len(facts.searched[arm]),
                candidates=candidates,
                tune_seeds=1,
                epochs=1200,
                seconds=5400.0,
                complete=10,
                missing=0,
                failed=0,
                pruned=3,
            )
            for arm, candidates in zip(facts.arms, (20, 12, 1), strict=True)
        ),
        failures=(
            FailedCell(
                key="k1",
                arm="placebo",
                phase="tune",
                candidate=0,
                seed=101,
                status="failed",
                reason="loss > 1e9 & <nan>",
                kind="not finite",
            ),
            FailedCell(
                key="k2",
                arm="placebo",
                phase="confirm",
                candidate=0,
                seed=102,
                status="failed",
                reason="ValueError: what",
                kind="exception",
                log="Traceback\n  <script>alert(1)</script> & so on\nValueError: what",
            ),
        ),
        unequal_budgets=True,
        notes=("A note with 5% & a | in it.",),
    )
