"""What a Ray worker does: hold the data, train the packs it is given, say how each cell ended."""

import dataclasses
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from ray.tune import Trainable

from msa_core.config import Config
from msa_core.config_paths import replace
from msa_core.data.dataset import Dataset, Split
from msa_core.data.prepared import PreparedSplits
from msa_core.evaluation import evaluate
from msa_core.measuring import measure_pack_size
from msa_core.packing import Member, PackSize
from msa_core.plugins import Plugin, PluginError, use_plugins
from msa_core.training import MemberResult, PackTraining
from reports.encoding import encode_floats
from search.asha import EPOCH, RUNGS, VALUE
from search.brackets import Bracket, Standing, rungs
from search.ledger import CellRecord
from search.pack import Pack, PackCell
from search.sizes import UNMEASURED
from spaces.domains import Choice
from spaces.plan import CONFIRM, Plan
from spaces.shape import PARAMETERS

CELLS = "cells"  # where a trial's result carries its cells
MEASURED = "measured"  # and what was measured for them, if anything
RESTING = "resting"  # a result of a worker that waits for others: Tune would end it otherwise
REST_SECONDS = 10.0  # after these it makes room, should a trial with a pack wait for its core


@dataclass(frozen=True, kw_only=True, slots=True)
class Worker:
    """What a worker process has.

    Attributes:
        prepared: train and valid.
        test: read by `evaluate` alone.
        device: `cpu` or `cuda`.
        gpu_share: of the memory of its GPU.
        memory: bytes of main memory that it may use; 0 = unknown.
        data: fingerprint of the data.
        code: digest of the training core.
        plugins: the study's own modules; their text, since their files may not be where it works.
    """

    prepared: PreparedSplits
    test: Split
    device: str = "cpu"
    gpu_share: float = 0.0
    memory: int = 0
    data: str = ""
    code: str = ""
    plugins: tuple[Plugin, ...] = ()

    @classmethod
    def of(cls, dataset: Dataset, **has: Any) -> "Worker":
        """A worker on a data set."""
        prepared = PreparedSplits(dataset.splits)
        return cls(prepared=prepared, test=dataset.test, data=dataset.fingerprint, **has)

    def warm(self, plan: Plan) -> None:
        """Do to the features, once, what every worker process would have to do."""
        for arm in plan.arms:
            self.prepared.warm(arm.config)
            for path, domain in arm.space.items():
                if isinstance(domain, Choice):
                    for option in domain.options:
                        self.prepared.warm(replace(arm.config, {path: option}))

    @property
    def share(self) -> int:
        """Bytes on its device that it may use; 0 = unknown."""
        if self.device != "cuda":
            return self.memory
        total = torch.cuda.get_device_properties(0).total_memory
        return int(total * min(1.0, self.gpu_share))


class PackTrainable(Trainable):  # type: ignore[misc]  # Ray ships no types for it
    """One trial = one pack. The actor, with the data opened, serves one trial after another.

    A trial without a pack keeps the actor while there is nothing to train.
    """

    def setup(self, config: dict[str, Any], worker: Worker | None = None) -> None:
        """Called once a worker process.

        Args:
            config: holds the first pack.
            worker: its data is shared through Ray's object store, not copied.
        """
        # One thread a process and one process a core beats threads inside a step by far.
        torch.set_num_threads(1)
        self.worker = worker
        self.refusal = ""
        try:
            use_plugins(worker.plugins if worker else ())
        except PluginError as error:  # something that it imports is not installed here
            self.refusal = f"on this worker: {error}"
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next pack without a new process."""
        self.pack: Pack | None = new_config["pack"]
        self.nap_seconds: float = new_config.get("nap_seconds", 0.0)
        self.rested = 0.0
        self.work: PackWork | None = None
        return True

    def step(self) -> dict[str, Any]:
        """Train the pack: whole, or under ASHA up to the next rung. Without a pack rest a bit."""
        assert self.worker is not None
        if self.pack is None:
            time.sleep(self.nap_seconds)
            self.rested += self.nap_seconds
            return {RESTING: True, "done": self.rested >= REST_SECONDS}
        if self.refusal:
            cells = [asdict(record) for record in lost_cells(self.pack, self.refusal)]
            return {"done": True, EPOCH: 0, VALUE: math.inf, CELLS: cells, MEASURED: []}
        if self.work is None:
            self.work = PackWork(self.pack, self.worker)
        return self.work.step()

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: what is finished is in the ledger, what is not starts again."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing."""


class PackWork:
    """A pack on its way through a worker."""

    def __init__(self, pack: Pack, worker: Worker) -> None:
        self.pack = pack
        self.worker = worker
        configs = [replace(Config(), cell.config) for cell in pack.cells]
        members = [
            Member(config, cell.seed) for config, cell in zip(configs, pack.cells, strict=True)
        ]
        self.measured = self._measure(members)
        size = self.measured.size if self.measured else pack.size
        self.training = PackTraining(members, worker.prepared, device=worker.device, size=size)
        candidates = [cell.candidate for cell in pack.cells]
        self.standing = Standing(candidates, pack.metric, pack.higher_is_better)
        self.epochs = max(config.train.epochs for config in configs)
        self.bracket = Bracket(self.standing, self.epochs)

    def step(self) -> dict[str, Any]:
        """Train to the end, under ASHA to the next rung; the trial's result."""
        limit = math.inf if self.pack.seconds is None else self.pack.seconds
        if self.pack.scheduler == "none" and limit == math.inf:
            self.training.finish()
        pauses = rungs(self.epochs, RUNGS) if self.pack.scheduler == "asha" else ()
        while not self.training.finished:
            epoch, seen = self.training.advance()
            if self.pack.scheduler == "bracket":
                self.training.stop(self.bracket(epoch, seen))
            elif self.pack.scheduler == "asha":
                self.standing.take_in(seen)
                if epoch in pauses:
                    break
            if self.training.seconds >= limit:
                self.training.stop(self.training.places)
        result = {"done": self.training.finished, EPOCH: self.training.epoch, **self._outcome()}
        value = self.standing.value(self.pack.cells[0].candidate)
        if self.pack.scheduler == "asha":
            result[VALUE] = math.inf if value is None else value
        return result

    def _outcome(self) -> dict[str, Any]:
        """Every cell as it would end if the pack were stopped now, and what was measured."""
        records = [
            self._record(cell, result)
            for cell, result in zip(self.pack.cells, self.training.results(), strict=True)
        ]
        return {
            CELLS: [asdict(record) for record in records],
            # In a list: Tune takes nested dictionaries apart.
            MEASURED: [asdict(self.measured)] if self.measured else [],
        }

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
        return _cell(
            self.pack,
            cell,
            status=result.status,
            reason=result.reason,
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


def lost_cells(pack: Pack, reason: str) -> list[CellRecord]:
    """The failed cells of a pack whose worker gave no answer."""
    return [
        _cell(pack, cell, status="failed", reason=reason, epochs=0, best_epoch=0, metrics={})
        for cell in pack.cells
    ]


def cells_of(result: Mapping[str, Any]) -> list[CellRecord]:
    """The cells that a trial's result carries."""
    return [CellRecord(**cell) for cell in result[CELLS]]


def measured_of(result: Mapping[str, Any]) -> PackSize | None:
    """The measurement that a trial's result carries."""
    return PackSize(**result[MEASURED][0]) if result.get(MEASURED) else None


def _cell(pack: Pack, cell: PackCell, **outcome: Any) -> CellRecord:
    return CellRecord(
        key=cell.key,
        arm=pack.arm,
        arm_key=pack.arm_key,
        phase=pack.phase,
        candidate=cell.candidate,
        seed=cell.seed,
        params=dict(cell.params),
        config=dict(cell.resolved),
        **outcome,
    )


def _size(result: MemberResult) -> dict[str, float]:
    """How many numbers were trained, of a model that came out."""
    if result.trained is None:
        return {}
    return {PARAMETERS: float(sum(tensor.numel() for tensor in result.trained.state.values()))}


def _defined(values: Any) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values]
