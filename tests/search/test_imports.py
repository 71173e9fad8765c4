"""What says of itself that it is free of Ray imports no Ray; every other file may."""

import subprocess
import sys
from pathlib import Path

import pytest

import search

ROOT = Path(search.__file__).parent


def modules_of(*names: str) -> list[str]:
    """Modules by their names; of a room every file that is in it, so that a new one counts."""
    found = []
    for name in names:
        folder = ROOT.parent / name.replace(".", "/")
        files = sorted(folder.glob("*.py")) if folder.is_dir() else []
        found += [f"{name}.{path.stem}" for path in files if path.stem != "__init__"] or [name]
    return found


@pytest.mark.parametrize(
    "names",
    [
        ("search.engine.dispatch", "search.engine.nodes", "search.engine.stopping"),
        ("search.ledger",),
        ("search.reproduce.retrain",),
        ("search.schedule",),
        ("search.worker",),
    ],
    ids=lambda names: names[0],
)
def test_what_is_free_of_ray_imports_none(names: tuple[str, ...]) -> None:
    code = f"import sys, {', '.join(modules_of(*names))}; print('ray' in sys.modules)"
    printed = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert printed.stdout == "False\n"


def test_the_room_of_the_engine_imports_nothing_by_itself() -> None:
    """Else dispatch, which is free of Ray, would import what the room does."""
    assert "import" not in (ROOT / "engine" / "__init__.py").read_text().partition('"""\n')[2]
