"""A study's own modules: Python files that add kinds to the families of modules.

A plugin imports what it needs, PyTorch included; this module imports none of it, so a study
without plugins is read without PyTorch. A process has the plugins of one study: using those of
another removes the first one's kinds. `docs/plugins.md` has an example of every family.
Standard library only.
"""

import ast
import hashlib
import importlib
import linecache
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from msa_core.config.alignment import MeasureOptions
from msa_core.config.contrast import ContrastOptions
from msa_core.config.encoders import EncoderOptions
from msa_core.config.fields import ConfigError, Options, WeightedTerm, count, field, section
from msa_core.config.fusion import FusionOptions
from msa_core.config.kinds import FAMILIES, add_kind, remove_kind
from msa_core.config.paths import check_value, fields_of, value_at
from msa_core.config.procedure import ProcedureOptions
from msa_core.config.schema import Config

__all__ = [
    "ContrastOptions",
    "EncoderOptions",
    "FusionOptions",
    "MeasureOptions",
    "Plugin",
    "PluginError",
    "ProcedureOptions",
    "WeightedTerm",
    "contrast",
    "count",
    "encoder",
    "field",
    "fusion",
    "measure",
    "procedure",
    "read_plugin",
    "section",
    "use_plugins",
]

Module = TypeVar("Module", bound=Callable[..., Any])

# Family -> where its modules are: file, name of the registry, class that they derive from (none:
# they are functions). Names, not imports: those import PyTorch.
_REGISTRIES = {
    "encoder": ("msa_core.modules.encoders", "ENCODERS", "Encoder"),
    "fusion": ("msa_core.modules.fusion.vector_fusions", "FUSIONS", "Fusion"),
    "alignment": ("msa_core.modules.alignment.pairs", "MEASURES", ""),
    "contrast": ("msa_core.modules.contrast.contrasts", "CONTRASTS", "Contrast"),
    "procedure": ("msa_core.procedures.registry", "PROCEDURES", "Procedure"),
}
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
}
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


@dataclass(frozen=True, slots=True)
class Plugin:
    """The text of a plugin, as it is sent to workers and kept beside results.

    Attributes:
        name: Name of its file.
        text: Python source.
    """

    name: str
    text: str

    @property
    def digest(self) -> str:
        """Digest of the text; two plugins of one digest do the same."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class _Kind:
    family: str
    name: str
    options: type[Options]
    module: Callable[..., Any]


_declared: list[_Kind] | None = None  # by the plugin that is being executed; None = none is
_in_use: tuple[Plugin, ...] = ()
_kinds: dict[str, list[_Kind]] = {}  # plugin's name -> what it added


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
    """Declare a class derived from `msa_core.procedures.registry.Procedure` as a kind of procedure.

    Args:
        name: Value of `procedure.kind`.
        options: Class of its options, below `procedure.<name>`.
    """
    return _declare_kind("procedure", name, options)


def read_plugin(path: Path) -> Plugin:
    """Read the text of a file.

    Raises:
        PluginError: It can't be read.
    """
    try:
        return Plugin(path.name, path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # ValueError: no text, or no path
        raise PluginError(f"{path}: cannot be read: {error}") from None


def use_plugins(plugins: Sequence[Plugin]) -> None:
    """Make exactly these the plugins of this process: execute them and add their kinds.

    Does nothing if they are in use already. After an error none is.

    Raises:
        PluginError: A plugin raises, adds nothing, or adds what it can't; with file and reason.
    """
    global _in_use
    # Executed once: a second execution would make other classes of the same names.
    if tuple(plugins) == _in_use:
        return
    _remove_plugins()
    try:
        for plugin in plugins:
            if plugin.name in _kinds:
                raise PluginError(f"{plugin.name}: two plugins have this name; rename one")
            _kinds[plugin.name] = []
            for kind in _execute_plugin(plugin):
                _add_declared(plugin, kind)
    except BaseException:  # Ctrl-C too: half of a study's kinds must not stay.
        _remove_plugins()
        raise
    _in_use = tuple(plugins)


def kinds_added_by(plugin: Plugin) -> list[tuple[str, str]]:
    """Return family and name of every kind that a plugin in use has added."""
    return [(kind.family, kind.name) for kind in _kinds.get(plugin.name, ())]


def parse_plugin(plugin: Plugin, file: str = "<plugin>") -> ast.Module:
    """Parse a plugin, with imports from where modules were in version 0.1 led to where they are.

    Its text stays as it is: the text's digest is part of the keys of the cells trained with it.
    """
    tree = ast.parse(plugin.text, file)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            node.module = _MOVED.get(node.module or "", node.module)
    return tree


def registry_of(family: str) -> dict[str, Any]:
    """Return a family's modules by their kinds, Triptych's own and those of plugins in use."""
    file, name, _ = _REGISTRIES[family]
    registry: dict[str, Any] = getattr(importlib.import_module(file), name)
    return registry


def _declare_kind(family: str, name: str, options: type[Any]) -> Callable[[Module], Module]:
    def declare(module: Module) -> Module:
        if _declared is not None:
            _declared.append(_Kind(family, name, options, module))
        return module

    return declare


def _execute_plugin(plugin: Plugin) -> list[_Kind]:
    """Execute a plugin and return the kinds that it declares."""
    global _declared
    module = ModuleType(f"{_MODULE}{plugin.digest}")
    # With the digest: two versions of one plugin must not share lines in tracebacks.
    file = f"<plugin {plugin.digest}>/{plugin.name}"
    module.__file__ = file
    # Dataclasses look their module up, and tracebacks show the line.
    sys.modules[module.__name__] = module
    linecache.cache[file] = (len(plugin.text), None, plugin.text.splitlines(True), file)
    _declared = []
    try:
        exec(compile(parse_plugin(plugin, file), file, "exec"), module.__dict__)
        _check_overrides(module)
        found = _declared
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"{plugin.name}{_line_of(error, file)}: {_describe_error(error)}"
        ) from error
    finally:
        _declared = None
    if not found:
        raise PluginError(
            f"{plugin.name}: adds no kind; declare one with @fusion, @encoder, @measure, "
            "@contrast or @procedure of msa_core.plugins"
        )
    return found


def _check_overrides(module: ModuleType) -> None:
    """Refuse classes that override a method by the name that it had in version 0.1."""
    for own in vars(module).values():
        if isinstance(own, type) and own.__module__ == module.__name__:
            for old, new in _RENAMED_METHODS.items():
                if old in vars(own) and hasattr(own, new):
                    raise ConfigError(f"method '{own.__name__}.{old}' is called '{new}' now")


def _add_declared(plugin: Plugin, kind: _Kind) -> None:
    """Add a kind to its family and its module to the registry."""
    # In this order `_remove_plugins` can undo whatever was done before a step that raises.
    try:
        _check_module(kind)
        add_kind(kind.family, kind.name, kind.options)
    except ConfigError as error:
        raise PluginError(f"{plugin.name}: {error}") from None
    _kinds[plugin.name].append(kind)
    registry_of(kind.family)[kind.name] = kind.module
    # `field` takes any default; bounds are checked only where a study sets a value.
    prefix = f"{FAMILIES[kind.family].section}.{kind.name}."
    for path in fields_of(Config):
        if path.startswith(prefix):
            try:
                check_value(Config, path, value_at(Config(), path))
            except ConfigError as error:
                raise PluginError(f"{plugin.name}: default of {error}") from None


def _check_module(kind: _Kind) -> None:
    file, _, base = _REGISTRIES[kind.family]
    if not base:
        if isinstance(kind.module, type) or not callable(kind.module):
            raise ConfigError(f"'{kind.name}' must be a function")
        return
    wanted = getattr(importlib.import_module(file), base)
    if not (isinstance(kind.module, type) and issubclass(kind.module, wanted)):
        raise ConfigError(f"'{kind.name}' must be a class derived from {wanted.__module__}.{base}")


def _remove_plugins() -> None:
    """Leave the process as if it had never had a plugin."""
    global _in_use
    for kinds in _kinds.values():
        for kind in kinds:
            remove_kind(kind.family, kind.name)
            registry_of(kind.family).pop(kind.name, None)
    _kinds.clear()
    for name in [name for name in sys.modules if name.startswith(_MODULE)]:
        del sys.modules[name]
    _in_use = ()


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
