"""Rules between fields: which of them mean anything, and which go together.

Standard library only.
"""

import re
from collections.abc import Iterable, Mapping

from msa_core.config.alignment import aligned_pairs, check_alignment
from msa_core.config.fields import LABEL_SCHEMES, MODALITIES, PAIRS, used_modalities, used_pairs
from msa_core.config.kinds import FAMILIES, chosen_kinds, kind_of_path, options_of
from msa_core.config.schema import Config
from spaces.fields.declaration import ConfigError, Value
from spaces.fields.paths import (
    check_path,
    default_of,
    did_you_mean,
    fields_of,
    flatten,
    replace,
    value_at,
)


def resolve_fields(config: Config) -> dict[str, Value]:
    """Return the fields that mean something, with their values.

    Two configurations that resolve alike train alike. A field of something switched off
    (an absent modality, a pair whose mode is off) is absent here, and so in every record; and so
    is a quiet one at its default.
    """
    known, values, used = fields_of(type(config)), flatten(config), _kinds_used(config)
    default = default_of(type(config))
    return {
        path: value
        for path, value in values.items()
        if _is_active(config, used, path)
        and not (known[path][0].quiet and value == value_at(default, path))
    }


def is_active(config: Config, path: str) -> bool:
    """Check whether changing this field could change a training of this configuration."""
    check_path(type(config), path)
    return _is_active(config, _kinds_used(config), path)


def _kinds_used(config: Config) -> dict[str, list[str]]:
    return {family: chosen_kinds(config, family) for family in FAMILIES}


def _is_active(config: Config, used: Mapping[str, list[str]], path: str) -> bool:
    if option := kind_of_path(type(config), path):
        family, kind, name = option
        # The switch itself means something even while it is off.
        if family == "contrast" and name == "use":
            return True
        return kind in used[family] and _option_is_active(config, path)
    match path.split("."):
        case ["model", modality, name] if modality in MODALITIES:
            return name == "use" or _is_used(config, modality)
        case ["model", "fusion", "width" | "dropout"]:
            return config.model.fusion.head != "linear"
        case ["train", "patience"]:
            return not options_of(config, "procedure", config.procedure.kind).keeps_last
        case ["loss", "alignment", pair, name] if pair in PAIRS:
            return _pair_field_is_active(config, pair, name)
        case ["loss", "alignment", _]:
            return bool(used["alignment"])
        case ["loss", "unimodal", modality, _] if modality in MODALITIES:
            return config.loss.unimodal.kind != "none" and _is_used(config, modality)
        case ["loss", "unimodal", "width"]:
            return config.loss.unimodal.kind != "none"
        case ["loss", "unimodal", "target"]:
            return config.loss.unimodal.kind == "fixed"
        case ["loss", "unimodal", "ulgm", _]:
            return config.loss.unimodal.kind == "ulgm"
    return True


def restrict_to(config: Config, modalities: Iterable[str]) -> Config:
    """Switch off the modalities that the data does not have."""
    present = set(modalities)
    absent = {f"model.{name}.use": False for name in MODALITIES if name not in present}
    return replace(config, absent)


def check_config(config: Config, scheme: str) -> None:
    """Check the rules between fields, which no single field can check.

    Raises:
        ConfigError: No modality left, modules that do not go together, or a monitor that is no
            metric of the label scheme.
    """
    if not used_modalities(config):
        raise ConfigError("every modality is switched off; keep at least one 'model.*.use: true'")
    # The modules' own reasons first: they are the most specific.
    for family in FAMILIES:
        for kind in chosen_kinds(config, family):
            if reason := options_of(config, family, kind).refusal(config):
                raise ConfigError(f"{_quote_switch(family, kind)}: {reason}")
    if reason := _refuse_width(config):
        raise ConfigError(reason)
    for section, reason in (
        ("model.fusion.kind", _refuse_without_frames(config)),
        ("procedure.kind", _refuse_pairs(config)),
        ("missing.protocol", _refuse_protocol(config)),
    ):
        if reason:
            raise ConfigError(f"'{section}: {value_at(config, section)}': {reason}")
    check_alignment(config)
    metrics = LABEL_SCHEMES[scheme].metrics
    if config.train.monitor not in metrics:
        raise ConfigError(
            f"'train.monitor' must be a metric of the '{scheme}' labels ({', '.join(metrics)}), "
            f"but got '{config.train.monitor}'{did_you_mean(config.train.monitor, metrics)}"
        )


def fused_entries(config: Config) -> int:
    """Return the width of the fused vector."""
    options = options_of(config, "fusion", config.model.fusion.kind)
    width = config.model.projection.width
    return int(options.fused_width(width, len(used_modalities(config))))


def head_width(config: Config) -> int:
    """Return the width of the last layer of which the multimodal output is a weighted sum."""
    linear = config.model.fusion.head == "linear"
    return fused_entries(config) if linear else config.model.fusion.width


def reads_frames(config: Config) -> bool:
    """Check whether the fusion reads the encoders' frames."""
    return bool(options_of(config, "fusion", config.model.fusion.kind).needs_frames)


def pools_frames(config: Config, modality: str) -> bool:
    """Check whether a model reads nothing of a modality but the mean over its valid frames."""
    kind = getattr(config.model, modality).encoder
    # A mean taken once before the training would hold the frames that each step is to mask.
    return bool(options_of(config, "encoder", kind).pools) and config.missing.frames == 0


def _quote_switch(family: str, kind: str) -> str:
    switch = re.sub("<[a-z]+>", "*", FAMILIES[family].switch)
    return f"'{switch.format(kind)}'"


def _refuse_width(config: Config) -> str:
    """Return why an encoder can't divide its width into its heads; empty if all can."""
    for name in used_modalities(config):
        branch = getattr(config.model, name)
        needed = options_of(config, "encoder", branch.encoder).multiple()
        if branch.width % needed:
            return (
                f"'model.{name}.width' is {branch.width}, but the encoder '{branch.encoder}' "
                f"divides it into {needed} heads: choose a multiple of {needed}"
            )
    return ""


def _refuse_without_frames(config: Config) -> str:
    if not reads_frames(config):
        return ""
    for name in used_modalities(config):
        branch = getattr(config.model, name)
        if options_of(config, "encoder", branch.encoder).pools:
            return (
                f"it reads frames, but 'model.{name}.encoder: {branch.encoder}' keeps only their "
                "mean; choose lstm, gru, conv or transformer"
            )
    return ""


def _refuse_pairs(config: Config) -> str:
    if not options_of(config, "procedure", config.procedure.kind).one_modality:
        return ""
    if aligned_pairs(config):
        return "a step sees one modality, so no pair can be aligned; set every pair's mode to off"
    if used := chosen_kinds(config, "contrast"):
        return (
            "a step sees one modality, too little for a contrast; set "
            f"'loss.contrast.{used[0]}.use: false'"
        )
    if config.loss.unimodal.kind != "none":
        return "every step trains one modality's prediction; set 'loss.unimodal.kind: none'"
    return ""


def _refuse_protocol(config: Config) -> str:
    if config.missing.protocol == "all":
        return ""
    used = used_modalities(config)
    if "vision" not in used or len(used) < 2:
        return f"it needs vision and text or audio, but 'model.*.use' leaves {', '.join(used)}"
    if aligned_pairs(config) or chosen_kinds(config, "contrast"):
        return "modalities that never meet can't be aligned; set pairs and contrasts to off"
    # Other procedures read rows whole, and would train on what the protocol withholds.
    if config.procedure.kind != "joint":
        return "only a joint procedure knows of utterances in part; set 'procedure.kind: joint'"
    if config.loss.unimodal.kind == "ulgm":
        return "generated labels compare all modalities of an utterance; choose none or fixed"
    return ""


def _is_used(config: Config, modality: str) -> bool:
    return bool(getattr(config.model, modality).use)


def _pair_field_is_active(config: Config, pair: str, name: str) -> bool:
    if pair not in used_pairs(config):
        return False
    mode = getattr(config.loss.alignment, pair).mode
    return name == "mode" or (mode != "off" and (name != "margin" or mode == "private"))


def _option_is_active(config: Config, path: str) -> bool:
    info, _ = fields_of(type(config))[path]
    if info.only_with is None:
        return True
    name, value = info.only_with
    return value_at(config, f"{path.rpartition('.')[0]}.{name}") == value
