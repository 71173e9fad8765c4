"""Cells trained again in this process, without Ray: as a worker trains them, to the last bit."""

from collections.abc import Collection, Iterator, Mapping, Sequence

import torch

from search.errors import RunError
from search.ledger.record import CellRecord
from search.provenance import code_version
from search.schedule.pack import Pack, PackCell
from search.worker.pack_work import PackWork, cells_of
from search.worker.worker import Worker
from spaces.core import Data, Status
from spaces.plan.plan import Phase
from spaces.study_file.load import Study


class RepeatedPack(PackWork):
    """A pack whose cells stop where they were stopped before, and are not compared again."""

    def __init__(self, pack: Pack, worker: Worker, stops: Mapping[str, int]) -> None:
        """Create the pack's training.

        Args:
            pack: Pack to train.
            worker: Worker with data and device.
            stops: Key of a cell that was stopped early -> epochs that it had trained.
        """
        self._stops = stops
        super().__init__(pack, worker)

    def _compare_cells(self, epoch: int, seen: Mapping[int, Mapping[str, float]]) -> None:
        self.training.stop_members(
            [index for index, cell in enumerate(self.pack.cells)
             if self._stops.get(cell.key) == epoch]
        )  # fmt: skip


def retrain_cells(
    study: Study, records: Sequence[CellRecord], dataset: Data, *, device: str, test: bool
) -> Iterator[list[CellRecord]]:
    """Train cells again, those of an arm and a phase in one pack; yield pack after pack.

    A cell that was stopped early is stopped after as many epochs.

    Args:
        study: Study as it was run.
        records: Records of the cells as they were.
        dataset: Data to train on.
        device: `cpu` or `cuda`.
        test: Whether confirm cells are evaluated on the test split.
    """
    torch.set_num_threads(1)  # as in a worker
    worker = Worker.for_data(study.core, dataset, device=device, code=code_version(study.core))
    # Whatever packs the run had: a cell's numbers do not depend on its pack.
    packs: dict[tuple[str, str, bool], list[CellRecord]] = {}
    for record in records:
        pruned = record.status == Status.PRUNED
        packs.setdefault((record.arm_key, record.phase, pruned), []).append(record)
    for own in packs.values():
        stops = {record.key: record.epochs for record in own if record.status == Status.PRUNED}
        work = RepeatedPack(_repeat_pack(study, own, test), worker, stops)
        yield cells_of(work.step())


def _repeat_pack(study: Study, records: Sequence[CellRecord], test: bool) -> Pack:
    first = records[0]
    return Pack(
        arm=first.arm,
        arm_key=first.arm_key,
        # Only packs of confirm cells are evaluated: what is not to be seen is not computed.
        phase=Phase.CONFIRM if first.phase == Phase.CONFIRM and test else Phase.TUNE,
        cells=tuple(map(_repeat_cell, records)),
        pack_key="",  # nothing is measured
        size=None,
        scheduler="bracket" if first.status == Status.PRUNED else "none",
        metric=study.metric,
        higher_is_better=study.task[study.metric].higher_is_better,
    )


def _repeat_cell(record: CellRecord) -> PackCell:
    return PackCell(
        candidate=record.candidate,
        seed=record.seed,
        params=record.params,
        # A record has only the fields that have an effect; the others may have any values.
        config=record.config,
        resolved=record.config,
        key=record.key,
        pack_key="",
    )


def choose_device(wanted: str | None, then: Collection[str]) -> str:
    """Choose the device: as asked for, else that of then if it is here, else the CPU.

    Raises:
        RunError: what was asked for is not here.
    """
    has_gpu = torch.cuda.is_available()
    if wanted == "cuda" and not has_gpu:
        raise RunError("--device cuda: PyTorch finds no GPU here; leave it out, or give cpu")
    return wanted or ("cuda" if "cuda" in then and has_gpu else "cpu")
