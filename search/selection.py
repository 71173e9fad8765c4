"""Which candidate of an arm is the best, and which cells of a ledger a plan is made of."""

from collections.abc import Iterable, Mapping, Sequence

from msa_core.config_paths import Value
from search.ledger import CellRecord
from spaces.plan import CONFIRM, TUNE


def candidate_value(cells: Sequence[CellRecord], metric: str, seeds: int) -> float | None:
    """Mean validation value over the tuning seeds; None unless every seed completed with one."""
    name = f"valid.{metric}"
    values = [
        cell.metrics[name] for cell in cells if cell.status == "complete" and name in cell.metrics
    ]
    # Summed in the order of the seeds, so that the order of finishing changes no digit.
    return sum(values) / seeds if len(values) == seeds else None


def best_candidate(values: Mapping[int, float | None], higher_is_better: bool) -> int | None:
    """The candidate with the best value, the earlier one of equals; None if all failed."""
    valued = {number: value for number, value in values.items() if value is not None}
    if not valued:
        return None
    sign = -1.0 if higher_is_better else 1.0
    return min(valued, key=lambda number: (sign * valued[number], number))


class ArmCells:
    """The cells of one planned arm, by phase, candidate and seed."""

    def __init__(self, arm_key: str, records: Iterable[CellRecord]) -> None:
        self.arm_key = arm_key
        self._cells: dict[tuple[str, int, int], CellRecord] = {}
        self._params: dict[int, Mapping[str, Value]] = {}
        for record in records:
            self.add(record)

    def add(self, record: CellRecord) -> None:
        """Take in a cell; a cell of another arm is passed over."""
        if record.arm_key == self.arm_key:
            self._cells[record.phase, record.candidate, record.seed] = record
            if record.phase == TUNE:
                self._params[record.candidate] = record.params

    def get(self, phase: str, candidate: int, seed: int) -> CellRecord | None:
        """The cell, if it is finished."""
        return self._cells.get((phase, candidate, seed))

    def missing(self, phase: str, candidate: int, seeds: Sequence[int]) -> list[int]:
        """The seeds of a candidate that are not finished."""
        return [seed for seed in seeds if (phase, candidate, seed) not in self._cells]

    def finished(self, phase: str, candidate: int, seeds: Sequence[int]) -> list[CellRecord]:
        """The finished cells of a candidate, in the order of the seeds."""
        found = (self.get(phase, candidate, seed) for seed in seeds)
        return [record for record in found if record is not None]

    def values(self, candidates: int, seeds: Sequence[int], metric: str) -> dict[int, float | None]:
        """Candidate -> mean validation value; None where it failed or is not finished."""
        return {
            number: candidate_value(self.finished(TUNE, number, seeds), metric, len(seeds))
            for number in range(candidates)
        }

    def candidates(self) -> list[Mapping[str, Value]]:
        """What every candidate with a finished tuning cell was."""
        return list(self._params.values())

    def params(self, candidate: int) -> Mapping[str, Value] | None:
        """What a candidate was, if any tuning cell of it is finished."""
        return self._params.get(candidate)


def planned_cells(
    cells: ArmCells,
    *,
    candidates: int,
    tune_seeds: Sequence[int],
    confirm_seeds: Sequence[int],
    metric: str,
    higher_is_better: bool,
) -> list[CellRecord]:
    """The cells of one arm that belong to the plan as it stands now.

    A ledger may hold more: candidates beyond a budget made smaller, or confirm cells of a
    candidate that a larger budget has since beaten.

    Args:
        cells: the arm's finished cells.
        candidates: tuning budget; 0 = nothing to tune, candidate 0 is the arm itself.
        tune_seeds: of the plan.
        confirm_seeds: of the plan.
        metric: the primary metric.
        higher_is_better: its direction.
    """
    tuned = [cells.finished(TUNE, number, tune_seeds) for number in range(candidates)]
    best: int | None = 0
    if candidates:
        best = best_candidate(cells.values(candidates, tune_seeds, metric), higher_is_better)
    confirmed = [] if best is None else cells.finished(CONFIRM, best, confirm_seeds)
    return [record for found in tuned for record in found] + confirmed
