"""How cells are put into packs."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from msa_core.config.planted import PlantedConfig
from msa_core.core import CORE
from msa_core.data.dataset import Dataset
from msa_core.data.planted import generate_planted
from search.ledger.ledger import Ledger, read_ledger, read_pack_sizes
from search.schedule.pack import Pack
from search.schedule.pack_sizes import UNMEASURED, PackSizes
from search.schedule.schedule import Schedule
from search.worker.pack_work import MEASURED, PackWork, measured_of
from search.worker.worker import Worker
from spaces.abilities import PackSize
from spaces.plan.arms_on_data import Versions
from spaces.plan.plan import plan_study
from spaces.study_file.load import load_study
from tests.cases.studies.in_process import train_cells

WriteStudy = Callable[[str], Path]


def size(pack_key: str = "a", size: int = 8, device: str = "cpu", data: str = "d") -> PackSize:
    return PackSize(
        pack_key=pack_key, data=data, device=device, size=size, seconds={"2": 0.1},
        memory={"2": 10}, share=100,
    )  # fmt: skip


def schedule_of(write_study: WriteStudy, text: str, *overrides: str, **sizes: object) -> Schedule:
    plan = plan_study(load_study(write_study(text), overrides), Versions(data="", code=""))
    return Schedule(plan, [], PackSizes(**sizes))  # type: ignore[arg-type]


def packs_of(schedule: Schedule, workers: int) -> list[Pack]:
    packs: list[Pack] = []
    while pack := schedule.next_pack(idle=max(1, workers - len(packs))):
        packs.append(pack)
    return packs


def test_what_waits_is_shared_out_in_whole_candidates(
    write_study: WriteStudy, small_study_text: str
) -> None:
    text = small_study_text.replace("- leave_one_out:\n      text: {model.text.use: false}",
                                    "- explicit: {full: {}}")  # fmt: skip
    schedule = schedule_of(write_study, text, "budget.candidates=10", "budget.tune_seeds=3")
    packs = packs_of(schedule, workers=2)
    assert [len(pack.cells) for pack in packs] == [15, 15]
    assert [sorted({cell.candidate for cell in pack.cells}) for pack in packs] == [
        list(range(5)), list(range(5, 10)),
    ]  # fmt: skip


def test_a_pack_is_no_larger_than_measured(write_study: WriteStudy, small_study_text: str) -> None:
    schedule = schedule_of(write_study, small_study_text, "budget.candidates=10")
    first = schedule.next_pack()
    assert first is not None and first.size is None and len(first.cells) == 20
    schedule = schedule_of(
        write_study, small_study_text, "budget.candidates=10",
        measured=[size(first.pack_key, 7)], data="d",
    )  # fmt: skip
    first = schedule.next_pack()
    assert first is not None and first.size == 7 and len(first.cells) == 6  # whole candidates


def test_the_cells_of_a_pack_share_their_key(
    write_study: WriteStudy, small_study_text: str
) -> None:
    schedule = schedule_of(
        write_study, small_study_text, "search.model.fusion.kind={choice: [concat, sum]}",
        "budget.candidates=10",
    )  # fmt: skip
    for pack in packs_of(schedule, workers=1):
        assert len({cell.config["model.fusion.kind"] for cell in pack.cells}) == 1


def test_what_trains_in_turn_is_given_out_by_the_candidate(
    write_study: WriteStudy, small_study_text: str
) -> None:
    lstm = ("base.model.audio.encoder=lstm", "budget.candidates=10")
    packs = packs_of(schedule_of(write_study, small_study_text, *lstm), workers=1)
    assert {(pack.pack_key, len(pack.cells)) for pack in packs} == {("", 2)}
    on_a_gpu = packs_of(schedule_of(write_study, small_study_text, *lstm, device="cuda"), 1)
    assert {len(pack.cells) for pack in on_a_gpu} == {20}


def test_the_user_s_own_size_goes_before_any_measurement() -> None:
    sizes = PackSizes([size("a", 8)], data="d", fixed=1)
    assert (sizes.size_for("a"), sizes.size_for("new"), sizes.most_cells("new")) == (1, 1, 1)


def test_a_measurement_holds_for_its_data_and_kind_of_device() -> None:
    measured = [size("a", 8), size("b", 9, data="other"), size("c", 99, device="H200"),
                size("a", 4)]  # fmt: skip
    here = PackSizes(measured, data="d")
    assert [here.size_for(key) for key in "abc"] == [8, None, None]
    assert here.most_cells("b") == UNMEASURED
    assert PackSizes(measured, device="cuda", data="d").size_for("c") == 99


def test_the_ledger_keeps_what_was_measured_and_serves_it_to_the_next_run(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.append([], size("a"))
        assert ledger.pack_sizes == []  # of earlier runs
    assert read_pack_sizes(tmp_path) == [size("a")]
    assert read_ledger(tmp_path) == {}
    with Ledger(tmp_path) as ledger:
        assert ledger.pack_sizes == [size("a")]


def test_a_worker_measures_what_nobody_knows_and_says_it(
    write_study: WriteStudy, small_study_text: str, small_data: Dataset
) -> None:
    schedule = schedule_of(write_study, small_study_text)
    pack = schedule.next_pack()
    assert pack is not None and pack.size is None
    worker = Worker.for_data(CORE, small_data, memory=2**30)
    result = PackWork(pack, worker).step()
    measured = measured_of(result)
    assert measured is not None
    assert (measured.pack_key, measured.device, measured.share) == (pack.pack_key, "cpu", 2**30)
    assert measured.data == small_data.fingerprint
    assert 2 <= measured.size <= UNMEASURED
    assert result[MEASURED] == [asdict(measured)]
    schedule.add_results(train_cells(pack, worker), measured)
    assert schedule.sizes.size_for(pack.pack_key) == measured.size


def test_data_of_a_single_step_can_be_measured(
    write_study: WriteStudy, small_study_text: str
) -> None:
    schedule = schedule_of(write_study, small_study_text)
    pack = schedule.next_pack()
    assert pack is not None
    few = generate_planted(PlantedConfig(train=8, valid=8, test=8, steps=3, width=6))
    measured = measured_of(PackWork(pack, Worker.for_data(CORE, few)).step())
    assert measured is not None
    assert all(0 < seconds < 60 for seconds in measured.seconds.values())


def test_a_pack_that_cannot_be_measured_is_trained_all_the_same(
    write_study: WriteStudy,
    small_study_text: str,
    small_data: Dataset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> PackSize:
        raise RuntimeError("no room for two")

    monkeypatch.setattr("msa_core.vectorised.pack_size.measure_pack_size", fail)
    pack = schedule_of(write_study, small_study_text).next_pack()
    assert pack is not None
    result = PackWork(pack, Worker.for_data(CORE, small_data)).step()
    assert measured_of(result) is None
    assert {cell["status"] for cell in result["cells"]} == {"complete"}


@pytest.mark.parametrize("fixed", [1, 3])
def test_cells_are_the_same_in_packs_and_without(
    fixed: int, write_study: WriteStudy, small_study_text: str, small_data: Dataset
) -> None:
    def run(**sizes: object) -> list[tuple[object, ...]]:
        schedule = schedule_of(write_study, small_study_text, **sizes)
        cells = []
        while pack := schedule.next_pack():
            records = train_cells(pack, Worker.for_data(CORE, small_data))
            cells += records
            schedule.add_results(records)
        return sorted((c.key, c.status, c.epochs, c.predictions,
                       tuple(c.curve["valid.mae"])) for c in cells)  # fmt: skip

    assert run() == run(fixed=fixed)
