"""The schedule of a study: arms in turn with equal budgets, each first tuned, then confirmed."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace

from search.ledger.record import CellRecord
from search.results.selection import ArmCells
from search.schedule.arm_schedule import ArmSchedule, FrozenArm
from search.schedule.pack import Pack
from search.schedule.pack_sizes import PackSizes
from search.schedule.remaining_budget import pack_share
from spaces.abilities import PackSize
from spaces.plan.plan import Plan


class Schedule:
    """The schedule of all arms of a plan, which are served in turn."""

    def __init__(
        self, plan: Plan, records: Iterable[CellRecord], sizes: PackSizes | None = None
    ) -> None:
        """Start from what is finished.

        Args:
            plan: Plan of the study.
            records: Cells of the ledger.
            sizes: Pack sizes; None = as measured in this run.
        """
        finished = list(records)
        by_arm: dict[str, list[CellRecord]] = {}
        for record in finished:
            by_arm.setdefault(record.arm_key, []).append(record)
        self.sizes = sizes or PackSizes()
        self.arms: dict[str, ArmSchedule] = {}
        tuned: dict[str, ArmSchedule] = {}
        # A frozen arm needs its reference, so that comes first; they are served in the order of the
        # plan all the same.
        for arm in sorted(plan.arms, key=lambda arm: bool(arm.frozen)):
            cells = ArmCells(arm.key, by_arm.get(arm.key, ()))
            made = (
                FrozenArm(plan, arm, cells, self.sizes, tuned[arm.frozen])
                if arm.frozen
                else ArmSchedule(plan, arm, cells, self.sizes)
            )
            made.catch_up()
            tuned[arm.name] = self.arms[arm.key] = made
        self.arms = {arm.key: self.arms[arm.key] for arm in plan.arms}
        self._turn = 0
        self._requeued: deque[Pack] = deque()  # parts of lost packs

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to train."""
        return not self._requeued and all(arm.is_finished for arm in self.arms.values())

    def next_pack(self, idle: int = 1) -> Pack | None:
        """Assign the next pack: a part of a lost one, or one of the next arm in turn that has one.

        Args:
            idle: Number of workers without a pack; waiting cells are shared among them.
        """
        while self._requeued:
            part = self._requeued.popleft()
            arm = self.arms[part.arm_key]
            left = tuple(cell for cell in part.cells if not arm.is_cell_finished(cell, part.phase))
            if left:
                return replace(part, cells=left)
        arms = list(self.arms.values())
        waiting = [arm.waiting_cells() for arm in arms]
        fair = -(-sum(len(cells) for cells in waiting) // max(1, idle))
        share = pack_share(idle, sum(bool(cells) for cells in waiting))
        for step in range(len(arms)):
            place = (self._turn + step) % len(arms)
            if waiting[place]:
                self._turn = place + 1
                return arms[place].next_pack(waiting[place], fair, share)
        return None

    def add_results(self, records: Iterable[CellRecord], measured: PackSize | None = None) -> None:
        """Add finished cells, and the pack size that was measured for them."""
        if measured is not None:
            self.sizes.add_measured(measured)
        for record in records:
            self.arms[record.arm_key].add_results([record])

    def requeue(self, pack: Pack, parts: Sequence[Pack] = ()) -> None:
        """Requeue a pack that ended without all of its cells: its worker was lost, or was stopped.

        Args:
            pack: Pack as it was assigned.
            parts: Packs of some of its cells, assigned next as they are; where device-seconds are
                the budget they share what is left of the pack's. The other cells wait again.
        """
        self._requeued.extend(self.arms[pack.arm_key].requeue(pack, parts))
