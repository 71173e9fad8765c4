"""Rows of the tables whose numbers are drawn beside them: modules, path, frozen, information."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from reports.evidence.comparison import Comparison
from reports.evidence.values import Effect, Evidence, FrozenPair, Number, ShapleyValue
from reports.numerals import show, show_interval, show_p
from reports.page.marks import draw_interval, draw_pair, draw_stack, scale_of
from reports.page.verdict_table import ALL_CONFIRMED, link_to_arm
from reports.results import Amount, SharedInformation
from reports.wording import primary_decimals

TIMES = " \N{MULTIPLICATION SIGN} "
PARTS = ("redundancy", "unique_first", "unique_second", "synergy")


@dataclass(frozen=True, kw_only=True)
class DrawnRow:
    """Head, the drawn number with its interval, and further texts.

    Attributes:
        head: of the row.
        text, interval, mark: number, its interval, its drawing.
        style: of the number: `better`, `worse` or nothing.
        link: fragment of its cells; empty = none.
        more: further columns.
    """

    head: str
    text: str
    interval: str
    mark: Markup
    style: str = ""
    link: str = ""
    more: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SharedRow:
    """What a pair of modalities shares: stacked bar; (name, bits, interval, chance, p) a part."""

    head: str
    bar: Markup
    parts: tuple[tuple[str, str, str, str, str], ...]
    total: tuple[str, str, str, str]
    note: str


def main_effect_rows(evidence: Evidence, comparison: Comparison) -> tuple[DrawnRow, ...]:
    """A row a factor: estimate with interval, p and corrected p."""
    if evidence.effects is None:
        return ()
    return _effect_rows(evidence.effects.main, comparison)


def interaction_rows(evidence: Evidence, comparison: Comparison) -> tuple[DrawnRow, ...]:
    """A row a pair of factors."""
    if evidence.effects is None:
        return ()
    return _effect_rows(evidence.effects.interactions, comparison)


def shapley_rows(evidence: Evidence, comparison: Comparison) -> tuple[DrawnRow, ...]:
    """A row a module: its share of all on against all off."""
    decimals = primary_decimals(comparison)
    scale = scale_of(v for s in evidence.shapley for v in (s.value, s.low, s.high))

    def row(value: ShapleyValue) -> DrawnRow:
        style = _side(value.low, value.high, comparison)
        return DrawnRow(
            head=value.factor,
            text=show(value.value, decimals, signed=True),
            interval=show_interval(value.low, value.high, decimals),
            mark=draw_interval(scale, value.value, value.low, value.high, verdict=style),
            style=style,
            link=ALL_CONFIRMED,
        )

    return tuple(row(value) for value in evidence.shapley)


def path_rows(evidence: Evidence, comparison: Comparison) -> tuple[DrawnRow, ...]:
    """A row a step of the ablation path; more: arm, mean, arms it chose among, how sure."""
    decimals = primary_decimals(comparison)
    scale = scale_of(v for s in evidence.path for v in (s.delta, s.low, s.high))
    rows = []
    for step in evidence.path:
        style = _side(step.low, step.high, comparison)
        rows.append(
            DrawnRow(
                head=step.flip or "start",
                text=show(step.delta, decimals, signed=True) if step.flip else "",
                interval=show_interval(step.low, step.high, decimals) if step.flip else "",
                mark=draw_interval(scale, step.delta, step.low, step.high, verdict=style),
                style=style,
                link=link_to_arm(step.arm),
                more=(
                    step.arm,
                    show(step.mean, decimals),
                    str(step.considered) if step.flip else "",
                    f"{step.left} still level: by mean alone" if step.left > 1 else "",
                ),
            )
        )
    return tuple(rows)


def frozen_rows(evidence: Evidence, comparison: Comparison) -> tuple[DrawnRow, ...]:
    """A row a pair; more: delta frozen, verdicts tuned and frozen, whether they differ."""
    decimals = primary_decimals(comparison)
    scale = scale_of(v for p in evidence.frozen for v in (p.tuned_delta, p.frozen_delta))

    def row(pair: FrozenPair) -> DrawnRow:
        return DrawnRow(
            head=pair.arm,
            text=show(pair.tuned_delta, decimals, signed=True),
            interval=show(pair.frozen_delta, decimals, signed=True),
            mark=draw_pair(scale, pair.frozen_delta, pair.tuned_delta),
            link=link_to_arm(pair.arm),
            more=(
                pair.frozen_arm,
                pair.tuned_verdict,
                pair.frozen_verdict,
                "the verdict flips" if pair.flips else "",
            ),
        )

    return tuple(row(pair) for pair in evidence.frozen)


def shared_rows(information: Sequence[SharedInformation]) -> tuple[SharedRow, ...]:
    """A row a pair of modalities, all bars on one scale."""
    end = max(
        (sum(max(0.0, getattr(i, part).value) for part in PARTS) for i in information), default=0.0
    )
    return tuple(
        SharedRow(
            head=f"{i.first} + {i.second}",
            bar=draw_stack([getattr(i, part).value for part in PARTS], end),
            parts=tuple(
                (name, *_amount(getattr(i, part)))
                for name, part in zip(
                    ("shared by both", f"only {i.first}", f"only {i.second}", "only together"),
                    PARTS,
                    strict=True,
                )
            ),
            total=_amount(i.total),
            note=f"{i.utterances:,} utterances, {i.split}; {i.method}",
        )
        for i in information
    )


def _effect_rows(effects: Sequence[Effect], comparison: Comparison) -> tuple[DrawnRow, ...]:
    decimals = primary_decimals(comparison)
    scale = scale_of(v for e in effects for v in (e.estimate, e.low, e.high))
    rows = []
    for effect in effects:
        style = _side(effect.low, effect.high, comparison)
        rows.append(
            DrawnRow(
                head=TIMES.join(effect.factors),
                text=show(effect.estimate, decimals, signed=True),
                interval=show_interval(effect.low, effect.high, decimals),
                mark=draw_interval(scale, effect.estimate, effect.low, effect.high, verdict=style),
                style=style,
                link=ALL_CONFIRMED,
                more=(show_p(effect.p), show_p(effect.p_holm)),
            )
        )
    return tuple(rows)


def _side(low: Number, high: Number, comparison: Comparison) -> str:
    """Colour of an interval that lies on one side of 0. A colour, not a verdict."""
    if low is None or high is None or low <= 0 <= high:
        return "undecided"
    return "better" if (low > 0) == comparison.primary.higher_is_better else "worse"


def _amount(amount: Amount) -> tuple[str, str, str, str]:
    """Value, interval, what knowing nothing would reach, in bits; and p."""
    return (
        show(amount.value, 3),
        f"[{show(amount.low, 3)}, {show(amount.high, 3)}]",
        show(amount.null_high, 3),
        f"p {show_p(amount.p)}",
    )
