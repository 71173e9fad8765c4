"""The page `docs/studies.md` is what the code says, and its study does what the page says."""

import re
from pathlib import Path

import pytest

from search.results.folder import ledger_results
from spaces.core import Data
from spaces.designs.parse_designs import DESIGNS
from spaces.help.studies_page import fill_page
from spaces.help.topics import SAMPLERS
from spaces.plan.arms_on_data import Versions
from spaces.plan.plan import Plan, plan_study
from spaces.search_space.domains import DOMAINS
from spaces.study_file.file_shape import StudyFields
from spaces.study_file.load import load_study
from tests.cases.paths import DOCS
from tests.cases.studies.in_process import report_of, run_here

PAGE = (DOCS / "studies.md").read_text(encoding="utf-8")
(EXAMPLE,) = (text for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
              if "\nstudy: " in text)  # fmt: skip


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Data]:
    path = tmp_path_factory.mktemp("page") / "alignment-or-anchors.yaml"
    path.write_text(EXAMPLE, encoding="utf-8")
    study = load_study(path)
    dataset = study.core.open(study.data)
    return plan_study(study, Versions(data=dataset.fingerprint, code=""), dataset.facts), dataset


def test_the_generated_parts_are_what_the_command_writes() -> None:
    assert fill_page(PAGE) == PAGE, "run `make docs`"


def test_a_page_without_a_part_or_with_one_twice_is_refused() -> None:
    for page in (PAGE.replace("generated: claims", "generated: clams"), PAGE + PAGE):
        with pytest.raises(ValueError, match="belongs there"):
            fill_page(page)


def test_everything_that_has_a_name_is_on_the_page() -> None:
    for name in (*StudyFields.model_fields, *DOMAINS, *SAMPLERS):
        assert f"| `{name}` |" in PAGE
    for design in DESIGNS:
        assert f"\n### {design}\n" in PAGE


def test_the_plan_of_the_example_is_the_one_described(planned: tuple[Plan, Data]) -> None:
    plan, _ = planned
    names = ["plain", "alignment", "anchors", "alignment + anchors", "without text"]
    assert [arm.name for arm in plan.arms] == names
    assert "It trains 90 cells: five arms, five candidates" in PAGE
    assert plan.cell_count() == 90
    searched = {arm.name: set(arm.space) for arm in plan.arms}
    assert "loss.contrast.anchor.weight" not in searched["alignment"]
    assert "loss.contrast.anchor.weight" in searched["anchors"]


def test_the_example_runs_and_answers_as_described(
    planned: tuple[Plan, Data], tmp_path: Path
) -> None:
    plan, dataset = planned
    assert run_here(plan, dataset, tmp_path) == plan.cell_count()
    cells = ledger_results(tmp_path).cells
    decayed = cells["param.train.weight_decay"] > 0  # 0 where it is not searched
    assert 0 < decayed.sum() < len(cells)
    assert (decayed == (cells["param.train.learning_rate"] >= 3e-3)).all()
    report_of(tmp_path)
    markdown = (tmp_path / "report" / "table.md").read_text(encoding="utf-8")
    assert markdown.count("- **supported**: ") == len(plan.study.claims) == 2
    verdicts = dict(re.findall(r"^\| ([^|]+?) +\|.*\| (\w+) +\|$", markdown, re.MULTILINE))
    assert verdicts["without text"] == "worse"
    assert {verdicts[name] for name in ("alignment", "anchors")} == {"equivalent"}
