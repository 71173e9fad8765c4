"""What may train together: the pack key of a configuration. Standard library only.

The members of a pack share everything that fixes shapes and the steps of a training: the
architecture, the terms of the loss, the batch size. They are free in the numbers that enter a
step as numbers: seed, learning rate, weight decay, dropout, the weight of a term that is there.
A field says so by `varies=True` in its declaration (`msa_core.config.schema`).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msa_core.config.fields import used_modalities
from msa_core.config.kinds import chosen, entry_of, options_of
from msa_core.config.paths import Value, fields_of
from msa_core.config.rules import fused_entries, resolve
from msa_core.config.schema import Config


@dataclass(frozen=True, slots=True)
class Member:
    """One training to be done: a configuration and a seed."""

    config: Config
    seed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PackSize:
    """How large packs of one key should be on one kind of device, and why.

    Attributes:
        pack_key: of the members.
        data: fingerprint of the data; empty if unknown.
        device: `cpu`, or the name of the accelerator.
        size: members in one step.
        seconds: members -> wall time of one step, for each member.
        memory: members -> bytes at the peak, for all of them; empty where it can't be measured.
        share: bytes that one worker may use; 0 = unknown.
    """

    pack_key: str
    data: str = ""
    device: str
    size: int
    seconds: Mapping[str, float]
    memory: Mapping[str, int]
    share: int


def structure(config: Config) -> dict[str, Value]:
    """The active fields that members of a pack must agree in.

    A weight is free, but whether it is 0 is not: a term or a head of weight 0 is left out, and
    0 times NaN would be NaN.
    """
    shared: dict[str, Value] = {}
    planned = options_of(config, "procedure", config.procedure.kind).plans_epochs
    for path, value in resolve(config).items():
        if not _varies(path) or (planned and path == "train.epochs"):
            shared[path] = value
        elif path.endswith(".weight"):
            shared[path] = bool(value)
    return shared


def pack_key(config: Config) -> str:
    """Names what may share a pack: configurations with equal keys may."""
    text = json.dumps(structure(config), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def free_numbers(config: Config) -> dict[str, float]:
    """The active numbers in a step that may differ from member to member, by dotted path.

    Those of the optimiser and of the modules that draw random numbers go other ways.
    """
    return {
        path: float(value)
        for path, value in resolve(config).items()
        if path.split(".")[0] in ("model", "loss", "procedure")
        and _varies(path)
        and not path.endswith(".dropout")
    }


LARGEST_MATRIX_ON_A_CPU = 2**18  # entries of a weight, between layers of one model


def in_turn(config: Config, device: str) -> str:
    """Why a configuration's members train one after another; empty if they train together.

    A rule and no measurement, so that a cell's numbers do not depend on how busy a machine was.

    Args:
        config: of the members.
        device: `cpu` or `cuda`.
    """
    if device != "cpu":
        return ""
    for family in ("encoder", "fusion"):
        for kind in chosen(config, family):
            if reason := in_turn_on_a_cpu(family, kind):
                return reason
    widths = [getattr(config.model, name).width for name in used_modalities(config)]
    largest = max(_matrices(config, widths))
    if largest > LARGEST_MATRIX_ON_A_CPU:
        return (
            f"a weight of {largest:,} entries keeps a core busy by itself (up to "
            f"{LARGEST_MATRIX_ON_A_CPU:,} are packed)"
        )
    return ""


def in_turn_on_a_cpu(family: str, kind: str) -> str:
    """Why everything with a kind of encoder or fusion trains in turn on a CPU; else empty."""
    return str(getattr(entry_of(family, kind), "in_turn_on_a_cpu", ""))


def _matrices(config: Config, widths: Sequence[int]) -> list[int]:
    """Entries of the weights between the layers of a model, whatever its features."""
    common = config.model.projection.width
    encoders = [width * max(width, common) for width in widths]
    linear = config.model.fusion.head == "linear"
    heads = [fused_entries(config) * (1 if linear else config.model.fusion.width)]
    if config.loss.unimodal.kind != "none":
        heads.append(common * config.loss.unimodal.width)
    return encoders + heads


def _varies(path: str) -> bool:
    info, _ = fields_of(Config)[path]
    return info.varies
