"""The fields of the generated data set whose right answers are known. Standard library only."""

from dataclasses import dataclass

from msa_core.config_fields import count, field


@dataclass(frozen=True, kw_only=True, slots=True)
class PlantedConfig:
    """The generated data set whose right answers are known (`msa_core.data.planted`).

    The four shares of the label's variance must add up to 1.
    """

    shared: float = field(0.3, "share of what all modalities carry", "shared",
                           symbol="w_s", minimum=0.0, maximum=1.0)  # fmt: skip
    text_private: float = field(0.3, "share of what only text carries", "text private",
                                 symbol="w_p", minimum=0.0, maximum=1.0)  # fmt: skip
    synergy: float = field(0.3, "share of the product of an audio and a vision bit", "synergy",
                            symbol="w_x", minimum=0.0, maximum=1.0)  # fmt: skip
    noise: float = field(0.1, "share that no modality carries", "noise",
                          symbol="w_n", minimum=0.0, maximum=1.0)  # fmt: skip
    shared_noise: float = field(1.0, "variance of each modality's error on the shared part",
                                 "shared noise", symbol=r"\sigma_e^2",
                                 minimum=0.0, maximum=100.0)  # fmt: skip
    frame_noise: float = field(0.5, "standard deviation of the noise of every frame",
                                "frame noise", symbol=r"\sigma_o",
                                minimum=0.0, maximum=100.0)  # fmt: skip
    train: int = field(1284, "utterances in train", "train", minimum=2, maximum=1_000_000)
    valid: int = field(686, "utterances in valid", "valid", minimum=2, maximum=1_000_000)
    test: int = field(686, "utterances in test", "test", minimum=2, maximum=1_000_000)
    steps: int = count(8, "frames of the longest utterance", "steps", 10_000)
    width: int = field(16, "features a frame", "width", minimum=3, maximum=10_000)
    seed: int = field(0, "seed of the generator", "seed", minimum=0, maximum=2**31 - 1)
