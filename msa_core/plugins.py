"""A study's own modules: Python files that add kinds to the families of modules.

A plugin imports what it needs, PyTorch included; this module imports none of it, so a study
without plugins is read without PyTorch. The kinds of a study's plugins are those of the class of
its configurations (`config_with`), which nothing else in the process sees.
`docs/plugins.md` has an example of every family. Standard library only.
"""

import ast
import functools
import linecache
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, TypeVar

from msa_core.config.alignment import MeasureOptions
from msa_core.config.contrast import ContrastOptions
from msa_core.config.encoders import EncoderOptions
from msa_core.config.fields import WeightedTerm
from msa_core.config.fusion import FusionOptions
from msa_core.config.kinds import FAMILIES, AddedKind, import_named, with_kind
from msa_core.config.procedure import ProcedureOptions
from msa_core.config.schema import Config
from spaces.core import SourceFile
from spaces.fields.declaration import ConfigError, count, field, section
from spaces.fields.paths import check_value, default_of, fields_of, flatten, replace, value_at

__all__ = [
    "ContrastOptions",
    "EncoderOptions",
    "FusionOptions",
    "MeasureOptions",
    "PluginError",
    "ProcedureOptions",
    "WeightedTerm",
    "config_with",
    "contrast",
    "count",
    "encoder",
    "field",
    "fusion",
    "measure",
    "procedure",
    "read_plugin",
    "section",
]

Module = TypeVar("Module", bound=Callable[..., Any])

# Modules that plugins of version 0.1 import -> where they are now.
_MOVED = {
    "msa_core.config_fields": "msa_core.config.fields",
    "msa_core.modules.contrast": "msa_core.modules.contrast.base",
    "msa_core.modules.draws": "msa_core.modules.parts.stochastic",
    "msa_core.modules.dropout": "msa_core.modules.parts.dropout",
    "msa_core.modules.frames": "msa_core.modules.parts.frames",
    "msa_core.modules.fusion": "msa_core.modules.fusion.base",
    "msa_core.modules.linear": "msa_core.modules.parts.linear",
    "msa_core.modules.memory": "msa_core.modules.parts.stateful",
    "msa_core.modules.rounding": "msa_core.modules.parts.rounding",
    "msa_core.modules.seen": "msa_core.modules.parts.inputs",
    "msa_core.modules.similarity": "msa_core.modules.parts.similarity",
    "msa_core.procedure": "msa_core.procedures.base",
    "msa_core.procedures": "msa_core.procedures.base",
    "msa_core.procedures.registry": "msa_core.procedures.base",
}
# Names that `msa_core.config.fields` had, and their module now.
_DECLARATIONS = ("msa_core.config.fields", "spaces.fields.declaration")
# Methods that classes of version 0.1 override -> what they are called now. A class with an old name
# would train without its override, so it is refused.
_RENAMED_METHODS = {
    "fresh": "initial_state",
    "handed": "prepare_draws",
    "modified": "modify_gradients",
    "order": "row_order",
    "replayed": "replayed_rows",
    "watched": "validation_metrics",
    "witness": "save_activations",
}

_MODULE = "triptych_plugin_"  # prefix of their names in `sys.modules`


class PluginError(ConfigError):
    """A plugin that can't be used; the message starts with its file."""


# What the plugin that is being executed has declared so far; None = none is.
_declared: ContextVar[list[AddedKind] | None] = ContextVar("declared", default=None)


def encoder(name: str, options: type[EncoderOptions]) -> Callable[[Module], Module]:
    """Declare a class derived from `msa_core.modules.encoders.Encoder` as a kind of encoder.

    Outside a study, as in a test that imports the plugin's file, declaring does nothing. So do the
    other four.

    Args:
        name: Value of `model.<modality>.encoder`.
        options: Class of its options, below `model.encoder.<name>`.
    """
    return _declare_kind("encoder", name, options)


def fusion(name: str, options: type[FusionOptions]) -> Callable[[Module], Module]:
    """Declare a class derived from `Fusion` of `msa_core.modules.fusion.base` as a kind.

    Args:
        name: Value of `model.fusion.kind`.
        options: Class of its options, below `model.fusion.<name>`.
    """
    return _declare_kind("fusion", name, options)


def measure(name: str, options: type[MeasureOptions]) -> Callable[[Module], Module]:
    """Declare a function (first_BD, second_BD, numbers, options) as an alignment measure.

    Args:
        name: Value of `loss.alignment.<pair>.measure`.
        options: Class of its options, below `loss.alignment.<name>`.
    """
    return _declare_kind("alignment", name, options)


def contrast(name: str, options: type[ContrastOptions]) -> Callable[[Module], Module]:
    """Declare a class derived from `Contrast` of `msa_core.modules.contrast.base` as a kind.

    Args:
        name: Name of the kind, which `loss.contrast.<name>.use` switches on.
        options: Class of its options, below `loss.contrast.<name>`.
    """
    return _declare_kind("contrast", name, options)


def procedure(name: str, options: type[ProcedureOptions]) -> Callable[[Module], Module]:
    """Declare a class derived from `msa_core.procedures.base.Procedure` as a kind of procedure.

    Args:
        name: Value of `procedure.kind`.
        options: Class of its options, below `procedure.<name>`.
    """
    return _declare_kind("procedure", name, options)


def read_plugin(path: Path) -> SourceFile:
    """Read the text of a file.

    Raises:
        PluginError: It can't be read.
    """
    try:
        return SourceFile(path.name, path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # ValueError: no text, or no path
        raise PluginError(f"{path}: cannot be read: {error}") from None


class ExtendedConfig(Config):
    """Base of the configurations that have the kinds of plugins.

    Attributes:
        plugins: Files with the kinds.
        added: Name of a plugin -> its kinds.
    """

    __slots__ = ()
    plugins: ClassVar[tuple[SourceFile, ...]] = ()
    added: ClassVar[Mapping[str, tuple[AddedKind, ...]]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        """Let a process that does not have the class yet make it, from the plugins' text."""
        return _restore_config, (self.plugins, flatten(self))


def _restore_config(plugins: tuple[SourceFile, ...], values: Mapping[str, Any]) -> Config:
    restored: Config = replace(default_of(config_with(plugins)), values)
    return restored


# Cached, since a second execution of a plugin would make other classes of the same names.
@functools.lru_cache(maxsize=64)
def config_with(plugins: tuple[SourceFile, ...]) -> type[Config]:
    """Return the class of configurations that have the kinds of these plugins.

    Raises:
        PluginError: A plugin raises, adds nothing, or adds what it can't; with file and reason.
    """
    if not plugins:
        return Config
    extended: type[Config] = ExtendedConfig
    added: dict[str, tuple[AddedKind, ...]] = {}
    for plugin in plugins:
        if plugin.name in added:
            raise PluginError(f"{plugin.name}: two plugins have this name; rename one")
        added[plugin.name] = tuple(_execute_plugin(plugin))
        for kind in added[plugin.name]:
            extended = _add_declared(extended, plugin, kind)
    extended.plugins, extended.added = plugins, added  # type: ignore[attr-defined]
    return extended


def plugins_of(config_class: type[Config]) -> tuple[SourceFile, ...]:
    """Return the plugins whose kinds a class of configurations has."""
    return config_class.plugins if issubclass(config_class, ExtendedConfig) else ()


def kinds_added_by(config_class: type[Config], plugin: SourceFile) -> list[tuple[str, str]]:
    """Return family and name of every kind that a plugin has added."""
    if not issubclass(config_class, ExtendedConfig):
        return []
    return [(kind.family, kind.name) for kind in config_class.added[plugin.name]]


def _declare_kind(family: str, name: str, options: type[Any]) -> Callable[[Module], Module]:
    def declare(module: Module) -> Module:
        found = _declared.get()
        if found is not None:
            found.append(AddedKind(family, name, options, module))
        return module

    return declare


@contextmanager
def _collecting() -> Iterator[list[AddedKind]]:
    found: list[AddedKind] = []
    token = _declared.set(found)
    try:
        yield found
    finally:
        _declared.reset(token)


def _execute_plugin(plugin: SourceFile) -> list[AddedKind]:
    """Execute a plugin and return the kinds that it declares."""
    module = ModuleType(f"{_MODULE}{plugin.digest}")
    # With the digest: two versions of one plugin must not share lines in tracebacks.
    file = f"<plugin {plugin.digest}>/{plugin.name}"
    module.__file__ = file
    # Dataclasses look their module up, and tracebacks show the line.
    sys.modules[module.__name__] = module
    linecache.cache[file] = (len(plugin.text), None, plugin.text.splitlines(True), file)
    try:
        with _collecting() as found:
            exec(compile(parse_plugin(plugin, file), file, "exec"), module.__dict__)
        _check_overrides(module)
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        raise PluginError(
            f"{plugin.name}{_line_of(error, file)}: {_describe_error(error)}"
        ) from error
    if not found:
        raise PluginError(
            f"{plugin.name}: adds no kind; declare one with @fusion, @encoder, @measure, "
            "@contrast or @procedure of msa_core.plugins"
        )
    return found


class _MovedImports(ast.NodeTransformer):
    """Imports from where modules were in version 0.1, led to where they are."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> list[ast.stmt]:
        module = _MOVED.get(node.module or "", node.module)
        old, new = _DECLARATIONS
        groups: dict[str | None, list[ast.alias]] = {}
        for name in node.names:
            moved = module == old and name.name in _declared_names()
            groups.setdefault(new if moved else module, []).append(name)
        return [
            ast.copy_location(ast.ImportFrom(target, names, node.level), node)
            for target, names in groups.items()
        ]


def _declared_names() -> frozenset[str]:
    return frozenset(vars(sys.modules[_DECLARATIONS[1]]))


def parse_plugin(plugin: SourceFile, file: str = "<plugin>") -> ast.Module:
    """Parse a plugin, with imports of old modules led to where they are now.

    Its text stays as it is: the text's digest is part of the keys of the cells trained with it.
    """
    tree: ast.Module = _MovedImports().visit(ast.parse(plugin.text, file))
    return ast.fix_missing_locations(tree)


def _check_overrides(module: ModuleType) -> None:
    """Refuse classes that override a method by the name that it had in version 0.1."""
    for own in vars(module).values():
        if isinstance(own, type) and own.__module__ == module.__name__:
            for old, new in _RENAMED_METHODS.items():
                if old in vars(own) and hasattr(own, new):
                    raise ConfigError(f"method '{own.__name__}.{old}' is called '{new}' now")


def _add_declared(config_class: type[Config], plugin: SourceFile, kind: AddedKind) -> type[Config]:
    """Return the class with one more kind."""
    try:
        _check_module(kind)
        extended = with_kind(config_class, kind)
    except ConfigError as error:
        raise PluginError(f"{plugin.name}: {error}") from None
    # `field` takes any default; bounds are checked only where a study sets a value.
    prefix = f"{FAMILIES[kind.family].section}.{kind.name}."
    for path in fields_of(extended):
        if path.startswith(prefix):
            try:
                check_value(extended, path, value_at(extended(), path))
            except ConfigError as error:
                raise PluginError(f"{plugin.name}: default of {error}") from None
    return extended


def _check_module(kind: AddedKind) -> None:
    base = FAMILIES[kind.family].base
    if not base:
        if isinstance(kind.module, type) or not callable(kind.module):
            raise ConfigError(f"'{kind.name}' must be a function")
        return
    wanted = import_named(base)
    if not (isinstance(kind.module, type) and issubclass(kind.module, wanted)):
        raise ConfigError(f"'{kind.name}' must be a class derived from {base.replace(':', '.')}")


def _line_of(error: BaseException, file: str) -> str:
    """`:12`, the plugin's line that an error comes from."""
    if isinstance(error, SyntaxError) and error.filename == file:
        return f":{error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__)
             if frame.filename == file]  # fmt: skip
    return f":{lines[-1]}" if lines else ""


def _describe_error(error: BaseException) -> str:
    """Describe an error in one line."""
    if isinstance(error, ModuleNotFoundError):
        return (
            f"{error}; a plugin is one file and imports what is installed, not the files beside it"
        )
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {' '.join(text.split())}"
