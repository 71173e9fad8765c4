"""Cells trained again, here and now, without Ray: as a worker trains them, to the last bit."""

from collections.abc import Collection, Iterator, Mapping, Sequence

import torch

from msa_core.data.dataset import Dataset
from search.errors import RunError
from search.ledger.record import CellRecord
from search.provenance import code_version
from search.results.selection import higher_is_better
from search.schedule.pack import Pack, PackCell
from search.worker.pack_work import PackWork, cells_of
from search.worker.worker import Worker
from spaces.plan.plan import CONFIRM, TUNE

PRUNED = "pruned"


class PackAgain(PackWork):
    """A pack whose cells are stopped where they were stopped then, and not compared again."""

    def __init__(self, pack: Pack, worker: Worker, stops: Mapping[str, int]) -> None:
        """Start to train.

        Args:
            pack: what to train.
            worker: where.
            stops: key of a cell that was stopped early -> epochs that it had trained then.
        """
        self._stops = stops
        super().__init__(pack, worker)

    def _watch(self, epoch: int, seen: Mapping[int, Mapping[str, float]]) -> None:
        self.training.stop(
            [place for place, cell in enumerate(self.pack.cells)
             if self._stops.get(cell.key) == epoch]
        )  # fmt: skip


def train_again(
    records: Sequence[CellRecord], dataset: Dataset, *, metric: str, device: str, test: bool
) -> Iterator[list[CellRecord]]:
    """Train cells again, those of an arm and a phase in one pack; yields pack after pack.

    What a cell comes to does not depend on its pack. A cell that was stopped early is stopped
    after as many epochs. Plugins of the study have to be in use already.

    Args:
        records: of the cells as they were.
        dataset: to train on.
        metric: by which the study tunes.
        device: `cpu` or `cuda`.
        test: whether confirm cells are evaluated on the test split.
    """
    torch.set_num_threads(1)  # as in a worker
    worker = Worker.of(dataset, device=device, code=code_version())
    packs: dict[tuple[str, str, bool], list[CellRecord]] = {}
    for record in records:
        pruned = record.status == PRUNED
        packs.setdefault((record.arm_key, record.phase, pruned), []).append(record)
    for own in packs.values():
        stops = {record.key: record.epochs for record in own if record.status == PRUNED}
        work = PackAgain(_pack(own, metric, test), worker, stops)
        yield cells_of(work.step())


def _pack(records: Sequence[CellRecord], metric: str, test: bool) -> Pack:
    first = records[0]
    return Pack(
        arm=first.arm,
        arm_key=first.arm_key,
        # Only confirm cells are evaluated: what is not to be seen is not made.
        phase=CONFIRM if first.phase == CONFIRM and test else TUNE,
        cells=tuple(map(_cell, records)),
        pack_key="",  # nothing is measured
        size=None,
        scheduler="bracket" if first.status == PRUNED else "none",
        metric=metric,
        higher_is_better=higher_is_better(metric),
    )


def _cell(record: CellRecord) -> PackCell:
    return PackCell(
        candidate=record.candidate,
        seed=record.seed,
        params=record.params,
        # The fields that mean something; the others mean nothing, whatever their values.
        config=record.config,
        resolved=record.config,
        key=record.key,
        pack_key="",
    )


def usable_device(wanted: str | None, then: Collection[str]) -> str:
    """Where to train: as asked for, else where it was trained if that is here, else the CPU.

    Raises:
        RunError: what was asked for is not here.
    """
    has_gpu = torch.cuda.is_available()
    if wanted == "cuda" and not has_gpu:
        raise RunError("--device cuda: PyTorch finds no GPU here; leave it out, or give cpu")
    return wanted or ("cuda" if "cuda" in then and has_gpu else "cpu")
