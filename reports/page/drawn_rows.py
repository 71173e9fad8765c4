"""Rows of the tables with a drawing beside each number: modules, path, frozen, information."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from reports.evidence.comparison import Comparison
from reports.evidence.values import Effect, Evidence, Number
from reports.numerals import format_interval, format_number, format_p
from reports.page.marks import Scale, draw_interval, draw_pair, draw_stack, scale_of
from reports.page.verdict_table import ALL_CONFIRMED, link_to_arm
from reports.results import Amount, SharedInformation
from reports.wording import primary_decimals

TIMES = " \N{MULTIPLICATION SIGN} "
# Attributes of `SharedInformation`, in the order of the colours `part0` to `part3` of the page.
PARTS = ("redundancy", "unique_first", "unique_second", "synergy")


@dataclass(frozen=True, kw_only=True)
class DrawnRow:
    """Head, the drawn number with its interval, and further texts.

    Attributes:
        head: Head of the row.
        text, interval, mark: Number, its interval, its drawing.
        style: Colour of the number: `better`, `worse`, `undecided` or none.
        link: Fragment of the address that opens its cells; empty = none.
        more: Texts of further columns.
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
    """Information that a pair of modalities shares: a stacked bar, and texts per part.

    Attributes:
        head: Names of the two modalities.
        bar: Drawing of the parts side by side.
        parts: Name, bits, interval, bits that chance reaches, and p of each part.
        total: The same of all parts together, without a name.
        note: Number of utterances, split and method.
    """

    head: str
    bar: Markup
    parts: tuple[tuple[str, str, str, str, str], ...]
    total: tuple[str, str, str, str]
    note: str


def main_effect_rows(evidence: Evidence, comparison: Comparison) -> tuple[DrawnRow, ...]:
    """Return a row per factor: estimate with interval, p and corrected p."""
    if evidence.effects is None:
        return ()
    return _effect_rows(evidence.effects.main, comparison)


def interaction_rows(evidence: Evidence, comparison: Comparison) -> tuple[DrawnRow, ...]:
    """Return a row per pair of factors: estimate with interval, p and corrected p."""
    if evidence.effects is None:
        return ()
    return _effect_rows(evidence.effects.interactions, comparison)


def shapley_rows(evidence: Evidence, comparison: Comparison) -> tuple[DrawnRow, ...]:
    """Return a row per module: its share of the difference between all on and all off."""
    scale = scale_of(v for s in evidence.shapley for v in (s.value, s.low, s.high))
    return tuple(
        _estimate_row(comparison, scale, s.factor, (s.value, s.low, s.high), ALL_CONFIRMED)
        for s in evidence.shapley
    )


def path_rows(evidence: Evidence, comparison: Comparison) -> tuple[DrawnRow, ...]:
    """Return a row per step of the ablation path.

    `more` holds the arm, its mean, the number of arms it was chosen among, and a note where others
    could not be told from it.
    """
    decimals = primary_decimals(comparison)
    scale = scale_of(v for s in evidence.path for v in (s.delta, s.low, s.high))
    rows = []
    for step in evidence.path:
        more = (
            step.arm,
            format_number(step.mean, decimals),
            str(step.considered) if step.flip else "",
            f"{step.left} still level: by mean alone" if step.left > 1 else "",
        )
        difference = (step.delta, step.low, step.high)
        link = link_to_arm(step.arm)
        row = _estimate_row(comparison, scale, step.flip or "start", difference, link, more)
        # The path starts with an arm that is no step: empty, and not a dash for a missing value.
        rows.append(row if step.flip else replace(row, text="", interval=""))
    return tuple(rows)


def frozen_rows(evidence: Evidence, comparison: Comparison) -> tuple[DrawnRow, ...]:
    """Return a row per arm that was tuned and frozen, with both differences.

    `more` holds the name of the frozen arm, the verdicts tuned and frozen, and whether they differ.
    """
    decimals = primary_decimals(comparison)
    scale = scale_of(v for p in evidence.frozen for v in (p.tuned_delta, p.frozen_delta))
    return tuple(
        DrawnRow(
            head=pair.arm,
            text=format_number(pair.tuned_delta, decimals, signed=True),
            interval=format_number(pair.frozen_delta, decimals, signed=True),
            mark=draw_pair(scale, pair.frozen_delta, pair.tuned_delta),
            link=link_to_arm(pair.arm),
            more=(
                pair.frozen_arm,
                pair.tuned_verdict,
                pair.frozen_verdict,
                "the verdict flips" if pair.flips else "",
            ),
        )
        for pair in evidence.frozen
    )


def shared_rows(information: Sequence[SharedInformation]) -> tuple[SharedRow, ...]:
    """Return a row per pair of modalities, all bars on one scale."""
    # Amounts below 0, which estimates may be, take no room in a bar.
    end = max(
        (sum(max(0.0, getattr(i, part).value) for part in PARTS) for i in information), default=0.0
    )
    return tuple(
        SharedRow(
            head=f"{i.first} + {i.second}",
            bar=draw_stack([getattr(i, part).value for part in PARTS], end),
            parts=tuple(
                (name, *_amount_texts(getattr(i, part)))
                for name, part in zip(
                    ("shared by both", f"only {i.first}", f"only {i.second}", "only together"),
                    PARTS,
                    strict=True,
                )
            ),
            total=_amount_texts(i.total),
            note=f"{i.utterances:,} utterances, {i.split}; {i.method}",
        )
        for i in information
    )


def _effect_rows(effects: Sequence[Effect], comparison: Comparison) -> tuple[DrawnRow, ...]:
    scale = scale_of(v for e in effects for v in (e.estimate, e.low, e.high))
    return tuple(
        _estimate_row(
            comparison,
            scale,
            TIMES.join(e.factors),
            (e.estimate, e.low, e.high),
            ALL_CONFIRMED,
            (format_p(e.p), format_p(e.p_holm)),
        )
        for e in effects
    )


def _estimate_row(
    comparison: Comparison,
    scale: Scale,
    head: str,
    estimate: tuple[Number, Number, Number],
    link: str,
    more: tuple[str, ...] = (),
) -> DrawnRow:
    """Return the row of an estimate: value, and lower and upper end of its interval."""
    value, low, high = estimate
    decimals = primary_decimals(comparison)
    style = _interval_style(low, high, comparison)
    return DrawnRow(
        head=head,
        text=format_number(value, decimals, signed=True),
        interval=format_interval(low, high, decimals),
        mark=draw_interval(scale, value, low, high, verdict=style),
        style=style,
        link=link,
        more=more,
    )


def _interval_style(low: Number, high: Number, comparison: Comparison) -> str:
    """Return the colour of an interval: its side of 0, which is no verdict."""
    if low is None or high is None or low <= 0 <= high:
        return "undecided"
    return "better" if (low > 0) == comparison.primary.higher_is_better else "worse"


def _amount_texts(amount: Amount) -> tuple[str, str, str, str]:
    """Return value, interval, the bits that chance reaches, and p."""
    return (
        format_number(amount.value, 3),
        f"[{format_number(amount.low, 3)}, {format_number(amount.high, 3)}]",
        format_number(amount.null_high, 3),
        f"p {format_p(amount.p)}",
    )
