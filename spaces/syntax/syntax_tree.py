"""The syntax tree of a module as text, without what can't change what it computes.

Left out are comments, formatting, docstrings and other expressions that are a mere constant,
`pass`, and what only a type checker imports. Annotations stay: dataclasses read them.
Standard library only.
"""

import ast
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LEFT_OUT = "<left out>"
# Where a name was read or bound is clear from where it stands; the rest are comments for checkers.
_IGNORED = frozenset({"ctx", "type_comment", "type_ignores", "kind"})
_FIELDS: dict[type, tuple[str, tuple[str, ...]]] = {}  # class of node -> its fields that count


@dataclass(frozen=True, slots=True)
class Reference:
    """A place of the tree that leads to an own module."""

    module: str


@dataclass(frozen=True, slots=True)
class ImportRun:
    """Imports that follow one another; their order, which formatters choose, means nothing."""

    imports: tuple[tuple["Part", ...], ...]


Part = str | Reference | ImportRun


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleText:
    """A module as it is digested.

    Attributes:
        file: Name of its file, from its package on.
        parts: Its syntax tree; empty where it has no code.
        imports: Own modules that it imports when it is executed or when one of its functions is.
    """

    file: str
    parts: tuple[Part, ...]
    imports: tuple[str, ...]


def read_module(
    name: str,
    path: Path,
    file: str,
    is_own: Callable[[str], bool],
    left_out: Collection[str] = (),
) -> ModuleText:
    """Read a module's file.

    Args:
        name: Dotted name of the module.
        path: Its file.
        file: Name of the file for people.
        is_own: Function that returns whether a dotted name is an own module.
        left_out: Own modules that its imports do not lead to.

    Returns:
        The module; a file that is no Python, or nested too deeply, is digested as it is.
    """
    content = path.read_bytes()
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of others' code, such as "\\d" in a plain text
            writer = _TreeWriter(ast.parse(content), package, is_own, left_out)
    except (SyntaxError, ValueError, RecursionError):
        return ModuleText(file=file, parts=(content.decode("latin1"),), imports=())
    return ModuleText(
        file=file, parts=tuple(_joined(writer.parts)), imports=tuple(dict.fromkeys(writer.imports))
    )


class _TreeWriter:
    """Writes a tree as parts."""

    def __init__(
        self,
        tree: ast.Module,
        package: str,
        is_own: Callable[[str], bool],
        left_out: Collection[str],
    ) -> None:
        self.parts: list[Part] = []
        self.imports: list[str] = []
        self._package = package
        self._is_own = is_own
        self._left_out = left_out
        # Name or dotted path -> own module that it stands for, so that a renamed module changes
        # nothing where it is used either.
        self._modules = self._named_modules(tree)
        self._write_body(tree.body)

    def _named_modules(self, tree: ast.Module) -> dict[str, str]:
        """Find the names that stand for an own module throughout."""
        found: dict[str, str] = {}
        for node in _executed_imports(tree):
            for alias in node.names:
                target, member = self._find_target(node, alias)
                if target and not member:
                    found[alias.asname or alias.name] = target
        if not found:
            return found
        bound = Counter(_bound_names(tree))
        # A name that is bound otherwise too may be something else where it is read. Of `import a.b`
        # and `import a.c` both bind `a`, to the same.
        return {
            name: target
            for name, target in found.items()
            if bound[name.split(".")[0]] == (0 if "." in name else 1)
        }

    def _find_target(self, node: ast.Import | ast.ImportFrom, alias: ast.alias) -> tuple[str, str]:
        """Return the own module that an import leads to, and the name taken from it.

        The first is empty for what is not ours, the second where the module itself is bound.
        """
        if isinstance(node, ast.Import):
            return (alias.name, "") if self._is_own(alias.name) else ("", "")
        module = node.module or ""
        if node.level:
            above = self._package.split(".")
            above = above[: len(above) - node.level + 1]
            module = ".".join([*above, *([module] if module else [])])
        inner = f"{module}.{alias.name}"
        if self._is_own(inner):
            return inner, ""
        return (module, alias.name) if self._is_own(module) else ("", "")

    def _write_body(self, body: Sequence[ast.stmt]) -> None:
        run: list[tuple[Part, ...]] = []
        for statement in _executed_statements(body):
            if isinstance(statement, ast.Import | ast.ImportFrom):
                run += self._write_imports(statement)
                continue
            self._end_run(run)
            self._write(statement)
        self._end_run(run)

    def _end_run(self, run: list[tuple[Part, ...]]) -> None:
        if run:
            self.parts.append(ImportRun(tuple(run)))
            run.clear()

    def _write_imports(self, node: ast.Import | ast.ImportFrom) -> Iterator[tuple[Part, ...]]:
        for alias in node.names:
            target, member = self._find_target(node, alias)
            if not target:
                module = "" if isinstance(node, ast.Import) else f"{'.' * node.level}{node.module}"
                # Imported for the type checker's sake, with what only that imports.
                if (module, alias.name) != ("typing", "TYPE_CHECKING"):
                    yield (f"import {module} {alias.name} {alias.asname or ''};",)
                continue
            name = alias.asname or alias.name
            shown = "" if name in self._modules else f"{member} {name}"
            if target in self._left_out:
                yield (f"import {LEFT_OUT}{shown};",)
            else:
                self.imports.append(target)
                yield ("import ", Reference(target), f"{shown};")

    def _write(self, node: ast.AST) -> None:
        # Written for speed: a core has some hundred thousand nodes, and every command digests it.
        kind = type(node)
        if kind is ast.Name:
            name = node.id  # type: ignore[attr-defined]
            if name in self._modules:
                self._write_module(name)
            else:
                self.parts.append(f"{name};")
            return
        if (
            kind is ast.Attribute
            and self._modules
            and (path := _dotted_path(node)) in self._modules
        ):
            self._write_module(path)
            return
        known = _FIELDS.get(kind)
        if known is None:
            known = _FIELDS[kind] = (
                f"{kind.__name__}(", tuple(name for name in kind._fields if name not in _IGNORED)
            )  # fmt: skip
        opening, names = known
        self.parts.append(opening)
        for name in names:
            inside = getattr(node, name, None)
            # Absent where empty: a later Python has more fields.
            if inside is None and kind is not ast.Constant:
                continue
            if isinstance(inside, list):
                if inside:
                    self._write_list(name, inside)
            elif isinstance(inside, ast.AST):
                self.parts.append(f"{name}=")
                self._write(inside)
            else:
                self.parts.append(f"{name}={self._without_module(inside)!r},")
        self.parts.append(")")

    def _without_module(self, value: object) -> object:
        """Return a constant; of `package.module:Name` with an own module the name alone.

        What is named so is imported where it is used, and counts there by what it computes.
        """
        if isinstance(value, str) and value.count(":") == 1:
            module, _, name = value.partition(":")
            if name.isidentifier() and self._is_own(module):
                return f":{name}"
        return value

    def _write_module(self, name: str) -> None:
        target = self._modules[name]
        self.parts.append(LEFT_OUT if target in self._left_out else Reference(target))

    def _write_list(self, name: str, inside: list[Any]) -> None:
        self.parts.append(f"{name}=[")
        if isinstance(inside[0], ast.stmt):
            self._write_body(inside)
        else:
            for one in inside:
                if isinstance(one, ast.AST):
                    self._write(one)
                else:  # a name of `global`, or the missing key of `{**other}`
                    self.parts.append(f"{one!r},")
        self.parts.append("]")


def _executed_statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that do something when a program runs."""
    for statement in body:
        match statement:
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                continue
            case ast.If() if _is_type_checking(statement.test):
                yield from _executed_statements(statement.orelse)
            case _:
                yield statement


def _executed_imports(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the imports of a tree, those in functions included."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        for _, inside in ast.iter_fields(node):
            # Imports are statements, and no expression holds one.
            if isinstance(inside, list) and inside and isinstance(inside[0], ast.stmt):
                for statement in _executed_statements(inside):
                    if isinstance(statement, ast.Import | ast.ImportFrom):
                        yield statement
                    else:
                        waiting.append(statement)
            elif isinstance(inside, list):  # of handlers and cases, which have bodies of their own
                blocks = ast.excepthandler | ast.match_case
                waiting += [one for one in inside if isinstance(one, blocks)]


def _is_type_checking(test: ast.expr) -> bool:
    return _dotted_path(test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def _dotted_path(node: ast.AST) -> str:
    """Return `a.b.c` of a name with attributes; empty for anything else."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=inner, attr=attribute):
            before = _dotted_path(inner)
            return f"{before}.{attribute}" if before else ""
    return ""


def _bound_names(tree: ast.AST) -> Iterator[str]:
    """Yield each name as often as something binds it, `import a.b` left out."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                yield name
            case ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.AsyncFunctionDef(name=name):
                yield name
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                yield name
            case ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
                yield name
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                yield from names
            case ast.alias(name=name, asname=str(own)):
                yield own
            case ast.alias(name=name) if "." not in name:
                yield name


def _joined(parts: Sequence[Part]) -> Iterator[Part]:
    """Yield the parts with neighbouring texts in one."""
    texts: list[str] = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
            continue
        if texts:
            yield "".join(texts)
            texts = []
        yield part
    if texts:
        yield "".join(texts)
