"""What a searched field may be: uniform, log_uniform, int, choice."""

import math
from dataclasses import dataclass

from msa_core.config import Config, ConfigError
from msa_core.config_paths import Value, check_value, fields_of, nearest


@dataclass(frozen=True, slots=True)
class Uniform:
    """Any number from low to high, all alike."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class LogUniform:
    """Any number from low > 0 to high, all orders of magnitude alike."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Int:
    """Any whole number from low to high, both included."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some values."""

    options: tuple[Value, ...]


Domain = Uniform | LogUniform | Int | Choice
DOMAINS = ("uniform", "log_uniform", "int", "choice")


def parse_domain(path: str, kind: str, arguments: object) -> Domain:
    """The domain of a field from its study file form, e.g. `log_uniform`, `[1e-4, 1e-2]`.

    Raises:
        ConfigError: no such field or domain, a domain that does not fit the field's type, or a
            value that the field does not allow.
    """
    if kind not in DOMAINS:
        raise ConfigError(
            f"'{path}': '{kind}' is not a domain; allowed are {', '.join(DOMAINS)}"
            f"{nearest(kind, DOMAINS)}"
        )
    if not isinstance(arguments, list):
        raise ConfigError(f"'{path}': {kind} needs a list, but got {arguments!r}")
    if kind == "choice":
        return _choice(path, arguments)
    return _interval(path, kind, arguments)


def _choice(path: str, arguments: list[object]) -> Choice:
    options = tuple(check_value(Config, path, option) for option in arguments)
    if len(options) < 2 or len(set(options)) != len(options):
        raise ConfigError(f"'{path}': choice needs two or more different values, got {arguments}")
    return Choice(options)


def _interval(path: str, kind: str, arguments: list[object]) -> Domain:
    if len(arguments) != 2:
        raise ConfigError(f"'{path}': {kind} needs [low, high], but got {arguments}")
    low, high = (check_value(Config, path, bound) for bound in arguments)
    wanted = fields_of(Config)[path][1]
    fits = {"int": int, "uniform": float, "log_uniform": float}[kind]
    if wanted is not fits:
        allowed = {int: "int or choice", float: "uniform, log_uniform or choice"}
        raise ConfigError(
            f"'{path}' cannot be searched as {kind}; use {allowed.get(wanted, 'choice')}"
        )
    assert isinstance(low, int | float) and isinstance(high, int | float)
    if not low < high:
        raise ConfigError(f"'{path}': `low < high` must hold, but got (low={low}, high={high})")
    if kind == "int":
        return Int(int(low), int(high))
    if kind == "uniform":
        return Uniform(low, high)
    if not (low > 0 and math.isfinite(high)):
        raise ConfigError(f"'{path}': log_uniform needs low > 0, but got low={low}")
    return LogUniform(low, high)


def describe(domain: Domain) -> str:
    """A domain as a person writes it: `log_uniform [0.0001, 0.01]`."""
    match domain:
        case Choice(options):
            return f"choice {list(options)}"
        case Int(low, high):
            return f"int [{low}, {high}]"
        case Uniform(low, high):
            return f"uniform [{low:g}, {high:g}]"
        case LogUniform(low, high):
            return f"log_uniform [{low:g}, {high:g}]"
