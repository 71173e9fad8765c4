"""Unimodal heads and what they learn. Standard library only."""

from dataclasses import dataclass
from typing import Any, ClassVar

from msa_core.config.fields import used_modalities
from spaces.fields.declaration import Origin, count, field, section


@dataclass(frozen=True, kw_only=True, slots=True)
class UnimodalHeadConfig:
    """The head that predicts from one modality alone."""

    weight: float = field(
        1.0,
        "weight of this head's loss; 0 = no head",
        "unimodal weight",
        symbol=r"c_{%s}",
        minimum=0.0,
        maximum=1e6,
        varies=True,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class UlgmConfig:
    """Labels that follow the representations."""

    source: ClassVar[str] = (
        "Yu et al. 2021 (Self-MM), as in the public MMSA code; gradients are not accumulated over "
        "four batches as there"
    )
    cites: ClassVar[tuple[str, ...]] = ("yu2021selfmm",)
    weighting: str = field(
        "tanh",
        "how much a row's own label counts; tanh: the more, the farther it is from the multimodal "
        "one; constant: all the same",
        "label weighting",
        choices=("tanh", "constant"),
        quiet=True,
    )
    start: int = field(
        2, "first epoch that moves labels; every row must have been seen before it", "first epoch",
        unit="epochs", minimum=2, maximum=1000, quiet=True,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class UnimodalConfig:
    """Unimodal heads beside the multimodal one (multi-task learning)."""

    kind: str = field(
        "none",
        "none; fixed = heads with fixed weights; ulgm = heads on self-supervised unimodal labels",
        "unimodal heads",
        choices=("none", "fixed", "ulgm"),
        origins={
            "fixed": Origin(
                source="common practice (multi-task learning)",
                known_answer="test_objective.py::"
                "test_every_unimodal_head_learns_the_multimodal_label_with_its_own_weight",
            ),
            "ulgm": Origin(
                source=UlgmConfig.source,
                cites=UlgmConfig.cites,
                known_answer="modules/test_ulgm_labels.py::"
                "test_the_distances_1_2_and_1_3_give_the_known_step_of_the_second_epoch",
            ),
        },
    )
    target: str = field(
        "multimodal",
        "fixed only: what the heads learn, the multimodal label or the data's own unimodal ones",
        "unimodal target",
        choices=("multimodal", "annotated"),
        origins={
            "annotated": Origin(
                source="Yu et al. 2020 (CH-SIMS, MLMF)",
                cites=("yu2020sims",),
                known_answer="modules/test_controls.py::"
                "test_annotated_heads_learn_the_data_s_own_labels",
            )
        },
    )
    width: int = count(
        32, "units of each head's hidden layer", "unimodal head width", 4096, unit="units"
    )
    text: UnimodalHeadConfig = section(UnimodalHeadConfig)
    audio: UnimodalHeadConfig = section(UnimodalHeadConfig)
    vision: UnimodalHeadConfig = section(UnimodalHeadConfig)
    ulgm: UlgmConfig = section(UlgmConfig)


def unimodal_heads(config: Any) -> list[str]:
    """Return the modalities that have a unimodal head in a `Config`."""
    unimodal = config.loss.unimodal
    if unimodal.kind == "none":
        return []
    return [name for name in used_modalities(config) if getattr(unimodal, name).weight > 0]
