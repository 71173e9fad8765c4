"""A study with everything that a paper could show, and names that no format may stumble over."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from reports.evidence.comparison import Comparison, compare_arms
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
from reports.paper.files import paper_files
from reports.results import FieldFacts, Results
from reports.tables import Table, build_table

FORMULA = "=HYPERLINK(1)"
OTHER = "näive \N{GREEK SMALL LETTER ALPHA} 中"
ENTRY = """@article{someone2020,
  author = {Someone, Ann},
  title  = {A {T}itle},
  year   = {2020}
}"""


@dataclass(frozen=True)
class Full:
    """A study and all that is known of it."""

    results: Results
    comparison: Comparison
    evidence: Evidence
    table: Table

    def files(self) -> dict[str, str | bytes]:
        return paper_files(self.results, self.comparison, self.evidence, self.table)


def _effect(factors: tuple[str, ...], estimate: float) -> Effect:
    return Effect(
        factors=factors, estimate=estimate, low=estimate - 0.05, high=estimate + 0.04,
        p=0.01, p_holm=0.02,
    )  # fmt: skip


def make_evidence(arms: tuple[str, ...]) -> Evidence:
    """Every kind of evidence, of these arms."""
    baseline, nasty = arms[0], arms[1]
    return Evidence(
        effects=FactorialEffects(
            factors=("text", "a_b & c"),
            arms=4,
            seeds=10,
            main=(_effect(("text",), -0.3), _effect(("a_b & c",), 0.02)),
            interactions=(_effect(("text", "a_b & c"), 0.07),),
        ),
        shapley=(
            ShapleyValue(factor="text", value=-0.3, low=-0.35, high=-0.2),
            ShapleyValue(factor="a_b & c", value=0.02, low=None, high=None),
        ),
        matrices=(
            Matrix(
                row_factor="fusion",
                column_factor="pairs $x$",
                rows=("concat", "t_f_n"),
                columns=("none", "T & A"),
                arms=((baseline, nasty), (None, FORMULA)),
                means=((0.4, 0.7), (None, 0.5)),
            ),
        ),
        path=(
            PathStep(arm=nasty, flip="", mean=0.7, delta=None, low=None, high=None, considered=1),
            PathStep(
                arm=baseline, flip="text: on", mean=0.4, delta=-0.3, low=-0.4, high=-0.2,
                considered=2,
            ),
        ),
        frozen=(
            FrozenPair(
                arm=nasty, frozen_arm=FORMULA, tuned_delta=0.3, frozen_delta=0.1,
                tuned_verdict="worse", frozen_verdict="undecided", flips=True,
            ),
        ),
        importance=tuple(
            Importance(
                arm=arm, field=field, value=value, low=value / 2, high=min(1.0, value * 1.2),
                candidates=20,
            )
            for arm in arms[:2]
            for field, value in (("optimizer.lr", 0.8), ("loss.weight", 0.2))
        ),
        anytime=(AnytimeCurve(arm=baseline, seconds=(1.0, 2.5), best=(0.5, 0.4)),),
        expected=(ExpectedCurve(arm=baseline, values=(0.5, 0.45)),),
        slices=(
            SliceEstimate(
                arm=nasty, dimension="length", tag="short", utterances=20, mean=0.6, delta=0.2,
                low=0.1, high=0.3,
            ),
        ),
        learning=tuple(
            LearningCurve(
                arm=arm, mean=(1.0, 0.7, None), low=(0.9, 0.6, None), high=(1.1, 0.8, None),
                cells=(10, 8, 0),
            )
            for arm in arms
        ),
        tuning=(
            Candidate(
                arm=baseline, number=0, params={"optimizer.lr": 0.001, "kind": FORMULA},
                value=0.5, status="complete", confirmed=True,
            ),
            Candidate(
                arm=nasty, number=1, params={"optimizer.lr": 0.002}, value=None,
                status="failed", confirmed=False,
            ),
        ),
    )  # fmt: skip


def make_full(synthetic: ModuleType, **changes: Any) -> Full:
    """A study of four arms, one with a nasty name and one with a formula's."""
    noise = {"full": 0.5, synthetic.NASTY: 0.9, FORMULA: 0.52, OTHER: 0.5}
    given: dict[str, Any] = {
        "question": "Does 100% of <b>text</b> & \\LaTeX matter?",
        "margins": {"mae": 0.05},
        "changes": {"full": {}, synthetic.NASTY: {"modalities.text": False}, FORMULA: {}},
        "levels": {
            "full": {"text": "on", "a_b & c": "on"},
            synthetic.NASTY: {"text": "off", "a_b & c": "on"},
            FORMULA: {"text": "on", "a_b & c": "off"},
        },
        "searched": {
            "full": ("optimizer.lr", "loss.weight"),
            synthetic.NASTY: ("optimizer.lr",),
            FORMULA: ("optimizer.lr",),
            OTHER: ("optimizer.lr",),
        },
        "fields": {
            "optimizer.lr": FieldFacts(
                label="learning rate", symbol=r"\eta", domain="log_uniform [0.001, 0.01]", log=True
            ),
            "loss.weight": FieldFacts(
                label="weight_%", symbol=r"\input{x}", domain="int [1, 8] step 2"
            ),
        },
        "sampler": "random",
        "methods": {"full": ("someone2020",), synthetic.NASTY: ("someone2020", "unheard1999")},
        "references": {"someone2020": ENTRY, "broken": "@article{broken, title = {"},
        "provenance": {"data": "planted", "data sha256": "ab" * 32, "python": "3.11.7"},
        **changes,
    }
    results = replace(
        synthetic.make_results(noise, **given),
        unblindings=("Test metrics were opened early, on 2026-01-02.",),
        curves={"c-full-0": np.array([1.0, 0.7], dtype=np.float32)},
    )
    comparison = compare_arms(results, synthetic.METRICS, seed=0, draws=200)
    return Full(results, comparison, make_evidence(results.facts.arms), build_table(comparison))


@pytest.fixture(scope="session")
def full(synthetic: ModuleType) -> Full:
    return make_full(synthetic)


@pytest.fixture(scope="session")
def make(synthetic: ModuleType) -> Callable[..., Full]:
    return lambda **changes: make_full(synthetic, **changes)


@pytest.fixture(scope="session")
def files(full: Full) -> Mapping[str, str | bytes]:
    return full.files()


@pytest.fixture
def written() -> Callable[[Mapping[str, str | bytes], Path], None]:
    """Writes files below a folder."""

    def write(files: Mapping[str, str | bytes], folder: Path) -> None:
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return write
