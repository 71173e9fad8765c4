"""The version of some code: a digest of what it computes, whatever it looks like.

Digested are the syntax trees of the modules that can be reached by import from some roots, without
comments, docstrings, formatting and names of files. An import of an own module stands in the tree
as that module's digest, so that a module that was moved or renamed leaves every digest as it was.
Nothing is imported to find this out. Standard library only; imports none of ours.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from spaces.syntax.syntax_tree import ModuleText, Part, Reference, read_module

_DIGITS = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class CodeVersion:
    """The version of the code that some roots can reach.

    Attributes:
        digest: Digest of all of it; equal digests compute the same.
        files: File -> digest of its own syntax tree, so that two versions can be told apart by
            file. Files without code, such as an `__init__.py` with a docstring, are left out.
    """

    digest: str
    files: Mapping[str, str] = field(default_factory=dict)


def with_packages(version: CodeVersion, packages: Iterable[tuple[str, str]]) -> CodeVersion:
    """Add the versions of installed packages to that of the code that imports them."""
    named = {f"package {name}": number for name, number in packages}
    return CodeVersion(
        digest=_digest_of([version.digest, *(f"{name} {one}" for name, one in named.items())]),
        files={**version.files, **named},
    )


def changed_files(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Describe how the files of two versions differ: `a.py changed`, `b.py is new`.

    A file that was only moved or renamed is no difference.
    """
    gone = {name: digest for name, digest in before.items() if name not in now}
    new = {name: digest for name, digest in now.items() if name not in before}
    return [
        *(f"{name} changed" for name in sorted(before.keys() & now.keys())
          if before[name] != now[name]),
        *(f"{name} is new" for name in sorted(new) if new[name] not in gone.values()),
        *(f"{name} is gone" for name in sorted(gone) if gone[name] not in new.values()),
    ]  # fmt: skip


def modules_beside(file: Path) -> dict[str, Path]:
    """Return the modules that a file can import from its own folder, itself included, by name."""
    found = {}
    for path in sorted(file.parent.iterdir()):
        if path.suffix == ".py" or (path.is_dir() and any(path.glob("*.py"))):
            found[path.stem if path.suffix == ".py" else path.name] = path
    return found


class CodeTree:
    """The modules of some packages, read when they are reached."""

    def __init__(
        self,
        packages: Mapping[str, Path],
        leave_out: Mapping[str, Iterable[str]] | None = None,
    ) -> None:
        """Create the tree; nothing is read yet.

        Args:
            packages: Top-level name -> its folder, or its file. Only what is in them is followed;
                other imports count by their names alone.
            leave_out: Module -> modules that its imports do not lead to; `""`: those of any module.
        """
        self._packages = dict(packages)
        self._left_out = {name: frozenset(names) for name, names in (leave_out or {}).items()}
        self._places: dict[str, tuple[Path, str] | None] = {}
        self._read: dict[str, ModuleText | None] = {}
        self._digests: dict[str, str] = {}  # module -> digest with all that it can reach

    def version(self, roots: Sequence[str]) -> CodeVersion:
        """Digest the modules that can be reached from some modules, themselves included.

        Args:
            roots: Dotted names of modules; they are executed, and so are their packages.

        Raises:
            ModuleNotFoundError: A root is in none of the packages.
        """
        for name in roots:
            if self._module(name) is None:
                raise ModuleNotFoundError(f"'{name}' is no module of {', '.join(self._packages)}")
        executed = [module for root in roots for module in self._executed_by(root, "")]
        reached = self._reach(executed)
        whole = sorted({self._digests[name] for name in executed})
        return CodeVersion(
            digest=_digest_of(whole),
            files=dict(
                sorted(
                    (module.file, self._own_digest(module))
                    for name in reached
                    if (module := self._module(name)) is not None and module.parts
                )
            ),
        )

    def _module(self, name: str) -> ModuleText | None:
        """Read a module, once; None if it is none of the packages' or has no file."""
        if name not in self._read:
            found = self._locate(name)
            left_out = self._left_out.get(name, frozenset()) | self._left_out.get("", frozenset())
            self._read[name] = found and read_module(name, *found, self.has_module, left_out)
        return self._read[name]

    def has_module(self, name: str) -> bool:
        """Check whether a dotted name is a module of the packages."""
        return self._locate(name) is not None

    def _locate(self, name: str) -> tuple[Path, str] | None:
        """Return a module's file, and the name of the file from its package on."""
        if name not in self._places:
            self._places[name] = self._find_file(name)
        return self._places[name]

    def _find_file(self, name: str) -> tuple[Path, str] | None:
        top, *below = name.split(".")
        place = self._packages.get(top)
        if place is None:
            return None
        if place.suffix == ".py":
            return None if below else (place, place.name)
        inside = Path(*below)
        for relative in (inside / "__init__.py", inside.with_suffix(".py") if below else None):
            if relative is not None and (place / relative).is_file():
                return place / relative, f"{top}/{relative.as_posix()}"
        return None

    def _executed_by(self, name: str, importer: str) -> list[str]:
        """Return what an import executes: the module, and the packages that it is in.

        Packages of the importer are executed already; those without code count nothing.
        """
        shared = set(_packages_of(importer)) | {importer}
        return [
            package
            for package in _packages_of(name)
            if package not in shared and (found := self._module(package)) and found.parts
        ] + [name]

    def _imports(self, name: str) -> list[str]:
        module = self._module(name)
        assert module is not None
        return [
            executed
            for target in module.imports
            for executed in self._executed_by(target, name)
        ]  # fmt: skip

    def _reach(self, roots: Iterable[str]) -> list[str]:
        """Digest everything that can be reached, the imported before what imports it."""
        reached: dict[str, int] = {}  # module -> position in the order of reaching
        lowest: dict[str, int] = {}
        waiting: list[str] = []  # Tarjan's stack

        # Without recursion: a chain of imports may be longer than Python's stack.
        for root in roots:
            if root in reached:
                continue
            path: list[tuple[str, Iterator[str]]] = []

            def enter(name: str, path: list[tuple[str, Iterator[str]]] = path) -> None:
                reached[name] = lowest[name] = len(reached)
                waiting.append(name)
                path.append((name, iter(self._imports(name))))

            enter(root)
            while path:
                name, targets = path[-1]
                target = next(targets, None)
                if target is None:
                    path.pop()
                    if path:
                        above = path[-1][0]
                        lowest[above] = min(lowest[above], lowest[name])
                    if lowest[name] == reached[name]:
                        start = waiting.index(name)
                        self._digest_group(waiting[start:])
                        del waiting[start:]
                elif target not in reached:
                    enter(target)
                elif target in waiting:
                    lowest[name] = min(lowest[name], reached[target])
        return list(reached)

    def _digest_group(self, group: list[str]) -> None:
        """Digest modules that import each other in a circle, or one that is in none."""
        if all(name in self._digests for name in group):
            return
        if len(group) == 1 and group[0] not in self._imports(group[0]):
            self._digests[group[0]] = self._digest_with(group[0], {})
            return
        # Names of files mean nothing, so members are told apart by what is in them.
        alike = dict.fromkeys(group, "circle")
        first = {name: self._digest_with(name, alike) for name in group}
        places = {name: str(at) for at, name in enumerate(sorted(group, key=lambda n: first[n]))}
        whole = _digest_of(sorted(self._digest_with(name, places) for name in group))
        for name in group:
            self._digests[name] = _digest_of([whole, places[name]])

    def _digest_with(self, name: str, circle: Mapping[str, str]) -> str:
        """Digest a module with what it imports; of a circle's members by the texts given."""

        def resolve(reference: Reference) -> str:
            executed = self._executed_by(reference.module, name)
            return " ".join(circle.get(one) or self._digests[one] for one in executed)

        module = self._module(name)
        assert module is not None
        return _digest_of([_text_of(module.parts, resolve)])

    def _own_digest(self, module: ModuleText) -> str:
        # Which module an import leads to is left out: a moved file must not show in its importers.
        return _digest_of([_text_of(module.parts, lambda reference: "")])[:12]


def _packages_of(name: str) -> list[str]:
    """Return the packages that a module is in, the outermost first."""
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts))]


def _text_of(parts: Iterable[Part], resolve: Callable[[Reference], str]) -> str:
    found = []
    for part in parts:
        if isinstance(part, str):
            found.append(part)
        elif isinstance(part, Reference):
            found.append(f"<{resolve(part)}>")
        else:
            found += sorted(_text_of(item, resolve) for item in part.imports)
    return "".join(found)


def _digest_of(texts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
