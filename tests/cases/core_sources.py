"""Copies of the training core's source, and changes of it that compute nothing else."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import msa_core

SOURCE = Path(str(msa_core.__file__)).parent


def copy_core(folder: Path) -> Path:
    """Copy the core's source to a folder that is not there yet."""
    shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def add_constant(file: Path) -> None:
    """Add a constant at the end of a file, which could change numbers for all that is known."""
    text = file.read_text(encoding="utf-8")
    file.write_text(f"{text}\nSCALE = 1\n", encoding="utf-8")


def comment_everywhere(core: Path) -> None:
    for path in core.rglob("*.py"):
        path.write_text(f"# A comment.\n{path.read_text()}\n# Another.\n", encoding="utf-8")


def drop_docstrings(core: Path) -> None:
    for path in core.rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and node.body:
                first = node.body[0]
                if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                    first.value = ast.Constant("Another docstring.")
        path.write_text(ast.unparse(tree), encoding="utf-8")


def format_narrowly(core: Path) -> None:
    ruff = Path(sys.executable).with_name("ruff")
    command = [str(ruff), "format", "--quiet", "--isolated", "--line-length", "60", str(core)]
    subprocess.run(command, check=True, timeout=60)


def move_files(core: Path) -> None:
    """Move three files, one of them to another package, with the imports of them."""
    moves = {
        "tensors/pytrees.py": "data/trees.py",
        "modules/parts/frames.py": "modules/steps.py",
        "modules/parts/similarity.py": "modules/parts/alike.py",
    }
    for old, new in moves.items():
        (core / old).rename(core / new)
    names = {f"msa_core.{old[:-3].replace('/', '.')}": f"msa_core.{new[:-3].replace('/', '.')}"
             for old, new in moves.items()}  # fmt: skip
    for path in core.rglob("*.py"):
        text = path.read_text()
        for old, new in names.items():
            (package, name), (other, short) = old.rsplit(".", 1), new.rsplit(".", 1)
            text = re.sub(rf"from {package} import {name}\b", f"from {other} import {short}", text)
            if f"from {other} import {short}" in text:
                text = re.sub(rf"\b{name}\.(?=\w)", f"{short}.", text)
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")
    ruff = Path(sys.executable).with_name("ruff")
    command = [str(ruff), "check", "--quiet", "--isolated", "--select", "I", "--fix", str(core)]
    subprocess.run(command, check=True, timeout=60)


TIDYING = [comment_everywhere, drop_docstrings, format_narrowly, move_files]
