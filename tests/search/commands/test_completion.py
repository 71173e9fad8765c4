"""Completion in a shell, asked as click's scripts for bash and zsh ask."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from search.cli import main
from tests.test_packages import HEAVY

ASK = f"""
import sys
from click.shell_completion import ShellComplete
from search.cli import main
completion = ShellComplete(main, {{}}, "triptych", "_TRIPTYCH_COMPLETE")
assert completion.get_completions(["plan"], "planted")
assert completion.get_completions(["explain"], "train.")
print(*[name for name in {HEAVY!r} if name in sys.modules])
"""


def complete(*arguments: str, incomplete: str) -> list[str]:
    completion = ShellComplete(main, {}, "triptych", "_TRIPTYCH_COMPLETE")
    return [item.value for item in completion.get_completions(list(arguments), incomplete)]


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_study_is_shipped_was_run_or_is_a_file(work_folder: Path) -> None:
    for folder in (work_folder, work_folder / "elsewhere"):
        (folder / "runs" / f"planted-{folder.name}").mkdir(parents=True)
        (folder / "runs" / f"planted-{folder.name}" / "plan.json").touch()
    (work_folder / "runs" / "planted-nothing").mkdir()
    (work_folder / "planted.yaml").touch()
    (work_folder / "planted.txt").touch()
    found = complete("run", incomplete="planted")
    assert {"planted-quick", f"planted-{work_folder.name}", "planted.yaml"} <= set(found)
    assert not {"planted-nothing", "planted.txt", "planted-elsewhere"} & set(found)
    assert "planted-elsewhere" in complete("report", "--workdir", "elsewhere", incomplete="plan")


def test_a_study_file_is_found_in_the_folder_that_is_typed(work_folder: Path) -> None:
    (work_folder / "mine").mkdir()
    (work_folder / "mine" / "one.yaml").touch()
    assert complete("plan", incomplete="mine/o") == ["mine/one.yaml"]
    completion = ShellComplete(main, {}, "triptych", "_TRIPTYCH_COMPLETE")
    (item,) = completion.get_completions(["plan"], "min")
    assert (item.value, item.type) == ("min", "file")


@pytest.mark.parametrize("arguments", [
    ("status",), ("compare", "planted-quick"), ("submit",), ("ledger", "check"), ("reproduce",),
])  # fmt: skip
def test_every_command_completes_its_study(arguments: tuple[str, ...]) -> None:
    assert "planted-quick" in complete(*arguments, incomplete="planted-q")


def test_a_field_a_group_and_a_design_are_completed() -> None:
    found = complete("explain", incomplete="train.")
    assert {"train.epochs", "train.learning_rate"} <= set(found)
    assert {"model.fusion", "model.fusion.kind"} <= set(complete("explain", incomplete="model.fu"))
    assert "leave_one_out" in complete("explain", incomplete="leave")
    assert complete("explain", incomplete="nothing.of.it") == []


def test_completion_imports_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
