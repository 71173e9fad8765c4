"""`triptych compare`: two results folders, as a person and as a program see them."""

import csv
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from msa_core.data.dataset import Dataset
from search.cli import main
from search.compare.compare import distinct_names
from search.compare.settings import shorten_text, value_text
from search.provenance import current_versions
from search.results.folder import keep_study
from spaces.plan.plan import plan_study
from spaces.study_file.load import load_study
from tests.cases.studies.in_process import run_here

NASTY = 'a_b % & <script>alert(1)</script> "q" | [x] $5'


@pytest.fixture(scope="module")
def versions_of_one(
    tmp_path_factory: pytest.TempPathFactory, small_study_text: str, small_data: Dataset
) -> tuple[Path, Path]:
    """The small study twice, the second time otherwise."""
    text = small_study_text.replace(
        "      text: {model.text.use: false}\n",
        "      text: {model.text.use: false}\n"
        f"  - explicit:\n      {json.dumps(NASTY)}: {{model.fusion.kind: sum}}\n"
        "      same: {train.learning_rate: 0.01}\n",
    )
    assert NASTY.split()[0] in text
    other = (
        text.replace("confirm_seeds: 4", "confirm_seeds: 3")
        .replace("Does text matter?", "Does text matter now?")
        .replace("[1e-3, 1e-1]", "[1e-3, 1e-2]")
        .replace("      same: {train", "      new: {train.weight_decay: 0.01, train")
    )
    return tuple(
        trained(tmp_path_factory.mktemp(name), content, small_data)
        for name, content in (("one", text), ("two", other))
    )  # type: ignore[return-value]


def trained(workdir: Path, text: str, dataset: Dataset) -> Path:
    (workdir / "study.yaml").write_text(text, encoding="utf-8")
    study = load_study(workdir / "study.yaml")
    folder = workdir / "runs" / study.name
    run_here(plan_study(study, current_versions(study.core, dataset)), dataset, folder)
    keep_study(folder, study)
    return folder


def compare(*arguments: object, width: int = 160) -> Result:
    return CliRunner(env={"COLUMNS": str(width)}).invoke(main, ["compare", *map(str, arguments)])


def test_arms_are_matched_by_name_and_differences_are_told(
    versions_of_one: tuple[Path, Path],
) -> None:
    result = compare(*versions_of_one)
    assert result.exit_code == 0, result.output
    said = result.stdout
    assert "without text" in said and "paired over the 3 seeds that both have" in said
    assert "question: Does text matter? → Does text matter now?" in said
    assert "search.train.learning_rate.log_uniform: [0.001, 0.1] → [0.001, 0.01]" in said
    assert "budget.confirm_seeds: 4 → 3" in said and "confirm seeds: 0 to 3 → 0 to 2" in said
    assert "/one" not in said.split("what differs")[1]
    assert ": same" in said and ": new" in said and "only in " in said
    assert "data" not in [line.split(":")[0].strip() for line in said.splitlines()]


def test_the_same_study_twice_is_the_same_cells_and_asked_the_same(
    versions_of_one: tuple[Path, Path], tmp_path: Path
) -> None:
    copy = shutil.copytree(versions_of_one[0], tmp_path / "copy")
    result = compare(versions_of_one[0], copy)
    assert "4 of 4 arms are made of the very same cells." in result.stdout
    assert "No verdict flips." in result.stdout
    assert "the two were asked and given the same" in result.stdout
    found = json.loads(compare(versions_of_one[0], copy, "--json").stdout)
    assert found["differs"] == [] and {arm["method"] for arm in found["arms"]} == {"same cells"}


def test_json_holds_every_number(versions_of_one: tuple[Path, Path]) -> None:
    found = json.loads(compare(*versions_of_one, "--json").stdout)
    by_name = {arm["arm"]: arm for arm in found["arms"]}
    assert list(by_name) == ["full", "without text", NASTY]
    assert (found["only_first"], found["only_second"]) == (["same"], ["new"])
    arm = by_name["without text"]
    assert (arm["method"], arm["pairs"], arm["first"]["n"], arm["second"]["n"]) == (
        "paired", 3, 4, 3
    )  # fmt: skip
    assert arm["low"] <= arm["delta"] <= arm["high"] and 0 < arm["p"] <= arm["p_holm"] <= 1
    assert found["metric"] == "mae" and found["higher_is_better"] is False


@pytest.mark.parametrize("width", [40, 72, 100, 200])
def test_no_number_is_cut_off_in_any_terminal(
    versions_of_one: tuple[Path, Path], width: int
) -> None:
    found = json.loads(compare(*versions_of_one, "--json").stdout)
    said = compare(*versions_of_one, width=width).stdout
    assert "…" not in said.split("what differs")[0]
    for arm in found["arms"]:
        assert f"{arm['first']['mean']:.3f}"[:5] in said
        assert f"{arm['p_holm']:.3f}" in said


def test_files_are_written_whole_and_harmless(
    versions_of_one: tuple[Path, Path], tmp_path: Path
) -> None:
    result = compare(*versions_of_one, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    with (tmp_path / "out" / "compare.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = json.loads(compare(*versions_of_one, "--json").stdout)
    assert [row["arm"].lstrip("'") for row in rows] == [arm["arm"] for arm in found["arms"]]
    assert [float(row["delta"]) for row in rows] == [arm["delta"] for arm in found["arms"]]
    markdown = (tmp_path / "out" / "compare.md").read_text(encoding="utf-8")
    assert "<script>" not in markdown and "&lt;script&gt;" in markdown
    header, *body = [line for line in markdown.splitlines() if line.startswith("| ")]
    columns = header.replace("\\|", "").count("|")
    assert all(line.replace("\\|", "").count("|") == columns for line in body[: 1 + len(rows)])
    latex = (tmp_path / "out" / "compare.tex").read_text(encoding="utf-8")
    assert r"a\_b \% \&" in latex and "<script>" not in latex
    side = [path.name for path in (tmp_path / "out").iterdir() if path.name.startswith("side")]
    assert side


def test_the_latex_compiles_as_it_is(
    versions_of_one: tuple[Path, Path], tmp_path: Path, program: Callable[[str], str]
) -> None:
    pdflatex = program("pdflatex")
    assert compare(*versions_of_one, "--out", tmp_path).exit_code == 0
    (tmp_path / "page.tex").write_text(
        r"\documentclass{article}\usepackage{booktabs,graphicx}\begin{document}"
        r"\input{compare}\end{document}"
    )
    subprocess.run(
        [pdflatex, "-interaction=nonstopmode", "-halt-on-error", "page.tex"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        timeout=60,
    )
    assert (tmp_path / "page.pdf").stat().st_size > 0


def test_more_than_two_are_only_written_side_by_side(
    versions_of_one: tuple[Path, Path], tmp_path: Path
) -> None:
    three = (*versions_of_one, shutil.copytree(versions_of_one[0], tmp_path / "third"))
    refused = compare(*three)
    assert refused.exit_code == 2 and "say where with --out FOLDER, or name two" in refused.stderr
    result = compare(*three, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {f"side-by-side.{kind}" for kind in ("tex", "md", "csv")}
    with (tmp_path / "out" / "side-by-side.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["arm"] == "full"]
    assert len({row["study"] for row in rows}) == 3  # told apart by their folders
    first, _, third = rows  # the third is the first again: the same numbers
    assert first | {"study": ""} == third | {"study": ""}
    refused = compare(*three, three[0], "--out", tmp_path / "out")
    assert refused.exit_code == 2 and "was given twice" in refused.stderr


def test_too_few_or_the_same_folder_twice_are_wrong_input(
    versions_of_one: tuple[Path, Path], tmp_path: Path
) -> None:
    for studies, message in (
        (versions_of_one[:1], "needs two studies"),
        ((versions_of_one[0], versions_of_one[0]), "both are"),
        ((versions_of_one[0], tmp_path), "holds no results"),
    ):
        result = compare(*studies)
        assert result.exit_code == 2 and message in result.stderr


def test_two_versions_of_a_study_are_told_apart_by_their_folders() -> None:
    folders = [Path("/a/one/runs/small"), Path("/a/two/runs/small")]
    assert distinct_names(folders, ["small", "small"]) == ["one/runs/small", "two/runs/small"]
    assert distinct_names(folders, ["small", "large"]) == ["small", "large"]


def test_values_are_written_as_a_study_file_has_them() -> None:
    assert value_text({"a": [True, None, 1e-3]}) == "{a: [true, -, 0.001]}"
    assert shorten_text("ab" * 32) == "ab" * 8
    assert len(shorten_text("x " * 90)) == 60
