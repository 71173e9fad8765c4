"""The declaration of a field: its default, bounds, label and LaTeX symbol; and of sections.

Standard library only.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

Value = bool | int | float | str


class ConfigError(ValueError):
    """A field that does not exist, or a value that the field does not allow."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where the thing comes from that a value of a field switches on.

    Attributes:
        source: Paper or code, and where ours departs from it; one line, empty if `Options.source`
            of the field's own kind says it.
        cites: Keys of the core's bibliography.
        known_answer: Test whose answer was known before, as `Options.known_answer`.
    """

    source: str = ""
    cites: tuple[str, ...] = ()
    known_answer: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldInfo:
    """Facts about one field besides its type and default.

    Attributes:
        meaning: Explanation in one line.
        label: Short name for tables and plots.
        symbol: LaTeX, without dollar signs; empty if the field has none.
        unit: Unit of a number, in the plural (`epochs`, `utterances`); empty for a pure number.
        minimum, maximum: Inclusive bounds of a number; None = unbounded.
        above, below: Exclusive bounds of a number.
        choices: Allowed values; empty = any.
        kinds_in: Path of the section whose `Options` are the choices, from the configuration's
            root; empty = the choices are those that stand here.
        varies: Whether the members of a pack may differ in it.
        quiet: Whether it is left out of records where it has its default, which changes nothing.
        searched: Range that papers search it in: lowest, highest, `log` or `linear`.
        only_with: Name and value of the field beside it without which it means nothing.
        origins: Choice -> where what it switches on comes from; of a field without choices under
            the key `""`, for any value that is true or above 0.
    """

    meaning: str
    label: str
    symbol: str = ""
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    below: float | None = None
    choices: tuple[Any, ...] = ()
    kinds_in: str = ""
    varies: bool = False
    # So that a new switch adds no column to the tables of studies that do not use it.
    quiet: bool = False
    searched: tuple[float, float, str] | None = None
    only_with: tuple[str, bool | str] | None = None
    origins: Mapping[str, Origin] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The options of one kind, and facts about it that are needed before it is imported.

    The name of the kind is the name of the field that holds its options.

    Attributes:
        implementation: The kind itself: a class or a function, or where it is,
            `package.module:Name`, so that what no arm can use is never imported.
        changes: Part that the kind changes: `loss`, `state` (kept from step to step), `model` or
            `loop`.
        source: Paper or code that the kind comes from, and where it departs from it; one line.
        cites: Keys of the core's bibliography; none for what is common practice.
        known_answer: Test of the kind whose answer was known before it was run, as
            `file.py::test_name` from the folder of the core's tests on.
    """

    # Class variables are no fields: no study can set them, and they are in no cell's key.
    implementation: ClassVar[str | Callable[..., Any]] = ""
    changes: ClassVar[str] = "loss"
    source: ClassVar[str] = ""
    cites: ClassVar[tuple[str, ...]] = ()
    known_answer: ClassVar[str] = ""

    def refusal(self, config: Any) -> str:
        """Return why this kind can't be used where a configuration chooses it; empty if it can."""
        return ""


def field(default: Any, meaning: str, label: str, **info: Any) -> Any:
    """Declare a field of a configuration: its default and its `FieldInfo`."""
    described = FieldInfo(meaning=meaning, label=label, **info)
    return dataclasses.field(default=default, metadata={"info": described})


def count(default: int, meaning: str, label: str, maximum: int, **info: Any) -> Any:
    """Declare a whole number from 1 on."""
    return field(default, meaning, label, minimum=1, maximum=maximum, **info)


def section(factory: Any) -> Any:
    """Declare a group of fields."""
    return dataclasses.field(default_factory=factory)


def sections_of(kind: type) -> dict[str, type]:
    """Return the sections that a dataclass of a configuration has itself, by name."""
    return {
        own.name: own.type
        for own in dataclasses.fields(kind)
        if isinstance(own.type, type) and dataclasses.is_dataclass(own.type)
    }


def with_sections(kind: type, path: str, added: Iterable[tuple[str, type]]) -> type:
    """Derive a configuration class that has more sections at one place.

    Args:
        kind: Dataclass of a configuration.
        path: Section that gets more sections inside; empty = the class itself.
        added: Name and dataclass of each.
    """
    head, _, rest = path.partition(".")
    if head:
        added = [(head, with_sections(sections_of(kind)[head], rest, added))]
    return dataclasses.make_dataclass(
        kind.__name__,
        [(name, own, section(own)) for name, own in added],
        bases=(kind,),
        frozen=True,
        kw_only=True,
        slots=True,
        namespace={"__module__": kind.__module__, "__doc__": kind.__doc__},
    )
