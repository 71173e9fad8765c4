"""`triptych reproduce`: rows and cells trained again, and what is said of them."""

import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from msa_core.data.dataset import Dataset, Split
from msa_core.data.load import load_dataset
from reports.encoding import decode_floats, encode_floats
from search.cli import main
from search.ledger.ledger import Ledger, read_full_records, read_ledger
from search.ledger.lines import LEDGER
from search.ledger.record import CellRecord
from search.provenance import arm_version, current_versions
from search.reproduce.origin import load_kept_study
from search.reproduce.outcomes import (
    INSIDE,
    NOT,
    SAME,
    judge_cell,
    judge_row,
    prediction_interval,
    record_differences,
)
from search.reproduce.retrain import retrain_cells
from search.results.folder import keep_files, keep_study, ledger_results
from search.results.history import RunRecord, append_run, utc_timestamp
from spaces.plan.plan import plan_study
from spaces.study_file.load import load_study
from tests.cases.ledger_cases import record
from tests.cases.paths import DOCS
from tests.cases.studies.in_process import run_here

BASELINE, ARM = "full", "without text"


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, small_study_text: str, small_data: Dataset
) -> Path:
    """The results folder of the small study, trained in this process."""
    return trained(tmp_path_factory.mktemp("finished"), small_study_text, small_data)


def trained(workdir: Path, text: str, dataset: Dataset, packs: int | None = None) -> Path:
    path = workdir / "study.yaml"
    path.write_text(text, encoding="utf-8")
    study = load_study(path)
    folder = workdir / "runs" / study.name
    plan = plan_study(study, current_versions(study.core, dataset), core_version=arm_version)
    run_here(plan, dataset, folder, packs)
    keep_study(folder, study)
    return folder


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """A copy of that folder, to be changed."""
    return Path(shutil.copytree(finished, tmp_path / "runs" / finished.name))


def reproduce(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["reproduce", str(folder), *arguments])


def said(folder: Path, *arguments: str, code: int = 0) -> Mapping[str, object]:
    result = reproduce(folder, *arguments, "--json")
    assert result.exit_code == code, result.output
    found: Mapping[str, object] = json.loads(result.stdout)
    return found


def cells(folder: Path, phase: str, arm: str = ARM) -> list[CellRecord]:
    found = [r for r in read_ledger(folder).values() if (r.phase, r.arm) == (phase, arm)]
    return sorted(found, key=lambda cell: (cell.candidate, cell.seed))


def rewrite(folder: Path, change: Callable[[CellRecord], CellRecord]) -> None:
    """Write the ledger of a folder again, with its cells changed."""
    whole = list(read_full_records(folder))
    (folder / LEDGER).unlink()
    with Ledger(folder) as ledger:
        ledger.append(map(change, whole))


def use_data(folder: Path, data: str) -> None:
    """Change where a kept study has its data from."""
    lines = (folder / "study.yaml").read_text().splitlines(keepends=True)
    start = lines.index("data:\n")
    end = next(n for n in range(start + 1, len(lines)) if not lines[n].startswith(" "))
    lines[start:end] = [data]
    (folder / "study.yaml").write_text("".join(lines))


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*") if path.is_file()}  # fmt: skip


def test_a_row_is_the_same_to_the_bit_and_nothing_is_written(finished: Path) -> None:
    before = everything(finished)
    result = reproduce(finished, ARM)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "training 4 cells again on the CPU"
    assert lines[1] == "code, data, versions and device are as they were"
    assert sum(": the same to the bit (test.mae" in line for line in lines) == 4
    assert lines[-1].startswith(f"row '{ARM}': the same to the bit; 4 of 4 cells the same")
    assert everything(finished) == before


def test_cells_of_both_phases_are_found_by_the_beginnings_of_their_keys(finished: Path) -> None:
    tuned, confirmed = cells(finished, "tune")[0], cells(finished, "confirm", BASELINE)[-1]
    found = said(finished, confirmed.key[:8], tuned.key, confirmed.key)
    assert [cell["key"] for cell in found["cells"]] == [confirmed.key, tuned.key]
    assert {cell["verdict"] for cell in found["cells"]} == {SAME}
    assert [cell["metric"] for cell in found["cells"]] == ["test.mae", "valid.mae"]
    assert found["reproduced"] is True and found["differs"] == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("without txt", "neither an arm of the study"),
        ("without txt", "did you mean 'without text'?"),
        ("zzzzzzzz", "nor how the key of a finished cell begins"),
        ("", "neither an arm"),
    ],
)
def test_a_name_that_means_nothing_is_wrong_input(finished: Path, name: str, message: str) -> None:
    result = reproduce(finished, name)
    assert result.exit_code == 2 and message in result.stderr
    assert "training" not in result.stdout


def test_a_key_that_is_cut_too_short_is_wrong_input(finished: Path) -> None:
    result = reproduce(finished, cells(finished, "tune")[0].key[:5])
    assert result.exit_code == 2 and "give at least 6 characters" in result.stderr


def test_a_beginning_that_two_cells_share_is_wrong_input(copied: Path) -> None:
    first, second = cells(copied, "tune")[:2]
    rewrite(copied, lambda cell: replace(cell, key="abcdef12" + cell.key)
            if cell.key in (first.key, second.key) else cell)  # fmt: skip
    result = reproduce(copied, "abcdef12")
    assert result.exit_code == 2 and "2 cells begin so (abcdef12" in result.stderr


def test_a_cell_with_another_record_is_not_the_same_and_may_be_inside(copied: Path) -> None:
    one, far = cells(copied, "confirm")[:2]

    def change(cell: CellRecord) -> CellRecord:
        if cell.key != one.key:
            return cell
        value = cell.metrics["test.mae"] + 1e-9
        return replace(cell, metrics={**cell.metrics, "test.mae": value})

    rewrite(copied, change)
    found = said(copied, one.key)
    (outcome,) = found["cells"]
    assert outcome["others"] == 3
    assert outcome["verdict"] in (INSIDE, NOT)
    inside = outcome["low"] <= outcome["now"] <= outcome["high"]
    assert (outcome["verdict"] == INSIDE) == inside
    assert len(outcome["differences"]) == 1 and "test.mae" in outcome["differences"][0]
    assert far.key != one.key


def test_a_record_that_was_changed_is_told_and_its_row_is_not_the_same(copied: Path) -> None:
    arm_cells = {cell.key for cell in cells(copied, "confirm")}
    one = cells(copied, "confirm")[0]

    def change(cell: CellRecord) -> CellRecord:
        if cell.key not in arm_cells:
            return cell
        shifted = decode_floats(cell.predictions) + 5
        metrics = {**cell.metrics, "test.mae": cell.metrics["test.mae"] + 5}
        curve = {name: [*values[:1], 9.0, *values[2:]] if name == "valid.mae" else values
                 for name, values in cell.curve.items()}  # fmt: skip
        return replace(cell, predictions=encode_floats(shifted), metrics=metrics, curve=curve,
                       best_epoch=cell.best_epoch + 1)  # fmt: skip

    rewrite(copied, change)
    result = reproduce(copied, ARM)
    assert result.exit_code == 1
    assert f"row '{ARM}': not the same; 0 of 4 cells the same" in result.stdout
    assert f"best epoch {one.best_epoch + 1}, now {one.best_epoch}" in result.stdout
    assert "the curve, valid.mae from epoch 2 on" in result.stdout
    assert "64 of 64 test predictions, by 5 at most" in result.stdout
    (outcome,) = said(copied, one.key, code=1)["cells"]
    assert outcome["verdict"] == NOT
    assert not outcome["low"] <= outcome["now"] <= outcome["high"]


def test_other_data_goes_on_and_says_that_it_differs(finished: Path, tmp_path: Path) -> None:
    text = (finished / "study.yaml").read_text()
    copy = Path(shutil.copytree(finished, tmp_path / "runs" / "other"))
    (copy / "study.yaml").write_text(text.replace("steps: 3", "steps: 3\n    seed: 7"))
    result = reproduce(copy, cells(copy, "confirm")[0].key)
    assert result.exit_code in (0, 1)
    assert "differs: data:" in result.stdout
    assert "test predictions" in result.stdout and "the same to the bit" not in result.stdout


def test_data_that_are_not_there_are_wrong_input(finished: Path, tmp_path: Path) -> None:
    result = reproduce(finished, ARM, "--data", str(tmp_path / "nowhere.pkl"))
    assert result.exit_code == 2 and "no such file" in result.stderr


def test_a_file_that_is_not_there_any_more_is_asked_for(copied: Path) -> None:
    use_data(copied, f"data: {{file: {copied / 'gone.pkl'}, labels: mosi}}\n")
    result = reproduce(copied, ARM)
    assert result.exit_code == 2 and "is not there any more" in result.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_wrong_input(finished: Path) -> None:
    result = reproduce(finished, ARM, "--device", "cuda")
    assert result.exit_code == 2 and "finds no GPU here" in result.stderr


def test_the_file_of_the_last_run_is_remembered(copied: Path, tmp_path: Path) -> None:
    use_data(copied, "data: {labels: mosi}\n")
    run = RunRecord(
        started=utc_timestamp(), wall_seconds=1.0, startup_seconds=0.0, device_seconds=0.0, cells=0,
        workers=1, ended="complete", data=str(tmp_path / "given.pkl"),
    )  # fmt: skip
    append_run(copied, run)
    append_run(copied, replace(run, data=""))  # a later one that generated them, or did not say
    result = reproduce(copied, ARM)
    assert result.exit_code == 2 and f"{tmp_path / 'given.pkl'}: the file" in result.stderr


def test_a_study_that_names_no_data_asks_for_them(copied: Path) -> None:
    use_data(copied, "data: {labels: mosi}\n")
    result = reproduce(copied, ARM)
    assert result.exit_code == 2 and "say where it is: --data" in result.stderr


def test_a_folder_without_results_is_wrong_input(tmp_path: Path) -> None:
    result = reproduce(tmp_path, ARM)
    assert result.exit_code == 2 and "holds no results" in result.stderr


def test_an_unfinished_study_shows_no_test_value(
    tmp_path: Path, small_study_text: str, small_data: Dataset
) -> None:
    whole = trained(tmp_path, small_study_text, small_data)
    last = cells(whole, "confirm", BASELINE)[-1]
    kept = [cell for cell in read_full_records(whole) if cell.key != last.key]
    (whole / LEDGER).unlink()
    with Ledger(whole) as ledger:
        ledger.append(kept)
    assert ledger_results(whole).embargoed
    hidden = {repr(cell.metrics["test.mae"]) for cell in kept if "test.mae" in cell.metrics}
    for form in ((), ("--json",)):
        result = reproduce(whole, ARM, *form)
        assert result.exit_code == 0, result.output
        assert "its test metrics are sealed" in result.output
        assert "valid.mae" in result.output and "test.mae" not in result.output
        assert not any(value in result.output for value in hidden)


def test_a_failed_cell_that_fails_alike_is_the_same(small_data: Dataset, finished: Path) -> None:
    one = cells(finished, "confirm", BASELINE)[0]
    deaf = without_audio(small_data)  # so that its training raises
    kept = load_kept_study(finished)
    ((then,),) = retrain_cells(kept, [one], deaf, device="cpu", test=True)
    assert then.status == "failed"
    ((now,),) = retrain_cells(kept, [then], deaf, device="cpu", test=True)
    outcome = judge_cell(then, now, [], primary="mae", embargoed=False)
    assert outcome.verdict == SAME and outcome.fails == f"{then.kind}: {then.reason}"
    others = cells(finished, "confirm", BASELINE)
    changed = judge_cell(one, now, others, primary="mae", embargoed=False)
    assert changed.verdict == NOT and "status 'complete', now 'failed'" in changed.differences


def without_audio(dataset: Dataset) -> Dataset:
    splits = dataset.splits

    def deaf(split: Split) -> Split:
        heard = {name: value for name, value in split.features.items() if name != "audio"}
        return replace(split, features=heard)

    both = replace(splits, train=deaf(splits.train), valid=deaf(splits.valid))
    return replace(dataset, splits=both, test=deaf(dataset.test))


def test_a_cell_that_was_stopped_early_is_stopped_there_again(
    small_data: Dataset, finished: Path
) -> None:
    one = next(iter(read_full_records(finished, [cells(finished, "tune")[0].key])))
    stopped = replace(one, status="pruned", epochs=2)
    kept = load_kept_study(finished)
    ((then,),) = retrain_cells(kept, [stopped], small_data, device="cpu", test=True)
    assert (then.status, then.epochs, then.reason) == ("pruned", 2, "stopped after epoch 2")
    assert then.curve["valid.mae"] == pytest.approx(one.curve["valid.mae"][:2], rel=1e-6)
    ((now,),) = retrain_cells(kept, [then], small_data, device="cpu", test=True)
    assert record_differences(then, now, tested=False) == []


def test_a_new_seed_is_expected_where_students_t_says() -> None:
    low, high = prediction_interval([1.0, 2.0, 3.0]) or (0, 0)
    reach = 4.302652729911275 * np.sqrt(4 / 3)
    assert (low, high) == pytest.approx((2 - reach, 2 + reach), abs=1e-9)
    assert prediction_interval([1.0]) is None


def test_a_difference_of_one_bit_anywhere_is_a_difference() -> None:
    then = record("k", phase="confirm", predictions=encode_floats(np.array([0.5, -0.0])),
                  metrics={"valid.mae": 0.3, "test.mae": 0.4, "seconds": 3.0})  # fmt: skip
    assert (
        record_differences(
            then, replace(then, metrics={**then.metrics, "seconds": 9.0}), tested=True
        )
        == []
    )
    one_bit = np.nextafter(0.3, 1)
    unlike = [
        replace(then, metrics={**then.metrics, "valid.mae": one_bit}),
        replace(then, curve={"valid.mae": [1.0, None, float(np.nextafter(np.float32(0.5), 1))]}),
        replace(then, curve={**then.curve, "train.loss": [1.0]}),
        replace(then, predictions=encode_floats(np.array([0.5, 0.0]))),
        replace(then, best_epoch=1),
        replace(then, status="failed"),
    ]
    assert all(len(record_differences(then, now, tested=True)) == 1 for now in unlike)
    # What the ledger does not keep is no difference: its curves are float32.
    rounder = replace(then, curve={"valid.mae": [1.0, None, 0.5 + 1e-12]})
    assert record_differences(then, rounder, tested=True) == []


def test_a_row_is_judged_by_its_difference_from_the_baseline() -> None:
    then = [record(f"k{seed}", phase="confirm", seed=seed, metrics={"test.mae": 1.0 + seed / 10})
            for seed in range(4)]  # fmt: skip
    now = [replace(cell, metrics={"test.mae": cell.metrics["test.mae"] + 0.05}) for cell in then]
    outcomes = [judge_cell(old, new, then, primary="mae", embargoed=False)
                for old, new in zip(then, now, strict=True)]  # fmt: skip

    def row(interval: tuple[float, float] | None) -> str:
        return judge_row("full", outcomes, metric="test.mae", is_baseline=False,
                         baseline=dict.fromkeys(range(4), 1.0), interval=interval,
                         kind="").verdict  # fmt: skip

    assert row((0.1, 0.3)) == INSIDE  # .2 now
    assert row((0.1, 0.19)) == NOT
    assert row(None) == NOT


@pytest.mark.slow
def test_cells_of_real_data_are_the_same_to_the_bit(
    shared_data: Callable[[str], Path], tmp_path: Path, small_study_text: str
) -> None:
    file = shared_data("mosi_utterance.pkl")
    start, end = small_study_text.index("data:"), small_study_text.index("base:")
    text = f"{small_study_text[:start]}data: {{labels: mosi}}\n{small_study_text[end:]}"
    folder = trained(tmp_path, text, load_dataset(file, "mosi"))
    keys = [cells(folder, "tune")[0].key, *(cell.key for cell in cells(folder, "confirm")[:2])]
    assert reproduce(folder, *keys).exit_code == 2
    found = said(folder, *keys, "--data", str(file))
    assert [cell["verdict"] for cell in found["cells"]] == [SAME] * 3


def test_plugins_are_those_that_the_folder_keeps(
    tmp_path: Path, small_data: Dataset, small_study_text: str
) -> None:
    page = DOCS / "plugins.md"
    found = re.search(r"```python\n# soft_max\.py\n(.*?)```", page.read_text(), re.DOTALL)
    assert found
    (tmp_path / "soft_max.py").write_text(found[1], encoding="utf-8")
    text = small_study_text.replace("base:", "plugins: [soft_max.py]\nbase:").replace(
        "{model.text.use: false}", "{model.fusion.kind: soft_max}"
    )
    folder = trained(tmp_path, text, small_data)
    keep_files(folder, load_study(tmp_path / "study.yaml").core)
    (tmp_path / "soft_max.py").write_text("raise RuntimeError", encoding="utf-8")
    key = cells(folder, "confirm")[0].key
    found_again = said(folder, key)
    assert [cell["verdict"] for cell in found_again["cells"]] == [SAME]
    assert found_again["differs"] == []
    (kept,) = (folder / "plugins").iterdir()
    kept.write_text(kept.read_text() + "# edited\n", encoding="utf-8")
    assert [one["what"] for one in said(folder, key)["differs"]] == ["plugin soft_max.py"]
