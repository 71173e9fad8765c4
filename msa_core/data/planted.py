r"""A generated data set whose right answers are known.

The label has four independent parts: what all modalities carry, what only text carries, the
product of an audio and a vision bit (synergy: neither bit alone says anything), and noise:

    y = sqrt(w_s) s + sqrt(w_p) p_T + sqrt(w_x) b_A b_V + sqrt(w_n) n,    label = clip(1.5 y, +-3)

with every letter of mean 0 and variance 1. A modality sees its own latents,

    Z_T = (s + e_T, p_T),    Z_A = (s + e_A, p_A, b_A),    Z_V = (s + e_V, p_V, b_V),

in which e_m has the variance `shared_noise` (times `<modality>_error`) and p_A, p_V are
distractors. Its frames are

    x_m[t] = sum_k profile_k(t) Z_m,k A_m,k + frame_noise * n    for t < length, 0 after,

with lengths uniform in T/2..T. Each profile's mean over the valid frames is exactly 1, so the
mean of the frames keeps Z; the rows of A_m are orthogonal, of norm sqrt(width).

Every quantity draws from its own named stream, and every value is made by elementwise arithmetic,
not by a linear algebra library: the same recipe gives the same bits on every machine, and more
test utterances leave train as it was.

Letters in shapes: N utterances, T frames, d features per frame.
"""

import hashlib
import math

import numpy as np
from numpy.typing import NDArray

from msa_core.config.fields import LABEL_SCHEMES, MODALITIES
from msa_core.config.planted import PlantedConfig
from msa_core.data.dataset import Dataset, FloatArray, Split, assemble_dataset
from spaces.fields.declaration import ConfigError

SCHEME = "mosi"
LABEL_SCALE = 1.5
_Values = NDArray[np.float64]


def generate_planted(config: PlantedConfig) -> Dataset:
    """Generate the data set.

    Its unimodal labels are the true ones: `sqrt(w_s) s + sqrt(w_p) p_T` for text and
    `sqrt(w_s) s` for audio and vision, scaled and clipped like the label.

    Raises:
        ConfigError: The four shares do not add up to 1.
    """
    _check_shares(config)
    mixing = {
        modality: _mixing_directions(config, modality, latents)
        for modality, latents in zip(MODALITIES, (2, 3, 3), strict=True)
    }
    rows = {"train": config.train, "valid": config.valid, "test": config.test}
    splits = {name: _generate_split(config, name, count, mixing) for name, count in rows.items()}
    return assemble_dataset("planted", SCHEME, splits)


def _error_variance(config: PlantedConfig, modality: str) -> float:
    """Return the variance of a modality's error on the shared part."""
    factor: float = getattr(config, f"{modality}_error")
    return config.shared_noise * factor


def _shortest_length(config: PlantedConfig) -> int:
    return (config.steps + 1) // 2


def _generate_split(
    config: PlantedConfig, name: str, rows: int, mixing: dict[str, _Values]
) -> Split:
    def normal(quantity: str) -> _Values:
        return _named_stream(config, f"{name}/{quantity}").standard_normal(rows)

    def bit(quantity: str) -> _Values:
        return np.where(_named_stream(config, f"{name}/{quantity}").integers(0, 2, rows), 1.0, -1.0)

    shared, private = normal("shared"), normal("text private")
    audio_bit, vision_bit = bit("audio bit"), bit("vision bit")
    error = {m: math.sqrt(_error_variance(config, m)) * normal(f"{m} error") for m in MODALITIES}
    latents = {
        "text": (shared + error["text"], private),
        "audio": (shared + error["audio"], normal("audio private"), audio_bit),
        "vision": (shared + error["vision"], normal("vision private"), vision_bit),
    }
    from_shared = math.sqrt(config.shared) * shared
    from_text = math.sqrt(config.text_private) * private
    from_product = math.sqrt(config.synergy) * audio_bit * vision_bit
    from_nowhere = math.sqrt(config.noise) * normal("noise")

    lengths = {
        m: _named_stream(config, f"{name}/{m} lengths").integers(
            _shortest_length(config), config.steps, rows, endpoint=True
        )
        for m in MODALITIES
    }
    features = {
        m: _render_frames(
            latents[m],
            mixing[m],
            lengths[m],
            config.frame_noise
            * _named_stream(config, f"{name}/{m} frames").standard_normal(
                (rows, config.steps, config.width)
            ),
        )
        for m in MODALITIES
    }
    return Split(
        name=name,
        ids=tuple(f"{name}/{row}" for row in range(rows)),
        features=features,
        lengths=lengths,
        labels=_to_labels(from_shared + from_text + from_product + from_nowhere),
        unimodal_labels={
            "text": _to_labels(from_shared + from_text),
            "audio": _to_labels(from_shared),
            "vision": _to_labels(from_shared),
        },
    )


def _to_labels(target: _Values) -> FloatArray:
    bound = LABEL_SCHEMES[SCHEME].bound
    return np.clip(LABEL_SCALE * target, -bound, bound).astype(np.float32)


def _render_frames(
    latents: tuple[_Values, ...], mixing: _Values, lengths: NDArray[np.int64], noise: _Values
) -> FloatArray:
    """Return frames [N, T, d] from latents [N] each, directions [k, d] and noise [N, T, d]."""
    steps = np.arange(noise.shape[1])
    # The middle of frame t, from -1 at the first valid frame's start to 1 at the last one's end.
    place = (2 * steps + 1) / lengths[:, np.newaxis] - 1.0
    profiles = (
        1.0 + 0.5 * place,  # Rises.
        1.0 - 0.5 * place,  # Falls.
        1.0 + 0.5 * place * (4.0 * place * place - 3.0),  # A wave.
    )  # Odd around the middle, so each has the mean 1 over the valid frames.
    frames = noise
    for latent, profile, direction in zip(latents, profiles, mixing, strict=False):
        frames = frames + (latent[:, np.newaxis] * profile)[:, :, np.newaxis] * direction
    valid = steps < lengths[:, np.newaxis]
    return np.where(valid[:, :, np.newaxis], frames, 0.0).astype(np.float32)


def _mixing_directions(config: PlantedConfig, modality: str, latents: int) -> _Values:
    """Return orthogonal directions [k, d] of norm sqrt(d), by Gram-Schmidt with exact sums."""
    rows = _named_stream(config, f"mixing/{modality}").standard_normal((latents, config.width))
    for row in range(latents):
        for earlier in range(row):
            rows[row] -= _exact_dot(rows[row], rows[earlier]) / config.width * rows[earlier]
        rows[row] *= math.sqrt(config.width / _exact_dot(rows[row], rows[row]))
    return rows


def _exact_dot(first: _Values, second: _Values) -> float:
    # Exact: a linear algebra library adds up in an order of its own on every machine.
    return math.fsum((first * second).tolist())


def _named_stream(config: PlantedConfig, name: str) -> np.random.Generator:
    """Return the generator of one quantity: a function of the seed and the name alone."""
    # Not `hash`, which is salted in every process.
    digest = hashlib.sha256(f"{config.seed}/{name}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def _check_shares(config: PlantedConfig) -> None:
    names = ("shared", "text_private", "synergy", "noise")
    total = math.fsum(getattr(config, name) for name in names)
    if abs(total - 1.0) > 1e-6:
        parts = " + ".join(f"{name} {getattr(config, name):g}" for name in names)
        raise ConfigError(f"the shares of the label must add up to 1, but {parts} = {total:g}")
