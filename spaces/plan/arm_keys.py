"""What decides which candidates an arm is given and how they train, and the key made of it.

A key holds no file and no version of a package: cells are stale only by what these values are.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

# Name -> values; of an arm that is frozen at another's hyperparameters those of both arms.
Decides = Mapping[str, Any]
# Parts of a frozen arm: the arm as it would be tuned, and the one that is tuned for it.
OWN, REFERENCE = "frozen", "from"
# Path of a part within `Decides` -> what a person knows it as.
SEARCHED = "search of "
_TUNING = ("sampler", "budget.seed", "budget.generation", "metric")
_STOPPING = ("budget.scheduler", "budget.bracket")
_OTHERS = frozenset(
    {
        *_TUNING, *_STOPPING, "second_metric", "budget.tune_seeds", "arm", "inherits", "data",
        "code", "constraints", "start", "plugins",
    }
)  # fmt: skip


def key_of(decides: Decides) -> str:
    """Return the key of an arm: the digest of what decides it."""
    # The parts of a frozen arm stand in it as the keys that they would have by themselves.
    return digest_of(
        {
            name: key_of(part) if isinstance(part, Mapping) and name in (OWN, REFERENCE) else part
            for name, part in decides.items()
        }
    )


def digest_of(value: object) -> str:
    """Return the digest of a value of plain parts (what JSON can hold)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def with_versions(decides: Decides, data: str, code: str | None) -> dict[str, Any]:
    """Return what decides an arm on another version of the data, and of the code if given."""
    changed = dict(decides)
    for part in (OWN, REFERENCE):
        if part in changed:
            changed[part] = with_versions(changed[part], data, code)
    if "code" in changed:
        changed |= {"data": data, "code": changed["code"] if code is None else code}
    return changed


def codes_of(values: Mapping[str, Any]) -> list[str]:
    """Return the digests of code among an arm's `list_values`: two of a frozen arm, else one."""
    return [str(value) for name, value in values.items() if plain_name(name) == "code"]


def list_values(decides: Decides) -> dict[str, Any]:
    """Return what decides an arm as one list of names and values, as a study file names them.

    Names of a frozen arm's reference begin with `from/`, those of its own with `frozen/`.
    """
    return {f"{place}{name}": value for place, name, value in _iterate_parts(decides, "")}


def is_config_field(name: str) -> bool:
    """Check whether a name of `list_values` is a field of the configuration."""
    plain = plain_name(name)
    return plain not in _OTHERS and not plain.startswith(SEARCHED)


def plain_name(name: str) -> str:
    """Return a name of `list_values` without the part of a frozen arm that it belongs to."""
    return name.removeprefix(f"{OWN}/").removeprefix(f"{REFERENCE}/")


def _iterate_parts(decides: Decides, place: str) -> Iterator[tuple[str, str, Any]]:
    """Yield part of a frozen arm, name and value."""
    for name, value in decides.items():
        match name:
            case "frozen" | "from":
                yield from _iterate_parts(value, f"{place}{name}/")
            case "config":
                for path, setting in value.items():
                    yield place, path, setting
            case "space":
                for path, domain in value.items():
                    yield place, f"{SEARCHED}{path}", domain
            case "tuning":
                for setting, own in zip(_tuning_names(len(value)), value, strict=True):
                    yield place, setting, own
            case "tune_seeds":
                yield place, "budget.tune_seeds", value
            case _:
                yield place, name, value


def _tuning_names(count: int) -> list[str]:
    """Name the settings of the tuning, whose number tells which of them are there."""
    stopping = _STOPPING if count >= len(_TUNING) + len(_STOPPING) else ()
    names = [*_TUNING, *stopping, "second_metric"] if count else []
    return names[:count]
