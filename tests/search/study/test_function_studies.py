"""Studies of functions that ship, or stand on a page: written by `init`, planned, run."""

import re
from pathlib import Path

import pytest

from search.help.function_study import function_study, task_of_labels
from search.provenance import arm_version, current_versions
from spaces.errors import StudyError
from spaces.plan.plan import plan_study
from spaces.study_file.load import SHIPPED, find_study, load_study
from spaces.study_file.writing import write_study
from tests.cases.function_code import FILES, TRAIN, write_code
from tests.cases.paths import REPOSITORY
from tests.cases.studies.in_process import report_of, run_here

SMALL = ("budget.candidates=2", "budget.tune_seeds=1", "budget.confirm_seeds=2", "epochs=1")
PAGE = (REPOSITORY / "docs" / "functions.md").read_text(encoding="utf-8")


def test_the_study_of_digits_runs(tmp_path: Path) -> None:
    study = load_study(find_study("digits"), SMALL)
    data = study.core.open(study.data)
    assert data.counts == {"train": 300, "valid": 600, "test": 897}
    plan = plan_study(study, current_versions(study.core, data), data.facts, arm_version)
    assert run_here(plan, data, tmp_path) == plan.cell_count() == 5 * 4
    page = report_of(tmp_path).html.read_text(encoding="utf-8")
    assert "AUROC (one vs rest)" in page and "utterance" not in page


def test_the_file_of_digits_imports_nothing_of_ours() -> None:
    text = (SHIPPED / "digits.py").read_text(encoding="utf-8")
    assert not re.findall(r"(?:from|import) (?:triptych|search|spaces|reports|msa_core)", text)


def test_the_function_on_the_page_is_what_init_reads_and_runs(tmp_path: Path) -> None:
    code, study_text = (
        re.search(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL).group(1)  # type: ignore[union-attr]
        for kind in ("python", "yaml")
    )
    (tmp_path / "train.py").write_text(code, encoding="utf-8")
    path = tmp_path / "study.yaml"
    written, core = function_study("train", str(tmp_path / "train.py"), path, None)
    for text in (study_text, written):
        path.write_text(text, encoding="utf-8")
        study = load_study(path, SMALL[:3])
        assert study.core == core
        assert [arm.name for arm in study.arms] == ["base", "scale false", "average false"]
        assert list(study.search) == ["learning_rate"]
        assert (study.data.scheme, study.metric) == ("binary", "auroc")
    data = study.core.open(study.data)
    plan = plan_study(study, current_versions(study.core, data), data.facts, arm_version)
    assert run_here(plan, data, tmp_path) == plan.cell_count()


def test_init_asks_for_nothing_that_it_can_find_out(tmp_path: Path) -> None:
    for file in FILES:
        (tmp_path / file.name).write_text(file.text, encoding="utf-8")
    rows = tmp_path / "rows.txt"
    rows.write_text("50", encoding="utf-8")
    text, _ = function_study("x", str(tmp_path / "train.py"), tmp_path / "x.yaml", rows)
    assert "data: rows.txt" in text
    assert "\ntask: binary" in text
    assert "squares: [false]   # squares of the features beside them" in text
    assert "penalty: [l2]" in text
    assert "learning_rate: {log_uniform: [0.1, 10]}" in text
    (tmp_path / "x.yaml").write_text(text, encoding="utf-8")
    assert len(load_study(tmp_path / "x.yaml").arms) == 3


def test_init_leaves_the_task_open_where_data_are_needed(tmp_path: Path) -> None:
    write_code(tmp_path, train=TRAIN.replace("path=None", "path"))
    text, _ = function_study("x", str(tmp_path / "train.py"), tmp_path / "x.yaml", None)
    assert "\ntask:" not in text and "# task: binary" in text
    (tmp_path / "x.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(StudyError, match="'task' is missing"):
        load_study(tmp_path / "x.yaml")


def test_a_function_without_switches_has_a_table_all_the_same(tmp_path: Path) -> None:
    text = TRAIN.replace("squares: bool = True", "width: int = 3").replace("config.squares", "True")
    text = text.replace('    penalty: Literal["none", "l2"] = "none"\n', "")
    write_code(tmp_path, train=text.replace('config.penalty == "l2"', "False"))
    written, _ = function_study("x", str(tmp_path / "train.py"), tmp_path / "x.yaml", None)
    (tmp_path / "x.yaml").write_text(written, encoding="utf-8")
    assert len(load_study(tmp_path / "x.yaml").arms) == 2


@pytest.mark.parametrize(
    ("labels", "task"),
    [
        ([0, 1, 1, 0], "binary"),
        ([0, 1, 2, 1], "multiclass"),
        ([0.5, 1, 2], "regression"),
        ([-1, 0, 1], "regression"),
        ([0, 150, 3], "regression"),
        ([[0, 1], [1, 1]], "multilabel"),
        ([[0.5, 1], [1, 1]], "regression"),
    ],
)
def test_the_task_is_guessed_from_labels(labels: list[float], task: str) -> None:
    import numpy as np

    assert task_of_labels(np.asarray(labels, dtype=np.float32)) == task


@pytest.mark.parametrize(
    ("core", "why"),
    [
        ("no_such.py", ".*/no_such.py: cannot be read"),
        ("no_such_package.training", "'no_such_package.training' is no core"),
        ("json.decoder", "json.decoder: there is no function 'train'"),
        ("json.no_such", "json.no_such: its package is installed, but has no such module"),
    ],
)
def test_what_is_no_core_is_refused_by_init(core: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=f"^--core: ({why})"):
        function_study("x", core, tmp_path / "x.yaml", None)


def test_a_study_of_a_function_is_read_back(tmp_path: Path) -> None:
    study = load_study(write_code(tmp_path))
    path = tmp_path / "again.yaml"
    path.write_text(write_study(study), encoding="utf-8")
    assert load_study(path) == study


def test_an_installed_module_is_a_core_under_its_dotted_name(tmp_path: Path) -> None:
    text = (SHIPPED / "digits.yaml").read_text(encoding="utf-8")
    path = tmp_path / "digits.yaml"
    path.write_text(text.replace("core: digits.py", "core: spaces.studies.digits"), "utf-8")
    study, shipped = load_study(path, SMALL), load_study(find_study("digits"), SMALL)
    assert not study.plugins
    assert study.arms == shipped.arms
    data = study.core.open(study.data)
    versions = [current_versions(one.core, data) for one in (study, shipped)]
    assert versions[0].data == versions[1].data
    plan = plan_study(study, versions[0], data.facts, arm_version)
    assert {"spaces/studies/digits.py", "package numpy"} <= plan.code_files[versions[0].code].keys()
