"""Several studies, data sets or versions side by side: arms as rows, studies as column groups."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reports.evidence.comparison import Comparison
from reports.evidence.statistics.datasets import DatasetTest, compare_over_datasets
from reports.evidence.verdicts import Declined, Verdict
from reports.tables import Heading, Table, TableCell


@dataclass(frozen=True, kw_only=True)
class SideStudy:
    """A study, which is a group of columns.

    Attributes:
        name: Name of the study in the table.
        heading: Heading of its primary metric.
    """

    name: str
    heading: Heading


@dataclass(frozen=True, kw_only=True)
class SideRow:
    """An arm on the primary metric of each study; None where the study has no such arm."""

    arm: str
    cells: tuple[TableCell | None, ...]


@dataclass(frozen=True, kw_only=True)
class SideBySide:
    """The content of the table: plain text, not escaped, and unrounded numbers.

    Attributes:
        studies: Groups of columns, in the order given.
        rows: Arms, in the order of the first study that has them.
        caption: Description of the numbers.
        notes: Sentences on what differs between the studies, and the test over data sets.
    """

    studies: tuple[SideStudy, ...]
    rows: tuple[SideRow, ...]
    caption: str
    notes: tuple[str, ...]


def side_by_side(named: Mapping[str, tuple[Comparison, Table]]) -> SideBySide:
    """Put studies side by side, arm by arm, on the primary metric of each.

    Args:
        named: Name of each study in the table -> its comparison and table.

    Raises:
        ValueError: No study was given.
    """
    if not named:
        raise ValueError("nothing to put side by side; give at least one study")
    studies = tuple(
        SideStudy(name=name, heading=table.header[0]) for name, (_, table) in named.items()
    )
    cells = [{row.arm: row.cells[0] for row in table.rows} for _, table in named.values()]
    arms = list(dict.fromkeys(arm for of_study in cells for arm in of_study))
    rows = tuple(
        SideRow(arm=arm, cells=tuple(of_study.get(arm) for of_study in cells)) for arm in arms
    )
    test = _friedman_test([comparison for comparison, _ in named.values()], studies, rows)
    return SideBySide(
        studies=studies,
        rows=rows,
        caption=_sides_caption(studies),
        notes=(
            *_difference_notes(named, rows),
            f"No test over data sets: {test.reason}."
            if isinstance(test, Declined)
            else _test_sentence(test),
        ),
    )


def _sides_caption(studies: Sequence[SideStudy]) -> str:
    metrics = list(dict.fromkeys(study.heading.label for study in studies))
    one = metrics[0] if len(metrics) == 1 else "the primary metric of each study"
    return (
        f"{one[:1].upper()}{one[1:]} on the test split, mean ± sd over confirm seeds; Δ: "
        "difference from the "
        "study's own baseline, paired by seed. Verdicts are Holm-corrected within each study, not "
        "over studies. A dash: no such arm."
    )


def _difference_notes(
    named: Mapping[str, tuple[Comparison, Table]], rows: Sequence[SideRow]
) -> list[str]:
    comparisons = {name: comparison for name, (comparison, _) in named.items()}
    notes = []
    # Reported, and not refused: a reader may want the means side by side all the same.
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
        if {Verdict.BETTER, Verdict.WORSE}
        <= {cell.estimate.verdict for cell in row.cells if cell is not None}
    ]
    if opposite:
        notes.append(f"Better in one study and worse in another: {', '.join(opposite)}.")
    return notes


def _friedman_test(
    comparisons: Sequence[Comparison], studies: Sequence[SideStudy], rows: Sequence[SideRow]
) -> DatasetTest | Declined:
    """Return Friedman's test over the studies, or the reason why there is none."""
    if len(comparisons) < 2:
        return Declined("there is one study")
    if len({study.heading.metric for study in studies}) > 1:
        return Declined("the primary metrics differ")
    data = [comparison.facts.provenance.get("data sha256", "") for comparison in comparisons]
    # Studies of the same data are not independent, and the test would count them as data sets.
    known = [digest for digest in data if digest]
    if len(set(known)) < len(known):
        return Declined(
            "some of these studies are of the same data, so they are not as many data sets"
        )
    means = {
        study.name: {
            row.arm: cell.estimate.mean
            for row in rows
            if (cell := row.cells[index]) is not None and cell.estimate.mean is not None
        }
        for index, study in enumerate(studies)
    }
    higher = comparisons[0].primary.higher_is_better
    return compare_over_datasets(means, higher_is_better=higher)


def _test_sentence(test: DatasetTest) -> str:
    groups = "; ".join(", ".join(group) for group in test.groups)
    return (
        f"Friedman's test over {test.datasets} data sets: p = {test.p:.3g}; mean ranks that are "
        f"more than {test.critical_difference:.2f} apart differ (Nemenyi). Not told apart: "
        f"{groups or 'none'}."
    )
