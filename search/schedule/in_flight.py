"""The packs that workers have at this moment, and how far each is."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from search.schedule.pack import Pack


@dataclass(kw_only=True, slots=True)
class Flight:
    """A pack on a worker.

    Attributes:
        number: of the pack in this run, from 1.
        node: address of the worker's node; empty until it has said something.
        process: of the worker; 0 until then.
        actor: Ray's name of the worker; empty until it has begun.
        started: `time.monotonic()` when it was handed out.
        heard: when the worker last said something.
        epochs: key of each cell -> epochs trained, as far as is known.
        most_epochs: of the configuration.
        finished: keys of its cells that are in the ledger.
        seconds: that the worker has trained.
    """

    number: int
    pack: Pack
    node: str = ""
    process: int = 0
    actor: str = ""
    started: float = field(default_factory=time.monotonic)
    heard: float = field(default_factory=time.monotonic)
    epochs: Mapping[str, int] = field(default_factory=dict)
    most_epochs: int = 0
    finished: set[str] = field(default_factory=set)
    seconds: float = 0.0

    @property
    def seconds_left(self) -> float | None:
        """At most so many seconds until it is done, by its pace so far; None if nobody knows."""
        left = [
            self.most_epochs - epochs
            for key, epochs in self.epochs.items()
            if key not in self.finished
        ]
        done = sum(self.epochs.values())
        if not done or not self.seconds:
            return None
        return sum(left) * self.seconds / done


class Flights:
    """All packs on workers, by the trial that trains them."""

    def __init__(self) -> None:
        self._of_trial: dict[str, Flight] = {}
        self._number = 0

    def __len__(self) -> int:
        return len(self._of_trial)

    def __iter__(self) -> Iterator[Flight]:
        return iter(list(self._of_trial.values()))

    def start(self, trial_id: str, pack: Pack) -> Flight:
        """A pack goes to a worker."""
        self._number += 1
        flight = self._of_trial[trial_id] = Flight(number=self._number, pack=pack)
        return flight

    def get(self, trial_id: str) -> Flight | None:
        """The pack that a trial trains; None if it rests."""
        return self._of_trial.get(trial_id)

    def hear(self, trial_id: str, said: Mapping[str, Any]) -> None:
        """A worker said how far it is: `epochs`, `most_epochs`, `seconds`, `node`, `process`."""
        flight = self._of_trial.get(trial_id)
        if flight is not None:
            flight.heard = time.monotonic()
            for name, value in said.items():
                setattr(flight, name, value)

    def end(self, trial_id: str) -> Flight | None:
        """Its worker is done with it, or lost; None if it rested."""
        return self._of_trial.pop(trial_id, None)
