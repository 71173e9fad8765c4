"""A study with modules of its own, from the file to the report."""

import json
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from msa_core.config.kinds import kinds_of
from msa_core.config.schema import Config
from msa_core.core import CORE
from msa_core.data.dataset import Dataset
from search.cli import main
from search.engine.trainable import PackTrainable
from search.ledger.ledger import read_full_records, read_ledger
from search.results.folder import ledger_results
from search.schedule.schedule import Schedule
from search.worker.pack_work import REFUSED, cells_of
from search.worker.worker import Worker
from spaces.core import SourceFile
from spaces.errors import StudyError
from spaces.fields.paths import fields_of, value_at
from spaces.plan.arms_on_data import Versions
from spaces.plan.plan import plan_study
from spaces.search_space.domains import LogUniform
from spaces.study_file.load import Study, load_study
from tests.cases.paths import DOCS, TRIPTYCH

PAGE = DOCS / "plugins.md"
SOFT_MAX = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE.read_text(), re.DOTALL))[
    "soft_max.py"
]
SHARPNESS = "model.fusion.soft_max.sharpness"
STUDY = f"""\
study: own
data: {{planted: {{train: 64, valid: 32, test: 32, steps: 3, width: 6}}}}
plugins:
  - modules/soft_max.py
base:
  model.projection.width: 4
  model.fusion.width: 8
  train.epochs: 2
search:
  {SHARPNESS}: {{log_uniform: [0.5, 8]}}
arms:
  - explicit:
      full: {{}}
      soft: {{model.fusion.kind: soft_max}}
budget: {{candidates: 2, tune_seeds: 2, confirm_seeds: 2}}
"""
CELLS = 2 + 2 * 2 + 2


@pytest.fixture
def own_study(tmp_path: Path) -> Path:
    """The study file, with its plugin beside it."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "soft_max.py").write_text(SOFT_MAX, encoding="utf-8")
    (tmp_path / "study.yaml").write_text(STUDY, encoding="utf-8")
    return tmp_path / "study.yaml"


def edited(study: Path) -> None:
    plugin = study.parent / "modules" / "soft_max.py"
    plugin.write_text(plugin.read_text() + "# edited\n", encoding="utf-8")


def keys(study: Study) -> dict[str, str]:
    plan = plan_study(study, Versions(data="d", code="c"))
    return {arm.name: arm.key for arm in plan.arms}


# Loading.


def test_a_plugins_fields_are_those_of_the_study(own_study: Path) -> None:
    study = load_study(own_study, [f"{SHARPNESS}=4", "search={}"])
    assert value_at(study.base, SHARPNESS) == 4.0
    study = load_study(own_study)
    assert study.search == {SHARPNESS: LogUniform(0.5, 8)}
    plan = plan_study(study, Versions(data="", code=""))
    assert {arm.name: list(arm.space) for arm in plan.arms} == {"full": [], "soft": [SHARPNESS]}


def test_loading_and_planning_change_nothing_outside_the_study(
    own_study: Path, write_study: Callable[..., Path], small_study_text: str
) -> None:
    fields = dict(fields_of(Config))
    other = load_study(write_study(small_study_text, "other.yaml"))
    alone = keys(other)
    own = load_study(own_study)
    before = keys(own)
    assert "soft_max" in kinds_of(own.core.config_class, "fusion")
    assert "soft_max" not in kinds_of(Config, "fusion")
    assert dict(fields_of(Config)) == fields
    assert keys(other) == alone
    assert keys(own) == before
    assert load_study(own_study) == own


def test_a_study_with_a_plugin_travels_to_another_process(own_study: Path) -> None:
    own = load_study(own_study)
    code = (
        "import pickle, sys; study = pickle.load(sys.stdin.buffer); "
        "from spaces.study_file.load import load_study; "
        f"from pathlib import Path; assert study == load_study(Path({str(own_study)!r}))"
    )
    subprocess.run([sys.executable, "-c", code], input=pickle.dumps(own), check=True)


def test_a_study_without_plugins_does_not_know_their_fields(own_study: Path) -> None:
    load_study(own_study)
    own_study.write_text(STUDY.replace("plugins:\n  - modules/soft_max.py\n", ""))
    with pytest.raises(StudyError, match=rf"study\.yaml:8: search: '{SHARPNESS}' is not a field"):
        load_study(own_study)


MISTAKES = {
    "no file": ("modules/lost.py", "study.yaml:4: plugins: ", "lost.py: cannot be read"),
    "no Python file": ("modules", "study.yaml:4: plugins: ", "needs the path of a Python file"),
    "a number": ("3", "study.yaml:4: plugins: ", "needs the path of a Python file, but got 3"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_wrong_entry_is_refused_with_its_line(name: str, own_study: Path) -> None:
    entry, place, words = MISTAKES[name]
    own_study.write_text(STUDY.replace("modules/soft_max.py", entry))
    with pytest.raises(StudyError) as caught:
        load_study(own_study)
    assert str(caught.value).startswith(place)
    assert words in str(caught.value)


def test_plugins_that_are_no_list_are_refused(own_study: Path) -> None:
    own_study.write_text(STUDY.replace("\n  - modules/soft_max.py", " modules/soft_max.py"))
    with pytest.raises(StudyError, match=r"study\.yaml:3: plugins: needs a list of Python files"):
        load_study(own_study)


def test_a_plugin_that_fails_is_refused_with_the_lines_of_both_files(own_study: Path) -> None:
    (own_study.parent / "modules" / "soft_max.py").write_text("x = 1\ny = x / 0\n")
    with pytest.raises(StudyError) as caught:
        load_study(own_study)
    assert str(caught.value) == (
        "study.yaml:4: plugins: soft_max.py:2: ZeroDivisionError: division by zero"
    )


# Keys.


def test_the_text_of_a_plugin_is_in_the_keys_of_the_arms_that_use_it(own_study: Path) -> None:
    before = keys(load_study(own_study))
    edited(own_study)
    after = keys(load_study(own_study))
    assert after["soft"] != before["soft"]
    assert after["full"] == before["full"]


def test_an_arm_whose_search_can_choose_a_plugins_kind_uses_it(own_study: Path) -> None:
    search = "search.model.fusion.kind={choice: [concat, soft_max]}"
    before = keys(load_study(own_study, [search]))
    edited(own_study)
    after = keys(load_study(own_study, [search]))
    assert after["full"] != before["full"]


def test_adding_a_plugin_leaves_the_other_arms_their_keys(own_study: Path) -> None:
    searched = ["search={train.learning_rate: {log_uniform: [1e-4, 1e-2]}}"]
    with_plugin = keys(load_study(own_study, searched))
    text = STUDY.replace("plugins:\n  - modules/soft_max.py\n", "")
    own_study.write_text(text.replace("      soft: {model.fusion.kind: soft_max}\n", ""))
    assert keys(load_study(own_study, searched))["full"] == with_plugin["full"]


def test_reading_a_study_without_plugins_imports_no_torch() -> None:
    code = (
        "import sys; from spaces.study_file.load import find_study, load_study; "
        "load_study(find_study('planted-quick')); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# Running.


def said(*arguments: str) -> str:
    """What a command prints, in this process."""
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    return done.output


def planned(study: Path) -> str:
    return said("plan", str(study), "--no-probe", "--workdir", str(study.parent))


def answer_of_a_worker(study: Study, dataset: Dataset, plugin: SourceFile) -> dict[str, Any]:
    """What a worker that is handed a plugin says of the cells of the arm that uses it."""
    plan = plan_study(study, Versions(data="", code=""))
    (soft,) = [arm for arm in plan.arms if arm.name == "soft"]
    schedule = Schedule(replace(plan, arms=(soft,)), [])
    pack = schedule.next_pack()
    worker = replace(Worker.for_data(CORE, dataset), plugins=(plugin,))
    actor = PackTrainable.__new__(PackTrainable)
    actor.setup({"pack": pack}, worker=worker)
    return actor.step()


def test_a_worker_needs_the_text_of_a_plugin_and_not_its_file(
    own_study: Path, small_data: Dataset
) -> None:
    study = load_study(own_study)
    shutil.rmtree(own_study.parent / "modules")
    plugin = pickle.loads(pickle.dumps(study.plugins[0]))
    cells = cells_of(answer_of_a_worker(study, small_data, plugin))
    assert {cell.status for cell in cells} == {"complete"}
    assert all("train.fusion.spread" in cell.curve for cell in cells)


def test_a_plugin_that_fails_on_a_worker_is_refused_with_its_reason(
    own_study: Path, small_data: Dataset
) -> None:
    plugin = SourceFile("soft_max.py", "import not_installed_here\n")
    answer = answer_of_a_worker(load_study(own_study), small_data, plugin)
    assert answer["done"]
    assert cells_of(answer) == []
    assert answer[REFUSED].startswith("on this worker: soft_max.py:1: No module named 'not_inst")


def triptych(*arguments: str, folder: Path) -> str:
    done = subprocess.run(
        [str(TRIPTYCH), *arguments], cwd=folder, capture_output=True, text=True, timeout=200,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_study_with_a_plugin_runs_reports_and_trains_again_only_what_an_edit_changes(
    own_study: Path,
) -> None:
    folder, results = own_study.parent, own_study.parent / "runs" / "own"
    assert f"{CELLS} cells trained" in triptych("run", "study.yaml", "--workers", "1",
                                                folder=folder)  # fmt: skip
    first = read_ledger(results)
    assert {cell.status for cell in first.values()} == {"complete"}
    for cell in read_full_records(results):
        assert (SHARPNESS in cell.config) == (cell.arm == "soft")
        assert ("train.fusion.spread" in cell.curve) == (cell.arm == "soft")
    kept = list((results / "plugins").iterdir())
    assert [path.read_text() for path in kept] == [SOFT_MAX]
    facts = json.loads((results / "plan.json").read_text())["facts"]
    assert facts["provenance"]["plugin soft_max.py"] in kept[0].name
    assert f"{CELLS} of {CELLS} cells are in the ledger" in planned(own_study)

    edited(own_study)
    assert "6 cells trained" in triptych("run", "study.yaml", "--workers", "1", folder=folder)
    again = read_ledger(results)
    assert len(again) == CELLS + 6
    assert len(list((results / "plugins").iterdir())) == 2

    # A report needs neither the plugin nor the study's file.
    shutil.rmtree(folder / "modules")
    assert f"param.{SHARPNESS}" in ledger_results(results).cells.columns


def test_plan_and_explain_know_a_studys_plugins(own_study: Path) -> None:
    assert "plugin soft_max.py: fusion 'soft_max'" in planned(own_study)
    field = said("explain", SHARPNESS, "--study", str(own_study))
    assert f"{SHARPNESS}: the larger, the nearer to the maximum" in field
