"""What is trained next: arms in turn with equal budgets, each first tuned, then confirmed."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace

from msa_core.vectorised.pack_key import PackSize
from search.ledger.record import CellRecord
from search.results.selection import ArmCells
from search.schedule.arm import ArmSchedule, FrozenArm
from search.schedule.pack import Pack
from search.schedule.pack_sizes import PackSizes
from search.schedule.remaining_budget import share_of
from spaces.plan.plan import Plan


class Schedule:
    """All arms of a plan, served in turn."""

    def __init__(
        self, plan: Plan, records: Iterable[CellRecord], sizes: PackSizes | None = None
    ) -> None:
        """Start from what is finished.

        Args:
            plan: what to train.
            records: the ledger's cells.
            sizes: how large packs may be; None = as measured in this run.
        """
        finished = list(records)
        by_arm: dict[str, list[CellRecord]] = {}
        for record in finished:
            by_arm.setdefault(record.arm_key, []).append(record)
        self.sizes = sizes or PackSizes()
        self.arms: dict[str, ArmSchedule] = {}
        tuned: dict[str, ArmSchedule] = {}
        # What others are frozen from first; served in the order of the plan all the same.
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
        self._again: deque[Pack] = deque()  # parts of packs that were lost

    @property
    def finished(self) -> bool:
        """Whether nothing is left to train."""
        return not self._again and all(arm.finished for arm in self.arms.values())

    def next_pack(self, idle: int = 1) -> Pack | None:
        """The next pack: of one that was lost, or of the next arm, in turn, that has one.

        Args:
            idle: workers without a pack; what waits is shared out among them.
        """
        while self._again:
            part = self._again.popleft()
            arm = self.arms[part.arm_key]
            left = tuple(cell for cell in part.cells if not arm.is_finished(cell, part.phase))
            if left:
                return replace(part, cells=left)
        arms = list(self.arms.values())
        waiting = [arm.waiting() for arm in arms]
        fair = -(-sum(len(cells) for cells in waiting) // max(1, idle))
        share = share_of(idle, sum(bool(cells) for cells in waiting))
        for step in range(len(arms)):
            place = (self._turn + step) % len(arms)
            if waiting[place]:
                self._turn = place + 1
                return arms[place].next_pack(waiting[place], fair, share)
        return None

    def receive(self, records: Iterable[CellRecord], measured: PackSize | None = None) -> None:
        """Take in finished cells, and how large packs like theirs should be."""
        if measured is not None:
            self.sizes.add(measured)
        for record in records:
            self.arms[record.arm_key].receive([record])

    def give_back(self, pack: Pack, parts: Sequence[Pack] = ()) -> None:
        """A pack came back without all of its cells: its worker was lost, or stopped early.

        Args:
            pack: as it was handed out.
            parts: packs of cells of it, handed out next as they are; where device-seconds are
                the budget they share what is left of the pack's. The other cells wait again.
        """
        self._again.extend(self.arms[pack.arm_key].give_back(pack, parts))
