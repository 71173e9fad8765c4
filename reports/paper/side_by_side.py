"""Several studies, data sets or versions side by side: arms as rows, studies as column groups."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reports.evidence.comparison import Comparison
from reports.evidence.estimates import Estimate
from reports.evidence.statistics.datasets import DatasetTest, compare_over_datasets
from reports.tables import Heading, Rank, Table


@dataclass(frozen=True, kw_only=True)
class SideStudy:
    """A column group.

    Attributes:
        name: as the reader calls it.
        heading: its primary metric.
        baseline: the arm that deltas are from.
    """

    name: str
    heading: Heading
    baseline: str


@dataclass(frozen=True, kw_only=True)
class SideCell:
    """An arm in one study: its estimate on the primary metric there, and its rank by mean."""

    estimate: Estimate
    rank: Rank | None


@dataclass(frozen=True, kw_only=True)
class SideRow:
    """An arm; `cells` has one entry a study, None where the study has no such arm."""

    arm: str
    cells: tuple[SideCell | None, ...]


@dataclass(frozen=True, kw_only=True)
class SideBySide:
    """What is drawn: plain text, unescaped, and unrounded numbers.

    Attributes:
        studies: column groups, in the order given.
        rows: arms, in the order of the first study that has them.
        caption: what the numbers are.
        notes: what a reader should know beside.
        test: over data sets; None where it was declined, and a note says why.
    """

    studies: tuple[SideStudy, ...]
    rows: tuple[SideRow, ...]
    caption: str
    notes: tuple[str, ...]
    test: DatasetTest | None = None


def side_by_side(named: Mapping[str, tuple[Comparison, Table]]) -> SideBySide:
    """Put studies side by side, arm by arm, on the primary metric of each.

    Args:
        named: what the reader calls a study -> its comparison and table.

    Raises:
        ValueError: no study.
    """
    if not named:
        raise ValueError("nothing to put side by side; give at least one study")
    studies = tuple(
        SideStudy(name=name, heading=table.header[0], baseline=comparison.facts.baseline)
        for name, (comparison, table) in named.items()
    )
    cells = [
        {row.arm: SideCell(estimate=row.primary, rank=row.cells[0].rank) for row in table.rows}
        for _, table in named.values()
    ]
    arms = list(dict.fromkeys(arm for of_study in cells for arm in of_study))
    rows = tuple(
        SideRow(arm=arm, cells=tuple(of_study.get(arm) for of_study in cells)) for arm in arms
    )
    tested = _test([comparison for comparison, _ in named.values()], studies, rows)
    return SideBySide(
        studies=studies,
        rows=rows,
        caption=_caption(studies),
        notes=(
            *_notes(named, rows),
            *((f"No test over data sets: {tested}.",) if isinstance(tested, str) else ()),
            *((_said(tested),) if isinstance(tested, DatasetTest) else ()),
        ),
        test=tested if isinstance(tested, DatasetTest) else None,
    )


def _caption(studies: Sequence[SideStudy]) -> str:
    metrics = list(dict.fromkeys(study.heading.label for study in studies))
    one = metrics[0] if len(metrics) == 1 else "the primary metric of each study"
    return (
        f"{_capital(one)} on the test split, mean ± sd over confirm seeds; Δ: difference from the "
        "study's own baseline, paired by seed. Verdicts are Holm-corrected within each study, not "
        "over studies. A dash: no such arm."
    )


def _notes(named: Mapping[str, tuple[Comparison, Table]], rows: Sequence[SideRow]) -> list[str]:
    comparisons = {name: comparison for name, (comparison, _) in named.items()}
    notes = []
    baselines = {comparison.facts.baseline for comparison in comparisons.values()}
    if len(baselines) > 1:
        each = "; ".join(f"{name}: {c.facts.baseline}" for name, c in comparisons.items())
        notes.append(f"The baselines differ ({each}), so deltas are not of the same thing.")
    primaries = {comparison.primary.name for comparison in comparisons.values()}
    if len(primaries) > 1:
        each = "; ".join(f"{name}: {c.primary.label}" for name, c in comparisons.items())
        notes.append(f"The primary metrics differ ({each}).")
    notes += [
        f"{name}: tuning budgets are unequal."
        for name, comparison in comparisons.items()
        if comparison.unequal_budgets
    ]
    if len(comparisons) > 1 and not any(
        sum(cell is not None for cell in row.cells) > 1 for row in rows
    ):
        notes.append("No arm is in more than one of these studies.")
    opposite = [
        row.arm
        for row in rows
        if {"better", "worse"} <= {cell.estimate.verdict for cell in row.cells if cell is not None}
    ]
    if opposite:
        notes.append(f"Better in one study and worse in another: {', '.join(opposite)}.")
    return notes


def _test(
    comparisons: Sequence[Comparison], studies: Sequence[SideStudy], rows: Sequence[SideRow]
) -> DatasetTest | str:
    """Friedman's test, or why there is none."""
    if len(comparisons) < 2:
        return "there is one study"
    if len({study.heading.metric for study in studies}) > 1:
        return "the primary metrics differ"
    data = [comparison.facts.provenance.get("data sha256", "") for comparison in comparisons]
    known = [digest for digest in data if digest]
    if len(set(known)) < len(known):
        return "some of these studies are of the same data, so they are not as many data sets"
    means = {
        study.name: {
            row.arm: cell.estimate.mean
            for row in rows
            if (cell := row.cells[place]) is not None and cell.estimate.mean is not None
        }
        for place, study in enumerate(studies)
    }
    higher = comparisons[0].primary.higher_is_better
    return compare_over_datasets(means, higher_is_better=higher)


def _said(test: DatasetTest) -> str:
    groups = "; ".join(", ".join(group) for group in test.groups)
    return (
        f"Friedman's test over {test.datasets} data sets: p = {test.p:.3g}; mean ranks that are "
        f"more than {test.critical_difference:.2f} apart differ (Nemenyi). Not told apart: "
        f"{groups or 'none'}."
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
