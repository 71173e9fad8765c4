"""A study that grows, is interrupted, or outlives its code and data."""

import csv
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from search import provenance
from search.ledger.ledger import read_ledger
from search.ledger.lines import LEDGER
from search.results.folder import ledger_results
from search.study.open import OpenedStudy, StaleAnswer, open_study
from spaces.code_version import CodeVersion
from spaces.errors import StudyError
from tests.cases.paths import TRIPTYCH
from tests.cases.studies.in_process import report_of, run_here

SMALL_BASE = """\
data:
  planted: {train: 96, valid: 64, test: 64, steps: 3, width: 6}
base:
  model.text.width: 8
  model.audio.width: 8
  model.vision.width: 8
  model.projection.width: 4
  model.fusion.width: 8
  train.epochs: 3
"""
FIRST = f"""\
study: growing
{SMALL_BASE}
components:
  text: {{off: {{model.text.use: false}}}}
  TA: {{on: {{loss.alignment.text_audio.mode: shared}}}}
arms:
  - one_at_a_time: {{model.fusion.kind: [sum, gated]}}
    reference: plain
budget: {{confirm_seeds: 4}}
"""
GROWN = FIRST.replace("[sum, gated]", "[gated, tfn, sum]").replace(
    "budget:", "  - add_one_in: [TA]\n    reference: plain\nbudget:"
).replace("confirm_seeds: 4", "confirm_seeds: 9")  # fmt: skip


def rows(folder: Path, name: str = "growing") -> list[dict[str, str]]:
    path = folder / "runs" / name / "report" / "cells.csv"
    with path.open(newline="", encoding="utf-8") as file:
        return [{**row, "metric.seconds": ""} for row in csv.DictReader(file)]


def write(folder: Path, text: str) -> str:
    path = folder / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def opened(folder: Path, text: str, stale_answer: StaleAnswer = StaleAnswer.ASK) -> OpenedStudy:
    (one,) = open_study(
        write(folder, text), [], [], folder, need_data=True, stale_answer=stale_answer
    )
    return one


def run(one: OpenedStudy, packs: int | None = None) -> int:
    assert one.dataset is not None
    return run_here(one.plan, one.dataset, one.folder, packs)


def test_an_interrupted_extended_and_finished_study_is_the_one_that_was_run_whole(
    tmp_path: Path,
) -> None:
    piecemeal, whole = tmp_path / "piecemeal", tmp_path / "whole"
    piecemeal.mkdir()
    whole.mkdir()
    first = run(opened(piecemeal, FIRST), packs=2)
    assert 0 < first < 12
    more = run(opened(piecemeal, GROWN))
    assert run(opened(whole, GROWN)) == 5 * 9 == first + more
    for folder in (piecemeal, whole):
        report_of(folder / "runs" / "growing")
    assert rows(piecemeal) == rows(whole)
    assert [arm.name for arm in opened(whole, GROWN).plan.arms] == [
        "plain", "fusion gated", "fusion tfn", "fusion sum", "with TA",
    ]  # fmt: skip


@pytest.mark.slow
def test_the_same_through_ray_killed_at_a_bad_moment(tmp_path: Path) -> None:
    piecemeal, whole = tmp_path / "piecemeal", tmp_path / "whole"
    for folder, text in ((piecemeal, FIRST), (whole, GROWN)):
        folder.mkdir()
        write(folder, text)
    command = [str(TRIPTYCH), "run", "study.yaml", "--workers", "2"]
    process = subprocess.Popen(
        command, cwd=piecemeal, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    ledger = piecemeal / "runs" / "growing" / LEDGER
    deadline = time.monotonic() + 120
    while not (ledger.exists() and read_ledger(ledger.parent)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    write(piecemeal, GROWN)
    for folder in (piecemeal, whole):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert rows(piecemeal) == rows(whole)


def test_a_study_without_changes_is_not_stale(tmp_path: Path) -> None:
    run(opened(tmp_path, FIRST))
    again = opened(tmp_path, FIRST)
    assert again.stale is None
    assert run(again) == 0


def change_code(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    code = CodeVersion(digest=version, files={"core.py": version})
    monkeypatch.setattr(provenance, "_version_from", lambda modules, folders: code)


def test_a_change_of_the_code_is_noticed_and_needs_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_code(monkeypatch, "first code")
    assert run(opened(tmp_path, FIRST)) == 12
    change_code(monkeypatch, "second code")
    asked = opened(tmp_path, FIRST)
    assert asked.stale is not None
    assert asked.stale.changed == ["code"]
    assert asked.stale.rerun_question() == (
        "core.py changed: 12 cells of 'plain' and 2 other arms are stale in "
        f"{asked.folder}: --rerun trains them again (the old ones stay in the ledger), --keep lets "
        "them count and trains only what is missing"
    )
    # Kept, they count, and what is new says what trained it.
    kept = opened(tmp_path, GROWN, stale_answer=StaleAnswer.KEEP)
    assert run(kept) == 5 * 9 - 12
    facts = ledger_results(kept.folder).facts
    assert facts.provenance["training core"] == "first code"
    assert facts.provenance["training core, now"] == "second code"
    assert facts.provenance["training core of 'plain'"] == "first code, now second code"
    assert (
        "Cells of 'plain', 'fusion gated', 'fusion sum' were trained by different versions of the "
        "training core (--keep)."
    ) in ledger_results(kept.folder).facts.notes
    # Trained again, the old ones stay in the ledger and count no more.
    assert run(opened(tmp_path, FIRST)) == 12
    assert len(read_ledger(kept.folder)) == 5 * 9 + 12
    assert len(ledger_results(kept.folder).cells) == 12
    assert opened(tmp_path, FIRST).stale is None


def test_a_change_of_the_data_is_noticed_and_other_test_labels_are_never_mixed(
    tmp_path: Path,
) -> None:
    run(opened(tmp_path, FIRST))
    other = FIRST.replace("planted: {", "planted: {seed: 5, ")
    asked = opened(tmp_path, other)
    assert asked.stale is not None
    assert asked.stale.changed == ["data"]
    assert "name both under 'data: {sets: ...}'" in asked.stale.rerun_question()
    with pytest.raises(StudyError, match="its test labels are others"):
        opened(tmp_path, other, stale_answer=StaleAnswer.KEEP)
    assert run(opened(tmp_path, other, stale_answer=StaleAnswer.RERUN)) == 12


SETS = FIRST.replace(
    SMALL_BASE.split("base:")[0],
    "data:\n  sets:\n"
    "    one: {planted: {train: 96, valid: 64, test: 64, steps: 3, width: 6}}\n"
    "    two: {planted: {seed: 5, train: 96, valid: 64, test: 64, steps: 3, width: 6}}\n",
)  # fmt: skip


def test_a_data_set_added_later_runs_beside_the_first(tmp_path: Path) -> None:
    run(opened(tmp_path, FIRST))
    path = write(tmp_path, SETS)
    first, second = open_study(path, [], [], tmp_path, need_data=True)
    # The first data set's results are found where they were.
    assert first.folder == tmp_path / "runs" / "growing"
    assert second.folder == tmp_path / "runs" / "growing.two"
    assert (first.stale, second.stale) == (None, None)
    assert (run(first), run(second)) == (0, 12)
    fresh = open_study(path, [], [], tmp_path / "elsewhere", need_data=True)
    assert [one.folder.name for one in fresh] == ["growing.one", "growing.two"]


def test_data_files_are_given_to_sets_by_name(tmp_path: Path) -> None:
    path = write(tmp_path, SETS)
    with pytest.raises(StudyError, match="write NAME=FILE, with one of one, two"):
        open_study(path, ["mosi.pkl"], [], tmp_path, need_data=True)
