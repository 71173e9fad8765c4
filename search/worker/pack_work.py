"""The work on a pack: trained for some seconds at a time, its cells reported as they end."""

import dataclasses
import math
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from reports.encoding import encode_floats
from search.ledger.record import CellRecord
from search.redaction import without_secrets
from search.schedule.brackets import EPOCH, RUNGS, VALUE, BestValues, Bracket, rung_epochs
from search.schedule.pack import Pack, PackCell
from search.schedule.pack_sizes import UNMEASURED
from search.worker.recorded_output import recent_lines
from search.worker.worker import Worker
from spaces.abilities import PackSize, VectorisedPacks
from spaces.core import Member, Status
from spaces.failures import FailureKind, last_lines
from spaces.fields.paths import default_of, replace
from spaces.plan.plan import Phase
from spaces.study_file.file_shape import PARAMETERS

# Keys of a trial's result.
CELLS = "cells"  # cells that ended
MEASURED = "measured"  # pack size that was measured for them, if any
PROGRESS = "progress"  # progress of the pack
CHECKPOINTS = "checkpoints"  # of the cells that train: key -> bytes
REFUSED = "refused"  # why the worker can train nothing
LEFT = "left"  # whether the pack was stopped before its end, since the run stops


class PackWork:
    """The work of a worker on one pack."""

    def __init__(
        self, pack: Pack, worker: Worker, resume: Mapping[str, bytes] | None = None
    ) -> None:
        """Start to train.

        Args:
            pack: Pack to train.
            worker: Data, device and limits.
            resume: Checkpoints to resume from, by the keys of their cells.
        """
        self.pack = pack
        self.worker = worker
        self.core = worker.find_core()
        default: Any = default_of(self.core.config_class)
        configs = [replace(default, cell.config) for cell in pack.cells]
        members = [
            Member(config, cell.seed) for config, cell in zip(configs, pack.cells, strict=True)
        ]
        self.measured = self._measure_size(members)
        size = self.measured.size if self.measured else pack.size
        found = resume or {}
        self.training = self.core.train(
            members,
            worker.prepared,
            device=worker.device,
            size=size,
            epoch_limit=worker.epoch_seconds,
            identity=worker.identity_of(pack.arm_key),
            tested=pack.phase == Phase.CONFIRM,
            compared="" if pack.scheduler == "none" else pack.metric,
            resume={
                place: found[cell.key] for place, cell in enumerate(pack.cells) if cell.key in found
            },
        )
        candidates = [cell.candidate for cell in pack.cells]
        self.best_values = BestValues(candidates, pack.metric, pack.higher_is_better)
        self.epochs = max(self.core.epochs(config) for config in configs)
        self.bracket = Bracket(self.best_values, self.epochs)
        self._told: set[int] = set()  # positions of the cells that were reported
        self._saved_at = self.training.seconds
        self._stopped: dict[str, bytes] = {}  # their checkpoints, not reported yet
        if pack.scheduler != "none":
            # Epochs before an interruption are compared again, from the curves.
            for epoch in range(1, self.training.epoch + 1):
                self._compare_cells(epoch, self.training.metrics_after(epoch))

    def step(self, seconds: float = math.inf) -> dict[str, Any]:
        """Train for about so many seconds, under ASHA at most to the next rung.

        Returns:
            The trial's result: cells that ended, progress, and checkpoints if they are due.
        """
        at_rung = False
        if self.pack.scheduler == "none" and self.pack.seconds is None:
            self.training.train_for(seconds)
        else:
            at_rung = self._train_watched(seconds)
        done = self.training.finished
        whole = done or at_rung
        result = self._trial_result(
            done, range(len(self.pack.cells)) if whole else self._ended_members()
        )
        if self.pack.scheduler == "asha" and whole:
            value = self.best_values.mean_best(self.pack.cells[0].candidate)
            result[VALUE] = math.inf if value is None else value
        if not done and self.training.seconds - self._saved_at >= self.worker.checkpoint_seconds:
            result[CHECKPOINTS] = [self._due_checkpoints()]
        return result

    def stop_early(self) -> dict[str, Any]:
        """Stop the pack; return the trial's last result, from which it can be resumed."""
        return {
            **self._trial_result(True, self._ended_members()),
            LEFT: True,
            CHECKPOINTS: [self._due_checkpoints()],
        }

    def _train_watched(self, seconds: float) -> bool:
        """Train, epoch by epoch, what may be stopped; return whether an ASHA rung is reached."""
        until = time.monotonic() + seconds
        limit = math.inf if self.pack.seconds is None else self.pack.seconds
        pauses = rung_epochs(self.epochs, RUNGS) if self.pack.scheduler == "asha" else ()
        while not self.training.finished:
            epoch, seen = self.training.advance_epoch()
            self._compare_cells(epoch, seen)
            if epoch in pauses:
                return True
            if self.training.seconds >= limit:
                self.training.stop_members(self.training.positions)
            if time.monotonic() >= until:
                break
        return False

    def _compare_cells(self, epoch: int, seen: Mapping[int, Mapping[str, float]]) -> None:
        """Compare the cells after an epoch, where that is asked for, and stop the worse ones."""
        if self.pack.scheduler == "bracket":
            worse = self.bracket(epoch, seen)
            if worse and self.training.seconds >= self.worker.checkpoint_seconds:
                self._stopped |= self._checkpoints_of(worse)
            self.training.stop_members(worse)
        elif self.pack.scheduler == "asha":
            self.best_values.add_epoch(seen)

    def _ended_members(self) -> Sequence[int]:
        """Return the positions of the cells that have ended, where each ends by itself."""
        return self.training.ended_positions() if self.pack.scheduler == "none" else ()

    def _trial_result(self, done: bool, places: Iterable[int]) -> dict[str, Any]:
        """Report the cells at these positions, where that is due, and the progress of the pack."""
        new = [place for place in places if place not in self._told]
        if self.pack.scheduler != "asha":  # which reports all of them at each rung
            self._told.update(new)
        records = [
            self._make_record(self.pack.cells[place], self.training.result(place)) for place in new
        ]
        epochs = zip(self.pack.cells, self.training.epochs_trained(), strict=True)
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

    def _due_checkpoints(self) -> dict[str, bytes]:
        """Take checkpoints of all cells that train, and of those stopped since the last ones.

        A stopped cell resumes where it was compared, and is stopped there again.
        """
        self._saved_at = self.training.seconds
        stopped, self._stopped = self._stopped, {}
        return stopped | self._checkpoints_of()

    def _checkpoints_of(self, places: Collection[int] | None = None) -> dict[str, bytes]:
        found = self.training.member_checkpoints(places)
        return {self.pack.cells[place].key: content for place, content in found.items()}

    def _measure_size(self, members: list[Member]) -> PackSize | None:
        """Measure the pack size, if it is unknown and the pack has enough members to choose one."""
        if not self.pack.pack_key or self.pack.size or len(members) < 3:
            return None
        if not isinstance(self.core, VectorisedPacks):
            return None
        try:
            measured = self.core.measure_pack_size(
                members[0],
                self.worker.prepared,
                device=self.worker.device,
                # Not up to this pack's own size: larger packs use the result, too.
                most=max(len(members), UNMEASURED),
                share=self.worker.memory_share,
            )
        except Exception:  # the same error then fails the cells, and not the worker
            return None
        return dataclasses.replace(measured, data=self.worker.data)

    def _make_record(self, cell: PackCell, result: Any) -> CellRecord:
        metrics = {f"valid.{name}": value for name, value in result.valid.items()}
        predictions = ""
        if self.pack.phase == Phase.CONFIRM and result.status == Status.COMPLETE:
            evaluation = self.core.evaluate(result, self.worker.test, device=self.worker.device)
            metrics.update({f"test.{name}": value for name, value in evaluation.metrics.items()})
            predictions = encode_floats(evaluation.predictions)
        failed = result.status == Status.FAILED
        return cell_record(
            self.pack,
            cell,
            status=result.status,
            reason=result.reason,
            kind=result.kind,
            log=last_lines(recent_lines(result.log)) if failed else "",
            epochs=result.epochs,
            best_epoch=result.best_epoch,
            metrics={**metrics, **_count_parameters(result), "seconds": result.seconds},
            curve={name: _finite_or_none(values) for name, values in result.curve.items()},
            predictions=predictions,
            code=self.worker.code_of(self.pack.arm_key),
        )


def failed_cells(
    pack: Pack, kind: FailureKind, reason: str, log: str = "", besides: Iterable[str] = ()
) -> list[CellRecord]:
    """Make the failed cells of a pack that gave no answer of its own.

    Args:
        pack: Pack that was lost, or refused.
        kind: Kind of the failure.
        reason: Reason, in a line.
        log: Last lines of its worker.
        besides: Keys of its cells that did end.
    """
    done = set(besides)
    return [
        cell_record(
            pack,
            cell,
            status=Status.FAILED,
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
    """Return the cells in a trial's result."""
    return [CellRecord(**cell) for cell in result.get(CELLS, ())]


def measured_of(result: Mapping[str, Any]) -> PackSize | None:
    """Return the measured pack size in a trial's result; None if there is none."""
    return PackSize(**result[MEASURED][0]) if result.get(MEASURED) else None


def cell_record(pack: Pack, cell: PackCell, **outcome: Any) -> CellRecord:
    """Make the record of a pack's cell from its outcome."""
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


def _count_parameters(result: Any) -> dict[str, float]:
    """Return the number of trained parameters, if there is a model."""
    return {} if result.parameters is None else {PARAMETERS: float(result.parameters)}


def _finite_or_none(values: Any) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values]
