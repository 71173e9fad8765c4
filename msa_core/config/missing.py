"""Frames and modalities that a training does not see. Standard library only."""

from dataclasses import dataclass

from spaces.fields.declaration import Origin, field


@dataclass(frozen=True, kw_only=True, slots=True)
class MissingConfig:
    """Frames and modalities that are taken from the training; valid and test are whole."""

    # At most .95: at 1 nothing would be left to learn from.
    frames: float = field(
        0.0, "share of each utterance's frames set to zero in training", "frames missing",
        unit="share", minimum=0.0, maximum=0.95, quiet=True, searched=(0.1, 0.5, "linear"),
        origins={"": Origin(
            source="the random masks of TFR-Net (Yuan et al. 2021) on audio and vision, without "
            "its generator loss; here text frames are zeroed too, not replaced by an unknown word",
            cites=("yuan2021tfrnet",),
            known_answer="modules/test_modality_dropout.py::test_mask_rate_0_is_the_identity",
        )},
    )  # fmt: skip
    modalities: float = field(
        0.0, "probability of each modality to be missing from the fusion, never all",
        "modalities missing", unit="probability", minimum=0.0, maximum=0.95, quiet=True,
        searched=(0.1, 0.5, "linear"),
        origins={"": Origin(
            source="modality dropout (ModDrop, Neverova et al. 2016), there of inputs and not of "
            "vectors",
            cites=("neverova2016moddrop",),
            known_answer="modules/test_modality_dropout.py::"
            "test_moddrop_takes_each_modality_with_p_less_p_to_the_m_over_m",
        )},
    )  # fmt: skip
    protocol: str = field(
        "all",
        "all: training sees every modality of an utterance; unseen: text and audio of one half, "
        "vision of the other half, and never all three together",
        "missing protocol",
        choices=("all", "unseen"),
        quiet=True,
        origins={
            "unseen": Origin(
                source="after the protocol of Zhang et al. 2023 (unseen modality interaction), "
                "whose training sees disjoint sets of modalities and whose test has all",
                cites=("zhang2023unseen",),
                known_answer="procedures/test_unseen_protocol.py::"
                "test_modality_combinations_of_test_never_co_occur_in_training",
            )
        },
    )
