"""The packs that workers have at this moment, and the progress of each."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from search.schedule.pack import Pack


@dataclass(kw_only=True, slots=True)
class InFlightPack:
    """A pack that a worker has now.

    Attributes:
        number: Number of the pack in this run, from 1.
        pack: Pack as it was assigned.
        node: Address of the worker's node; empty until its first report.
        process: Number of the worker's process; 0 until then.
        actor: Ray's name of the worker; empty until it has begun.
        started: `time.monotonic()` when it was assigned.
        last_report: `time.monotonic()` of the worker's last report.
        epochs: Epochs trained by the key of each cell, as far as reported.
        most_epochs: Most epochs that a cell of it may train.
        finished: Keys of its cells that are in the ledger.
        seconds: Seconds that the worker has trained it.
    """

    number: int
    pack: Pack
    node: str = ""
    process: int = 0
    actor: str = ""
    started: float = field(default_factory=time.monotonic)
    last_report: float = field(default_factory=time.monotonic)
    epochs: Mapping[str, int] = field(default_factory=dict)
    most_epochs: int = 0
    finished: set[str] = field(default_factory=set)
    seconds: float = 0.0

    @property
    def seconds_left(self) -> float | None:
        """Seconds until it is done, at most, by its pace so far; None if unknown."""
        left = [
            self.most_epochs - epochs
            for key, epochs in self.epochs.items()
            if key not in self.finished
        ]
        done = sum(self.epochs.values())
        if not done or not self.seconds or not self.most_epochs:
            return None
        return sum(left) * self.seconds / done


class InFlightPacks:
    """The packs that workers have now, by the trial that trains them."""

    def __init__(self) -> None:
        self._of_trial: dict[str, InFlightPack] = {}
        self._number = 0

    def __len__(self) -> int:
        return len(self._of_trial)

    def __iter__(self) -> Iterator[InFlightPack]:
        return iter(list(self._of_trial.values()))

    def add_pack(self, trial_id: str, pack: Pack) -> InFlightPack:
        """Add a pack that is assigned to a trial."""
        self._number += 1
        assigned = self._of_trial[trial_id] = InFlightPack(number=self._number, pack=pack)
        return assigned

    def get(self, trial_id: str) -> InFlightPack | None:
        """Return the pack that a trial trains; None if it is idle."""
        return self._of_trial.get(trial_id)

    def update_progress(self, trial_id: str, progress: Mapping[str, Any]) -> None:
        """Set what a worker reports: `epochs`, `most_epochs`, `seconds`, `node`, `process`."""
        assigned = self._of_trial.get(trial_id)
        if assigned is not None:
            assigned.last_report = time.monotonic()
            for name, value in progress.items():
                setattr(assigned, name, value)

    def remove_pack(self, trial_id: str) -> InFlightPack | None:
        """Remove the pack of a trial that ended or was lost; None if the trial was idle."""
        return self._of_trial.pop(trial_id, None)
