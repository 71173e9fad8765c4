"""What a Ray worker does: hold the data, train the packs it is given, say how each cell ended."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import ray
import torch
from ray.tune import Trainable

from msa_core.config import Config
from msa_core.config_paths import replace
from msa_core.data.dataset import Dataset
from msa_core.evaluation import evaluate
from msa_core.training import Member, MemberResult, train_pack
from reports.encoding import encode_floats
from search.ledger import CellRecord
from search.schedule import Pack
from spaces.plan import CONFIRM

CELLS = "cells"  # where a trial's result carries its cells


class PackTrainable(Trainable):  # type: ignore[misc]  # Ray ships no types for it
    """One trial = one pack. The actor, with the data opened, serves one trial after another."""

    def setup(self, config: dict[str, Any], dataset: Dataset | None = None) -> None:
        """Called once a worker process.

        Args:
            config: holds the first pack.
            dataset: shared through Ray's object store, not copied.
        """
        # One thread a process and one process a core beats threads inside a step by far.
        torch.set_num_threads(1)
        self.dataset = dataset
        self.device = "cuda" if ray.get_gpu_ids() else "cpu"
        self.pack: Pack = config["pack"]

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next pack without a new process."""
        self.pack = new_config["pack"]
        return True

    def step(self) -> dict[str, Any]:
        """Train the pack, whole."""
        assert self.dataset is not None
        records = train_cells(self.pack, self.dataset, self.device)
        return {CELLS: [asdict(record) for record in records], "done": True}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: what is finished is in the ledger, what is not starts again."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing."""


def train_cells(pack: Pack, dataset: Dataset, device: str) -> list[CellRecord]:
    """Train a pack; in the confirm phase, and only there, evaluate it on test."""
    config = replace(Config(), pack.config)
    members = [Member(config, seed) for seed in pack.cells]
    results = train_pack(members, dataset.splits, device=device)
    return [_record(pack, result, dataset, device) for result in results]


def lost_cells(pack: Pack, reason: str) -> list[CellRecord]:
    """The failed cells of a pack whose worker gave no answer."""
    return [
        _cell(pack, seed, status="failed", reason=reason, epochs=0, best_epoch=0, metrics={})
        for seed in pack.cells
    ]


def _record(pack: Pack, result: MemberResult, dataset: Dataset, device: str) -> CellRecord:
    metrics = {f"valid.{name}": value for name, value in result.valid.items()}
    predictions = ""
    if pack.phase == CONFIRM and result.status == "complete":
        evaluation = evaluate(result, dataset.test, device=device)
        metrics.update({f"test.{name}": value for name, value in evaluation.metrics.items()})
        predictions = encode_floats(evaluation.predictions)
    return _cell(
        pack,
        result.member.seed,
        status=result.status,
        reason=result.reason,
        epochs=result.epochs,
        best_epoch=result.best_epoch,
        metrics={**metrics, "seconds": result.seconds},
        curve={name: _defined(values) for name, values in result.curve.items()},
        predictions=predictions,
    )


def _cell(pack: Pack, seed: int, **outcome: Any) -> CellRecord:
    return CellRecord(
        key=pack.cells[seed],
        arm=pack.arm,
        arm_key=pack.arm_key,
        phase=pack.phase,
        candidate=pack.candidate,
        seed=seed,
        params=dict(pack.params),
        config=dict(pack.resolved),
        **outcome,
    )


def _defined(values: Any) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values]


def cells_of(result: Mapping[str, Any]) -> list[CellRecord]:
    """The cells that a trial's result carries."""
    return [CellRecord(**cell) for cell in result[CELLS]]
