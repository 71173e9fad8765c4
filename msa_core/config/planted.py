"""Fields of the generated data set whose right answers are known. Standard library only."""

from dataclasses import dataclass

from spaces.fields.declaration import count, field


@dataclass(frozen=True, kw_only=True, slots=True)
class PlantedConfig:
    """The generated data set whose right answers are known (`msa_core.data.planted`).

    The four shares of the label's variance must add up to 1.
    """

    shared: float = field(0.3, "share of what all modalities carry", "shared",
                           symbol="w_s", unit="share", minimum=0.0, maximum=1.0)  # fmt: skip
    text_private: float = field(0.3, "share of what only text carries", "text private",
                                 symbol="w_p", unit="share", minimum=0.0, maximum=1.0)  # fmt: skip
    synergy: float = field(0.3, "share of the product of an audio and a vision bit", "synergy",
                            symbol="w_x", unit="share", minimum=0.0, maximum=1.0)  # fmt: skip
    noise: float = field(0.1, "share that no modality carries", "noise",
                          symbol="w_n", unit="share", minimum=0.0, maximum=1.0)  # fmt: skip
    shared_noise: float = field(1.0, "variance of each modality's error on the shared part",
                                 "shared noise", symbol=r"\sigma_e^2",
                                 minimum=0.0, maximum=100.0)  # fmt: skip
    text_error: float = field(1.0, "text's part of shared_noise; its error has the product as "
                               "variance", "text error", symbol=r"\rho_t",
                               minimum=0.0, maximum=100.0)  # fmt: skip
    audio_error: float = field(1.0, "audio's part of shared_noise", "audio error",
                                symbol=r"\rho_a", minimum=0.0, maximum=100.0)  # fmt: skip
    vision_error: float = field(1.0, "vision's part of shared_noise", "vision error",
                                 symbol=r"\rho_v", minimum=0.0, maximum=100.0)  # fmt: skip
    frame_noise: float = field(0.5, "standard deviation of the noise of every frame",
                                "frame noise", symbol=r"\sigma_o",
                                minimum=0.0, maximum=100.0)  # fmt: skip
    train: int = field(
        1284, "utterances in train", "train", unit="utterances", minimum=2, maximum=1_000_000
    )
    valid: int = field(
        686, "utterances in valid", "valid", unit="utterances", minimum=2, maximum=1_000_000
    )
    test: int = field(
        686, "utterances in test", "test", unit="utterances", minimum=2, maximum=1_000_000
    )
    steps: int = count(8, "frames of the longest utterance", "steps", 10_000, unit="frames")
    width: int = field(16, "features a frame", "width", unit="features", minimum=3, maximum=10_000)
    seed: int = field(0, "seed of the generator", "seed", minimum=0, maximum=2**31 - 1)


WORLDS: dict[str, PlantedConfig] = {
    # Three equal views of one thing: each adds, none is needed, no product helps.
    "additive": PlantedConfig(shared=0.9, text_private=0.0, synergy=0.0, noise=0.1),
    # Most of the label is a product of audio and vision that neither shows alone.
    "synergy": PlantedConfig(shared=0.15, text_private=0.15, synergy=0.6, noise=0.1),
    # Nothing for a multiplicative fusion to find.
    "null": PlantedConfig(shared=0.45, text_private=0.45, synergy=0.0, noise=0.1),
    # Without text nearly all is lost.
    "text_private": PlantedConfig(shared=0.2, text_private=0.7, synergy=0.0, noise=0.1),
    # The shares of `additive`, but text sees clearly what audio and vision see badly.
    "imbalanced": PlantedConfig(
        shared=0.9, text_private=0.0, synergy=0.0, noise=0.1,
        text_error=0.1, audio_error=4.0, vision_error=4.0,
    ),
    # Little to find, in noisy frames.
    "noisy": PlantedConfig(
        shared=0.1, text_private=0.1, synergy=0.1, noise=0.7, frame_noise=3.0
    ),
}  # fmt: skip
"""Recipes with a name; `msa_core/data/planted_worlds.csv` has what can be expected of each."""
