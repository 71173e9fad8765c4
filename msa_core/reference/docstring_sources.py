"""Which paper a field's module comes from, and where the field is declared.

Modules say their source in their docstrings, and importing them imports PyTorch, two seconds. So
their files are parsed instead, from the registries that `msa_core.reference.page` names; a test
holds what is found here to what that page finds. Standard library only.
"""

import ast
import dataclasses
import functools
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msa_core.config.kinds import entry_of, is_added, kind_of_path, kinds
from msa_core.config.paths import fields_of
from msa_core.config.schema import Config

_PAGE = "msa_core.reference.page"


@dataclass(frozen=True, slots=True)
class SwitchSource:
    """Source of a switch that is no kind of a family.

    Attributes:
        path: of its field.
        on: the value that switches it on; empty for any number above 0.
        options: path below which its options are; empty if it has none.
    """

    path: str
    on: str
    options: str
    source: str


def sources_of(path: str) -> dict[str, str]:
    """Value of a field -> the source of the module that it chooses.

    The value is empty where the source is that of the field itself, an option of a module. A field
    that belongs to no module has no source.
    """
    if option := kind_of_path(path):
        family, kind, _ = option
        return {"": source_of_kind(family, kind)}
    info, _ = fields_of(Config)[path]
    if info.family:
        return {kind: source_of_kind(info.family, kind) for kind in kinds(info.family)}
    found = {}
    for switch in switch_sources():
        if path == switch.path:
            found[switch.on if switch.on in info.choices else ""] = switch.source
        elif switch.options and path.startswith(f"{switch.options}."):
            found[""] = switch.source
    return found


def source_of_kind(family: str, kind: str) -> str:
    """The `Source:` of a module's docstring; empty if it has none."""
    module, registry = _registries()[family]
    if is_added(family, kind):  # a plugin's: its module has been imported, and PyTorch with it
        added = getattr(importlib.import_module(module), registry)[kind]
        return paragraph(added.__doc__ or "", "Source")
    node = _assigned(module, registry)
    assert isinstance(node, ast.Dict)
    for key, value in zip(node.keys, node.values, strict=True):
        if isinstance(key, ast.Constant) and key.value == kind:
            return paragraph(_docstring(module, value), "Source")
    raise AssertionError(f"{registry} has no {kind}")


@functools.cache
def switch_sources() -> tuple[SwitchSource, ...]:
    """Those of the switches outside the families."""
    tree = _assigned(_PAGE, "SWITCHES")
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return tuple(_switch_source(call) for call in calls)


def paragraph(docstring: str, heading: str) -> str:
    """The paragraph of a docstring that starts with `Formula:` or `Source:`, in one line."""
    text = inspect.cleandoc(docstring).replace("`", "")
    found = re.search(rf"^{heading}:\s*(.*?)(?=\n\s*\n|\n[A-Z][a-z]+:|\Z)", text, re.S | re.M)
    if not found:
        return ""
    text = " ".join(found[1].split())
    if heading == "Formula":  # what follows it explains it
        text = re.split(r"\. (?=[A-Z])", text)[0]
    return text.rstrip(".")


def declared_in(path: str) -> str:
    """File and class of a field's declaration: `msa_core/config/schema.py, TrainConfig`."""
    option = kind_of_path(path)
    holder: Any = Config
    steps = path.split(".")
    if option and is_added(*option[:2]):
        holder, steps = entry_of(*option[:2]), option[2].split(".")
    for step in steps[:-1]:
        holder = next(field.type for field in dataclasses.fields(holder) if field.name == step)
    own = next(
        part for part in holder.__mro__ if steps[-1] in vars(part).get("__annotations__", {})
    )
    file = Path(str(sys.modules[own.__module__].__file__))
    # A plugin's module has no package, and its file no folder that a reader would know.
    path = f"{own.__module__.replace('.', '/')}.py" if "." in own.__module__ else file.name
    return f"{path}, {own.__name__}"


@functools.cache
def _registries() -> dict[str, tuple[str, str]]:
    """Family -> module and name of its registry, as the page of modules names it."""
    node = _assigned(_PAGE, "PAGES")
    assert isinstance(node, ast.Dict)
    found = {}
    for family, page in zip(node.keys, node.values, strict=True):
        assert isinstance(family, ast.Constant) and isinstance(page, ast.Call)
        name = page.args[1]
        assert isinstance(name, ast.Name)
        found[str(family.value)] = (_imported(_PAGE, name.id), name.id)
    return found


def _switch_source(call: ast.Call) -> SwitchSource:
    names = ("path", "on", "changes", "module", "formula", "source", "options")
    given = dict(zip(names, call.args, strict=False))
    given |= {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    module = given["module"]
    source = _text(given.get("source"))
    if not source and not isinstance(module, ast.Constant):
        source = paragraph(_docstring(_PAGE, module), "Source")
    return SwitchSource(
        _text(given["path"]), _text(given["on"]), _text(given.get("options")), source
    )


def _text(node: ast.expr | None) -> str:
    """A text, or a constant of the page that is one."""
    if isinstance(node, ast.Name):
        node = _assigned(_PAGE, node.id)
    return str(node.value) if isinstance(node, ast.Constant) and node.value else ""


def _docstring(module: str, node: ast.expr) -> str:
    """The docstring of what an expression of a module names; of a wrapper, that of its inside."""
    match node:
        case ast.Call(args=[inner]):
            return _docstring(module, inner)
        case ast.Attribute(ast.Name(alias), name):
            return _docstring_of(f"{_imported(module, alias)}.{alias}", name)
        case ast.Name(name):
            return _docstring_of(module, name)
    raise AssertionError(f"{module}: {ast.unparse(node)} names no module of the training core")


def _docstring_of(module: str, name: str) -> str:
    for statement in _statements(module):
        match statement:
            case ast.Assign([ast.Attribute(ast.Name(known), "__doc__")], ast.Attribute(of)):
                if known == name:  # another's, which it takes over
                    return _docstring(module, of)
    for statement in _statements(module):
        match statement:
            case ast.ClassDef(known) | ast.FunctionDef(known):
                if known == name:
                    return ast.get_docstring(statement) or ""
    return _docstring_of(_imported(module, name), name)


def _assigned(module: str, name: str) -> ast.expr:
    for statement in _statements(module):
        match statement:
            case ast.Assign([ast.Name(known)], value) if known == name:
                return value
            case ast.AnnAssign(ast.Name(known), _, ast.expr() as value) if known == name:
                return value
    raise AssertionError(f"{module} has no {name}")


def _imported(module: str, name: str) -> str:
    """Where a module has a name from."""
    for statement in _statements(module):
        if isinstance(statement, ast.ImportFrom) and any(
            alias.name == name for alias in statement.names
        ):
            return str(statement.module)
    raise AssertionError(f"{module} imports no {name}")


def _statements(module: str) -> Iterator[ast.stmt]:
    yield from _tree(module).body


@functools.cache
def _tree(module: str) -> ast.Module:
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None
    return ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
