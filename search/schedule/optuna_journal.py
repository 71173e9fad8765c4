"""`optuna.journal`: the candidates of a study for Optuna's own tools, such as `optuna-dashboard`.

One Optuna study per arm, named `<study>/<arm>`. It is written from the ledger and nothing here ever
reads it. A candidate is added when it is finished, in one line and in its last state, so there is
no moment at which the file holds a RUNNING trial.
"""

import os
import warnings
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from json import dumps
from pathlib import Path
from time import monotonic
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.trial import FrozenTrial, TrialState

from search.atomic_files import write_text_atomically
from search.ledger.lines import LEDGER
from search.ledger.record import CellRecord
from search.redaction import without_secrets
from search.results.layout import JOURNAL
from search.results.selection import seconds_of
from search.schedule.arm_schedule import ArmSchedule
from search.schedule.proposals import Params, TrialOutcome, trial_outcome
from search.schedule.samplers import optuna_distribution
from search.schedule.schedule import Schedule
from spaces.core import Status
from spaces.plan.plan import Phase

WRITE_SECONDS = 2.0  # between two writes


class OptunaJournal:
    """The writer of `optuna.journal`, of which the holder of the ledger's lock has one.

    A disk that is full or away delays it and nothing else: what could not be written is written
    with what comes next, and the next run writes the file anew anyhow.
    """

    def __init__(self, folder: Path, schedule: Schedule) -> None:
        """Write the file anew, of all candidates that are finished.

        Args:
            folder: Results folder.
            schedule: Schedule of the study, as the ledger left it.
        """
        self._path = folder / JOURNAL
        self._arms = {key: arm for key, arm in schedule.arms.items() if arm.arm.space}
        self._studies = _Collected()
        storage = JournalStorage(self._studies)
        for arm in self._arms.values():
            _create_study(storage, arm)
        self._told: set[tuple[str, int]] = set()  # arm, and number of a candidate
        self._rejected: dict[str, int] = {}  # arm -> number of those that were queued
        self._waiting: list[tuple[int, FrozenTrial]] = []  # place of an arm, and its trial
        self._begun = False  # whether the file is of this run
        self._write_queued()

    def add_cells(self, records: Iterable[CellRecord]) -> None:
        """Add finished cells, which the schedule has already."""
        for record in records:
            if record.phase == Phase.TUNE and record.arm_key in self._arms:
                self._add_candidate(record.arm_key, record.candidate)
        if monotonic() - self._wrote >= WRITE_SECONDS:
            self._write_queued()

    def close(self) -> None:
        """Write what is queued."""
        self._write_queued()
        with suppress(OSError):
            self._path.touch()

    def _add_candidate(self, key: str, number: int) -> None:
        """Queue a candidate, if it is finished on every seed."""
        arm = self._arms[key]
        seeds = arm.plan.tune_seeds
        params = arm.cells.params_of(number)
        if (
            params is None
            or (key, number) in self._told
            or arm.cells.missing_seeds(Phase.TUNE, number, seeds)
        ):
            return
        self._told.add((key, number))
        cells = arm.cells.finished_cells(Phase.TUNE, number, seeds)
        ended = trial_outcome(cells, arm.proposals.metrics, len(seeds))
        self._queue_trial(arm, params, ended, _user_attributes(number, cells))

    def _take_rejected(self) -> None:
        """Queue the proposals that were never trained."""
        for key, arm in self._arms.items():
            rejected = arm.proposals.rejected
            failed = TrialOutcome(state=TrialState.FAIL)
            for params, reason in rejected[self._rejected.get(key, 0) :]:
                self._queue_trial(arm, params, failed, {"rejected": reason})
            self._rejected[key] = len(rejected)

    def _queue_trial(
        self, arm: ArmSchedule, params: Params, ended: TrialOutcome, attributes: dict[str, Any]
    ) -> None:
        # The ledger has no times of day: a trial ends when it is written here.
        now = datetime.now(UTC)
        trial = FrozenTrial(
            number=-1,  # Optuna gives it one
            trial_id=-1,
            state=ended.state,
            value=None,
            values=ended.values,
            datetime_start=now - timedelta(seconds=attributes.get("seconds", 0.0)),
            datetime_complete=now,
            params=dict(params),
            distributions={path: optuna_distribution(arm.arm.space[path]) for path in params},
            user_attrs=attributes,
            system_attrs={},
            intermediate_values=dict(enumerate(ended.curve, start=1)),
        )
        self._waiting.append((list(self._arms).index(arm.arm.key), trial))

    def _write_queued(self) -> None:
        """Write what is queued."""
        self._wrote = monotonic()
        if self._begun and self._path.exists():
            self._take_rejected()
            self._append_queued()
        else:
            self._write_anew()

    def _write_anew(self) -> None:
        """Write the whole file, in place of whatever is there."""
        self._told.clear()
        self._rejected.clear()
        self._waiting.clear()
        for key, arm in self._arms.items():
            # Also those that the schedule has not come to again after an interruption.
            tried = arm.cells.count_tried()
            for number in range(min(tried, arm.budget or tried)):
                self._add_candidate(key, number)
        self._take_rejected()
        with suppress(OSError):
            write_text_atomically(
                self._path, _format_logs(self._studies.logs) + self._queued_lines()
            )
            self._waiting.clear()
            self._begun = True

    def _append_queued(self) -> None:
        """Append all that is queued, or nothing."""
        with suppress(OSError), self._path.open("ab") as file:
            start = file.tell()
            try:
                file.write(self._queued_lines().encode())
                file.flush()
                self._waiting.clear()
            except OSError:
                os.truncate(file.fileno(), start)

    def _queued_lines(self) -> str:
        """Return what is queued, as Optuna writes it."""
        collected = _Collected(self._studies.logs)
        storage = JournalStorage(collected)
        for place, trial in self._waiting:
            storage.create_new_trial(place, trial)
        return _format_logs(collected.logs[len(self._studies.logs) :])


def is_behind(folder: Path) -> bool:
    """Check whether the journal is older than the ledger: a driver was killed in between."""
    try:
        return (folder / JOURNAL).stat().st_mtime < (folder / LEDGER).stat().st_mtime
    except OSError:
        return True


class _Collected(BaseJournalBackend):
    """A backend that collects what Optuna would write, so that the format is Optuna's own."""

    def __init__(self, logs: Sequence[dict[str, Any]] = ()) -> None:
        self.logs = list(logs)

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        return self.logs[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self.logs += logs


def _format_logs(logs: Iterable[dict[str, Any]]) -> str:
    """Format logs as Optuna's `JournalFileBackend` does."""
    return "".join(dumps(log, separators=(",", ":")) + "\n" for log in logs)


def _create_study(storage: JournalStorage, arm: ArmSchedule) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        study = optuna.create_study(
            storage=storage,
            study_name=f"{arm.plan.study.name}/{arm.arm.name}",
            directions=arm.proposals.directions,
        )
        study.set_metric_names(list(arm.proposals.metrics))


def _user_attributes(number: int, cells: Sequence[CellRecord]) -> dict[str, Any]:
    """Return the user attributes of a trial: its number in the arm, and why it failed."""
    attributes: dict[str, Any] = {"candidate": number, "seconds": round(seconds_of(cells), 3)}
    for cell in cells:
        if cell.status == Status.FAILED:
            return {**attributes, "kind": cell.kind, "reason": without_secrets(cell.reason)}
    return attributes
