"""Domains of searched fields: uniform, log_uniform, int, choice; and their `when`."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal

from spaces.fields.declaration import ConfigError, Value
from spaces.fields.paths import check_path, check_value, did_you_mean, fields_of
from spaces.syntax.constraints import Condition, parse_condition

MOST_ORDERS = 690  # natural ones; beyond, `math.exp` has no result
MOST_STEPS = 10**12  # beyond, floats no longer tell them apart
MOST_VALUES = 100_000  # a finite domain of more values is never listed


@dataclass(frozen=True, slots=True)
class Uniform:
    """Any number from low to high, all alike; with a step only low, low + step, ..., high."""

    low: float
    high: float
    step: float | None = None
    when: Condition | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class LogUniform:
    """Any number from low > 0 to high, all orders of magnitude alike."""

    low: float
    high: float
    when: Condition | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class Int:
    """Any whole number from low to high in steps; with log all orders of magnitude alike."""

    low: int
    high: int
    step: int = 1
    log: bool = False
    when: Condition | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some values."""

    options: tuple[Value, ...]
    when: Condition | None = field(default=None, kw_only=True)


Domain = Uniform | LogUniform | Int | Choice
# Name of each domain in a study file -> its class; `triptych explain` and docs/studies.md show the
# first line of its docstring.
DOMAIN_CLASSES = {"uniform": Uniform, "log_uniform": LogUniform, "int": Int, "choice": Choice}
# Name of each domain -> what may stand beside it.
DOMAIN_OPTIONS = {
    name: tuple(one.name for one in fields(made) if one.name in ("step", "log", "when"))
    for name, made in DOMAIN_CLASSES.items()
}
DOMAINS = tuple(DOMAIN_OPTIONS)


def parse_domain(config_class: type, path: str, mapping: Mapping[str, object]) -> Domain:
    """Parse the domain of a field from its study file form, e.g. `{int: [8, 64], step: 8}`.

    Raises:
        ConfigError: No such field or domain, a domain that does not fit the field's type, or a
            value that the field does not allow.
    """
    kind = _domain_kind(path, mapping)
    arguments = mapping[kind]
    if not isinstance(arguments, list):
        raise ConfigError(f"'{path}': {kind} needs a list, but got {arguments!r}")
    when = _parse_when(config_class, path, mapping)
    if kind == "choice":
        return Choice(_parse_options(config_class, path, arguments), when=when)
    low, high = _parse_interval(config_class, path, kind, arguments)
    if kind == "int":
        log = mapping.get("log", False)
        if not isinstance(log, bool):
            raise ConfigError(f"'{path}': 'log' must be true or false, but got {log!r}")
        if log and "step" in mapping:
            raise ConfigError(f"'{path}': a logarithmic int has no step; remove 'step' or 'log'")
        if log and low < 1:
            raise ConfigError(f"'{path}': 'log: true' needs low >= 1, but got low={low}")
        step = _parse_step(path, mapping, low, high, whole=True)
        return Int(int(low), int(high), 1 if step is None else int(step), log, when=when)
    if kind == "uniform":
        return Uniform(low, high, _parse_step(path, mapping, low, high, whole=False), when=when)
    if not (low > 0 and math.isfinite(high)):
        raise ConfigError(f"'{path}': log_uniform needs low > 0, but got low={low}")
    if math.log(high) - math.log(low) > MOST_ORDERS:
        raise ConfigError(f"'{path}': log_uniform from {low:g} to {high:g} is too wide; raise low")
    return LogUniform(low, high, when=when)


def _domain_kind(path: str, mapping: Mapping[str, object]) -> str:
    """Return the name of the domain in a mapping; what stands beside it must belong there."""
    named = [name for name in mapping if name in DOMAIN_OPTIONS]
    beside = [name for name in mapping if name not in DOMAIN_OPTIONS]
    if len(named) > 1:
        raise ConfigError(f"'{path}' needs one domain, but got {' and '.join(named)}")
    if not named:
        strange = [name for name in beside if name not in ("step", "log", "when")] or ["nothing"]
        raise ConfigError(
            f"'{path}': '{strange[0]}' is not a domain; allowed are {', '.join(DOMAINS)}"
            f"{did_you_mean(strange[0], DOMAINS)}"
        )
    (kind,) = named
    for name in beside:
        if name == "log" and kind == "uniform":
            raise ConfigError(f"'{path}': uniform has no 'log'; use log_uniform")
        if name not in DOMAIN_OPTIONS[kind]:
            raise ConfigError(
                f"'{path}': {kind} has no '{name}'; allowed are {', '.join(DOMAIN_OPTIONS[kind])}"
                f"{did_you_mean(name, DOMAIN_OPTIONS[kind])}"
            )
    return kind


def _parse_when(config_class: type, path: str, mapping: Mapping[str, object]) -> Condition | None:
    if "when" not in mapping:
        return None
    try:
        when = parse_condition(config_class, mapping["when"])
    except ConfigError as error:
        raise ConfigError(f"'{path}': when: {error}") from None
    if path in when.paths:
        raise ConfigError(f"'{path}': its 'when' reads the field itself")
    return when


def _parse_options(config_class: type, path: str, arguments: list[object]) -> tuple[Value, ...]:
    options = tuple(check_value(config_class, path, option) for option in arguments)
    if len(options) < 2 or len(set(options)) != len(options):
        raise ConfigError(f"'{path}': choice needs two or more different values, got {arguments}")
    return options


def _parse_interval(
    config_class: type, path: str, kind: str, arguments: list[object]
) -> tuple[float, float]:
    check_path(config_class, path)
    if len(arguments) != 2:
        raise ConfigError(f"'{path}': {kind} needs [low, high], but got {arguments}")
    low, high = (check_value(config_class, path, bound) for bound in arguments)
    wanted = fields_of(config_class)[path][1]
    fits = {"int": int, "uniform": float, "log_uniform": float}[kind]
    if wanted is not fits:
        allowed = {int: "int or choice", float: "uniform, log_uniform or choice"}
        raise ConfigError(
            f"'{path}' cannot be searched as {kind}; use {allowed.get(wanted, 'choice')}"
        )
    assert isinstance(low, int | float) and isinstance(high, int | float)
    if not low < high:
        raise ConfigError(f"'{path}': `low < high` must hold, but got (low={low}, high={high})")
    return low, high


def _parse_step(
    path: str, mapping: Mapping[str, object], low: float, high: float, *, whole: bool
) -> float | None:
    """Parse the step, which must lead from low to high."""
    if "step" not in mapping:
        return None
    step = mapping["step"]
    if (
        not isinstance(step, int | float)
        or isinstance(step, bool)
        or not 0 < step <= 1e300
        or (whole and not float(step).is_integer())
    ):
        wanted = "a whole number" if whole else "a number"
        raise ConfigError(f"'{path}': 'step' must be {wanted} above 0, but got {step!r}")
    steps = _exact_decimal(high - low if whole else high, low if not whole else 0) / _exact_decimal(
        step
    )
    if steps > MOST_STEPS:
        raise ConfigError(f"'{path}': the step {step:g} makes too many values; leave it out")
    fitting = int(steps)
    if fitting < 1:
        raise ConfigError(
            f"'{path}': `step <= high - low` must hold, but got "
            f"(low={low:g}, high={high:g}, step={step:g})"
        )
    # Optuna would lower high instead.
    if steps != fitting:
        nearest_high = float(_exact_decimal(low) + fitting * _exact_decimal(step))
        raise ConfigError(
            f"'{path}': steps of {step:g} from {low:g} do not reach {high:g}; "
            f"the nearest high that fits is {nearest_high:g}"
        )
    return int(step) if whole else float(step)


def _exact_decimal(number: float, minus: float = 0.0) -> Decimal:
    # As it is written: .1 is a tenth here, and not the float next to it. With floats .6 / .1 is
    # 5.999..., and a step that fits would be refused.
    return Decimal(repr(number)) - Decimal(repr(minus))


def describe_domain(domain: Domain) -> str:
    """Write a domain in one line: `log_uniform [0.0001, 0.01]`."""
    # This text is part of the keys of cells: a change would make all finished ones stale.
    match domain:
        case Choice(options):
            text = f"choice {list(options)}"
        case Int(low, high, step, log):
            text = f"int [{low}, {high}]"
            text += f" step {step}" if step != 1 else " log" if log else ""
        case Uniform(low, high, step):
            text = f"uniform [{_short_number(low)}, {_short_number(high)}]" + (
                f" step {step!r}" if step else ""
            )
        case LogUniform(low, high):
            text = f"log_uniform [{_short_number(low)}, {_short_number(high)}]"
    return f"{text} when {domain.when.text}" if domain.when else text


def _short_number(number: float) -> str:
    # Few digits for a person, but never those of another number: keys must tell the two apart.
    short = f"{number:g}"
    return short if float(short) == number else repr(number)


def write_domain(domain: Domain) -> dict[str, object]:
    """Return the study file form of a domain; `parse_domain` reads it back."""
    form: dict[str, object]
    match domain:
        case Choice(options):
            form = {"choice": list(options)}
        case Int(low, high, step, log):
            form = {"int": [low, high]}
            form |= {"step": step} if step != 1 else {"log": True} if log else {}
        case Uniform(low, high, step):
            form = {"uniform": [low, high]} | ({"step": step} if step else {})
        case LogUniform(low, high):
            form = {"log_uniform": [low, high]}
    return form | ({"when": domain.when.text} if domain.when else {})


def possible_values(space: Mapping[str, Domain]) -> dict[str, tuple[Value, ...]]:
    """Return searched field -> the values of its choice; none for a range of numbers."""
    return {
        path: domain.options if isinstance(domain, Choice) else () for path, domain in space.items()
    }


def size_of(domain: Domain) -> int | None:
    """Return how many values a domain has; None if it is infinite."""
    match domain:
        case Choice(options):
            return len(options)
        case Int(low, high, step):
            return (high - low) // step + 1
        case Uniform(low, high, float() as step):
            return int(_exact_decimal(high, low) / _exact_decimal(step)) + 1
    return None


def values_of(domain: Domain) -> tuple[Value, ...] | None:
    """Return all values of a finite domain in order; None if it has more than `MOST_VALUES`."""
    size = size_of(domain)
    if size is None or size > MOST_VALUES:
        return None
    return tuple(_nth_value(domain, position) for position in range(size))


def domain_contains(domain: Domain, value: Value) -> bool:
    """Check whether a value, in the type of its field, is one of the domain's."""
    if isinstance(domain, Choice):
        return value in domain.options
    if isinstance(value, bool | str) or not domain.low <= value <= domain.high:
        return False
    # Values of a stepped domain are those that `tidy_value` leaves as they are.
    return tidy_value(domain, value) == value


def value_at_share(domain: Domain, share: float) -> Value:
    """Return the value with this share of the domain below it, on the domain's own scale.

    Args:
        domain: Domain of the value.
        share: Share in [0, 1).
    """
    match domain:
        case LogUniform(low, high):
            orders = math.log(high) - math.log(low)
            return _clip_to(low, low * math.exp(share * orders), high)
        case Int(low, high, _, True):
            # Half a number more on both sides, as Optuna draws them.
            drawn = math.exp(_interpolate(math.log(low - 0.5), math.log(high + 0.5), share))
            return int(_clip_to(low, round(drawn), high))
        case Uniform(low, high, None):
            return _clip_to(low, _interpolate(low, high, share), high)
    size = size_of(domain)
    assert size is not None
    return _nth_value(domain, min(size - 1, int(share * size)))


def tidy_value(domain: Domain, value: Value) -> Value:
    """Return the value of a stepped domain as a person writes it: .3, not .30000000000000004."""
    match domain:
        case Uniform(low, _, float() as step) if isinstance(value, int | float):
            return _nth_value(domain, round((value - low) / step))
        case Int(low, high, step) if isinstance(value, int | float):
            return int(_clip_to(low, low + round((value - low) / step) * step, high))
    return value


def _nth_value(domain: Domain, position: int) -> Value:
    match domain:
        case Choice(options):
            return options[position]
        case Int(low, _, step):
            return low + position * step
        case Uniform(low, _, float() as step):
            return float(_exact_decimal(low) + position * _exact_decimal(step))
    raise AssertionError("an infinite domain has no positions")


def _interpolate(low: float, high: float, share: float) -> float:
    return low + share * (high - low)


def _clip_to(low: float, value: float, high: float) -> float:
    # Rounding may have led a little out of the interval.
    return min(max(value, low), high)
