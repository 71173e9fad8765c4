"""What a training is made to miss. Standard library only."""

from dataclasses import dataclass

from msa_core.config.fields import field


@dataclass(frozen=True, kw_only=True, slots=True)
class MissingConfig:
    """What the training is made to miss; valid and test are whole."""

    frames: float = field(
        0.0, "share of each utterance's frames set to zero in training", "frames missing",
        unit="share", minimum=0.0, maximum=0.95, quiet=True, searched=(0.1, 0.5, "linear"),
    )  # fmt: skip
    modalities: float = field(
        0.0, "probability of each modality to be missing from the fusion, never all",
        "modalities missing", unit="probability", minimum=0.0, maximum=0.95, quiet=True,
        searched=(0.1, 0.5, "linear"),
    )  # fmt: skip
    protocol: str = field(
        "all",
        "all: training sees every modality of an utterance; unseen: text and audio of one half, "
        "vision of the other half, and never all three together",
        "missing protocol",
        choices=("all", "unseen"),
        quiet=True,
    )
