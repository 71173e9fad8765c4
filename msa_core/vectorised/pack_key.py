"""What may train together: the pack key of a configuration. Standard library only.

The members of a pack share everything that fixes shapes and the steps of a training: the
architecture, the terms of the loss, the batch size. They are free in the numbers that enter a
step as numbers: seed, learning rate, weight decay, dropout, the weight of a term that is there.
Such a field has `varies=True` in its declaration (`msa_core.config.schema`).
"""

import hashlib
import json
from collections.abc import Sequence

from msa_core.config.fields import used_modalities
from msa_core.config.kinds import chosen_kinds, options_class, options_of
from msa_core.config.rules import fused_entries, resolve_fields
from msa_core.config.schema import Config
from spaces.fields.declaration import Value
from spaces.fields.paths import fields_of


def shared_fields(config: Config) -> dict[str, Value]:
    """List the active fields that members of a pack must agree in."""
    shared: dict[str, Value] = {}
    planned = options_of(config, "procedure", config.procedure.kind).plans_epochs
    for path, value in resolve_fields(config).items():
        if not _may_vary(config, path) or (planned and path == "train.epochs"):
            shared[path] = value
        elif path.endswith(".weight"):
            # A weight is free, but whether it is 0 is not: a term of weight 0 is left out of the
            # model, and multiplying it instead would let 0 x NaN into the loss.
            shared[path] = bool(value)
    return shared


def pack_key(config: Config) -> str:
    """Return the key of the packs that a configuration may be in, 16 hexadecimal digits."""
    text = json.dumps(shared_fields(config), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def free_numbers(config: Config) -> dict[str, float]:
    """Collect the active numbers of a step that may differ between members, by dotted path.

    Those of the optimiser and of the modules that draw random numbers go other ways.
    """
    return {
        path: float(value)
        for path, value in resolve_fields(config).items()
        if path.split(".")[0] in ("model", "loss", "procedure")
        and _may_vary(config, path)
        and not path.endswith(".dropout")
    }


LARGEST_MATRIX_ON_A_CPU = 2**18  # entries of a weight, between layers of one model


def sequential_reason(config: Config, device: str) -> str:
    """Return why a configuration's members train sequentially; empty if they train in packs.

    Args:
        config: Configuration of the members.
        device: `cpu` or `cuda`.
    """
    # A rule and no measurement: a cell's last digits must not depend on how busy a machine was.
    if device != "cpu":
        return ""
    for family in ("encoder", "fusion"):
        for kind in chosen_kinds(config, family):
            if reason := sequential_kind_reason(type(config), family, kind):
                return reason
    widths = [getattr(config.model, name).width for name in used_modalities(config)]
    largest = max(_matrix_entries(config, widths))
    if largest > LARGEST_MATRIX_ON_A_CPU:
        return (
            f"a weight of {largest:,} entries keeps a core busy by itself (up to "
            f"{LARGEST_MATRIX_ON_A_CPU:,} are packed)"
        )
    return ""


def sequential_kind_reason(config_class: type[Config], family: str, kind: str) -> str:
    """Return why a kind of encoder or fusion trains sequentially on a CPU; empty if it packs."""
    return str(getattr(options_class(config_class, family, kind), "in_turn_on_a_cpu", ""))


def _matrix_entries(config: Config, widths: Sequence[int]) -> list[int]:
    """List the numbers of entries of the weights between the layers of a model."""
    common = config.model.projection.width
    encoders = [width * max(width, common) for width in widths]
    linear = config.model.fusion.head == "linear"
    heads = [fused_entries(config) * (1 if linear else config.model.fusion.width)]
    if config.loss.unimodal.kind != "none":
        heads.append(common * config.loss.unimodal.width)
    return encoders + heads


def _may_vary(config: Config, path: str) -> bool:
    info, _ = fields_of(type(config))[path]
    return info.varies
