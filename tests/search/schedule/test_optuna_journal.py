"""Optuna's journal of a run: whatever happens, it holds what is finished and nothing else."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

import search.schedule.optuna_journal
from search.ledger.record import CellRecord
from search.results.layout import JOURNAL
from search.results.selection import candidate_value
from search.schedule.optuna_journal import OptunaJournal, is_behind
from search.schedule.pack import Pack
from search.schedule.schedule import Schedule
from spaces.plan.plan import Plan
from tests.cases.studies.made_up import STUDY, make_plan, train

STATUSES = ("complete", "complete", "failed")


def trials_of(folder: Path) -> dict[str, list[FrozenTrial]]:
    """Study -> its trials, as Optuna reads them."""
    storage = JournalStorage(JournalFileBackend(str(folder / JOURNAL)))
    return {
        name: optuna.load_study(study_name=name, storage=storage).get_trials()
        for name in optuna.get_all_study_names(storage)
    }


def candidates_of(trials: list[FrozenTrial]) -> list[int]:
    return sorted(
        trial.user_attrs["candidate"] for trial in trials if "candidate" in trial.user_attrs
    )


def finished_in(schedule: Schedule) -> dict[str, list[int]]:
    """Name of a journal's study -> its candidates that are finished on every seed."""
    return {
        f"small/{arm.arm.name}": [
            number
            for number in range(arm.budget)
            if not arm.cells.missing_seeds("tune", number, arm.plan.tune_seeds)
        ]
        for arm in schedule.arms.values()
        if arm.arm.space
    }


def check(folder: Path, schedule: Schedule) -> None:
    found = trials_of(folder)
    assert {name: candidates_of(trials) for name, trials in found.items()} == finished_in(schedule)
    states = {trial.state for trials in found.values() for trial in trials}
    assert states <= {TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL}


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Plan]:
    path = tmp_path_factory.mktemp("study") / "study.yaml"
    path.write_text(STUDY, encoding="utf-8")
    made: dict[str, Plan] = {}

    def plan(sampler: str) -> Plan:
        if sampler not in made:
            made[sampler] = make_plan(path, f"sampler={sampler}", "budget.candidates=6")
        return made[sampler]

    return plan


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sampler=st.sampled_from(["tpe", "random", "qmc"]),
    runs=st.lists(
        st.tuples(st.integers(0, 12), st.booleans(), st.integers(0, 2**16)), min_size=1, max_size=4
    ),
    statuses=st.lists(st.sampled_from(STATUSES), min_size=1, max_size=5),
)
def test_however_often_a_run_is_killed_every_finished_candidate_is_one_finished_trial(
    plans: Callable[[str], Plan],
    sampler: str,
    runs: list[tuple[int, bool, int]],
    statuses: list[str],
) -> None:
    ledger: list[CellRecord] = []
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        patch.setattr(search.schedule.optuna_journal, "WRITE_SECONDS", 0.0)
        for packs, ends_in_order, torn in runs:
            schedule = Schedule(plans(sampler), ledger)
            journal = OptunaJournal(folder, schedule)
            check(folder, schedule)
            flying: list[Pack] = []
            for step in range(packs):
                while len(flying) < 2 and (pack := schedule.next_pack()):
                    flying.append(pack)
                if not flying:
                    break
                records = train(flying.pop(step % len(flying)), statuses[step % len(statuses)])
                ledger += records
                schedule.add_results(records)
                journal.add_cells(records)
            if ends_in_order:
                journal.close()
                check(folder, schedule)
            else:  # killed, perhaps while it wrote
                with (folder / JOURNAL).open("ab") as file:
                    file.write(b'{"op_code":4,"study_id"' if torn % 2 else b"")


def test_a_trial_is_what_the_ledger_says_of_its_candidate(
    tmp_path: Path, plans: Callable[[str], Plan]
) -> None:
    schedule = Schedule(plans("random"), [])
    journal = OptunaJournal(tmp_path, schedule)
    failed = 0
    while pack := schedule.next_pack():
        status = "failed" if pack.phase == "tune" and not failed else "complete"
        failed += status == "failed"
        records = train(pack, status)
        schedule.add_results(records)
        journal.add_cells(records)
    journal.close()
    found = trials_of(tmp_path)
    assert list(found) == ["small/full", "small/without text"]  # the others tune nothing
    for arm in schedule.arms.values():
        for trial in found.get(f"small/{arm.arm.name}", []):
            number = trial.user_attrs["candidate"]
            cells = arm.cells.finished_cells("tune", number, arm.plan.tune_seeds)
            assert trial.params == arm.candidates[number]
            assert trial.values == (
                None if (value := candidate_value(cells, "mae", len(cells))) is None else [value]
            )
    states = [trial.state for trials in found.values() for trial in trials]
    assert TrialState.FAIL in states and TrialState.COMPLETE in states


def test_a_stopped_candidate_is_pruned_with_its_curve(
    tmp_path: Path, plans: Callable[[str], Plan]
) -> None:
    schedule = Schedule(plans("random"), [])
    journal = OptunaJournal(tmp_path, schedule)
    pack = schedule.next_pack()
    assert pack is not None
    records = [
        CellRecord(**{**{name: getattr(cell, name) for name in cell.__slots__}, "status": "pruned"})
        for cell in train(pack)
    ]
    schedule.add_results(records)
    journal.add_cells(records)
    journal.close()
    trials = [trial for trials in trials_of(tmp_path).values() for trial in trials]
    assert {trial.state for trial in trials} == {TrialState.PRUNED}
    assert all(trial.intermediate_values == {1: 3.0, 2: 2.5} for trial in trials)


def test_a_full_disk_delays_it_and_tears_nothing(
    tmp_path: Path, plans: Callable[[str], Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search.schedule.optuna_journal, "WRITE_SECONDS", 0.0)
    schedule = Schedule(plans("random"), [])
    journal = OptunaJournal(tmp_path, schedule)
    real = Path.open

    def full(path: Path, *args: object, **more: object) -> object:
        if path.name == JOURNAL:
            raise OSError(28, "No space left on device")
        return real(path, *args, **more)  # type: ignore[call-overload]

    for broken in (True, False):
        pack = schedule.next_pack()
        assert pack is not None
        records = train(pack)
        schedule.add_results(records)
        with monkeypatch.context() as patch:
            if broken:
                patch.setattr(Path, "open", full)
            journal.add_cells(records)
    check(tmp_path, schedule)


def test_it_knows_that_a_driver_was_killed_before_it_could_write(
    tmp_path: Path, plans: Callable[[str], Plan]
) -> None:
    assert is_behind(tmp_path)
    (tmp_path / "ledger.jsonl").write_text("")
    OptunaJournal(tmp_path, Schedule(plans("random"), [])).close()
    assert not is_behind(tmp_path)


def test_what_was_proposed_and_never_trained_says_why(
    tmp_path: Path, plans: Callable[[str], Plan]
) -> None:
    schedule = Schedule(plans("random"), [])
    journal = OptunaJournal(tmp_path, schedule)
    pack = schedule.next_pack()
    assert pack is not None
    params = pack.cells[0].params
    schedule.arms[pack.arm_key].proposals.rejected.append((params, "repeats an earlier candidate"))
    journal.close()
    (trials,) = (found for found in trials_of(tmp_path).values() if found)
    assert [trial.user_attrs for trial in trials] == [{"rejected": "repeats an earlier candidate"}]
    assert trials[0].state is TrialState.FAIL
