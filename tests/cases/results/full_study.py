"""A study that fills every section of the page; its names try to break out of the page."""

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from reports.encoding import cells_from_rows
from reports.evidence.tuning.candidates import collect_candidates
from reports.evidence.tuning.pareto import pareto_fronts
from reports.evidence.values import (
    AnytimeCurve,
    Candidate,
    Effect,
    Evidence,
    ExpectedCurve,
    FactorialEffects,
    FrozenPair,
    Importance,
    LearningCurve,
    Matrix,
    PathStep,
    ShapleyValue,
    SliceEstimate,
)
from reports.evidence.verdicts import Verdict
from reports.results import Amount, FieldFacts, Results, SharedInformation, StatedClaim, StudyFacts

NASTY = 'arm 50% _x_ & "q" </script><script>alert(1)</script><!-- %{x}'
FACTORS = ("text-audio", "text-vision", "audio-vision")
FIELDS = {
    "train.learning_rate": FieldFacts(
        label="learning rate", domain="log_uniform 1e-5 .. 1e-2", log=True
    ),
    "model.fusion.width": FieldFacts(label="width of the fusion", domain="int 16 .. 256"),
    "model.fusion.kind": FieldFacts(label="fusion <b>kind</b>", domain="choice"),
}


def full_results(
    score: Any,
    *,
    arms: int = 10,
    candidates: int = 8,
    seeds: int = 6,
    utterances: int = 80,
    **changes: Any,
) -> Results:
    """Make a study whose second arm has a hostile name and whose last arm has only failed cells.

    Args:
        score: Function predictions, labels -> test metrics; `score` of synthetic.py.
        arms: Number of arms.
        candidates: Number of candidates per arm.
        seeds: Number of confirm seeds.
        utterances: Number of test utterances.
        changes: Facts that differ from the defaults.
    """
    rng = np.random.default_rng(5)
    labels = rng.uniform(-3, 3, utterances).astype(np.float32)
    names = _names(arms)
    rows: list[dict[str, Any]] = []
    predictions, curves, reasons = {}, {}, {}
    for place, arm in enumerate(names):
        broken = place == arms - 1
        lost = 0.5 + 0.25 * (place % 4) / 3
        for candidate in range(candidates):
            key = f"t{place:03d}-{candidate:04d}"
            failed = broken or (place == 2 and candidate == 0)
            rate = float(10 ** rng.uniform(-5, -2))
            rows.append(
                _row(key, arm, "tune", candidate, 1_000_001, failed, rate)
                | ({} if failed else {"metric.valid.mae": lost + 0.02 * rng.normal()})
            )
            if failed:
                reasons[key] = "loss is not finite <b>&"
            else:
                curves[key] = _curve(rng, lost)
        for seed in range(0 if broken else seeds):
            key = f"c{place:03d}-{seed:04d}"
            predicted = (labels + lost * rng.normal(size=utterances)).astype(np.float32)
            predictions[key] = predicted
            curves[key] = _curve(rng, lost)
            rows.append(
                _row(key, arm, "confirm", 3, seed, False, 1e-3)
                | {"metric.valid.mae": lost}
                | score(predicted, labels)
            )
    facts = StudyFacts(
        **{
            "study": "full study",
            "question": "Which pairs of modalities should share information?",
            "arms": names,
            "changes": {arm: {"loss.alignment": f"<i>{place}"} for place, arm in enumerate(names)},
            "baseline": names[0],
            "primary": "mae",
            "margins": {"mae": 0.05},
            "scheme": "mosi",
            "candidates": candidates,
            "searched": {arm: tuple(FIELDS) for arm in names},
            "tune_seeds": (1_000_001,),
            "confirm_seeds": tuple(range(seeds)),
            "notes": ("A note with 5% & a | in it.",),
            "provenance": {"git commit": "abc123", "data": "<i>sha</i>"},
            "claims": (
                StatedClaim(text=f"{NASTY} is worse", arm=names[1], relation="worse",
                            other=names[0], metric="mae", amount=0.01),
            ),
            "fields": FIELDS,
            "sampler": "random",
            "second_metric": "parameters",
            **changes,
        }
    )  # fmt: skip
    return Results(
        facts=facts,
        cells=cells_from_rows(rows),
        predictions=predictions,
        labels=labels,
        reasons=reasons,
        kinds=dict.fromkeys(reasons, "not finite"),
        logs={key: "Traceback\n</pre><script>alert(2)</script>" for key in list(reasons)[:3]},
        curves=curves,
        tags={"strength": tuple("weak" if abs(y) < 1 else "strong" for y in labels)},
        information=(_shared("text", "audio"), _shared("text", "<vision>")),
        planned_confirm=arms * seeds,
        unblindings=(
            "On 2026-11-26 ada opened the test metrics with 12 of 60 confirm cells done.",
        ),
    )


def full_evidence(results: Results) -> Evidence:
    """Evidence written by hand for the arms of a study, so that every section has something."""
    rng = np.random.default_rng(11)
    facts = results.facts
    arms = facts.arms
    whole = tuple(0.9 - 0.3 * (1 - 0.8**epoch) for epoch in range(20))
    pairs = tuple(combinations(FACTORS, 2))
    return Evidence(
        effects=FactorialEffects(
            factors=FACTORS,
            arms=8,
            seeds=6,
            main=tuple(_effect((factor,), 0.03 * (n - 1)) for n, factor in enumerate(FACTORS)),
            interactions=tuple(_effect(pair, 0.01 * (n - 1)) for n, pair in enumerate(pairs)),
        ),
        shapley=tuple(
            ShapleyValue(factor=f, value=0.02 * n, low=0.02 * n - 0.01, high=0.02 * n + 0.01)
            for n, f in enumerate(FACTORS)
        ),
        matrices=(
            Matrix(
                row_factor="pair",
                column_factor="fusion",
                rows=("none", "<b>TA"),
                columns=("concat", "tfn", "gate"),
                arms=((arms[0], arms[1], None), (arms[2], arms[3], arms[4])),
                means=((0.7, 0.72, None), (0.69, 0.75, 0.8)),
            ),
        ),
        path=(
            PathStep(arm=arms[0], flip="", mean=0.7, delta=None, low=None, high=None, considered=0),
            PathStep(
                arm=arms[1], flip="text-audio: off", mean=0.68, delta=-0.02, low=-0.03, high=-0.01,
                considered=3,
            ),
        ),
        frozen=(
            FrozenPair(
                arm=arms[1], frozen_arm=arms[2], tuned_delta=0.02, frozen_delta=0.11,
                tuned_verdict=Verdict.UNDECIDED, frozen_verdict=Verdict.WORSE, flips=True,
            ),
        ),
        importance=tuple(
            Importance(arm=arm, field=path, value=share, low=share - 0.1, high=share + 0.1,
                       candidates=8)
            for arm in arms[:-1]
            for path, share in zip(FIELDS, (0.6, 0.3, 0.1), strict=True)
        ),
        anytime=tuple(
            AnytimeCurve(arm=arm, seconds=tuple(10.0 * (n + 1) for n in range(8)),
                         best=tuple(0.9 - 0.02 * n - 0.001 * place for n in range(8)))
            for place, arm in enumerate(arms[:-1])
        ),
        expected=tuple(
            ExpectedCurve(arm=arm, values=tuple(0.9 - 0.03 * n**0.5 for n in range(8)))
            for arm in arms[:-1]
        ),
        slices=tuple(
            SliceEstimate(
                arm=arm, dimension="strength", tag=tag, utterances=40, mean=0.7,
                delta=None if arm == facts.baseline else 0.02, low=None, high=None,
            )
            for arm in arms[:-1]
            for tag in ("weak", "<strong>")
        ),
        learning=tuple(
            LearningCurve(arm=arm, mean=tuple(v + 0.003 * place for v in whole),
                          low=tuple(v - 0.05 for v in whole), high=tuple(v + 0.05 for v in whole),
                          cells=(6,) * 20)
            for place, arm in enumerate(arms[:-1])
        ),
        tuning=tuple(
            Candidate(
                arm=arm,
                number=candidate,
                params={
                    "train.learning_rate": float(10 ** rng.uniform(-5, -2)),
                    "model.fusion.width": int(rng.integers(16, 256)),
                    "model.fusion.kind": ("concat", "<script>")[candidate % 2],
                },
                value=None if candidate == 0 else float(rng.uniform(0.6, 0.9)),
                status="failed" if candidate == 0 else "complete",
                confirmed=candidate == 3,
            )
            for arm in arms[:-1]
            for candidate in range(facts.candidates)
        ),
        fronts=pareto_fronts(collect_candidates(results), facts, {}),
        second_label="Parameters",
        declined={"datasets": "A test over data sets needs about six; this is <one>."},
    )  # fmt: skip


def sealed(results: Results) -> Results:
    """Put the same results under embargo: without anything of the test set."""
    tests = [c for c in results.cells.columns if str(c).startswith("metric.test.")]
    return replace(
        results,
        cells=results.cells.drop(columns=tests),
        predictions={},
        labels=None,
        tags={},
        embargoed=True,
        unblindings=(),
    )


def _names(arms: int) -> tuple[str, ...]:
    return ("no pair", NASTY, *(f"pair {n} with width {8 * n}" for n in range(2, arms)))


def _row(
    key: str, arm: str, phase: str, candidate: int, seed: int, failed: bool, rate: float
) -> dict[str, Any]:
    return {
        "key": key,
        "arm": arm,
        "phase": phase,
        "candidate": candidate,
        "seed": seed,
        "status": "failed" if failed else "complete",
        "epochs": 30,
        "metric.seconds": 12.5,
        "metric.parameters": 1000.0 + 100 * candidate,
        "param.train.learning_rate": rate,
        "param.model.fusion.width": 16 + candidate,
        "param.model.fusion.kind": ("concat", "<script>")[candidate % 2],
        "param.train.batch_size": 64,
        "param.features.standardise": True,
    }


def _curve(rng: np.random.Generator, end: float) -> Any:
    values = end + 0.5 * 0.85 ** np.arange(30) + 0.01 * rng.normal(size=30)
    return values.astype(np.float32)


def _effect(factors: tuple[str, ...], estimate: float) -> Effect:
    return Effect(
        factors=factors,
        estimate=estimate,
        low=estimate - 0.01,
        high=estimate + 0.01,
        p=0.02,
        p_holm=0.06,
    )


def _shared(first: str, second: str) -> SharedInformation:
    def amount(value: float) -> Amount:
        return Amount(value=value, low=value - 0.02, high=value + 0.02, null_high=0.03, p=0.01)

    return SharedInformation(
        first=first,
        second=second,
        redundancy=amount(0.12),
        unique_first=amount(0.3),
        unique_second=amount(-0.005),
        synergy=amount(0.06),
        total=amount(0.475),
        utterances=1284,
        split="training utterances",
        method="4 clusters per modality",
    )
