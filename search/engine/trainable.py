"""What Ray Tune runs on a worker: one process, with the data opened, trains pack after pack."""

import math
import time
from dataclasses import asdict
from typing import Any

import ray
import torch
from ray.tune import Trainable

from msa_core.plugins import PluginError, use_plugins
from msa_core.training.failures import EXCEPTION
from search.schedule.brackets import EPOCH, VALUE
from search.schedule.pack import Pack
from search.worker.last_lines import forget, listen
from search.worker.pack_work import CELLS, PackWork, failed_cells
from search.worker.worker import Worker

RESTING = "resting"  # a result of a worker that waits for others: Tune would end it otherwise
REST_SECONDS = 10.0  # after these it makes room, should a trial with a pack wait for its core
REPORT_SECONDS = 5.0  # of training, after which a worker says how far it is


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
        listen()
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
        self.checkpoints = new_config.get("resume")
        self.nap_seconds: float = new_config.get("nap_seconds", 0.0)
        self.rested = 0.0
        self.leaving = False
        self.work: PackWork | None = None
        return True

    def leave(self) -> None:
        """Called by the driver when the run stops: the next result is the last one."""
        self.leaving = True

    def step(self) -> dict[str, Any]:
        """Train the pack for some seconds and say how far it is. Without a pack rest a bit."""
        assert self.worker is not None
        if self.pack is None:
            time.sleep(self.nap_seconds)
            self.rested += self.nap_seconds
            return {RESTING: True, "done": self.leaving or self.rested >= REST_SECONDS}
        if self.refusal:
            cells = failed_cells(self.pack, EXCEPTION, self.refusal)
            told = [asdict(cell) for cell in cells]
            return {"done": True, EPOCH: 0, VALUE: math.inf, CELLS: told}
        if self.work is None:
            resume = ray.get(self.checkpoints[0]) if self.checkpoints else None
            self.work = self.begin(self.pack, self.worker, resume)
        return self.work.leave() if self.leaving else self.work.step(REPORT_SECONDS)

    def begin(self, pack: Pack, worker: Worker, resume: dict[str, bytes] | None) -> PackWork:
        """The work on a pack."""
        forget()
        return PackWork(pack, worker, resume)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: what is finished is in the ledger, and checkpoints go the same way."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing."""
