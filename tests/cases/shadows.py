"""Files of a user's that have the names of Triptych's packages."""

from pathlib import Path

NAMES = ("search", "spaces", "reports", "msa_core", "triptych")


def shadow_packages(folder: Path, names: tuple[str, ...] = NAMES) -> Path:
    """Write one for each package; whoever imports it ends at once."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / f"{name}.py").write_text("raise SystemExit('shadow')\n", encoding="utf-8")
    return folder
