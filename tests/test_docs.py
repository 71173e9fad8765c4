"""Every path, link and command that a page names is there."""

import re
import shlex
from pathlib import Path

import click
import pytest

from search.cli import main
from tests.cases.paths import REPOSITORY

PAGES = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md")])
TARGETS = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
# A path of ours: it begins with one of our folders, and names a file or a folder.
PATH = re.compile(
    r"(?<![\w./-])((?:msa_core|spaces|reports|search|tests|docs|triptych|\.ci)/[\w./*<>-]*)"
)
MODULE = re.compile(r"(?<![\w./-])((?:msa_core|spaces|reports|search|tests)(?:\.\w+)+)(?![\w/])")
SPANS = re.compile(r"`([^`\n]+)`|^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#]+?)(?:#[^)]*)?\)")


def spans_of(page: Path) -> list[str]:
    """Code of a page: what stands between backticks, and the lines of its blocks."""
    found = SPANS.findall(page.read_text(encoding="utf-8"))
    return [line for inline, block in found for line in (inline or block).splitlines()]


def names(pages: list[Path], pattern: re.Pattern[str]) -> list[tuple[str, str]]:
    """Page and text of every match in the code of pages."""
    found = {
        (page.name, match.rstrip(".,:"))
        for page in pages
        for line in spans_of(page)
        for match in pattern.findall(line)
    }
    return sorted(found)


@pytest.mark.parametrize(("page", "path"), names(PAGES, PATH))
def test_a_path_that_a_page_names_is_there(page: str, path: str) -> None:
    pattern = re.sub(r"<[^>]*>", "*", path)
    assert (REPOSITORY / path).exists() or list(REPOSITORY.glob(pattern)), page


@pytest.mark.parametrize(("page", "module"), names(PAGES, MODULE))
def test_a_module_that_a_page_names_is_there(page: str, module: str) -> None:
    parts = module.split(".")
    files = [REPOSITORY.joinpath(*parts[:n]) for n in range(len(parts), 0, -1)]
    owner = next(file for file in files if file.is_dir() or file.with_suffix(".py").exists())
    rest = parts[len(owner.relative_to(REPOSITORY).parts) :]
    source = owner / "__init__.py" if owner.is_dir() else owner.with_suffix(".py")
    known = not rest or re.search(rf"\b{rest[0]}\b", source.read_text(encoding="utf-8"))
    assert known or rest == ["*"], page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


def commands_of(page: Path) -> set[str]:
    lines = [line.removeprefix("$ ") for line in spans_of(page)]
    return {line for line in lines if re.match(r"(triptych|make) [a-z-]", line)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_command_that_a_page_names_exists_with_its_options(page: Path) -> None:
    unknown = [line for line in commands_of(page) if not is_known(line.split("  #")[0])]
    assert unknown == []


def is_known(line: str) -> bool:
    """Whether a line calls a target of the Makefile, or a command with options that it has."""
    line = re.split(r" [|>&;] | && ", line.replace("'", ""))[0].removesuffix("\\")
    words = shlex.split(line.replace('"', ""))
    if words[0] == "make":
        return words[1] in TARGETS
    command: click.Command = main
    for word in words[1:]:
        if isinstance(command, click.Group) and word in command.commands:
            command = command.commands[word]
    known = {option for param in command.params for option in (*param.opts, *param.secondary_opts)}
    given = {word.split("=")[0] for word in words if word.startswith("--")}
    return (command is not main or words[1].startswith("-")) and given <= known | {"--help"}
