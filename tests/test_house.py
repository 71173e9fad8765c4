"""The bars of the house, on the working tree; and that script and fences see planted faults."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

from tests.cases.paths import REPOSITORY
from tests.house import (
    House,
    arrows_by_level,
    circles_of,
    comment_lines,
    entry_first_words,
    function_names,
    measure_house,
)

PACKAGES = ("triptych", "msa_core", "spaces", "reports", "search")
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")


@pytest.fixture(scope="module")
def house() -> House:
    return measure_house(REPOSITORY)


def test_no_folder_is_a_hall(house: House) -> None:
    assert house.largest_folder_files <= 16, house.largest_folder


def test_no_rooms_import_each_other_in_a_circle_or_upwards(house: House) -> None:
    assert (house.circles, house.arrows_up) == ((), ())


def test_names_of_functions_work_alone(house: House) -> None:
    assert house.one_word_functions / house.functions < 0.3


def test_entries_of_docstrings_stand_alone(house: House) -> None:
    assert house.continuations / house.entries < 0.05


def test_comments_give_reasons_often_enough(house: House) -> None:
    assert house.comments >= 3


def test_every_room_has_a_door_sign() -> None:
    rooms = {path.parent for name in PACKAGES for path in (REPOSITORY / name).rglob("*.py")}
    signs = {room: ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8")))
             for room in rooms}  # fmt: skip
    assert {room for room, sign in signs.items() if not sign} == set()


def test_the_script_sees_circles_and_counts_names_entries_and_comments() -> None:
    sources = {
        "a/one.py": "from b.two import x\nfrom a.other import y\n",
        "a/other.py": "",
        "a/__init__.py": "",
        "b/two.py": "import a.one  # why\n",
        "b/__init__.py": "",
    }
    arrows = arrows_by_level(
        {PurePosixPath(path): ast.parse(text) for path, text in sources.items()}
    )
    assert arrows == {"": {("a", "b"), ("b", "a")}, "a": {("one", "other")}}
    assert [circles_of(pairs) for pairs in arrows.values()] == [["a, b"], []]
    module = ast.parse(
        'def read(): ...\ndef read_line(path):\n    """Read.\n\n    Args:\n        path: of it.\n'
        '    """\nclass A:\n    def __init__(self): ...\n    def _put(self): ...\n'
    )
    assert function_names(module) == ["read", "read_line", "_put"]
    assert list(entry_first_words(module)) == ["of"]
    assert comment_lines("x = 1  # Reason.\n# fmt: skip\n# Another.\n") == 2


# Package -> a module and an import that its room must not have.
PLANTED = [
    ("search/engine/dispatch.py", "import mlflow"),
    ("search/schedule/pack.py", "import ray"),
    ("search/screen/tally.py", "import optuna"),
    ("search/worker/pack_work.py", "import reports.page.marks"),
    ("search/ledger/lines.py", "import search.schedule.pack"),
    ("spaces/syntax/document.py", "import spaces.designs.make_arms"),
    ("reports/evidence/values.py", "import search.errors"),
    ("msa_core/metrics.py", "import pandas"),
    ("search/new_room/__init__.py", '"""A room that nobody placed."""'),
]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copy")
    for name in PACKAGES:
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("*.pyc"))
    shutil.copy(REPOSITORY / "pyproject.toml", folder)
    return folder


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LINT_IMPORTS, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(("path", "line"), PLANTED)
def test_a_planted_import_breaks_a_fence(copy: Path, path: str, line: str) -> None:
    file = copy / path
    before = file.read_text(encoding="utf-8") if file.exists() else None
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"{before or ''}\n{line}\n", encoding="utf-8")
    try:
        done = lint(copy)
    finally:
        if before is None:
            shutil.rmtree(file.parent)
        else:
            file.write_text(before, encoding="utf-8")
    assert done.returncode == 1, done.stdout
    assert "BROKEN" in done.stdout


def test_the_fences_hold_as_they_are(copy: Path) -> None:
    done = lint(copy)
    assert done.returncode == 0, done.stdout
