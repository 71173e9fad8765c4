"""Measure the house: folders, lines, arrows between rooms, circles, names, docstrings, comments.

`make house` prints the table of the working tree; `python tests/house.py --against REV` puts a
commit beside it. Every number is computed from the files that git tracks.

A room is a folder. At each level of a package its folders and single files are nodes, and an
import from one into another is an arrow. A circle is a set of nodes that reach each other. An arrow
up is an import against the order of `layers` in `pyproject.toml`.
"""

import argparse
import ast
import io
import re
import subprocess
import tempfile
import tokenize
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

PACKAGES = ("msa_core", "spaces", "reports", "search", "triptych")
CODE = (".py", ".js", ".css", ".j2")
# Words that begin an entry only where it goes on with the name before it ("nodes: that are alive").
CONTINUATIONS = ("of", "that", "as", "for", "in", "by")
DIRECTIVE = re.compile(r"#\s*(noqa|type:|fmt:|pragma|ruff:|mypy:)|#!")
ENTRY = re.compile(r"    (?! )[^:]+: (\S+)")


@dataclass(frozen=True, kw_only=True)
class House:
    """What was measured of one tree.

    Attributes:
        lines: Lines of Python in the product, by package.
        largest_folder: Path of the folder with most code files.
        largest_folder_files: Number of code files directly in it.
        longest_file: Number of lines of the longest Python file.
        arrows: Number of arrows between nodes of one level, over all levels.
        circles: Sets of nodes that reach each other, each as "a, b".
        arrows_up: Imports against the declared layers, each as "a -> b".
        functions: Number of functions and methods, dunders left out.
        one_word_functions: Number of those whose name is a single word.
        entries: Number of entries under `Args` and `Attributes`.
        continuations: Number of those that only parse as a continuation of their name.
        comments: Comment lines per 100 lines, directives left out.
        readme_words: Number of words in README.md.
    """

    lines: dict[str, int]
    largest_folder: str
    largest_folder_files: int
    longest_file: int
    arrows: int
    circles: tuple[str, ...]
    arrows_up: tuple[str, ...]
    functions: int
    one_word_functions: int
    entries: int
    continuations: int
    comments: float
    readme_words: int


def measure_house(root: Path) -> House:
    """Measure a checked-out tree."""
    files = [path for path in tracked_files(root) if path.parts[0] in PACKAGES]
    code = [path for path in files if path.suffix in CODE]
    modules = {
        path: (root / path).read_text(encoding="utf-8") for path in files if path.suffix == ".py"
    }
    trees = {path: ast.parse(text) for path, text in modules.items()}
    folders = Counter(str(path.parent) for path in code if path.name != "__init__.py")
    largest, most = folders.most_common(1)[0]
    arrows = arrows_by_level(trees)
    names = [name for tree in trees.values() for name in function_names(tree)]
    entries = [first for tree in trees.values() for first in entry_first_words(tree)]
    length = {path: text.count("\n") for path, text in modules.items()}
    return House(
        lines={package: lines_of(package, length) for package in PACKAGES},
        largest_folder=largest,
        largest_folder_files=most,
        longest_file=max(length.values()),
        arrows=sum(len(pairs) for pairs in arrows.values()),
        circles=tuple(circle for pairs in arrows.values() for circle in circles_of(pairs)),
        arrows_up=tuple(arrows_against_layers(root, arrows)),
        functions=len(names),
        one_word_functions=sum("_" not in name.strip("_") for name in names),
        entries=len(entries),
        continuations=sum(first.lower() in CONTINUATIONS for first in entries),
        comments=100 * sum(map(comment_lines, modules.values())) / sum(length.values()),
        readme_words=len((root / "README.md").read_text(encoding="utf-8").split()),
    )


def lines_of(package: str, length: Mapping[PurePosixPath, int]) -> int:
    """Sum the lengths of a package's files."""
    return sum(lines for path, lines in length.items() if path.parts[0] == package)


def tracked_files(root: Path) -> list[PurePosixPath]:
    """List the files that git tracks, and the new ones that it does not ignore."""
    command = ["git", "-C", str(root), "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [path for path in map(PurePosixPath, listed.splitlines()) if (root / path).is_file()]


def function_names(tree: ast.Module) -> list[str]:
    """List the names of functions and methods, dunders left out."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    names = [node.name for node in ast.walk(tree) if isinstance(node, kinds)]
    return [name for name in names if not (name.startswith("__") and name.endswith("__"))]


def entry_first_words(tree: ast.Module) -> Iterator[str]:
    """Yield the first word of each entry under `Args` and `Attributes` in all docstrings."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for node in ast.walk(tree):
        if isinstance(node, kinds) and (text := ast.get_docstring(node)):
            inside = False
            for line in text.splitlines():
                if re.match(r"\w+:$", line):
                    inside = line in ("Args:", "Attributes:")
                elif inside and (found := ENTRY.match(line)):
                    yield found[1].strip("`,.;:")


def comment_lines(text: str) -> int:
    """Count the lines that hold a comment which is no directive to a tool."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return sum(t.type == tokenize.COMMENT and not DIRECTIVE.match(t.string) for t in tokens)


def arrows_by_level(trees: dict[PurePosixPath, ast.Module]) -> dict[str, set[tuple[str, str]]]:
    """Collect the imports between the nodes of each level: files and folders beside each other.

    Args:
        trees: Syntax tree of each Python file, by its path.

    Returns:
        Pairs (importing node, imported node) by dotted parent; the parent of the packages is "".
    """
    dotted = {module_name(path): path for path in trees}
    levels: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for path, tree in trees.items():
        source = module_name(path).split(".")
        for target in imported_modules(tree, dotted):
            # An import of a room's own __init__ is an arrow to the room, none inside it.
            parts = target.split(".")
            shared = 0
            while shared < min(len(source), len(parts)) and source[shared] == parts[shared]:
                shared += 1
            if shared < min(len(source), len(parts)):
                parent = ".".join(source[:shared])
                levels[parent].add((source[shared], parts[shared]))
    return levels


def module_name(path: PurePosixPath) -> str:
    """Return the dotted name of a Python file."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_modules(tree: ast.Module, known: dict[str, PurePosixPath]) -> Iterator[str]:
    """Yield the modules of ours that a file imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if whole in known:
                    yield whole
                elif node.module in known:
                    yield node.module


def circles_of(pairs: set[tuple[str, str]]) -> list[str]:
    """Find the sets of nodes that reach each other."""
    reach: dict[str, set[str]] = defaultdict(set)
    for source, target in pairs:
        reach[source].add(target)
    changed = True
    while changed:
        changed = False
        for node in list(reach):
            more = set().union(*(reach.get(next_node, set()) for next_node in reach[node]))
            if not more <= reach[node]:
                reach[node] |= more
                changed = True
    found = {frozenset(o for o in reach[node] if node in reach.get(o, set())) for node in reach}
    return sorted(", ".join(sorted(circle)) for circle in found if len(circle) > 1)


def arrows_against_layers(root: Path, arrows: dict[str, set[tuple[str, str]]]) -> Iterator[str]:
    """Yield the imports from a lower layer into a higher one."""
    config = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    for contract in config["tool"]["importlinter"]["contracts"]:
        if contract["type"] != "layers":
            continue
        height = {
            name.strip("() "): -row
            for row, layer in enumerate(contract["layers"])
            for name in re.split(r"[|:]", layer)
        }
        for container in contract.get("containers", [""]):
            for source, target in sorted(arrows.get(container, set())):
                if source in height and target in height and height[source] < height[target]:
                    yield f"{container or 'packages'}: {source} -> {target}"


def rows(house: House) -> list[tuple[str, str, str]]:
    """Lay the numbers out as rows of (what, value, bar)."""
    total = sum(house.lines.values())
    largest = f"{house.largest_folder_files} ({house.largest_folder})"
    one_word = share_of(house.one_word_functions, house.functions)
    continuing = share_of(house.continuations, house.entries)
    return [
        ("lines of Python", f"{total:,}", ""),
        *((f"  {name}", f"{count:,}", "") for name, count in house.lines.items() if count),
        ("longest file, lines", str(house.longest_file), "400"),
        ("code files in the largest folder", largest, "16"),
        ("arrows between nodes of one level", str(house.arrows), ""),
        ("circles", "; ".join(house.circles) or "0", "0"),
        ("arrows up", "; ".join(house.arrows_up) or "0", "0"),
        ("functions with a one-word name", one_word, "30 %"),
        ("entries that continue their name", continuing, "5 %"),
        ("comments per 100 lines", f"{house.comments:.2f}", "3"),
        ("README, words", str(house.readme_words), "about 900"),
    ]


def share_of(part: int, whole: int) -> str:
    """Write a part of a whole as both numbers and per cent."""
    return f"{part} of {whole} ({100 * part / whole:.1f} %)"


def checked_out(revision: str, folder: Path) -> Path:
    """Check a commit out into a folder, as a repository of its own."""
    here = Path(__file__).parents[1]
    subprocess.run(["git", "clone", "--quiet", "--no-checkout", here, folder], check=True)
    subprocess.run(["git", "-C", folder, "checkout", "--quiet", revision], check=True)
    return folder


def print_table(columns: list[tuple[str, House]]) -> None:
    """Print one column per tree, and the bar of each row.

    Args:
        columns: Heading and measurements of each tree; the last one's rows are shown.
    """
    tables = [{what: value for what, value, _ in rows(house)} for _, house in columns]
    headings = [heading for heading, _ in columns]
    print(f"| what | {' | '.join(headings)} | bar |")
    print("|---" * (len(columns) + 2) + "|")
    for what, _, bar in rows(columns[-1][1]):
        cells = [table.get(what, "-") for table in tables]
        print(f"| {what.strip()} | {' | '.join(cells)} | {bar} |")


def main() -> None:
    """Print the table of the working tree, beside a commit's where one is named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", metavar="REV", help="commit to put beside the working tree")
    options = parser.parse_args()
    columns = [("now", measure_house(Path(__file__).parents[1]))]
    if options.against:
        with tempfile.TemporaryDirectory() as scratch:
            before = checked_out(options.against, Path(scratch) / "before")
            columns.insert(0, (options.against, measure_house(before)))
    print_table(columns)


if __name__ == "__main__":
    main()
