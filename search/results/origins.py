"""What the keys of a results folder are made of, so that a later plan can name what changed."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from search.atomic_files import write_text_atomically
from search.results.layout import ORIGINS
from spaces.plan.arm_keys import list_values
from spaces.plan.plan import Plan


@dataclass(frozen=True, kw_only=True, slots=True)
class Origins:
    """What the keys of some arms are made of.

    Attributes:
        values: Key of an arm -> name and value of all that decides it
            (`spaces.plan.arm_keys.list_values`).
        files: Digest of the code that an arm can reach -> digests of its files.
    """

    values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    files: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def origins_of(plan: Plan) -> Origins:
    """Return what the keys of a plan's arms are made of."""
    values = {
        arm.key: list_values(arm.decides) if arm.kept is None else arm.kept for arm in plan.arms
    }
    return Origins(values=values, files=dict(plan.code_files))


def write_origins(folder: Path, origins: Origins) -> None:
    """Write `origins.json` by an atomic write."""
    # Arms differ in a few values and versions in a few files: each pair is written once.
    pairs: dict[str, int] = {}
    content = {
        "arms": {key: _number_pairs(own, pairs) for key, own in origins.values.items()},
        "code": {digest: _number_pairs(own, pairs) for digest, own in origins.files.items()},
    }
    write_text_atomically(
        folder / ORIGINS,
        json.dumps({"pairs": [json.loads(pair) for pair in pairs], **content}),
    )


def read_origins(folder: Path) -> Origins:
    """Read `origins.json`; empty where there is none, as in a folder of version 0.1, or a torn one.

    Without it nothing is lost but the explanation.
    """
    try:
        content = json.loads((folder / ORIGINS).read_text(encoding="utf-8"))
        pairs = content["pairs"]
        return Origins(
            values={key: _name_pairs(own, pairs) for key, own in content["arms"].items()},
            files={digest: _name_pairs(own, pairs) for digest, own in content["code"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):
        return Origins()


def _number_pairs(own: Mapping[str, Any], pairs: dict[str, int]) -> list[int]:
    return [pairs.setdefault(json.dumps(pair), len(pairs)) for pair in own.items()]


def _name_pairs(numbers: Iterable[int], pairs: list[list[Any]]) -> dict[str, Any]:
    return {pairs[number][0]: pairs[number][1] for number in numbers}
