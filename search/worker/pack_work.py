"""A pack on its way through a worker: trained for some seconds at a time, its cells as they end."""

import dataclasses
import math
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from msa_core.config.paths import replace
from msa_core.config.schema import Config
from msa_core.training.evaluation import evaluate
from msa_core.training.failures import last_lines
from msa_core.training.pack_training import MemberResult, PackTraining
from msa_core.vectorised.pack_key import Member, PackSize
from msa_core.vectorised.pack_size import measure_pack_size
from reports.encoding import encode_floats
from search.ledger.record import CellRecord
from search.redaction import without_secrets
from search.schedule.brackets import EPOCH, RUNGS, VALUE, Bracket, Standing, rungs
from search.schedule.pack import Pack, PackCell
from search.schedule.pack_sizes import UNMEASURED
from search.worker.last_lines import said_lately
from search.worker.worker import Worker
from spaces.plan.plan import CONFIRM
from spaces.study_file.study_fields import PARAMETERS

CELLS = "cells"  # where a trial's result carries the cells that ended
MEASURED = "measured"  # what was measured for them, if anything
PROGRESS = "progress"  # how far the pack is
CHECKPOINTS = "checkpoints"  # of the cells that train: key -> bytes
LEFT = "left"  # whether the pack was left before its end, since the run stops


class PackWork:
    """A pack on its way through a worker."""

    def __init__(
        self, pack: Pack, worker: Worker, resume: Mapping[str, bytes] | None = None
    ) -> None:
        """Start to train.

        Args:
            pack: what to train.
            worker: where.
            resume: key of a cell -> checkpoint from which it goes on.
        """
        self.pack = pack
        self.worker = worker
        configs = [replace(Config(), cell.config) for cell in pack.cells]
        members = [
            Member(config, cell.seed) for config, cell in zip(configs, pack.cells, strict=True)
        ]
        self.measured = self._measure(members)
        size = self.measured.size if self.measured else pack.size
        found = resume or {}
        self.training = PackTraining(
            members,
            worker.prepared,
            device=worker.device,
            size=size,
            epoch_limit=worker.epoch_seconds,
            identity=worker.identity,
            resume={
                place: found[cell.key] for place, cell in enumerate(pack.cells) if cell.key in found
            },
        )
        candidates = [cell.candidate for cell in pack.cells]
        self.standing = Standing(candidates, pack.metric, pack.higher_is_better)
        self.epochs = max(config.train.epochs for config in configs)
        self.bracket = Bracket(self.standing, self.epochs)
        self._told: set[int] = set()  # places of the cells whose end is told
        self._saved_at = self.training.seconds
        self._stopped: dict[str, bytes] = {}  # checkpoints that are not told yet
        if pack.scheduler != "none":
            for epoch in range(1, self.training.epoch + 1):  # that every cell has behind it
                self._watch(epoch, self.training.seen_after(epoch))

    def step(self, seconds: float = math.inf) -> dict[str, Any]:
        """Train for about so many seconds, under ASHA at most to the next rung.

        Returns:
            The trial's result: cells that ended, how far it is, checkpoints if they are due.
        """
        at_rung = False
        if self.pack.scheduler == "none" and self.pack.seconds is None:
            self.training.work(seconds)
        else:
            at_rung = self._train_watched(seconds)
        done = self.training.finished
        whole = done or at_rung
        result = self._result(done, range(len(self.pack.cells)) if whole else self._ended())
        if self.pack.scheduler == "asha" and whole:
            value = self.standing.value(self.pack.cells[0].candidate)
            result[VALUE] = math.inf if value is None else value
        if not done and self.training.seconds - self._saved_at >= self.worker.checkpoint_seconds:
            result[CHECKPOINTS] = [self._checkpoints()]
        return result

    def leave(self) -> dict[str, Any]:
        """Stop here; the trial's last result, by which the pack can be gone on with."""
        return {**self._result(True, self._ended()), LEFT: True, CHECKPOINTS: [self._checkpoints()]}

    def _train_watched(self, seconds: float) -> bool:
        """Train, epoch by epoch, what may be stopped; whether ASHA is to judge it now."""
        until = time.monotonic() + seconds
        limit = math.inf if self.pack.seconds is None else self.pack.seconds
        pauses = rungs(self.epochs, RUNGS) if self.pack.scheduler == "asha" else ()
        while not self.training.finished:
            epoch, seen = self.training.advance()
            self._watch(epoch, seen)
            if epoch in pauses:
                return True
            if self.training.seconds >= limit:
                self.training.stop(self.training.places)
            if time.monotonic() >= until:
                break
        return False

    def _watch(self, epoch: int, seen: Mapping[int, Mapping[str, float]]) -> None:
        """Compare the cells after an epoch, where they are compared, and stop the worse ones."""
        if self.pack.scheduler == "bracket":
            worse = self.bracket(epoch, seen)
            if worse and self.training.seconds >= self.worker.checkpoint_seconds:
                self._stopped |= self._found(worse)
            self.training.stop(worse)
        elif self.pack.scheduler == "asha":
            self.standing.take_in(seen)

    def _ended(self) -> Sequence[int]:
        """Places of the cells that have come to their end, where each ends by itself."""
        return self.training.ended() if self.pack.scheduler == "none" else ()

    def _result(self, done: bool, places: Iterable[int]) -> dict[str, Any]:
        """The cells at these places, where they are not told yet, and how far the pack is."""
        new = [place for place in places if place not in self._told]
        if self.pack.scheduler != "asha":  # which tells at each rung how all of them would end
            self._told.update(new)
        records = [
            self._record(self.pack.cells[place], self.training.result(place)) for place in new
        ]
        epochs = zip(self.pack.cells, self.training.progress(), strict=True)
        # In lists: Tune takes nested dictionaries apart.
        return {
            "done": done,
            EPOCH: self.training.epoch,
            CELLS: [asdict(record) for record in records],
            MEASURED: [asdict(self.measured)] if self.measured else [],
            PROGRESS: [
                {
                    "epochs": {cell.key: epoch for cell, epoch in epochs},
                    "most_epochs": self.epochs,
                    "seconds": self.training.seconds,
                }
            ],
        }

    def _checkpoints(self) -> dict[str, bytes]:
        """Of every cell that trains, and of those that were stopped since the last ones.

        A stopped cell goes on from where it was compared, and is stopped there again.
        """
        self._saved_at = self.training.seconds
        stopped, self._stopped = self._stopped, {}
        return stopped | self._found()

    def _found(self, places: Collection[int] | None = None) -> dict[str, bytes]:
        found = self.training.checkpoints(places)
        return {self.pack.cells[place].key: content for place, content in found.items()}

    def _measure(self, members: list[Member]) -> PackSize | None:
        """Find the pack size, if the pack has room for a choice and nobody knows it."""
        if not self.pack.pack_key or self.pack.size or len(members) < 3:
            return None
        try:
            measured = measure_pack_size(
                members[0],
                self.worker.prepared,
                device=self.worker.device,
                # Not by this pack's own size: what is found is kept for others.
                most=max(len(members), UNMEASURED),
                share=self.worker.share,
            )
        except Exception:  # what cannot be trained says why as a cell, not as a lost worker
            return None
        return dataclasses.replace(measured, data=self.worker.data)

    def _record(self, cell: PackCell, result: MemberResult) -> CellRecord:
        metrics = {f"valid.{name}": value for name, value in result.valid.items()}
        predictions = ""
        if self.pack.phase == CONFIRM and result.status == "complete":
            evaluation = evaluate(result, self.worker.test, device=self.worker.device)
            metrics.update({f"test.{name}": value for name, value in evaluation.metrics.items()})
            predictions = encode_floats(evaluation.predictions)
        failed = result.status == "failed"
        return cell_record(
            self.pack,
            cell,
            status=result.status,
            reason=result.reason,
            kind=result.kind,
            log=last_lines(said_lately(result.log)) if failed else "",
            epochs=result.epochs,
            best_epoch=result.best_epoch,
            metrics={**metrics, **_size(result), "seconds": result.seconds},
            curve={name: _defined(values) for name, values in result.curve.items()},
            predictions=predictions,
            code=self.worker.code,
        )


def train_cells(pack: Pack, worker: Worker) -> list[CellRecord]:
    """Train a pack here and now, whole."""
    return cells_of(PackWork(pack, worker).step())


def failed_cells(
    pack: Pack, kind: str, reason: str, log: str = "", besides: Iterable[str] = ()
) -> list[CellRecord]:
    """The failed cells of a pack that gave no answer of its own.

    Args:
        pack: that was lost, or refused.
        kind: one of `search.schedule.failures.KINDS`.
        reason: why, in a line.
        log: last lines of its worker.
        besides: keys of its cells that did end.
    """
    done = set(besides)
    return [
        cell_record(
            pack,
            cell,
            status="failed",
            reason=reason,
            kind=kind,
            log=log,
            epochs=0,
            best_epoch=0,
            metrics={},
        )
        for cell in pack.cells
        if cell.key not in done
    ]


def cells_of(result: Mapping[str, Any]) -> list[CellRecord]:
    """The cells that a trial's result carries."""
    return [CellRecord(**cell) for cell in result.get(CELLS, ())]


def measured_of(result: Mapping[str, Any]) -> PackSize | None:
    """The measurement that a trial's result carries."""
    return PackSize(**result[MEASURED][0]) if result.get(MEASURED) else None


def cell_record(pack: Pack, cell: PackCell, **outcome: Any) -> CellRecord:
    """A cell of a pack, and how it ended."""
    for name in ("reason", "log"):
        outcome[name] = without_secrets(outcome.get(name, ""))
    return CellRecord(
        key=cell.key,
        arm=pack.arm,
        arm_key=pack.arm_key,
        phase=pack.phase,
        candidate=cell.candidate,
        seed=cell.seed,
        params=dict(cell.params),
        config=dict(cell.resolved),
        attempts=pack.attempts,
        **outcome,
    )


def _size(result: MemberResult) -> dict[str, float]:
    """How many numbers were trained, of a model that came out."""
    if result.trained is None:
        return {}
    return {PARAMETERS: float(sum(tensor.numel() for tensor in result.trained.state.values()))}


def _defined(values: Any) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values]
