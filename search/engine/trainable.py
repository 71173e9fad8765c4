"""The actor of a worker: one process, with the data open, that trains pack after pack."""

import math
import time
from typing import Any

import ray
import torch
from ray.tune import Trainable

from search.schedule.brackets import EPOCH, VALUE
from search.schedule.pack import Pack
from search.worker.pack_work import CELLS, REFUSED, PackWork
from search.worker.recorded_output import clear_recorded, start_recording
from search.worker.worker import Worker
from spaces.fields.declaration import ConfigError

IDLE = "idle"  # key of an idle worker's results
IDLE_LIMIT_SECONDS = (
    10.0  # then the trial ends: on another node one with a pack may wait for its core
)
REPORT_SECONDS = 5.0  # of training between two results of a worker


class PackTrainable(Trainable):  # type: ignore[misc]  # Ray ships no types for it
    """A trainable of which one trial trains one pack; its actor serves trial after trial.

    A trial without a pack is idle: it keeps the actor while there is nothing to train.
    """

    def setup(self, config: dict[str, Any], worker: Worker | None = None) -> None:
        """Prepare a worker process, once.

        Args:
            config: Configuration of the first trial, with its pack.
            worker: Data and limits of the worker, shared through Ray's object store, not copied.
        """
        # One thread per process and one process per core beats threads inside a step by far.
        torch.set_num_threads(1)
        start_recording()
        self.worker = worker
        self.refusal = ""
        try:
            if worker is not None:
                worker.find_core()
        except ConfigError as error:  # something that it imports is not installed here
            self.refusal = f"on this worker: {error}"
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next pack without a new process."""
        self.pack: Pack | None = new_config["pack"]
        self.checkpoints = new_config.get("resume")
        self.idle_seconds: float = new_config.get("idle_seconds", 0.0)
        self.idled = 0.0
        self.stopping = False
        self.work: PackWork | None = None
        return True

    def stop_early(self) -> None:
        """Make the next result the last one; the driver calls it when the run stops."""
        self.stopping = True

    def step(self) -> dict[str, Any]:
        """Train the pack for some seconds and report; without a pack sleep a moment."""
        assert self.worker is not None
        if self.pack is None:
            time.sleep(self.idle_seconds)
            self.idled += self.idle_seconds
            return {IDLE: True, "done": self.stopping or self.idled >= IDLE_LIMIT_SECONDS}
        if self.refusal:
            return {"done": True, EPOCH: 0, VALUE: math.inf, CELLS: [], REFUSED: self.refusal}
        if self.work is None:
            resume = ray.get(self.checkpoints[0]) if self.checkpoints else None
            self.work = self.start_work(self.pack, self.worker, resume)
        return self.work.stop_early() if self.stopping else self.work.step(REPORT_SECONDS)

    def start_work(self, pack: Pack, worker: Worker, resume: dict[str, bytes] | None) -> PackWork:
        """Start the work on a pack."""
        clear_recorded()
        return PackWork(pack, worker, resume)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Do nothing: finished cells and checkpoints go to the driver with the results."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Do nothing: there are no checkpoints of Tune."""
